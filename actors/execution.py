"""From the solver's energies to what evcc can do: a mode for the battery and each car per slot.

Load and sun will differ from the forecast, so a slot gets the mode whose *rule* is right for it,
given what stored energy is worth, not the mode nearest to a power (design §6).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from actors.planner_battery import (
    BATTERY_BY_RULE,
    BATTERY_NOT_FOR_CARS,
    GRID_SHARE,
    NO_BATTERY,
    TINY_KW,
    BatteryPart,
    BatterySlots,
    battery_part,
)
from actors.planner_goals import has_ceiling
from actors.planner_model import Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem, open_hours
from actors.planner_stays import Stay, stays_of, why_not_there
from engine.values import BatteryMode, ChargeMode, PlanCar, PlanSlot, Why

NEAR_FULL = 0.6
PRICE_EUR_KWH = 1e-4
SHORTFALL_KWH = 0.01
NO_GRID_EUR_KWH = -1e3
"""What a kWh may cost where the rules chose a slot for its sun alone (INV-17)."""


class Flows(NamedTuple):
    """A solution per slot: kWh on the AC side, `stored_kwh` at slot ends, values in EUR/kWh."""

    charge_kwh: Array
    discharge_kwh: Array
    stored_kwh: Array
    stored_value: Array | None
    """None: nobody asked what energy is worth (rules)."""
    cars_kwh: Array
    cars_value: Array
    """(cars, slots): what a kWh may cost at most, so that the car takes it in that slot."""
    deadlines: tuple[int | None, ...]
    end_value: float
    car_end_value: float
    rung: str
    gap_eur: float | None = None
    """How much cheaper any plan could be; None: nobody knows (rules)."""


class _Table(NamedTuple):
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


def _table(problem: Problem, grid: Grid, flows: Flows) -> _Table:
    """Mean powers (kW). The grid's is what balances the rounded others."""
    charge, discharge = flows.charge_kwh / grid.hours, flows.discharge_kwh / grid.hours
    charge, discharge = np.round(charge, 6) + 0.0, np.round(discharge, 6) + 0.0
    cars = np.round(flows.cars_kwh / grid.hours, 6) + 0.0
    load, pv = np.round(np.array(problem.load_kw), 6), np.round(np.array(problem.pv_kw), 6)
    net = np.round(load + charge + cars.sum(axis=0) - pv - discharge, 6)
    store = problem.store
    soc = value = None
    if store is not None:
        soc = np.round(100 * flows.stored_kwh / store.capacity_kwh, 6).tolist()
    if store is not None and flows.stored_value is not None:
        value = np.round(flows.stored_value, 6).tolist()
    return _Table(
        load=load.tolist(),
        pv=pv.tolist(),
        charge=charge.tolist(),
        discharge=discharge.tolist(),
        imports=np.maximum(net, 0.0).tolist(),
        exports=(np.maximum(-net, 0.0) + 0.0).tolist(),
        cars=cars.tolist(),
        soc=soc,
        value=value,
    )


def car_rule(
    car: CarNeed,
    *,
    charge_kw: float,
    from_grid_kw: float,
    from_battery_kw: float,
    price: float,
    worth: float,
    hurry: bool,
    due: bool = False,
) -> ChargeMode:
    """A car's mode in a slot; `pv` is also "not now" (design §7).

    Permission for the grid (`now`, `minpv`) only where the car's energy is worth this slot's price:
    a slot that charges for the sun's sake never gives it (INV-13). The house battery alone feeds a
    car in `minpv`, which evcc holds at the minimum current; less than that only where it is `due`
    before a departure: there the block ends at its limit.
    """
    if charge_kw <= TINY_KW:
        return ChargeMode.PV
    if hurry:
        return ChargeMode.NOW
    permitted = worth >= price - PRICE_EUR_KWH
    if permitted and price < 0:
        return ChargeMode.NOW  # sun that it leaves for later still earns the feed-in
    if from_grid_kw <= GRID_SHARE * charge_kw:
        fed = from_battery_kw > GRID_SHARE * charge_kw
        enough = permitted or due or charge_kw >= 0.95 * car.min_kw
        return ChargeMode.MINPV if fed and enough else ChargeMode.PV
    if not permitted:
        return ChargeMode.PV
    near_full = charge_kw >= NEAR_FULL * car.max_kw
    partly = from_grid_kw < 0.5 * charge_kw or charge_kw <= 1.1 * car.min_kw
    return ChargeMode.MINPV if partly and not near_full else ChargeMode.NOW


