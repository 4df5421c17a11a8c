"""What `GET /status` and the stream say: a pure function of one snapshot (INV-108, INV-166).

Everything but `now` and `health` depends on the snapshot alone, so it is encoded once for all.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from types import MappingProxyType
from typing import Any

import msgspec

from engine.estate import Bequest
from engine.messages import DriverAsked, Forecasted, RatesChanged
from engine.values import (
    Battery,
    FailedMeter,
    HomeState,
    Loadpoint,
    Ownership,
    Quantiles,
    Series,
    Site,
    Turn,
    Vehicle,
    Why,
    find,
)
from web.health import health
from web.plan_view import doing_view, plan_view
from web.sentences import why_view
from web.snapshot import Snapshot, Write
from web.totals import totals_view

WRITES_SHOWN = 10
NOT_OBEYED = "_not_obeyed"
ASKED_FOR = timedelta(hours=24)
FAILED_FOR = timedelta(minutes=10)
HEAVY = ("plan", "prices", "forecast")
"""Parts that seldom change and are long: a stream may leave them out until they do."""

try:
    VERSION = package_version("smartload")
except PackageNotFoundError:  # run from a source tree that was not installed
    VERSION = "0"


def balanced_home_w(site: Site) -> float | None:
    """House load that makes the shown powers balance; evcc's own where a part is unknown.

    evcc omits the power of what a home does not have, so an absent PV or battery counts nothing.
    """
    battery = site.battery
    if site.grid_import_w is None or (battery is not None and battery.charge_w is None):
        return site.home_w
    charged = (battery.charge_w or 0.0) if battery else 0.0
    cars = sum(loadpoint.charge_w for loadpoint in site.loadpoints)
    return round(site.grid_import_w + (site.pv_w or 0.0) - charged - cars, 6)


def fields_of(value: msgspec.Struct, *names: str) -> dict[str, Any]:
    """The named fields of `value`, by name."""
    return {name: getattr(value, name) for name in names}


def battery_view(battery: Battery | None) -> dict[str, Any] | None:
    """The house battery; None in a home without one."""
    return None if battery is None else msgspec.structs.asdict(battery)


def title_of(state: HomeState, name: str | None) -> str | None:
    """What people call a car; its name where it has no title."""
    if name is None:
        return None
    known = state.vehicle(name) or (find(state.site.vehicles, name) if state.site else None)
    return (known.title if known else "") or name


def loadpoint_view(loadpoint: Loadpoint, state: HomeState) -> dict[str, Any]:
    """One loadpoint, and the car at it."""
    known = state.vehicle(loadpoint.vehicle)
    soc_pct = loadpoint.vehicle_soc_pct
    if soc_pct is None and known is not None:
        soc_pct = known.soc_pct
    return fields_of(
        loadpoint,
        "id", "name", "mode", "connected", "charging", "enabled", "charge_w", "charger",
        "vehicle", "detecting", "limit_soc_pct", "limit_energy_kwh", "effective_limit_soc_pct",
        "phases_active", "session_kwh", "plan_active", "plan_soc_pct", "plan_at",
        "smart_cost_active", "min_soc_not_reached",
    ) | {
        "title": loadpoint.title or loadpoint.name,
        "vehicle_title": title_of(state, loadpoint.vehicle),
        "vehicle_soc_pct": soc_pct,
    }  # fmt: skip


def vehicle_view(vehicle: Vehicle) -> dict[str, Any]:
    """One car and how old what we know of it is."""
    return msgspec.structs.asdict(vehicle) | {"title": vehicle.title or vehicle.name}


def turn_view(turn: Turn, state: HomeState, zone: str) -> dict[str, Any]:
    """Whose turn it is at one loadpoint."""
    return msgspec.structs.asdict(turn) | {
        "title": title_of(state, turn.vehicle),
        "why": why_view(turn.why, zone),
    }


def owner_view(owned: Ownership, zone: str) -> dict[str, Any]:
    """Who owns one setting."""
    return msgspec.structs.asdict(owned) | {"why": why_view(owned.why, zone)}


def bequest_view(bequest: Bequest, zone: str) -> dict[str, Any]:
    """One line of the last will: what is given back when we are gone."""
    return msgspec.structs.asdict(bequest) | {"why": why_view(bequest.why, zone)}


def meter_view(meter: FailedMeter, zone: str) -> dict[str, Any]:
    """One meter that cannot be believed."""
    return msgspec.structs.asdict(meter) | {"why": why_view(meter.why, zone)}


def asked_view(asked: DriverAsked, state: HomeState, zone: str) -> dict[str, Any]:
    """What a person was asked to do."""
    return {
        "at": asked.at,
        "loadpoint": asked.loadpoint,
        "vehicle": asked.vehicle,
        "title": title_of(state, asked.vehicle),
        "why": why_view(asked.why, zone),
    }


def is_open(asked: DriverAsked, state: HomeState) -> bool:
    """Whether the car that was asked for is still not where it was asked to be."""
    loadpoint = state.loadpoint(asked.loadpoint)
    there = loadpoint.vehicle if loadpoint and loadpoint.connected else None
    arrived = there is not None and there.casefold() == asked.vehicle.casefold()
    return not arrived and state.at - asked.at < ASKED_FOR


def write_view(write: Write, zone: str) -> dict[str, Any]:
    """One write to evcc and what became of it."""
    return msgspec.structs.asdict(write) | {"why": why_view(write.why, zone)}


def series_view(series: Series) -> dict[str, Any]:
    """One value per quarter hour from `start`; null is a gap."""
    return {"start": series.start, "values": series.values}


def prices_view(rates: RatesChanged | None) -> dict[str, Any] | None:
    """Prices as published; None while none were heard."""
    if rates is None:
        return None
    return {
        "revision": rates.revision,
        "import_eur_kwh": series_view(rates.import_eur_kwh),
        "export_eur_kwh": series_view(rates.export_eur_kwh),
        "solar_w": series_view(rates.solar_w),
        "grid_failed_since": rates.grid_failed_since,
    }


def quantiles_view(quantiles: Quantiles) -> dict[str, Any]:
    """A forecast: 10, 50 and 90 % quantiles per quarter hour from `start`."""
    return msgspec.structs.asdict(quantiles)


def forecast_view(forecast: Forecasted | None) -> dict[str, Any] | None:
    """House load and PV ahead; None while nothing was forecast."""
    if forecast is None:
        return None
    return {
        "at": forecast.at,
        "load": quantiles_view(forecast.load),
        "pv": quantiles_view(forecast.pv),
        **fields_of(forecast, "load_days", "pv_ratio", "pv_known"),
    }


def troubles(snapshot: Snapshot) -> list[Why]:
    """What is wrong: the state's troubles, and what only the window hears of when it is dead."""
    state = snapshot.state
    found = list(state.troubles) if state else []
    if snapshot.hands_off and snapshot.hands_off.why.code not in {why.code for why in found}:
        found.append(snapshot.hands_off.why)
    known = {dict(why.numbers).get("actor") for why in found}
    for failure in snapshot.failures:
        recent = state is None or state.at - failure.at < FAILED_FOR
        if recent and failure.actor not in known:
            numbers = (("actor", failure.actor), ("error", failure.error))
            found.append(Why("actor_failed", numbers))
    return list(dict.fromkeys(found))


