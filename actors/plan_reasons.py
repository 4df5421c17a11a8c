"""Why a car charges or waits in a slot: the reason that binds, and what doing otherwise would cost.

A saving is stated from the side of what is done, so it is never negative: where the duals say
nothing about the whole action (a minimum power, a block) no figure is given (INV-162). The reason
is the one without which the slot would be another (INV-163): departure, limit, own power, price.
"""

from typing import NamedTuple

import numpy as np

from actors.planner_goals import has_ceiling
from actors.planner_model import Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem, open_hours
from actors.planner_stays import Stay, why_not_there
from engine.values import ChargeMode, Why

TINY_KW = 1e-3
GRID_SHARE = 0.1
"""Less than this share of a charging power from the grid is noise of the forecast."""
SHORTFALL_KWH = 0.01
PRICE_EUR_KWH = 1e-4
"""Prices and values that are nearer than this are the same."""
DEARER_EUR_KWH = 0.01
"""By so much dearer than a cheaper hour that its full power does not suffice for: worth a word."""
FULL = 0.98
"""From this share on a power is the full one."""
Numbers = tuple[tuple[str, float | str], ...]

CAR_DONE = Why("car_done")
CAR_TAKES_SUN_ONLY = Why("car_takes_sun_only")


class Other(NamedTuple):
    """EUR for the whole plan, at least: how much dearer the other action in its first slot is.

    For the directions of the grid decided first, as the certificate. None: it is impossible, or a
    goal or limit would be missed for it. `battery_does` is what the plan does, of which the other
    is the contrary: `buys`, `serves` or `keeps`; empty: none of it.
    """

    battery_does: str = ""
    battery_eur: float | None = None
    cars_eur: tuple[float | None, ...] = ()


class Table(NamedTuple):
    """The plan's columns as rounded plain floats."""

    load: list[float]
    pv: list[float]
    charge: list[float]
    discharge: list[float]
    imports: list[float]
    exports: list[float]
    cars: list[list[float]]
    soc: list[float | None] | None
    value: list[float | None] | None


class Market(NamedTuple):
    """What the slots offer all cars, once per plan."""

    buy: list[float]
    sell: list[float]
    dearest: float
    """A value above this is that of a goal, not of money."""
    limit_kw: float | None
    fed: list[float]
    """What a kWh out of the battery is worth there; endless where nobody knows."""
    into: list[float]
    """What a kWh into it is worth."""


class CarPlan(NamedTuple):
    """What the slots of one car need, worked out once per plan."""

    car: CarNeed
    row: list[float]
    soc: list[float | None]
    worth: list[float]
    hurry: list[bool]
    following: list[int | None]
    """Per slot: the next slot in which it charges."""
    next_at: list[str]
    """When that begins; empty where there is none."""
    waiting_saves: list[float]
    """Per kWh from the grid: by how much its price is above what the car pays."""
    done_from: int
    """The first slot before which it has got all that it needs."""
    by_rule: bool
    last: int
    """The last slot before its departure; -1 without one."""
    freely: float
    """The most that it would pay without its departure, EUR/kWh."""
    fullest: float | None
    """The cheapest price at which it charges at all its power."""
    other_eur: float | None
    """What the other action in the first slot would cost more."""
    stay: Stay | None = None
    """Its time at a wallbox that several cars share."""


def market_of(problem: Problem, grid: Grid, prices: Prices, value: Array | None) -> Market:
    """The prices of a plan; `value`: of a stored kWh, by slot."""
    store = problem.store
    fed, into = np.full(len(grid.starts), np.inf), np.full(len(grid.starts), -np.inf)
    if store is not None and value is not None:
        fed = value / store.discharge_efficiency + store.wear_eur_kwh
        into = value * store.charge_efficiency
    buy = prices.buy.tolist()
    return Market(
        buy=buy,
        sell=prices.sell.tolist(),
        dearest=max(buy) + PRICE_EUR_KWH,
        limit_kw=problem.import_limit_kw,
        fed=fed.tolist(),
        into=into.tolist(),
    )


