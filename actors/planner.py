"""The planner: what the battery and each car do in each slot, at the least cost (design §6).

Minimises import cost - export income + battery wear + penalties - value of the energy left at the
end. Everything that could be impossible is soft, so there is always an answer. Pure: a plan depends
on its problem alone; solver seconds are kept aside, as metrics.
"""

from importlib import import_module
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.execution import Flows
from actors.plan_reasons import Other
from actors.planner_calm import calmed
from actors.planner_case import TINY_KWH, Case, case_of, structure_of
from actors.planner_goals import within_ceilings
from actors.planner_model import MONEY_SCALE, SWAP, Array, Structure, write_model
from actors.planner_other import Bounds, other_of
from actors.planner_problem import Problem, grid_of, prices_of
from actors.planner_report import plan_of
from actors.planner_rules import PlanRules
from actors.planner_search import Budget, Searched, near, search
from actors.planner_solver import Meter, Program, PublicProgram, SolveFailedError, make_program
from engine.values import Plan

KEPT_STRUCTURES = 8
CENT = MONEY_SCALE / 100
BUDGET = Budget(easy=0.3 * CENT, good=0.02 * CENT, enough=0.5 * CENT, work=1_500, most_work=8_000)


class NoPricesError(ValueError):
    """No import price is known: there is nothing to optimise."""


def load_modelling_language() -> None:
    """Import cvxpy, which takes 0.7 s (seconds on a small machine), ahead of the first plan."""
    import_module("cvxpy")


class Solved(NamedTuple):
    """A case with its solution; prices of stored energy and cars' energy in EUR per kWh."""

    case: Case
    found: Searched
    values: dict[str, Array]
    stored_value: Array | None
    worth: Array
    other: Other


class Planner:
    """Makes plans; keeps compiled structures. `solver_s` and `solves` are metrics."""

    def __init__(self, *, public: bool = False) -> None:
        self._meter = Meter()
        self._public = public
        self._programs: dict[Structure, Program] = {}

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
        self._programs.clear()

    def _program(self, shape: Structure) -> Program:
        program = self._programs.pop(shape, None)
        if program is None:
            program = (PublicProgram if self._public else make_program)(
                write_model(shape), self._meter
            )
        self._programs[shape] = program  # the newest is last
        if len(self._programs) > KEPT_STRUCTURES:
            del self._programs[next(iter(self._programs))]
        return program

    def make_plan(self, problem: Problem) -> Plan:
        """The best plan. Raises NoPricesError, or SolveFailedError when the solver fails twice."""
        try:
            solved = self.solve(problem)
        except SolveFailedError:
            self.rebuild()
            solved = self.solve(problem)
        case = solved.case
        return plan_of(problem, case.grid, case.prices, flows_of(solved))

    def solve(self, problem: Problem, budget: Budget = BUDGET) -> Solved:
        """The solution behind a plan. Raises NoPricesError and SolveFailedError."""
        grid = grid_of(problem)
        prices = prices_of(problem, grid)
        if not prices.known:
            raise NoPricesError("no import price is known")
        case = case_of(problem, grid, prices)
        program = self._program(structure_of(problem))
        found, root = _found(case, program, budget)
        _stand_at(program, found)
        stored = -program.slopes("start")[0] / MONEY_SCALE if problem.store else None
        values = {name: found.x[at] for name, at in program.columns.items()}
        worth = _worth(case, program, values)
        return Solved(case, found, values, stored, worth, other_of(case, program, found, root))


def _stand_at(program: Program, found: Searched) -> None:
    """Its shadow prices are wanted: solved again where the program went on from it."""
    lower, upper = found.lower, found.upper
    if SWAP in program.columns:  # decided: prices are those of a swap that is made, or not
        at, (lower, upper) = program.columns[SWAP], (lower.copy(), upper.copy())
        lower[at] = upper[at] = np.round(found.x[at])
    same = np.array_equal(program.lower, lower) and np.array_equal(program.upper, upper)
    if same and np.array_equal(program.x, found.x):
        return
    program.bound(np.arange(len(found.x)), lower, upper)
    program.run()