def _hurries(car: CarNeed, grid: Grid, row: list[float], last: int | None) -> list[bool]:
    """Per slot: the deadline leaves no choice (or the car is to be charged at once)."""
    n = len(row)
    if car.asap:
        return [True] * n
    if last is None:
        return [False] * n
    hours, opened = grid.hours.tolist(), open_hours(car, grid).tolist()
    before = [power if k <= last else 0.0 for k, power in enumerate(row)]
    flags, need, time_h = [], 0.0, 0.0
    for k in reversed(range(n)):
        need += before[k] * hours[k]
        time_h += opened[k] if k <= last else 0.0
        # what is still to come before the departure needs the whole time until then
        flags.append(k <= last and need > 0 and need >= car.max_kw * (time_h - 0.05) * 0.98)
    return [flag or (k > last and row[k] > 0) for k, flag in enumerate(reversed(flags))]


CAR_DONE = Why("car_done")
CAR_FROM_BATTERY = Why("car_from_battery")
CAR_SUN = Why("car_sun")
CAR_TAKES_SUN_ONLY = Why("car_takes_sun_only")


def _battery_part(
    problem: Problem, grid: Grid, flows: Flows, table: _Table, buy: Array
) -> BatteryPart:
    store, n = problem.store, len(grid.starts)
    if store is None:
        return BatteryPart([None] * n, [NO_BATTERY] * n)
    cars = np.array(table.cars).reshape(-1, n).sum(axis=0)
    missing = np.array(table.load) + cars - np.array(table.pv)
    if flows.stored_value is None:
        held = ((cars > TINY_KW) & (missing > TINY_KW) & (not store.feeds_cars)).tolist()
        return BatteryPart(
            [BatteryMode.HOLD if one else BatteryMode.NORMAL for one in held],
            [BATTERY_NOT_FOR_CARS if one else BATTERY_BY_RULE for one in held],
        )
    before = np.concatenate([[store.stored_kwh], flows.stored_kwh[:-1]])
    slots = BatterySlots(
        hours=grid.hours,
        charge_kw=np.array(table.charge),
        discharge_kw=np.array(table.discharge),
        missing_kw=missing,
        available_kw=(before - store.min_kwh) * store.discharge_efficiency / grid.hours,
        room_kw=(store.max_kwh - before) / store.charge_efficiency / grid.hours,
        price=buy,
        value=flows.stored_value,
        cars_kw=cars,
    )
    return battery_part(store, slots, problem.battery_before)


class _CarPlan(NamedTuple):
    """What the slots of one car need, worked out once per plan."""

    car: CarNeed
    row: list[float]
    soc: list[float | None]
    worth: list[float]
    hurry: list[bool]
    following: list[int | None]
    """Per slot: the next slot in which it charges."""
    done_from: int
    """The first slot before which it has got all that it needs."""
    by_rule: bool
    last: int
    """The last slot before its departure; -1 without one."""
    stay: Stay | None = None
    """Its time at a wallbox that several cars share."""


def _car_plan(car: CarNeed, number: int, grid: Grid, flows: Flows, row: list[float]) -> _CarPlan:
    soc: list[float | None] = [None] * len(row)
    charged = np.cumsum(np.array(row) * grid.hours)
    if car.soc_pct is not None and car.capacity_kwh:
        soc = np.round(car.soc_pct + 100 * car.efficiency * charged / car.capacity_kwh, 6).tolist()
    done_from = 0
    if car.need_kwh >= SHORTFALL_KWH:
        done_from = 1 + int(np.searchsorted(charged, car.need_kwh - SHORTFALL_KWH))
    following: list[int | None] = [None] * len(row)
    ahead: int | None = None
    for k in reversed(range(len(row))):
        following[k] = ahead
        if row[k] > TINY_KW:
            ahead = k
    hurry = _hurries(car, grid, row, flows.deadlines[number])
    worths = np.round(flows.cars_value[number], 4).tolist()
    hurry = [one and worth > NO_GRID_EUR_KWH for one, worth in zip(hurry, worths, strict=True)]
    by_rule, last = flows.rung == "rules", flows.deadlines[number]
    last = -1 if last is None else last
    return _CarPlan(car, row, soc, worths, hurry, following, done_from, by_rule, last)


def _idle_why(
    plan: _CarPlan, k: int, table: _Table, buy: list[float], starts: Mapping[int, str]
) -> Why:
    """Why a car does not charge in a slot; `limit_eur_kwh`: below this price it would."""
    following = plan.following[k]
    if plan.stay is not None and (swap := why_not_there(plan.stay, k)) is not None:
        return swap
    limit = (("price_eur_kwh", buy[k]), ("limit_eur_kwh", plan.worth[k]))
    if following is not None and plan.by_rule:
        return Why("car_waits_by_rule", (("next_at", starts[following]),))
    if following is not None and table.imports[following] <= GRID_SHARE * plan.row[following]:
        sunny = table.pv[following] - table.load[following] > GRID_SHARE * plan.row[following]
        code = "car_waits_for_sun" if sunny else "car_waits_for_battery"
        return Why(code, (*limit, ("next_at", starts[following])))
    if following is not None:
        next_numbers = (
            ("next_at", starts[following]),
            ("next_price_eur_kwh", buy[following]),
        )
        return Why("car_waits", (*limit, *next_numbers))
    if k >= plan.done_from:
        return CAR_DONE
    return CAR_TAKES_SUN_ONLY if plan.by_rule else Why("car_waits_for_sun", limit)


