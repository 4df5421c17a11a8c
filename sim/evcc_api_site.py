"""What can be written to site and vehicles (evcc-api.md §3.2, §3.3), and the small reads."""

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from sim import evcc_cycle, evcc_goals, evcc_life
from sim.evcc_home import BATTERY_MODES, MODES, Site
from sim.evcc_json import STRATEGIES, battery_number, number
from sim.evcc_routes import Call, Failed, Missing, Refused, decoded, future, route, strategy_from
from sim.evcc_tariffs import USAGES

# --- vehicles -------------------------------------------------------------------------------------


def _refresh(call: Call) -> None:
    """The loadpoint of the vehicle knows of its settings, and shows them, at once."""
    for point in call.home.loadpoints:
        if point.vehicle is call.car:
            evcc_life.refresh(point)
            evcc_goals.announce(point, call.at)


@route("POST", "/vehicles/{name}/limitsoc/{int}")
def _vehicle_limit(call: Call) -> Any:
    call.car.limit_soc = int(call.last)
    _refresh(call)
    return {"soc": call.car.limit_soc}


@route("POST", "/vehicles/{name}/minsoc/{int}")
def _vehicle_min(call: Call) -> Any:
    call.car.min_soc = int(call.last)
    _refresh(call)
    return {"soc": call.car.min_soc}


@route("POST", "/vehicles/{name}/mode/{word}")
def _vehicle_mode(call: Call) -> Any:
    car = call.car
    if call.last not in MODES:
        raise Refused(f"invalid value: {call.last}")
    car.mode = call.last
    return {"mode": car.mode}


@route("DELETE", "/vehicles/{name}/mode")
def _no_vehicle_mode(call: Call) -> Any:
    call.car.mode = ""
    return {"mode": ""}


@route("POST", "/vehicles/{name}/plan/soc/{int}/{time}")
def _plan_soc(call: Call) -> Any:
    car = call.car
    when = future(call.last, call.at)
    soc = int(call.values[1])
    car.plan_soc, car.plan_time = (soc, when) if soc else (0, "")
    _unlock(call)
    return {"soc": soc, "time": when}


@route("DELETE", "/vehicles/{name}/plan/soc")
def _no_plan_soc(call: Call) -> Any:
    call.car.plan_soc, call.car.plan_time = 0, ""
    _unlock(call)
    return {}


def _unlock(call: Call) -> None:
    """Any vehicle plan set or deleted clears the locks of all loadpoints."""
    for point in call.home.loadpoints:
        point.plan_lock = None
    _refresh(call)


@route("POST", "/vehicles/{name}/plan/repeating")
def _repeating(call: Call) -> Any:
    car, plans = call.car, decoded(call.body)
    if not isinstance(plans, list) or not all(isinstance(plan, dict) for plan in plans):
        raise Refused("cannot unmarshal into repeating plans")
    car.repeating = [_checked(plan) for plan in plans]
    _unlock(call)
    return car.repeating


def _checked(plan: dict[str, Any]) -> dict[str, Any]:
    for day in plan.get("weekdays", ()):
        if day not in range(7):
            raise Refused(f"weekday out of range: {day}")
    clock = str(plan.get("time", ""))
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", clock):
        raise Refused(f'parsing time "{clock}"')
    try:
        ZoneInfo(str(plan.get("tz", "")))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(f"unknown time zone {plan.get('tz')}") from error
    return {
        "weekdays": list(plan.get("weekdays", ())),
        "time": clock,
        "tz": plan["tz"],
        "soc": number(float(plan.get("soc", 0))),
        "active": bool(plan.get("active", False)),
    }


@route("POST", "/vehicles/{name}/plan/strategy")
def _vehicle_strategy(call: Call) -> Any:
    call.car.strategy = strategy_from(call.body)
    return call.car.strategy


# --- site -----------------------------------------------------------------------------------------


@route("POST", "/batterymode/{word}")
def _battery_mode(call: Call) -> Any:
    if call.last not in BATTERY_MODES:
        raise Refused(f"{call.last} does not belong to BatteryMode values")
    if call.home.has_battery:
        evcc_cycle.set_external(call.site, BATTERY_MODES.index(call.last), call.at_s)
    return battery_number(call.site)


@route("DELETE", "/batterymode")
def _release(call: Call) -> Any:
    if call.home.has_battery:
        evcc_cycle.set_external(call.site, 0, call.at_s)
    return battery_number(call.site)


def _battery_needed(site: Site) -> None:
    if not site.has_battery:
        raise Refused("battery not configured")


