"""Makes the plan: once per slot, and at once on news (design §6).

It plans when state, prices, forecast and turns of the slot are there, in whatever order they come.
The compiled planner is a cache beside the memory: a plan depends on what was heard alone.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never
from zoneinfo import ZoneInfo

import msgspec

from actors.meters import blind_by_meters
from actors.planner import NoPricesError, Planner
from actors.planner_inputs import Wanted, cars_of, problem_of
from actors.planner_problem import CarNeed, Charged, Problem, learn_shape
from actors.planner_solver import SolveFailedError
from actors.rules import plan_by_rules
from actors.script import plugged_in
from engine.actor import Actor
from engine.messages import (
    ConfigRead,
    CorrectionAdvised,
    Forecasted,
    PlanMade,
    RatesChanged,
    StateChanged,
    Tick,
    TurnsChecked,
    TurnsGiven,
)
from engine.settings import Settings
from engine.slots import SLOT, slot_of, slots_between
from engine.values import BatteryMode, HomeState, Plan, Utc, Value, Why

REPLAN_S = 10.0
PATIENCE_S = 20.0
"""So long into a slot its own forecast, turns and prices are waited for; then older ones do."""
ALONE_S = 60.0
"""So long into a slot the last rung is said where nothing can be planned."""
OFF_PLAN_PCT = 5.0

Hears: TypeAlias = (
    ConfigRead
    | StateChanged
    | RatesChanged
    | Forecasted
    | TurnsGiven
    | TurnsChecked
    | CorrectionAdvised
    | Tick
)


class Planned(Value, frozen=True):
    """What the newest plan was made from, to see what is news."""

    at: Utc
    rates_revision: int
    forecast_at: Utc | None
    wanted: tuple[Wanted, ...]
    soc_pct: float | None = None
    """The battery's when it was made: the plan of a slot is always of that slot."""


class OptimizerMemory(Value, frozen=True):
    """The newest of everything heard, the newest plan, and the tariff's learnt shape."""

    settings: Settings = Settings()
    now: Utc | None = None
    waiting_since: Utc | None = None
    """The first message of the slot that has no plan yet."""
    state: HomeState | None = None
    rates: RatesChanged | None = None
    forecast: Forecasted | None = None
    turns: TurnsGiven | None = None
    checked_at: Utc | None = None
    """The reading for which these turns hold; None: the sequencer has not said so yet."""
    correction: CorrectionAdvised | None = None
    plan: Plan | None = None
    planned: Planned | None = None
    revision: int = 0
    usual_eur_kwh: tuple[float | None, ...] = ()
    learnt_until: Utc | None = None


class Optimizer(Actor[Hears, PlanMade]):
    """Plans by the ladder: `lp`, the `last` plan, `rules`, `evcc` alone. `planner` has metrics."""

    memory: OptimizerMemory

    def __init__(self, planner: Planner | None = None) -> None:
        self.memory = OptimizerMemory()
        self.planner = planner or Planner()

    def on(self, message: Hears) -> Iterator[PlanMade]:
        memory = self.memory
        match message:
            case ConfigRead():
                self.memory = msgspec.structs.replace(memory, settings=message.settings)
                return
            case StateChanged():
                if memory.state is None or message.state.revision >= memory.state.revision:
                    memory = msgspec.structs.replace(memory, state=message.state)
            case RatesChanged():
                if memory.rates is None or message.revision >= memory.rates.revision:
                    memory = _with_rates(memory, message)
            case Forecasted():
                if memory.forecast is None or message.at >= memory.forecast.at:
                    memory = msgspec.structs.replace(memory, forecast=message)
            case TurnsGiven():
                if memory.turns is None or message.at >= memory.turns.at:
                    memory = msgspec.structs.replace(memory, turns=message)
            case TurnsChecked():
                memory = msgspec.structs.replace(memory, checked_at=message.at)
            case CorrectionAdvised():
                memory = msgspec.structs.replace(memory, correction=message)
            case Tick():
                pass
            case _:
                assert_never(message)
        now = message.at if memory.now is None else max(memory.now, message.at)
        self.memory = memory = _at(memory, now)
        news = _corrected(message, memory) or _news(memory, now)
        if news is not None:
            yield self._plan(now, news)

    def _plan(self, now: datetime, news: Why) -> PlanMade:
        memory = self.memory
        revision = memory.revision + 1
        if memory.state is None or memory.forecast is None:
            plan = _evcc_alone(now, revision, memory)
            planned = Planned(now, 0, None, ())
        else:
            cars, wanted = _cars(memory, memory.state, now)
            problem = problem_of(
                at=now,
                revision=revision,
                settings=memory.settings,
                state=memory.state,
                cars=cars,
                rates=memory.rates,
                forecast=memory.forecast,
                usual=memory.usual_eur_kwh,
                battery_before=_battery_before(memory.plan, now),
                charged_before=_charged_before(memory.plan, now),
            )
            plan = self._climb_down(_with_offsets(problem, memory.correction))
            rates_revision = memory.rates.revision if memory.rates else 0
            battery = memory.state.site.battery if memory.state.site else None
            soc = battery.soc_pct if battery else None
            planned = Planned(now, rates_revision, memory.forecast.at, wanted, soc)
        self.memory = msgspec.structs.replace(
            memory, plan=plan, planned=planned, revision=revision, waiting_since=None
        )
        return PlanMade(now, plan, news)

    def _climb_down(self, problem: Problem) -> Plan:
        """The first rung of the ladder that holds; while the tariff fails, only the rules do."""
        if problem.prices_failed:
            return plan_by_rules(problem)
        try:
            return self.planner.make_plan(problem)
        except NoPricesError:
            return plan_by_rules(problem)
        except SolveFailedError:
            last = self.memory.plan
            young = last is not None and problem.at - last.made_at < SLOT
            if last is not None and young and last.slot_at(problem.at) is not None:
                return msgspec.structs.replace(last, rung="last", revision=problem.revision)
            return plan_by_rules(problem)


