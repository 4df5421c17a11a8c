"""What evcc remembers of site and loadpoints, and what follows from it (evcc-regulator.md §2).

Numbers only, as in `engine/home.py`; `engine/regulator.py` regulates with it. Flags from rates and
clocks (`plan_active`, `within_cost`, ...) are inputs.

Times in seconds of any one clock; a timer is a start time, UNSET or ELAPSED ("long ago").
Powers in W, grid + is import, battery + is discharging.
"""

from dataclasses import dataclass
from math import inf

from engine.home import UNKNOWN, VOLTAGE_V, Box

OFF, PV, MINPV, NOW = range(4)
"""evcc's charge modes."""
KEEP = -1
"""No mode of its own: the mode stays."""

UNSET, ELAPSED = inf, -inf
PAUSE_S = 60.0
"""After a switch: nothing is scaled, measured or believed for longer than this."""
CAR_EFFICIENCY = 0.85
"""What evcc assumes of cars."""

NO_STATUS, A, B, C = range(4)
"""none yet, no car, connected, charging."""
CONNECTED, STARTED, STOPPED, LEFT = 1, 2, 4, 8
"""Events of a cycle, as a sum."""
INACTIVE, ENABLE, DISABLE, SCALE_1P, SCALE_3P = range(5)
BOOST_OFF, BOOST_START, BOOST_ON, BOOST_HOLD = range(4)
WROTE_PHASES, WROTE_CURRENT, WROTE_ENABLE = 1, 2, 4


@dataclass(slots=True)
class Site:
    """evcc's settings, readings and memory of the site. SoC in percent; thresholds 0 = off."""

    has_battery: bool = False
    residual_w: float = 0.0
    priority_soc: float = 0.0
    buffer_soc: float = 0.0
    buffer_start_soc: float = 0.0
    discharge_control: bool = False
    battery_max_soc: float = 0.0
    """What the battery's driver says; 0: nothing."""
    battery_max_discharge_w: float = 0.0
    grid_charge_active: bool = False
    grid_w: float = 0.0
    pv_w: float = 0.0
    battery_w: float = 0.0
    battery_soc: float = 0.0
    battery_mode: int = UNKNOWN
    external: int = UNKNOWN
    external_at_s: float = UNSET
    battery_order: int = UNKNOWN
    """What this cycle tells the inverter; UNKNOWN: nothing."""


@dataclass(slots=True)
class Loadpoint:
    """evcc's settings, inputs and memory of one loadpoint. Zero or inf: no such limit.

    The vehicle's fields are of the assigned one; `vehicle_phases` 0: it does not say.
    """

    mode: int = OFF
    default_mode: int = KEEP
    min_a: float = 6.0
    max_a: float = 16.0
    can_switch: bool = False
    single_phase: bool = False
    takes_fractions: bool = False
    has_currents: bool = False
    """Whether the box measures its currents."""
    phases_configured: int = 3
    priority: int = 0
    enable_threshold: float = 0.0
    enable_delay_s: float = 60.0
    disable_threshold: float = 0.0
    disable_delay_s: float = 180.0
    limit_soc: int = 0
    limit_energy: float = 0.0
    """In kWh."""
    min_soc: int = 0
    boost_limit: int = 100
    knows_vehicle: bool = False
    vehicle_phases: int = 0
    vehicle_min_a: float = 0.0
    vehicle_max_a: float = inf
    vehicle_capacity_kwh: float = 0.0
    vehicle_tells_soc: bool = False
    vehicle_limit_soc: int = 0
    vehicle_min_soc: int = 0
    plan_active: bool = False
    within_cost: bool = False
    """The price of now is within the smart cost limit."""
    within_feed_in: bool = False
    smart_cost_active: bool = False
    feed_in_active: bool = False
    soc: float = 0.0
    """vehicleSoc; 0: unknown."""
    ask_soc: bool = False
    status: int = NO_STATUS
    enabled: bool = False
    offered_a: float = 0.0
    charge_w: float = 0.0
    current_a: float = 0.0
    """The highest measured one."""
    phases: int = 3
    measured_phases: int = 0
    pv_timer_s: float = UNSET
    pv_action: int = INACTIVE
    phase_timer_s: float = UNSET
    phase_action: int = INACTIVE
    switched_at_s: float = ELAPSED
    phases_switched_at_s: float = ELAPSED
    boost: int = BOOST_OFF
    counting: bool = False
    counted_at_s: float = 0.0
    session_kwh: float = 0.0
    wrote: int = 0
    """What this cycle set at the box, as a sum."""


