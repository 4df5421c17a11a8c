"""The rules as one mixed-integer program over the loaded program's own matrix: the last resort.

Begun with the best answer so far and ended after a counted number of the solver's own steps, so
that the same request has the same answer on every machine.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from actors.charge_case import TINY
from actors.charge_rules import CLEAR, Charging, Pair, ScheduleRules
from actors.planner_model import Array
from actors.planner_search import Searched

BIG_KWH = 1e3
"""No flow of one slot is above this."""
GAP = 0.5
"""Thousandths: it ends within 0.05 ct."""


class _Wider:
    """Binary columns and rows that are added to a program of `n` columns."""

    def __init__(self, n: int, x: Array) -> None:
        self.n, self.x = n, x
        self.start: list[float] = []
        """What each binary is in the answer to begin with."""
        self.columns: list[int] = []
        self.values: list[float] = []
        self.ends: list[int] = [0]
        self.least: list[float] = []
        self.most: list[float] = []

    def binary(self, is_one: bool) -> int:
        """A new binary."""
        self.start.append(float(is_one))
        return self.n + len(self.start) - 1

    def row(self, *terms: tuple[int, float], least: float = -np.inf, most: float = np.inf) -> None:
        """A new row."""
        for at, value in terms:
            self.columns.append(int(at))
            self.values.append(float(value))
        self.ends.append(len(self.columns))
        self.least.append(least)
        self.most.append(most)

    def matrix(self) -> Any:
        """The new rows over all columns."""
        shape = (len(self.least), self.n + len(self.start))
        return sp.csr_matrix((self.values, self.columns, self.ends), shape=shape)


def _directions(wider: _Wider, pair: Pair, most: Array) -> None:
    x = wider.x
    for t in range(pair.one.shape[1]):
        one, other = pair.one[:, t], pair.other[:, t]
        if most[one].max() <= TINY or most[other].max() <= TINY:
            continue
        z = wider.binary(bool(x[one].sum() >= x[other].sum()))
        for at in one:
            wider.row((at, 1.0), (z, -most[at]), most=0.0)
        for at in other:
            wider.row((at, 1.0), (z, most[at]), most=most[at])


def _charging(wider: _Wider, own: Charging, most: Array, lower: Array) -> None:
    x = wider.x
    for t, charge in enumerate(own.charge):
        stored, least = own.stored[t], own.least[t]
        asked = own.demand[t] > 0
        if asked and own.excused is not None and most[own.excused[t]] > TINY:
            full = wider.binary(bool(x[stored] >= own.full - CLEAR))
            wider.row((own.excused[t], 1.0), (full, -most[own.excused[t]]), most=0.0)
            wider.row((stored, 1.0), (full, -(own.full - lower[stored])), least=lower[stored])
        if least <= TINY or most[charge] <= TINY:
            continue
        last = asked and least > TINY
        on = wider.binary(bool(x[charge] > CLEAR))
        wider.row((charge, 1.0), (on, -most[charge]), most=0.0)
        if last:
            nearly = wider.binary(bool(x[stored] >= own.full - least - CLEAR))
            wider.row((charge, 1.0), (on, -least), (nearly, least), least=0.0)
            room = max(0.0, own.full - least - lower[stored])
            wider.row((stored, 1.0), (nearly, -room), least=min(lower[stored], own.full - least))
        else:
            wider.row((charge, 1.0), (on, -least), least=0.0)


def improve(program: Any, rules: ScheduleRules, found: Searched, steps: int) -> Searched:
    """`found` or better; `program` is freshly loaded.

    The public path has no matrix to start from: there `found` stands.
    """
    import highspy

    solver = getattr(program, "_highs", None)
    if solver is None:
        return found
    lp = solver.getLp()
    n, m = lp.num_col_, lp.num_row_
    lower, upper = np.array(lp.col_lower_), np.array(lp.col_upper_)
    most = np.minimum(upper, BIG_KWH)
    wider = _Wider(n, found.x)
    for pair in rules.pairs:
        _directions(wider, pair, most)
    for own in rules.charging:
        _charging(wider, own, most, lower)
    added = len(wider.start)
    parts = (lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_)
    wide = sp.hstack([sp.csc_matrix(parts, shape=(m, n)), sp.csc_matrix((m, added))])
    whole = sp.vstack([wide, wider.matrix()]).tocsc()
    milp = highspy.HighsLp()
    milp.num_col_, milp.num_row_ = whole.shape[1], whole.shape[0]
    milp.col_cost_ = np.concatenate([np.array(lp.col_cost_), np.zeros(added)])
    milp.col_lower_ = np.concatenate([lower, np.zeros(added)])
    milp.col_upper_ = np.concatenate([upper, np.ones(added)])
    milp.row_lower_ = np.concatenate([np.array(lp.row_lower_), wider.least])
    milp.row_upper_ = np.concatenate([np.array(lp.row_upper_), wider.most])
    milp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    milp.a_matrix_.start_, milp.a_matrix_.index_ = whole.indptr, whole.indices
    milp.a_matrix_.value_ = whole.data
    kinds = highspy.HighsVarType
    milp.integrality_ = [kinds.kContinuous] * n + [kinds.kInteger] * added
    return _solved(milp, np.concatenate([found.x, wider.start]), found, steps)


def _solved(milp: Any, start: Array, found: Searched, steps: int) -> Searched:
    import highspy

    highs = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", GAP),
    ):
        highs.setOptionValue(option, value)
    highs.passModel(milp)
    solution = highspy.HighsSolution()
    solution.col_value = list(start)
    highs.setSolution(solution)
    left = [steps]

    def count(event: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            event.interrupt()

    highs.cbMipInterrupt += count
    highs.run()
    info = highs.getInfo()
    bound = max(found.value - found.gap, float(info.mip_dual_bound))
    value = float(info.objective_function_value)
    if info.primal_solution_status != 2 or value > found.value - CLEAR:
        return found._replace(gap=max(0.0, found.value - bound))
    x = np.array(highs.getSolution().col_value)[: len(found.x)]
    return found._replace(x=x, value=value, gap=max(0.0, value - bound))