def _charging_why(plan: _CarPlan, mode: ChargeMode, k: int, table: _Table, price: float) -> Why:
    if mode is ChargeMode.PV:
        return CAR_SUN
    numbers = (("price_eur_kwh", price),)
    grid = table.imports[k] > GRID_SHARE * plan.row[k]
    if grid and (above := _above_ceiling_why(plan.car, price)) is not None:
        return above
    if mode is ChargeMode.MINPV and table.imports[k] <= GRID_SHARE * plan.row[k]:
        return CAR_FROM_BATTERY
    if mode is ChargeMode.MINPV and table.pv[k] - table.load[k] > GRID_SHARE * plan.row[k]:
        return Why("car_sun_and_grid", numbers)
    if price < 0:
        return Why("car_negative_price", numbers)
    return _now_why(plan, k, numbers)


def _above_ceiling_why(car: CarNeed, price: float) -> Why | None:
    """The exception that a ceiling has: the departure would be missed otherwise (INV-24)."""
    ceiling, departure = car.max_eur_kwh, car.departure
    if ceiling is None or departure is None or not has_ceiling(car) or price <= ceiling:
        return None
    numbers = (("price_eur_kwh", price), ("ceiling_eur_kwh", ceiling))
    return Why("car_above_ceiling", (*numbers, ("departure_at", departure.isoformat())))


def _now_why(plan: _CarPlan, k: int, numbers: tuple[tuple[str, float], ...]) -> Why:
    """Why the grid: its price, or a departure that leaves no choice."""
    departure = plan.car.departure
    if plan.hurry[k] and departure is None:
        return Why("car_at_once")
    if departure is not None and (plan.hurry[k] or plan.by_rule):
        return Why("car_deadline", (("departure_at", departure.isoformat()),))
    return Why("car_cheap", numbers)


def _car_slots(plan: _CarPlan, table: _Table, buy: list[float], grid: Grid) -> list[PlanCar]:
    car, imports = plan.car, table.imports
    starts = {k: grid.starts[k].isoformat() for k in set(plan.following) if k is not None}
    slots: list[PlanCar] = []
    for k, power in enumerate(plan.row):
        if power <= TINY_KW:
            mode, why = ChargeMode.PV, _idle_why(plan, k, table, buy, starts)
            if why is CAR_DONE and slots and slots[-1].why is CAR_DONE:
                slots.append(slots[-1])
                continue
        else:
            mode = car_rule(
                car,
                charge_kw=power,
                from_grid_kw=min(power, imports[k]),
                from_battery_kw=table.discharge[k] - max(0.0, table.load[k] - table.pv[k]),
                price=buy[k],
                worth=plan.worth[k],
                hurry=plan.hurry[k],
                due=k <= plan.last,
            )
            why = _charging_why(plan, mode, k, table, buy[k])
        slots.append(PlanCar(car.vehicle, car.loadpoint, power, plan.soc[k], mode, why))
    return slots


def slots_of(problem: Problem, grid: Grid, prices: Prices, flows: Flows) -> tuple[PlanSlot, ...]:
    """The plan's slots: what the solver chose, the modes that carry it out, and why."""
    table, n = _table(problem, grid, flows), len(grid.starts)
    buy = prices.buy.tolist()
    battery = _battery_part(problem, grid, flows, table, prices.buy)
    stays = stays_of(problem, grid, table.cars)
    plans = [
        _car_plan(car, k, grid, flows, table.cars[k])._replace(stay=stays.get(k))
        for k, car in enumerate(problem.cars)
    ]
    cars = [_car_slots(plan, table, buy, grid) for plan in plans]
    unknown: list[float | None] = [None] * n
    columns = (  # in the order of PlanSlot's fields, which is several times faster than by name
        grid.starts,
        np.round(grid.hours * 3600, 3).tolist(),
        buy,
        prices.sell.tolist(),
        prices.assumed,
        table.load,
        table.pv,
        table.imports,
        table.exports,
        table.charge,
        table.discharge,
        table.soc or unknown,
        battery.modes,
        table.value or unknown,
        list(zip(*cars, strict=True)) if cars else [()] * n,
        battery.whys,
    )
    return tuple(PlanSlot(*fields) for fields in zip(*columns, strict=True))