# --- what counts (§2) -----------------------------------------------------------------------------


def known_phases(phases: int) -> int:
    """Unknown counts as 3."""
    return phases if phases > 0 else 3


def active_phases(point: Loadpoint) -> int:
    """The phases that evcc calculates with."""
    own = 1 if point.single_phase else 3
    vehicle = known_phases(point.vehicle_phases)
    return min(known_phases(point.phases), known_phases(point.measured_phases), vehicle, own)


def max_phases(point: Loadpoint) -> int:
    """The most phases that may come to be used."""
    phases = point.phases_configured if point.can_switch else point.phases
    measured = point.measured_phases
    if measured == 1 and point.phases <= 1:
        measured = 0
    own = 1 if point.single_phase else 3
    vehicle = known_phases(point.vehicle_phases)
    return min(known_phases(phases), known_phases(measured), vehicle, own)


def min_phases(point: Loadpoint) -> int:
    """The fewest phases that may come to be used."""
    return 1 if point.can_switch else max_phases(point)


def min_current(point: Loadpoint) -> float:
    """In A, after the vehicle's own minimum."""
    return max(point.min_a, point.vehicle_min_a)


def max_current(point: Loadpoint) -> float:
    """In A, after the vehicle's own maximum."""
    return min(point.max_a, point.vehicle_max_a)


def max_power(point: Loadpoint) -> float:
    """In W."""
    return VOLTAGE_V * max_current(point) * max_phases(point)


def limit_soc(point: Loadpoint) -> int:
    """The session's limit, else the vehicle's, else 100."""
    if point.limit_soc > 0:
        return point.limit_soc
    return point.vehicle_limit_soc if point.vehicle_limit_soc > 0 else 100


def min_soc(point: Loadpoint) -> int:
    """The larger of the loadpoint's and the vehicle's."""
    return max(point.min_soc, point.vehicle_min_soc)


def below_min(point: Loadpoint) -> bool:
    """minSoc is not reached; an unknown SoC counts as if the car came empty; no guest (§12)."""
    least = min_soc(point)
    if least <= 0 or not point.knows_vehicle:
        return False
    if point.soc > 0:
        return point.soc < least
    return point.session_kwh < point.vehicle_capacity_kwh * least / 100.0 / CAR_EFFICIENCY


def energy_reached(point: Loadpoint) -> bool:
    """limitEnergy; it counts only where no vehicle tells its SoC (§12)."""
    counts = point.limit_energy > 0 and not (point.vehicle_tells_soc or point.soc > 0)
    return counts and point.session_kwh >= point.limit_energy


def soc_reached(point: Loadpoint) -> bool:
    """limitSoc; 100 never stops."""
    limit = limit_soc(point)
    return 0 < limit < 100 and point.soc >= limit


# --- timers, orders and events --------------------------------------------------------------------


def set_pv_timer(point: Loadpoint, value: float, action: int) -> None:
    """The enable and disable timer, and what the state shows of it."""
    point.pv_timer_s = value
    point.pv_action = action


def set_phase_timer(point: Loadpoint, value: float, action: int) -> None:
    """The timer of the phase switch, and what the state shows of it."""
    point.phase_timer_s = value
    point.phase_action = action


def set_mode(point: Loadpoint, mode: int) -> None:
    """A change of mode (§6): boost ends, timers by the mode's rule. The same one does nothing."""
    if mode in (KEEP, point.mode):
        return
    point.mode = mode
    point.boost = BOOST_OFF
    if mode != PV:
        set_pv_timer(point, UNSET, INACTIVE)
    if mode in (NOW, OFF):
        set_phase_timer(point, UNSET, INACTIVE)
        point.plan_active = False