class Offers(NamedTuple):
    """What the slots have for a car: sun that is left for it, and what the connection lets in."""

    spare_kw: Array
    room_kw: Array


def offers_of(table: Table, row: list[float], limit_kw: float | None) -> Offers:
    """All but what this car takes stands as planned; without batteries in it."""
    powers, load, sun = np.array(row), np.array(table.load), np.array(table.pv)
    spare = np.array(table.exports) + np.clip(powers - np.array(table.imports), 0.0, sun)
    room = np.full(len(row), np.inf) if limit_kw is None else limit_kw - np.maximum(load - sun, 0.0)
    return Offers(spare, np.maximum(room, 0.0))


def freely(car: CarNeed, grid: Grid, prices: Prices, offers: Offers, usual: float) -> float:
    """What the dearest kWh would cost if the car took the cheapest of the whole horizon.

    `usual`: what its energy is worth without a departure.
    """
    most = car.max_kw * open_hours(car, grid)
    sunny = np.minimum(most, offers.spare_kw * grid.hours)
    bought = np.minimum(most - sunny, offers.room_kw * grid.hours)
    costs = np.concatenate([np.minimum(prices.sell, prices.buy), prices.buy])
    order = np.argsort(costs, kind="stable")
    filled = np.cumsum(np.concatenate([sunny, bought])[order])
    at = int(np.searchsorted(filled, car.need_kwh - SHORTFALL_KWH))
    return usual if at >= len(order) else min(usual, float(costs[order[at]]))


def saving(saves_eur_kwh: float, value: float, market: Market) -> Numbers:
    """What is saved per kWh, as a number of a reason; none where the sign or the value say no."""
    if saves_eur_kwh < -PRICE_EUR_KWH or abs(value) > market.dearest:
        return ()
    return (("saves_eur_kwh", round(max(0.0, saves_eur_kwh), 4)),)


def in_first_slot(why: Why, saves_eur: float | None) -> Why:
    """With what the whole plan saves; nothing per kWh where that is nothing, or cannot be said."""
    kept = tuple(one for one in why.numbers if saves_eur or one[0] != "saves_eur_kwh")
    more = () if saves_eur is None else (("saves_eur", saves_eur),)
    return Why(why.code, (*kept, *more)) if more or len(kept) < len(why.numbers) else why


def idle_why(plan: CarPlan, k: int, table: Table, market: Market) -> Why:
    """Why a car does not charge in a slot; `limit_eur_kwh`: below this price it would."""
    following, price, worth = plan.following[k], market.buy[k], plan.worth[k]
    if plan.stay is not None and (swap := why_not_there(plan.stay, k)) is not None:
        return swap
    if plan.by_rule and following is not None:
        return Why("car_waits_by_rule", (("next_at", plan.next_at[k]),))
    if following is None and k >= plan.done_from:
        return CAR_DONE
    if plan.by_rule:
        return CAR_TAKES_SUN_ONLY
    limit: Numbers = (("price_eur_kwh", price),)
    if worth < price - PRICE_EUR_KWH:
        saved = ("saves_eur_kwh", plan.waiting_saves[k])
        limit = (*limit, ("limit_eur_kwh", worth), saved)
    if following is None:
        return Why("car_waits_for_sun", limit)
    return _waiting_why(plan, (k, following), limit, table, market)


def _waiting_why(
    plan: CarPlan, slots: tuple[int, int], limit: Numbers, table: Table, market: Market
) -> Why:
    """Why a car charges later: no room now, sun or battery then, a better price, or no matter."""
    k, following = slots
    price, then = market.buy[k], ("next_at", plan.next_at[k])
    if plan.worth[k] >= price and at_limit(market, table, k, plan.car.min_kw):
        return Why("car_waits_for_room", (("limit_kw", market.limit_kw or 0.0), then))
    if table.imports[following] <= GRID_SHARE * plan.row[following]:
        sunny = table.pv[following] - table.load[following] > GRID_SHARE * plan.row[following]
        return Why("car_waits_for_sun" if sunny else "car_waits_for_battery", (*limit, then))
    if market.buy[following] > price - PRICE_EUR_KWH and len(limit) == 1:
        return Why("car_waits_as_well", (then,))
    return Why("car_waits", (*limit, then, ("next_price_eur_kwh", market.buy[following])))


