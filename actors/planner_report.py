"""What a plan costs and what it cannot reach: recomputed from its slots, not from the solver."""

from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from actors.execution import Flows, slots_of
from actors.plan_reasons import SHORTFALL_KWH, TINY_KW
from actors.planner_goals import TARGET_SHARE, goals_of, last_slot_before
from actors.planner_model import Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem
from engine.values import Plan, PlanSlot, Shortfall, Why

IMPORT_LIMIT_FACTOR = 10.0
"""Beyond the fuse one kWh counts as so many unmet ones."""
EXPORT_LIMIT_EUR_KWH = 0.5
WORTH_SAYING_EUR = 0.005
"""A plan is called the cheapest where no other could be cheaper by more than so much."""
SURPRISES = "forecast_reserve"


def cost_eur(slots: tuple[PlanSlot, ...]) -> float:
    """The bill of the slots: import x price - export x feed-in (INV-10)."""
    return sum(
        (slot.grid_import_kw * slot.import_eur_kwh - slot.grid_export_kw * slot.export_eur_kwh)
        * slot.duration_s
        / 3600
        for slot in slots
    )


def _car_shortfall(car: CarNeed, row: Array, last: int | None) -> Shortfall | None:
    """What a car lacks at its departure: battery-side kWh, and percent where that is known."""
    if last is None:
        return None
    missing_ac = car.need_kwh - float(row[: last + 1].sum())
    missing = round(missing_ac * car.efficiency, 6)
    if missing < SHORTFALL_KWH:
        return None
    share = round(100 * missing / car.capacity_kwh, 6) if car.capacity_kwh else None
    return Shortfall("departure", car.vehicle, missing, share, car.departure)


def once_each(cars: tuple[CarNeed, ...], kwh: Array) -> Iterator[tuple[int, CarNeed, Array]]:
    """Each car with its number and its energy: one that waits at two wallboxes only once."""
    known: set[str] = set()
    for k, car in enumerate(cars):
        name = car.vehicle.casefold()
        if car.waiting and name in known:
            continue
        if not car.waiting:
            yield k, car, kwh[k]
            continue
        known.add(name)
        everywhere = [
            m for m, one in enumerate(cars) if one.waiting and one.vehicle.casefold() == name
        ]
        yield k, car, kwh[everywhere].sum(axis=0)


def _shortfalls(
    problem: Problem, grid: Grid, prices: Prices, flows: Flows, slots: tuple[PlanSlot, ...]
) -> tuple[Shortfall, ...]:
    found: list[Shortfall | None] = [
        _car_shortfall(car, row, flows.deadlines[k])
        for k, car, row in once_each(problem.cars, flows.cars_kwh)
    ]
    found += _battery_goals(problem, grid, prices, flows)
    store = problem.store
    if store is not None and store.stored_kwh < store.min_kwh - SHORTFALL_KWH:
        back = np.flatnonzero(flows.stored_kwh >= store.min_kwh - SHORTFALL_KWH)
        missing = round(store.min_kwh - store.stored_kwh, 6)
        share = round(100 * missing / store.capacity_kwh, 6)
        by = grid.starts[int(back[0])] if len(back) else None
        found.append(Shortfall("reserve", "battery", missing, share, by))
    for goal, limit, powers in (
        ("grid_import", problem.import_limit_kw, [slot.grid_import_kw for slot in slots]),
        ("grid_export", problem.export_limit_kw, [slot.grid_export_kw for slot in slots]),
    ):
        if limit is not None:
            over = np.maximum(np.array(powers) - limit, 0.0) * grid.hours
            if over.sum() >= SHORTFALL_KWH:
                first = grid.starts[int(np.flatnonzero(over > TINY_KW / 1000)[0])]
                found.append(Shortfall(goal, "grid", round(float(over.sum()), 6), None, first))
    return tuple(one for one in found if one is not None)


