"""One cycle of the pretend evcc (evcc-regulator.md §3, §5, §14) and its external battery mode.

The numbers are regulated by `engine/regulator.py`; here stand its inputs: prices, plans, cars, and
what evcc reads while something fails. A cycle ends with the orders to the devices.
"""

from datetime import datetime
from typing import NamedTuple

from engine import home as physics
from engine import regulator
from engine.loadpoint import (
    ENABLE,
    INACTIVE,
    SCALE_3P,
    UNSET,
    WROTE_CURRENT,
    WROTE_ENABLE,
    WROTE_PHASES,
    B,
    C,
    below_min,
    count_energy,
    limit_soc,
    look,
    run_counter,
    sync,
)
from sim import evcc_goals, evcc_life
from sim.evcc_home import Home, Loadpoint, Site
from sim.evcc_plan import needed
from sim.evcc_tariffs import Tariffs

WATCHDOG_S, LOOK_S = 60.0, 0.005
"""A watchdog looks each second, that much late: a look at 60 s finds the mode too old."""


TINY_W = 0.5


class Order(NamedTuple):
    """Something that evcc told a device. `loadpoint` counts from 1; None: the battery."""

    at: datetime
    loadpoint: int | None
    key: str
    value: bool | float | int
    failed: bool = False


# --- the external battery mode (§14) --------------------------------------------------------------


def set_external(site: Site, mode: int, at_s: float) -> None:
    """POST (or DELETE = unknown) of the battery mode, its hole in the watchdog included."""
    if mode != site.external:
        site.external, site.external_set = mode, True
        if mode != physics.UNKNOWN and site.external_at_s == UNSET:
            site.watchdogs_s.append(at_s)
    if mode != physics.UNKNOWN:
        site.external_at_s = at_s


def expires_at_s(site: Site) -> float:
    """When the first watchdog that looks finds the mode too old; inf: nobody looks."""
    if site.external_at_s == UNSET:
        return UNSET
    stale_s = site.external_at_s + WATCHDOG_S
    return min((_look_after(began, stale_s) for began in site.watchdogs_s), default=UNSET)


