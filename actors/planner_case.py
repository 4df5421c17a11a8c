"""A problem as the data of the model: costs, bounds, and what energy is worth where."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.planner_goals import (
    above_ceiling,
    barred,
    before_departure,
    ceiling_data,
    goal_data,
    goals_of,
    has_ceiling,
    has_goals,
    last_slot_before,
    surcharge_eur_kwh,
)
from actors.planner_model import MONEY_SCALE, Array, Structure
from actors.planner_problem import CarNeed, Grid, Prices, Problem, Store, open_hours
from actors.planner_report import EXPORT_LIMIT_EUR_KWH, IMPORT_LIMIT_FACTOR
from actors.planner_swaps import add_swaps, from_first_swap, waiting_of, wallboxes_of

TINY_KWH = 1e-6
CRUMB_KWH = 1e-4
"""A car that needs less needs nothing."""
TIE_EUR_KWH = 4e-5
"""Costs rise by this much over the horizon: early wins a tie, for less than 0.2 ct in all."""
CHEAP_SHARE = 5e-4
"""A car costs this share of the tariff even where the battery feeds it: of equal slots the cheap
ones, where it is cheap too to be wrong about the load until then."""
BAND_EUR_KWH = 0.03
"""Per slot outside the SoC band: soon back in it, and no trade with what is below it."""
DELAY_SHARE = 0.02
"""Lost per slot of delay once a car is late, of what an unmet kWh costs."""
LATE_SHARE = 0.6
FIXED = 1.25
"""A car whose powers are so near to each other charges for a part of a slot instead of weakly."""
CAR_BONUS_EUR_KWH = 0.001
"""A car without deadline takes energy at its usual cheap price rather than never."""


class Case(NamedTuple):
    """One problem as arrays; `data` are the solver's parameters, changed from solve to solve."""

    problem: Problem
    grid: Grid
    prices: Prices
    surplus: Array
    deadlines: tuple[int | None, ...]
    worth: Array
    """(cars, slots): what one kWh into that car in that slot is worth, EUR."""
    least: Array
    """(cars, slots): kWh below which a car charges nothing, and less than it needs."""
    permitted: NDArray[np.bool_]
    """(cars, slots): whether its energy is worth the tariff there; elsewhere it takes sun (INV-13),
    or what the house battery gives at its minimum power."""
    dear: NDArray[np.bool_]
    """(cars, slots): above its ceiling; permitted all the same, for a departure (INV-24)."""
    end_value: float
    car_end_value: float
    data: dict[str, Array | float]


def structure_of(problem: Problem) -> Structure:
    """What has to be compiled for it."""
    store = problem.store
    inside = store is None or (
        store.min_kwh - TINY_KWH <= store.stored_kwh <= store.max_kwh + TINY_KWH
    )
    return Structure(
        slots=len(problem.load_kw),
        cars=len(problem.cars),
        battery=store is not None,
        soft_band=not inside,
        limits=problem.import_limit_kw is not None or problem.export_limit_kw is not None,
        waiting=waiting_of(problem),
        wallboxes=wallboxes_of(problem),
        goals=has_goals(problem),
        ceilings=any(has_ceiling(car) for car in problem.cars),
    )


