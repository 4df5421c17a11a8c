"""Realistic questions for the planner, from seeded worlds: homes of three seasons and tariffs.

They say what a controller would know at that moment: prices as far as they are published and the
tariff's usual shape beyond, the sun as forecast, the usual load of the days before.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from msgspec.structs import replace

from actors.load_profile import local_bins, slot_number
from actors.planner import Planner
from actors.planner_problem import QUARTERS, CarNeed, Charged, Problem, Store, learn_shape
from engine.slots import SLOT, slot_of, slots_between
from engine.values import Plan, Rate
from sim.scenario_files import load_scenario
from sim.streams import stream
from sim.world import MINUTE, SeededWorld

BASES = {"winter": "winter-week", "spring": "negative-prices", "summer": "summer-week"}
TARIFFS = ("dynamic", "flat", "negative")
FEED_IN_EUR_KWH = 0.08
DAYS_BEFORE = 3
"""So many days are known from the past."""
DAY = timedelta(days=1)

STORE = Store(
    capacity_kwh=10.2, stored_kwh=5.0, min_kwh=1.02, max_kwh=10.2, charge_kw=5.0, discharge_kw=5.0
)
CARPORT = CarNeed(
    vehicle="compact", loadpoint="carport", need_kwh=18.0, max_kw=11.04, min_kw=4.14,
    capacity_kwh=52, soc_pct=46,
)  # fmt: skip
GARAGE = CarNeed(
    vehicle="family", loadpoint="garage", need_kwh=24.0, max_kw=11.04, min_kw=1.38,
    capacity_kwh=77, soc_pct=50,
)  # fmt: skip
"""Three phases only, and one that switches phases."""


class Kind(NamedTuple):
    """What sort of home."""

    season: str
    tariff: str
    seed: int


class Home:
    """A seeded home; `problem` says what would be asked at a moment of its fourth day or later."""

    def __init__(self, kind: Kind) -> None:
        scenario = load_scenario(BASES[kind.season])
        prices = replace(
            scenario.sim.prices,
            kind="flat" if kind.tariff == "flat" else "dynamic",
            negative_days=kind.tariff == "negative",
            feed_in_eur_kwh=FEED_IN_EUR_KWH,
        )
        scenario = replace(scenario, sim=replace(scenario.sim, prices=prices, trips=(), events=()))
        self.zone = ZoneInfo(scenario.settings.site.zone)
        self.start = slot_of(scenario.sim.start)
        self._world = SeededWorld(scenario, kind.seed, days=DAYS_BEFORE + 4)
        self._load_kw = self._usual_load()
        self._usual = self._usual_prices()

    def problem(self, at: datetime, slots: int, store: Store, cars: tuple[CarNeed, ...]) -> Problem:
        """What is known at `at`, for `slots` slots from its own on."""
        first = slot_of(at)
        buy, sell, sun = (self._known(usage, at) for usage in ("grid", "feedin", "solar"))
        starts = [first + k * SLOT for k in range(slots)]
        return Problem(
            at=at,
            zone=self.zone.key,
            import_eur_kwh=tuple(buy.get(start) for start in starts),
            export_eur_kwh=tuple(sell.get(start) for start in starts),
            load_kw=tuple(self._load_kw[one] for one in self._quarters(first, slots)),
            pv_kw=tuple(sun.get(start, 0.0) / 1000 for start in starts),
            store=store,
            cars=cars,
            usual_eur_kwh=self._usual,
        )

    def _quarters(self, first: datetime, slots: int) -> list[int]:
        bins = local_bins(slot_number(first), slots, self.zone) % QUARTERS
        return [int(one) for one in bins]

    def _usual_load(self) -> list[float]:
        """Mean kW by local quarter hour."""
        per_quarter: list[list[float]] = [[] for _ in range(QUARTERS)]
        for k, quarter in enumerate(self._quarters(self.start, DAYS_BEFORE * QUARTERS)):
            at = self.start + k * SLOT
            per_quarter[quarter] += [self._world.minute(at + m * MINUTE).load_w for m in range(15)]
        return [round(sum(one) / len(one) / 1000, 3) for one in per_quarter]

    def _usual_prices(self) -> tuple[float | None, ...]:
        shape: tuple[float | None, ...] = ()
        for day in range(DAYS_BEFORE):
            midnight = self.start + day * DAY
            known = self._known("grid", midnight)
            starts = [midnight + k * SLOT for k in range(QUARTERS)]
            for start, quarter in zip(starts, self._quarters(midnight, QUARTERS), strict=True):
                if start in known:
                    shape = learn_shape(shape, quarter, known[start])
        return shape

    def _known(self, usage: str, at: datetime) -> dict[datetime, float]:
        """What is published at `at`, by slot."""
        return {
            slot_of(rate.start) + k * SLOT: rate.value
            for rate in self._world.rates(usage, at) or ()
            for k in range(_slots(rate))
        }


def _slots(rate: Rate) -> int:
    return slots_between(rate.start, rate.end)


def drawn(seed: int, slots: int) -> tuple[str, Problem]:
    """A realistic question and its name; seasons, tariffs and numbers of cars take turns."""
    rng = stream(seed, "plan problem")
    season = tuple(BASES)[seed % 3]
    tariff = TARIFFS[seed // 3 % 3]
    home = Home(Kind(season, tariff, seed))
    at = home.start + DAYS_BEFORE * DAY + timedelta(minutes=5 * int(rng.integers(288)))
    low, high = STORE.min_kwh, STORE.max_kwh
    store = replace(
        STORE,
        stored_kwh=round(float(rng.uniform(low, high)), 2),
        grid_charging=bool(rng.random() < 0.8),
    )
    cars = tuple(_drawn_car(rng, at, one) for one in (CARPORT, GARAGE)[: 1 if seed % 7 == 6 else 2])
    return f"{season}-{tariff}-{slots}-{seed}", home.problem(at, slots, store, cars)


def _drawn_car(rng: np.random.Generator, at: datetime, car: CarNeed) -> CarNeed:
    """With a need of its own; it leaves within two days, later, or nobody knows when."""
    leaves = at + timedelta(hours=round(float(rng.uniform(2, 60)), 1))
    return replace(
        car,
        need_kwh=round(float(rng.uniform(2, 35)), 2),
        max_kw=7.36 if rng.random() < 0.3 else car.max_kw,
        departure=leaves if rng.random() < 0.8 else None,
    )


def rolling(kind: Kind, slots: int, count: int) -> Iterator[Problem]:
    """The same home in one slot after the other; battery and cars go on as planned.

    The first car leaves the next morning, the other one beyond the horizon.
    """
    home, planner = Home(kind), Planner()
    at = home.start + DAYS_BEFORE * DAY + timedelta(hours=10)
    leaves = at + timedelta(hours=20.75), at + timedelta(hours=slots / 4 + count)
    store = STORE
    cars = tuple(
        replace(car, departure=departure)
        for car, departure in zip((CARPORT, GARAGE), leaves, strict=True)
    )
    before: tuple[Charged, ...] = ()
    for k in range(count):
        problem = replace(home.problem(at + k * SLOT, slots, store, cars), before=before)
        yield problem
        plan = planner.make_plan(problem)
        store, cars, before = _after(plan, store, cars)


def _after(
    plan: Plan, store: Store, cars: tuple[CarNeed, ...]
) -> tuple[Store, tuple[CarNeed, ...], tuple[Charged, ...]]:
    """Battery, cars and where they charge once the plan's first slot is over."""
    slot = plan.slots[0]
    hours = slot.duration_s / 3600
    stored = store.capacity_kwh * (slot.battery_soc_pct or 0.0) / 100
    needs = [
        replace(car, need_kwh=round(max(0.0, car.need_kwh - one.charge_kw * hours), 6))
        for car, one in zip(cars, slot.cars, strict=True)
    ]
    before = tuple(
        Charged(car.loadpoint, tuple(s.start for s in plan.slots if s.cars[k].charge_kw > 1e-3))
        for k, car in enumerate(cars)
    )
    stored = round(min(max(stored, store.min_kwh), store.max_kwh), 6)
    return replace(store, stored_kwh=stored), tuple(needs), before
