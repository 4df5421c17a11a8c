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

Cars that wait can be plugged in once each, one after the other, instead of the one that is: at the
start of a slot that is not quiet, but not now; each time costs something. A vehicle that waits at
two wallboxes is plugged in at one of them.

The rules, in each slot: the house has what it needs; the battery takes or gives; only sun is sold,
never the battery's; nothing is both bought and sold; a battery that may not buy takes sun alone. A
car draws nothing or at least its minimum; where it is not worth the tariff nothing is bought while
it charges, and it gets sun or its minimum. A car of nearly one power (most < 1.25 x least) charges
for a part of a slot: sun serves it for that part only.

Wishes: what cars with a ceiling take beyond the sun in a slot above it counts a quarter of (unmet -
tariff) more, where it is before their departure; else they are not worth that tariff. Above its own
ceiling a battery takes sun alone. A battery that feeds no cars gives at most what the house lacks,
and nothing where a car charges in a house that lacks power. What is missing at a target counts 15 %
of unmet, and each slot's lack of its level (`levels`, with their price) that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from actors.planner_problem import CarNeed, Problem, Store

TINY = 1e-7
NEVER = float("inf")
QUARTER = timedelta(minutes=15)
NO_LEVELS: dict[int, tuple[float, float]] = {}
NEVER_FORCED = (0.0, 0.0)
Flow = tuple[str, int]
Stays = frozenset[Flow]
"""The cars' slots in which another one is plugged in."""
Broken = tuple[tuple[dict[Flow, float], bool], ...]
"""Ways out: bounds of flows, lower ones (True) or upper ones."""


class Best(NamedTuple):
    """What the best plan costs, and its flows."""

    eur: float
    flows: dict[Flow, float]