def case_of(problem: Problem, grid: Grid, prices: Prices) -> Case:
    """The problem as costs and bounds. Raises nothing: every problem has data."""
    n, hours = len(problem.load_kw), grid.hours
    net = (np.array(problem.load_kw) - np.array(problem.pv_kw)) * hours
    surplus, sell = np.maximum(-net, 0.0), prices.sell
    cheap = _marginal(prices, surplus)
    car_end = round(float(np.quantile(cheap, 0.25, method="lower")) + CAR_BONUS_EUR_KWH, 6)
    deadlines = tuple(deadline_of(car, grid) for car in problem.cars)
    tie = _tie(n)
    # in a gap nobody knows whether it pays: only sun, unless a departure asks for more (INV-18)
    usual = np.where(
        prices.gap, np.minimum(car_end, np.minimum(sell, prices.buy) + CAR_BONUS_EUR_KWH), car_end
    )
    worth = np.array(
        [
            _worth(car, last, problem.unmet_eur_kwh, usual)
            for car, last in zip(problem.cars, deadlines, strict=True)
        ]
    ).reshape(len(problem.cars), n)
    for k, car in enumerate(problem.cars):
        worth[k, 0] += problem.cars_offset_eur_kwh * car.efficiency
    above = above_ceiling(problem, prices)
    dear = above & before_departure(deadlines, n)
    permitted = (worth >= prices.buy) & (dear | ~above)
    zero = np.zeros(n)
    draws, least = _draws(problem, grid)
    data = _grid_data(net, prices, surplus)
    cars_max, feeds = zero, problem.store is None or problem.store.feeds_cars
    dearer = CHEAP_SHARE * prices.buy
    for k, car in enumerate(problem.cars):
        most = from_first_swap(problem, car, car.max_kw * open_hours(car, grid))
        fed = draws[k] if feeds else zero
        most = np.where(permitted[k], most, np.minimum(most, np.maximum(surplus, fed)))
        cars_max = cars_max + most
        data |= {
            f"car{k}_cost": MONEY_SCALE * (_early(k, tie) + dearer - worth[k]),
            f"car{k}_min": zero,
            f"car{k}_max": most,
            f"car{k}_beyond": _beyond(surplus, draws[k]),
            f"car{k}_need": car.need_kwh if car.need_kwh > CRUMB_KWH else 0.0,
        }
    end = _add_store(data, problem, grid, prices, cars_max if feeds else zero)
    _add_limits(data, problem, hours, surplus)
    add_swaps(data, problem)
    if has_goals(problem):
        data |= goal_data(goals_of(problem, grid, prices, end))
    if any(has_ceiling(car) for car in problem.cars):
        surcharge = surcharge_eur_kwh(problem.unmet_eur_kwh, prices)
        data |= ceiling_data(dear, _beyond(surplus, draws), surplus, surcharge)
    return Case(
        problem, grid, prices, surplus, deadlines, worth, least, permitted, dear, end, car_end, data
    )


def _grid_data(net: Array, prices: Prices, surplus: Array) -> dict[str, Array | float]:
    zero = np.zeros(len(net))
    return {
        "net_load": net,
        "grid_import_cost": MONEY_SCALE * prices.buy,
        "grid_import_min": zero,
        "grid_import_max": np.full(len(net), 1e6),
        "grid_export_cost": -MONEY_SCALE * prices.sell + 1e-3,
        "grid_export_min": zero,
        "grid_export_max": surplus,
    }


def _draws(problem: Problem, grid: Grid) -> tuple[Array, Array]:
    """(cars, slots): kWh at its minimum power; and below which it charges nothing."""
    draws = np.array(
        [
            np.minimum(min(car.min_kw, car.max_kw) * open_hours(car, grid), car.need_kwh)
            for car in problem.cars
        ]
    ).reshape(len(problem.cars), len(problem.load_kw))
    fixed = np.array([car.max_kw < FIXED * car.min_kw for car in problem.cars], dtype=bool)
    return draws, np.where(fixed[:, None], 0.0, draws)


def _add_store(
    data: dict[str, Array | float], problem: Problem, grid: Grid, prices: Prices, cars_max: Array
) -> float:
    """The battery's bounds: no grid charging where that is not wanted, never into the grid.

    Gives what energy that is stored at the end is worth.
    """
    store, hours, net = problem.store, grid.hours, np.asarray(data["net_load"])
    if store is None:
        return 0.0
    end_value = _end_value(store, prices, _marginal(prices, np.maximum(-net, 0.0)))
    n = len(hours)
    tie = _tie(n)
    zero, into, out_of = np.zeros(n), np.zeros(n), np.zeros(n)
    into[0] = problem.battery_offset_eur_kwh * store.charge_efficiency
    out_of[0] = problem.battery_offset_eur_kwh / store.discharge_efficiency
    charge = store.charge_kw * hours
    soft = not store.min_kwh - TINY_KWH <= store.stored_kwh <= store.max_kwh + TINY_KWH
    start, value = zero.copy(), zero.copy()
    start[0] = store.stored_kwh if soft else np.clip(store.stored_kwh, store.min_kwh, store.max_kwh)
    value[-1] = -MONEY_SCALE * end_value
    data |= {
        "charge_cost": MONEY_SCALE * (tie - into),
        "charge_min": zero,
        "charge_max": np.where(
            barred(store, prices), np.minimum(charge, np.maximum(-net, 0.0)), charge
        ),
        "discharge_cost": MONEY_SCALE * (store.wear_eur_kwh + 0.9 * tie + out_of),
        "discharge_min": zero,
        "discharge_max": np.minimum(store.discharge_kw * hours, np.maximum(net + cars_max, 0.0)),
        "stored_cost": value,
        "stored_min": zero if soft else np.full(n, store.min_kwh),
        "stored_max": np.full(
            n, max(store.capacity_kwh, store.stored_kwh) if soft else store.max_kwh
        ),
        "start": start,
        "into": store.charge_efficiency,
        "out_of": 1 / store.discharge_efficiency,
        "band_min": store.min_kwh,
        "band_max": store.max_kwh,
        "below_cost": np.full(n, MONEY_SCALE * BAND_EUR_KWH),
        "below_min": zero,
        "above_cost": np.full(n, MONEY_SCALE * BAND_EUR_KWH),
        "above_min": zero,
    }
    return end_value


