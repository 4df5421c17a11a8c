"""What the pretend evcc does with time: its flags, its battery logic, the physics, the meters."""

from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from engine import home
from engine.slots import slot_of
from sim.evcc_home import DETECTION, MODES, Car, Home, Loadpoint, SlotBill
from sim.evcc_plan import EFFICIENCY, is_due, needed, next_occurrence, plan_parts
from sim.evcc_tariffs import Tariffs
from sim.scenario import Minute

NO_CAR = home.Box()
WATCHDOG = timedelta(seconds=60)
WATCHDOG_LOOKS = timedelta(seconds=0.5)
"""The watchdog looks once a second; half of that is its mean delay."""


# --- the external battery mode (evcc-regulator.md §14) -------------------------------------------


def set_external(site: Home, mode: int, at: datetime) -> None:
    """POST (or DELETE = unknown) of the battery mode, its hole in the watchdog included."""
    if mode != site.external:
        site.external, site.external_set = mode, True
        if mode != home.UNKNOWN and site.external_at is None:
            site.watchdogs += 1
    if mode != home.UNKNOWN:
        site.external_at = at


def expires_at(site: Home) -> datetime | None:
    """When a watchdog ends the external mode; None: nobody is looking."""
    if site.external == home.UNKNOWN or site.external_at is None or site.watchdogs == 0:
        return None
    return site.external_at + WATCHDOG + WATCHDOG_LOOKS


def expire(site: Home, at: datetime) -> None:
    """The watchdogs look."""
    due = expires_at(site)
    if due is not None and at >= due:
        site.external, site.watchdogs = home.UNKNOWN, 0


def _wanted(site: Home) -> int:
    hold = site.discharge_control and any(
        point.charging and (point.mode == "now" or _pushed(point)) for point in site.loadpoints
    )
    return home.battery_mode_wanted(
        site.mode,
        site.external,
        leaving=site.external_at is not None,
        grid_charge=site.grid_charge_active,
        hold=hold,
    )


def _pushed(point: Loadpoint) -> bool:
    return point.plan_active or point.min_not_reached or point.smart_cost_active


def battery_pending(site: Home) -> bool:
    """Whether the next cycle changes something at the battery."""
    leaving = site.external == home.UNKNOWN and site.external_at is not None
    return site.has_battery and (leaving or _wanted(site) != home.UNKNOWN)


def battery_cycle(site: Home, tariffs: Tariffs, at: datetime) -> None:
    """Step 6 of evcc's cycle."""
    if not site.has_battery:
        return
    price = tariffs.planner_price(at)
    limit = site.grid_charge_limit
    site.grid_charge_active = limit is not None and price is not None and price <= limit
    wanted = _wanted(site)
    if wanted != home.UNKNOWN:
        site.mode = wanted
        if site.external == home.UNKNOWN:
            site.external_at = None


# --- plans and flags ------------------------------------------------------------------------------


class _Goal(NamedTuple):
    """A plan of evcc's: SoC in percent or energy in kWh, and when (`text`: as it was set)."""

    id: int
    due: datetime
    value: float
    by_soc: bool
    text: str


def _set_goal(point: Loadpoint, goal: _Goal | None, need: timedelta) -> None:
    point.plan_id = goal.id if goal else 0
    point.plan_goal_at = goal.due if goal else None
    point.plan_goal_text = goal.text if goal else ""
    point.plan_goal_soc = int(goal.value) if goal and goal.by_soc else 0
    point.plan_need_s = need.total_seconds()


def _goals(point: Loadpoint, car: Car, at: datetime) -> list[_Goal]:
    """The vehicle's plans whose SoC is not reached; the one that has begun is locked."""
    goals: list[_Goal] = []
    if car.plan_soc and car.plan_time:
        due = datetime.fromisoformat(car.plan_time)
        goals.append(_Goal(1, due, car.plan_soc, True, car.plan_time))
    for k, plan in enumerate(car.repeating or ()):
        next_due = next_occurrence(plan, at)
        if next_due is not None:
            goals.append(_Goal(k + 2, next_due, plan["soc"], True, next_due.isoformat()))
    if point.plan_lock is not None:
        plan_id, due, value, by_soc = point.plan_lock
        goals = [goal for goal in goals if goal.id != plan_id]
        if by_soc:
            goals.append(_Goal(plan_id, due, value, True, due.isoformat()))
    return [goal for goal in goals if point.known_soc < goal.value]


def _no_plan(point: Loadpoint) -> None:
    _set_goal(point, None, timedelta(0))
    point.plan_parts, point.plan_active, point.plan_end = (), False, None
    point.plan_lock = None