def _cars(
    memory: OptimizerMemory, state: HomeState, now: datetime
) -> tuple[tuple[CarNeed, ...], tuple[Wanted, ...]]:
    """Who is planned for: who is plugged in, and who waits for it."""
    heard = memory.turns
    turns, waiting = (heard.turns, heard.waiting) if heard is not None else ((), ())
    return cars_of(state, memory.settings, turns, now, waiting)


def _battery_before(plan: Plan | None, now: datetime) -> BatteryMode | None:
    """The battery mode that the last plan asked for, if that was just now."""
    if plan is None or not plan.slots or now - plan.made_at > 2 * SLOT:
        return None
    return plan.slots[0].battery_mode


def _charged_before(plan: Plan | None, now: datetime) -> tuple[Charged, ...]:
    """Where the last plan of the solver's charges from now on, if that was just now.

    Of cars that share a wallbox the one that was plugged in: it stands first.
    """
    if plan is None or plan.rung not in ("lp", "last") or now - plan.made_at > 2 * SLOT:
        return ()
    first, starts = slot_of(now), dict[str, list[datetime]]()
    for slot in plan.slots:
        for car in plugged_in(slot.cars):
            known = starts.setdefault(car.loadpoint, [])
            if car.charge_kw > 0 and slot_of(slot.start) >= first:
                known.append(slot_of(slot.start))
    return tuple(Charged(name, tuple(known)) for name, known in starts.items())


def _evcc_alone(now: datetime, revision: int, memory: OptimizerMemory) -> Plan:
    """The last rung: nothing is known to plan on, evcc decides alone, and that is said (INV-25)."""
    missing = "state" if memory.state is None else "forecast"
    why = Why("plan_evcc_alone", (("missing", missing),))
    return Plan(revision, now, "evcc", (), 0.0, 0.0, 0.0, 0.0, why)


def _at(memory: OptimizerMemory, now: datetime) -> OptimizerMemory:
    """Time goes on; the wait for a new slot's plan begins with the first message in it."""
    waiting = memory.waiting_since
    if waiting is None or slot_of(waiting) != slot_of(now):
        has_plan = memory.planned is not None and slot_of(memory.planned.at) == slot_of(now)
        waiting = None if has_plan else now
    if now == memory.now and waiting is memory.waiting_since:
        return memory
    return msgspec.structs.replace(memory, now=now, waiting_since=waiting)


