"""Whose turn it is, as a pure function of the home's state and of what was given before."""

from datetime import datetime, timedelta

import msgspec

from actors.requests import (
    FAR_H,
    Car,
    Request,
    default_departure,
    energy_requests,
    hours_left,
    is_met,
    most_pressing,
    need_kwh,
    power_kw,
    soc_requests,
    spare_h,
    targets,
)
from engine.settings import CarSettings, Settings
from engine.values import (
    Control,
    EvccVehicle,
    HomeState,
    Loadpoint,
    SocSource,
    Turn,
    Utc,
    Value,
    Vehicle,
    Why,
    find,
)
from engine.waiting import Waiting

GRACE = timedelta(hours=6)
"""So long after a missed departure a car that is still there is charged at once."""
TOO_OLD = timedelta(hours=36)
"""Nobody is asked to plug in a car because of an older SoC."""
NO_CHOICE_H = 0.25
UNHURRIED_H = 12.0
"""Counted for the urgency of a car without departure."""
URGENT_H = 0.5
NOBODY = Why("turn_none")


class Met(Value, frozen=True):
    """The largest target that this car has reached; `vehicle` is case-folded."""

    vehicle: str
    target_soc_pct: float


class Late(Value, frozen=True):
    """A departure that passed with the car still there and not ready."""

    loadpoint: str
    vehicle: str | None
    request: Request
    since: Utc


class Seat(Value, frozen=True):
    """Which car stands at a loadpoint, and since when."""

    loadpoint: str
    vehicle: str | None
    since: Utc