def _look_after(began_s: float, stale_s: float) -> float:
    """The first of the watchdog's looks that is later than `stale_s`."""
    return began_s + LOOK_S + max(1.0, (stale_s - began_s - LOOK_S) // 1.0 + 1.0)


def expire(site: Site, at_s: float) -> bool:
    """The watchdogs whose look is due find the mode stale; each ends by that. True: some did."""
    stale_s = site.external_at_s + WATCHDOG_S
    due = [began for began in site.watchdogs_s if _look_after(began, stale_s) <= at_s]
    if due:
        site.external = physics.UNKNOWN
        site.watchdogs_s = [began for began in site.watchdogs_s if began not in due]
    return bool(due)


# --- readings -------------------------------------------------------------------------------------


def _read(home: Home) -> bool:
    """Read every meter; False: the grid's fails, then nothing is controlled in this cycle."""
    site, faults = home.site, home.faults
    old = [point.charge_w for point in site.loadpoints]
    grid_w, soc = site.grid_w, site.battery_soc
    regulator.read(site, site.loadpoints, home.house, home.boxes)
    for point, charge_w in zip(site.loadpoints, old, strict=True):
        point.summed_w = 0.0 if faults.charger else point.charge_w
        if faults.charger:
            point.charge_w = charge_w
    if faults.pv:
        site.pv_w = 0.0
    if faults.battery:
        site.battery_w = 0.0
    if faults.soc:
        site.battery_soc = soc
    site.pv_kwh = home.house.pv_kwh
    site.battery_kwh = home.house.discharged_kwh, home.house.charged_kwh
    if faults.grid or faults.nan:
        site.grid_w = grid_w
        return False
    site.grid_kwh = home.house.import_kwh, home.house.export_kwh
    _balance(site)
    return True


def _balance(site: Site) -> None:
    """The house's consumption and what share of it is green, from the readings."""
    site.charge_w = sum(point.summed_w for point in site.loadpoints)
    site.home_w = max(0.0, site.grid_w + max(0.0, site.pv_w) + site.battery_w - site.charge_w)
    green_w = max(0.0, max(0.0, site.pv_w) + site.battery_w)
    site.green_home = _share(green_w, site.home_w)
    site.green_cars = _share(green_w - site.home_w, site.charge_w)


def _share(green_w: float, used_w: float) -> float:
    if used_w <= 0:
        return 1.0 if green_w > TINY_W else 0.0
    return min(1.0, max(0.0, green_w / used_w))


def _prices(home: Home, tariffs: Tariffs, at: datetime) -> None:
    """Which of the price limits hold now (§13)."""
    site = home.site
    site.priced_at = at
    price = tariffs.planner_price(at)
    fed = None if tariffs.feed_in_static else tariffs.price("feedin", at)
    for point in site.loadpoints:
        limit, fed_limit = point.smart_cost_limit, point.feed_in_limit
        point.within_cost = limit is not None and price is not None and price <= limit
        point.within_feed_in = fed_limit is not None and fed is not None and fed >= fed_limit
    charge = site.grid_charge_limit
    site.grid_charge_active = charge is not None and price is not None and price <= charge


# --- one loadpoint --------------------------------------------------------------------------------


def _count(home: Home, point: Loadpoint, tariffs: Tariffs, at: datetime, at_s: float) -> None:
    """The session's energy, time, sun and cost since the last count."""
    before_kwh, since_s = point.session_kwh, point.counted_at_s
    count_energy(point, at_s)
    if point.counting:
        kwh = point.session_kwh - before_kwh
        point.session_s += at_s - since_s
        price, fed = tariffs.settlement(at)
        green = home.site.green_cars
        point.session_sun_kwh += kwh * green
        point.session_eur += kwh * (green * fed + (1.0 - green) * price)


def _regulate(home: Home, k: int, tariffs: Tariffs, at: datetime, at_s: float) -> bool:
    """The step of loadpoint `k`; True when its mode was changed, for which evcc runs it again."""
    site, box = home.site, home.boxes[k]
    point = site.loadpoints[k]
    power = regulator.site_power(site, site.loadpoints, k)
    regulator.hold_boost(site, point)
    point.smart_cost_active, point.feed_in_active = point.within_cost, point.within_feed_in
    _count(home, point, tariffs, at, at_s)
    evcc_goals.announce(point, at)
    if home.faults.charger:
        return False
    before = point.mode
    events = look(point, box)
    run_counter(point, events, at_s)
    evcc_life.follow(home, point, events, at_s)
    if point.status >= B:
        evcc_life.identify(home, point, at_s)
        evcc_life.ask(point, at)
    if point.retell:
        evcc_goals.announce_vehicles(site.loadpoints, at)
    sync(point, box, at_s)
    evcc_goals.plan_cycle(point, tariffs, at)
    regulator.control(site, point, box, power, at_s)
    _publish(point, at_s)
    return point.mode != before


def _publish(point: Loadpoint, at_s: float) -> None:
    """What the state shows from now until the loadpoint's next cycle."""
    point.seen = True
    point.gives_reason = point.gives_reason or point.status != B
    point.min_not_reached = below_min(point)
    pv_s = point.enable_delay_s if point.pv_action == ENABLE else point.disable_delay_s
    point.pv_remaining_s = _remaining(point.pv_timer_s, pv_s, point.pv_action, at_s)
    phase_s = point.enable_delay_s if point.phase_action == SCALE_3P else point.disable_delay_s
    point.phase_remaining_s = _remaining(point.phase_timer_s, phase_s, point.phase_action, at_s)
    point.charge_remaining_s = 0.0
    if point.status == C and point.soc > 0 and point.charge_w > 0:
        rest = needed(point.soc, limit_soc(point), point.cells_kwh, point.charge_w)
        point.charge_remaining_s = rest.total_seconds()


def _remaining(since_s: float, delay_s: float, action: int, at_s: float) -> float:
    return 0.0 if action == INACTIVE else max(0.0, since_s + delay_s - at_s)


def _orders(point: Loadpoint, at: datetime) -> list[Order]:
    """What the cycle told the box."""
    found: list[Order] = []
    if point.wrote:
        number, wrote = point.index + 1, point.wrote
        if wrote & WROTE_PHASES:
            found.append(Order(at, number, "phases", point.box.phases))
        if wrote & WROTE_CURRENT:
            found.append(Order(at, number, "current_a", point.box.current_a))
        if wrote & WROTE_ENABLE:
            found.append(Order(at, number, "enable", point.box.enabled))
        point.wrote = 0
    return found


# --- the battery ----------------------------------------------------------------------------------


def battery_cycle(home: Home, at: datetime) -> list[Order]:
    """The end of a cycle. A refused write counts as done: evcc swallows the error (§14)."""
    site = home.site
    if not site.has_battery:
        return []
    failed = home.faults.battery_write
    regulator.run_battery(site, site.loadpoints, home.house, failed)
    order = site.battery_order
    return [] if order == physics.UNKNOWN else [Order(at, None, "battery_mode", order, failed)]


def cycle(
    home: Home, k: int, tariffs: Tariffs, at: datetime, at_s: float
) -> tuple[list[Order], bool]:
    """One cycle for loadpoint `k`; its orders, and whether an extra one has to follow.

    `at_s` is the clock as the timers read it, some milliseconds into the cycle. What flows after
    its orders shows from the next `Home.flow` on.
    """
    home.flow()
    _prices(home, tariffs, at)
    again = False
    orders: list[Order] = []
    if _read(home) and home.loadpoints:
        again = _regulate(home, k, tariffs, at, at_s)
        orders += _orders(home.loadpoints[k], at)
    orders += battery_cycle(home, at)
    home.site.seen = True
    return orders, again
