"""The rules as one mixed-integer program over the loaded program's own matrix: the last resort.

Begun with the best answer so far and ended after a counted number of the solver's own steps, so
that the same request has the same answer on every machine.
"""

from typing import Any

import numpy as np

from actors.charge_case import TINY
from actors.charge_rules import Charging, ScheduleRules
from actors.planner_directions import TINY_KWH as CLEAR
from actors.planner_directions import Pair
from actors.planner_milp import Rows, ready, widened
from actors.planner_model import Array
from actors.planner_search import Searched
from actors.planner_solver import FastProgram, Program

BIG_KWH = 1e3
"""No flow of one slot is above this."""
GAP = 0.5
"""Thousandths: it ends within 0.05 ct."""


class _Wider(Rows):
    """Rows and binaries behind a program of `n` columns, and what each binary begins with."""

    def __init__(self, n: int, x: Array) -> None:
        super().__init__([""] * n)
        self.x = x
        self.start: list[float] = []

    def binary(self, is_one: bool) -> int:
        """A new binary."""
        self.start.append(float(is_one))
        return self.switch("")

    def row(self, *terms: tuple[int, float], least: float = -np.inf, most: float = np.inf) -> None:
        """A new row."""
        self.add({int(at): float(value) for at, value in terms}, least, most)


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


def improve(program: Program, rules: ScheduleRules, found: Searched, steps: int) -> Searched:
    """`found` or better; `program` is freshly loaded.

    The public path has no matrix to start from: there `found` stands.
    """
    if not isinstance(program, FastProgram):
        return found
    lp = program.loaded()
    lower, upper = np.array(lp.col_lower_), np.array(lp.col_upper_)
    most = np.minimum(upper, BIG_KWH)
    wider = _Wider(lp.num_col_, found.x)
    for pair in rules.pairs:
        _directions(wider, pair, most)
    for own in rules.charging:
        _charging(wider, own, most, lower)
    milp = widened(lp, wider)
    return _solved(milp, np.concatenate([found.x, wider.start]), found, steps)


def _solved(milp: Any, start: Array, found: Searched, steps: int) -> Searched:
    import highspy

    highs = ready(milp)
    for option, value in (("mip_rel_gap", 0.0), ("mip_abs_gap", GAP)):
        highs.setOptionValue(option, value)
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
