"""When cars leave and come back: habits with jitter in local time, and scripted events."""

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from sim.local_days import DAY, LocalDays, wall
from sim.scenario import Happening, Scenario, SimCar, SimTrip
from sim.streams import stream

_LEAST = timedelta(minutes=5)


class Absence(NamedTuple):
    """One trip at its real times."""

    leaves: datetime
    returns: datetime
    trip: SimTrip


def happenings(scenario: Scenario, seed: int, days: LocalDays) -> tuple[Happening, ...]:
    """All that happens, in order of time. A car leaves and returns in turn.

    Whoever comes home to an occupied wallbox parks without plugging in (`loadpoint` None).
    """
    sim = scenario.sim
    found = [
        Happening(
            at=_after(sim.start, event.at_h),
            kind=event.kind,
            car=event.car,
            loadpoint=event.loadpoint,
            path=event.path,
            fault=event.fault,
            until=_after(sim.start, event.at_h + event.hours) if event.hours else None,
            used_kwh=event.used_kwh,
        )
        for event in sim.events
    ]
    for car in sim.cars:
        for away in absences(scenario, seed, days, car):
            if away.leaves > sim.start:
                found.append(Happening(away.leaves, "leave", car.name, away.trip.loadpoint))
            found.append(
                Happening(
                    at=away.returns,
                    kind="arrive",
                    car=car.name,
                    loadpoint=away.trip.loadpoint,
                    used_kwh=away.trip.used_kwh,
                )
            )
    found.sort(key=lambda one: (one.at, one.kind != "leave", one.car or "", one.kind))
    return tuple(_plugged(found, sim.cars))


def _after(start: datetime, hours: float) -> datetime:
    """Whole seconds: 40 minutes are not exactly a number of hours."""
    return start + timedelta(seconds=round(hours * 3600))


def absences(scenario: Scenario, seed: int, days: LocalDays, car: SimCar) -> list[Absence]:
    """The trips of one car that do not overlap, from the start of the run on.

    A car that is plugged in at the start does not begin with a trip that began before.
    """
    zone, start = days.zone, scenario.sim.start
    found: list[Absence] = []
    trips = [t for t in scenario.sim.trips if t.car.casefold() == car.name.casefold()]
    # the evening before the first day may have begun a trip that ends on it
    every = [days.days[0] - DAY, *days.days[:-1]]
    for k, day in enumerate(every):
        todays: list[Absence] = []
        for n, trip in enumerate(trips):
            rng = stream(seed, f"people {car.name.casefold()}", k, n)
            jitter_min = rng.uniform(-1, 1, 2) * trip.jitter_min
            if day.isoweekday() not in trip.weekdays:
                continue
            overnight = trip.returns.zfill(5) <= trip.leaves.zfill(5)
            leaves = wall(day, trip.leaves, zone) + timedelta(minutes=round(jitter_min[0]))
            returns = wall(day + DAY if overnight else day, trip.returns, zone)
            returns += timedelta(minutes=round(jitter_min[1]))
            todays.append(Absence(leaves, max(returns, leaves + _LEAST), trip))
        for away in sorted(todays, key=lambda one: (one.leaves, one.returns)):
            began_before = away.leaves <= start and (away.returns <= start or car.loadpoint)
            overlaps = found and away.leaves < found[-1].returns + _LEAST
            if not began_before and not overlaps:
                found.append(away)
    return found


def _plugged(ordered: list[Happening], cars: tuple[SimCar, ...]) -> list[Happening]:
    """The same, but nobody plugs in where another car stands."""
    stands: dict[str, str] = {car.loadpoint: car.name for car in cars if car.loadpoint}
    found: list[Happening] = []
    for one in ordered:
        happening = one
        if one.kind in {"leave", "arrive"} and one.car:
            name = one.car.casefold()
            box = next((at for at, who in stands.items() if who.casefold() == name), None)
            if box:
                del stands[box]
            if one.kind == "leave":
                happening = _at(one, box)
            elif one.loadpoint in stands:
                happening = _at(one, None)
            elif one.loadpoint:
                stands[one.loadpoint] = one.car
        found.append(happening)
    return found


def _at(one: Happening, loadpoint: str | None) -> Happening:
    return replace(one, loadpoint=loadpoint)
