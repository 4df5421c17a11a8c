"""The planner: what the battery and each car do in each slot, at the least cost (design §6).

Minimises import cost - export income + battery wear + penalties - value of the energy left at the
end. Everything that could be impossible is soft, so there is always an answer. Pure: a plan depends
on its problem alone; solver seconds are kept aside, as metrics.
"""

from importlib import import_module

import numpy as np

from actors.execution import PRICE_EUR_KWH, Flows
from actors.planner_battery import GRID_SHARE
from actors.planner_case import TINY_KWH, Case, case_of, structure_of
from actors.planner_model import MONEY_SCALE, Array, Structure
from actors.planner_problem import Grid, Prices, Problem, grid_of, prices_of
from actors.planner_repair import join_crumbs, keep_departures
from actors.planner_report import plan_of
from actors.planner_solver import (
    Found,
    Meter,
    PublicSolver,
    SolveFailedError,
    Solver,
    make_solver,
)
from engine.values import Plan

ROUNDS = 8
KEPT_STRUCTURES = 8


class NoPricesError(ValueError):
    """No import price is known: there is nothing to optimise."""


def load_modelling_language() -> None:
    """Import cvxpy, which takes 0.7 s (seconds on a small machine), ahead of the first plan."""
    import_module("cvxpy")


class Planner:
    """Makes plans; keeps compiled structures. `solver_s` and `solves` are metrics."""

    def __init__(self, *, public: bool = False) -> None:
        self._meter = Meter()
        self._public = public
        self._solvers: dict[Structure, Solver] = {}

    @property
    def solver_s(self) -> float:
        """Seconds inside HiGHS so far."""
        return self._meter.solver_s

    @property
    def solves(self) -> int:
        """Linear programs solved so far."""
        return self._meter.solves

    def rebuild(self) -> None:
        """Forget every compiled structure (after a solver failure)."""
        self._solvers.clear()

    def _solver(self, shape: Structure) -> Solver:
        solver = self._solvers.pop(shape, None)
        if solver is None:
            make = PublicSolver if self._public else make_solver
            solver = make(shape, self._meter)
        self._solvers[shape] = solver  # the newest is last
        if len(self._solvers) > KEPT_STRUCTURES:
            del self._solvers[next(iter(self._solvers))]
        return solver

    def make_plan(self, problem: Problem) -> Plan:
        """The best plan. Raises NoPricesError, or SolveFailedError when the solver fails twice."""
        grid = grid_of(problem)
        prices = prices_of(problem, grid)
        if not prices.known:
            raise NoPricesError("no import price is known")
        shape = structure_of(problem)
        try:
            return self._plan(problem, grid, prices, shape)
        except SolveFailedError:
            self.rebuild()
            return self._plan(problem, grid, prices, shape)

    def _plan(self, problem: Problem, grid: Grid, prices: Prices, shape: Structure) -> Plan:
        case = case_of(problem, grid, prices)
        solver = self._solver(shape)
        found = _settle(case, solver)
        worth = _worth(case, found)
        cars = _cars(case, found)
        if keep_departures(case, cars, worth, _battery(found)):
            found = _around(case, solver, cars)
        return plan_of(problem, grid, prices, _flows(case, found, worth))


