"""The physics of one home: who gets what from sun, battery and grid (design §5). Plain numbers.

`step` settles an interval on sub-steps of at most 60 s with constant weather. Each sub-step asks
`static_currents` what evcc would set, and `flows` what then happens. `static_currents` is a static
map of one step: no timers, no memory but "it charged a moment ago" (evcc-regulator.md §16 has its
bias). evcc's regulator to the second will take its place; `flows` stays.

Signs are in the names; energies in kWh per interval, powers in W, currents in A per phase.
"""

from math import ceil, inf
from typing import NamedTuple

VOLTAGE_V = 230.0
SUBSTEP_S = 60.0

OFF, PV, MINPV, NOW = range(4)
"""evcc's charge modes."""

UNKNOWN, NORMAL, HOLD, CHARGE, HOLDCHARGE = range(5)
"""evcc's battery modes, by evcc's own numbers; UNKNOWN leaves the inverter to itself (NORMAL)."""

TINY_KWH = 1e-9


class Battery(NamedTuple):
    """What the inverter can do. Efficiencies are AC to cell and back; 0 kWh: no battery."""

    capacity_kwh: float = 0.0
    charge_w: float = 0.0
    discharge_w: float = 0.0
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    floor_kwh: float = 0.0
    max_kwh: float = 0.0
    hold_charges_from_pv: bool = True


NO_BATTERY = Battery()


class Box(NamedTuple):
    """One loadpoint and the car that stands there, as evcc sees them and as they are.

    `phases` is the most that evcc reckons with, `car_phases` and `car_max_a` what the car really
    takes. `min_kwh` and `limit_kwh` are minSoc and the limits of SoC or energy, as energy in the
    car (`limit_kwh` inf: none); `full_kwh` is where the car itself stops.
    """

    mode: int = OFF
    connected: bool = False
    min_a: float = 6.0
    max_a: float = 16.0
    phases: int = 3
    can_switch: bool = False
    car_phases: int = 3
    car_max_a: float = 63.0
    priority: int = 0
    plan_active: bool = False
    smart_cost_active: bool = False
    feed_in_priority_active: bool = False
    min_kwh: float = 0.0
    limit_kwh: float = inf
    full_kwh: float = inf
    charge_efficiency: float = 0.9


class Controls(NamedTuple):
    """What is set at evcc. Thresholds in percent, 0 = off (evcc-regulator.md §4)."""

    boxes: tuple[Box, ...] = ()
    battery_mode: int = NORMAL
    priority_soc_pct: float = 0.0
    buffer_soc_pct: float = 0.0
    buffer_start_soc_pct: float = 0.0
    residual_w: float = 0.0
    battery: Battery = NO_BATTERY


class State(NamedTuple):
    """Energy in the battery and in the car at each box; `charging` is evcc's status C."""

    battery_kwh: float = 0.0
    cars_kwh: tuple[float, ...] = ()
    charging: tuple[bool, ...] = ()


class Exogenous(NamedTuple):
    """What no controller changes, constant within a minute."""

    load_w: float
    pv_w: float


class Flows(NamedTuple):
    """AC energies of the interval; `cars_kwh` per box. `set_to`: amperes and phases at its end."""

    pv_kwh: float
    load_kwh: float
    grid_import_kwh: float
    grid_export_kwh: float
    battery_charge_kwh: float
    battery_discharge_kwh: float
    cars_kwh: tuple[float, ...]
    set_to: tuple[tuple[float, int], ...]


def battery_mode_wanted(
    current: int, external: int, *, leaving: bool, grid_charge: bool, hold: bool
) -> int:
    """The mode that evcc's next cycle writes; UNKNOWN: it writes nothing (evcc-regulator.md §14).

    `leaving`: external control has just ended. `grid_charge`: the price is within evcc's own limit.
    `hold`: discharge control is on and a car charges fast.
    """
    if external == UNKNOWN and leaving:
        return NORMAL
    if external != UNKNOWN:
        wanted = external
    elif grid_charge:
        wanted = CHARGE
    elif hold:
        wanted = HOLD
    else:
        return NORMAL if current not in (UNKNOWN, NORMAL) else UNKNOWN
    return wanted if wanted != current else UNKNOWN


def below_min(box: Box, kwh: float) -> bool:
    """minSoc is not reached."""
    return kwh < box.min_kwh - TINY_KWH


def runs_fast(box: Box, kwh: float) -> bool:
    """Full power whatever the sun does: the rows 4, 7 and 8 of evcc-regulator.md §6."""
    if not box.connected or box.mode == OFF:
        return False
    if box.plan_active or below_min(box, kwh):
        return True
    if kwh >= box.limit_kwh - TINY_KWH:
        return False
    return box.mode == NOW or box.smart_cost_active


