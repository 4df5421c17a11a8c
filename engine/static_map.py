"""evcc's modes as a map of one coarse step: currents from the step's mean weather, no timers.

A map, not evcc: its only memory is that a car charged a moment ago. It keeps the precedence of
evcc-regulator.md §6 and the split of the surplus of §4 and §7. What that costs, against the
regulator on 10 s weather:

* §16, one box, days of one kind: under broken clouds a fixed 3-phase box charges 23 % less in 5-
  and 15-minute steps, one that switches phases 5 %, with a house battery below prioritySoc 5 to
  7 %; under a clear or overcast sky 1 to 3 %. The grid energy of evcc's holding at the minimum
  current (about 1.5 kWh on such a day) is missing.
* `sim/coarse.py`, two boxes and a house battery under broken clouds, 60 days, 5 (15) minutes:
  boxes that switch phases charge 7 % (7 %) less, fixed ones 22 % (30 %); 37 to 39 % of what goes
  through the battery is missing; the bill flatters by 0.29 (0.29) and 0.46 (0.62) EUR a day.

Numbers only, as in `engine/home.py`. Powers in W, energies in kWh.
"""

from collections.abc import Sequence
from math import inf

from engine.home import (
    CHARGE,
    HOLD,
    HOLDCHARGE,
    TINY_KWH,
    VOLTAGE_V,
    Box,
    House,
    box_w,
    flow,
    settle,
)
from engine.loadpoint import (
    BOOST_OFF,
    BOOST_ON,
    BOOST_START,
    CAR_EFFICIENCY,
    ELAPSED,
    MINPV,
    NOW,
    OFF,
    B,
    C,
    Loadpoint,
    Site,
    active_phases,
    known_phases,
    limit_soc,
    look,
    max_current,
    max_phases,
    min_current,
    min_soc,
    set_current,
    switch_phases,
)
from engine.regulator import (
    BELOW_PRIORITY_W,
    ask,
    hold_boost,
    run_battery,
    run_fast,
)

STOPPED, FAST, LEAST, FOLLOWS = range(4)
"""What a loadpoint does: nothing, its maximum, its minimum, or what the sun allows."""

CUT_A = 1e-9
"""Against currents that rounding puts just below a whole ampere."""


def set_by_map(  # noqa: PLR0917 - numba takes positional ones only
    site: Site,
    points: Sequence[Loadpoint],
    house: House,
    boxes: Sequence[Box],
    load_w: float,
    pv_w: float,
) -> None:
    """Set boxes and battery for one step of this mean weather.

    `Box.stop_kwh` becomes where minSoc or a limit ends the charge inside the step (inf: nowhere).
    """
    if house.capacity_kwh > 0:
        site.battery_soc = 100.0 * house.battery_kwh / house.capacity_kwh
    net_w = pv_w - load_w
    for k in range(len(points)):
        point, box = points[k], boxes[k]
        notice(site, point, box)
        rule = rule_of(point, box)
        box.stop_kwh = stop_kwh(point, box, rule)
        set_fixed(point, box, rule)
        if rule != FOLLOWS or point.mode == MINPV:  # minpv's minimum is not to be had by others
            net_w -= box_w(box)
        if rule == FAST and box_w(box) > 0:
            point.status = C
    run_battery(site, points, house)
    share(site, points, house, boxes, net_w)


def map_step(  # noqa: PLR0917 - numba takes positional ones only
    site: Site,
    points: Sequence[Loadpoint],
    house: House,
    boxes: Sequence[Box],
    load_w: float,
    pv_w: float,
    dt_s: float,
) -> None:
    """Set by the map, then live `dt_s` seconds of that weather."""
    set_by_map(site, points, house, boxes, load_w, pv_w)
    flow(house, boxes, load_w, pv_w)
    for k in range(len(points)):
        points[k].session_kwh -= boxes[k].charged_kwh
    settle(house, boxes, dt_s)
    for k in range(len(points)):
        points[k].session_kwh += boxes[k].charged_kwh
        boxes[k].stop_kwh = inf


