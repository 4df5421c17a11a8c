"""The pretend evcc's state in evcc's own JSON (evcc-api.md §1, evcc-recorded/state-demo.json).

Energies of a session in Wh, limits in kWh, powers in W, battery power positive when discharging.
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from engine import home
from sim.evcc_home import BATTERY_MODES, Car, Home, Loadpoint
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
    "demoMode": False,
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
    "phaseAction": "inactive",
    "phaseRemaining": 0,
    "pvAction": "inactive",
    "pvRemaining": 0,
    "sessionCo2PerKWh": None,
    "smartCostNextStart": None,
    "smartFeedInPriorityNextStart": None,
    "suggestion": None,
    "ui": {"minTemp": 0, "maxTemp": 0},
    "vehicleClimaterActive": None,
    "vehicleLimitSoc": 0,
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
    """RFC 3339 in UTC."""
    return at.isoformat().replace("+00:00", "Z")


def plan_json(point: Loadpoint) -> list[dict[str, Any]] | None:
    """The parts of the loadpoint's plan, None without one."""
    if not point.plan_parts:
        return None
    return [
        {"start": text_of(part.start), "end": text_of(part.end), "value": part.value}
        for part in point.plan_parts
    ]


def _plan_keys(point: Loadpoint, at: datetime) -> dict[str, Any]:
    car = point.vehicle
    parts = point.plan_parts
    strategy = car.strategy if car is not None and point.knows_soc else point.strategy
    overrun_s = 0.0
    if point.plan_goal_at is not None:
        end = at + timedelta(seconds=point.plan_need_s)
        overrun_s = max(0.0, (end - point.plan_goal_at).total_seconds())
    return {
        "effectivePlanId": point.plan_id,
        "effectivePlanSoc": point.plan_goal_soc,
        "effectivePlanStrategy": strategy,
        "effectivePlanTime": point.plan_goal_text or None,
        "plan": plan_json(point),
        "planActive": point.plan_active,
        "planEnergy": number(point.plan_energy),
        "planOverrun": int(overrun_s),
        "planProjectedEnd": text_of(parts[-1].end) if parts else None,
        "planProjectedStart": text_of(parts[0].start) if parts else None,
        "planStrategy": point.strategy,
        "planTime": point.plan_time or None,
    }


def _vehicle_keys(point: Loadpoint) -> dict[str, Any]:
    car = point.vehicle
    soc = point.known_soc
    keys: dict[str, Any] = {
        "vehicleDetectionActive": point.detecting_since is not None,
        "vehicleName": car.spec.name if car else "",
        "vehicleRange": int(soc * car.spec.capacity_kwh * 0.05) if car else 0,
        "vehicleSoc": number(soc),
        "vehicleTitle": car.title if car else "",
    }
    if car is not None and point.car is not None:
        missing_pct = max(0.0, point.effective_limit_soc - soc)
        wh = missing_pct * car.spec.capacity_kwh * 10.0 / 0.85
        keys["chargeRemainingEnergy"] = number(wh)
        if point.charge_w > 0:
            keys["chargeRemainingDuration"] = int(wh / point.charge_w * 3600.0)
    return keys


def _loadpoint(point: Loadpoint, at: datetime) -> dict[str, Any]:
    session_wh = number(point.session_kwh * 1000.0)
    has_session = point.session_kwh > 0
    switching = point.spec.can_switch_phases
    return {
        **LOADPOINT_CONSTANT,
        "batteryBoost": point.boost,
        "batteryBoostLimit": point.boost_limit,
        "chargeDuration": int(point.session_s),
        "chargePower": number(point.charge_w),
        "chargedEnergy": session_wh,
        "chargerPhases1p3p": switching,
        "chargerSinglePhase": point.spec.phases == 1,
        "charging": point.charging,
        "connected": point.car is not None,
        "disableDelay": point.disable_delay_s,
        "disableThreshold": number(point.disable_threshold),
        "effectiveLimitSoc": point.effective_limit_soc,
        "effectiveMaxCurrent": number(point.effective_max_a),
        "effectiveMinCurrent": number(point.min_a),
        "effectiveMinSoc": point.effective_min_soc,
        "effectivePriority": point.priority,
        "enableDelay": point.enable_delay_s,
        "enableThreshold": number(point.enable_threshold),
        "enabled": point.offered_a > 0,
        "limitEnergy": number(point.limit_energy),
        "limitSoc": point.limit_soc,
        "maxCurrent": number(point.max_a),
        "minCurrent": number(point.min_a),
        "minSoc": point.min_soc,
        "minSocNotReached": point.min_not_reached,
        "mode": point.mode,
        "name": point.spec.name,
        "offeredCurrent": number(point.offered_a),
        "phasesActive": min(point.phases_on, point.max_phases),
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
        **_plan_keys(point, at),
        **_vehicle_keys(point),
    }


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
    if car.spec.max_current_a < 16:
        entry["maxCurrent"] = number(car.spec.max_current_a)
    if car.plan_time:
        entry["plan"] = {"soc": car.plan_soc, "time": car.plan_time}
    entry["repeatingPlans"] = car.repeating
    entry["planStrategy"] = car.strategy
    return entry


