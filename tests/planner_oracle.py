"""The best plan there is, for homes of a few slots: every way is looked at.

It knows the question only, nothing of the planner's model. Energies in kWh per slot on the AC
side. In EUR, to be made small (what only breaks ties is left out):

    bought x tariff + beyond the limit x (tariff + 10 x unmet)
  - sold x feed-in + beyond the limit x (0.50 - feed-in)
  + given by the battery x its wear + 0.03 per slot and kWh outside its SoC band
  - stored at the end x its value - each car's kWh x what they are worth in that slot

A car's kWh is worth `unmet` until its departure and from then on 60 % of it, 2 % of it less for
each slot; without a departure its usual cheap price: the lower quarter of what a kWh costs (the
feed-in forgone under sun, else the tariff) and 0.1 ct; at once: `unmet`, 2 % less for each slot.
Stored energy is worth what it will save, 98 % of the mean tariff through the battery less its wear,
at most 105 % of its replacement, the lower quarter of a kWh's cost into the battery.

The rules, in each slot: the house has what it needs; the battery takes or gives; only sun is sold,
never the battery's; nothing is both bought and sold; a battery that may not buy takes sun alone. A
car draws nothing or at least its minimum; where it is not worth the tariff nothing is bought while
it charges, and it gets sun or its minimum. A car of nearly one power (most < 1.25 x least) charges
for a part of a slot: sun serves it for that part only.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from actors.planner_problem import CarNeed, Problem, Store

TINY = 1e-7
NEVER = float("inf")
QUARTER = timedelta(minutes=15)
NEVER_FORCED = (0.0, 0.0)
Flow = tuple[str, int]
Broken = tuple[tuple[dict[Flow, float], bool], ...]
"""Ways out: bounds of flows, lower ones (True) or upper ones."""


class Best(NamedTuple):
    """What the best plan costs, and its flows."""

    eur: float
    flows: dict[Flow, float]


class Oracle:
    """One question; all prices are known."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.n = problem, len(problem.load_kw)
        begin = problem.at.replace(minute=problem.at.minute // 15 * 15, second=0, microsecond=0)
        self.starts = [problem.at, *(begin + t * QUARTER for t in range(1, self.n))]
        ends = [begin + (t + 1) * QUARTER for t in range(self.n)]
        self.end = ends[-1]
        self.hours = [
            (end - start) / timedelta(hours=1) for start, end in zip(self.starts, ends, strict=True)
        ]
        self.ends = ends
        self.buy = [float(one) for one in problem.import_eur_kwh if one is not None]
        self.sell = [float(one) for one in problem.export_eur_kwh if one is not None]
        assert len(self.buy) == len(self.sell) == self.n
        self.net = [
            (load - sun) * h
            for load, sun, h in zip(problem.load_kw, problem.pv_kw, self.hours, strict=True)
        ]
        self.sun = [max(0.0, -one) for one in self.net]
        marginal = [
            min(self.buy[t], self.sell[t]) if self.sun[t] > 1e-6 else self.buy[t]
            for t in range(self.n)
        ]
        self.cheap = sorted(marginal)[(self.n - 1) // 4]
        self.worth = [self._worth(car) for car in problem.cars]
        self.names = self._names()
        self.at = {name: k for k, name in enumerate(self.names)}

    # --- what things are worth ---------------------------------------------------------------

    def _worth(self, car: CarNeed) -> list[float]:
        usual, unmet = round(self.cheap + 0.001, 6), self.problem.unmet_eur_kwh
        last = self._last(car)
        if car.asap:
            return [max(unmet * (1 - 0.02 * t), usual) for t in range(self.n)]
        if last is None:
            return [usual] * self.n
        return [
            max(unmet, usual) if t <= last else max(unmet * (0.6 - 0.02 * (t - last)), usual)
            for t in range(self.n)
        ]

    def _last(self, car: CarNeed) -> int | None:
        """The last slot most of which is before its departure."""
        if car.departure is None or not self.problem.at < car.departure <= self.end:
            return None
        half = timedelta(minutes=7.5)
        within = [t for t in range(1, self.n) if self.starts[t] + half <= car.departure]
        return max(within, default=0)

    def _end_value(self, store: Store) -> float:
        use = store.discharge_efficiency * sum(self.buy) / self.n - store.wear_eur_kwh
        return round(max(0.001, min(0.98 * use, 1.05 * self.cheap / store.charge_efficiency)), 6)

    # --- the linear part ---------------------------------------------------------------------

    def _names(self) -> list[Flow]:
        kinds = ["bought", "bought_over", "sold", "sold_over"]
        if self.problem.store:
            kinds += ["in", "out", "stored", "below", "above"]
        kinds += [f"car{k}" for k in range(len(self.problem.cars))]
        return [(kind, t) for kind in kinds for t in range(self.n)]

    def price(self, flow: Flow) -> float:
        """EUR per kWh."""
        (kind, t), store, unmet = flow, self.problem.store, self.problem.unmet_eur_kwh
        if kind.startswith("car"):
            return -self.worth[int(kind[3:])][t]
        if kind == "stored":
            return -self._end_value(store) if store and t == self.n - 1 else 0.0
        return {
            "bought": self.buy[t],
            "bought_over": self.buy[t] + 10 * unmet,
            "sold": -self.sell[t],
            "sold_over": 0.5 - self.sell[t],
            "out": store.wear_eur_kwh if store else 0.0,
            "below": 0.03,
            "above": 0.03,
        }.get(kind, 0.0)

    def draws(self, k: int, t: int) -> float:
        """What a car needs to charge at all in a slot."""
        car = self.problem.cars[k]
        return min(min(car.min_kw, car.max_kw) * self._open(car, t), car.need_kwh)

    def _open(self, car: CarNeed, t: int) -> float:
        since = max(self.starts[t], car.from_at) if car.from_at else self.starts[t]
        return max(0.0, (self.ends[t] - since) / timedelta(hours=1))

    def permitted(self, k: int, t: int) -> bool:
        """Whether its energy is worth the tariff."""
        return self.worth[k][t] >= self.buy[t]

    def fixed(self, k: int) -> bool:
        """A car of nearly one power."""
        car = self.problem.cars[k]
        return car.max_kw < 1.25 * car.min_kw

    def most(self, flow: Flow) -> float:
        """The largest flow."""
        (kind, t), problem, store = flow, self.problem, self.problem.store
        limit_in, limit_out = problem.import_limit_kw, problem.export_limit_kw
        h = self.hours[t]
        if kind.startswith("car"):
            k = int(kind[3:])
            full = problem.cars[k].max_kw * self._open(problem.cars[k], t)
            return full if self.permitted(k, t) else min(full, max(self.sun[t], self.draws(k, t)))
        if kind == "bought":
            return NEVER if limit_in is None else limit_in * h
        if kind == "bought_over":
            return 0.0 if limit_in is None else NEVER
        if kind == "sold":
            return self.sun[t] if limit_out is None else min(self.sun[t], limit_out * h)
        if kind == "sold_over":
            return 0.0 if limit_out is None else max(0.0, self.sun[t] - limit_out * h)
        assert store is not None
        inside = self._inside(store)
        whole = max(store.capacity_kwh, store.stored_kwh)
        return {
            "in": store.charge_kw * h,
            "out": store.discharge_kw * h,
            "stored": store.max_kwh if inside else whole,
        }.get(kind, 0.0 if inside else NEVER)

    @staticmethod
    def _inside(store: Store) -> bool:
        return store.min_kwh - 1e-6 <= store.stored_kwh <= store.max_kwh + 1e-6

    def _rows(self) -> tuple[list[tuple[dict[Flow, float], float]], ...]:
        """(equal, at most): terms and what they come to."""
        cars, store = range(len(self.problem.cars)), self.problem.store
        equal, most = [], []
        for t in range(self.n):
            balance = {("bought", t): 1.0, ("bought_over", t): 1.0}
            beyond = {("bought", t): -1.0, ("bought_over", t): -1.0}
            balance |= {("sold", t): -1.0, ("sold_over", t): -1.0}
            balance |= {(f"car{k}", t): -1.0 for k in cars}
            if store:
                balance |= {("in", t): -1.0, ("out", t): 1.0}
                beyond[("out", t)] = -1.0
                kept = {("stored", t): 1.0, ("in", t): -store.charge_efficiency}
                kept |= {("out", t): 1 / store.discharge_efficiency}
                kept |= {("stored", t - 1): -1.0} if t else {}
                equal.append((kept, 0.0 if t else self._first(store)))
                most.append(({("stored", t): -1.0, ("below", t): -1.0}, -store.min_kwh))
                most.append(({("stored", t): 1.0, ("above", t): -1.0}, store.max_kwh))
            equal.append((balance, self.net[t]))
            for k in cars:
                if self.sun[t] > 1e-6:
                    share = self.sun[t] / max(self.draws(k, t), 1e-6)
                    beyond[(f"car{k}", t)] = max(0.0, 1 - share)
            if any(self.fixed(k) for k in cars):
                most.append((beyond, 0.0))
        for k in cars:
            needed = max(0.0, self.problem.cars[k].need_kwh)
            most.append(({(f"car{k}", t): 1.0 for t in range(self.n)}, needed))
        return equal, most

    def _first(self, store: Store) -> float:
        if not self._inside(store):
            return store.stored_kwh
        return min(max(store.stored_kwh, store.min_kwh), store.max_kwh)

    # --- every way -----------------------------------------------------------------------------

    def best(self, forced: dict[Flow, tuple[float, float]] | None = None) -> Best:
        """The least cost over every way that no cheaper way makes pointless.

        `forced`: flows with other bounds; a car that has to charge may buy, whatever that is worth.
        """
        equal, most = self._rows()
        fixed = {
            "c": [self.price(name) for name in self.names],
            "A_eq": self._matrix(equal), "b_eq": [right for _, right in equal],
            "A_ub": self._matrix(most), "b_ub": [right for _, right in most],
        }  # fmt: skip
        self._best = Best(NEVER, {})
        self._forced = forced or {}
        bounds = [self._forced.get(name, (0.0, self.most(name))) for name in self.names]
        self._look(fixed, bounds)
        assert self._best.flows, "no way at all"
        return self._best

    def _matrix(self, rows: list[tuple[dict[Flow, float], float]]) -> np.ndarray:
        matrix = np.zeros((len(rows), len(self.names)))
        for k, (terms, _) in enumerate(rows):
            for name, factor in terms.items():
                matrix[k, self.at[name]] = factor
        return matrix

    def _look(self, fixed: dict, bounds: list[tuple[float, float]]) -> None:
        solved = linprog(bounds=bounds, method="highs", **fixed)
        if solved.status == 2 or (solved.status == 0 and solved.fun >= self._best.eur - 1e-9):
            return
        assert solved.status == 0, solved.message
        flows = dict(zip(self.names, solved.x.tolist(), strict=True))
        ways = next(self.broken(flows), None)
        if ways is None:
            self._best = Best(float(solved.fun), flows)
            return
        for changes, is_lower in ways:
            inner = list(bounds)
            for name, value in changes.items():
                low, high = inner[self.at[name]]
                inner[self.at[name]] = (max(low, value), high) if is_lower else (low, value)
            if all(low <= high for low, high in inner):
                self._look(fixed, inner)

    def broken(self, flows: dict[Flow, float]) -> Iterator[Broken]:
        """The rules that these flows break, as the ways out of each."""
        store = self.problem.store
        for t in range(self.n):
            bought, sold = [("bought", t), ("bought_over", t)], [("sold", t), ("sold_over", t)]
            pairs = [(bought, sold)] if self.sell[t] > self.buy[t] else []
            if store:
                pairs += [([("in", t)], [("out", t)]), ([("out", t)], sold)]
                if not (store.grid_charging and store.controllable):
                    pairs.append(([("in", t)], bought))
            for k in range(len(self.problem.cars)):
                car = (f"car{k}", t)
                if not self.permitted(k, t) and self._forced.get(car, NEVER_FORCED)[0] <= 0:
                    pairs.append(([car], bought))
                draws = self.draws(k, t)
                if not self.fixed(k) and TINY < flows[car] < draws - TINY:
                    yield (({car: draws}, True), ({car: 0.0}, False))
            for one, other in pairs:
                if all(sum(flows[name] for name in some) > TINY for some in (one, other)):
                    yield tuple((dict.fromkeys(some, 0.0), False) for some in (one, other))

    def eur(self, flows: dict[Flow, float]) -> float:
        """What these flows cost."""
        return sum(self.price(name) * value for name, value in flows.items())

    def wrong_kwh(self, flows: dict[Flow, float]) -> float:
        """By how much the flows break balances, needs and bounds."""
        equal, most = self._rows()
        wrong = [abs(self._sum(terms, flows) - right) for terms, right in equal]
        wrong += [self._sum(terms, flows) - right for terms, right in most]
        wrong += [max(-value, value - self.most(name)) for name, value in flows.items()]
        return max(wrong)

    @staticmethod
    def _sum(terms: dict[Flow, float], flows: dict[Flow, float]) -> float:
        return sum(factor * flows[name] for name, factor in terms.items())
