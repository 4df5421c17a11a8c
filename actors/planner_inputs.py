"""From what was heard to what the planner is asked. Pure; total for any state."""

from datetime import datetime, timedelta

from actors.departures import is_quiet, next_departure
from actors.fuse import import_limit_kw
from actors.planner_problem import CarNeed, Charged, Problem, Store, Target
from engine.home import VOLTAGE_V
from engine.messages import Forecasted, RatesChanged
from engine.settings import BatterySettings, CarSettings, Settings
from engine.slots import SLOT, SLOTS_PER_HOUR, slot_of, slots_between
from engine.values import (
    BatteryMode,
    ChargeMode,
    HomeState,
    Loadpoint,
    Quantiles,
    Site,
    Turn,
    Value,
    find,
)
from engine.waiting import Waiting

DAY_SLOTS = 96
DEFAULT_EFFICIENCY = 0.9
MOST_WAITING = 2
"""So many waiting cars are planned for at each wallbox, the most urgent ones."""
HUMAN = "human"
Watts = tuple[float, ...]
CAR_NOT_OBEYED = ("car_not_obeyed", "car_draw_not_obeyed")


class Wanted(Value, frozen=True):
    """What makes a new plan necessary when it changes (the SoC that creeps does not)."""

    loadpoint: str
    vehicle: str | None
    target_soc_pct: float | None
    energy_kwh: float | None
    departure: datetime | None
    asap: bool
    open: bool
    max_kw: float
    from_at: datetime | None = None


def horizon_slots(settings: Settings) -> int:
    """The fixed number of slots: the rest of this one and the horizon."""
    return settings.planner.horizon_h * SLOTS_PER_HOUR + 1


def _ahead_kw(
    series: tuple[float, ...], start: datetime, slot: datetime, count: int
) -> list[float]:
    """`count` slots from `slot` on in kW; behind the end the same time of the day before."""
    offset = max(0, slots_between(start, slot))
    found = [value / 1000 for value in series[offset : offset + count]]
    while len(found) < count:
        found.append(found[-DAY_SLOTS] if len(found) >= DAY_SLOTS else (found or [0.0])[-1])
    return found


def ahead_kw(forecast: Quantiles, slot: datetime, count: int) -> tuple[float, ...]:
    """The median of a forecast from `slot` on, never negative."""
    return tuple(max(0.0, one) for one in _ahead_kw(forecast.q50_w, forecast.start, slot, count))


def store_of(state: HomeState, settings: Settings) -> Store | None:
    """The house battery, or None where there is none or its SoC or capacity is unknown."""
    battery = state.site.battery if state.site else None
    if battery is None or battery.soc_pct is None:
        return None
    own = settings.battery or BatterySettings()
    capacity = own.capacity_kwh or battery.capacity_kwh
    if not capacity or capacity <= 0:
        return None
    refused = _refused_modes(state)
    obeys = battery.controllable and "hold" not in refused
    return Store(
        capacity_kwh=capacity,
        stored_kwh=capacity * min(100.0, max(0.0, battery.soc_pct)) / 100,
        min_kwh=capacity * own.floor_soc_pct / 100,
        max_kwh=capacity * own.max_soc_pct / 100,
        charge_kw=own.charge_power_kw,
        discharge_kw=own.discharge_power_kw,
        charge_efficiency=own.charge_efficiency,
        discharge_efficiency=own.discharge_efficiency,
        wear_eur_kwh=own.wear_eur_kwh,
        grid_charging=own.grid_charging and battery.controllable and "charge" not in refused,
        hold_charges_from_pv=own.hold_charges_from_pv,
        controllable=obeys,
        max_eur_kwh=own.max_price_eur_kwh,
        feeds_cars=own.feeds_cars != "never" or not obeys,  # nothing keeps it from it then
    )