@route("POST", "/batterygridchargelimit/{v}")
def _grid_charge(call: Call) -> Any:
    _battery_needed(call.site)
    call.site.grid_charge_limit, call.site.grid_charge_limit_set = float(call.last), True
    return number(float(call.last))


@route("DELETE", "/batterygridchargelimit")
def _no_grid_charge(call: Call) -> Any:
    _battery_needed(call.site)
    call.site.grid_charge_limit, call.site.grid_charge_limit_set = None, True


@route("POST", "/batterydischargecontrol/{bool}")
def _discharge_control(call: Call) -> Any:
    _battery_needed(call.site)
    call.site.discharge_control = call.last == "true"
    return call.site.discharge_control


@route("POST", "/batterygriddischarge/{bool}")
def _grid_discharge(call: Call) -> Any:
    call.site.grid_discharge = call.last == "true"
    return call.site.grid_discharge


@route("POST", "/prioritysoc/{n}")
def _priority_soc(call: Call) -> Any:
    site, value = call.site, float(call.last)
    _battery_needed(site)
    if site.buffer_soc and value > site.buffer_soc:
        raise Refused("priority soc must be smaller or equal than buffer soc")
    site.priority_soc = value
    return number(value)


@route("POST", "/buffersoc/{n}")
def _buffer_soc(call: Call) -> Any:
    site, value = call.site, float(call.last)
    _battery_needed(site)
    if value and value < site.priority_soc:
        raise Refused("buffer soc must not be smaller than priority soc")
    if value and site.buffer_start_soc and value > site.buffer_start_soc:
        raise Refused("buffer soc must be smaller or equal than buffer start soc")
    site.buffer_soc = value
    return number(value)


@route("POST", "/bufferstartsoc/{n}")
def _buffer_start_soc(call: Call) -> Any:
    site, value = call.site, float(call.last)
    _battery_needed(site)
    if value and value < site.buffer_soc:
        raise Refused("buffer start soc must be larger than buffer soc")
    site.buffer_start_soc = value
    return number(value)


@route("POST", "/residualpower/{v}")
def _residual(call: Call) -> Any:
    call.site.residual_w = float(call.last)
    return number(call.site.residual_w)


@route("POST", "/gridexportlimit/{n}")
def _export_limit(call: Call) -> Any:
    call.site.export_limit_w = float(call.last)
    return number(call.site.export_limit_w)


@route("POST", "/solaradjusted/{bool}")
def _solar_adjusted(call: Call) -> Any:
    call.site.solar_adjusted = call.last == "true"
    return call.site.solar_adjusted


@route("POST", "/smartcostlimit/{v}")
def _all_smart_cost(call: Call) -> Any:
    for point in call.site.loadpoints:
        point.smart_cost_limit = float(call.last)
    return number(float(call.last))


@route("DELETE", "/smartcostlimit")
def _no_all_smart_cost(call: Call) -> Any:
    for point in call.site.loadpoints:
        point.smart_cost_limit = None


@route("POST", "/smartfeedinprioritylimit/{v}")
def _all_feed_in(call: Call) -> Any:
    for point in call.site.loadpoints:
        point.feed_in_limit = float(call.last)
    return number(float(call.last))


@route("DELETE", "/smartfeedinprioritylimit")
def _no_all_feed_in(call: Call) -> Any:
    for point in call.site.loadpoints:
        point.feed_in_limit = None


@route("POST", "/optimizerchargingstrategy/{word}")
def _optimizer_strategy(call: Call) -> Any:
    if call.last not in STRATEGIES:
        raise Refused(f"invalid optimizer charging strategy: {call.last}")
    call.site.strategy = call.last
    return call.last


@route("POST", "/optimize")
def _optimize(call: Call) -> Any:
    return {"Err": {}}


AGGREGATES = ("15m", "hour", "day", "month")

# --- reads ----------------------------------------------------------------------------------------


@route("GET", "/sessions")
def _sessions(call: Call) -> Any:
    """No charging log is kept."""
    return []


@route("GET", "/history/energy")
def _history(call: Call) -> Any:
    """Nothing is kept, which evcc tells by null."""
    for aggregate in call.query.get("aggregate", ()):
        if aggregate not in AGGREGATES:
            raise Failed("invalid aggregate value")


@route("GET", "/tariff/([a-z]+)")
def _tariff(call: Call) -> Any:
    if call.last not in USAGES:
        raise Missing(f"{call.last} does not belong to TariffUsage values")
    body = call.tariffs.answer(call.last, call.at)
    if body is None:
        raise Missing("not available")
    return msgspec.Raw(body)
