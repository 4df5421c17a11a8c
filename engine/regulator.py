"""evcc's control step (evcc-regulator.md §3-10, §14). Numbers only; its memory is `loadpoint.py`.

`step` is one cycle of evcc for one loadpoint and the physics until the next. The pretend evcc
(`sim/evcc_cycle.py`) goes through the same functions one by one, because it knows of cars, plans
and faults in between.

Powers in W, grid + is import, battery + is discharging; a negative site power is surplus.
"""

from collections.abc import Sequence

from engine.home import CHARGE, HOLD, NORMAL, UNKNOWN, VOLTAGE_V, Box, House, flow, settle
from engine.loadpoint import (
    BOOST_HOLD,
    BOOST_OFF,
    BOOST_ON,
    BOOST_START,
    DISABLE,
    ELAPSED,
    ENABLE,
    INACTIVE,
    MINPV,
    NOW,
    OFF,
    PAUSE_S,
    PV,
    SCALE_1P,
    SCALE_3P,
    UNSET,
    B,
    C,
    Loadpoint,
    Site,
    active_phases,
    below_min,
    count_energy,
    energy_reached,
    known_phases,
    limit_soc,
    look,
    max_current,
    max_phases,
    max_power,
    min_current,
    min_phases,
    run_counter,
    set_current,
    set_phase_timer,
    set_pv_timer,
    soc_reached,
    switch_phases,
    sync,
)

BELOW_PRIORITY_W = 100.0
"""What stays for the battery below prioritySoc."""
BOOST_W = 100.0


# --- the site (§4) --------------------------------------------------------------------------------


def read(site: Site, points: Sequence[Loadpoint], house: House, boxes: Sequence[Box]) -> None:
    """Read every meter at the start of a cycle."""
    for k in range(len(points)):
        points[k].charge_w = boxes[k].charge_w
        points[k].current_a = min(boxes[k].current_a, boxes[k].car_max_a)
    site.pv_w = house.pv_w
    site.grid_w = house.grid_w
    site.battery_w = house.battery_w
    if house.capacity_kwh > 0:
        site.battery_soc = 100.0 * house.battery_kwh / house.capacity_kwh


def flexible_w(points: Sequence[Loadpoint], k: int) -> float:
    """What loadpoints of lower priority would give up for loadpoint `k`."""
    total_w = 0.0
    for j in range(len(points)):
        other = points[j]
        if other.priority >= points[k].priority or other.status != C:
            continue
        if other.mode == NOW or below_min(other) or other.plan_active or other.within_cost:
            continue
        if other.mode == PV:
            total_w += other.charge_w
        elif other.mode == MINPV:
            kept_w = VOLTAGE_V * min_current(other) * min_phases(other)
            total_w += max(0.0, other.charge_w - kept_w)
    return total_w


def reserved_w(points: Sequence[Loadpoint], k: int) -> float:
    """What is kept for loadpoints of higher priority that are about to start."""
    total_w = 0.0
    for j in range(len(points)):
        other = points[j]
        if other.priority <= points[k].priority or other.mode != PV:
            continue
        waits = other.status >= B and not other.enabled and other.pv_timer_s != UNSET
        if waits and not energy_reached(other) and other.soc < limit_soc(other):
            total_w += max_power(other)
    return total_w


def site_power(site: Site, points: Sequence[Loadpoint], k: int) -> tuple[float, bool, bool]:
    """Site power for loadpoint `k` in W (negative: surplus), `buffered` and `start`."""
    point = points[k]
    added_w, residual_w, battery_w = 0.0, site.residual_w, site.battery_w
    buffered, start = False, False
    if site.has_battery:
        below = site.battery_soc < site.priority_soc
        if below and residual_w <= 0:
            added_w = residual_w - BELOW_PRIORITY_W
            residual_w = BELOW_PRIORITY_W
        if below and battery_w < 0:
            added_w += battery_w
            battery_w = 0.0
        else:
            buffered = site.buffer_soc > 0 and site.battery_soc > site.buffer_soc
            start = site.buffer_start_soc > 0 and site.battery_soc >= site.buffer_start_soc
    power_w = site.grid_w + battery_w + residual_w
    if point.mode == PV:
        power_w += reserved_w(points, k) - flexible_w(points, k)
    if point.boost != BOOST_OFF:
        power_w += added_w
    return power_w, buffered, start


# --- from surplus to current (§7-10) --------------------------------------------------------------


def boost_w(site: Site, point: Loadpoint) -> float:
    """What battery boost adds to the surplus; its state goes on (§10)."""
    if point.boost in (BOOST_OFF, BOOST_HOLD):
        return 0.0
    if point.boost == BOOST_START:
        more_w = max_power(point)
        set_pv_timer(point, ELAPSED, INACTIVE)
        set_phase_timer(point, ELAPSED, INACTIVE)
        if point.status == C:
            point.boost = BOOST_ON
    else:
        more_w = max(BOOST_W, abs(site.residual_w))
        if not point.takes_fractions:
            more_w += VOLTAGE_V * active_phases(point)
    if site.battery_max_discharge_w > 0:
        more_w = min(more_w, site.battery_max_discharge_w - site.battery_w)
    return max(0.0, site.battery_w) + more_w + site.residual_w


