"""The rung below the planner: the battery serves the house, deadlines are kept, sun is taken.

Pure. No price ever makes the battery buy, and expected sun never stands in for the grid before a
departure (INV-17); a car without deadline takes sun only. Without prices the latest time that is
safe is used, because the prices may come back.
"""

from math import ceil

import numpy as np

from actors.execution import NO_GRID_EUR_KWH, Flows
from actors.planner_case import deadline_of
from actors.planner_model import Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem, grid_of, open_hours, prices_of
from actors.planner_report import plan_of
from actors.planner_swaps import plugged_only
from engine.values import Plan

SPARE_SLOTS = 2
"""So many slots earlier than needed, where the price does not say when."""


def plan_by_rules(problem: Problem) -> Plan:
    """A plan without optimisation; always possible."""
    problem = plugged_only(problem)  # nobody weighs here whether a swap pays
    grid = grid_of(problem)
    prices = prices_of(problem, grid)
    n = len(grid.starts)
    surplus = np.maximum(np.array(problem.pv_kw) - np.array(problem.load_kw), 0.0)
    deadlines = tuple(deadline_of(car, grid) for car in problem.cars)
    cars, worths = (
        np.zeros((len(problem.cars), n)),
        np.full((len(problem.cars), n), NO_GRID_EUR_KWH),
    )
    for k, (car, last) in enumerate(zip(problem.cars, deadlines, strict=True)):
        most = car.max_kw * open_hours(car, grid)
        first = int(np.argmax(most > 0)) if (most > 0).any() else n
        chosen = _slots_for(car, last, range(first, n), prices, failed=problem.prices_failed)
        left = max(0.0, car.need_kwh)
        for t in chosen:
            cars[k, t] = min(left, most[t])
            worths[k, t] = prices.buy[t]
            left -= cars[k, t]
        for t in range(first, n):
            power = min(surplus[t], car.max_kw)
            if cars[k, t] == 0 and 0 < car.min_kw <= power:
                cars[k, t] = min(left, power * grid.hours[t], most[t])
                left -= cars[k, t]
                surplus[t] -= cars[k, t] / grid.hours[t]
    charge, discharge, stored = _serve(problem, grid, cars.sum(axis=0))
    flows = Flows(
        charge_kwh=charge,
        discharge_kwh=discharge,
        stored_kwh=stored,
        stored_value=None,
        cars_kwh=cars,
        cars_value=worths,
        deadlines=deadlines,
        end_value=0.0,
        car_end_value=0.0,
        rung="rules",
    )
    return plan_of(problem, grid, prices, flows)


def _slots_for(
    car: CarNeed, last: int | None, slots: range, prices: Prices, *, failed: bool
) -> list[int]:
    """Those of `slots` in which it may take the grid: the cheapest known, then the latest unknown.

    `failed`: no price counts as known while the tariff fails, whatever it once published.
    """
    if car.need_kwh <= 0 or car.max_kw <= 0:
        return []
    if car.asap:
        return list(slots)
    if last is None:
        return []
    window = range(slots.start, last + 1)
    known = [t for t in window if not (failed or prices.assumed[t])]
    known.sort(key=lambda t: (float(prices.buy[t]), t))
    unknown = [t for t in reversed(window) if failed or prices.assumed[t]]
    count = ceil(car.need_kwh / (car.max_kw * 0.25))
    if len(known) < count:
        count += SPARE_SLOTS
    return sorted((known + unknown)[:count])


def _serve(problem: Problem, grid: Grid, cars_kwh: Array) -> tuple[Array, Array, Array]:
    """The battery by itself: takes what is left of the sun, gives what is missing (AC kWh)."""
    n, store = len(grid.starts), problem.store
    charge, discharge, stored = np.zeros(n), np.zeros(n), np.zeros(n)
    if store is None:
        return charge, discharge, stored
    lack = (np.array(problem.load_kw) - np.array(problem.pv_kw)) * grid.hours + cars_kwh
    now = store.stored_kwh
    for t, (missing, hours) in enumerate(zip(lack.tolist(), grid.hours.tolist(), strict=True)):
        room = max(0.0, store.max_kwh - now) / store.charge_efficiency
        there = max(0.0, now - store.min_kwh) * store.discharge_efficiency
        charge[t] = min(max(0.0, -missing), room, store.charge_kw * hours)
        held = not store.feeds_cars and cars_kwh[t] > 0
        discharge[t] = 0.0 if held else min(max(0.0, missing), there, store.discharge_kw * hours)
        now += store.charge_efficiency * charge[t] - discharge[t] / store.discharge_efficiency
        stored[t] = now
    return charge, discharge, stored
