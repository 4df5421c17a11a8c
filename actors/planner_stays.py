"""A plan's time at a shared wallbox: which car is plugged in when, when people swap, and why.

The swap lies as late as the next car allows, so that the car before it has its time; never in quiet
hours (INV-93).
"""

from typing import NamedTuple

import numpy as np

from actors.planner_problem import Grid, Problem
from actors.planner_swaps import swap_slots
from engine.values import Why

TINY_KW = 1e-3
"""Less is nothing that a swap is made for."""
NOT_PLUGGED_IN = Why("car_not_plugged_in")


class Stay(NamedTuple):
    """A car is plugged in from slot `begins` until before slot `ends`; None: never."""

    begins: int | None
    ends: int
    comes: Why
    """Said before it is plugged in."""
    goes: Why
    """Said when another car has taken its place."""


def stays_of(problem: Problem, grid: Grid, cars_kw: list[list[float]]) -> dict[int, Stay]:
    """The stay of each car at a wallbox where one waits."""
    if not any(car.waiting for car in problem.cars):
        return {}
    found: dict[int, Stay] = {}
    for wallbox in {car.loadpoint.casefold() for car in problem.cars if car.waiting}:
        at_box = [k for k, one in enumerate(problem.cars) if one.loadpoint.casefold() == wallbox]
        begins = {k: _begin(problem, k, cars_kw) for k in at_box}
        for k in at_box:
            found[k] = _stay(problem, grid, k, begins)
    return found


def _begin(problem: Problem, k: int, cars_kw: list[list[float]]) -> int | None:
    """The slot at whose start a car is plugged in: 0 for the one that is, None for never."""
    if not problem.cars[k].waiting:
        return 0
    charges = np.flatnonzero(np.array(cars_kw[k]) > TINY_KW)
    slots = swap_slots(problem)
    if not len(charges):
        return None
    within = slots[slots <= charges[0]]
    return int(within[-1]) if len(within) else int(charges[0])


def _stay(problem: Problem, grid: Grid, k: int, begins: dict[int, int | None]) -> Stay:
    begin, count = begins[k], len(grid.starts)
    comes = NOT_PLUGGED_IN
    if begin is not None:
        comes = Why("car_plugged_in_later", (("next_at", grid.starts[begin].isoformat()),))
    later = [(at, other) for other, at in begins.items() if at is not None and at > (begin or 0)]
    if begin is None or not later:
        return Stay(begin, count, comes, comes)
    ends, follower = min(later)
    at = grid.starts[ends].isoformat()
    numbers = (("other", problem.cars[follower].vehicle), ("next_at", at))
    return Stay(begin, ends, comes, Why("car_makes_way", numbers))


def why_not_there(stay: Stay, k: int) -> Why | None:
    """Why a car does not charge in slot `k` for want of a plug; None while it is plugged in."""
    if stay.begins is None or k < stay.begins:
        return stay.comes
    return stay.goes if k >= stay.ends else None