def scale_phases(point: Loadpoint, box: Box, site_w: float, at_s: float) -> int:
    """The phase decision of a switchable box; the phases switched to, 0: none (§9)."""
    active, most = active_phases(point), max_phases(point)
    least_a, most_a = min_current(point), max_current(point)
    available_w = point.charge_w - site_w
    down = (
        active > 1
        and point.phases_configured < 3
        and (site_w > 0 or not point.enabled)
        and available_w / (VOLTAGE_V * active) < least_a
    )
    if down:
        return scale_to(point, box, 1, point.disable_delay_s, at_s)
    up = (
        most > 1
        and point.phases < most
        and available_w / VOLTAGE_V > most_a
        and available_w / (VOLTAGE_V * most) >= least_a
    )
    if up:
        return scale_to(point, box, 3, point.enable_delay_s, at_s)
    set_phase_timer(point, UNSET, INACTIVE)
    return 0


def scale_to(point: Loadpoint, box: Box, phases: int, delay_s: float, at_s: float) -> int:
    """Run the phase timer towards `phases`; switches when it has passed."""
    action = SCALE_1P if phases == 1 else SCALE_3P
    if point.status != C:
        set_phase_timer(point, ELAPSED, action)
    if point.phase_timer_s == UNSET:
        point.phase_timer_s = at_s
    point.phase_action = action
    if at_s - point.phase_timer_s < delay_s:
        return 0
    switch_phases(point, box, phases, at_s)
    set_phase_timer(point, UNSET, INACTIVE)
    return phases


def wait_to_enable(point: Loadpoint, target_a: float, site_w: float, at_s: float) -> float:
    """The enable timer runs while the condition holds; returns the current to set (§8)."""
    low = min_current(point)
    enough = target_a >= low
    if point.enable_threshold != 0:
        enough = site_w <= point.enable_threshold
    if not enough:
        set_pv_timer(point, UNSET, INACTIVE)
        return 0.0
    if point.pv_timer_s == UNSET:
        set_pv_timer(point, at_s, ENABLE)
    if at_s - point.pv_timer_s >= point.enable_delay_s:
        set_pv_timer(point, UNSET, INACTIVE)
        return low
    return 0.0


def wait_to_disable(point: Loadpoint, site_w: float, at_s: float) -> float:
    """The disable timer runs while too much is imported; returns the current to set (§8)."""
    low = min_current(point)
    projected_w = site_w
    if point.can_switch and point.phase_timer_s != UNSET:
        projected_w -= VOLTAGE_V * low * (active_phases(point) - 1)
    if projected_w < point.disable_threshold:
        set_pv_timer(point, UNSET, INACTIVE)
        return low
    if point.pv_timer_s == UNSET:
        set_pv_timer(point, at_s, DISABLE)
    if at_s - point.pv_timer_s >= point.disable_delay_s:
        set_pv_timer(point, UNSET, INACTIVE)
        return 0.0
    return low


def pv_current(
    site: Site, point: Loadpoint, box: Box, power: tuple[float, bool, bool], at_s: float
) -> float:
    """The current that the surplus allows, in A (§7)."""
    site_w, buffered, start = power
    site_w -= boost_w(site, point)
    scaled = 0
    if point.can_switch and at_s - point.phases_switched_at_s > PAUSE_S:
        scaled = scale_phases(point, box, site_w, at_s)
    offered_a = 0.0
    if point.status == C:
        offered_a = point.offered_a
        if point.has_currents:
            offered_a = min(point.current_a + 2, offered_a)
    if scaled == 3:
        offered_a /= max_phases(point)
    low = min_current(point)
    target_a = max(0.0, offered_a - site_w / (VOLTAGE_V * active_phases(point)))
    if target_a < low:
        kept = point.mode == MINPV or start or (buffered and point.status == C)
        if kept or point.boost == BOOST_ON:
            return low
    if point.mode == PV and point.enabled and target_a < low:
        return wait_to_disable(point, site_w, at_s)
    if point.mode == PV and not point.enabled:
        return wait_to_enable(point, target_a, site_w, at_s)
    set_pv_timer(point, UNSET, INACTIVE)
    return min(target_a, max_current(point))


# --- the loadpoint (§5, §6) -----------------------------------------------------------------------


def run_fast(point: Loadpoint, box: Box, at_s: float) -> None:
    """All phases at once, then the maximum current."""
    if point.can_switch:
        switch_phases(point, box, known_phases(point.phases_configured), at_s)
    set_current(point, box, max_current(point), at_s)


def expire_timers(point: Loadpoint) -> None:
    """What ends pv's own timers: when it is over, pv decides at once."""
    set_phase_timer(point, UNSET, INACTIVE)
    set_pv_timer(point, ELAPSED, INACTIVE)


