"""What a car is to get: from the configuration's defaults and from evcc's own plans.

Of several wishes that are not met the one with the earliest *latest start* counts, as in evcc
(evcc-regulator.md §13): a plan for it leaves enough room, at full power, for all the others.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from actors.departures import next_departure, zone_of
from engine.home import VOLTAGE_V
from engine.settings import CarSettings, GuestSettings
from engine.values import EvccVehicle, Loadpoint, RepeatingPlan, Utc, Value

DONE_PCT = 0.5
DONE_KWH = 0.5
EXACT = 0.05
"""Points or kWh: the rest that is nothing even while the car charges."""
JITTER_PCT = 2.0
"""A SoC that falls by this after the target was reached is not a new wish (INV-183)."""
FAR_H = 1e6


class Request(Value, frozen=True):
    """One wish for one car: a SoC, or for cars whose SoC nobody knows energy of this session."""

    target_soc_pct: float | None = None
    energy_kwh: float | None = None
    departure: Utc | None = None
    late: bool = False
    """Its departure has passed; it is charged at once (late is better than never)."""


class Car(Value, frozen=True):
    """What is known of one car now. `power_kw` is what arrives in its battery at full power."""

    name: str
    title: str
    settings: CarSettings
    evcc: EvccVehicle | None
    soc_pct: float | None
    capacity_kwh: float | None
    power_kw: float
    session_kwh: float = 0.0
    charging: bool = False
    limit_soc_pct: float | None = None
    """The human's limit in evcc: the default target stays below it."""


def power_kw(settings: CarSettings, loadpoint: Loadpoint | None) -> float:
    """Full charging power behind the car's own losses."""
    most_kw = settings.max_power_kw
    if loadpoint is not None:
        phases = min(settings.phases, max(loadpoint.phases_configured or 3, 1))
        most_kw = min(most_kw, loadpoint.effective_max_current_a * VOLTAGE_V * phases / 1000)
    return max(most_kw * settings.charge_efficiency, 0.1)


def _repeating(plan: RepeatingPlan, at: datetime, zone: str) -> datetime | None:
    if not plan.active:
        return None
    days = {7 if day % 7 == 0 else day % 7 for day in plan.weekdays}  # evcc: 0 = Sunday
    own_zone = zone_of(plan.tz or zone, zone).key
    return next_departure(at, plan.time, own_zone, days)


def soc_requests(car: Car, loadpoint: Loadpoint | None, at: datetime, zone: str) -> list[Request]:
    """The wishes in percent. evcc's plans may go beyond the limit, as in evcc; the default not."""
    default = car.settings.target_soc_pct
    if car.limit_soc_pct:
        default = min(default, car.limit_soc_pct)
    found = [Request(target_soc_pct=default, departure=default_departure(car.settings, at, zone))]
    if car.evcc is not None:
        found += [
            Request(target_soc_pct=plan.soc_pct, departure=departure)
            for plan in car.evcc.repeating
            if (departure := _repeating(plan, at, zone)) is not None
        ]
    for owner in (car.evcc, loadpoint):
        if owner is not None and owner.plan_soc_pct and owner.plan_at and owner.plan_at > at:
            found.append(Request(target_soc_pct=owner.plan_soc_pct, departure=owner.plan_at))
    return found


def energy_requests(
    loadpoint: Loadpoint, guests: GuestSettings, departure: datetime | None, at: datetime
) -> list[Request]:
    """The wishes in kWh of this session: the guests' default, and evcc's energy plan."""
    found = [Request(energy_kwh=guests.energy_kwh, departure=departure)]
    if loadpoint.plan_energy_kwh and loadpoint.plan_at and loadpoint.plan_at > at:
        plan = Request(energy_kwh=loadpoint.plan_energy_kwh, departure=loadpoint.plan_at)
        found.append(plan)
    return found


def default_departure(settings: CarSettings, at: datetime, zone: str) -> datetime | None:
    """The configured departure that comes next, in UTC."""
    if settings.departure is None:
        return None
    return next_departure(at, settings.departure, zone, settings.departure_weekdays)


def done_pct(capacity_kwh: float | None) -> float:
    """So many points below the target count as reached."""
    return max(DONE_PCT, 100 * DONE_KWH / capacity_kwh) if capacity_kwh else DONE_PCT


def is_met(request: Request, car: Car, met_pct: float) -> bool:
    """Whether the wish is fulfilled; up to `met_pct` it was before, and jitter does not matter.

    A little may be missing (cars stop by themselves), but what is charging is charged to the end.
    """
    if request.target_soc_pct is None:
        slack_kwh = EXACT if car.charging else DONE_KWH
        return (request.energy_kwh or 0.0) - car.session_kwh < slack_kwh
    if car.soc_pct is None:
        return False
    slack = done_pct(car.capacity_kwh)
    if request.target_soc_pct <= met_pct:
        slack += JITTER_PCT
    elif car.charging:
        slack = EXACT
    return car.soc_pct >= request.target_soc_pct - slack


def need_kwh(request: Request, car: Car, guests: GuestSettings) -> float:
    """Energy still missing: in the battery, or of the session where only that can be counted."""
    if request.target_soc_pct is None or car.soc_pct is None or not car.capacity_kwh:
        return max((request.energy_kwh or guests.energy_kwh) - car.session_kwh, 0.0)
    return max((request.target_soc_pct - car.soc_pct) / 100 * car.capacity_kwh, 0.0)


def hours_left(request: Request, at: datetime) -> float:
    """Hours to the departure; very many without one."""
    if request.departure is None:
        return FAR_H
    return (request.departure - at) / timedelta(hours=1)


def spare_h(request: Request, car: Car, guests: GuestSettings, at: datetime) -> float:
    """Hours until the latest start: negative when the departure cannot be met any more."""
    return hours_left(request, at) - need_kwh(request, car, guests) / car.power_kw


def most_pressing(
    requests: list[Request], car: Car, guests: GuestSettings, at: datetime
) -> Request | None:
    """The wish with the earliest latest start; of equals the larger one. None of none."""

    def pressing(request: Request) -> tuple[float, float]:
        return spare_h(request, car, guests, at), -(request.target_soc_pct or 0.0)

    return min(requests, key=pressing, default=None)


def targets(requests: list[Request]) -> Iterator[float]:
    """The percentages among them."""
    for request in requests:
        if request.target_soc_pct is not None:
            yield request.target_soc_pct