def _found(case: Case, program: Program, budget: Budget) -> tuple[Searched, Bounds]:
    """The calmest of the best solutions that the budget finds; and the bounds before the search."""
    program.load(case.data)
    try:
        buy_or_sell(case, program)
        return _searched(case, program, budget)
    except SolveFailedError:  # what was decided first left no way
        program.load(case.data)
        return _searched(case, program, budget)


def _searched(case: Case, program: Program, budget: Budget) -> tuple[Searched, Bounds]:
    rules = PlanRules(case, program.columns)
    root = (program.lower.copy(), program.upper.copy())
    program.run()
    relaxed = program.x.copy()
    found = search(program, rules, budget)
    if found.gap > budget.enough / 4:
        at = rules.decided()
        shared = at[(found.x[at] <= TINY_KWH) & (relaxed[at] <= TINY_KWH)]
        program.bound(np.arange(len(root[0])), *root)
        found = near(program, rules, budget, found, shared)
    return calmed(case, program, rules, found, root), root


def tempted(case: Case) -> NDArray[np.bool_]:
    """The slots with sun to sell in which export pays more than import costs."""
    slots: NDArray[np.bool_] = (case.prices.sell > case.prices.buy) & (case.surplus > TINY_KWH)
    return slots


def buy_or_sell(case: Case, program: Program) -> None:
    """Where export pays more than import costs: buy or sell, as would be right with equal prices.

    Decided first, in a loaded program. Otherwise plans wait with a car to sell the sun while it
    shines a little brighter than expected, again and again, until the cheap hours are over.
    Raises SolveFailedError.
    """
    dear = tempted(case)
    if not dear.any():
        return
    at = {name: np.arange(one.start, one.stop) for name, one in program.columns.items()}
    true = np.asarray(case.data["grid_export_cost"])
    program.cost(at["grid_export"], np.where(dear, -MONEY_SCALE * case.prices.buy + 1e-3, true))
    if program.run() is None:
        raise SolveFailedError("the relaxed program has no solution")
    net = program.x[at["grid_export"]] - program.x[at["grid_import"]]
    program.cost(at["grid_export"], true)
    buys = dear & (net < -TINY_KWH)
    sells = dear & ~buys
    none = np.concatenate([at["grid_import"][sells], at["grid_export"][buys]])
    program.bound(none, np.zeros(len(none)), np.zeros(len(none)))


def _cars(case: Case, values: dict[str, Array]) -> Array:
    """(cars, slots) kWh."""
    rows = [values[f"car{k}"] for k in range(len(case.problem.cars))]
    return np.array(rows).reshape(len(rows), len(case.grid.starts))


def _worth(case: Case, program: Program, values: dict[str, Array]) -> Array:
    """(cars, slots): what a kWh may cost at most, EUR, so that the car takes it.

    At least the price of what the plan itself buys for it: that is worth it.
    """
    names = [f"car{k}_need" for k in range(len(case.problem.cars))]
    need = -np.array(program.slopes(*names)).reshape(len(names), 1)
    worth: Array = case.worth - need / MONEY_SCALE
    bought = (_cars(case, values) > TINY_KWH) & (values["grid_import"] > TINY_KWH)
    worth = np.where(bought & case.permitted, np.maximum(worth, case.prices.buy), worth)
    if "dear" not in values:
        return worth
    needed = case.dear & (_cars(case, values) > TINY_KWH) & (values["dear"] > TINY_KWH)
    return within_ceilings(case.problem, worth, needed)


def _clean(kwh: Array) -> Array:
    return np.where(kwh > TINY_KWH, kwh, 0.0)


def flows_of(solved: Solved) -> Flows:
    """The solution for people: clean of noise, prices in EUR."""
    case, values = solved.case, solved.values
    none = np.zeros(len(case.grid.starts))
    store = case.problem.store
    return Flows(
        charge_kwh=_clean(values.get("charge", none)),
        discharge_kwh=_clean(values.get("discharge", none)),
        stored_kwh=values["stored"] if store else none,
        stored_value=none if solved.stored_value is None else solved.stored_value,
        cars_kwh=_clean(_cars(case, values)),
        cars_value=solved.worth,
        other=solved.other,
        deadlines=case.deadlines,
        end_value=case.end_value,
        car_end_value=case.car_end_value,
        rung="lp",
        gap_eur=round(solved.found.gap / MONEY_SCALE, 6),
    )
