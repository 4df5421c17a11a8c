"""What a plan has to respect that a linear program cannot say, as rules for the search.

A car draws nothing or at least its minimum power; the battery has one direction, and so has the
grid; the battery never feeds the grid; nothing is bought for battery or car where that is not
permitted (INV-09, INV-11, INV-13, INV-18). Energies in kWh per slot.
"""

import numpy as np
from numpy.typing import NDArray

from actors.planner_case import TINY_KWH, Case
from actors.planner_directions import Pair, everywhere, one_direction
from actors.planner_goals import barred
from actors.planner_model import Array, Ints
from actors.planner_search import Choice, Way
from actors.planner_swaps import SwapRule

Bools = NDArray[np.bool_]


CARS_FIRST = 0


class PlanRules:
    """The rules of one case, over the columns of its program."""

    def __init__(self, case: Case, columns: dict[str, slice]) -> None:
        self.orders = 2
        self._at = {name: np.arange(at.start, at.stop) for name, at in columns.items()}
        self._cars = [self._at[f"car{k}"] for k in range(len(case.problem.cars))]
        self.least = case.least
        self.swaps = SwapRule(case.problem, columns, case.worth)
        self.most = [np.asarray(case.data[f"car{k}_max"]) for k in range(len(self._cars))]
        pairs = self._pairs(case)
        self.sells = tuple(pairs[:1]) if pairs[0].where.any() else ()
        self.others = tuple(one for one in pairs[1:] if one.where.any())

    def _pairs(self, case: Case) -> list[Pair]:
        at, store = self._at, case.problem.store
        bought = [at["grid_import"]]
        sold = [at["grid_export"]]
        if "import_over" in at:
            bought.append(at["import_over"])
            sold.append(at["export_over"])
        buy, sell = np.stack(bought), np.stack(sold)
        pairs = [Pair(buy, sell, case.prices.sell > case.prices.buy)]
        for k, own in enumerate(self._cars):
            pairs.append(Pair(own[None], buy, ~case.permitted[k]))
        if store is None:
            return pairs
        into, out_of = at["charge"][None], at["discharge"][None]
        if not store.feeds_cars:  # it is held while a car draws more than sun
            lacks = np.asarray(case.data["net_load"]) > TINY_KWH
            pairs += [Pair(own[None], out_of, lacks) for own in self._cars]
        return [
            *pairs,
            everywhere(into, out_of),
            everywhere(out_of, sell),
            Pair(into, buy, barred(store, case.prices)),
        ]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All of which only one may flow."""
        return (*self.sells, *self.others)

    def decided(self) -> Ints:
        """All columns of which some rule asks whether they are zero."""
        groups = [group.ravel() for pair in self.pairs for group in (pair.one, pair.other)]
        return np.unique(np.concatenate([*groups, *self._cars]))

    def semicontinuous(self) -> list[tuple[int, float]]:
        """Columns that are zero or at least so much."""
        return [
            (int(at), float(least))
            for own, leasts in zip(self._cars, self.least, strict=True)
            for at, least in zip(own, leasts, strict=True)
            if least > TINY_KWH
        ]

    def broken(self, x: Array, lower: Array, upper: Array, order: int) -> Choice | None:
        """The ways out of the rule that is broken most clearly, or None.

        First whether a slot sells or buys where that pays, and who is plugged in when. Then the
        cars, and last what the program does to get around their minimum power; in the other order
        these two change places.
        """
        sells = one_direction(self.sells, x, lower)
        if sells is not None:
            return sells
        plugged = self.swaps.broken(x)
        if plugged is not None:
            return plugged
        if order == CARS_FIRST:
            return self._car(x, upper) or one_direction(self.others, x, lower)
        return one_direction(self.others, x, lower) or self._car(x, upper)

    def _car(self, x: Array, upper: Array) -> Choice | None:
        best, found = -1.0, None
        for k, own in enumerate(self._cars):
            kwh, least = x[own], self.least[k]
            weak = (kwh > TINY_KWH) & (kwh < least - TINY_KWH)
            if weak.any():
                share = np.where(weak, kwh / np.maximum(least, TINY_KWH), -1.0)
                t = int(np.argmax(share))
                if share[t] > best:
                    best = float(share[t])
                    ends, rest = (least[t], upper[own[t]]), own[kwh < least - TINY_KWH]
                    found = _on_or_off(own[t], ends, rest, self._not_beside(own, t))
        return found

    def _not_beside(self, own: Ints, t: int) -> Ints:
        """What must not flow where this car charges in slot `t`.

        Told with the decision: what it makes impossible is seen at once, not many decisions later.
        """
        rules = (one for one in self.others if own[t] in one.one[:, t] and one.where[t])
        return np.concatenate([np.arange(0), *(one.other[:, t] for one in rules)])


def _on_or_off(column: np.int64, ends: tuple[float, float], rest: Ints, beside: Ints) -> Choice:
    """At least its minimum in a slot, or nothing; or nothing in all the `rest`, where it is not on.

    `ends`: the least and the most of it. `beside`: what does not flow where it is on.
    """
    least, most = ends
    off = Way(np.array([column]), np.zeros(1), np.zeros(1))
    if least > most + TINY_KWH:
        return Choice((off,))
    none, nothing = np.zeros(len(beside)), np.zeros(len(rest))
    on = Way(np.append(column, beside), np.append(least, none), np.append(most, none))
    return Choice((on, off), Way(rest, nothing, nothing))
