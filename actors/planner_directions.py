"""Flows of which only one may be above zero: what the home's and evcc's rules have in common."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.planner_model import Array, Ints
from actors.planner_search import Choice, Way

TINY_KWH = 1e-6
"""Less breaks no rule."""


class Pair(NamedTuple):
    """Two groups of columns of which one has to be zero, in the slots of `where`.

    Rows are the parts of a flow (what is bought within the limit, and beyond), columns the slots.
    """

    one: Ints
    other: Ints
    where: NDArray[np.bool_]


def everywhere(one: Ints, other: Ints) -> Pair:
    """A pair for every slot."""
    return Pair(one, other, np.ones(one.shape[1], dtype=bool))


def one_direction(pairs: Iterable[Pair], x: Array, lower: Array) -> Choice | None:
    """The ways out of two flows at once, where it is clearest which of them counts; or None."""
    best, found = -1.0, None
    for pair in pairs:
        one, other = x[pair.one].sum(axis=0), x[pair.other].sum(axis=0)
        both = pair.where & (one > TINY_KWH) & (other > TINY_KWH)
        if both.any():
            clear = np.where(both, np.abs(one - other) / (one + other + TINY_KWH), -1.0)
            t = int(np.argmax(clear))
            if clear[t] > best:
                best, found = float(clear[t]), _one_way(pair, t, bool(one[t] >= other[t]), lower)
    return found


def _one_way(pair: Pair, t: int, first: bool, lower: Array) -> Choice:
    """None of the one, or none of the other; what has to be on is left."""
    ways = []
    for drop in (pair.other, pair.one):
        at = drop[:, t]
        if not (lower[at] > TINY_KWH).any():
            zero = np.zeros(len(at))
            ways.append(Way(at, zero, zero))
    if len(ways) == 2 and not first:
        ways.reverse()
    return Choice(tuple(ways))
