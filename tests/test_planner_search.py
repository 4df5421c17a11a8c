"""The search on tiny programs made by hand: its answer, its certificate, and where it ends."""

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest

from actors.planner_model import Array, Ints
from actors.planner_search import Budget, Choice, Searched, Way, near, search
from actors.planner_solver import Data, SolveFailedError

THOROUGH = Budget(easy=0.0, good=0.0, enough=0.0, work=10**9, most_work=10**9)
WORK = 10


class Fake:
    """Parts of things to take, as a program: `need` in all, each at its cost."""

    def __init__(self, costs: list[float], need: float) -> None:
        self.costs, self.need = np.array(costs), need
        self.columns = {"take": slice(0, len(costs))}
        self.lower, self.upper = np.zeros(len(costs)), np.ones(len(costs))
        self.x = np.zeros(len(costs))
        self.work = 0
        self.seen: list[tuple[tuple[float, float], ...]] = []

    def load(self, data: Data, basis: bytes = b"") -> None:
        raise NotImplementedError

    def cost(self, at: Ints, cost: Array) -> None:
        raise NotImplementedError

    def slopes(self, *names: str) -> tuple[Array, ...]:
        raise NotImplementedError

    def basis(self) -> bytes:
        raise NotImplementedError

    def bound(self, at: Ints, lower: Array, upper: Array) -> None:
        self.lower[at], self.upper[at] = lower, upper

    def run(self) -> float | None:
        self.work += WORK
        self.seen.append(tuple(zip(self.lower.tolist(), self.upper.tolist(), strict=True)))
        x = self.lower.copy()
        if x.sum() > self.need + 1e-9 or self.upper.sum() < self.need - 1e-9:
            return None
        for k in np.argsort(self.costs, kind="stable"):
            x[k] = min(self.upper[k], x[k] + max(0.0, self.need - x.sum()))
        self.x = x
        return float(self.costs @ x)


class Whole:
    """Rules: each thing is taken whole or not at all; `orders` as it is given."""

    def __init__(self, orders: int = 1, likely: int = 1) -> None:
        self.orders, self.likely = orders, likely
        self.asked: list[int] = []

    def broken(self, x: Array, lower: Array, upper: Array, order: int) -> Choice | None:
        self.asked.append(order)
        parts = np.flatnonzero((x > 1e-6) & (x < 1 - 1e-6))
        if not len(parts):
            return None
        k = int(parts[-1] if order else parts[0])
        ways = tuple(Way(np.array([k]), np.array([v]), np.array([v])) for v in (1.0, 0.0))
        return Choice(ways if self.likely else ways[::-1])


def taken(*things: int) -> Way:
    """A guess: these things are taken."""
    whole = np.ones(len(things))
    return Way(np.array(things), whole, whole)


class Sized(Fake):
    """As `Fake`, but things have sizes, so that whole ones rarely come to the need: a knapsack."""

    def __init__(self, costs: list[float], sizes: list[float], need: float) -> None:
        super().__init__(costs, need)
        self.sizes = np.array(sizes)

    def run(self) -> float | None:
        self.work += WORK
        self.seen.append(tuple(zip(self.lower.tolist(), self.upper.tolist(), strict=True)))
        if self.sizes @ self.upper < self.need - 1e-9:
            return None
        x = self.lower.copy()
        for k in np.argsort(self.costs / self.sizes, kind="stable"):
            lacks = max(0.0, self.need - float(self.sizes @ x))
            x[k] = min(self.upper[k], x[k] + lacks / self.sizes[k])
        self.x = x
        return float(self.costs @ x)


class Drawn(NamedTuple):
    costs: list[float]
    sizes: list[float]
    need: float

    def program(self) -> Sized:
        return Sized(self.costs, self.sizes, self.need)

    def best(self) -> float:
        """Of all subsets."""
        costs, sizes = np.array(self.costs), np.array(self.sizes)
        taken = [np.array(one) for one in product((0, 1), repeat=len(costs))]
        return min(float(costs @ one) for one in taken if sizes @ one >= self.need - 1e-9)


def knapsack(seed: int, things: int = 8) -> Drawn:
    rng = np.random.default_rng(seed)
    sizes = np.round(rng.uniform(1, 6, things), 2)
    costs = np.round(sizes * rng.uniform(0.8, 1.3, things), 2)
    return Drawn(
        costs.tolist(), sizes.tolist(), round(float(sizes.sum() * rng.uniform(0.3, 0.8)), 2)
    )