def set_boost(point: Loadpoint, on: bool) -> None:
    """Battery boost by the API."""
    if not on:
        point.boost = BOOST_OFF
    elif point.boost == BOOST_OFF:
        point.boost = BOOST_START


def switch_phases(point: Loadpoint, box: Box, phases: int, at_s: float) -> None:
    """Order `phases`; nothing is sent when evcc believes that they are set."""
    if point.phases == phases:
        return
    box.phases = phases
    point.phases = phases
    point.measured_phases = 0
    point.phases_switched_at_s = at_s
    point.wrote |= WROTE_PHASES
    set_phase_timer(point, UNSET, INACTIVE)


def set_current(point: Loadpoint, box: Box, wanted_a: float, at_s: float) -> None:
    """Order a current, then release or stop, each only where it changes (§5)."""
    low = min_current(point)
    if low > max_current(point):
        return
    amps = wanted_a if point.takes_fractions else float(int(wanted_a))
    release = amps >= low
    if release and amps != point.offered_a:
        box.current_a = amps
        point.offered_a = amps
        point.wrote |= WROTE_CURRENT
    if release != point.enabled:
        box.enabled = release
        point.enabled = release
        point.switched_at_s = at_s
        point.wrote |= WROTE_ENABLE
    if not release:
        point.offered_a = 0.0


def look(point: Loadpoint, box: Box) -> int:
    """Read the box's status; returns the events of this cycle (§5.4) after their effect (§11)."""
    before = point.status
    status = B if box.plugged else A
    if box.charge_w > 0:
        status = C
    point.status = status
    events = 0
    if before <= A < status:
        events |= CONNECTED
        point.session_kwh = 0.0
        point.ask_soc = True
        set_pv_timer(point, ELAPSED, INACTIVE)
    if status == C and before != C:
        events |= STARTED
        point.ask_soc = True
    if before == C and status != C:
        events |= STOPPED
        point.ask_soc = True
        if point.pv_timer_s != ELAPSED:
            set_pv_timer(point, UNSET, INACTIVE)
    if status == A and before != A:
        events |= LEFT
        point.measured_phases = 0
        set_mode(point, point.default_mode)
        point.boost = BOOST_OFF
        point.limit_soc = 0
        point.limit_energy = 0.0
        point.plan_active = False
        point.soc = 0.0
        point.ask_soc = False
    return events


def count_energy(point: Loadpoint, at_s: float) -> None:
    """Add what was charged since the last count, at the power just read (§5.3)."""
    if point.counting:
        point.session_kwh += point.charge_w * (at_s - point.counted_at_s) / 3_600_000.0
        point.counted_at_s = at_s


def run_counter(point: Loadpoint, events: int, at_s: float) -> None:
    """The charge counter runs from the start event to the stop event."""
    if events & STARTED:
        point.counting = True
        point.counted_at_s = at_s
    if events & STOPPED:
        point.counting = False


def sync(point: Loadpoint, box: Box, at_s: float) -> None:
    """Believe the box again a minute after the last switch (§5.6)."""
    since_phases_s = at_s - point.phases_switched_at_s
    settled = at_s - point.switched_at_s > PAUSE_S and since_phases_s > PAUSE_S
    if settled:
        point.enabled = box.enabled
    elif since_phases_s <= PAUSE_S and point.enabled and not box.enabled:
        box.enabled = True
        point.wrote |= WROTE_ENABLE
    if point.status == C and not point.enabled and settled:
        point.enabled = True
        set_pv_timer(point, ELAPSED, INACTIVE)
    if point.has_currents and point.status == C:
        if point.current_a > point.offered_a + 1:
            point.offered_a = point.current_a
        if since_phases_s > PAUSE_S and box.charge_w > 0:
            point.measured_phases = min(box.phases, box.car_phases)
