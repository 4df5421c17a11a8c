"""What can be written to one loadpoint (evcc-api.md §3.1), and its plan read."""

from datetime import datetime, timedelta
from typing import Any

from engine.loadpoint import BOOST_OFF, MINPV, PV, max_power, set_boost, set_mode
from sim import evcc_goals, evcc_life
from sim.evcc_home import MODES
from sim.evcc_json import number, plan_json
from sim.evcc_plan import needed, plan_parts
from sim.evcc_routes import Call, Refused, future, route, strategy_from


def _set(call: Call, key: str, value: Any) -> Any:
    """Change a setting; a real change runs the loadpoint at once."""
    point = call.point
    if getattr(point, key) != value:
        setattr(point, key, value)
        call.run()
    return value


@route("POST", "/loadpoints/{id}/mode/{word}")
def _mode(call: Call) -> Any:
    point = call.point
    if call.last not in MODES:
        raise Refused(f"invalid value: {call.last}")
    if point.mode != MODES[call.last]:
        set_mode(point, MODES[call.last])
        call.run()
    return call.last


@route("POST", "/loadpoints/{id}/limitsoc/{int}")
def _limit_soc(call: Call) -> Any:
    return _set(call, "limit_soc", int(call.last))


@route("POST", "/loadpoints/{id}/limitenergy/{n}")
def _limit_energy(call: Call) -> Any:
    return number(_set(call, "limit_energy", float(call.last)))


@route("POST", "/loadpoints/{id}/mintemp/{int}")
def _min_temp(call: Call) -> Any:
    return _set(call, "min_soc", int(call.last))


@route("POST", "/loadpoints/{id}/mincurrent/{n}")
def _min_current(call: Call) -> Any:
    if float(call.last) > call.point.max_a:
        raise Refused("min current must be smaller or equal than max current")
    call.point.min_a = float(call.last)
    return number(call.point.min_a)


@route("POST", "/loadpoints/{id}/maxcurrent/{n}")
def _max_current(call: Call) -> Any:
    if float(call.last) < call.point.min_a:
        raise Refused("max current must be greater or equal than min current")
    call.point.max_a = float(call.last)
    return number(call.point.max_a)


@route("POST", "/loadpoints/{id}/phases/{int}")
def _phases(call: Call) -> Any:
    point, phases = call.point, int(call.last)
    if phases not in (0, 1, 3):
        raise Refused(f"invalid number of phases: {phases}")
    if phases == 0 and not point.can_switch:
        raise Refused("charger does not support phase switching")
    point.phases_configured = phases
    if not point.can_switch:
        point.phases = phases
    call.run()
    return phases


@route("POST", "/loadpoints/{id}/priority/{int}")
def _priority(call: Call) -> Any:
    call.point.priority = int(call.last)
    return call.point.priority


@route("POST", "/loadpoints/{id}/(enable|disable)/threshold/{v}")
def _threshold(call: Call) -> Any:
    kind, point = call.values[1], call.point
    setattr(point, f"kept_{kind}_delay_s", getattr(point, f"{kind}_delay_s"))
    return number(_set(call, f"{kind}_threshold", float(call.last)))


@route("POST", "/loadpoints/{id}/(enable|disable)/delay/{int}")
def _delay(call: Call) -> Any:
    seconds = int(call.last)
    setattr(call.point, f"{call.values[1]}_delay_s", float(seconds))
    return seconds * 1_000_000_000


@route("POST", "/loadpoints/{id}/smartcostlimit/{v}")
def _smart_cost(call: Call) -> Any:
    call.point.smart_cost_limit = float(call.last)
    return number(float(call.last))


@route("DELETE", "/loadpoints/{id}/smartcostlimit")
def _no_smart_cost(call: Call) -> Any:
    call.point.smart_cost_limit = None


@route("POST", "/loadpoints/{id}/smartfeedinprioritylimit/{v}")
def _feed_in(call: Call) -> Any:
    call.point.feed_in_limit = float(call.last)
    return number(float(call.last))


