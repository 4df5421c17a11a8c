"""Homes with restless people: cars come and go, evcc dies, settings are touched at any second."""

from datetime import UTC, datetime, timedelta
from random import Random

from engine.settings import (
    BatterySettings,
    CarSettings,
    GuestSettings,
    PlannerSettings,
    Settings,
    SiteSettings,
)
from engine.values import Control
from sim.scenario import Scenario, Sim, SimBattery, SimCar, SimEvent, SimLoadpoint, SimPrices

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
BOXES = ("carport", "garage")
MODES = ("off", "pv", "minpv", "now")
DEFAULTS = ("pv", "pv", "off", "none", "none", "minpv")
"""evcc's mode in its configuration; `none`: the mode stays."""
CLOSE_S = 90
"""A touch that is drawn close to something falls at most this long before or after it."""


def touched_home(seed: int, days: float) -> Scenario:
    """The home of this seed with its events for `days`, under control, with a tick of 60 s."""
    rng = Random(f"touches-{seed}")
    start = FIRST_DAY + timedelta(days=rng.randrange(350), hours=rng.randrange(24))
    boxes = tuple(
        SimLoadpoint(name, mode=rng.choice(DEFAULTS), can_switch_phases=rng.random() < 0.5)
        for name in BOXES[: rng.choice((1, 2))]
    )
    cars = _cars(rng, boxes)
    settings = Settings(
        control=Control.ON,
        tick_s=60.0,
        site=SiteSettings(zone="Europe/Berlin"),
        battery=BatterySettings(),
        cars=tuple(_wish(rng, car) for car in cars if not car.guest),
        guests=GuestSettings(energy_kwh=8.0, departure=rng.choice((None, "07:00"))),
        planner=PlannerSettings(horizon_h=12),
    )
    sim = Sim(
        start=start,
        days=days,
        tick_s=60.0,
        pv_kwp=rng.choice((0.0, 4.0, 9.0)),
        battery=SimBattery(10.0) if rng.random() < 0.8 else None,
        loadpoints=boxes,
        cars=cars,
        events=_events(rng, boxes, cars, days, start),
        prices=SimPrices(kind="dynamic", spread_eur_kwh=0.25),
    )
    return Scenario(f"touches-{seed}", f"Touches, seed {seed}", settings, sim)


def _cars(rng: Random, boxes: tuple[SimLoadpoint, ...]) -> tuple[SimCar, ...]:
    cars = [
        SimCar(
            f"car-{k + 1}",
            capacity_kwh=rng.choice((30.0, 50.0, 77.0)),
            soc_pct=float(rng.randrange(10, 95)),
            api=rng.random() < 0.8,
            mode=rng.choice((None, None, None, *MODES)),
            loadpoint=boxes[k].name if k < len(boxes) and rng.random() < 0.7 else None,
            limit_soc_pct=rng.choice((0.0, 0.0, 90.0)),
        )
        for k in range(len(boxes) + rng.choice((0, 1)))
    ]
    if rng.random() < 0.3:
        cars.append(SimCar("visitor", soc_pct=40.0, guest=True, api=False))
    return tuple(cars)


def _wish(rng: Random, car: SimCar) -> CarSettings:
    departure = rng.choice((None, "06:00", "07:30", "12:00", "17:00", "22:00"))
    target_pct = float(rng.choice((60, 80, 100)))
    return CarSettings(
        car.name,
        capacity_kwh=car.capacity_kwh,
        target_soc_pct=target_pct,
        departure=departure,
    )


# --- what happens ---------------------------------------------------------------------------------


def _events(
    rng: Random,
    boxes: tuple[SimLoadpoint, ...],
    cars: tuple[SimCar, ...],
    days: float,
    start: datetime,
) -> tuple[SimEvent, ...]:
    length_s = round(days * 86_400)
    events = [*_moves(rng, boxes, cars, length_s), *_deaths(rng, length_s)]
    near_s = [round(event.at_h * 3600) for event in events]
    near_s += [round((event.at_h + event.hours) * 3600) for event in events if event.hours]
    for _ in range(rng.randrange(round(10 * days) + 1, round(40 * days) + 3)):
        at_s = _moment(rng, near_s, length_s)
        near_s.append(at_s)
        when = start + timedelta(seconds=at_s)
        path = _touch(rng, boxes, cars, when)
        events.append(SimEvent(at_s / 3600, "human", path=path))
    return tuple(sorted(events, key=lambda event: event.at_h))


