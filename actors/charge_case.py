"""A charge request as arrays: kWh and thousandths, padded, what is impossible left out already.

What a slot's direction can only be follows from load, sun and powers; where it is settled, the
flows of the other direction are closed before anything is solved.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.charge_request import Battery, ChargeRequest
from actors.planner_model import MONEY_SCALE, Array

Bools = NDArray[np.bool_]

BLOCK = 96
SOC_PENALTY, GOAL_PENALTY, LIMIT_PENALTY = 1000.0, 100.0, 100.0
"""evcc's, in multiples of the dearest real rate: what cannot be kept is broken, and costs."""
LEVELS = {
    "attenuate_demand_peaks": (True, False),
    "attenuate_feedin_peaks": (False, True),
    "attenuate_grid_peaks": (True, True),
}
PREFERENCES_MOST = 0.3
"""All preferences together are worth at most so much (thousandths): never 0.1 ct of money."""
TINY = 1e-9


class Needs(NamedTuple):
    """What a battery adds to the program."""

    soft: bool
    goals: bool
    demand: bool


class Shape(NamedTuple):
    """What a compiled program depends on."""

    slots: int
    batteries: tuple[Needs, ...]
    import_limit: bool
    rate: bool
    export_limit: bool
    level_import: bool
    level_export: bool
    both_ways: bool
    """Somewhere exporting pays more than importing costs."""
    short_sun: tuple[bool, ...]
    """Batteries whose least power is above the sun's surplus somewhere."""


class Store(NamedTuple):
    """A battery's arrays (kWh per slot, AC side; stored kWh)."""

    battery: Battery
    charge_most: Array
    charge_least: Array
    discharge_most: Array
    demand: Array
    demand_cost: Array
    goal: Array
    stored_least: Array
    stored_most: Array
    full: float
    start: float


class Case(NamedTuple):
    """The whole problem. `slots` are real, arrays are padded with empty slots."""

    request: ChargeRequest
    shape: Shape
    slots: int
    hours: Array
    net: Array
    """Load without sun."""
    buy: Array
    sell: Array
    base: float
    """The dearest real rate, thousandths per kWh."""
    import_most: Array
    export_most: Array
    import_cap: Array
    export_cap: Array
    may_import: Bools
    may_export: Bools
    stores: tuple[Store, ...]


def case_of(request: ChargeRequest) -> Case:
    """The arrays of a request."""
    n = len(request.gt)
    padded = BLOCK * -(-n // BLOCK)

    hours = _padded(request.dt, padded, 1 / 3600)
    net = _padded(request.gt, padded) - _padded(request.ft, padded)
    scale = 1e3 * MONEY_SCALE
    buy, sell = _padded(request.p_n, padded, scale), _padded(request.p_e, padded, scale)
    base = _penalty_base(request) * scale
    stores = tuple(_store(one, request, hours, base) for one in request.batteries)
    give = _total([one.discharge_most for one in stores if one.battery.discharge_to_grid], net)
    take = _total([one.charge_most for one in stores if one.battery.charge_from_grid], net)
    may_export = net <= give + TINY
    nothing_out = request.p_max_exp == 0
    may_import = (-net <= take + TINY) | ~may_export | nothing_out
    import_cap = np.where(may_import, np.maximum(0.0, net + take), 0.0)
    export_cap = np.where(may_export, np.maximum(0.0, give - net), 0.0)
    if nothing_out:  # what is lost has no direction then, as evcc has it
        export_cap = np.maximum(0.0, _total([one.discharge_most for one in stores], net) - net)
    import_most, export_most = import_cap, export_cap
    if request.p_max_imp is not None:
        import_most = np.minimum(import_cap, request.p_max_imp * 1e-3 * hours)
    if request.p_max_exp is not None:
        export_most = np.minimum(export_cap, request.p_max_exp * 1e-3 * hours)
    level_import, level_export = LEVELS.get(request.charging_strategy, (False, False))
    needs = tuple(_needs(one) for one in stores)
    both = (sell > buy) & (import_cap > TINY) & (export_cap > TINY)
    shape = Shape(
        padded,
        needs,
        request.p_max_imp is not None,
        request.has_rate,
        request.p_max_exp is not None,
        level_import,
        level_export,
        bool(both.any()),
        tuple(bool((one > TINY).any()) for one in short_sun(net, stores)),
    )
    return Case(
        request, shape, n, hours, net, buy, sell, base, import_most, export_most,
        import_cap, export_cap, may_import, may_export, stores,
    )  # fmt: skip


def short_sun(net: Array, stores: tuple[Store, ...]) -> list[Array]:
    """By how much of each kWh charged the sun's surplus falls short of the least power.

    On with less sun than its least power, a battery draws the rest from grid or another battery;
    a linear program would rather charge below it. Not where the last bit may be below it.
    """
    surplus = np.maximum(0.0, -net)
    found = []
    for one in stores:
        some = (surplus > 1e-4) & (one.charge_least > surplus) & (one.demand <= 0)
        found.append(np.where(some, 1 - surplus / np.maximum(one.charge_least, TINY), 0.0))
    return found


def _padded(values: tuple[float, ...], slots: int, factor: float = 1e-3) -> Array:
    full = np.zeros(slots)
    full[: len(values)] = np.array(values) * factor
    return full


def _total(parts: list[Array], like: Array) -> Array:
    return np.sum(parts, axis=0) if parts else np.zeros_like(like)


def _penalty_base(request: ChargeRequest) -> float:
    """The dearest rate of anything real, in currency per Wh; never nothing."""
    known = [max(request.p_n), max(request.p_e), 1e-4, *(one.p_a for one in request.batteries)]
    if request.has_rate:
        shortest = min((one for one in request.dt if one > 0), default=3600.0)
        known.append((request.prc_p_exc_imp or 0.0) * 3600 / shortest)
    return max(known)


def _store(battery: Battery, request: ChargeRequest, hours: Array, base: float) -> Store:
    n, slots = len(request.gt), len(hours)
    charge_most = battery.c_max * 1e-3 * hours
    demand = np.minimum(_padded(battery.p_demand or (0.0,) * n, slots), charge_most)
    late = np.maximum(0.0, n - np.arange(slots)) / n
    goal = _padded(battery.s_goal or (0.0,) * n, slots)
    goal[0] = 0.0  # evcc asks for none at the end of the first slot
    low, high, start = battery.s_min * 1e-3, battery.s_max * 1e-3, battery.s_initial * 1e-3
    capacity = max(battery.s_capacity * 1e-3, start)
    inside = low - TINY <= start <= high + TINY and low <= high <= capacity
    if inside and battery.eta_c > LIMIT_PENALTY / SOC_PENALTY:
        stored_least, stored_most = (
            np.full(slots, min(low, start)),
            np.full(slots, max(high, start)),
        )
    else:  # out of its band, which is soft then; so it is where storing hardly stores
        stored_least, stored_most = np.zeros(slots), np.full(slots, capacity)
    return Store(
        battery=battery,
        charge_most=charge_most,
        charge_least=battery.c_min * 1e-3 * hours,
        discharge_most=battery.d_max * 1e-3 * hours,
        demand=demand,
        demand_cost=GOAL_PENALTY * base * (1 + late),
        goal=goal,
        stored_least=stored_least,
        stored_most=stored_most,
        full=high,
        start=start,
    )


def _needs(store: Store) -> Needs:
    battery = store.battery
    soft = bool(
        store.stored_least[0] < battery.s_min * 1e-3 - TINY
        or store.stored_most[0] > store.full + TINY
    )
    return Needs(soft, bool((store.goal > TINY).any()), bool((store.demand > TINY).any()))