def _choose_goal(point: Loadpoint, at: datetime) -> _Goal | None:
    """Take the plan that counts: the one whose latest start is the earliest."""
    car, power_w = point.vehicle, point.max_power_w
    chosen: tuple[_Goal, timedelta] | None = None
    if power_w > 0 and car is not None and point.knows_soc:
        for goal in _goals(point, car, at):
            need = needed(point.known_soc, goal.value, car.spec.capacity_kwh, power_w)
            if chosen is None or goal.due - need < chosen[0].due - chosen[1]:
                chosen = goal, need
    elif power_w > 0 and point.plan_energy > 0 and point.plan_time:
        missing_kwh = point.plan_energy - (point.session_kwh - point.plan_from_kwh)
        due = datetime.fromisoformat(point.plan_time)
        goal = _Goal(1, due, point.plan_energy, False, point.plan_time)
        chosen = goal, timedelta(hours=max(0.0, missing_kwh) / power_w * 1000.0)
    if chosen is None:
        _no_plan(point)
        return None
    _set_goal(point, *chosen)
    return chosen[0]


def _delete_plan(point: Loadpoint) -> None:
    """An expired or reached plan is gone; repeating ones roll on."""
    if point.vehicle is not None and point.knows_soc:
        if point.plan_id == 1:
            point.vehicle.plan_soc, point.vehicle.plan_time = 0, ""
    else:
        point.plan_energy, point.plan_time = 0.0, ""
    _no_plan(point)


def plan_cycle(point: Loadpoint, tariffs: Tariffs, at: datetime) -> None:
    """evcc's plan for this loadpoint, and whether it charges now (evcc-regulator.md §13)."""
    car = point.vehicle
    if car is not None and car.plan_time and point.known_soc >= car.plan_soc and point.knows_soc:
        car.plan_soc, car.plan_time = 0, ""
    if point.car is None or not (
        point.plan_time or (car is not None and (car.plan_time or car.repeating))
    ):
        if point.plan_id:
            _no_plan(point)
        return
    goal = _choose_goal(point, at)
    if goal is None:
        return
    need = timedelta(seconds=point.plan_need_s)
    if need <= timedelta(0) or (goal.due <= at and not point.plan_active):
        _delete_plan(point)
        return
    strategy = car.strategy if car is not None and goal.by_soc else point.strategy
    point.plan_parts = plan_parts(tariffs.planner(at), at, goal.due, need, strategy)
    point.plan_active, point.plan_end = is_due(
        point.plan_parts,
        at,
        active=point.plan_active and bool(point.plan_parts),
        part_end=point.plan_end,
        late=goal.due <= at,
        need=need,
        strategy=strategy,
    )
    if point.mode == "off":
        point.plan_lock = None
    elif point.plan_active and point.plan_lock is None:
        point.plan_lock = (goal.id, goal.due, goal.value, goal.by_soc)


def _know_soc(point: Loadpoint, at: datetime) -> None:
    """evcc asks a car when it came and while it charges; a cloud that fails says nothing."""
    car = point.vehicle
    if car is None or not (point.ask_soc or point.charging):
        return
    silent = car.cloud_until is not None and at < car.cloud_until
    if car.spec.api and not silent:
        point.known_soc = car.soc_pct
    point.ask_soc = False


def _flags(point: Loadpoint, tariffs: Tariffs, at: datetime) -> None:
    if point.detecting_since is not None and at - point.detecting_since >= DETECTION:
        point.detecting_since = None
    _know_soc(point, at)
    price = tariffs.planner_price(at) if point.smart_cost_limit is not None else None
    limit = point.smart_cost_limit
    point.smart_cost_active = limit is not None and price is not None and price <= limit
    fed = tariffs.price("feedin", at) if point.feed_in_limit is not None else None
    point.feed_in_active = (
        point.feed_in_limit is not None and fed is not None and fed >= point.feed_in_limit
    )
    plan_cycle(point, tariffs, at)


def _thresholds(point: Loadpoint) -> tuple[float, float]:
    """minSoc and the limit of SoC or energy, as energy in the car that stands there."""
    car, vehicle = point.car, point.vehicle
    if car is None:
        return 0.0, inf
    spec = car.spec
    soc, low = point.known_soc, point.effective_min_soc
    least, limit = 0.0, float(point.effective_limit_soc)
    open_kwh = point.limit_energy - point.session_kwh
    limit_kwh = inf
    if vehicle is not None and low > 0:
        if soc > 0:
            if soc < low:
                least = spec.capacity_kwh * low / 100.0 if vehicle is car else inf
        else:
            asked_kwh = vehicle.spec.capacity_kwh * low / 100.0 / EFFICIENCY
            least = car.kwh + max(0.0, asked_kwh - point.session_kwh) * spec.charge_efficiency
    if soc > 0 and 0 < limit < 100:
        if vehicle is car and car.spec.api:
            limit_kwh = car.kwh + spec.capacity_kwh * (limit - soc) / 100.0
        elif soc >= limit:
            limit_kwh = 0.0
    if point.limit_energy > 0 and not point.knows_soc:
        limit_kwh = min(limit_kwh, car.kwh + open_kwh * spec.charge_efficiency)
    return least, limit_kwh