def _moment(rng: Random, near_s: list[int], length_s: int) -> int:
    """Any second, or one close to a quarter of an hour, or to something else that happens."""
    draw = rng.random()
    if draw < 0.5:
        at_s = rng.randrange(length_s)
    elif draw < 0.65:
        at_s = 900 * rng.randrange(1, max(2, length_s // 900)) + rng.randint(-CLOSE_S, CLOSE_S)
    else:
        at_s = rng.choice(near_s or [0]) + rng.randint(-CLOSE_S, CLOSE_S)
    return min(max(at_s, 1), length_s - 1)


def _moves(
    rng: Random, boxes: tuple[SimLoadpoint, ...], cars: tuple[SimCar, ...], length_s: int
) -> list[SimEvent]:
    """Cars that come and go; whoever stands somewhere leaves before another comes."""
    at_box = {car.loadpoint: car.name for car in cars if car.loadpoint}
    events: list[SimEvent] = []
    at_s = 0
    while True:
        empty = len(at_box) < len(boxes)
        at_s += rng.randrange(120, 10_800) if empty else rng.randrange(600, 43_200)
        if at_s >= length_s:
            return events
        box = rng.choice(boxes).name
        if box in at_box:
            name = at_box.pop(box)
            used_kwh = rng.uniform(1.0, 15.0)
            events.append(SimEvent(at_s / 3600, "leave", car=name, used_kwh=used_kwh))
        else:
            free = [car.name for car in cars if car.name not in at_box.values()]
            at_box[box] = name = rng.choice(free)
            events.append(SimEvent(at_s / 3600, "arrive", car=name, loadpoint=box))


def _deaths(rng: Random, length_s: int) -> list[SimEvent]:
    """evcc is killed, stopped, or cannot be reached, now and then."""
    events = []
    for kind, often in (("evcc_kill", 0.25), ("evcc_stop", 0.25), ("evcc_outage", 0.2)):
        if rng.random() < often * length_s / 86_400:
            down_s = rng.choice((5, 30, 90, 600))
            events.append(SimEvent(rng.randrange(60, length_s) / 3600, kind, hours=down_s / 3600))
    return events


# --- touches --------------------------------------------------------------------------------------


def _touch(
    rng: Random, boxes: tuple[SimLoadpoint, ...], cars: tuple[SimCar, ...], when: datetime
) -> str:
    """One request as evcc's own page sends it."""
    point = f"/api/loadpoints/{rng.randrange(len(boxes)) + 1}"
    known = [car.name for car in cars if not car.guest]
    draw = rng.random()
    if draw < 0.5:
        return f"POST {point}/mode/{rng.choice(MODES)}"
    if draw < 0.65:
        return f"POST {point}/limitsoc/{rng.choice((0, 50, 60, 75, 85, 100))}"
    if draw < 0.72:
        return f"POST {point}/limitenergy/{rng.choice((0, 4, 8, 20))}"
    if draw < 0.82:
        vehicle = f"{point}/vehicle"
        assign = f"POST {vehicle}/{rng.choice(known)}"
        return rng.choice((assign, assign, f"DELETE {vehicle}", f"PATCH {vehicle}"))
    if draw < 0.9:
        return _plan(rng, point, f"/api/vehicles/{rng.choice(known)}", when)
    settings = (
        f"POST /api/prioritysoc/{rng.choice((0, 40, 80))}",
        f"POST /api/buffersoc/{rng.choice((0, 50, 90))}",
        f"POST /api/batterydischargecontrol/{rng.choice(('true', 'false'))}",
        f"POST /api/residualpower/{rng.choice((0, 100))}",
        f"POST {point}/smartcostlimit/0.2",
        f"DELETE {point}/smartcostlimit",
        f"POST {point}/batteryboost/true",
    )
    return rng.choice(settings)


def _plan(rng: Random, point: str, vehicle: str, when: datetime) -> str:
    due = when + timedelta(minutes=rng.randrange(30, 600))
    text = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    return rng.choice(
        (
            f"POST {vehicle}/plan/soc/{rng.choice((60, 90))}/{text}",
            f"DELETE {vehicle}/plan/soc",
            f"POST {point}/plan/energy/{rng.choice((5, 15))}/{text}",
            f"DELETE {point}/plan/energy",
        )
    )
