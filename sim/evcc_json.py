"""The pretend evcc's state in evcc's own JSON (evcc-api.md §1, evcc-recorded/state-demo.json).

Energies of a session in Wh, limits in kWh, powers in W, battery power positive when discharging.
"""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from engine.loadpoint import (
    BOOST_OFF,
    DISABLE,
    ENABLE,
    INACTIVE,
    SCALE_1P,
    SCALE_3P,
    B,
    C,
    active_phases,
)
from sim import evcc_goals
from sim.evcc_home import BATTERY_MODES, MODE_NAMES, Car, Home, Loadpoint, Site
from sim.evcc_plan import Part
from sim.evcc_tariffs import Tariffs

VERSION = "0.314.0"

STRATEGIES = (
    "charge_before_export",
    "attenuate_demand_peaks",
    "attenuate_feedin_peaks",
    "attenuate_grid_peaks",
    "none",
)

CHARGER_FEATURES = (
    "AutodetectDisabled",
    "Average",
    "Cacheable",
    "ClimaterDisabled",
    "CoarseCurrent",
    "Continuous",
    "Heating",
    "IntegratedDevice",
    "Offline",
    "Retryable",
    "Streaming",
    "SwitchDevice",
    "WakeUpDisabled",
    "WelcomeCharge",
)

NO_STATISTICS = {"avgCo2": 0, "avgPrice": 0, "chargedKWh": 0, "solarPercentage": 0}

CONSTANT: dict[str, Any] = {
    "apiReady": True,
    "aux": [],
    "demoMode": True,
    "experimental": False,
    "ext": [],
    "gridConfigured": True,
    "optimizer": False,
    "optimizerChargingStrategies": STRATEGIES,
    "setupRequired": False,
    "smartFeedInPriorityAvailable": False,
    "startupCompleted": True,
    "statistics": dict.fromkeys(("30d", "365d", "thisYear", "total"), NO_STATISTICS),
    "version": VERSION,
}

LOADPOINT_CONSTANT: dict[str, Any] = {
    **{f"chargerFeature{feature}": False for feature in CHARGER_FEATURES},
    "chargerIcon": "",
    "chargerStatusReason": "unknown",
    "connectedDuration": 0,
    "last24hEnergy": 0,
    "last7dEnergy": 0,
    "sessionCo2PerKWh": None,
    "smartCostNextStart": None,
    "smartFeedInPriorityNextStart": None,
    "suggestion": None,
    "ui": {"minTemp": 0, "maxTemp": 0},
    "vehicleClimaterActive": None,
    "vehicleOdometer": 0,
    "vehicleWelcomeActive": False,
}


def number(value: float) -> float | int:
    """At most 3 decimals, whole numbers without any, as evcc's encoder writes them."""
    whole = int(value)
    if whole == value:  # as most are
        return whole
    rounded = round(value, 3)
    whole = int(rounded)
    return whole if whole == rounded else rounded


def text_of(at: datetime) -> str:
    """RFC 3339 in UTC, whole seconds as evcc writes them."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def plan_json(parts: Sequence[Part]) -> list[dict[str, Any]] | None:
    """The parts of a plan, with fractions of a second where there are any; None without one."""
    if not parts:
        return None
    return [
        {"start": _exact(part.start), "end": _exact(part.end), "value": part.value}
        for part in parts
    ]


def _exact(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _plan_keys(point: Loadpoint) -> dict[str, Any]:
    parts = point.plan_parts
    shown = point.effective or evcc_goals.effective_of(point)
    return {
        "effectiveLimitSoc": shown.limit_soc,
        "effectiveMaxCurrent": number(shown.max_current),
        "effectiveMinCurrent": number(shown.min_current),
        "effectiveMinSoc": shown.min_soc,
        "effectivePlanId": shown.plan_id,
        "effectivePlanSoc": shown.plan_soc,
        "effectivePlanStrategy": shown.plan_strategy,
        "effectivePlanTime": shown.plan_time or None,
        "effectivePriority": shown.priority,
        "plan": plan_json(parts),
        "planActive": point.plan_active,
        "planEnergy": number(point.plan_energy),
        "planOverrun": int(point.plan_overrun_s),
        "planProjectedEnd": text_of(parts[-1].end) if parts else None,
        "planProjectedStart": text_of(parts[0].start) if parts else None,
        "planStrategy": point.strategy,
        "planTime": point.plan_time or None,
    }


def _vehicle_keys(point: Loadpoint) -> dict[str, Any]:
    car = point.vehicle
    soc = point.soc
    keys: dict[str, Any] = {
        "vehicleDetectionActive": point.detecting_since_s is not None,
        "vehicleLimitSoc": number(point.vehicle_own_limit_soc),
        "vehicleName": car.spec.name if car else "",
        "vehicleRange": int(soc * car.spec.capacity_kwh * 0.05) if car else 0,
        "vehicleSoc": number(soc),
        "vehicleTitle": car.title if car else "",
    }
    if point.charge_remaining_wh is not None:
        keys["chargeRemainingEnergy"] = number(point.charge_remaining_wh)
    if point.charge_remaining_s or (point.session_s and point.estimate is not None):
        keys["chargeRemainingDuration"] = int(point.charge_remaining_s)
    return keys


UNSEEN = (
    "chargeRemainingDuration", "chargedEnergy", "chargerStatusReason", "charging", "connected",
    "effectiveLimitSoc", "effectiveMaxCurrent", "effectiveMinCurrent", "effectiveMinSoc",
    "effectivePlanSoc", "effectivePlanTime", "effectivePriority", "enabled", "minSocNotReached",
    "planOverrun", "planProjectedEnd", "planProjectedStart", "sessionEnergy", "smartCostActive",
)  # fmt: skip
"""Not there before the loadpoint's first own cycle since evcc's start."""

ACTIONS = {
    INACTIVE: "inactive",
    ENABLE: "enable",
    DISABLE: "disable",
    SCALE_1P: "scale1p",
    SCALE_3P: "scale3p",
}


def _timers(point: Loadpoint) -> dict[str, Any]:
    """The running timers, and how long they still ran in the loadpoint's last cycle."""
    return {
        "phaseAction": ACTIONS[point.phase_action],
        "phaseRemaining": _left(point.phase_remaining_s),
        "pvAction": ACTIONS[point.pv_action],
        "pvRemaining": _left(point.pv_remaining_s),
    }


