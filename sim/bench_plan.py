"""The planner against its yardsticks, measured in one run: raw HiGHS, cvxpy, and one whole MILP.

Same data for all, one thread, instance by instance in turn, so that ratios hold on a busy machine.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from actors.planner import CENT, Planner, Solved, buy_or_sell, tempted
from actors.planner_case import Case, case_of, structure_of
from actors.planner_milp import EXACT, monolith, solve_monolith, write_mps
from actors.planner_model import MONEY_SCALE, Array, Structure, write_model
from actors.planner_problem import Problem, grid_of, prices_of
from actors.planner_rules import PlanRules
from actors.planner_solver import FastProgram, Meter, PublicProgram, SolveFailedError
from sim.plan_problems import Kind, drawn, rolling

SLOTS = (96, 192)
ROLLING = (
    Kind("winter", "dynamic", 1),
    Kind("spring", "dynamic", 1),
    Kind("summer", "dynamic", 1),
    Kind("winter", "flat", 1),
    Kind("spring", "negative", 1),
)
INSTANCES = 30
CASES = 200
PROVEN = 100
"""Of the cases, half of each length."""
GAP = 0.5 * CENT
PROOF_GAP = 1e-6 * MONEY_SCALE
PROOF_S = 30.0
MILP_S = 60.0
SAME = 0.001
"""Thousandths: solvers' tolerances."""
LONG_S = 1.0
MEANING = {
    "grid_import": "bought, within the limit where there is one (kWh in that slot)",
    "import_over": "bought beyond the limit of the connection",
    "grid_export": "sold, within the limit",
    "export_over": "sold beyond the limit",
    "charge": "into the house battery, AC side",
    "discharge": "out of the house battery, AC side",
    "stored": "in the battery at the slot's end",
    "below": "missing to the lower end of the battery's band",
    "above": "beyond the upper end of the battery's band",
    "car0": "into the first car, AC side",
    "car1": "into the second car",
    "on_": "1 where the car charges at its minimum power or more",
    "_not_": "1 where the first named flows, 0 where the second named does",
}
_Times = dict[str, list[float]]


class RawProgram:
    """HiGHS alone: one object that only hears what is new, warm from where it stands."""

    def __init__(self, lp: Any) -> None:
        import highspy

        self._highs = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("parallel", "off"),
            ("solver", "simplex"),
            ("presolve", "off"),
        ):
            self._highs.setOptionValue(option, value)
        self._highs.passModel(lp)
        self._highs.run()
        self._entries = _entries(lp)
        self._columns = np.arange(lp.num_col_, dtype=np.int32)
        self._rows = np.arange(lp.num_row_, dtype=np.int32)

    def again(self, lp: Any) -> tuple[float, float]:
        """Objective of the next data and seconds, from numbers that lie ready."""
        cost, lower, upper, below, above = (
            np.array(one)
            for one in (lp.col_cost_, lp.col_lower_, lp.col_upper_, lp.row_lower_, lp.row_upper_)
        )
        entries = _entries(lp)
        places = self._entries.keys() | entries.keys()
        news = [
            (*place, entries.get(place, 0.0))
            for place in sorted(places)
            if entries.get(place) != self._entries.get(place)
        ]
        self._entries = entries
        highs = self._highs
        began = perf_counter()
        highs.changeColsCost(len(self._columns), self._columns, cost)
        highs.changeColsBounds(len(self._columns), self._columns, lower, upper)
        highs.changeRowsBounds(len(self._rows), self._rows, below, above)
        for row, column, value in news:
            highs.changeCoeff(row, column, value)
        highs.run()
        np.asarray(highs.getSolution().col_value)
        value = float(highs.getInfo().objective_function_value)
        return value, perf_counter() - began


def _entries(lp: Any) -> dict[tuple[int, int], float]:
    starts = np.array(lp.a_matrix_.start_)
    columns = np.repeat(np.arange(lp.num_col_), np.diff(starts[: lp.num_col_ + 1]))
    rows, values = np.array(lp.a_matrix_.index_), np.array(lp.a_matrix_.value_)
    return dict(
        zip(zip(rows.tolist(), columns.tolist(), strict=True), values.tolist(), strict=True)
    )


class _Case(NamedTuple):
    """A question in all its forms; where export pays more, buying or selling is decided."""

    problem: Problem
    case: Case
    program: FastProgram
    rules: PlanRules