def assert_stands(found: Searched, program: Fake) -> None:
    """The solution is the program's within the bounds that are told with it."""
    assert (found.lower - 1e-9 <= found.x).all()
    assert (found.x <= found.upper + 1e-9).all()
    assert float(program.costs @ found.x) == pytest.approx(found.value)


# --- its answer and its certificate ---------------------------------------------------------------


def test_what_breaks_no_rule_is_the_answer_of_one_program() -> None:
    program = Fake([1.0, 2.0, 3.0], need=2.0)
    found = search(program, Whole(), THOROUGH)
    assert (found.value, found.gap, found.x.tolist()) == (3.0, 0.0, [1.0, 1.0, 0.0])
    assert set(program.seen) == {((0.0, 1.0),) * 3}  # nothing was decided


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("orders", [1, 2])
def test_it_finds_the_best_of_all_and_says_that_it_is(seed: int, orders: int) -> None:
    drawn = knapsack(seed)
    program = drawn.program()
    found = search(program, Whole(orders), THOROUGH)
    assert found.value == pytest.approx(drawn.best())
    assert found.gap == pytest.approx(0.0, abs=1e-9)
    assert_stands(found, program)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("easy", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("most_work", [20, 60, 120])
def test_the_best_is_never_below_the_certificate(seed: int, easy: float, most_work: int) -> None:
    """Ended early, or followed without a look at the other way: it says how far it may be."""
    drawn = knapsack(seed)
    program = drawn.program()
    budget = Budget(easy=easy, good=0.0, enough=0.0, work=most_work, most_work=most_work)
    found = search(program, Whole(), budget)
    assert found.value - found.gap - 1e-9 <= drawn.best() <= found.value + 1e-9
    assert_stands(found, program)


def test_an_untried_way_is_looked_at_later() -> None:
    """The first way looks easy, and is followed; the other one is better in the end.

    By the part the second thing is the cheapest after the first, and the third hardly dearer.
    """
    drawn = Drawn(costs=[4.0, 8.0, 7.0], sizes=[4.0, 7.0, 6.0], need=10.0)
    program = drawn.program()
    greedy = search(drawn.program(), Whole(), THOROUGH._replace(easy=100.0, good=100.0))
    assert (greedy.value, drawn.best()) == (12.0, 11.0)
    assert greedy.value - greedy.gap <= 11.0
    found = search(program, Whole(), THOROUGH._replace(easy=100.0))
    assert (found.value, found.gap) == (11.0, 0.0)
    assert found.x.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("seed", range(40))
def test_a_guess_hides_nothing_from_the_search_nor_from_the_certificate(seed: int) -> None:
    """It may be far from the best: what it leaves out is looked at all the same."""
    drawn = knapsack(seed)
    found = search(drawn.program(), Whole(), THOROUGH, taken(seed % 8, (seed + 3) % 8))
    assert found.value == pytest.approx(drawn.best())
    assert found.gap == pytest.approx(0.0, abs=1e-9)
    hasty = THOROUGH._replace(most_work=20)
    early = search(drawn.program(), Whole(), hasty, taken(seed % 8))
    assert early.value - early.gap - 1e-9 <= drawn.best() <= early.value + 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_near_a_solution_only_what_is_better_replaces_it(seed: int) -> None:
    """What it leaves at zero stays there; the certificate goes on to hold for everything."""
    drawn = knapsack(seed)
    program = drawn.program()
    program.run()
    relaxed = program.x.copy()
    budget = THOROUGH._replace(most_work=20)
    first = search(drawn.program(), Whole(), budget)
    shared = np.flatnonzero((first.x < 1e-6) & (relaxed < 1e-6))
    found = near(program, Whole(), THOROUGH._replace(most_work=10**6), first, shared)
    assert found.value <= first.value
    assert (found.x is first.x) == (found.value == first.value)
    assert (found.x[shared] == 0.0).all()
    assert found.value - found.gap - 1e-9 <= drawn.best() <= found.value + 1e-9
    assert_stands(found, program)
    held = [k for k in range(8) if k not in shared]
    rest = Drawn([drawn.costs[k] for k in held], [drawn.sizes[k] for k in held], drawn.need)
    assert found.value == pytest.approx(rest.best())


def test_near_a_solution_it_may_end_before_it_finds_any() -> None:
    drawn = knapsack(3)
    first = search(drawn.program(), Whole(), THOROUGH)
    program = drawn.program()
    found = near(program, Whole(), THOROUGH._replace(most_work=0), first, np.arange(0))
    assert found.x is first.x
    program.upper[:] = 0.0  # nothing can be taken at all
    found = near(program, Whole(), THOROUGH, first, np.arange(0))
    assert found is first


def test_a_guess_that_leads_nowhere_is_no_harm() -> None:
    drawn = Drawn(costs=[4.0, 8.0, 7.0], sizes=[4.0, 7.0, 6.0], need=10.0)
    program = drawn.program()
    program.upper[1] = 0.0
    found = search(program, Whole(), THOROUGH, taken(1))
    assert found.value == 11.0


def test_a_way_that_leads_nowhere_is_left() -> None:
    """All three are needed: none may be left out, and the search does not fall for it."""
    drawn = Drawn(costs=[1.0, 1.0, 1.5], sizes=[1.0, 1.0, 1.0], need=2.5)
    found = search(drawn.program(), Whole(likely=0), THOROUGH._replace(easy=0.2))
    assert (found.value, found.gap) == (3.5, 0.0)


def test_no_solution_at_all_is_an_error() -> None:
    with pytest.raises(SolveFailedError):
        search(Fake([1.0], need=2.0), Whole(), THOROUGH)


def test_no_solution_that_respects_the_rules_is_an_error() -> None:
    with pytest.raises(SolveFailedError):
        search(Fake([1.0, 1.0], need=1.5), Whole(), THOROUGH)


# --- where it ends --------------------------------------------------------------------------------


def hard(budget: Budget) -> tuple[Searched, Sized, Drawn]:
    drawn = knapsack(5, things=12)
    program = drawn.program()
    return search(program, Whole(), budget), program, drawn


def test_the_most_work_ends_it() -> None:
    whole, all_of_it, drawn = hard(THOROUGH)
    assert whole.value == pytest.approx(drawn.best())
    works = []
    for most in (50, 200, 500):
        found, program, _ = hard(THOROUGH._replace(most_work=most))
        works.append(program.work)
        assert program.work <= most + 40 * WORK  # at most the way down that had begun
        assert found.value - found.gap <= drawn.best() + 1e-9
    assert works == sorted(works)
    assert works[0] < all_of_it.work


def test_good_ends_it_at_once_and_enough_once_the_work_is_spent() -> None:
    _, thorough, drawn = hard(THOROUGH)
    good, first, _ = hard(THOROUGH._replace(good=100.0))
    assert first.work < thorough.work
    assert good.gap <= 100.0
    assert good.value - good.gap <= drawn.best() + 1e-9
    enough, later, _ = hard(THOROUGH._replace(enough=100.0, work=first.work + 5 * WORK))
    assert first.work < later.work < thorough.work
    assert enough.value <= good.value
    short, never, _ = hard(THOROUGH._replace(enough=0.0, work=WORK))
    assert never.work == thorough.work  # spent, but not near enough
    assert short.gap == pytest.approx(0.0, abs=1e-9)


def test_the_second_order_is_tried_only_where_the_first_left_doubt() -> None:
    sure, doubtful = Whole(orders=2), Whole(orders=2)
    search(Fake([1.0, 2.0], need=1.0), sure, THOROUGH._replace(enough=1.0))
    assert set(sure.asked) == {0}
    drawn = knapsack(5, things=12)
    search(drawn.program(), doubtful, THOROUGH)
    assert set(doubtful.asked) == {0, 1}


def test_a_better_part_of_a_way_is_looked_at_and_the_rest_is_kept() -> None:
    """`instead` is tried in place of the last way, which stays open: the best is not lost."""

    class Instead(Whole):
        def broken(self, x: Array, lower: Array, upper: Array, order: int) -> Choice | None:
            choice = super().broken(x, lower, upper, order)
            if choice is None:
                return None
            weak = np.flatnonzero((x > 1e-6) & (x < 1 - 1e-6) | (upper < 1e-6) | (x < 1e-6))
            at = np.array([k for k in weak if lower[k] < 1e-6])
            return Choice(choice.ways, Way(at, np.zeros(len(at)), np.zeros(len(at))))

    for seed in range(40):
        drawn = knapsack(seed)
        found = search(drawn.program(), Instead(), THOROUGH)
        assert found.value == pytest.approx(drawn.best()), seed
        assert found.gap == pytest.approx(0.0, abs=1e-9)
