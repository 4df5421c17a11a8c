"""The same problem as one mixed-integer program: the yardstick of the search.

Built from the rules over the matrix of a loaded program, so that both answer the very same
question in the very same money. Never used for a plan; evcc's protocol widens its program likewise.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from actors.planner_model import Array, Ints
from actors.planner_rules import PlanRules
from actors.planner_solver import FastProgram
from actors.planner_swaps import SwapRule

TINY_KWH = 1e-9
EXACT = 1e-9
"""How far a switch may be from 0 or 1: times a flow's bound it is energy for nothing."""


class Answer(NamedTuple):
    """What HiGHS found: value, at least what anything costs, the columns, and its seconds."""

    value: float
    bound: float
    x: Array
    solver_s: float


class Rows:
    """Rows to add below a matrix, and the switches (0 or 1) behind its columns."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.columns: list[int] = []
        self.factors: list[float] = []
        self.starts = [0]
        self.lower: list[float] = []
        self.upper: list[float] = []

    def switch(self, name: str) -> int:
        """A new column."""
        self.names.append(name)
        return len(self.names) - 1

    def add(self, terms: dict[int, float], lower: float, upper: float) -> None:
        """lower <= sum of the terms <= upper"""
        self.columns += terms.keys()
        self.factors += terms.values()
        self.starts.append(len(self.columns))
        self.lower.append(lower)
        self.upper.append(upper)

    def matrix(self) -> Any:
        """All rows, as wide as all columns."""
        shape = (len(self.lower), len(self.names))
        return sp.csr_matrix((self.factors, self.columns, self.starts), shape=shape)


def monolith(program: FastProgram, rules: PlanRules) -> Any:
    """A named `highspy.HighsLp` of a program that stands as loaded; its columns come first."""
    lp = program.loaded()
    names = [f"{name}_{t}" for name, at in program.columns.items() for t in range(_len(at))]
    added = Rows(names)
    most = largest(lp, rows_of(lp))
    _add_switches(added, rules, most)
    _add_stays(added, rules.swaps, most)
    milp = widened(lp, added)
    milp.col_names_ = added.names
    milp.row_names_ = [f"row_{k}" for k in range(milp.num_row_)]
    return milp


def widened(lp: Any, added: Rows) -> Any:
    """The `highspy.HighsLp` of `lp` with these rows below it, its switches behind its columns."""
    import highspy

    n, m = lp.num_col_, lp.num_row_
    count = len(added.names) - n
    wide = sp.hstack([rows_of(lp), sp.csc_matrix((m, count))])
    whole = sp.vstack([wide, added.matrix()]).tocsc()
    milp = highspy.HighsLp()
    milp.num_col_, milp.num_row_ = whole.shape[1], whole.shape[0]
    milp.col_cost_ = np.concatenate([np.array(lp.col_cost_), np.zeros(count)])
    milp.col_lower_ = np.concatenate([np.array(lp.col_lower_), np.zeros(count)])
    milp.col_upper_ = np.concatenate([np.array(lp.col_upper_), np.ones(count)])
    milp.row_lower_ = np.concatenate([np.array(lp.row_lower_), added.lower])
    milp.row_upper_ = np.concatenate([np.array(lp.row_upper_), added.upper])
    milp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    milp.a_matrix_.start_, milp.a_matrix_.index_ = whole.indptr, whole.indices
    milp.a_matrix_.value_ = whole.data
    kinds = highspy.HighsVarType
    milp.integrality_ = [kinds.kContinuous] * n + [kinds.kInteger] * count
    return milp


def _len(at: slice) -> int:
    return int(at.stop - at.start)


def _add_switches(added: Rows, rules: PlanRules, most: Array) -> None:
    """A switch for each car and slot, and one for each pair of flows in each slot."""
    for column, least in rules.semicontinuous():
        if most[column] > TINY_KWH:
            z = added.switch(f"on_{added.names[column]}")
            added.add({column: 1.0, z: -float(most[column])}, -np.inf, 0.0)
            added.add({column: 1.0, z: -least}, 0.0, np.inf)
    for pair in rules.pairs:
        for t in np.flatnonzero(pair.where).tolist():
            one, other = pair.one[:, t].tolist(), pair.other[:, t].tolist()
            if most[one].max() <= TINY_KWH or most[other].max() <= TINY_KWH:
                continue
            z = added.switch(f"{added.names[one[0]]}_not_{added.names[other[0]]}")
            for column in one:
                added.add({column: 1.0, z: -float(most[column])}, -np.inf, 0.0)
            for column in other:
                added.add({column: 1.0, z: float(most[column])}, -np.inf, float(most[column]))


def _add_stays(added: Rows, swaps: SwapRule, most: Array) -> None:
    """A switch for each swap, for the slot at which it happens, and for which of two comes first.

    A car takes nothing before its own swap, nor after that of a car that comes after it.
    """
    begins = {}
    for k, own in enumerate(swaps.cars):
        column = swaps.swap_of(k)
        if column is None:
            continue
        at = {int(s): added.switch(f"swap_{added.names[own[s]]}") for s in swaps.slots}
        begins[k] = at
        added.add(dict.fromkeys(at.values(), 1.0) | {column: -1.0}, 0.0, 0.0)
        for t, taken in enumerate(own.tolist()):
            begun = {z: -float(most[taken]) for s, z in at.items() if s <= t}
            added.add({taken: 1.0} | begun, -np.inf, 0.0)
    for one, other, is_plugged in swaps.rivals:
        first = None if is_plugged else added.switch(f"first_{one}_{other}")
        _add_end(added, swaps.cars[one], begins[other], most, first, is_first=True)
        if first is not None:
            _add_end(added, swaps.cars[other], begins[one], most, first, is_first=False)


def _add_end(
    added: Rows, own: Ints, after: dict[int, int], most: Array, first: int | None, *, is_first: bool
) -> None:
    """Nothing from the swap to the other car on; only if the switch `first` says so."""
    for t, taken in enumerate(own.tolist()):
        full = float(most[taken])
        terms = {taken: 1.0} | {z: full for s, z in after.items() if s <= t}
        right = full
        if first is not None:
            terms[first], right = (full, 2 * full) if is_first else (-full, full)
        added.add(terms, -np.inf, right)


def rows_of(lp: Any) -> Any:
    """The matrix of a `highspy.HighsLp`, by rows."""
    held = lp.a_matrix_
    shape = (lp.num_row_, lp.num_col_)
    return sp.csc_matrix((held.value_, held.index_, held.start_), shape=shape).tocsr()


def largest(lp: Any, rows: Any) -> Array:
    """How much can flow in each column: its bound, or what the equations of its slot leave it."""
    lower, upper = np.array(lp.col_lower_), np.array(lp.col_upper_)
    right = np.array(lp.row_upper_)
    equal = np.array(lp.row_lower_) == right
    most = np.minimum(upper, 1e5)
    for row in np.flatnonzero(equal).tolist():
        span = slice(rows.indptr[row], rows.indptr[row + 1])
        columns, factors = rows.indices[span], rows.data[span]
        # at most what the others' ends leave: factor * x = right - the rest, least over the rest
        ends = np.where(factors > 0, factors * lower[columns], factors * upper[columns])
        tops = np.where(factors > 0, factors * upper[columns], factors * lower[columns])
        for k, (column, factor) in enumerate(zip(columns.tolist(), factors.tolist(), strict=True)):
            others = np.delete(ends if factor > 0 else tops, k).sum()
            if np.isfinite(others):
                most[column] = min(most[column], (right[row] - others) / factor)
    bounds: Array = np.maximum(most, 0.0)
    return bounds


def solve_monolith(milp: Any, gap: float, seconds: float = 60.0, near: float = 1e-6) -> Answer:
    """Solve on one thread to `gap`, absolute and in the model's money, or as long as allowed.

    `near`: how far a switch may be from 0 or 1, as HiGHS has it if it is not told otherwise.
    """
    highs = ready(milp)
    for option, value in (
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", gap),
        ("mip_feasibility_tolerance", near),
        ("time_limit", seconds),
    ):
        highs.setOptionValue(option, value)
    highs.run()
    info = highs.getInfo()
    x = np.array(highs.getSolution().col_value)
    return Answer(info.objective_function_value, info.mip_dual_bound, x, highs.getRunTime())


def write_mps(milp: Any, path: str) -> None:
    """The program as a file that any solver reads."""
    ready(milp).writeModel(path)


def ready(lp: Any) -> Any:
    """A silent `highspy.Highs` on one thread that has this program."""
    import highspy

    highs = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("parallel", "off")):
        highs.setOptionValue(option, value)
    highs.passModel(lp)
    return highs