class Oracle:
    """One question; all prices are known. `levels`: (kWh to be stored, EUR) by slot."""

    def __init__(
        self, problem: Problem, levels: dict[int, tuple[float, float]] = NO_LEVELS
    ) -> None:
        self.problem, self.n = problem, len(problem.load_kw)
        self.levels = dict(levels)
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
        for target in problem.targets:
            if problem.at < target.by <= self.end:
                t = self._slot_before(target.by)
                kwh, eur = self.levels.get(t, (0.0, 0.0))
                self.levels[t] = max(kwh, target.stored_kwh), eur + 0.15 * problem.unmet_eur_kwh
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
        return self._slot_before(car.departure)

    def _slot_before(self, at: datetime) -> int:
        half = timedelta(minutes=7.5)
        return max((t for t in range(1, self.n) if self.starts[t] + half <= at), default=0)

    def above(self, k: int, t: int) -> bool:
        """Whether the tariff is above the car's ceiling."""
        car = self.problem.cars[k]
        return not car.asap and car.max_eur_kwh is not None and self.buy[t] > car.max_eur_kwh

    def dear(self, k: int, t: int) -> bool:
        """Above it, and before a departure all the same."""
        last = self._last(self.problem.cars[k])
        return self.above(k, t) and last is not None and t <= last

    def barred(self, t: int) -> bool:
        """Whether nothing may be bought for the battery."""
        store = self.problem.store
        assert store is not None
        ceiling = NEVER if store.max_eur_kwh is None else store.max_eur_kwh
        return not (store.grid_charging and store.controllable) or self.buy[t] > ceiling

    def _end_value(self, store: Store) -> float:
        use = store.discharge_efficiency * sum(self.buy) / self.n - store.wear_eur_kwh
        return round(max(0.001, min(0.98 * use, 1.05 * self.cheap / store.charge_efficiency)), 6)

    # --- the linear part ---------------------------------------------------------------------

    def _names(self) -> list[Flow]:
        kinds = ["bought", "bought_over", "sold", "sold_over"]
        if self.problem.store:
            kinds += ["in", "out", "stored", "below", "above"]
            kinds += ["short"] if self.levels else []
        kinds += ["dear"] if any(car.max_eur_kwh is not None for car in self.problem.cars) else []
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
            "short": self.levels.get(t, (0.0, 0.0))[1],
            "dear": 0.25 * max(0.0, unmet - self.buy[t]),
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
        return self.worth[k][t] >= self.buy[t] and (self.dear(k, t) or not self.above(k, t))

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
        if kind in ("dear", "short", "bought_over"):
            return 0.0 if kind == "bought_over" and limit_in is None else NEVER
        if kind == "sold":
            return self.sun[t] if limit_out is None else min(self.sun[t], limit_out * h)
        if kind == "sold_over":
            return 0.0 if limit_out is None else max(0.0, self.sun[t] - limit_out * h)
        assert store is not None
        inside = self._inside(store)
        whole = max(store.capacity_kwh, store.stored_kwh)
        return {
            "in": store.charge_kw * h,
            "out": store.discharge_kw * h
            if store.feeds_cars
            else min(store.discharge_kw * h, max(0.0, self.net[t])),
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
                if t in self.levels:
                    kwh = self.levels[t][0]
                    most.append(({("stored", t): -1.0, ("short", t): -1.0}, -kwh))
            equal.append((balance, self.net[t]))
            for k in cars:
                if self.sun[t] > 1e-6:
                    share = self.sun[t] / max(self.draws(k, t), 1e-6)
                    beyond[(f"car{k}", t)] = max(0.0, 1 - share)
            if ("dear", t) in self.at:
                some = {(f"car{k}", t): 1.0 for k in cars if self.dear(k, t)}
                most.append((some | {("dear", t): -1.0}, self.sun[t]))
            if any(self.fixed(k) for k in cars):
                most.append((beyond, 0.0))
                if ("dear", t) in self.at:
                    some = {car: share for car, share in beyond.items() if car[0][:3] == "car"}
                    some = {
                        car: share for car, share in some.items() if self.dear(int(car[0][3:]), t)
                    }
                    most.append((some | {("dear", t): -1.0}, 0.0))
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
        """The least cost; `forced`: flows with other bounds (a car that has to charge may buy)."""
        equal, most = self._rows()
        fixed = {
            "c": [self.price(name) for name in self.names],
            "A_eq": self._matrix(equal), "b_eq": [right for _, right in equal],
            "A_ub": self._matrix(most), "b_ub": [right for _, right in most],
        }  # fmt: skip
        self._best, self._forced, tried = Best(NEVER, {}), forced or {}, []
        for number, (others, swaps) in enumerate(self.stays()):
            most_of = ((one, 0.0 if one in others else self.most(one)) for one in self.names)
            bounds = [self._forced.get(one, (0.0, top)) for one, top in most_of]
            self._swaps_eur = swaps * self.problem.swap_cost_eur
            least = linprog(bounds=bounds, method="highs", **fixed)
            if least.success:
                tried.append((least.fun + self._swaps_eur, number, self._swaps_eur, bounds))
        for _, _, self._swaps_eur, bounds in sorted(tried, key=lambda one: one[:2]):
            self._look(fixed, bounds)
        assert self._best.flows, "no way at all"
        return self._best

    def stays(self) -> Iterator[tuple[Stays, int]]:
        """Every way to plug in the cars that wait: who is not there when, and the swaps for it."""
        boxes = sorted({one.loadpoint for one in self.problem.cars})
        for ways in product(*(list(self._turns(box)) for box in boxes)):
            names = [self.problem.cars[k].vehicle for way in ways for k, _ in way]
            if len(set(names)) == len(names):
                there = {}
                for box, way in zip(boxes, ways, strict=True):
                    there |= self._there(box, way)
                others = {
                    (f"car{k}", t)
                    for k, slots in there.items()
                    for t in range(self.n)
                    if t not in slots
                }
                yield frozenset(others), len(names)

    def _turns(self, box: str) -> Iterator[tuple[tuple[int, int], ...]]:
        """The cars that come to a wallbox one after the other, each with its first slot."""
        cars = enumerate(self.problem.cars)
        waiting = [k for k, one in cars if one.waiting and one.loadpoint == box]
        quiet = self.problem.quiet or (False,) * self.n
        slots = [t for t in range(1, self.n) if not quiet[t]]
        for count in range(len(waiting) + 1):
            for order in permutations(waiting, count):
                for begins in combinations(slots, count):
                    yield tuple(zip(order, begins, strict=True))

    def _there(self, box: str, way: tuple[tuple[int, int], ...]) -> dict[int, range]:
        at_box = [k for k, one in enumerate(self.problem.cars) if one.loadpoint == box]
        found = {k: range(0) for k in at_box if self.problem.cars[k].waiting}
        ends = [*(begin for _, begin in way), self.n]
        found |= {k: range(ends[0]) for k in at_box if not self.problem.cars[k].waiting}
        found |= {k: range(begin, ends[m + 1]) for m, (k, begin) in enumerate(way)}
        return found

    def swaps_for(self, flows: dict[Flow, float]) -> int | None:
        """The fewest swaps with which these flows are possible; None: there is no way."""
        charged = {name for name, kwh in flows.items() if name[0].startswith("car") and kwh > 1e-5}
        return min((swaps for others, swaps in self.stays() if not others & charged), default=None)

    def _matrix(self, rows: list[tuple[dict[Flow, float], float]]) -> np.ndarray:
        matrix = np.zeros((len(rows), len(self.names)))
        for k, (terms, _) in enumerate(rows):
            for name, factor in terms.items():
                matrix[k, self.at[name]] = factor
        return matrix

    def _look(self, fixed: dict, bounds: list[tuple[float, float]]) -> None:
        solved = linprog(bounds=bounds, method="highs", **fixed)
        eur = solved.fun + self._swaps_eur if solved.status == 0 else NEVER
        if solved.status == 2 or (solved.status == 0 and eur >= self._best.eur - 1e-9):
            return
        assert solved.status == 0, solved.message
        flows = dict(zip(self.names, solved.x.tolist(), strict=True))
        ways = next(self.broken(flows), None)
        if ways is None:
            self._best = Best(float(eur), flows)
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
                if self.barred(t):
                    pairs.append(([("in", t)], bought))
            for k in range(len(self.problem.cars)):
                car = (f"car{k}", t)
                if not self.permitted(k, t) and self._forced.get(car, NEVER_FORCED)[0] <= 0:
                    pairs.append(([car], bought))
                if store and not store.feeds_cars and self.net[t] > 1e-6:
                    pairs.append(([car], [("out", t)]))
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