def _meters(site: Home) -> dict[str, Any]:
    meters = site.meters
    charge_w = sum(point.charge_w for point in site.loadpoints)
    home_w = max(0.0, site.grid_w + max(0.0, site.pv_w) + site.battery_w - charge_w)
    keys: dict[str, Any] = {
        "battery": None,
        "grid": {
            "name": "grid",
            "power": site.grid_w,
            "energy": meters.import_kwh,
            "returnEnergy": meters.export_kwh,
        },
        "greenShareHome": number(site.green_share),
        "greenShareLoadpoints": number(site.green_share),
        "homePower": number(home_w),
        "pv": [{"name": "pv", "power": site.pv_w, "energy": meters.pv_kwh}],
        "pvEnergy": number(meters.pv_kwh),
        "pvPower": number(site.pv_w),
    }
    if site.has_battery:
        battery = {
            "power": site.battery_w,
            "energy": meters.discharged_kwh,
            "returnEnergy": meters.charged_kwh,
            "capacity": number(site.battery.capacity_kwh),
            "soc": site.battery_soc_pct,
        }
        device = {"name": "battery", **battery, "controllable": True}
        keys["battery"] = {**battery, "devices": [device]}
    return keys


def _settings(site: Home) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "batteryDischargeControl": site.discharge_control,
        "batteryGridChargeActive": site.grid_charge_active,
        "batteryGridDischarge": site.grid_discharge,
        "batteryMode": BATTERY_MODES[site.mode],
        "bufferSoc": number(site.buffer_soc),
        "bufferStartSoc": number(site.buffer_start_soc),
        "gridExportLimit": number(site.export_limit_w),
        "interval": int(site.scenario.sim.evcc_interval_s),
        "optimizerChargingStrategy": site.strategy,
        "prioritySoc": number(site.priority_soc),
        "residualPower": number(site.residual_w),
        "solarAdjusted": site.solar_adjusted,
        "siteTitle": site.scenario.title or site.scenario.name,
    }
    if site.external_set:
        keys["batteryModeExternal"] = BATTERY_MODES[site.external]
    if site.grid_charge_limit_set:
        keys["batteryGridChargeLimit"] = site.grid_charge_limit
    return keys


def _prices(site: Home, tariffs: Tariffs, at: datetime) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "currency": "EUR",
        "smartCostAvailable": not tariffs.static,
        "smartCostType": None if tariffs.static else "priceforecast",
    }
    grid, fed = tariffs.shown("grid", at), tariffs.shown("feedin", at)
    for key, value in (("Grid", grid), ("FeedIn", fed), ("Solar", tariffs.shown("solar", at))):
        if value is not None:
            keys[f"tariff{key}"] = number(value)
    if grid is not None and fed is not None:
        blended = number(site.green_share * fed + (1.0 - site.green_share) * grid)
        keys["tariffPriceHome"] = keys["tariffPriceLoadpoints"] = blended
    return keys


def state(site: Home, tariffs: Tariffs, at: datetime) -> dict[str, Any]:
    """Everything that `GET /api/state` answers; `forecast` is encoded already."""
    local = at.astimezone(ZoneInfo(site.scenario.settings.site.zone))
    return {
        **CONSTANT,
        **_meters(site),
        **_settings(site),
        **_prices(site, tariffs, at),
        "forecast": tariffs.forecast(at),
        "loadpoints": [_loadpoint(point, at) for point in site.loadpoints],
        "timezone": f"{local.tzname()} {local.isoformat()[-6:]}",
        "vehicles": {name: _vehicle(car) for name, car in site.cars.items() if not car.spec.guest},
    }


def flat(site: Home, tariffs: Tariffs, at: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state as `/ws` sends it: all keys flat, and the forecast's keys apart."""
    full = state(site, tariffs, at)
    forecast = msgspec.json.decode(full.pop("forecast"))
    loadpoints = full.pop("loadpoints")
    for k, point in enumerate(loadpoints):
        full |= {f"loadpoints.{k}.{key}": value for key, value in point.items()}
    return full, {f"forecast.{key}": value for key, value in forecast.items()}


def battery_number(site: Home) -> int:
    """What a battery mode call answers: the external mode's number, 0 when nothing obeys."""
    return site.external if site.has_battery else home.UNKNOWN