def main_why(snapshot: Snapshot, doing: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one reason of the present: of the failure, of what is done, else of the plan."""
    if snapshot.hands_off:
        return why_view(snapshot.hands_off.why, snapshot.zone)
    if doing:
        why: dict[str, Any] = doing[0]["why"]
        return why
    return why_view(snapshot.plan.plan.why if snapshot.plan else Why("no_plan"), snapshot.zone)


def live_view(snapshot: Snapshot) -> dict[str, Any]:
    """All parts that are short: live values, cars, control, what is done and why."""
    state, zone = snapshot.state, snapshot.zone
    site = state.site if state else None
    doing = doing_view(snapshot.plan, state.at, zone) if state else []
    return {
        "version": VERSION,
        "zone": zone,
        "tick_s": snapshot.settings.tick_s if snapshot.settings else None,
        "revision": state.revision if state else 0,
        "rates_revision": state.rates_revision if state else 0,
        "plan_revision": state.plan_revision if state else 0,
        "at": state.at if state else None,
        "measured_at": state.measured_at if state else None,
        "evcc_reachable": state.evcc_reachable if state else False,
        "evcc_silent_since": state.evcc_silent_since if state else None,
        "site_title": site.title if site else None,
        "evcc_version": site.version if site else None,
        "currency": site.currency if site else "EUR",
        "grid_import_w": site.grid_import_w if site else None,
        "pv_w": site.pv_w if site else None,
        "home_w": balanced_home_w(site) if site else None,
        "evcc_home_w": site.home_w if site else None,
        "battery": battery_view(site.battery if site else None),
        "loadpoints": [loadpoint_view(one, state) for one in site.loadpoints]
        if state and site
        else [],
        "vehicles": [vehicle_view(one) for one in state.vehicles] if state else [],
        "turns": [turn_view(one, state, zone) for one in state.turns] if state else [],
        "control": state.control if state else None,
        "in_control": [owner_view(one, zone) for one in state.in_control] if state else [],
        "not_obeyed": [
            owner_view(one, zone) for one in state.in_control if one.why.code.endswith(NOT_OBEYED)
        ]
        if state
        else [],
        "will": [bequest_view(one, zone) for one in snapshot.will],
        "failed_meters": [meter_view(one, zone) for one in state.failed_meters] if state else [],
        "totals": totals_view(snapshot),
        "doing": doing,
        "why": main_why(snapshot, doing),
        "troubles": [why_view(one, zone) for one in troubles(snapshot)],
        "drivers_asked": [
            asked_view(one, state, zone) for one in snapshot.asked if is_open(one, state)
        ]
        if state
        else [],
        "writes": [write_view(one, zone) for one in snapshot.writes[-WRITES_SHOWN:]],
    }


def status(
    snapshot: Snapshot, now: datetime, vitals: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The whole status at `now` (aware UTC), JSON-ready for msgspec."""
    return {
        "now": now,
        "health": summary(snapshot, now, vitals),
        **live_view(snapshot),
        "plan": plan_view(snapshot.plan, snapshot.zone),
        "prices": prices_view(snapshot.rates),
        "forecast": forecast_view(snapshot.forecast),
    }


def summary(snapshot: Snapshot, now: datetime, vitals: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of the health."""
    found = health(snapshot, now, vitals)
    return {"status": found["status"], "problems": found["problems"]}
