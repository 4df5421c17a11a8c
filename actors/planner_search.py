"""Decides what a linear program cannot: which of two ways, slot by slot, with a certificate.

Branch and bound over warm linear programs (planner-speed.md §3.5). Where a solution breaks a rule
the ways out are tried and the cheapest is followed; the others stay open with their own bounds, so
the search can say how much better any plan could be. The effort is counted, never timed.
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

import numpy as np

from actors.planner_model import Array, Ints
from actors.planner_solver import Program, SolveFailedError

DEPTH = 4000
HOPELESS = 4
"""So many times the most work without any solution: then there is none to be had."""
CLOSE = 1e-9


class Way(NamedTuple):
    """A way out: new bounds of some columns."""

    at: Ints
    lower: Array
    upper: Array


class Choice(NamedTuple):
    """Ways out of a broken rule, the likeliest first; together they leave nothing out.

    `instead`: a part of the last way, that is likely to be better than what else is in it.
    """

    ways: tuple[Way, ...]
    instead: Way | None = None


class Rules(Protocol):
    """What a solution has to respect beyond the program, looked at in one of several `orders`."""

    orders: int

    def broken(self, x: Array, lower: Array, upper: Array, order: int) -> Choice | None:
        """The ways out of the rule that is broken most clearly, or None."""


class Budget(NamedTuple):
    """How long the search goes on, in the program's counted work and money.

    A first way out that costs at most `easy` is followed without a look at the others. The search
    ends within `good`, with `work` spent within `enough`, and with `most_work` in any case.
    """

    easy: float
    good: float
    enough: float
    work: int
    most_work: int


class Searched(NamedTuple):
    """The best solution, its value and how much lower any other could be (0: proved).

    `lower` and `upper` are the program's bounds with all that was decided for it.
    """

    x: Array
    lower: Array
    upper: Array
    value: float
    gap: float
    nodes: int


class _Node(NamedTuple):
    """What was decided, and at least what the best of it costs. Heaps want `number` to differ."""

    bound: float
    number: int
    ways: tuple[Way, ...]


class _Search:
    def __init__(self, program: Program, rules: Rules, budget: Budget) -> None:
        self.program, self.rules, self.budget = program, rules, budget
        self.open: list[_Node] = []
        self.best: Searched | None = None
        self.nodes = 0
        self._root = (program.lower.copy(), program.upper.copy())
        self._numbers = self._dives = 0
        self._at: tuple[Way, ...] = ()

    @property
    def value(self) -> float:
        """What the best solution costs."""
        return self.best.value if self.best is not None else float("inf")

    @property
    def gap(self) -> float:
        """How much cheaper than the best solution anything could be."""
        least = min(self.open[0].bound if self.open else self.value, self.value)
        return self.value - least

    def ends(self) -> bool:
        """Whether it is good enough for the work it took."""
        if self.best is None:
            return self.program.work >= HOPELESS * self.budget.most_work
        gap, work, budget = self.gap, self.program.work, self.budget
        if gap <= budget.good or work >= budget.most_work:
            return True
        return gap <= budget.enough and work >= budget.work

    def from_root(self, value: float, order: int) -> None:
        """Down from the root, in one of the orders."""
        if self._at:
            self._go_to(())
            self.program.run()
        self.dive(_Node(value, 0, ()), order)

    def aside(self, value: float, order: int, ways: tuple[Way, ...] = ()) -> None:
        """For a better solution only: what is left open elsewhere covers all that this leaves."""
        left, self.open = self.open, []
        self._go_to(ways)
        value_here = self.program.run()
        if value_here is not None:
            self.dive(_Node(max(value, value_here), 0, ways), order)
        self.open = left
        self._forget()

    def next(self) -> None:
        """On from the open node with the lowest bound; without a solution in turn from the deepest.

        A dive that ends nowhere was wrong near its end as a rule, but not always.
        """
        self._dives += 1
        if self.best is None and self._dives % 2:
            node = max(self.open, key=lambda one: (len(one.ways), -one.bound, one.number))
            self.open.remove(node)
            heapify(self.open)
        else:
            node = heappop(self.open)
        self._go_to(node.ways)
        value = self.program.run()
        if value is not None:  # None: a way that was not tried yet, and leads nowhere
            self.dive(node._replace(bound=max(node.bound, value)), 0)

    def dive(self, node: _Node, order: int) -> None:
        """From a node whose solution stands in the program down to one that breaks no rule."""
        program = self.program
        for _ in range(DEPTH):
            spent = self.best is not None and program.work >= self.budget.most_work
            if node.bound >= self.value - CLOSE or spent:
                break
            choice = self.rules.broken(program.x, program.lower, program.upper, order)
            if choice is None:
                found = (program.x.copy(), program.lower.copy(), program.upper.copy())
                self.best = Searched(*found, node.bound, 0.0, 0)
                self._forget()
                return
            node = self._step(node, choice)
        self._push(node)

    def _step(self, node: _Node, choice: Choice) -> _Node:
        """Try the ways and follow the cheapest; its solution stands in the program."""
        ways = choice.ways
        first = self._try(node, ways[0])
        if len(ways) == 1 or first.bound - node.bound <= self.budget.easy:
            for way in ways[1:]:
                self._push(self._node(node, way))
            return first
        if choice.instead is None:
            tried = [first, *(self._try(node, way) for way in ways[1:])]
        else:
            tried = [first, self._try(node, choice.instead)]
            self._push(self._node(node, ways[-1]))
        chosen = min(tried, key=lambda one: (one.bound, -one.number))
        for one in tried:
            if one is not chosen and not (choice.instead is not None and one is tried[1]):
                self._push(one)
        if chosen is not tried[-1]:
            self._go_to(chosen.ways)
            self.program.run()
        return chosen

    def _node(self, parent: _Node, way: Way) -> _Node:
        self._numbers += 1
        return _Node(parent.bound, -self._numbers, (*parent.ways, way))

    def _try(self, parent: _Node, way: Way) -> _Node:
        node = self._node(parent, way)
        self._go_to(node.ways)
        value = self.program.run()
        self.nodes += 1
        return node._replace(bound=float("inf") if value is None else max(value, node.bound))

    def _go_to(self, ways: tuple[Way, ...]) -> None:
        """Make the program's bounds those of a node: only what differs is told."""
        common = 0
        for one, other in zip(self._at, ways, strict=False):
            if one is not other:
                break
            common += 1
        lower, upper = self._root
        for way in self._at[common:]:
            self.program.bound(way.at, lower[way.at], upper[way.at])
        # what was taken back may have been decided by an earlier way as well
        first = 0 if len(self._at) > common else common
        for way in ways[first:]:
            self.program.bound(way.at, way.lower, way.upper)
        self._at = ways

    def _push(self, node: _Node) -> None:
        if node.bound < self.value - CLOSE:
            heappush(self.open, node)

    def _forget(self) -> None:
        """What cannot be better than the best is no longer open."""
        self.open = [one for one in self.open if one.bound < self.value - CLOSE]
        heapify(self.open)


