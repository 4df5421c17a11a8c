"""What became of a home after a death, and the rules that are held against it."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from sim.deaths_home import HAD, Death, State

RELEASED = ("", "normal")
CYCLE_S, LOOK_S, AGAIN_S, SLACK_S = 30.0, 2.0, 10.0, 10.0
EXPIRY_S = 60.0 + CYCLE_S + SLACK_S
"""An external battery mode that nobody renews is gone, and evcc's next cycle has told that."""
SILENCE_S = 90.0
START_S = 30.0
"""So much of a new life is its first cycle: the first ticks, and the plan that they make."""
RUNS = ("now", "minpv")


class Span(msgspec.Struct, frozen=True):
    """A setting had this value from `since_s` to `until_s` after the death."""

    value: str
    since_s: float
    until_s: float

    @property
    def hours(self) -> float:
        """How long."""
        return (self.until_s - self.since_s) / 3600


class Row(msgspec.Struct, frozen=True):
    """A home that somebody died in. Seconds count from the death.

    `unattended_s`: so long no controller was there (None: for ever). `alive_*`: the same home in
    which nobody dies. `battery`: what the inverter was told, `mode` and `limit_pct` what stood at
    the loadpoint. `first`: what the next life wrote in its first cycle, `usual` what the home
    without a death was set to about then. `ours_on_mode`: what ours wrote to the mode after a
    human's word (`human`) while the car needed energy (until `needs_s`). `taken`: settings that
    were taken for a human's. `left`: what of ours stands after 12 h (and after an orderly end,
    where somebody lives then). `charges`: whether the car charges then.
    """

    state: str
    death: str
    stood: str
    unattended_s: float | None
    battery: tuple[Span, ...]
    mode: tuple[Span, ...]
    limit_pct: tuple[Span, ...]
    soc_pct: float
    alive_soc_pct: float
    first: tuple[str, ...]
    first_battery: str
    usual: frozenset[str]
    needs_s: float
    ours_on_mode: tuple[str, ...]
    taken: tuple[str, ...]
    left: tuple[str, ...]
    charges: bool
    human: str = ""
    broken: tuple[str, ...] = ()


class Cell(NamedTuple):
    """A state and a death."""

    state: State
    death: Death

    @property
    def theirs(self) -> frozenset[str]:
        """The modes that are a human's: before us, or in the night."""
        early = self.state.stands[2] == "human"
        word = {self.state.human[0]} if self.state.human else set()
        return frozenset(word if early else word | {HAD})

    @property
    def said_s(self) -> float:
        """When the human's word holds from; inf: nobody says anything."""
        return max(0.0, self.state.human[1]) if self.state.human else float("inf")

    @property
    def battery_within_s(self) -> float | None:
        """By then the inverter serves again though nobody of ours lives; None: by nobody."""
        death = self.death
        if not death.evcc:
            return EXPIRY_S
        if death.guard:
            return death.evcc_down_s + AGAIN_S + LOOK_S + 2 * CYCLE_S + SLACK_S
        return None  # a killed evcc leaves the inverter as it was, and has forgotten it

    @property
    def loadpoint_within_s(self) -> float | None:
        """By then evcc has mode and limits back; None: nobody is there to do it."""
        death = self.death
        if not death.guard:
            return None
        begins_s = SILENCE_S if death.ours == "hang" else 0.0
        down_s = death.evcc_down_s + AGAIN_S if death.evcc else 0.0
        return max(begins_s, down_s) + LOOK_S + SLACK_S

    @property
    def unattended_s(self) -> float:
        """How long no controller is there."""
        alone_s = self.death.unattended_s
        return float("inf") if alone_s is None else alone_s

    @property
    def could_be_full(self) -> bool:
        """Whether anybody, or what stood, could make the car full."""
        outlives = self.state.keeps_mode and self.state.saved
        runs = self.state.stands[1] in RUNS and (outlives or not self.death.evcc)
        return self.death.guard or self.death.back_s is not None or runs


# --- the rules ------------------------------------------------------------------------------------


def battery_given_back(row: Row, cell: Cell) -> bool:
    """Unattended, the inverter serves within the time of guard or expiry, and goes on to."""
    within_s = cell.battery_within_s
    if within_s is None:
        return True
    return _all(row.battery, within_s, cell.unattended_s, lambda mode: mode in RELEASED)


def release_comes_first(row: Row, cell: Cell) -> bool:
    """An inverter that a killed evcc left in a mode is released first of all in the next life."""
    back_s = cell.death.back_s
    if back_s is None or not cell.death.evcc or cell.death.ours != "kill":
        return True
    stands = [span for span in row.battery if span.since_s < back_s <= span.until_s]
    return all(span.value in RELEASED for span in stands) or row.first_battery == "normal"


def loadpoint_given_back(row: Row, cell: Cell) -> bool:
    """Unattended, mode and limit are the user's within the time of the guard, and stay so."""
    within_s = cell.loadpoint_within_s
    if within_s is None:
        return True
    return _all(row.mode, within_s, cell.unattended_s, lambda mode: mode in cell.theirs) and _all(
        row.limit_pct, within_s, cell.unattended_s, lambda limit: limit == "0"
    )


def ends_by_itself(row: Row, cell: Cell) -> bool:
    """Without a guard, a `now` of ours has a limit, and the car does not charge for ever."""
    limited = [
        any(
            limit.value != "0" and limit.since_s <= one.since_s and limit.until_s >= one.until_s
            for limit in row.limit_pct
        )
        for one in row.mode
        if one.value in RUNS and one.since_s < min(cell.unattended_s, cell.said_s)
    ]
    return all(limited) and not row.charges


def car_is_full(row: Row, cell: Cell) -> bool:
    """At six the car has what it has in a home without a death, wherever it could have that."""
    return not cell.could_be_full or row.soc_pct >= row.alive_soc_pct - 1.0


def human_is_not_overruled(row: Row, cell: Cell) -> bool:
    """A human's mode is not written over while the car needs energy, and stands so long."""
    if cell.state.human is None:
        return True
    word = cell.state.human[0]
    stands = _all(row.mode, cell.said_s, row.needs_s, lambda mode: mode == word)
    return stands and not row.ours_on_mode


def nothing_is_taken_for_a_humans(row: Row, cell: Cell) -> bool:
    """Nothing of ours, or of evcc's, is taken for a human's word."""
    return not row.taken


def first_cycle_is_expected(row: Row, cell: Cell) -> bool:
    """A new life begins with releases, and with what the home would do without a death."""
    return set(row.first) <= row.usual


def nothing_is_left(row: Row, cell: Cell) -> bool:
    """After 12 h nothing of ours stands, except where nobody is left who could have ended it."""
    nobody = not cell.death.guard and cell.death.back_s is None
    return nobody or not row.left


def _all(
    spans: tuple[Span, ...], since_s: float, until_s: float, ok: Callable[[str], bool]
) -> bool:
    """Whether every value that stood after `since_s` and before `until_s` is well."""
    if since_s >= until_s:
        return True
    return all(
        ok(span.value) for span in spans if span.until_s > since_s and span.since_s < until_s
    )


RULES: tuple[Callable[[Row, Cell], bool], ...] = (
    battery_given_back,
    release_comes_first,
    loadpoint_given_back,
    ends_by_itself,
    car_is_full,
    human_is_not_overruled,
    nothing_is_taken_for_a_humans,
    first_cycle_is_expected,
    nothing_is_left,
)


def broken(row: Row, cell: Cell) -> tuple[str, ...]:
    """The names of the rules that do not hold."""
    return tuple(rule.__name__ for rule in RULES if not rule(row, cell))