def _box(point: Loadpoint) -> home.Box:
    car = point.car
    if car is None:
        return NO_CAR
    least_kwh, limit_kwh = _thresholds(point)
    point.min_not_reached = car.kwh < least_kwh - home.TINY_KWH
    return home.Box(
        mode=MODES[point.mode],
        connected=True,
        min_a=point.min_a,
        max_a=point.effective_max_a,
        phases=point.max_phases,
        can_switch=point.spec.can_switch_phases and point.phases_configured == 0,
        car_phases=min(car.spec.phases, point.spec.phases),
        car_max_a=car.spec.max_current_a,
        priority=point.priority,
        plan_active=point.plan_active,
        smart_cost_active=point.smart_cost_active,
        feed_in_priority_active=point.feed_in_active,
        min_kwh=least_kwh,
        limit_kwh=limit_kwh,
        full_kwh=car.spec.capacity_kwh,
        charge_efficiency=car.spec.charge_efficiency,
    )


# --- one sub-step ---------------------------------------------------------------------------------


def controls_of(site: Home, tariffs: Tariffs, at: datetime) -> tuple[home.State, home.Controls]:
    """evcc's flags of this moment, and what the physics needs of it."""
    boxes = []
    for point in site.loadpoints:
        _flags(point, tariffs, at)
        boxes.append(_box(point))
    state = home.State(
        site.battery_kwh,
        tuple([0.0 if point.car is None else point.car.kwh for point in site.loadpoints]),
        tuple([point.charging for point in site.loadpoints]),
    )
    return state, home.Controls(
        boxes=tuple(boxes),
        battery_mode=site.mode,
        priority_soc_pct=site.priority_soc,
        buffer_soc_pct=site.buffer_soc,
        buffer_start_soc_pct=site.buffer_start_soc,
        residual_w=site.residual_w,
        battery=site.battery,
    )


def show(site: Home, flows: home.Flows, hours: float) -> None:
    """Set what the meters show: mean powers of the sub-step."""
    per_hour = 1000.0 / hours
    site.grid_w = (flows.grid_import_kwh - flows.grid_export_kwh) * per_hour
    site.pv_w = flows.pv_kwh * per_hour
    site.load_w = flows.load_kwh * per_hour
    site.battery_w = (flows.battery_discharge_kwh - flows.battery_charge_kwh) * per_hour
    used_kwh = flows.load_kwh + sum(flows.cars_kwh)
    green_kwh = max(0.0, used_kwh - flows.grid_import_kwh)
    site.green_share = min(1.0, green_kwh / used_kwh) if used_kwh > 0 else 0.0
    for point, kwh, (amps, phases) in zip(
        site.loadpoints, flows.cars_kwh, flows.set_to, strict=True
    ):
        point.charge_w = kwh * per_hour
        point.charging = kwh > 0
        point.offered_a = amps if point.car is not None else 0.0
        if amps > 0:
            point.phases_on = phases


def settle(
    site: Home,
    tariffs: Tariffs,
    after: home.State,
    flows: home.Flows,
    *,
    at: datetime,
    end: datetime,
) -> None:
    """Book the sub-step from `at` to `end`: cars, battery, meters and the bill."""
    meters = site.meters
    site.battery_kwh = after.battery_kwh
    price, fed = tariffs.settlement(at)
    meters.import_kwh += flows.grid_import_kwh
    meters.export_kwh += flows.grid_export_kwh
    meters.pv_kwh += flows.pv_kwh
    meters.load_kwh += flows.load_kwh
    meters.charged_kwh += flows.battery_charge_kwh
    meters.discharged_kwh += flows.battery_discharge_kwh
    meters.cost_eur += flows.grid_import_kwh * price - flows.grid_export_kwh * fed
    slot = meters.slots[-1] if meters.slots else None
    start = slot_of(at)
    if slot is None or slot.start != start:
        slot = SlotBill(start, 0.0, 0.0, price, fed)
        meters.slots.append(slot)
    slot.import_kwh += flows.grid_import_kwh
    slot.export_kwh += flows.grid_export_kwh
    for point, kwh, held in zip(site.loadpoints, flows.cars_kwh, after.cars_kwh, strict=True):
        if point.car is None or kwh <= 0:
            continue
        point.car.kwh = held
        point.session_kwh += kwh
        point.session_s += (end - at).total_seconds()
        point.total_kwh += kwh
        point.session_sun_kwh += kwh * site.green_share
        point.session_eur += kwh * (site.green_share * fed + (1 - site.green_share) * price)
        name = point.car.spec.name
        meters.cars_kwh[name] = meters.cars_kwh.get(name, 0.0) + kwh
        _know_soc(point, end)


def substep(site: Home, tariffs: Tariffs, weather: Minute, at: datetime, end: datetime) -> None:
    """Live from `at` to `end`, 60 s at most."""
    seconds = (end - at).total_seconds()
    state, controls = controls_of(site, tariffs, at)
    after, flows = home.step(state, controls, home.Exogenous(weather.load_w, weather.pv_w), seconds)
    show(site, flows, seconds / 3600.0)
    settle(site, tariffs, after, flows, at=at, end=end)


def look(site: Home, tariffs: Tariffs, weather: Minute, at: datetime) -> None:
    """Show what flows at this moment; nothing passes."""
    state, controls = controls_of(site, tariffs, at)
    _, flows = home.step(state, controls, home.Exogenous(weather.load_w, weather.pv_w), 1.0)
    show(site, flows, 1.0 / 3600.0)