def hold_boost(site: Site, point: Loadpoint) -> None:
    """Boost stops pushing below its limit."""
    pushing = point.boost in (BOOST_START, BOOST_ON)
    if pushing and point.boost_limit < 100 and site.battery_soc < point.boost_limit:
        point.boost = BOOST_HOLD


def control(
    site: Site, point: Loadpoint, box: Box, power: tuple[float, bool, bool], at_s: float
) -> None:
    """evcc's order of precedence for one loadpoint; orders go to the box (§6)."""
    if point.status < B:
        set_current(point, box, 0.0, at_s)
    elif point.can_switch and point.phases_configured not in (0, point.phases):
        switch_phases(point, box, point.phases_configured, at_s)
    elif point.mode == OFF:
        set_current(point, box, 0.0, at_s)
    elif below_min(point) or point.plan_active:
        run_fast(point, box, at_s)
        expire_timers(point)
    elif energy_reached(point) or soc_reached(point):
        set_current(point, box, 0.0, at_s)
    elif point.mode == NOW:
        run_fast(point, box, at_s)
    elif point.smart_cost_active:
        run_fast(point, box, at_s)
        expire_timers(point)
    elif point.feed_in_active:
        if point.mode == MINPV:
            if point.can_switch:
                switch_phases(point, box, 1, at_s)
            set_current(point, box, min_current(point), at_s)
        else:
            set_current(point, box, 0.0, at_s)
        expire_timers(point)
    else:
        set_current(point, box, pv_current(site, point, box, power, at_s), at_s)


# --- the battery (§14) ----------------------------------------------------------------------------


def battery_wanted(site: Site, points: Sequence[Loadpoint]) -> int:
    """The mode that this cycle changes to; UNKNOWN: nothing."""
    if site.external == UNKNOWN and site.external_at_s != UNSET:
        return NORMAL
    if site.external != UNKNOWN:
        return site.external if site.external != site.battery_mode else UNKNOWN
    if site.grid_charge_active:
        return CHARGE if site.battery_mode != CHARGE else UNKNOWN
    if site.discharge_control:
        for k in range(len(points)):
            point = points[k]
            pushed = point.within_cost or point.plan_active or below_min(point)
            if point.status == C and (point.mode == NOW or pushed):
                return HOLD if site.battery_mode != HOLD else UNKNOWN
    return NORMAL if site.battery_mode not in (UNKNOWN, NORMAL) else UNKNOWN


def battery(site: Site, points: Sequence[Loadpoint]) -> int:
    """The wanted mode, and in `site.battery_order` what the inverter is told; UNKNOWN: nothing.

    A full battery is told `hold` instead of `charge`, in each cycle.
    """
    wanted = battery_wanted(site, points)
    order = wanted
    charges = wanted == CHARGE or (wanted == UNKNOWN and site.battery_mode == CHARGE)
    if charges and 0 < site.battery_max_soc < 100 and site.battery_soc >= site.battery_max_soc:
        order = HOLD
    site.battery_order = order
    return wanted


def run_battery(
    site: Site, points: Sequence[Loadpoint], house: House, refused: bool = False
) -> None:
    """Decide and tell the inverter. Where it `refused`, evcc swallows that: it counts as done."""
    wanted = battery(site, points)
    if site.battery_order != UNKNOWN and not refused:
        house.mode = site.battery_order
    if wanted != UNKNOWN:
        site.battery_mode = wanted
        if site.external == UNKNOWN:
            site.external_at_s = UNSET


# --- all of it ------------------------------------------------------------------------------------


def ask(point: Loadpoint, box: Box) -> None:
    """A car without a cloud in between tells its SoC when evcc asks (§12)."""
    tells = point.vehicle_tells_soc and point.vehicle_capacity_kwh > 0
    if tells and (point.ask_soc or point.status == C):
        point.soc = 100.0 * box.car_kwh / point.vehicle_capacity_kwh
        point.ask_soc = False


def step(  # noqa: PLR0917 - numba takes positional ones only
    site: Site,
    points: Sequence[Loadpoint],
    house: House,
    boxes: Sequence[Box],
    k: int,
    at_s: float,
    load_w: float,
    pv_w: float,
    dt_s: float,
) -> None:
    """One cycle for loadpoint `k` at `at_s`, then `dt_s` seconds of that weather."""
    flow(house, boxes, load_w, pv_w)
    read(site, points, house, boxes)
    if len(points) > 0:
        point, box = points[k], boxes[k]
        point.wrote = 0
        power = site_power(site, points, k)
        hold_boost(site, point)
        point.smart_cost_active = point.within_cost
        point.feed_in_active = point.within_feed_in
        count_energy(point, at_s)
        run_counter(point, look(point, box), at_s)
        ask(point, box)
        sync(point, box, at_s)
        control(site, point, box, power, at_s)
    run_battery(site, points, house)
    flow(house, boxes, load_w, pv_w)
    settle(house, boxes, dt_s)