def _left(seconds: float) -> int:
    """evcc has looked a moment later: whole seconds are already one less."""
    return max(0, ceil(seconds) - 1)


def _loadpoint(point: Loadpoint) -> dict[str, Any]:
    session_wh = number(point.session_kwh * 1000.0)
    has_session = point.session_kwh > 0
    keys = {
        **LOADPOINT_CONSTANT,
        "batteryBoost": point.boost != BOOST_OFF,
        "batteryBoostLimit": point.boost_limit,
        "chargeDuration": int(point.session_s),
        "chargePower": number(point.charge_w),
        "chargedEnergy": session_wh,
        "chargerPhases1p3p": point.can_switch,
        "chargerSinglePhase": point.single_phase,
        "charging": point.status == C,
        "connected": point.status >= B,
        "disableDelay": int(point.disable_delay_s),
        "disableThreshold": number(point.disable_threshold),
        "enableDelay": int(point.enable_delay_s),
        "enableThreshold": number(point.enable_threshold),
        "enabled": point.enabled,
        "limitEnergy": number(point.limit_energy),
        "limitSoc": point.limit_soc,
        "maxCurrent": number(point.max_a),
        "minCurrent": number(point.min_a),
        "minSoc": point.min_soc,
        "minSocNotReached": point.min_not_reached,
        "mode": MODE_NAMES[point.mode],
        "name": point.spec.name,
        "offeredCurrent": number(point.offered_a),
        "phasesActive": active_phases(point),
        "phasesConfigured": point.phases_configured,
        "priority": point.priority,
        "sessionEnergy": session_wh,
        "sessionPrice": point.session_eur if has_session else None,
        "sessionPricePerKWh": point.session_eur / point.session_kwh if has_session else None,
        "sessionSolarPercentage": (
            number(100.0 * point.session_sun_kwh / point.session_kwh) if has_session else 0
        ),
        "smartCostActive": point.smart_cost_active,
        "smartCostLimit": point.smart_cost_limit,
        "smartFeedInPriorityActive": point.feed_in_active,
        "smartFeedInPriorityLimit": point.feed_in_limit,
        "title": point.spec.title or point.spec.name,
        "todayEnergy": int(point.session_kwh * 1000.0),
        **_timers(point),
        **_plan_keys(point),
        **_vehicle_keys(point),
    }
    if not point.gives_reason:
        keys.pop("chargerStatusReason")
    if not point.seen:
        for key in UNSEEN:
            keys.pop(key, None)
        if point.offered_a == 0:
            keys.pop("offeredCurrent")
    return keys


