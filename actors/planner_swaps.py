"""Several cars at one wallbox: who is plugged in when, as data, rows and rule of the search.

At each wallbox one car is plugged in; cars that wait may follow it, in any order, each for one
stay. A stay begins with a swap: people walk at the start of a slot, never now and never in quiet
hours (INV-93), and that costs something. So of two cars one has charged its last before a slot at
which people may swap, and the other charges from that slot on.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from actors.planner_directions import TINY_KWH
from actors.planner_model import MONEY_SCALE, SWAP, Array, Ints, swap_columns
from actors.planner_problem import CarNeed, Problem
from actors.planner_search import Choice, Way

UNDECIDED = 1e-9
"""A swap that is less is none; a car's need times that is nothing."""
DECIDED = 1 - 1e-6


class Rivals(NamedTuple):
    """Two cars (numbers) of one wallbox. `first_is_plugged`: so the other one comes after it."""

    first: int
    second: int
    first_is_plugged: bool


def waiting_of(problem: Problem) -> tuple[int, ...]:
    """For each car: 0 where it is plugged in, else a number that its vehicle has everywhere.

    Empty where no car waits.
    """
    if not any(car.waiting for car in problem.cars):
        return ()
    numbers: dict[str, int] = {}
    return tuple(
        numbers.setdefault(car.vehicle.casefold(), len(numbers) + 1) if car.waiting else 0
        for car in problem.cars
    )


def plugged_only(problem: Problem) -> Problem:
    """The same question without the cars that wait."""
    cars = tuple(car for car in problem.cars if not car.waiting)
    return problem if len(cars) == len(problem.cars) else replace(problem, cars=cars)


def swap_slots(problem: Problem) -> Ints:
    """The slots at whose start people may swap: not the present one, for they have to walk."""
    count = len(problem.load_kw)
    loud = ~np.array(problem.quiet, dtype=bool) if problem.quiet else np.ones(count, dtype=bool)
    found = np.flatnonzero(loud[:count])
    return found[found > 0]


def from_first_swap(problem: Problem, car: CarNeed, most: Array) -> Array:
    """What a car can take at most per slot: one that waits nothing before the first swap."""
    if not car.waiting:
        return most
    slots = swap_slots(problem)
    begins = int(slots[0]) if len(slots) else len(most)
    return np.where(np.arange(len(most)) >= begins, most, 0.0)


def rivals_of(problem: Problem) -> tuple[Rivals, ...]:
    """All pairs of cars of one wallbox of which at least one waits."""
    cars = problem.cars
    plugged_first = sorted(range(len(cars)), key=lambda k: cars[k].waiting)
    return tuple(
        Rivals(one, other, not cars[one].waiting)
        for one, other in combinations(plugged_first, 2)
        if cars[other].waiting
        and cars[one].loadpoint.casefold() == cars[other].loadpoint.casefold()
    )


# --- the linear part ------------------------------------------------------------------------------


def wallboxes_of(problem: Problem) -> tuple[int, ...]:
    """For each car the number of its wallbox. Empty where no car waits."""
    if not any(car.waiting for car in problem.cars):
        return ()
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(car.loadpoint.casefold(), len(numbers)) for car in problem.cars)


def add_swaps(data: dict[str, Array | float], problem: Problem) -> None:
    """The data of swaps and of cars that wait; nothing where no car does."""
    waiting = waiting_of(problem)
    if not waiting:
        return
    count = len(swap_columns(waiting))
    data[f"{SWAP}_cost"] = np.full(count, MONEY_SCALE * problem.swap_cost_eur)
    data[f"{SWAP}_min"], data[f"{SWAP}_max"] = np.zeros(count), np.ones(count)
    for k, number in enumerate(waiting):
        most = np.asarray(data[f"car{k}_max"])
        data[f"car{k}_share"] = np.where(most > TINY_KWH, 1 / np.maximum(most, TINY_KWH), 0.0)
        if number:  # what it can get at all, so that a part of a swap buys no more than that
            need = float(data[f"car{k}_need"])
            data[f"car{k}_stay"] = min(need, float(most.sum()))
            data[f"car{k}_need"] = 0.0


# --- the rule -------------------------------------------------------------------------------------


