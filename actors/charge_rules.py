"""What evcc's protocol asks that a linear program cannot say, as rules for the search.

A slot imports or exports, and what may not charge from (or discharge to) the grid goes with it; a
battery charges or discharges; it charges not at all or with its least power; and what it has to be
charged is excused only where it is full. Energies in kWh per slot.
"""

from typing import NamedTuple

import numpy as np

from actors.charge_case import Bools, Case
from actors.planner_directions import TINY_KWH as CLEAR
from actors.planner_directions import Pair, everywhere, one_direction
from actors.planner_model import Array, Ints
from actors.planner_search import Choice, Way


class Charging(NamedTuple):
    """Columns and numbers of one battery's charging."""

    charge: Ints
    stored: Ints
    least: Array
    demand: Array
    excused: Ints | None
    full: float
    only_charges: bool


class ScheduleRules:
    """The rules of one case, over the columns of its program."""

    def __init__(self, case: Case, columns: dict[str, slice]) -> None:
        self.orders = 2
        at = {name: np.arange(span.start, span.stop) for name, span in columns.items()}
        bought = [at[name] for name in ("buy", "buy_over") if name in at]
        sold = [at["sell"]]
        if case.shape.export_limit and case.request.p_max_exp != 0:
            sold.append(at["sell_over"])
        self.pairs: list[Pair] = []
        self.charging: list[Charging] = []
        for k, store in enumerate(case.stores):
            charge, discharge = at[f"c{k}"], at[f"d{k}"]
            if not store.battery.charge_from_grid:
                sold.append(charge)
            if not store.battery.discharge_to_grid:
                bought.append(discharge)
            if store.battery.d_max > 0:
                self.pairs.append(everywhere(charge[None], discharge[None]))
            needs = case.shape.batteries[k]
            self.charging.append(
                Charging(
                    charge,
                    at[f"s{k}"],
                    store.charge_least,
                    store.demand,
                    at[f"excused{k}"] if needs.demand else None,
                    store.full,
                    store.battery.d_max <= 0,
                )
            )
        self.pairs.insert(0, everywhere(np.stack(bought), np.stack(sold)))

    def broken(self, x: Array, lower: Array, upper: Array, order: int) -> Choice | None:
        """The ways out of a broken rule: what has to be charged first, then directions.

        In the other order least powers come before directions.
        """
        for own in self.charging:
            found = _excuse(own, x, lower, upper)
            if found is not None:
                return found
        if order == 0:
            return one_direction(self.pairs, x, lower) or self._weak(x, lower, upper)
        return self._weak(x, lower, upper) or one_direction(self.pairs, x, lower)

    def _weak(self, x: Array, lower: Array, upper: Array) -> Choice | None:
        """Out of charging below the least power, where it is nearest to it."""
        best, found = -1.0, None
        for own in self.charging:
            kwh = x[own.charge]
            weak = (kwh > CLEAR) & (kwh < own.least - CLEAR) & ~near_full(own, x)
            if weak.any():
                clear = np.where(weak, kwh / np.maximum(own.least, CLEAR), -1.0)
                t = int(np.argmax(clear))
                if clear[t] > best:
                    best, found = float(clear[t]), _on_or_off(own, t, kwh, lower, upper)
        return found

    def likely(self, x: Array, lower: Array, upper: Array, *, all_ways: bool) -> Way | None:
        """The likelier way out for the clearer half of all that is broken; None: nothing is.

        `all_ways`: every slot keeps the direction that it has, broken or not.
        """
        for own in self.charging:
            found = _excuse(own, x, lower, upper)
            if found is not None:
                return found.ways[0]
        low, high, some = lower.copy(), upper.copy(), False
        for pair in self.pairs:
            one, other = x[pair.one].sum(axis=0), x[pair.other].sum(axis=0)
            wrong = np.flatnonzero((one > CLEAR) & (other > CLEAR))
            clear = np.abs(one - other) / (one + other + CLEAR)
            slots = _clearer(wrong, clear)
            if all_ways and len(wrong):
                slots = np.arange(len(one))
            for t in slots:
                first, second = (pair.other, pair.one)[:: 1 if one[t] >= other[t] else -1]
                drop = second if (lower[first[:, t]] > CLEAR).any() else first
                high[drop[:, t]], some = np.maximum(0.0, low[drop[:, t]]), True
        for own in () if some else self.charging:
            kwh = x[own.charge]
            weak = (kwh > CLEAR) & (kwh < own.least - CLEAR) & ~near_full(own, x)
            share = kwh / np.maximum(own.least, CLEAR)
            for t in _clearer(np.flatnonzero(weak), share):
                at, some = own.charge[t], True
                if share[t] >= 0.5 and own.least[t] <= upper[at] + CLEAR:
                    low[at] = min(own.least[t], upper[at])
                elif lower[at] <= CLEAR:
                    high[at] = 0.0
        return Way(np.arange(len(x)), low, high) if some else None

    def settled(self, x: Array, lower: Array, upper: Array) -> Way:
        """Bounds that keep every decision that is in `x` (with a solver's tolerance)."""
        low, high, near = lower.copy(), upper.copy(), 10 * CLEAR
        for pair in self.pairs:
            one = x[pair.one].sum(axis=0) >= x[pair.other].sum(axis=0)
            for group, drop in ((pair.one, ~one), (pair.other, one)):
                high[group[:, drop]] = np.maximum(0.0, low[group[:, drop]])
        for own in self.charging:
            on = x[own.charge] >= own.least - near
            last = ~on & (x[own.charge] > near) & (own.demand > 0)
            low[own.charge[on]] = np.minimum(own.least, high[own.charge])[on]
            high[own.charge[~on & ~last]] = 0.0
            low[own.stored[last]] = np.maximum(low[own.stored], own.full - own.least)[last]
            if own.excused is not None:
                full = x[own.stored] >= own.full - near
                excused = full & (x[own.excused] > near)
                level = np.minimum(own.full, high[own.stored])
                low[own.stored[excused]] = np.maximum(low[own.stored], level)[excused]
                high[own.excused[~excused]] = 0.0
        return Way(np.arange(len(x)), low, high)


