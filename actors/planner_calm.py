"""Ties broken for people: near the last plan, and in blocks, for at most a fifth of a cent.

The search's costs already prefer early slots. What is left are patterns of charging that cost next
to nothing more: each is tried as one more warm linear program.
"""

import numpy as np

from actors.planner_case import TINY_KWH, Case
from actors.planner_model import MONEY_SCALE, SWAP, Array, Ints
from actors.planner_rules import Bools, PlanRules
from actors.planner_search import Searched
from actors.planner_solver import Program
from engine.slots import slot_of

ALLOWED = 0.002 * MONEY_SCALE
SHORT_PAUSE, SOON = 4, 16
"""Slots: what a short pause is, and how far ahead it is looked for."""
TRIES = 8
"""So many other patterns are looked at per plan."""


def calmed(
    case: Case, program: Program, rules: PlanRules, found: Searched, root: tuple[Array, Array]
) -> Searched:
    """A solution that costs next to nothing more and is nearer to the last plan, or in blocks.

    `root`: the bounds of the loaded program, before anything was decided.
    """
    calm = _Calm(case, program, rules, found, root)
    calm.keep_last_plan()
    calm.go_on()
    calm.join_blocks()
    return calm.found


class _Calm:
    def __init__(
        self,
        case: Case,
        program: Program,
        rules: PlanRules,
        found: Searched,
        root: tuple[Array, Array],
    ) -> None:
        self._root = root
        self._case, self._program, self._rules = case, program, rules
        self._most = found.value + ALLOWED
        self._tries = TRIES
        self._own = [
            np.arange(at.start, at.stop)
            for name, at in program.columns.items()
            if name.startswith("car")
        ]
        self._slotwise = np.array(
            [at.start for name, at in program.columns.items() if name != SWAP]
        )
        self.found = found

    def keep_last_plan(self) -> None:
        """The slots of the last plan, in each car."""
        known = {one.loadpoint: frozenset(one.starts) for one in self._case.problem.before}
        patterns = self._now()
        for k, car in enumerate(self._case.problem.cars):
            starts = known.get(car.loadpoint)
            if starts is not None and not car.waiting:
                patterns[k] = np.array([slot_of(one) in starts for one in self._case.grid.starts])
        if any((one != other).any() for one, other in zip(patterns, self._now(), strict=True)):
            self._try(patterns)

    def go_on(self) -> None:
        """No short pause of a car within the next hours; its last slots make way where needed."""
        first = slot_of(self._case.grid.starts[0])
        meant = {one.loadpoint for one in self._case.problem.before if first in one.starts}
        for k, car in enumerate(self._case.problem.cars):
            on = self.found.x[self._own[k]] > TINY_KWH
            pause = _pause(on, car.loadpoint in meant and not car.waiting)
            if not len(pause):
                continue
            more = on.copy()
            more[pause] = True
            fewer = more.copy()
            fewer[np.flatnonzero(on)[-len(pause) :]] = False
            for pattern in (fewer, more):
                if self._try(self._with(k, pattern)):
                    break

    def _now(self) -> list[Bools]:
        """Where each car charges."""
        return [self.found.x[own] > TINY_KWH for own in self._own]

    def _with(self, k: int, on: Bools) -> list[Bools]:
        patterns = self._now()
        patterns[k] = on
        return patterns

    def join_blocks(self) -> None:
        """A lone slot moves beside a block of the same car."""
        for k, own in enumerate(self._own):
            on = self.found.x[own] > TINY_KWH
            for t in _lone(on).tolist():
                for other in self._beside(k, on, t):
                    moved = on.copy()
                    moved[t], moved[other] = False, True
                    if self._try(self._with(k, moved)):
                        on = moved
                        break

    def _beside(self, k: int, on: Bools, lone: int) -> list[int]:
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

    def _try(self, patterns: list[Bools]) -> bool:
        """Whether all cars can charge in just these slots, for next to nothing more."""
        if self._tries <= 0:
            return False
        self._tries -= 1
        program, found = self._program, self.found
        lower, upper = found.lower.copy(), found.upper.copy()
        for k, own in enumerate(self._own):  # where a car changes, all is open again
            for t in np.flatnonzero(patterns[k] != (found.x[own] > TINY_KWH)):
                at = self._slotwise + t
                lower[at], upper[at] = self._root[0][at], self._root[1][at]
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


def _pause(on: Bools, goes: bool) -> Ints:
    """The slots of the first short pause between two that charge; `goes`: it charges now."""
    near = np.flatnonzero(on[:SOON])
    ends = near[1:][np.diff(near) > 1] if len(near) else near
    if goes and len(near) and near[0] > 0:
        before, after = -1, int(near[0])
    elif len(ends):
        after = int(ends[0])
        before = int(near[near < after][-1])
    else:
        return np.arange(0)
    return np.arange(before + 1, after) if after - before - 1 <= SHORT_PAUSE else np.arange(0)


def _lone(on: Bools) -> Ints:
    """Slots that charge alone, where the same car charges elsewhere too."""
    around = np.concatenate([[False], on, [False]])
    lone = np.flatnonzero(on & ~around[:-2] & ~around[2:])
    return lone if on.sum() > 1 else lone[:0]