class SwapRule:
    """Each waiting car is plugged in or not; those of one wallbox come one after the other."""

    def __init__(self, problem: Problem, columns: dict[str, slice], worth: Array) -> None:
        self._worth = worth
        self.waiting = waiting_of(problem)
        self.rivals = rivals_of(problem) if self.waiting else ()
        self.slots = swap_slots(problem)
        self._swaps = _span(columns[SWAP]) if SWAP in columns else np.arange(0)
        self.cars = [_span(columns[f"car{k}"]) for k in range(len(problem.cars))]

    def swap_of(self, k: int) -> int | None:
        """The column of a waiting car's swap; None for one that is plugged in."""
        at = swap_columns(self.waiting).get(k)
        return None if at is None else int(self._swaps[at])

    def broken(self, x: Array) -> Choice | None:
        """The ways out: to swap or not, then who is plugged in when."""
        if not self.waiting:
            return None
        parts = x[self._swaps]
        half = (parts > UNDECIDED) & (parts < DECIDED)
        if half.any():
            return _to_swap_or_not(self._swaps, parts, half)
        for rivals in self.rivals:
            choice = self._together(x, rivals)
            if choice is not None:
                return choice
        return None

    def _together(self, x: Array, rivals: Rivals) -> Choice | None:
        """The ways out of two cars at one wallbox without a swap between them."""
        one, other = x[self.cars[rivals.first]], x[self.cars[rivals.second]]
        ons = np.flatnonzero(one > TINY_KWH), np.flatnonzero(other > TINY_KWH)
        if not len(ons[0]) or not len(ons[1]) or self._can_swap(*ons):
            return None
        if not rivals.first_is_plugged and self._can_swap(ons[1], ons[0]):
            return None
        begun = ons[1][0] if rivals.first_is_plugged else max(ons[0][0], ons[1][0])
        over = ons[0][-1] if rivals.first_is_plugged else min(ons[0][-1], ons[1][-1])
        before = self.slots[self.slots <= begun][-1:]
        between = self.slots[(self.slots > begun) & (self.slots <= over)]
        # both are cut at each of these slots, whatever way is gone
        slots = np.concatenate([before, between])
        after = np.array([self._next(int(s), len(one)) for s in slots])
        ways = [*self._ways(rivals.first, rivals.second, x, slots, after)]
        if not rivals.first_is_plugged:
            ways += self._ways(rivals.second, rivals.first, x, slots, after)
        ways.sort(key=lambda lost: lost[0])
        return Choice(tuple(way for _, way in ways))

    def _can_swap(self, first: Ints, second: Ints) -> bool:
        """Whether people may swap after the last slot of the first, before the second's first."""
        return bool(((self.slots > first[-1]) & (self.slots <= second[0])).any())

    def _next(self, slot: int, count: int) -> int:
        later = self.slots[self.slots > slot]
        return int(later[0]) if len(later) else count

    def _ways(
        self, first: int, second: int, x: Array, slots: Ints, after: Ints
    ) -> Iterator[tuple[float, Way]]:
        """The swap is at that slot or before it, or at the next one or later; and what each costs.

        The slot is the one that leaves both about as much of what they would take is worth.
        """
        ends, begins = self.cars[first], self.cars[second]
        taken = np.cumsum(x[ends] * self._worth[first])
        given = np.concatenate([[0.0], np.cumsum(x[begins] * self._worth[second])])
        lost_first = taken[-1] - np.concatenate([[0.0], taken])[slots]
        lost_second = given[after]
        at = int(np.argmin(np.abs(lost_first - lost_second)))
        yield float(lost_first[at]), _nothing(ends[slots[at] :])
        yield float(lost_second[at]), _nothing(begins[: after[at]])


def _to_swap_or_not(columns: Ints, parts: Array, half: NDArray[np.bool_]) -> Choice:
    """The likeliest swap first, as it is likely."""
    at = int(np.argmax(np.where(half, parts, -1.0)))
    column = columns[at : at + 1]
    ways = [Way(column, np.ones(1), np.ones(1)), _nothing(column)]
    return Choice(tuple(ways if parts[at] >= 0.5 else reversed(ways)))


def _nothing(columns: Ints) -> Way:
    zero = np.zeros(len(columns))
    return Way(columns, zero, zero)


def _span(at: slice) -> Ints:
    return np.arange(at.start, at.stop)