def _settle(case: Case, solver: Solver) -> Found:
    """Solve, then rule out what a linear program cannot: two directions, too little car power.

    Every rule only lowers an upper bound of the battery or fixes cars within their need, so no
    further program is infeasible. In the last rounds cars stand still, and directions settle.
    """
    found = solver.solve(case.data, warm=False)
    if _pay_for_export(case, found):
        found = solver.solve(case.data, warm=True)
    for left in reversed(range(ROUNDS)):
        changed = False
        if left > ROUNDS // 2:
            changed = _consolidate(case, found)
            changed |= _forgo(case, found, everywhere=left == ROUNDS // 2 + 1)
        if _directions(case, found, everywhere=left < 2) or changed:
            if left == ROUNDS // 2:
                _freeze_cars(case, _cars(case, found))
            found = solver.solve(case.data, warm=True)
        else:
            break
    return found


def _pay_for_export(case: Case, found: Found) -> bool:
    """In slots that pay more for export than import costs: the export price where it exports."""
    better = case.prices.sell > case.prices.buy
    if not better.any():
        return False
    net = found.values["grid_export"] - found.values["grid_import"]
    out = better & (net > TINY_KWH)
    price = MONEY_SCALE * np.where(out, case.prices.sell, np.asarray(case.prices.buy))
    case.data["grid_import_cost"] = price
    case.data["grid_export_cost"] = (
        -MONEY_SCALE
        * np.where(out, case.prices.sell, np.minimum(case.prices.sell, case.prices.buy))
        + 1e-3
    )
    return bool(out.any())


def _directions(case: Case, found: Found, *, everywhere: bool) -> bool:
    """Lower battery bounds where it does both at once, feeds the grid, or buys where it may not.

    `everywhere`: one direction in every slot, so that nothing can move elsewhere. True if changed.
    """
    store = case.problem.store
    if store is None:
        return False
    values, data = found.values, case.data
    charge, discharge = values["charge"], values["discharge"]
    cars = _cars(case, found).sum(axis=0)
    surplus, rest = case.surplus, np.maximum(case.surplus - cars, 0.0)
    missing = np.maximum(cars - surplus, 0.0)
    most_in, most_out = np.asarray(data["charge_max"]), np.asarray(data["discharge_max"])
    both = ((charge > TINY_KWH) & (discharge > TINY_KWH)) | everywhere
    up = store.charge_efficiency * charge >= discharge / store.discharge_efficiency
    new_in = np.where(both & ~up, 0.0, most_in)
    new_out = np.where(both & up, 0.0, most_out)
    feeds = (surplus > TINY_KWH) & (new_out > missing) & (discharge > missing + TINY_KWH)
    new_out = np.where(feeds, missing, new_out)
    buys = charge > rest + TINY_KWH
    barred = case.prices.gap | (not (store.grid_charging and store.controllable))
    new_in = np.where(buys & barred & (new_in > rest), rest, new_in)
    changed = bool((new_in < most_in).any() or (new_out < most_out).any())
    data["charge_max"], data["discharge_max"] = new_in, new_out
    return changed


def _cars(case: Case, found: Found) -> Array:
    """(cars, slots) kWh."""
    rows = [found.values[f"car{k}"] for k in range(len(case.problem.cars))]
    return np.array(rows).reshape(len(rows), len(case.grid.starts))


def _consolidate(case: Case, found: Found) -> bool:
    """Raise what is near a car's minimum power to it, turn off the rest. True when changed.

    What is turned off finds its place in the next solution. One slot per car may stay below the
    minimum: there the charging ends within the slot.
    """
    changed = False
    for k, car in enumerate(case.problem.cars):
        least = min(car.min_kw, car.max_kw) * case.grid.hours
        kwh = found.values[f"car{k}"]
        low, high = np.asarray(case.data[f"car{k}_min"]), np.asarray(case.data[f"car{k}_max"])
        weak = np.flatnonzero((kwh > TINY_KWH) & (kwh < least - TINY_KWH))
        if len(weak) < 2:
            continue
        budget = car.need_kwh - float(low.sum())
        low, high, spare = low.copy(), high.copy(), True
        for t in sorted(weak.tolist(), key=lambda t: (-round(float(kwh[t]), 6), t)):
            if kwh[t] >= least[t] / 2 and least[t] <= min(budget, high[t]):
                low[t] = least[t]
                budget -= least[t]
            elif spare:
                spare = False
            else:
                low[t] = high[t] = 0.0
        case.data[f"car{k}_min"], case.data[f"car{k}_max"] = low, high
        changed = True
    return changed


def _forgo(case: Case, found: Found, *, everywhere: bool) -> bool:
    """Take back car energy for which evcc has no mode. True when changed.

    From the battery a car is fed at its minimum power (`minpv`; the block before a departure ends
    at its limit), or beside a permitted grid (`now`).
    Anything else but sun needs a price that its energy is worth, or it would wait in `pv` (INV-13).
    `everywhere`: the battery feeds no car elsewhere either, so that nothing can move there.
    """
    slots = np.arange(len(case.grid.starts))
    changed, kept = False, np.zeros(len(slots), dtype=bool)
    net, hours = np.asarray(case.data["net_load"]), case.grid.hours
    cars = _cars(case, found)
    charge, discharge = (found.values.get(name, 0.0) for name in ("charge", "discharge"))
    bought = np.maximum(net + cars.sum(axis=0) + charge - discharge, 0.0)
    given = np.maximum(discharge - np.maximum(net, 0.0), 0.0)
    for k, car in enumerate(case.problem.cars):
        kwh, least = cars[k], min(car.min_kw, car.max_kw) * hours
        grid = np.minimum(kwh, bought)
        fed = np.minimum(kwh - grid, given) > GRID_SHARE * kwh
        buys = grid > GRID_SHARE * kwh
        worth = case.worth[k] - found.need_value[k] / MONEY_SCALE
        dear = worth < case.prices.buy - PRICE_EUR_KWH
        barred = dear & (kwh > TINY_KWH) & (buys | fed)
        last = case.deadlines[k]
        due = slots <= (-1 if last is None else last)
        at_least = fed & ~buys & ((kwh >= 0.98 * least) | due)
        high = np.asarray(case.data[f"car{k}_max"])
        most = np.where(at_least, np.maximum(least, case.surplus), case.surplus)
        new = np.where(barred, np.minimum(high, most), high)
        case.data[f"car{k}_max"] = new
        case.data[f"car{k}_min"] = np.minimum(np.asarray(case.data[f"car{k}_min"]), new)
        changed |= bool((new < kwh - TINY_KWH).any())
        kept |= (kwh > TINY_KWH) & (~barred | at_least)
    if everywhere and changed and case.problem.store is not None:
        most = np.asarray(case.data["discharge_max"])
        house = np.minimum(most, np.maximum(net, 0.0))
        case.data["discharge_max"] = np.where(kept, most, house)
    return changed


def _freeze_cars(case: Case, cars: Array) -> None:
    for k, car in enumerate(case.problem.cars):
        kwh = np.clip(cars[k], 0.0, car.max_kw * case.grid.hours)
        kwh = kwh * min(1.0, car.need_kwh / max(float(kwh.sum()), TINY_KWH))
        case.data[f"car{k}_min"] = case.data[f"car{k}_max"] = kwh


def _around(case: Case, solver: Solver, cars: Array) -> Found:
    """The best that battery and grid can do around these cars."""
    _freeze_cars(case, cars)
    found = solver.solve(case.data, warm=True)
    for left in reversed(range(ROUNDS // 2)):
        if not _directions(case, found, everywhere=left < 2):
            break
        found = solver.solve(case.data, warm=True)
    return found


def _battery(found: Found) -> Array:
    """What the battery takes, kWh by slot; negative where it gives."""
    values = found.values
    if "charge" not in values:
        return np.zeros(len(values["grid_import"]))
    return values["charge"] - values["discharge"]


def _worth(case: Case, found: Found) -> Array:
    """(cars, slots): what a kWh may cost at most, EUR, so that the car takes it."""
    need = np.array(found.need_value).reshape(len(case.problem.cars), 1)
    worth: Array = case.worth - need / MONEY_SCALE
    return worth


def _flows(case: Case, found: Found, worth: Array) -> Flows:
    """The solution for people: clean of noise, lone crumbs in a block, prices in EUR."""
    cars = np.maximum(_cars(case, found), 0.0)
    none = np.zeros(len(case.grid.starts))
    store = case.problem.store
    join_crumbs(case, cars, worth, _battery(found))
    return Flows(
        charge_kwh=np.maximum(found.values.get("charge", none), 0.0),
        discharge_kwh=np.maximum(found.values.get("discharge", none), 0.0),
        stored_kwh=found.values["stored"] if store else none,
        stored_value=found.stored_value / MONEY_SCALE if found.stored_value is not None else none,
        cars_kwh=cars,
        cars_value=worth,
        deadlines=case.deadlines,
        end_value=case.end_value,
        car_end_value=case.car_end_value,
        rung="lp",
    )
