"""After the solver: energy that a rule left out comes back, and a lone crumb joins a block.

The rules that follow the linear program (`planner.py`) only ever take away, and what they take may
be what a departure needs: then the grid gives it, in the cheapest slots that are left. Pure.
"""

import numpy as np

from actors.execution import SHORTFALL_KWH
from actors.planner_case import TINY_KWH, Case
from actors.planner_model import Array, Ints
from actors.planner_problem import CarNeed, open_hours

CRUMB_EUR = 2e-3
"""So much a plan may cost more for one block instead of two."""


def _bought(case: Case, cars: Array, battery: Array) -> Array:
    """kWh from the grid by slot; `battery` is what it takes, negative where it gives."""
    bought: Array = np.maximum(case.data["net_load"] + cars.sum(axis=0) + battery, 0.0)
    return bought


def _room(case: Case, cars: Array, battery: Array) -> Array:
    """kWh that may still be bought in each slot."""
    limit_kw = case.problem.import_limit_kw
    if limit_kw is None:
        return np.full(len(case.grid.hours), np.inf)
    return np.maximum(limit_kw * case.grid.hours - _bought(case, cars, battery), 0.0)


def keep_departures(case: Case, cars: Array, worth: Array, battery: Array) -> bool:
    """Give each car until its departure what it lacks and could have; changes `cars`, `worth`.

    `worth` of the slots that it takes is their price, so that the grid is permitted there. True
    where anything changed: battery and grid have to follow.
    """
    changed = False
    price = case.prices.buy
    for k, (car, last) in enumerate(zip(case.problem.cars, case.deadlines, strict=True)):
        if last is None:
            continue
        before = slice(0, last + 1)
        lacking = car.need_kwh - float(cars[k, before].sum())
        if lacking < SHORTFALL_KWH:
            continue
        most = car.max_kw * open_hours(car, case.grid)
        room = np.minimum(most - cars[k], _room(case, cars, battery))
        for t in np.argsort(price[before], kind="stable").tolist():
            more = min(lacking, float(room[t]))
            if more > TINY_KWH:
                cars[k, t] += more
                worth[k, t] = max(float(worth[k, t]), float(price[t]))
                lacking -= more
                changed = True
        spare = max(0.0, float(cars[k].sum()) - car.need_kwh)
        for t in range(last + 1, len(price)):  # what it has before it leaves it needs no more after
            less = min(spare, float(cars[k, t]))
            cars[k, t] -= less
            spare -= less
    return changed


def join_crumbs(case: Case, cars: Array, worth: Array, battery: Array) -> None:
    """Move a lone slot below a car's minimum power to a block, if that costs next to nothing.

    Only what is bought, and only where neither sun nor battery has a part in it.
    """
    price = case.prices.buy
    plain = (np.abs(battery) <= TINY_KWH) & (case.surplus <= TINY_KWH) & ~case.prices.gap
    for k, (car, last) in enumerate(zip(case.problem.cars, case.deadlines, strict=True)):
        row, opened = cars[k], open_hours(car, case.grid)
        for t in _crumbs(car, row, case.grid.hours).tolist():
            kwh = float(row[t])
            end = len(row) if last is None or t > last else last + 1
            free = plain & (row <= TINY_KWH) & (_room(case, cars, battery) >= kwh)
            free &= (np.arange(len(row)) < end) & (car.max_kw * opened >= kwh)
            beside = np.flatnonzero(free & _next_to_block(row, t))
            if not plain[t] or not len(beside):
                continue
            best = int(beside[np.argmin(price[beside])])
            if (price[best] - price[t]) * kwh <= CRUMB_EUR:
                row[best], row[t] = kwh, 0.0
                worth[k, best] = max(float(worth[k, best]), float(price[best]))


def _crumbs(car: CarNeed, row: Array, hours: Array) -> Ints:
    """Slots below the minimum power beside which it does not charge."""
    on = np.concatenate([[False], row > TINY_KWH, [False]])
    weak = row < 0.98 * min(car.min_kw, car.max_kw) * hours
    return np.flatnonzero(on[1:-1] & weak & ~on[:-2] & ~on[2:])


def _next_to_block(row: Array, crumb: int) -> Array:
    """Where another charging slot than `crumb` is the neighbour."""
    on = row > TINY_KWH
    on[crumb] = False
    around = np.concatenate([[False], on, [False]])
    beside: Array = around[:-2] | around[2:]
    return beside
