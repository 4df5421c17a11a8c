"""Ties broken for people: near the last plan, and in blocks, for at most a fifth of a cent.

The search's costs already prefer early slots. What is left are patterns of charging that cost next
to nothing more: each is tried as one more warm linear program.
"""

import numpy as np

from actors.planner_case import TINY_KWH, Case
from actors.planner_model import MONEY_SCALE, Array, Ints
from actors.planner_rules import PlanRules
from actors.planner_search import Searched
from actors.planner_solver import Program
from engine.slots import slot_of

ALLOWED = 0.002 * MONEY_SCALE
TRIES = 6
"""So many other patterns are looked at per plan."""


def calmed(case: Case, program: Program, rules: PlanRules, found: Searched) -> Searched:
    """A solution at most 0.2 ct dearer that is nearer to the last plan, or in longer blocks."""
    calm = _Calm(case, program, rules, found)
    calm.keep_last_plan()
    calm.join_blocks()
    return calm.found


class _Calm:
    def __init__(self, case: Case, program: Program, rules: PlanRules, found: Searched) -> None:
        self._case, self._program, self._rules = case, program, rules
        self._most = found.value + ALLOWED
        self._tries = TRIES
        self._own = [
            np.arange(at.start, at.stop)
            for name, at in program.columns.items()
            if name.startswith("car")
        ]
        self.found = found

    def keep_last_plan(self) -> None:
        """The slots of the last plan, in each car."""
        known = {one.loadpoint: frozenset(one.starts) for one in self._case.problem.before}
        patterns = []
        for car, own in zip(self._case.problem.cars, self._own, strict=True):
            on = self.found.x[own] > TINY_KWH
            starts = known.get(car.loadpoint)
            if starts is not None:
                on = np.array([slot_of(start) in starts for start in self._case.grid.starts])
            patterns.append(on)
        now = [self.found.x[own] > TINY_KWH for own in self._own]
        if any((one != other).any() for one, other in zip(patterns, now, strict=True)):
            self._try(patterns)

    def join_blocks(self) -> None:
        """A lone slot moves beside a block of the same car."""
        for k, own in enumerate(self._own):
            on = self.found.x[own] > TINY_KWH
            for t in _lone(on).tolist():
                for other in self._beside(k, on, t):
                    moved = [self.found.x[one] > TINY_KWH for one in self._own]
                    moved[k] = on.copy()
                    moved[k][t], moved[k][other] = False, True
                    if self._try(moved):
                        on = moved[k]
                        break

    def _beside(self, k: int, on: Array, lone: int) -> list[int]:
        """The two cheapest free slots beside what is left of the blocks."""
        rest = on.copy()
        rest[lone] = False
        around = np.concatenate([[False], rest, [False]])
        free = (around[:-2] | around[2:]) & ~on & self._case.permitted[k]
        last = self._case.deadlines[k]
        if last is not None and lone <= last:
            free[last + 1 :] = False
        found = np.flatnonzero(free)
        return [int(t) for t in found[np.argsort(self._case.prices.buy[found], kind="stable")][:2]]

    def _try(self, patterns: list[Array]) -> bool:
        """Whether all cars can charge in just these slots, for next to nothing more."""
        if self._tries <= 0:
            return False
        self._tries -= 1
        program, found = self._program, self.found
        lower, upper = found.lower.copy(), found.upper.copy()
        for k, (own, on) in enumerate(zip(self._own, patterns, strict=True)):
            lower[own] = np.where(on, self._rules.least[k], 0.0)
            upper[own] = np.where(on, self._rules.most[k], 0.0)
        if (lower > upper + TINY_KWH).any():
            return False
        program.bound(_all(lower), lower, upper)
        value = program.run()
        if value is None or value > self._most:
            return False
        if self._rules.broken(program.x, lower, upper, 0) is not None:
            return False
        self.found = found._replace(
            x=program.x.copy(), lower=lower, upper=upper, value=value,
            gap=max(0.0, found.gap + value - found.value),
        )  # fmt: skip
        return True


def _all(columns: Array) -> Ints:
    return np.arange(len(columns))


def _lone(on: Array) -> Ints:
    """Slots that charge alone, where the same car charges elsewhere too."""
    around = np.concatenate([[False], on, [False]])
    lone = np.flatnonzero(on & ~around[:-2] & ~around[2:])
    return lone if on.sum() > 1 else lone[:0]