def _may_charge(box: Box, kwh: float) -> bool:
    """Neither off nor at a limit (minSoc and plans go before limits)."""
    if not box.connected or box.mode == OFF:
        return False
    return box.plan_active or below_min(box, kwh) or kwh < box.limit_kwh - TINY_KWH


def _ceiling_kwh(box: Box, kwh: float) -> float:
    """Where this interval's charge ends at the latest."""
    if box.plan_active:
        return box.full_kwh
    if below_min(box, kwh):
        return min(box.full_kwh, max(box.min_kwh, box.limit_kwh))
    return min(box.full_kwh, box.limit_kwh)


def car_w(box: Box, amps: float, phases: int, kwh: float) -> float:
    """What the car draws at this offer: its own phases and current, nothing when full."""
    if amps <= 0 or not box.connected or kwh >= box.full_kwh - TINY_KWH:
        return 0.0
    return min(amps, box.car_max_a) * VOLTAGE_V * min(phases, box.car_phases)


def _whole(amps: float, box: Box) -> float:
    """Whole amperes, towards zero; below the minimum nothing is set."""
    cut = float(int(amps + 1e-9))
    return cut if cut >= box.min_a else 0.0


def _fixed(box: Box, kwh: float) -> tuple[float, int] | None:
    """What does not depend on the sun: off, limits, fast, feed-in priority. None: see the sun."""
    if not _may_charge(box, kwh):
        return 0.0, box.phases
    if runs_fast(box, kwh):
        return _whole(box.max_a, box), box.phases
    if box.feed_in_priority_active:
        phases = 1 if box.can_switch else box.phases
        return (_whole(box.min_a, box) if box.mode == MINPV else 0.0), phases
    return None


def _from_surplus(box: Box, left_w: float, keep: bool) -> tuple[float, int]:
    """Amperes and phases from `left_w` (evcc-regulator.md §7, §9, without their timers).

    `keep`: at least the minimum current (minpv, or the house battery is above its buffer).
    """
    phases = box.phases
    if box.can_switch and phases > 1:
        enough = left_w >= VOLTAGE_V * phases * box.min_a and left_w > VOLTAGE_V * box.max_a
        phases = phases if enough else 1
    if left_w < VOLTAGE_V * phases * box.min_a:
        return (_whole(box.min_a, box) if keep else 0.0), phases
    drawn = min(phases, box.car_phases)  # evcc raises a car that takes less until the sun is used
    return _whole(min(left_w / (VOLTAGE_V * drawn), box.max_a), box), phases


def _battery_first_w(controls: Controls, net_w: float) -> float:
    """What the battery takes before the cars below prioritySoc, in W."""
    battery, mode = controls.battery, controls.battery_mode
    if mode == CHARGE:
        return battery.charge_w
    if mode == HOLDCHARGE or (mode == HOLD and not battery.hold_charges_from_pv):
        return 0.0
    return min(max(net_w, 0.0), battery.charge_w)


def _surplus(controls: Controls, net_w: float, soc_pct: float | None) -> tuple[float, bool, bool]:
    """Surplus for the cars, and whether the battery keeps or starts them (evcc-regulator.md §4).

    Above prioritySoc what the battery takes counts as surplus; below it only what is left over.
    """
    residual_w = controls.residual_w
    if soc_pct is None:
        return net_w - residual_w, False, False
    first = soc_pct < controls.priority_soc_pct
    taken_w = _battery_first_w(controls, net_w) if first else 0.0
    if first and residual_w <= 0:
        residual_w = 100.0
    surplus_w = net_w - taken_w - residual_w
    if first and taken_w > 0:
        return surplus_w, False, False
    buffered = 0 < controls.buffer_soc_pct < soc_pct
    start = 0 < controls.buffer_start_soc_pct <= soc_pct
    return surplus_w, buffered, start


def static_currents(
    state: State, controls: Controls, exogenous: Exogenous
) -> tuple[tuple[float, int], ...]:
    """Amperes and phases of each box: evcc's modes as a static map of one step.

    Here the regulator to the second will stand (evcc-regulator.md §3-9).
    """
    boxes, cars_kwh = controls.boxes, state.cars_kwh
    if not boxes:
        return ()
    capacity = controls.battery.capacity_kwh
    soc_pct = 100.0 * state.battery_kwh / capacity if capacity > 0 else None
    wanted: list[tuple[float, int]] = []
    follow: list[int] = []
    net_w = exogenous.pv_w - exogenous.load_w
    least_w: dict[int, float] = {}
    for k, box in enumerate(boxes):
        fixed = _fixed(box, cars_kwh[k])
        if fixed is None:
            follow.append(k)
            phases = 1 if box.can_switch else box.phases
            if box.mode == MINPV:  # its minimum is not to be had by others
                least_w[k] = car_w(box, _whole(box.min_a, box), phases, cars_kwh[k])
                net_w -= least_w[k]
            wanted.append((0.0, phases))
        else:
            net_w -= car_w(box, *fixed, cars_kwh[k])
            wanted.append(fixed)
    if not follow:
        return tuple(wanted)
    left_w, buffered, start = _surplus(controls, net_w, soc_pct)
    follow.sort(key=lambda k: -boxes[k].priority)
    for k in follow:
        box = boxes[k]
        left_w += least_w.get(k, 0.0)
        keep = box.mode == MINPV or start or (buffered and state.charging[k])
        wanted[k] = _from_surplus(box, left_w, keep)
        left_w -= car_w(box, *wanted[k], cars_kwh[k])
    return tuple(wanted)