# --- what a loadpoint does (§6) -------------------------------------------------------------------


def notice(site: Site, point: Loadpoint, box: Box) -> None:
    """Cars that came or went, what they tell, and how the box stands (a step is over a minute)."""
    point.smart_cost_active = point.within_cost
    point.feed_in_active = point.within_feed_in
    hold_boost(site, point)
    look(point, box)
    ask(point, box)
    point.enabled = box.enabled
    point.offered_a = box.current_a if box.enabled else 0.0
    if point.has_currents and point.status == C:
        point.measured_phases = min(box.phases, box.car_phases)


def rule_of(point: Loadpoint, box: Box) -> int:
    """evcc's order of precedence; energies in the car stand for what evcc knows of its SoC."""
    if point.status < B or point.mode == OFF:
        return STOPPED
    if point.plan_active or box.car_kwh < min_kwh(point, box) - TINY_KWH:
        return FAST
    if box.car_kwh >= limit_kwh(point, box) - TINY_KWH:
        return STOPPED
    if point.mode == NOW or point.smart_cost_active:
        return FAST
    if point.feed_in_active:
        return LEAST if point.mode == MINPV else STOPPED
    return FOLLOWS


def kwh_at(point: Loadpoint, box: Box, soc: int) -> float:
    """Energy in the car at `soc` percent; where the capacity is unknown: here, or never."""
    if point.vehicle_capacity_kwh > 0:
        return point.vehicle_capacity_kwh * soc / 100.0
    return box.car_kwh if point.soc >= soc else inf


def min_kwh(point: Loadpoint, box: Box) -> float:
    """Energy in the car at minSoc; 0: there is none. An unknown SoC counts from the session."""
    least = min_soc(point)
    if least <= 0 or not point.knows_vehicle:
        return 0.0
    if point.soc > 0:
        return kwh_at(point, box, least)
    session_kwh = point.vehicle_capacity_kwh * least / 100.0 / CAR_EFFICIENCY
    return box.car_kwh + (session_kwh - point.session_kwh) * box.charge_efficiency


def limit_kwh(point: Loadpoint, box: Box) -> float:
    """Energy in the car at limitSoc or limitEnergy, whichever comes first; inf: neither."""
    limit = limit_soc(point)
    kwh = kwh_at(point, box, limit) if limit < 100 and point.soc > 0 else inf
    if point.limit_energy > 0 and not (point.vehicle_tells_soc or point.soc > 0):
        left_kwh = point.limit_energy - point.session_kwh
        kwh = min(kwh, box.car_kwh + left_kwh * box.charge_efficiency)
    return kwh


def stop_kwh(point: Loadpoint, box: Box, rule: int) -> float:
    """Where evcc would end this step's charge. Below minSoc that is minSoc, unless it runs on."""
    if rule == STOPPED or point.plan_active:
        return inf
    least_kwh = min_kwh(point, box)
    if rule == FAST and box.car_kwh < least_kwh - TINY_KWH:
        runs_on = point.mode == NOW or point.smart_cost_active
        return max(least_kwh, limit_kwh(point, box)) if runs_on else least_kwh
    return limit_kwh(point, box)


def set_fixed(point: Loadpoint, box: Box, rule: int) -> None:
    """What does not depend on the sun; the minimum for minpv, before the sun is looked at."""
    if rule == STOPPED:
        set_current(point, box, 0.0, ELAPSED)
    elif rule == FAST:
        run_fast(point, box, ELAPSED)
    elif rule == LEAST or point.mode == MINPV:
        if point.can_switch and (rule == LEAST or point.phases_configured == 0):
            switch_phases(point, box, 1, ELAPSED)
        set_current(point, box, min_current(point), ELAPSED)


# --- what the sun allows (§4, §7, §9) -------------------------------------------------------------


