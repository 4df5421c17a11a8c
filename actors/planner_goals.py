"""What people may want beside a cheap plan: ceilings, a target by a time, a reserve for surprises.

All soft, so that there is always an answer; what is not reached is reported. In falling order of
what a missing kWh counts: a departure, a car's ceiling, the battery's target, its reserve. Hard are
only a battery's own ceiling and whom it feeds: to buy nothing and to keep what is stored is always
possible.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.planner_model import MONEY_SCALE, Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem, Store

Bools = NDArray[np.bool_]

CEILING_SHARE = 0.25
"""A kWh above a ceiling counts this share of what an unmet one does beyond its price: more than
any other slot, less than being late (which loses 0.4 of it)."""
TARGET_SHARE = 0.15
"""A kWh that lacks at the battery's target, likewise: no car goes above its ceiling for it."""
SURPRISE_SHARE = 0.3
"""How likely the reserve for surprises is used: between 50 % for its first kWh and 10 % for its
last, as it reaches from the median to the 90 % quantile."""
RESERVE_MOST = 0.3
"""The reserve for surprises is at most this share of what the battery can give."""
LOAD_BLOCK, SUN_BLOCK = 4, 24
"""Slots for which an error goes on: a meal takes an hour, a cloudy sky a quarter of a day. Within
them errors add up; beyond them they are independent, and their squares do."""
STEP_KWH = 1e-3
TINY_KWH = 1e-6


class Goals(NamedTuple):
    """What should be stored at the end of each slot, and what a kWh less counts there (EUR)."""

    stored_kwh: Array
    short_eur_kwh: Array


def last_slot_before(at: datetime, grid: Grid) -> int | None:
    """The last slot most of which is before `at`; None where that is past or beyond the grid."""
    end = grid.starts[-1] + timedelta(hours=float(grid.hours[-1]))
    if not grid.starts[0] < at <= end:
        return None
    half = timedelta(minutes=7.5)
    return sum(1 for start in grid.starts[1:] if start + half <= at)


# --- ceilings -------------------------------------------------------------------------------------


def barred(store: Store, prices: Prices) -> Bools:
    """Slots in which nothing is bought for the battery: not wanted, no price, or too dear."""
    never: Bools = prices.gap | (not (store.grid_charging and store.controllable))
    return never if store.max_eur_kwh is None else never | (prices.buy > store.max_eur_kwh)


def has_ceiling(car: CarNeed) -> bool:
    """Whether a price is too dear for it. Where it has to charge at once, none is (INV-24)."""
    return car.max_eur_kwh is not None and not car.asap


def above_ceiling(problem: Problem, prices: Prices) -> Bools:
    """(cars, slots): whether the tariff is above the car's ceiling."""
    ceilings = [
        car.max_eur_kwh if has_ceiling(car) and car.max_eur_kwh is not None else np.inf
        for car in problem.cars
    ]
    above: Bools = prices.buy[None, :] > np.array(ceilings).reshape(-1, 1)
    return above


def before_departure(deadlines: tuple[int | None, ...], slots: int) -> Bools:
    """(cars, slots): whether the slot counts for the car's departure."""
    last = np.array([-1 if one is None else one for one in deadlines]).reshape(-1, 1)
    before: Bools = np.arange(slots)[None, :] <= last
    return before


def surcharge_eur_kwh(unmet_eur_kwh: float, prices: Prices) -> Array:
    """What a kWh above a ceiling counts beyond its price."""
    return CEILING_SHARE * np.maximum(0.0, unmet_eur_kwh - prices.buy)


def ceiling_data(
    dear: Bools, beyond: Array, surplus: Array, surcharge: Array
) -> dict[str, Array | float]:
    """What cars take in the slots of `dear` beyond the sun is dear; what the battery gives too."""
    data: dict[str, Array | float] = {}
    for k, (one, share) in enumerate(zip(dear, beyond, strict=True)):
        data[f"above{k}"] = np.where(one, 1.0, 0.0)
        data[f"above{k}_beyond"] = np.where(one, share, 0.0)
    return data | {
        "dear_cost": MONEY_SCALE * surcharge,
        "dear_min": np.zeros(len(surplus)),
        "sun": surplus,
    }