def _cases(problems: Iterable[Problem], *, decided: bool = True) -> Iterator[_Case]:
    """Each with its data loaded; those of one structure share a program.

    `decided`: with the directions that the planner decides before its search (`buy_or_sell`).
    """
    programs: dict[Structure, FastProgram] = {}
    for problem in problems:
        grid = grid_of(problem)
        case = case_of(problem, grid, prices_of(problem, grid))
        shape = structure_of(problem)
        if shape not in programs:
            programs[shape] = FastProgram(write_model(shape), Meter())
        program = programs[shape]
        program.load(case.data)
        if decided:
            buy_or_sell(case, program)
        yield _Case(problem, case, program, PlanRules(case, program.columns))


def _timed(times: _Times, name: str, since: float) -> None:
    times[name].append(perf_counter() - since)


class _Ways:
    """The ways to solve one structure's linear programs again and again."""

    def __init__(self, case: _Case) -> None:
        self._shape = structure_of(case.problem)
        self._raw = RawProgram(case.program.loaded())
        self._public = PublicProgram(write_model(self._shape), Meter())
        self._public.load(case.case.data)
        self._public.run()
        case.program.run()
        self._basis = case.program.basis()

    def again(self, case: _Case, times: _Times) -> None:
        """The next data by each way. Raises ValueError where the answers differ."""
        data, lp = case.case.data, case.program.loaded()
        began = perf_counter()
        case.program.load(data, self._basis)
        ours = case.program.run()
        _timed(times, "lp", began)
        self._basis = case.program.basis()
        raw, raw_s = self._raw.again(lp)
        times["raw"].append(raw_s)
        began = perf_counter()
        self._public.load(data)
        public = self._public.run()
        _timed(times, "cvxpy", began)
        began = perf_counter()
        fresh = PublicProgram(write_model(self._shape), Meter())
        fresh.load(data)
        rebuilt = fresh.run()
        _timed(times, "rebuilt", began)
        values = [ours, raw, public, rebuilt]
        known = [one for one in values if one is not None]
        if len(known) < len(values) or max(known) - min(known) > SAME:
            raise ValueError(f"the same data, other answers: {values}")


def roll(kind: Kind, slots: int, count: int, dump: Path | None = None) -> _Times:
    """Seconds per way of `count` re-plans, in turn; the first of each structure is not counted."""
    times: _Times = defaultdict(list)
    planner = Planner()
    ways: dict[Structure, _Ways] = {}
    for k, one in enumerate(_cases(rolling(kind, slots, 2 * count), decided=False)):
        shape = structure_of(one.problem)
        if shape not in ways:
            ways[shape] = _Ways(one)
            planner.solve(one.problem)
            continue
        ways[shape].again(one, times)
        one.program.load(one.case.data)
        buy_or_sell(one.case, one.program)
        milp = monolith(one.program, one.rules)
        began = perf_counter()
        solved = planner.solve(one.problem)
        _timed(times, "solve", began)
        began = perf_counter()
        planner.make_plan(one.problem)
        _timed(times, "plan", began)
        times["milp"].append(solve_monolith(milp, GAP, MILP_S).solver_s)
        if dump is not None:
            name = f"rolling-{kind.season}-{kind.tariff}-{slots}-{k:02}"
            write_instance(dump, name, milp, solved)
        if len(times["milp"]) == count:
            break
    return times


def write_instance(folder: Path, name: str, milp: Any, solved: Solved, **more: Any) -> None:
    """The whole problem as `name.mps`, and what our plan costs in `name.json`."""
    write_mps(milp, f"{folder / name}.mps")
    known = {
        "name": name,
        "objective": "thousandths of EUR, to be made small",
        "ours": solved.found.value,
        "ours_gap": solved.found.gap,
        "slots": len(solved.case.grid.starts),
        "columns": MEANING,
        "ours_columns": {key: np.round(x, 9).tolist() for key, x in solved.values.items()},
        **more,
    }
    fresh = folder / f"{name}.tmp"
    fresh.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, folder / f"{name}.json")


class Losses(NamedTuple):
    """In ct, of plans against the best there is, and their certificates."""

    plan: list[float]
    certificate: list[float]
    free: list[float]
    """The same against a best that may also sell the sun and buy it back, where that is another."""
    unproven: int
    """So many monoliths ended by time: the loss is against what they found."""
    worst: str