def at_limit(market: Market, table: Table, k: int, least_kw: float = 0.0) -> bool:
    """Whether the house connection gives no more in that slot: nothing, or less than `least_kw`."""
    limit_kw = market.limit_kw
    return limit_kw is not None and table.imports[k] > limit_kw - max(least_kw, TINY_KW)


def charging_why(plan: CarPlan, mode: ChargeMode, k: int, table: Table, market: Market) -> Why:
    """Why a car charges in a slot; `departure_at` where it would not without its departure."""
    price, worth, power = market.buy[k], plan.worth[k], plan.row[k]
    if plan.by_rule:
        return Why("car_sun") if mode is ChargeMode.PV else _grid_why(plan, k, table, market, ())
    if mode is ChargeMode.PV:
        sold = market.sell[k]
        costs = sold if table.exports[k] > TINY_KW else max(sold, market.into[k])
        return Why("car_sun", (*saving(worth - costs, worth, market), *_leaves(plan, k, costs)))
    numbers: Numbers = (("price_eur_kwh", price),)
    grid = table.imports[k] > GRID_SHARE * power
    if grid and (above := _above_ceiling_why(plan.car, price)) is not None:
        return above
    if mode is ChargeMode.MINPV and table.imports[k] <= GRID_SHARE * power:
        costs = market.fed[k]
        saved = saving(worth - costs, worth, market)
        return Why("car_from_battery", (*numbers, *saved, *_leaves(plan, k, costs)))
    numbers = (*numbers, *saving(worth - price, worth, market))
    sunny = mode is ChargeMode.MINPV and table.pv[k] - table.load[k] > GRID_SHARE * power
    if sunny or price < 0:
        code = "car_sun_and_grid" if sunny else "car_negative_price"
        return Why(code, (*numbers, *_leaves(plan, k, price)))
    return _grid_why(plan, k, table, market, numbers)


def _above_ceiling_why(car: CarNeed, price: float) -> Why | None:
    """The exception that a ceiling has: the departure would be missed otherwise (INV-24)."""
    ceiling, departure = car.max_eur_kwh, car.departure
    if ceiling is None or departure is None or not has_ceiling(car) or price <= ceiling:
        return None
    numbers = (("price_eur_kwh", price), ("ceiling_eur_kwh", ceiling))
    return Why("car_above_ceiling", (*numbers, ("departure_at", departure.isoformat())))


def _leaves(plan: CarPlan, k: int, costs_eur_kwh: float) -> Numbers:
    """Its departure, where that makes it take what it would not pay for otherwise."""
    departure = plan.car.departure
    if departure is None or k > plan.last or costs_eur_kwh <= plan.freely + PRICE_EUR_KWH:
        return ()
    return (("departure_at", departure.isoformat()),)


def _grid_why(plan: CarPlan, k: int, table: Table, market: Market, numbers: Numbers) -> Why:
    """Why the grid: a departure, power or limits that leave no cheaper hours, or its price."""
    departure, price = plan.car.departure, market.buy[k]
    if plan.hurry[k] and departure is None:
        return Why("car_at_once")
    if departure is not None and (plan.hurry[k] or plan.by_rule):
        return Why("car_deadline", (("departure_at", departure.isoformat()),))
    leaves = _leaves(plan, k, price)
    if leaves:
        return Why("car_before_departure", (*numbers, *leaves))
    if plan.fullest is not None and price > plan.fullest + DEARER_EUR_KWH:
        return Why("car_own_power", (*numbers, ("limit_kw", plan.car.max_kw)))
    limited = any(
        power > TINY_KW and cheap < price - DEARER_EUR_KWH and at_limit(market, table, t)
        for t, (power, cheap) in enumerate(zip(plan.row, market.buy, strict=True))
    )
    if limited:
        return Why("car_grid_limit", (*numbers, ("limit_kw", market.limit_kw or 0.0)))
    return Why("car_cheap", numbers)