def _clearer(slots: Ints, clear: Array) -> Ints:
    """The half of these slots where it is clearer."""
    order = np.argsort(-clear[slots], kind="stable")
    return slots[order[: -(-len(slots) // 2)]]


def near_full(own: Charging, x: Array) -> Bools:
    """Where the last bit may be charged below the least power: something has to be charged."""
    return (own.demand > 0) & (x[own.stored] >= own.full - own.least - CLEAR)


def _on_or_off(own: Charging, t: int, kwh: Array, lower: Array, upper: Array) -> Choice:
    """With its least power in slot `t`, or nothing, or (where it has to charge) the last bit."""
    column, zero = own.charge[t : t + 1], np.zeros(1)
    least = own.least[t : t + 1]
    ways = []
    if least[0] <= upper[own.charge[t]] + CLEAR:
        ways.append(Way(column, np.minimum(least, upper[column]), upper[column].copy()))
    if lower[own.charge[t]] <= CLEAR:
        ways.append(Way(column, zero, zero))
    if own.demand[t] > 0:
        at = np.array([own.charge[t], own.stored[t]])
        low = np.array([0.0, max(lower[at[1]], own.full - least[0])])
        high = np.array([min(upper[at[0]], least[0]), upper[at[1]]])
        if low[1] <= high[1]:
            ways.insert(0 if kwh[t] < 0.5 * least[0] else 1, Way(at, low, high))
    return Choice(tuple(ways))


def _excuse(own: Charging, x: Array, lower: Array, upper: Array) -> Choice | None:
    """Excused without being full. It is full by a slot, or what is asked for counts until then."""
    if own.excused is None:
        return None
    stored = x[own.stored]
    wrong = (x[own.excused] > CLEAR) & (stored < own.full - CLEAR)
    if not wrong.any():
        return None
    if not own.only_charges:
        t = int(np.argmax(wrong))
        return _full_or_not(own, t, np.array([t]), lower, upper, first=False)
    # follow the demand: the slot in which it would be full is the likeliest one
    kwh = np.maximum(x[own.charge], np.where(wrong, own.demand, 0.0))
    gained = stored + np.cumsum((kwh - x[own.charge]) * _eta(own, x))
    reached = np.flatnonzero((gained >= own.full - CLEAR) & (own.demand > 0))
    last = int(np.flatnonzero(wrong)[-1])
    t = int(reached[0]) if len(reached) else last
    if not len(reached):
        return _full_or_not(own, last, np.arange(last + 1), lower, upper, first=False)
    if lower[own.stored[t]] >= own.full - CLEAR:  # settled: then not before either
        before = np.flatnonzero(wrong[:t])
        t = int(before[-1]) if len(before) else last
        return _full_or_not(own, t, np.arange(t + 1), lower, upper, first=False)
    return _full_or_not(own, t, np.arange(t + 1), lower, upper, first=True)


def _eta(own: Charging, x: Array) -> float:
    """How much of what is charged is stored, read off the solution."""
    gained = float(x[own.stored[-1]] - x[own.stored[0]])
    charged = float(x[own.charge[1:]].sum())
    return gained / charged if charged > CLEAR else 1.0


def _full_or_not(
    own: Charging, t: int, until: Ints, lower: Array, upper: Array, *, first: bool
) -> Choice:
    """Full after slot `t`, or nothing is excused in the slots of `until`."""
    assert own.excused is not None
    at, zero = own.excused[until], np.zeros(len(until))
    ways = [Way(at, zero, zero)]
    stored = own.stored[t : t + 1]
    if upper[stored[0]] >= own.full - CLEAR:
        level = np.maximum(lower[stored], min(own.full, float(upper[stored[0]])))
        ways.insert(0 if first else 1, Way(stored, level, upper[stored].copy()))
    return Choice(tuple(ways))