def _battery_goals(
    problem: Problem, grid: Grid, prices: Prices, flows: Flows
) -> list[Shortfall | None]:
    """Targets that are missed, and where the reserve for surprises lacks most."""
    store = problem.store
    if store is None:
        return []
    wanted = [
        ("battery_target", target.by, target.stored_kwh - float(flows.stored_kwh[last]))
        for target in problem.targets
        if (last := last_slot_before(target.by, grid)) is not None
    ]
    if problem.load_beyond_kw and flows.stored_value is not None:
        bare = replace(problem, targets=())
        level = goals_of(bare, grid, prices, flows.end_value).stored_kwh
        lacks = level - flows.stored_kwh
        worst = int(np.argmax(lacks))
        wanted.append((SURPRISES, grid.starts[worst], float(lacks[worst])))
    return [
        Shortfall(goal, "battery", round(kwh, 6), round(100 * kwh / store.capacity_kwh, 6), by)
        for goal, by, kwh in wanted
        if kwh >= SHORTFALL_KWH
    ]


def _penalties(problem: Problem, shortfalls: tuple[Shortfall, ...]) -> float:
    """EUR: what the plan's shortfalls count in its objective."""
    each = {
        "departure": problem.unmet_eur_kwh,
        "battery_target": TARGET_SHARE * problem.unmet_eur_kwh,
        "grid_import": IMPORT_LIMIT_FACTOR * problem.unmet_eur_kwh,
        "grid_export": EXPORT_LIMIT_EUR_KWH,
    }
    return sum(each.get(one.goal, 0.0) * one.missing_kwh for one in shortfalls)


def _why(problem: Problem, prices: Prices, flows: Flows, cost: float) -> Why:
    """Which rung, on what it stands (INV-25): hours with known prices, and whether sun is known."""
    numbers: tuple[tuple[str, float], ...] = (
        ("cost_eur", round(cost, 4)),
        ("known_h", round(prices.known / 4, 2)),
    )
    if flows.rung == "rules":
        known = prices.known > 0 and not problem.prices_failed
        return Why("plan_by_rules" if known else "plan_by_rules_no_prices", numbers)
    code = "plan_optimal" if problem.pv_known else "plan_optimal_no_sun_forecast"
    if flows.gap_eur is not None and flows.gap_eur >= WORTH_SAYING_EUR:
        numbers = (*numbers, ("gap_eur", round(flows.gap_eur, 4)))
    return Why(code, (*numbers, ("end_value_eur_kwh", round(flows.end_value, 4))))


def plan_of(problem: Problem, grid: Grid, prices: Prices, flows: Flows) -> Plan:
    """The plan of a solution, with its bill recomputed from what it shows (INV-10)."""
    slots = slots_of(problem, grid, prices, flows)
    store = problem.store
    given = float((np.array([slot.battery_discharge_kw for slot in slots]) * grid.hours).sum())
    wear = store.wear_eur_kwh * given if store else 0.0
    cost = cost_eur(slots)
    shortfalls = _shortfalls(problem, grid, prices, flows, slots)
    left = flows.end_value * float(flows.stored_kwh[-1]) + flows.car_end_value * sum(
        float(flows.cars_kwh[k].sum())
        for k, last in enumerate(flows.deadlines)
        if last is None and not problem.cars[k].asap
    )
    swaps = sum(
        car.waiting and float(row.sum()) >= SHORTFALL_KWH
        for car, row in zip(problem.cars, flows.cars_kwh, strict=True)
    )
    penalties = _penalties(problem, shortfalls) + swaps * problem.swap_cost_eur
    objective = cost + wear + penalties - left
    return Plan(
        revision=problem.revision,
        made_at=problem.at,
        rung=flows.rung,
        slots=slots,
        cost_eur=round(cost, 6),
        wear_eur=round(wear, 6),
        objective_eur=round(objective, 6),
        end_value_eur_kwh=flows.end_value,
        why=_why(problem, prices, flows, cost),
        shortfalls=shortfalls,
        gap_eur=flows.gap_eur,
    )