def _early(k: int, tie: Array) -> Array:
    """Early counts more for cars than for the battery, and for each car more than for the last."""
    return (1.2 + 0.1 * k) * tie


def _beyond(surplus: Array, least: Array) -> Array:
    """The share of a car's power that a sun below its minimum power leaves to grid and battery."""
    sunny = surplus > TINY_KWH
    return np.where(sunny, np.maximum(0.0, 1.0 - surplus / np.maximum(least, TINY_KWH)), 0.0)


def _tie(n: int) -> Array:
    """EUR per kWh by slot: later costs a little more."""
    return np.linspace(0.0, TIE_EUR_KWH, n)


def _add_limits(
    data: dict[str, Array | float], problem: Problem, hours: Array, surplus: Array
) -> None:
    """Grid limits: up to them at the price, beyond them at a penalty as well."""
    most_in, most_out = problem.import_limit_kw, problem.export_limit_kw
    if most_in is not None:
        data["grid_import_max"] = most_in * hours
    if most_out is not None:
        data["grid_export_max"] = np.minimum(surplus, most_out * hours)
    penalty = IMPORT_LIMIT_FACTOR * problem.unmet_eur_kwh
    data |= {
        "import_over_cost": np.asarray(data["grid_import_cost"]) + MONEY_SCALE * penalty,
        "import_over_min": np.zeros(len(hours)),
        "export_over_cost": np.asarray(data["grid_export_cost"])
        + MONEY_SCALE * EXPORT_LIMIT_EUR_KWH,
        "export_over_min": np.zeros(len(hours)),
        "export_over_max": surplus - np.asarray(data["grid_export_max"])
        if most_out is not None
        else np.zeros(len(hours)),
    }


def _marginal(prices: Prices, surplus: Array) -> Array:
    """What one more kWh costs in each slot: the feed-in it forgoes under sun, else the tariff."""
    return np.where(surplus > TINY_KWH, np.minimum(prices.sell, prices.buy), prices.buy)


def _end_value(store: Store, prices: Prices, marginal: Array) -> float:
    """EUR per kWh still stored at the end: what it will save, at most what replacing it costs.

    Taken from the last 24 hours of the horizon. Use: their mean price through the battery, less
    wear. Replacement: their cheapest quarter, the feed-in forgone where the sun does it. Slightly
    below use, so that a flat tariff serves the house; slightly above replacement, so that the last
    sun is kept.
    """
    day = slice(-96, None)
    use = store.discharge_efficiency * float(prices.buy[day].mean()) - store.wear_eur_kwh
    replace = float(np.quantile(marginal[day], 0.25, method="lower")) / store.charge_efficiency
    return round(max(0.001, min(0.98 * use, 1.05 * replace)), 6)


def deadline_of(car: CarNeed, grid: Grid) -> int | None:
    """The last slot that counts for its departure; None: none, past, or beyond the horizon."""
    return None if car.departure is None else last_slot_before(car.departure, grid)


def _worth(car: CarNeed, last: int | None, unmet_eur_kwh: float, usual: Array) -> Array:
    """EUR per kWh by slot: unmet until the departure, then less the later; else the usual price."""
    slots = np.arange(len(usual), dtype=float)
    if car.asap:
        return np.maximum(unmet_eur_kwh * (1 - DELAY_SHARE * slots), usual)
    if last is None:
        return usual
    late = unmet_eur_kwh * (LATE_SHARE - DELAY_SHARE * (slots - last))
    return np.where(slots <= last, max(unmet_eur_kwh, usual.max()), np.maximum(late, usual))
