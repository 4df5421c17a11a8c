"""Decides what a linear program cannot: which of two ways, slot by slot, with a certificate.

Branch and bound over warm linear programs (planner-speed.md §3.5). Where a solution breaks a rule,
both ways out are tried and the cheaper one is followed; the other one stays open with its own bound,
so the search can say how much better any plan could be. The effort is counted, never timed.
"""

from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from actors.planner_model import Array, Ints
from actors.planner_solver import Program, SolveFailedError

DEPTH = 4000
CLOSE = 1e-9


class Way(NamedTuple):
    """A way out: new bounds of some columns, and what else has been decided (`state`)."""

    at: Ints
    lower: Array
    upper: Array
    state: tuple[int, ...]


class Choice(NamedTuple):
    """Ways out of a broken rule, the likeliest first; together they leave nothing out.

    `instead`: a part of the last way, that is likely to be better than what else is in it.
    """

    ways: tuple[Way, ...]
    instead: Way | None = None


class Rules(Protocol):
    """What a solution has to respect beyond the program."""

    start: tuple[int, ...]

    def broken(self, x: Array, lower: Array, upper: Array, state: tuple[int, ...]) -> Choice | None:
        """The ways out of the rule that is broken most clearly, or None."""


class Budget(NamedTuple):
    """How long the search goes on, in the program's counted work and money.

    It ends at once within `good`; with `work` spent within `enough`; with `most_work` anyway.
    """

    easy: float
    good: float
    enough: float
    work: int
    most_work: int


class Searched(NamedTuple):
    """The best solution, its value and how much lower any other could be (0: proved)."""

    x: Array
    lower: Array
    upper: Array
    value: float
    gap: float
    nodes: int


class _Node(NamedTuple):
    """An open node: bounds that differ from the root's, and at least what its best costs."""

    bound: float
    order: int
    changes: tuple[tuple[Ints, Array, Array], ...]
    state: tuple[int, ...]


class _Search:
    def __init__(self, program: Program, rules: Rules, budget: Budget) -> None:
        self.program, self.rules, self.budget = program, rules, budget
        self.root = (program.lower.copy(), program.upper.copy())
        self.open: list[_Node] = []
        self.best: Searched | None = None
        self.nodes = 0
        self._order = 0
        self._at: tuple[tuple[Ints, Array, Array], ...] = ()

    @property
    def value(self) -> float:
        return self.best.value if self.best is not None else float("inf")

    def bound(self) -> float:
        """Nothing costs less."""
        return min(self.open[0].bound if self.open else self.value, self.value)

    def ends(self) -> bool:
        if self.best is None:
            return not self.open
        gap, work = self.value - self.bound(), self.program.work
        if gap <= self.budget.good or work >= self.budget.most_work:
            return True
        return gap <= self.budget.enough and work >= self.budget.work

    def go_to(self, changes: tuple[tuple[Ints, Array, Array], ...]) -> None:
        """Make the program's bounds those of a node: only what differs is told."""
        common = 0
        for one, other in zip(self._at, changes, strict=False):
            if one is not other:
                break
            common += 1
        lower, upper = self.root
        for at, _, _ in self._at[common:]:
            self.program.bound(at, lower[at], upper[at])
        # what was taken back may have been set by an earlier change as well
        first = 0 if len(self._at) > common else common
        for at, low, high in changes[first:]:
            self.program.bound(at, low, high)
        self._at = changes

    def _node(self, parent: _Node, way: Way, bound: float) -> _Node:
        self._order += 1
        changes = (*parent.changes, (way.at, way.lower, way.upper))
        return _Node(max(bound, parent.bound), -self._order, changes, way.state)

    def try_way(self, parent: _Node, way: Way) -> _Node:
        node = self._node(parent, way, parent.bound)
        self.go_to(node.changes)
        value = self.program.run()
        self.nodes += 1
        return node._replace(bound=float("inf") if value is None else max(value, node.bound))

    def push(self, node: _Node) -> None:
        if node.bound < self.value - CLOSE:
            heappush(self.open, node)

    def dive(self, node: _Node) -> None:
        """From a node whose solution stands in the program down to one that breaks no rule."""
        program = self.program
        for _ in range(DEPTH):
            choice = self.rules.broken(program.x, program.lower, program.upper, node.state)
            if choice is None:
                self._note(node)
                return
            node = self._step(node, choice)
            if node.bound >= self.value - CLOSE or self._spent():
                break
        self.push(node)

    def _spent(self) -> bool:
        return self.best is not None and self.program.work >= self.budget.most_work

    def _step(self, node: _Node, choice: Choice) -> _Node:
        """Try the ways and follow the cheapest; its solution stands in the program."""
        first = self.try_way(node, choice.ways[0])
        if len(choice.ways) == 1 or first.bound - node.bound <= self.budget.easy:
            for way in choice.ways[1:]:
                self.push(self._node(node, way, node.bound))
            return first
        tried = [first]
        if choice.instead is not None:
            tried.append(self.try_way(node, choice.instead))
            self.push(self._node(node, choice.ways[-1], node.bound))
        else:
            tried += [self.try_way(node, way) for way in choice.ways[1:]]
        k = min(range(len(tried)), key=lambda i: (tried[i].bound, i))
        for i, other in enumerate(tried):
            if i != k and not (choice.instead is not None and i == 1):
                self.push(other)
        if k != len(tried) - 1:
            self.go_to(tried[k].changes)
            self.program.run()
        return tried[k]

    def _note(self, node: _Node) -> None:
        if node.bound < self.value - CLOSE:
            lower, upper = self.program.lower.copy(), self.program.upper.copy()
            x = self.program.x.copy()
            self.best = Searched(x, lower, upper, node.bound, 0.0, self.nodes)
            self.open = [one for one in self.open if one.bound < self.value - CLOSE]
            self.open.sort()


def search(program: Program, rules: Rules, budget: Budget) -> Searched:
    """The best solution of a loaded program that breaks no rule.

    Raises SolveFailedError where there is none at all.
    """
    value = program.run()
    if value is None:
        raise SolveFailedError("the program has no solution")
    it = _Search(program, rules, budget)
    it.dive(_Node(value, 0, (), rules.start))
    while it.open and not it.ends():
        node = heappop(it.open)
        if node.bound >= it.value - CLOSE:
            break
        it.go_to(node.changes)
        value = program.run()
        if value is not None:  # None: an untried way that leads nowhere
            it.dive(node._replace(bound=max(node.bound, value)))
    if it.best is None:
        raise SolveFailedError("no solution respects every rule")
    return it.best._replace(gap=max(0.0, it.value - it.bound()), nodes=it.nodes)
