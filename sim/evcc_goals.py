"""Which of evcc's plans counts at a loadpoint, and whether it charges (evcc-regulator.md §13)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from engine.loadpoint import (
    OFF,
    B,
    limit_soc,
    max_current,
    max_power,
    min_current,
    min_soc,
)
from sim.evcc_home import Car, Effective, Loadpoint
from sim.evcc_plan import Part, is_due, needed, next_occurrence, plan_parts
from sim.evcc_tariffs import Tariffs


class _Goal(NamedTuple):
    """A plan of evcc's: SoC in percent or energy in kWh, and when (`text`: as it was set)."""

    id: int
    due: datetime
    value: float
    by_soc: bool
    text: str


def _set_goal(point: Loadpoint, goal: _Goal | None, need: timedelta) -> None:
    point.plan_id = goal.id if goal else 0
    point.plan_goal_at = goal.due if goal else None
    point.plan_goal_text = goal.text if goal else ""
    point.plan_goal_soc = int(goal.value) if goal and goal.by_soc else 0
    point.plan_need_s = need.total_seconds()


def _goals(point: Loadpoint, car: Car, at: datetime) -> list[_Goal]:
    """The vehicle's plans whose SoC is not reached; the one that has begun is locked."""
    goals: list[_Goal] = []
    if car.plan_soc and car.plan_time:
        due = datetime.fromisoformat(car.plan_time)
        goals.append(_Goal(1, due, car.plan_soc, True, car.plan_time))
    for k, plan in enumerate(car.repeating or ()):
        next_due = next_occurrence(plan, at)
        if next_due is not None:
            goals.append(_Goal(k + 2, next_due, plan["soc"], True, next_due.isoformat()))
    if point.plan_lock is not None:
        plan_id, due, value, by_soc, text = point.plan_lock
        goals = [goal for goal in goals if goal.id != plan_id]
        if by_soc:
            goals.append(_Goal(plan_id, due, value, True, text))
    return [goal for goal in goals if point.soc < goal.value]


def _no_plan(point: Loadpoint) -> None:
    _set_goal(point, None, timedelta(0))
    point.plan_parts, point.plan_active, point.plan_end = (), False, None
    point.plan_lock, point.plan_overrun_s = None, 0.0


def _choose_goal(point: Loadpoint, at: datetime) -> _Goal | None:
    """Take the plan that counts: the one whose latest start is the earliest."""
    car, power_w = point.vehicle, max_power(point)
    chosen: tuple[_Goal, timedelta] | None = None
    if power_w > 0 and car is not None and point.vehicle_tells_soc:
        for goal in _goals(point, car, at):
            need = needed(point.soc, goal.value, point.cells_kwh, power_w)
            if chosen is None or goal.due - need < chosen[0].due - chosen[1]:
                chosen = goal, need
    elif power_w > 0 and point.plan_energy > 0 and point.plan_time:
        missing_kwh = point.plan_energy - (point.session_kwh - point.plan_from_kwh)
        due = datetime.fromisoformat(point.plan_time)
        goal = _Goal(1, due, point.plan_energy, False, point.plan_time)
        chosen = goal, timedelta(hours=max(0.0, missing_kwh) / power_w * 1000.0)
    if chosen is None:
        _set_goal(point, None, timedelta(0))
        return None
    _set_goal(point, *chosen)
    return chosen[0]


def _delete_plan(point: Loadpoint) -> None:
    """An expired or reached plan is gone; repeating ones roll on."""
    point.changed = True
    if point.vehicle is not None and point.vehicle_tells_soc:
        if point.plan_id == 1:
            point.vehicle.plan_soc, point.vehicle.plan_time = 0, ""
    else:
        point.plan_energy, point.plan_time = 0.0, ""
    _no_plan(point)


def _has_plan(point: Loadpoint) -> bool:
    car = point.vehicle
    vehicle_has = car is not None and bool(car.plan_time or car.repeating)
    return point.status >= B and (vehicle_has or bool(point.plan_time))


def announce(point: Loadpoint, at: datetime) -> None:
    """Show what counts: in a cycle, and at once when the vehicle or its settings change.

    The plan's slots, and whether it charges, are left to the cycle.
    """
    if _has_plan(point):
        _choose_goal(point, at)
    elif point.plan_id:
        _set_goal(point, None, timedelta(0))
    point.effective = effective_of(point)


def announce_vehicles(points: Iterable[Loadpoint], at: datetime) -> None:
    """The same where another vehicle was assigned."""
    for point in points:
        if point.retell:
            point.retell = False
            announce(point, at)


def effective_of(point: Loadpoint) -> Effective:
    """What counts at present, whether or not it was shown yet."""
    car = point.vehicle
    return Effective(
        point.priority,
        point.plan_id,
        point.plan_goal_text,
        point.plan_goal_soc,
        car.strategy if car is not None and point.vehicle_tells_soc else point.strategy,
        min_current(point),
        max_current(point),
        min_soc(point),
        limit_soc(point),
    )


def plan_now(point: Loadpoint, tariffs: Tariffs, at: datetime) -> tuple[Part, ...]:
    """The slots of the plan that counts, as of now; empty without one."""
    announce(point, at)
    if point.plan_goal_at is None:
        return ()
    strategy = effective_of(point).plan_strategy
    need = timedelta(seconds=point.plan_need_s)
    return plan_parts(tariffs.planner(at), at, point.plan_goal_at, need, strategy)


def plan_cycle(point: Loadpoint, tariffs: Tariffs, at: datetime) -> None:
    """evcc's plan for this loadpoint, and whether it charges now."""
    car = point.vehicle
    if car is not None and car.plan_time and point.soc >= car.plan_soc and point.vehicle_tells_soc:
        car.plan_soc, car.plan_time = 0, ""
        point.changed = True
    goal = _choose_goal(point, at) if _has_plan(point) else None
    if goal is None:
        if point.plan_id or point.plan_active or point.plan_parts:
            _no_plan(point)
        return
    need = timedelta(seconds=point.plan_need_s)
    if need <= timedelta(0) or (goal.due <= at and not point.plan_active):
        _delete_plan(point)
        return
    strategy = car.strategy if car is not None and goal.by_soc else point.strategy
    point.plan_parts = plan_parts(tariffs.planner(at), at, goal.due, need, strategy)
    point.plan_overrun_s = max(0.0, (at + need - goal.due).total_seconds())
    point.plan_active, point.plan_end = is_due(
        point.plan_parts,
        at,
        active=point.plan_active and bool(point.plan_parts),
        part_end=point.plan_end,
        late=goal.due <= at,
        need=need,
        strategy=strategy,
    )
    if point.mode == OFF:
        point.plan_lock = None
    elif point.plan_active and point.plan_lock is None:
        point.plan_lock = (goal.id, goal.due, goal.value, goal.by_soc, goal.text)