class Given(Value, frozen=True):
    """All turns, who waits, and what has to be remembered."""

    turns: tuple[Turn, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    met: tuple[Met, ...] = ()
    late: tuple[Late, ...] = ()
    seats: tuple[Seat, ...] = ()


def same(one: str | None, other: str | None) -> bool:
    """Equal names, whatever their case (INV-78)."""
    return one == other or (one or "").casefold() == (other or "").casefold()


def settings_of(name: str, settings: Settings) -> CarSettings:
    """The configuration of that car; defaults for a car that only evcc knows."""
    folded = name.casefold()
    for car in settings.cars:
        if car.name.casefold() == folded:
            return car
    return CarSettings(name=name)


def _human_limit(state: HomeState, car: EvccVehicle | None, at: Loadpoint | None) -> float | None:
    """The limit a human set: the vehicle's, or the session's where it is not our own."""
    limits = [car.limit_soc_pct] if car is not None else []
    if at is not None and at.limit_soc_pct:
        setting = f"loadpoint:{at.name}:limit_soc".casefold()
        humans = any(
            owned.owner == "human" and owned.setting.casefold() == setting
            for owned in state.in_control
        )
        if humans or state.control is not Control.ON:
            limits.append(at.limit_soc_pct)
    return min((limit for limit in limits if limit), default=None)


def _is_older(known: Vehicle | None, at: Loadpoint) -> bool:
    """Whether the reading of the loadpoint is newer than the car's record.

    It is where both come from evcc, and until the vehicle monitor has seen the car arrive: the
    reading that shows a plug is heard before the record that follows from it.
    """
    if known is None or known.soc_pct is None or known.source in (None, SocSource.EVCC):
        return True
    return not same(known.loadpoint, at.name)


def car_of(name: str, state: HomeState, settings: Settings, at: Loadpoint | None) -> Car | None:
    """All that is known of the car `name`, plugged in `at`; None when it is disabled (INV-85)."""
    configured = settings_of(name, settings)
    if configured.disabled:
        return None
    known: Vehicle | None = state.vehicle(name)
    evcc = find(state.site.vehicles, name) if state.site else None
    soc_pct = known.soc_pct if known else None
    if at is not None and at.vehicle_soc_pct is not None and _is_older(known, at):
        soc_pct = at.vehicle_soc_pct
    capacity_kwh = (
        (known.capacity_kwh if known else None)
        or configured.capacity_kwh
        or (evcc.capacity_kwh if evcc else None)
    )
    own = known or evcc
    return Car(
        name=own.name if own else name,
        title=(configured.title or (own.title if own else "")) or name,
        settings=configured,
        evcc=evcc,
        soc_pct=soc_pct,
        capacity_kwh=capacity_kwh,
        power_kw=power_kw(configured, at),
        session_kwh=at.session_kwh if at else 0.0,
        charging=at.charging if at else False,
        limit_soc_pct=_human_limit(state, evcc, at),
    )


def _guest(loadpoint: Loadpoint, settings: Settings) -> Car:
    """Whoever is plugged in without evcc knowing who it is."""
    guests = settings.guests
    as_car = CarSettings(
        name=loadpoint.name,
        max_power_kw=guests.max_power_kw,
        phases=guests.phases,
        departure=guests.departure,
    )
    return Car(
        name="",
        title=loadpoint.title or loadpoint.name,
        settings=as_car,
        evcc=None,
        soc_pct=None,
        capacity_kwh=None,
        power_kw=power_kw(as_car, loadpoint),
        session_kwh=loadpoint.session_kwh,
        charging=loadpoint.charging,
    )


def _seat(loadpoint: Loadpoint, before: Given, at: datetime) -> Seat:
    """Who stands here, since when (same car as before: since then)."""
    for seat in before.seats:
        if seat.loadpoint == loadpoint.name and same(seat.vehicle, loadpoint.vehicle):
            return seat
    return Seat(loadpoint.name, loadpoint.vehicle, at)


def _late_now(loadpoint: Loadpoint, before: Given, old: Turn | None, at: datetime) -> Late | None:
    """The missed departure that still counts at this loadpoint (INV-16, INV-89)."""
    if not loadpoint.connected:
        return None
    if (
        old is not None
        and old.need_kwh > 0
        and old.departure is not None
        and old.departure <= at
        and same(old.vehicle, loadpoint.vehicle)
    ):
        wish = Request(old.target_soc_pct, old.energy_kwh, late=True)
        late: Late | None = Late(loadpoint.name, old.vehicle, wish, old.departure)
    else:
        late = next((one for one in before.late if one.loadpoint == loadpoint.name), None)
    if late is None or not same(late.vehicle, loadpoint.vehicle) or at >= late.since + GRACE:
        return None
    return late


def _unmet(requests: list[Request], car: Car, before: Given) -> tuple[list[Request], Met | None]:
    """The open wishes, and the largest target that is reached."""
    folded = car.name.casefold()
    was_pct = next((one.target_soc_pct for one in before.met if one.vehicle == folded), 0.0)
    fulfilled = [request for request in requests if is_met(request, car, was_pct)]
    best = max(targets(fulfilled), default=None)
    unmet = [request for request in requests if request not in fulfilled]
    return unmet, None if best is None else Met(folded, best)


def _complete(loadpoint: Loadpoint, car: Car, requests: list[Request]) -> Turn:
    """The turn of a car that has all it is to get: nothing is needed any more."""
    goal_pct = max(targets(requests), default=None)
    goal_kwh = max((request.energy_kwh or 0.0 for request in requests), default=0.0)
    turn = Turn(loadpoint.name, car.name or None, NOBODY, goal_pct, goal_kwh)
    if goal_pct is not None and car.soc_pct is not None:
        why = Why("turn_complete", (("vehicle", car.title), ("soc_pct", round(car.soc_pct, 1))))
    else:
        numbers = (("loadpoint", car.title), ("energy_kwh", round(car.session_kwh, 2)))
        why = Why("turn_complete_energy", numbers)
    return _finished(turn, car, why)


def _requests(
    loadpoint: Loadpoint, car: Car, settings: Settings, before: Given, at: datetime
) -> list[Request]:
    """All wishes for the car that is plugged in: in kWh where percent cannot be counted with."""
    zone = settings.site.zone
    if car.soc_pct is not None:
        by_soc = soc_requests(car, loadpoint, at, zone)
        if car.capacity_kwh or not _unmet(by_soc, car, before)[0]:
            return by_soc
    departure = default_departure(car.settings, at, zone)
    return energy_requests(loadpoint, settings.guests, departure, at)


def _turn(
    loadpoint: Loadpoint,
    car: Car,
    wishes: tuple[list[Request], list[Request]],
    *,
    old: Turn | None,
    settings: Settings,
    at: datetime,
) -> Turn:
    """The turn of the car that is plugged in: its most pressing wish of (all, unmet)."""
    requests, unmet = wishes
    late = next((request for request in unmet if request.late), None)
    chosen = late or most_pressing(unmet, car, settings.guests, at)
    if chosen is None:
        return _complete(loadpoint, car, requests)
    departure = chosen.departure
    if chosen.late:  # what comes next is at least a deadline
        ahead = [request.departure for request in requests if request.departure is not None]
        departure = min(ahead, default=None)
    turn = Turn(
        loadpoint=loadpoint.name,
        vehicle=car.name or None,
        why=NOBODY,
        target_soc_pct=chosen.target_soc_pct,
        energy_kwh=chosen.energy_kwh,
        departure=departure,
        need_kwh=round(need_kwh(chosen, car, settings.guests), 6),
        immediate=chosen.late or _leaves_no_choice(chosen, car, old, settings, at),
    )
    if not car.name:
        numbers = (("loadpoint", car.title), ("energy_kwh", round(turn.energy_kwh or 0.0, 2)))
        return _finished(turn, car, Why("turn_guest", numbers))
    why = Why("turn_late" if chosen.late else "turn_connected", (("vehicle", car.title),))
    return _finished(turn, car, why)


def _finished(turn: Turn, car: Car, why: Why) -> Turn:
    """Exactly one goal: percent where the SoC is known, energy otherwise."""
    by_soc = turn.target_soc_pct is not None and car.soc_pct is not None
    return msgspec.structs.replace(
        turn,
        why=why,
        target_soc_pct=turn.target_soc_pct if by_soc else None,
        energy_kwh=None if by_soc else round(turn.energy_kwh or 0.0, 6),
        soc_pct=None if car.soc_pct is None else round(car.soc_pct, 6),
        capacity_kwh=car.capacity_kwh,
    )


def _leaves_no_choice(
    request: Request, car: Car, old: Turn | None, settings: Settings, at: datetime
) -> bool:
    """Whether charging has to start now to be ready (INV-87: otherwise the cheapest hours)."""
    if request.departure is None:
        return False
    margin_h = NO_CHOICE_H
    if old is not None and old.immediate and old.departure == request.departure:
        margin_h *= 2  # once begun it does not stop for a slot
    return spare_h(request, car, settings.guests, at) <= margin_h


def _waiting(car: Car, unmet: list[Request], settings: Settings, at: datetime) -> Waiting | None:
    chosen = most_pressing(unmet, car, settings.guests, at)
    if chosen is None:
        return None
    missing_kwh = need_kwh(chosen, car, settings.guests)
    left_h = hours_left(chosen, at)
    left_h = UNHURRIED_H if left_h >= FAR_H else max(left_h, URGENT_H)
    return Waiting(
        vehicle=car.name,
        title=car.title,
        need_kwh=round(missing_kwh, 6),
        departure=chosen.departure,
        urgency_kw=round(missing_kwh / left_h, 6),
        soc_pct=car.soc_pct,
        capacity_kwh=car.capacity_kwh,
    )


def _everyone_waiting(
    state: HomeState, settings: Settings, before: Given, at: datetime
) -> tuple[list[Waiting], list[Met]]:
    """The cars with a wish that are plugged in nowhere, most urgent first (INV-96)."""
    loadpoints = state.site.loadpoints if state.site else ()
    plugged = {(one.vehicle or "").casefold() for one in loadpoints if one.connected}
    waiting: list[Waiting] = []
    reached: list[Met] = []
    for vehicle in state.vehicles:
        old = vehicle.measured_at is not None and at - vehicle.measured_at > TOO_OLD
        if vehicle.soc_pct is None or vehicle.name.casefold() in plugged or old:
            continue
        car = car_of(vehicle.name, state, settings, None)
        if car is None:
            continue
        unmet, met = _unmet(soc_requests(car, None, at, settings.site.zone), car, before)
        reached += [met] if met else []
        waits = _waiting(car, unmet, settings, at)
        waiting += [waits] if waits else []
    waiting.sort(key=lambda one: (-one.urgency_kw, one.vehicle.casefold()))
    return waiting, reached


def give_turns(settings: Settings, state: HomeState, before: Given, at: datetime) -> Given:
    """The turns at `at`. Total: whatever is unknown makes a smaller answer, never an error."""
    waiting, met = _everyone_waiting(state, settings, before, at)
    names = tuple(one.vehicle for one in waiting) if settings.sequencer.enabled else ()
    turns: list[Turn] = []
    lates: list[Late] = []
    seats: list[Seat] = []
    for loadpoint in state.site.loadpoints if state.site else ():
        if not loadpoint.charger:
            continue
        old = next((turn for turn in before.turns if turn.loadpoint == loadpoint.name), None)
        car: Car | None = None
        if loadpoint.connected and loadpoint.vehicle:
            car = car_of(loadpoint.vehicle, state, settings, loadpoint)
        elif loadpoint.connected:
            car = _guest(loadpoint, settings)
        if car is None:  # nobody, or a car that is not ours to charge
            empty = Turn(loadpoint.name, None, NOBODY, energy_kwh=0.0, waiting=names)
            turns.append(empty)
            continue
        seats.append(_seat(loadpoint, before, at))
        requests = _requests(loadpoint, car, settings, before, at)
        late = _late_now(loadpoint, before, old, at)
        requests += [late.request] if late else []
        unmet, reached = _unmet(requests, car, before)
        met += [reached] if reached else []
        lates += [late] if late and late.request in unmet else []
        turn = _turn(loadpoint, car, (requests, unmet), old=old, settings=settings, at=at)
        turns.append(msgspec.structs.replace(turn, waiting=names))
    return Given(tuple(turns), tuple(waiting), tuple(met), tuple(lates), tuple(seats))
