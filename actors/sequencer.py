"""Gives the turns at the wallboxes: who is to get what until when, and who is asked to swap."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

import msgspec

from actors.departures import is_quiet
from actors.swap_questions import Due, dues_of, why_due
from actors.turns import Given, give_turns, same
from engine.actor import Actor
from engine.messages import (
    ConfigRead,
    DriverAsked,
    PlanMade,
    StateChanged,
    TurnsChecked,
    TurnsGiven,
    VehiclePlugged,
)
from engine.settings import Settings
from engine.slots import slot_of
from engine.values import HomeState, Turn, Utc, Value, Why
from engine.waiting import Waiting

SOC_MOVED_PCT = 2.0
NEED_MOVED_KWH = 1.0
SETTLED = timedelta(minutes=2)
"""A car that has just come may be asked for its SoC first: until then it is not taken for full."""
TRUSTED = timedelta(hours=1)
"""So long after the question the plan still counts on the swap; then only when asked anew."""

Hears: TypeAlias = ConfigRead | StateChanged | VehiclePlugged | PlanMade
Says: TypeAlias = TurnsGiven | TurnsChecked | DriverAsked


class Asked(Value, frozen=True):
    """People were asked to plug `vehicle` in at `loadpoint`, instead of the car `instead_of`."""

    loadpoint: str
    vehicle: str
    instead_of: str | None
    planned_at: Utc | None = None
    """When they were asked by the plan, before that car has all that it needs."""


class SequencerMemory(Value, frozen=True):
    """`given` is the newest thought, `said` what the others know, for the slot `slot`."""

    settings: Settings = Settings()
    slot: Utc | None = None
    given: Given = Given()
    said: tuple[Turn, ...] = ()
    asked: tuple[Asked, ...] = ()
    due: tuple[Due, ...] = ()
    """What the newest plan asks people for."""
    measured_at: Utc | None = None
    """The newest reading that was handled."""


class Sequencer(Actor[Hears, Says]):
    """Thinks at every StateChanged, so that a hand-over needs no second cycle (INV-86).

    Says `TurnsGiven` once per slot and whenever something in it changed that matters: a SoC that
    creeps while charging does not; and `TurnsChecked` after each reading. Prices are not heard at
    all (INV-88). Plans say which swap pays; a turn is never given for them.
    """

    memory: SequencerMemory

    def __init__(self) -> None:
        self.memory = SequencerMemory()

    def on(self, message: Hears) -> Iterator[Says]:
        match message:
            case ConfigRead():
                self.memory = msgspec.structs.replace(self.memory, settings=message.settings)
            case VehiclePlugged():
                self._begin_anew(message.loadpoint)
            case PlanMade(plan=plan):
                due = dues_of(plan, self.memory.settings)
                self.memory = msgspec.structs.replace(self.memory, due=due)
            case StateChanged():
                yield from self._give(message.at, message.state)
            case _:
                assert_never(message)

    def _begin_anew(self, loadpoint: str) -> None:
        """A car that has just come is not late, even if it is the one that left."""
        given = self.memory.given
        late = tuple(one for one in given.late if not same(one.loadpoint, loadpoint))
        given = msgspec.structs.replace(given, late=late)
        self.memory = msgspec.structs.replace(self.memory, given=given)

    def _give(self, at: datetime, state: HomeState) -> Iterator[Says]:
        memory = self.memory
        given = give_turns(memory.settings, state, memory.given, at)
        measured_at = state.measured_at
        # a slot begins with its first reading, whatever was heard before it
        slot = slot_of(measured_at or at)
        said = memory.said
        new_slot = slot != memory.slot and state.site is not None
        if new_slot or _differ(said, given.turns):
            said = given.turns
            yield TurnsGiven(at, said, self._may_come(at, given))
        if measured_at is not None and measured_at != memory.measured_at:
            yield TurnsChecked(measured_at)
        asked = memory.asked
        if memory.settings.sequencer.enabled:
            asked, questions = self._ask(at, state, given)
            yield from questions
        self.memory = msgspec.structs.replace(
            memory,
            slot=slot if state.site else None,
            given=given,
            said=said,
            asked=asked,
            measured_at=measured_at,
        )

    def _may_come(self, at: datetime, given: Given) -> tuple[Waiting, ...]:
        """Who waits, without those for whom people were asked by the plan and did not swap."""
        if not self.memory.settings.sequencer.enabled:
            return ()
        in_vain = [
            one.vehicle
            for one in self.memory.asked
            if one.planned_at is not None and at - one.planned_at >= TRUSTED
        ]
        return tuple(
            one for one in given.waiting if not any(same(one.vehicle, name) for name in in_vain)
        )

    def _ask(
        self, at: datetime, state: HomeState, given: Given
    ) -> tuple[tuple[Asked, ...], list[DriverAsked]]:
        """Who is asked now: once per occasion, never in quiet hours, after them anew (INV-93)."""
        settings = self.memory.settings
        if is_quiet(at, settings.sequencer, settings.site.zone):
            return (), []
        if not state.evcc_reachable:  # what is plugged in now is not known
            return self.memory.asked, []
        loadpoints = state.site.loadpoints if state.site else ()
        free = sum(1 for one in loadpoints if one.charger and not one.connected)
        settled = {seat.loadpoint for seat in given.seats if at - seat.since >= SETTLED}
        done = [
            turn
            for turn in given.turns
            if turn.why.code.startswith("turn_complete") and turn.loadpoint in settled
        ]
        # the most urgent ones find a free wallbox: nobody has to be moved for them
        waiting = given.waiting[free:]
        asked = _still_open(self.memory.asked, given.turns, done, waiting)
        asked, questions = _questions(at, done, waiting, asked)
        near = tuple(due for due in self.memory.due if due.is_near(at) and due.loadpoint in settled)
        asked, planned = _planned(at, near, given, waiting, asked)
        return asked, [*questions, *planned]


def _differ(said: tuple[Turn, ...], now: tuple[Turn, ...]) -> bool:
    """Whether anything changed that the others have to know before the next slot."""
    return len(said) != len(now) or any(map(_differs, said, now))


def _differs(said: Turn, now: Turn) -> bool:
    return (
        said.loadpoint != now.loadpoint
        or said.vehicle != now.vehicle
        or said.target_soc_pct != now.target_soc_pct
        or said.energy_kwh != now.energy_kwh
        or said.departure != now.departure
        or said.capacity_kwh != now.capacity_kwh
        or said.immediate != now.immediate
        or said.waiting != now.waiting
        or said.why.code != now.why.code
        or (said.need_kwh > 0) != (now.need_kwh > 0)
        or _moved(said.soc_pct, now.soc_pct, SOC_MOVED_PCT)
        or (now.soc_pct is None and _moved(said.need_kwh, now.need_kwh, NEED_MOVED_KWH))
    )


def _moved(said: float | None, now: float | None, by: float) -> bool:
    if said is None or now is None:
        return said is not now
    return abs(said - now) >= by


def _still_open(
    asked: tuple[Asked, ...],
    turns: tuple[Turn, ...],
    done: list[Turn],
    waiting: tuple[Waiting, ...],
) -> tuple[Asked, ...]:
    """The questions whose occasion goes on: the same car is there, the same one waits for it."""
    return tuple(
        one
        for one in asked
        if any(
            same(one.loadpoint, turn.loadpoint) and same(one.instead_of, turn.vehicle)
            for turn in (done if one.planned_at is None else turns)
        )
        and any(same(one.vehicle, waits.vehicle) for waits in waiting)
    )


def _planned(
    at: datetime,
    near: tuple[Due, ...],
    given: Given,
    waiting: tuple[Waiting, ...],
    asked: tuple[Asked, ...],
) -> tuple[tuple[Asked, ...], list[DriverAsked]]:
    """One question for each swap that is due by the plan, where nobody was asked yet."""
    said: list[DriverAsked] = []
    for due in near:
        turn = next((one for one in given.turns if same(one.loadpoint, due.loadpoint)), None)
        waits = next((one for one in waiting if same(one.vehicle, due.vehicle)), None)
        if turn is None or waits is None or not same(turn.vehicle, due.instead_of):
            continue
        taken = any(
            same(one.loadpoint, due.loadpoint) or same(one.vehicle, due.vehicle) for one in asked
        )
        if not taken:
            asked = (*asked, Asked(turn.loadpoint, waits.vehicle, turn.vehicle, at))
            said.append(DriverAsked(at, turn.loadpoint, waits.vehicle, why_due(due, waits)))
    return asked, said


def _questions(
    at: datetime, done: list[Turn], waiting: tuple[Waiting, ...], asked: tuple[Asked, ...]
) -> tuple[tuple[Asked, ...], list[DriverAsked]]:
    """One question for each wallbox whose car is ready, for the most urgent car not yet asked."""
    open_ = list(asked)
    said: list[DriverAsked] = []
    for turn in done:
        if any(same(one.loadpoint, turn.loadpoint) for one in open_):
            continue
        for waits in waiting:
            if not any(same(one.vehicle, waits.vehicle) for one in open_):
                open_.append(Asked(turn.loadpoint, waits.vehicle, turn.vehicle))
                said.append(DriverAsked(at, turn.loadpoint, waits.vehicle, _why(turn, waits)))
                break
    return tuple(open_), said


def _why(turn: Turn, waits: Waiting) -> Why:
    numbers: tuple[tuple[str, float | str], ...] = (
        ("vehicle", waits.title),
        ("loadpoint", turn.loadpoint),
        ("need_kwh", round(waits.need_kwh, 1)),
    )
    if waits.departure is None:
        return Why("swap_asked_no_departure", numbers)
    return Why("swap_asked", (*numbers, ("departure_at", waits.departure.isoformat())))