def within_ceilings(problem: Problem, worth: Array, needed: Bools) -> Array:
    """What a kWh may cost at most: no more than the ceiling, but where a departure needs it."""
    capped = worth.copy()
    for k, car in enumerate(problem.cars):
        if has_ceiling(car) and car.max_eur_kwh is not None:
            capped[k] = np.where(needed[k], worth[k], np.minimum(worth[k], car.max_eur_kwh))
    return capped


# --- what should be stored ------------------------------------------------------------------------


def has_goals(problem: Problem) -> bool:
    """Whether anything beyond the SoC band is asked of the battery."""
    return problem.store is not None and bool(problem.targets or problem.load_beyond_kw)


def goals_of(problem: Problem, grid: Grid, prices: Prices, end_value: float) -> Goals:
    """Targets and reserve in one level per slot; `end_value` is what a stored kWh is worth."""
    n, store = len(grid.starts), problem.store
    if store is None or not has_goals(problem):
        return Goals(np.zeros(n), np.zeros(n))
    stored, cost = np.zeros(n), np.zeros(n)
    if problem.load_beyond_kw:
        stored, cost = _reserve(problem, store, grid, prices, end_value)
    for target in problem.targets:
        last = last_slot_before(target.by, grid)
        if last is not None:
            stored[last] = max(stored[last], target.stored_kwh)
            cost[last] += TARGET_SHARE * problem.unmet_eur_kwh
    return Goals(stored, cost)


def goal_data(goals: Goals) -> dict[str, Array | float]:
    """The level as the program's data."""
    return {
        "goal": goals.stored_kwh,
        "short_cost": MONEY_SCALE * goals.short_eur_kwh,
        "short_min": np.zeros(len(goals.stored_kwh)),
    }


def _reserve(
    problem: Problem, store: Store, grid: Grid, prices: Prices, end_value: float
) -> tuple[Array, Array]:
    """The level above the floor that surprises may need until the next sun or cheap power.

    A surprise may come at the dearest price until then, and what is there for it could be used, or
    bought, at the cheapest; that spread is shared by the slots. At one price nothing is reserved.
    """
    n = len(grid.starts)
    load, pv = np.array(problem.load_kw), np.array(problem.pv_kw)
    cheap = ~barred(store, prices) & (prices.buy <= end_value * store.charge_efficiency)
    refills = cheap | ((pv - load) * grid.hours > TINY_KWH)
    beyond = _ahead(np.array(problem.load_beyond_kw) * grid.hours, refills, LOAD_BLOCK)
    short = _ahead(np.array(problem.pv_short_kw) * grid.hours, refills, SUN_BLOCK)
    needed = np.sqrt(beyond**2 + short**2) / store.discharge_efficiency
    most = RESERVE_MOST * max(0.0, store.max_kwh - store.min_kwh)
    # rounded down: never above what was needed (INV-190)
    extra = np.floor(np.minimum(needed, most) / STEP_KWH) * STEP_KWH
    cost, first = np.zeros(n), 0
    for end in [*np.flatnonzero(refills).tolist(), n]:
        if end > first:
            spread = float(np.ptp(prices.buy[first:end])) * store.discharge_efficiency
            # the level at the end of a slot is for the slots after it
            cost[max(0, first - 1) : end] = SURPRISE_SHARE * spread / (end - first)
        first = end + 1
    some = (extra > 0) & (cost > 0)
    return np.where(some, store.min_kwh + extra, 0.0), np.where(some, cost, 0.0)


def _ahead(errors: Array, refills: Bools, block: int) -> Array:
    """By slot: what errors come to from its end until the next refill."""
    found, squares, within = np.zeros(len(errors)), 0.0, 0.0
    for k in reversed(range(1, len(errors))):
        if refills[k]:
            squares = within = 0.0
        else:
            within += max(0.0, float(errors[k]))
        found[k - 1] = np.sqrt(squares + within**2)
        if k % block == 0:
            squares, within = squares + within**2, 0.0
    return found