def _with_rates(memory: OptimizerMemory, rates: RatesChanged) -> OptimizerMemory:
    """The newest prices; the shape learns each slot once, when it is published for the future.

    Elapsed entries are not looked at (INV-04).
    """
    series, shape = rates.import_eur_kwh, memory.usual_eur_kwh
    since = slot_of(rates.at)
    if memory.learnt_until is not None:
        since = max(since, memory.learnt_until)
    zone = ZoneInfo(memory.settings.site.zone)
    count = max(0, slots_between(since, series.end))
    for k, price in enumerate(series.window(since, count)):
        if price is not None:
            local = (since + k * SLOT).astimezone(zone)
            shape = learn_shape(shape, local.hour * 4 + local.minute // 15, price)
    until = max(since, series.end) if count else memory.learnt_until
    return msgspec.structs.replace(memory, rates=rates, usual_eur_kwh=shape, learnt_until=until)


# --- when to plan --------------------------------------------------------------------------------


def _news(memory: OptimizerMemory, now: datetime) -> Why | None:
    """Why a plan is due now, or None. Never on an old reading (INV-112), nor on failed meters."""
    state = memory.state
    if state is None or state.site is None or state.measured_at is None:
        return None
    if abs(now - state.measured_at) > memory.settings.oldest_reading:
        return None
    if blind_by_meters(state.failed_meters, now) is not None:
        return None
    planned = memory.planned
    if planned is None or slot_of(planned.at) != slot_of(now):
        return _first_of_slot(memory, state, now)
    if now - planned.at < timedelta(seconds=REPLAN_S):
        return None
    return _changed(memory, planned, state, now)


def _corrected(message: Hears, memory: OptimizerMemory) -> Why | None:
    """The agent has corrected the plan of this slot; (0, 0) leaves it as it is (INV-129)."""
    if not isinstance(message, CorrectionAdvised) or memory.planned is None:
        return None
    neutral = message.battery_eur_kwh == 0 and message.car_eur_kwh == 0
    if neutral or message.slot != slot_of(memory.planned.at):
        return None
    return Why("plan_corrected")


def _with_offsets(problem: Problem, advised: CorrectionAdvised | None) -> Problem:
    if advised is None or advised.slot != slot_of(problem.at):
        return problem
    return msgspec.structs.replace(
        problem,
        battery_offset_eur_kwh=advised.battery_eur_kwh,
        cars_offset_eur_kwh=advised.car_eur_kwh,
    )


def _first_of_slot(memory: OptimizerMemory, state: HomeState, now: datetime) -> Why | None:
    slot = slot_of(now)
    waited_s = (now - (memory.waiting_since or now)).total_seconds()
    forecast, turns, rates = memory.forecast, memory.turns, memory.rates
    new = Why("plan_new_slot" if memory.planned else "plan_first")
    complete = (
        state.measured_at is not None
        and slot_of(state.measured_at) == slot
        and forecast is not None
        and slot_of(forecast.load.start) == slot
        and turns is not None
        and slot_of(turns.at) == slot
        and (rates is not None or (memory.planned is not None and state.rates_revision == 0))
        and (rates is None or rates.revision >= state.rates_revision)
        and forecast.rates_revision >= state.rates_revision
        and _of_one_reading(memory, state)
    )
    if complete:
        return new
    if forecast is not None and turns is not None:
        return new if waited_s >= PATIENCE_S else None
    return new if waited_s >= ALONE_S else None


def _of_one_reading(memory: OptimizerMemory, state: HomeState) -> bool:
    """The turns hold for the state's reading: whatever thread was first, plans are the same.

    Turns that came before their check belong to a reading that is still on its way.
    """
    checked_at, turns = memory.checked_at, memory.turns
    if checked_at is None:
        return True
    return checked_at == state.measured_at and (turns is None or turns.at <= checked_at)


def _changed(
    memory: OptimizerMemory, planned: Planned, state: HomeState, now: datetime
) -> Why | None:
    """News within the slot."""
    forecast, rates = memory.forecast, memory.rates
    if forecast is None or not _of_one_reading(memory, state):
        return None
    if rates is not None and rates.revision != planned.rates_revision:
        return Why("plan_prices_changed")
    _, wanted = _cars(memory, state, now)
    if wanted != planned.wanted:
        return Why("plan_turns_changed")
    if forecast.at != planned.forecast_at:
        return Why("plan_forecast_changed")
    return _off_plan(memory, state, now)


def _off_plan(memory: OptimizerMemory, state: HomeState, now: datetime) -> Why | None:
    """The battery's SoC is more than 5 points off the plan, which starts at what it was then."""
    plan, planned = memory.plan, memory.planned
    battery = state.site.battery if state.site else None
    slot = plan.slot_at(now) if plan else None
    if battery is None or battery.soc_pct is None or planned is None or planned.soc_pct is None:
        return None
    if slot is None or slot.battery_soc_pct is None or state.measured_at is None:
        return None
    elapsed = (state.measured_at - slot.start).total_seconds() / max(slot.duration_s, 1.0)
    way = slot.battery_soc_pct - planned.soc_pct
    expected = planned.soc_pct + way * min(1.0, max(0.0, elapsed))
    if abs(battery.soc_pct - expected) <= OFF_PLAN_PCT:
        return None
    numbers = (("soc_pct", round(battery.soc_pct, 1)), ("planned_pct", round(expected, 1)))
    return Why("plan_soc_off", numbers)
