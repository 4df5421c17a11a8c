"""Homes that come near their connection: cookers, heat pumps, a battery and cars that want it all.

The house's peaks begin at any ten seconds; what is drawn is drawn from the seed alone.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from engine.settings import BatterySettings, CarSettings, PlannerSettings, Settings, SiteSettings
from engine.values import Control
from sim.scenario import (
    Minute,
    Scenario,
    Sim,
    SimBattery,
    SimCar,
    SimEvent,
    SimLoadpoint,
    SimPrices,
)
from sim.world import SeededWorld

FIRST_DAY = datetime(2026, 1, 5, 15, tzinfo=UTC)
"""The afternoon: cars come home, cook, and charge at night."""
VOLTS = 3 * 230.0
STEP_S = 10
DAY_STEPS = 86_400 // STEP_S
BOXES = ("carport", "garage")


class Peak(NamedTuple):
    """Something big in the house: `watts` for `seconds`, so often a day, within local hours."""

    watts: tuple[float, float]
    seconds: tuple[int, int]
    a_day: float
    hours: tuple[float, float]


COOKER = Peak((2500, 7000), (300, 3600), 3.0, (6.0, 23.0))
KETTLE = Peak((2000, 2400), (120, 240), 6.0, (4.0, 24.0))
HEAT_PUMP = Peak((1800, 4500), (900, 3600), 14.0, (0.0, 24.0))
HEATING_ROD = Peak((6000, 9000), (600, 3600), 2.0, (0.0, 24.0))
SHOWER = Peak((18_000, 21_000), (60, 420), 4.0, (4.0, 24.0))
SAUNA = Peak((8000, 9500), (2400, 5400), 0.5, (18.0, 24.0))
WASHING = Peak((1800, 2400), (600, 2400), 3.0, (0.0, 24.0))


def fuse_home(seed: int, amps: float, days: float) -> Scenario:
    """The home of this seed behind `amps` per phase, under control, with a tick of 10 s."""
    rng = Random(f"fuse-{seed}")
    start = FIRST_DAY + timedelta(days=rng.randrange(350), seconds=rng.randrange(1800))
    kw = round(rng.uniform(3.0, 10.0), 1)
    boxes = tuple(_box(rng, name) for name in BOXES[: rng.choice((1, 2))])
    cars = tuple(_car(rng, k) for k in range(rng.choice((1, 2, 3))))
    settings = Settings(
        control=Control.ON,
        tick_s=float(STEP_S),
        site=SiteSettings(zone="Europe/Berlin", grid_import_limit_kw=VOLTS * amps / 1000),
        battery=BatterySettings(charge_power_kw=kw, discharge_power_kw=kw),
        cars=tuple(_wish(rng, car) for car in cars),
        planner=PlannerSettings(horizon_h=12),
    )
    sim = Sim(
        start=start,
        days=days,
        tick_s=float(STEP_S),
        pv_kwp=rng.choice((0.0, 4.0, 9.0)),
        load_kwh_day=rng.uniform(6.0, 16.0),
        battery=SimBattery(
            rng.choice((6.0, 10.0, 20.0)),
            soc_pct=rng.uniform(5.0, 60.0),
            charge_power_kw=kw,
            discharge_power_kw=kw,
        ),
        loadpoints=boxes,
        cars=cars,
        events=_moves(rng, boxes, cars, days),
        prices=_prices(rng),
    )
    return Scenario(f"fuse-{seed}", f"Fuse, seed {seed}", settings, sim)


def _prices(rng: Random) -> SimPrices:
    """Cheap nights, so that everything wants to charge at once."""
    if rng.random() < 0.4:
        return SimPrices(kind="dynamic", spread_eur_kwh=0.30)
    cheap, dear = rng.uniform(0.05, 0.15), rng.uniform(0.35, 0.50)
    first, last = rng.choice((22, 0, 2)), rng.choice((5, 6))
    night = {hour % 24 for hour in range(first, last + (24 if first > last else 0))}
    hourly = tuple(round(cheap if hour in night else dear, 4) for hour in range(24))
    return SimPrices(kind="table", hourly_eur_kwh=hourly)


def _box(rng: Random, name: str) -> SimLoadpoint:
    current_a, phases = rng.choice((16.0, 16.0, 16.0, 32.0)), rng.choice((1, 3, 3, 3))
    switches = rng.random() < 0.4 and phases == 3
    return SimLoadpoint(name, max_current_a=current_a, phases=phases, can_switch_phases=switches)


def _car(rng: Random, number: int) -> SimCar:
    return SimCar(
        f"car-{number + 1}",
        capacity_kwh=rng.choice((40.0, 60.0, 77.0)),
        soc_pct=float(rng.randrange(10, 60)),
        phases=rng.choice((1, 2, 3, 3, 3)),
        max_current_a=rng.choice((16.0, 16.0, 32.0)),
        api=rng.random() < 0.85,
    )


def _wish(rng: Random, car: SimCar) -> CarSettings:
    return CarSettings(
        car.name,
        capacity_kwh=car.capacity_kwh,
        max_power_kw=round(car.phases * car.max_current_a * 0.23, 2),
        phases=car.phases,
        target_soc_pct=float(rng.choice((80, 90, 100))),
        departure=rng.choice((None, "06:00", "07:00", "07:30")),
    )


def _moves(
    rng: Random, boxes: tuple[SimLoadpoint, ...], cars: tuple[SimCar, ...], days: float
) -> tuple[SimEvent, ...]:
    """Each evening cars come to the boxes, each morning they leave; a third one in between."""
    events: list[SimEvent] = []
    at_box: dict[str, str] = {}
    for day in range(int(days) + 1):
        for box in boxes:
            free = [car.name for car in cars if car.name not in at_box.values()]
            if free and box.name not in at_box and rng.random() < 0.9:
                name = at_box[box.name] = rng.choice(free)
                at_h = 24 * day + rng.uniform(0.05, 5.0)
                events.append(SimEvent(at_h, "arrive", car=name, loadpoint=box.name))
        for name in sorted(at_box.values()):
            at_h = 24 * day + rng.uniform(14.5, 18.0)
            used_kwh = rng.uniform(5.0, 30.0)
            events.append(SimEvent(at_h, "leave", car=name, used_kwh=used_kwh))
        at_box.clear()
    return tuple(sorted(events, key=lambda event: event.at_h))


class PeakyWorld(SeededWorld):
    """The seeded world with the peaks of such a house on top."""

    weather_step_s = float(STEP_S)

    def __init__(self, scenario: Scenario, seed: int, days: float) -> None:
        super().__init__(scenario, seed, days)
        self._from = scenario.sim.start
        self._peaks_w = _peaks_w(Random(f"fuse-peaks-{seed}"), scenario.sim.start, days)

    def minute(self, at: datetime) -> Minute:
        """Load and PV of the ten seconds that contain `at`."""
        usual = super().minute(at)
        step = int((at - self._from).total_seconds()) // STEP_S
        more_w = self._peaks_w[min(max(step, 0), len(self._peaks_w) - 1)]
        return Minute(usual.load_w + more_w, usual.pv_w) if more_w else usual


def _peaks_w(rng: Random, start: datetime, days: float) -> list[float]:
    """What the peaks of this house draw together, each ten seconds."""
    watts = [0.0] * (int(days * DAY_STEPS) + DAY_STEPS)
    owned = [COOKER, KETTLE, WASHING]
    for rare, share in ((HEAT_PUMP, 0.8), (HEATING_ROD, 0.5), (SHOWER, 0.4), (SAUNA, 0.25)):
        if rng.random() < share:
            owned.append(rare)
    for peak in owned:
        for _ in range(round(peak.a_day * (days + 1) * rng.uniform(0.5, 1.5))):
            hour = rng.uniform(*peak.hours) - (start.hour + start.minute / 60)
            first = int((hour % 24 + 24 * rng.randrange(int(days) + 1)) * 3600 / STEP_S)
            count = max(1, round(rng.uniform(*peak.seconds) / STEP_S))
            drawn_w = round(rng.uniform(*peak.watts), 1)
            for step in range(first, min(first + count, len(watts))):
                watts[step] += drawn_w
    return watts