def _battery_kwh(controls: Controls, held_kwh: float, net_kwh: float, hours: float) -> float:
    """AC energy into the battery (negative: out of it) at this net surplus. Never to the grid."""
    battery, mode = controls.battery, controls.battery_mode
    if battery.capacity_kwh <= 0:
        return 0.0
    room_kwh = max(0.0, battery.max_kwh - held_kwh) / battery.charge_efficiency
    most_kwh = min(battery.charge_w * hours / 1000.0, room_kwh)
    if mode == CHARGE:
        return most_kwh
    if net_kwh >= 0:
        charges = mode != HOLDCHARGE and (mode != HOLD or battery.hold_charges_from_pv)
        return min(net_kwh, most_kwh) if charges else 0.0
    if mode == HOLD:
        return 0.0
    there_kwh = max(0.0, held_kwh - battery.floor_kwh) * battery.discharge_efficiency
    return -min(-net_kwh, battery.discharge_w * hours / 1000.0, there_kwh)


def flows(
    state: State,
    controls: Controls,
    exogenous: Exogenous,
    set_to: tuple[tuple[float, int], ...],
    dt_s: float,
) -> tuple[State, Flows]:
    """Settle `dt_s` seconds of constant weather at the currents `set_to`; what is over is exported.

    Energy balances by construction: the grid takes or gives the remainder.
    """
    hours = dt_s / 3600.0
    cars_kwh: list[float] = []
    held: list[float] = []
    for box, kwh, (amps, phases) in zip(controls.boxes, state.cars_kwh, set_to, strict=True):
        drawn_kwh = car_w(box, amps, phases, kwh) * hours / 1000.0
        if drawn_kwh > 0:
            room_kwh = max(0.0, _ceiling_kwh(box, kwh) - kwh)
            drawn_kwh = min(drawn_kwh, room_kwh / box.charge_efficiency)
        cars_kwh.append(drawn_kwh)
        held.append(min(kwh + drawn_kwh * box.charge_efficiency, max(kwh, box.full_kwh)))
    pv_kwh = exogenous.pv_w * hours / 1000.0
    load_kwh = exogenous.load_w * hours / 1000.0
    net_kwh = pv_kwh - load_kwh - sum(cars_kwh)
    into_kwh = _battery_kwh(controls, state.battery_kwh, net_kwh, hours)
    battery, battery_kwh = controls.battery, state.battery_kwh
    if into_kwh > 0:
        battery_kwh = min(
            battery_kwh + into_kwh * battery.charge_efficiency, max(battery_kwh, battery.max_kwh)
        )
    elif into_kwh < 0:
        battery_kwh = max(
            battery_kwh + into_kwh / battery.discharge_efficiency,
            min(battery_kwh, battery.floor_kwh),
        )
    grid_kwh = into_kwh - net_kwh
    after = State(battery_kwh, tuple(held), tuple([kwh > 0 for kwh in cars_kwh]))
    return after, Flows(
        pv_kwh,
        load_kwh,
        max(0.0, grid_kwh),
        max(0.0, -grid_kwh),
        max(0.0, into_kwh),
        max(0.0, -into_kwh),
        tuple(cars_kwh),
        set_to,
    )


def step(
    state: State, controls: Controls, exogenous: Exogenous, dt_s: float
) -> tuple[State, Flows]:
    """The home after `dt_s` seconds, and what flowed in them; settled on sub-steps of <= 60 s.

    Raises ValueError for a negative `dt_s`.
    """
    if dt_s < 0:
        raise ValueError("time does not go back")
    if dt_s <= SUBSTEP_S:
        set_to = static_currents(state, controls, exogenous)
        return flows(state, controls, exogenous, set_to, dt_s)
    parts = []
    count = ceil(dt_s / SUBSTEP_S)
    for _ in range(count):
        state, part = step(state, controls, exogenous, dt_s / count)
        parts.append(part)
    sums = [sum(values) for values in zip(*(part[:6] for part in parts), strict=True)]
    cars_kwh = tuple(sum(kwh) for kwh in zip(*(part.cars_kwh for part in parts), strict=True))
    pv, load, grid_import, grid_export, charge, discharge = sums
    return state, Flows(
        pv, load, grid_import, grid_export, charge, discharge, cars_kwh, parts[-1].set_to
    )