def search(
    program: Program,
    rules: Rules,
    budget: Budget,
    guess: Way | None = None,
    known: Searched | None = None,
) -> Searched:
    """The best solution of a loaded program that breaks no rule.

    `guess`: what is decided at once for a first solution; it hides nothing from the search.
    `known`: a solution that stays unless another one is cheaper.
    Raises SolveFailedError where there is none at all.
    """
    value = program.run()
    if value is None:
        raise SolveFailedError("the program has no solution")
    it = _Search(program, rules, budget)
    it.best = known
    if guess is not None:
        it.aside(value, 0, (guess,))
    it.from_root(value, 0)
    for order in range(1, rules.orders):
        if it.gap > budget.enough / 4:
            it.aside(value, order)
    while it.open and not it.ends():
        it.next()
    if it.best is None:
        raise SolveFailedError("no solution respects every rule")
    return it.best._replace(gap=max(0.0, it.gap), nodes=it.nodes)


def near(program: Program, rules: Rules, budget: Budget, found: Searched, shared: Ints) -> Searched:
    """The best of what also leaves these columns at zero; a quarter of the most work goes there.

    `shared`: zero in `found` and in the relaxed program alike, whose bounds stand in `program`.
    Relaxation induced neighbourhood search (Danna, Rothberg, Le Pape 2005): many slots are nearly
    equal, and a tree over all of them spends its work on telling them apart.
    """
    lower = program.lower[shared]
    program.bound(shared, lower, np.maximum(lower, 0.0))
    most = program.work + budget.most_work // 4
    try:
        better = search(program, rules, budget._replace(work=most, most_work=most), known=found)
    except SolveFailedError:  # the solver's tolerance
        return found
    gap = max(0.0, found.gap - found.value + better.value)
    return better._replace(gap=gap, nodes=found.nodes + better.nodes)