def _vehicle(car: Car) -> dict[str, Any]:
    """What evcc is configured to know; zero values are left out (evcc-api.md §1.6)."""
    entry: dict[str, Any] = {"title": car.title, "capacity": number(car.spec.capacity_kwh)}
    if not car.spec.api:
        entry["features"] = ["Offline"]
    if car.spec.phases != 3:
        entry["phases"] = car.spec.phases
    if car.mode:
        entry["mode"] = car.mode
    if car.min_soc:
        entry["minSoc"] = car.min_soc
    if car.limit_soc:
        entry["limitSoc"] = car.limit_soc
    if car.spec.tells_current and car.spec.max_current_a < 16:
        entry["maxCurrent"] = number(car.spec.max_current_a)
    if car.plan_time:
        entry["plan"] = {"soc": car.plan_soc, "time": car.plan_time}
    entry["repeatingPlans"] = car.repeating
    entry["planStrategy"] = car.strategy
    return entry


def _meters(home: Home) -> dict[str, Any]:
    site, house = home.site, home.house
    keys: dict[str, Any] = {
        "battery": None,
        "grid": {
            "name": "grid",
            "power": site.grid_w,
            "energy": site.grid_kwh[0],
            "returnEnergy": site.grid_kwh[1],
        },
        "greenShareHome": number(site.green_home),
        "greenShareLoadpoints": number(site.green_cars),
        "homePower": number(site.home_w),
        "pv": [{"name": "pv", "power": site.pv_w, "energy": site.pv_kwh}],
        "pvEnergy": number(site.pv_kwh),
        "pvPower": number(site.pv_w),
    }
    if home.has_battery:
        battery = {
            "power": site.battery_w,
            "energy": site.battery_kwh[0],
            "returnEnergy": site.battery_kwh[1],
            "capacity": number(house.capacity_kwh),
            "soc": site.battery_soc,
        }
        device = {"name": "battery", **battery, "controllable": True}
        keys["battery"] = {**battery, "devices": [device]}
    return keys


def _settings(home: Home) -> dict[str, Any]:
    site, scenario = home.site, home.scenario
    keys: dict[str, Any] = {
        "batteryDischargeControl": site.discharge_control,
        "batteryGridDischarge": site.grid_discharge,
        "batteryMode": BATTERY_MODES[site.battery_mode],
        "bufferSoc": number(site.buffer_soc),
        "bufferStartSoc": number(site.buffer_start_soc),
        "gridExportLimit": number(site.export_limit_w),
        "interval": int(scenario.sim.evcc_interval_s),
        "optimizerChargingStrategy": site.strategy,
        "prioritySoc": number(site.priority_soc),
        "residualPower": number(site.residual_w),
        "solarAdjusted": site.solar_adjusted,
        "siteTitle": scenario.title or scenario.name,
    }
    if site.seen:
        keys["batteryGridChargeActive"] = site.grid_charge_active
    if site.external_set:
        keys["batteryModeExternal"] = BATTERY_MODES[site.external]
    if site.grid_charge_limit_set:
        keys["batteryGridChargeLimit"] = site.grid_charge_limit
    return keys


def _prices(site: Site, tariffs: Tariffs, at: datetime) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "currency": "EUR",
        "smartCostAvailable": not tariffs.static,
        "smartCostType": None if tariffs.static else "priceforecast",
    }
    at = site.priced_at or at
    grid, fed = tariffs.shown("grid", at), tariffs.shown("feedin", at)
    for key, value in (("Grid", grid), ("FeedIn", fed), ("Solar", tariffs.shown("solar", at))):
        if value is not None:
            keys[f"tariff{key}"] = number(value)
    if grid is not None and fed is not None:
        for key, green in (("Home", site.green_home), ("Loadpoints", site.green_cars)):
            keys[f"tariffPrice{key}"] = number(green * fed + (1.0 - green) * grid)
    return keys


def state(home: Home, tariffs: Tariffs, at: datetime) -> dict[str, Any]:
    """Everything that `GET /api/state` answers; `forecast` is encoded already."""
    scenario = home.scenario
    local = at.astimezone(ZoneInfo(scenario.settings.site.zone))
    return {
        **CONSTANT,
        **_meters(home),
        **_settings(home),
        **_prices(home.site, tariffs, at),
        "forecast": tariffs.forecast(at),
        "loadpoints": [_loadpoint(point) for point in home.loadpoints],
        "timezone": f"{local.tzname()} {local.isoformat()[-6:]}",
        "vehicles": {name: _vehicle(car) for name, car in home.cars.items() if not car.spec.guest},
    }


def flat(state: dict[str, Any]) -> dict[str, Any]:
    """A state as `/ws` sends it: the loadpoints' keys flat, counted from 0, and no forecast."""
    found = {key: state[key] for key in state if key not in ("forecast", "loadpoints")}
    for k, point in enumerate(state["loadpoints"]):
        found |= {f"loadpoints.{k}.{key}": point[key] for key in point}
    return found


def battery_number(site: Site) -> int:
    """What a battery mode call answers: the external mode's number, 0 when nothing obeys."""
    return site.external