@route("DELETE", "/loadpoints/{id}/smartfeedinprioritylimit")
def _no_feed_in(call: Call) -> Any:
    call.point.feed_in_limit = None


@route("POST", "/loadpoints/{id}/batteryboost/{bool}")
def _boost(call: Call) -> Any:
    point, on = call.point, call.last == "true"
    if on and point.mode not in (PV, MINPV):
        raise Refused("battery boost is only available in PV modes")
    if on and point.boost == BOOST_OFF:
        call.run()
    set_boost(point, on)
    return on


@route("POST", "/loadpoints/{id}/batteryboostlimit/{int}")
def _boost_limit(call: Call) -> Any:
    call.point.boost_limit = int(call.last)
    return call.point.boost_limit


@route("POST", "/loadpoints/{id}/vehicle/{name}")
def _assign(call: Call) -> Any:
    point, before = call.point, call.point.mode
    car = call.home.find_car(call.last)
    if car is None:
        raise Refused(f"not found: {call.last}")
    evcc_life.assign(call.home, point, car)
    evcc_goals.announce_vehicles(call.home.loadpoints, call.at)
    if point.mode != before:
        call.run()
    return {"vehicle": car.title}


@route("DELETE", "/loadpoints/{id}/vehicle")
def _make_guest(call: Call) -> Any:
    evcc_life.make_guest(call.home, call.point)
    evcc_goals.announce_vehicles(call.home.loadpoints, call.at)
    return {}


@route("PATCH", "/loadpoints/{id}/vehicle")
def _detect(call: Call) -> Any:
    evcc_life.detect_again(call.home, call.point, call.at_s)
    evcc_goals.announce_vehicles(call.home.loadpoints, call.at)
    return {}


@route("POST", "/loadpoints/{id}/plan/energy/{n}/{time}")
def _plan_energy(call: Call) -> Any:
    point = call.point
    when = future(call.last, call.at)
    point.plan_energy, point.plan_time = float(call.values[1]), when
    point.plan_from_kwh = point.session_kwh
    point.plan_lock = None
    call.run()
    return {"energy": number(point.plan_energy), "time": when}


@route("DELETE", "/loadpoints/{id}/plan/energy")
def _no_plan_energy(call: Call) -> Any:
    point = call.point
    if point.plan_time:
        call.run()
    point.plan_energy, point.plan_time, point.plan_lock = 0.0, "", None
    return {}


@route("POST", "/loadpoints/{id}/plan/strategy")
def _point_strategy(call: Call) -> Any:
    call.point.strategy = strategy_from(call.body)
    call.run()
    return call.point.strategy


@route("GET", "/loadpoints/{id}/plan")
def _plan(call: Call) -> Any:
    point = call.point
    parts = evcc_goals.plan_now(point, call.tariffs, call.at)
    return {
        "planId": point.plan_id,
        "planTime": point.plan_goal_text or "0001-01-01T00:00:00Z",
        "duration": int(point.plan_need_s),
        "plan": plan_json(parts),
        "power": number(max_power(point)),
    }


@route("GET", "/loadpoints/{id}/plan/static/preview/(soc|energy)/{n}/{time}")
def _preview(call: Call) -> Any:
    point, kind = call.point, call.values[1]
    when = future(call.last, call.at)
    car, power_w = point.vehicle, max_power(point)
    known = car is not None and point.soc > 0
    if kind == "energy" and known:
        raise Refused("energy planning not available for vehicles with known soc and capacity")
    if kind == "soc" and not known:
        raise Refused("soc planning only available for vehicles with known soc and capacity")
    if kind == "soc" and car is not None:
        need = needed(point.soc, float(call.values[2]), point.cells_kwh, power_w)
    else:
        need = timedelta(hours=float(call.values[2]) / power_w * 1000.0)
    due = datetime.fromisoformat(when)
    parts = plan_parts(call.tariffs.planner(call.at), call.at, due, need, point.strategy)
    return {
        "planTime": when,
        "duration": int(need.total_seconds()),
        "plan": plan_json(parts),
        "power": number(power_w),
    }