def targets_of(
    store: Store | None, settings: Settings, at: datetime, count: int
) -> tuple[Target, ...]:
    """What the battery is to hold at its local clock time, on each day of `count` slots."""
    own = settings.battery
    if store is None or own is None or own.target_soc_pct is None or own.target_at is None:
        return ()
    kwh, end, found = store.capacity_kwh * own.target_soc_pct / 100, slot_of(at) + count * SLOT, []
    by = next_departure(at, own.target_at, settings.site.zone)
    while by is not None and by <= end:
        found.append(Target(kwh, by))
        by = next_departure(by, own.target_at, settings.site.zone)
    return tuple(found)


def _doubts(
    forecast: Forecasted, settings: Settings, slot: datetime, count: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """By how much load and sun may be wrong (kW); empty where nothing is reserved for that."""
    own = settings.battery
    if own is None or own.reserve != "forecast":
        return (), ()

    def between(start: datetime, low: Watts, high: Watts) -> Watts:
        lows, highs = (_ahead_kw(one, start, slot, count) for one in (low, high))
        return tuple(max(0.0, b - max(0.0, a)) for a, b in zip(lows, highs, strict=True))

    load, pv = forecast.load, forecast.pv
    beyond = between(load.start, load.q50_w, load.q90_w)
    return beyond, between(pv.start, pv.q10_w, pv.q50_w)


def _refused_modes(state: HomeState) -> set[str]:
    """The battery modes that are not obeyed at present: they are planned around (design §7)."""
    return {
        f"{value}"
        for owned in state.in_control
        if owned.why.code == "battery_not_obeyed"
        for name, value in owned.why.numbers
        if name == "mode"
    }


def _car_settings(settings: Settings, vehicle: str | None) -> CarSettings | None:
    folded = (vehicle or "").casefold()
    return next((car for car in settings.cars if car.name.casefold() == folded), None)


def powers_kw(
    site: Site | None, settings: Settings, loadpoint: Loadpoint, vehicle: str | None
) -> tuple[float, float]:
    """Least and most power of this car at this loadpoint: the car's own limits hold (INV-19)."""
    own = _car_settings(settings, vehicle)
    known = find(site.vehicles, vehicle) if site and vehicle else None
    if own is not None:
        phases, most_kw, least_a = own.phases, own.max_power_kw, own.min_current_a
    else:
        phases, most_kw, least_a = settings.guests.phases, settings.guests.max_power_kw, 0.0
        phases = 3 if known else phases
        most_kw = 1000.0 if known else most_kw
    if known is not None and known.phases:
        phases = min(phases, known.phases)
    most_a = loadpoint.effective_max_current_a
    if known is not None and known.max_current_a:
        most_a = min(most_a, known.max_current_a)
    automatic = loadpoint.phases_configured not in (1, 2, 3)
    wired = (
        (3 if loadpoint.can_switch_phases else loadpoint.phases_active or 3)
        if automatic
        else (loadpoint.phases_configured)
    )
    most_phases = max(1, min(phases, wired))
    least_phases = 1 if automatic and loadpoint.can_switch_phases else most_phases
    most = min(most_kw, VOLTAGE_V * most_a * most_phases / 1000)
    least = VOLTAGE_V * max(loadpoint.effective_min_current_a, least_a) * least_phases / 1000
    return max(0.0, min(least, most)), max(0.0, most)


def _human_mode(state: HomeState, loadpoint: Loadpoint) -> ChargeMode | None:
    """The mode that a human chose at this loadpoint and that stands, or None."""
    setting = f"loadpoint:{loadpoint.name}:mode"
    owned = any(one.setting == setting and one.owner == HUMAN for one in state.in_control)
    return loadpoint.mode if owned else None


def _disobeys_until(state: HomeState, loadpoint: Loadpoint, at: datetime) -> datetime | None:
    """Until when nothing is expected of a loadpoint whose power contradicts its mode, or None."""
    setting = f"loadpoint:{loadpoint.name}:mode".casefold()
    for one in state.in_control:
        if one.setting.casefold() == setting and one.why.code in CAR_NOT_OBEYED:
            return one.until if one.until is not None and one.until > at else None
    return None


def drawn_anyway_kw(state: HomeState, at: datetime, slot: datetime, count: int) -> list[float]:
    """What loadpoints that do not obey draw at present, until they are told again: it is load."""
    drawn = [0.0] * count
    for loadpoint in state.site.loadpoints if state.site else ():
        until = _disobeys_until(state, loadpoint, at) if loadpoint.charger else None
        if until is not None:
            since = at
            for k in range(count):
                end = slot + (k + 1) * SLOT
                whole = (end - since) / timedelta(hours=1)
                share = max(0.0, (min(end, until) - since) / timedelta(hours=1)) / whole
                drawn[k] += max(0.0, loadpoint.charge_w) / 1000 * share
                since = end
    return drawn


def car_of(
    state: HomeState, settings: Settings, turn: Turn, at: datetime
) -> tuple[CarNeed, Wanted] | None:
    """What the car whose turn it is needs, or None where nothing can be planned for it.

    Nothing is planned for devices that are no chargers, unplugged cars, and cars whose charging a
    human has taken over, unless with `now`; for one that does not obey only what comes after that.
    A departure that is past is none (INV-16).
    """
    loadpoint = state.loadpoint(turn.loadpoint)
    if loadpoint is None or not loadpoint.charger or not loadpoint.connected:
        return None
    human = _human_mode(state, loadpoint)
    if human is not None and human is not ChargeMode.NOW:
        return None
    own = _car_settings(settings, turn.vehicle)
    if own is not None and own.disabled:
        return None
    least, most = powers_kw(state.site, settings, loadpoint, turn.vehicle)
    efficiency = own.charge_efficiency if own else DEFAULT_EFFICIENCY
    by_energy = turn.target_soc_pct is None
    need = max(0.0, turn.need_kwh) / (1.0 if by_energy else efficiency)
    departure = turn.departure if turn.departure and turn.departure > at else None
    asap = turn.immediate or human is ChargeMode.NOW or loadpoint.plan_active
    from_at = _disobeys_until(state, loadpoint, at)
    car = CarNeed(
        vehicle=turn.vehicle or "",
        loadpoint=turn.loadpoint,
        need_kwh=need,
        max_kw=most,
        min_kw=least,
        efficiency=efficiency,
        capacity_kwh=turn.capacity_kwh or None,
        soc_pct=turn.soc_pct,
        departure=departure,
        asap=asap,
        from_at=from_at,
        max_eur_kwh=own.max_price_eur_kwh if own else None,
    )
    wanted = Wanted(
        turn.loadpoint,
        turn.vehicle,
        turn.target_soc_pct,
        turn.energy_kwh,
        departure,
        asap,
        need > 0,
        round(most, 3),
        from_at,
    )
    return car, wanted


def waiting_car(
    state: HomeState, settings: Settings, plugged: CarNeed, waits: Waiting, at: datetime
) -> tuple[CarNeed, Wanted] | None:
    """What a waiting car would need in the place of the one that is plugged in, if that is known.

    It is always charged when that pays, never at once: somebody has to plug it in first.
    """
    loadpoint = state.loadpoint(plugged.loadpoint)
    if loadpoint is None or waits.soc_pct is None or not waits.capacity_kwh:
        return None
    own = _car_settings(settings, waits.vehicle)
    least, most = powers_kw(state.site, settings, loadpoint, waits.vehicle)
    efficiency = own.charge_efficiency if own else DEFAULT_EFFICIENCY
    departure = waits.departure if waits.departure and waits.departure > at else None
    car = CarNeed(
        vehicle=waits.vehicle,
        loadpoint=plugged.loadpoint,
        need_kwh=max(0.0, waits.need_kwh) / efficiency,
        max_kw=most,
        min_kw=least,
        efficiency=efficiency,
        capacity_kwh=waits.capacity_kwh,
        soc_pct=waits.soc_pct,
        departure=departure,
        waiting=True,
    )
    open_ = car.need_kwh > 0
    wanted = Wanted(car.loadpoint, car.vehicle, None, None, departure, False, open_, round(most, 3))
    return car, wanted


def cars_of(
    state: HomeState,
    settings: Settings,
    turns: tuple[Turn, ...],
    at: datetime,
    waiting: tuple[Waiting, ...] = (),
) -> tuple[tuple[CarNeed, ...], tuple[Wanted, ...]]:
    """All cars that are planned for: one per loadpoint, in the order of the turns, then who waits.

    Of those the most urgent find a free wallbox: for them nobody has to be moved.
    """
    found: dict[str, tuple[CarNeed, Wanted]] = {}
    for turn in turns:
        one = car_of(state, settings, turn, at)
        if one is not None:
            found.setdefault(turn.loadpoint.casefold(), one)
    plugged = list(found.values())
    loadpoints = state.site.loadpoints if state.site else ()
    free = sum(1 for one in loadpoints if one.charger and not one.connected)
    followers = [
        waiting_car(state, settings, car, waits, at)
        for car, _ in plugged
        for waits in waiting[free : free + MOST_WAITING]
    ]
    all_ = [*plugged, *(one for one in followers if one is not None)]
    return tuple(car for car, _ in all_), tuple(wanted for _, wanted in all_)


def _load_kw(state: HomeState, forecast: Forecasted, at: datetime, count: int) -> tuple[float, ...]:
    slot = slot_of(at)
    house = ahead_kw(forecast.load, slot, count)
    drawn = drawn_anyway_kw(state, at, slot, count)
    return (
        tuple(one + more for one, more in zip(house, drawn, strict=True)) if any(drawn) else house
    )


def _quiet(settings: Settings, slot: datetime, count: int) -> tuple[bool, ...]:
    """At which slots' starts nobody is to swap cars."""
    sequencer, zone = settings.sequencer, settings.site.zone
    return tuple(is_quiet(slot + k * SLOT, sequencer, zone) for k in range(count))


def problem_of(
    *,
    at: datetime,
    revision: int,
    settings: Settings,
    state: HomeState,
    cars: tuple[CarNeed, ...],
    rates: RatesChanged | None,
    forecast: Forecasted,
    usual: tuple[float | None, ...],
    battery_before: BatteryMode | None = None,
    charged_before: tuple[Charged, ...] = (),
) -> Problem:
    """The question for one plan, from the slot that contains `at` on (INV-04)."""
    count, slot = horizon_slots(settings), slot_of(at)
    none = (None,) * count
    store = store_of(state, settings)
    beyond, short = _doubts(forecast, settings, slot, count)
    return Problem(
        at=at,
        zone=settings.site.zone,
        import_eur_kwh=rates.import_eur_kwh.window(slot, count) if rates else none,
        export_eur_kwh=rates.export_eur_kwh.window(slot, count) if rates else none,
        load_kw=_load_kw(state, forecast, at, count),
        pv_kw=ahead_kw(forecast.pv, slot, count),
        store=store,
        cars=cars,
        unmet_eur_kwh=settings.planner.unmet_eur_kwh,
        import_limit_kw=import_limit_kw(settings, state.site),
        export_limit_kw=settings.site.grid_export_limit_kw,
        usual_eur_kwh=usual,
        feed_in_eur_kwh=settings.site.feed_in_eur_kwh,
        revision=revision,
        pv_known=forecast.pv_known,
        prices_failed=rates is not None and rates.grid_failed_since is not None,
        battery_before=battery_before,
        before=charged_before,
        swap_cost_eur=settings.sequencer.swap_cost_eur,
        quiet=_quiet(settings, slot, count) if any(car.waiting for car in cars) else (),
        targets=targets_of(store, settings, at, count),
        load_beyond_kw=beyond,
        pv_short_kw=short,
    )