def losses(count: int, dump: Path | None = None) -> Losses:
    """What drawn plans cost beyond the best there is, by the monolith."""
    found = Losses([], [], [], 0, "")
    named = [drawn(seed, slots) for seed in range(count // len(SLOTS)) for slots in SLOTS]
    planner = Planner()
    for (name, problem), one in zip(named, _cases(one for _, one in named), strict=True):
        milp = monolith(one.program, one.rules)
        solved = planner.solve(problem)
        exact = solve_monolith(milp, PROOF_GAP, PROOF_S, EXACT)
        loss = (solved.found.value - exact.value) / CENT
        if not found.plan or loss > max(found.plan):
            found = found._replace(worst=name)
        found.plan.append(loss)
        found.certificate.append(solved.found.gap / CENT)
        found.free.append(loss)
        if tempted(one.case).any():
            (free,) = _cases([problem], decided=False)
            best = solve_monolith(monolith(free.program, free.rules), PROOF_GAP, PROOF_S, EXACT)
            found.free[-1] = (solved.found.value - best.value) / CENT
        found = found._replace(
            unproven=found.unproven + (exact.value - exact.bound > 10 * PROOF_GAP)
        )
        if dump is not None:
            write_instance(dump, name, milp, solved, best=exact.value, best_bound=exact.bound)
    return found


class Plans(NamedTuple):
    """Seconds per drawn plan, how many had no answer, and the slowest."""

    seconds: list[float]
    unanswered: int
    slowest: str


def plans(count: int, slots: int) -> Plans:
    """Complete plans of drawn questions, structures compiled before."""
    planner = Planner()
    for seed in range(7):  # one car and two
        planner.make_plan(drawn(seed, slots)[1])
    seconds, unanswered, slowest = [], 0, ""
    for seed in range(count):
        name, problem = drawn(seed, slots)
        began = perf_counter()
        try:
            answered = planner.make_plan(problem).rung == "lp"
        except SolveFailedError:
            answered = False
        seconds.append(perf_counter() - began)
        unanswered += not answered
        if seconds[-1] == max(seconds):
            slowest = name
    return Plans(seconds, unanswered, slowest)


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return {
        "p50": _ms(float(np.quantile(seconds, 0.5))),
        "p95": _ms(float(np.quantile(seconds, 0.95, method="higher"))),
        "max": _ms(max(seconds)),
    }


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 2)


def _quantile(values: list[float] | Array, share: float) -> float:
    return round(float(np.quantile(values, share, method="higher")), 4) + 0.0


def _ratio(one: list[float], other: list[float]) -> float:
    """Median of the ratios within the same instance."""
    return round(median(a / b for a, b in zip(one, other, strict=True)), 2)


def bench_plan(
    dump: Path | None = None, instances: int = INSTANCES, cases: int = CASES, proven: int = PROVEN
) -> dict[str, Any]:
    """How fast and how good plans are.

    `lp_ratio`: a re-plan of the linear program, from the last one's basis, over raw HiGHS that is
    kept warm. `milp_speedup`: the whole problem as one MILP to 0.5 ct (HiGHS alone, without the
    building) over `Planner.solve` with ties and prices. `loss_ct`: plans against that MILP
    solved to the end; `free_loss_ct`: against one that may also sell the sun and buy it back where
    export pays more than import costs, which plans do not on purpose. `plan_ms`: `make_plan`.
    """
    if dump is not None:
        dump.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"instances": instances, "cases": cases, "proven_cases": proven}
    for slots in SLOTS:
        times: _Times = defaultdict(list)
        for kind in ROLLING:
            some = roll(kind, slots, -(-instances // len(ROLLING)), dump)
            for name, seconds in some.items():
                times[name] += seconds
        told[f"lp_ratio_{slots}"] = _ratio(times["lp"], times["raw"])
        told[f"milp_speedup_{slots}"] = _ratio(times["milp"], times["solve"])
        told[f"replan_ms_{slots}"] = {
            name: _ms(median(some)) for name, some in sorted(times.items())
        }
    unanswered = 0
    for slots in SLOTS:
        made = plans(cases, slots)
        told[f"plan_ms_{slots}"] = _milliseconds(made.seconds)
        told[f"slowest_{slots}"] = made.slowest
        told[f"plans_over_1_s_{slots}"] = sum(one > LONG_S for one in made.seconds)
        unanswered += made.unanswered
    lost = losses(proven, dump)
    return told | {
        "unanswered": unanswered,
        "loss_ct_p95": _quantile(lost.plan, 0.95),
        "loss_ct_max": _quantile(lost.plan, 1.0),
        "loss_worst": lost.worst,
        "free_loss_ct_p95": _quantile(lost.free, 0.95),
        "free_loss_ct_max": _quantile(lost.free, 1.0),
        "certificate_ct_p50": _quantile(lost.certificate, 0.5),
        "certificate_ct_max": _quantile(lost.certificate, 1.0),
        "unproven": lost.unproven,
    }