def battery_first_w(house: House, net_w: float) -> float:
    """What the battery takes before the cars below prioritySoc."""
    if house.capacity_kwh <= 0 or house.battery_kwh >= house.max_kwh - TINY_KWH:
        return 0.0
    if house.mode == CHARGE:
        return house.charge_w
    if house.mode == HOLDCHARGE or (house.mode == HOLD and not house.hold_charges_from_pv):
        return 0.0
    return min(max(net_w, 0.0), house.charge_w)


def boosted_w(site: Site, house: House) -> float:
    """What the battery adds for a boosted car; the grid's part of a boost is left out."""
    if house.mode == HOLD or house.battery_kwh <= house.floor_kwh + TINY_KWH:
        return 0.0
    if site.battery_max_discharge_w > 0:
        return min(house.discharge_w, site.battery_max_discharge_w)
    return house.discharge_w


def share(
    site: Site,
    points: Sequence[Loadpoint],
    house: House,
    boxes: Sequence[Box],
    net_w: float,
) -> None:
    """Give the surplus to those that follow it, by priority, then by their order."""
    residual_w, taken_w, added_w = site.residual_w, 0.0, 0.0
    buffered, start = False, False
    if site.has_battery:
        if site.battery_soc < site.priority_soc:
            taken_w = battery_first_w(house, net_w)
            if residual_w <= 0:
                residual_w = BELOW_PRIORITY_W
            added_w = taken_w + residual_w - site.residual_w
        if taken_w <= 0:
            buffered = 0 < site.buffer_soc < site.battery_soc
            start = 0 < site.buffer_start_soc <= site.battery_soc
    left_w = net_w - taken_w - residual_w
    last = -1
    for _ in range(len(points)):
        last = next_in_turn(points, boxes, last)
        if last < 0:
            return
        point, box = points[last], boxes[last]
        pushing = point.boost in (BOOST_START, BOOST_ON)
        keep = point.mode == MINPV or start or (buffered and point.status == C) or pushing
        own_w = added_w if point.boost != BOOST_OFF else 0.0
        if pushing:
            own_w += boosted_w(site, house)
        if point.mode == MINPV:
            left_w += box_w(box)
        follow(point, box, left_w + own_w, keep)
        left_w -= box_w(box)


def next_in_turn(points: Sequence[Loadpoint], boxes: Sequence[Box], last: int) -> int:
    """The one that follows the sun after `last` (-1: the first); -1: none is left."""
    found = -1
    for k in range(len(points)):
        ahead = points[k].priority
        if last >= 0:
            before = points[last].priority
            if ahead > before or (ahead == before and k <= last):
                continue
        if found >= 0 and ahead <= points[found].priority:
            continue
        if rule_of(points[k], boxes[k]) == FOLLOWS:
            found = k
    return found


def follow(point: Loadpoint, box: Box, left_w: float, keep: bool) -> None:
    """Phases and current from `left_w`; `keep`: at least the minimum current."""
    low, most_a = min_current(point), max_current(point)
    phases = active_phases(point)
    if point.can_switch:
        phases = max_phases(point)
        if point.phases_configured == 0 and phases > 1:
            up = left_w >= VOLTAGE_V * phases * low and left_w > VOLTAGE_V * most_a
            switch_phases(point, box, 3 if up else 1, ELAPSED)
            phases = phases if up else 1
        elif point.phases_configured > 0:
            switch_phases(point, box, known_phases(point.phases_configured), ELAPSED)
    if left_w < VOLTAGE_V * phases * low:
        set_current(point, box, low if keep else 0.0, ELAPSED)
        return
    drawn = min(phases, box.car_phases)  # evcc raises a car that takes less until the sun is used
    amps = left_w / (VOLTAGE_V * drawn)
    if not point.takes_fractions:
        amps += CUT_A
    set_current(point, box, min(amps, most_a), ELAPSED)
