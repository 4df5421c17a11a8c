"""From the solver's energies to what evcc can do: a mode for the battery and each car per slot.

Load and sun will differ from the forecast, so a slot gets the mode whose *rule* is right for it,
given what stored energy is worth, not the mode nearest to a power (design §6).
"""

from typing import NamedTuple

import numpy as np

from actors.plan_reasons import (
    CAR_DONE,
    FULL,
    GRID_SHARE,
    PRICE_EUR_KWH,
    SHORTFALL_KWH,
    TINY_KW,
    CarPlan,
    Market,
    Other,
    Table,
    charging_why,
    freely,
    idle_why,
    in_first_slot,
    market_of,
    offers_of,
)
from actors.planner_battery import (
    BATTERY_BY_RULE,
    BATTERY_NOT_FOR_CARS,
    NO_BATTERY,
    BatteryPart,
    BatterySlots,
    battery_part,
)
from actors.planner_model import Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem, open_hours
from actors.planner_stays import stays_of
from engine.values import BatteryMode, ChargeMode, PlanCar, PlanSlot

NEAR_FULL = 0.6
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
    other: Other = Other()
    """What the other action in the first slot would cost."""


class _Found(NamedTuple):
    """A solution, and the same as the plan's columns."""

    flows: Flows
    table: Table


def _table(problem: Problem, grid: Grid, flows: Flows) -> Table:
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
    return Table(
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


def _battery_part(
    problem: Problem, grid: Grid, flows: Flows, table: Table, market: Market
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
        price=np.array(market.buy),
        value=flows.stored_value,
        import_kw=np.array(table.imports),
        cars_kw=cars,
    )
    return battery_part(store, slots, problem.battery_before, market, flows.other)


def _car_plan(number: int, problem: Problem, day: tuple[Grid, Prices], of: _Found) -> CarPlan:
    (grid, prices), (flows, table), car = day, of, problem.cars[number]
    row = table.cars[number]
    powers = np.array(row)
    soc: list[float | None] = [None] * len(row)
    charged = np.cumsum(powers * grid.hours)
    if car.soc_pct is not None and car.capacity_kwh:
        soc = np.round(car.soc_pct + 100 * car.efficiency * charged / car.capacity_kwh, 6).tolist()
    needs, done_from = car.need_kwh >= SHORTFALL_KWH, 0
    if needs:
        done_from = 1 + int(np.searchsorted(charged, car.need_kwh - SHORTFALL_KWH))
    following: list[int | None] = [None] * len(row)
    next_at, ahead, at = [""] * len(row), None, ""
    for k in reversed(range(len(row))):
        following[k], next_at[k] = ahead, at
        if row[k] > TINY_KW:
            ahead, at = k, grid.starts[k].isoformat()
    worths = np.round(flows.cars_value[number], 4)
    last = flows.deadlines[number]
    full = prices.buy[(powers >= FULL * car.max_kw) & (powers > TINY_KW)]
    most, other = flows.car_end_value, flows.other.cars_eur
    if last is not None:
        most = freely(car, grid, prices, offers_of(table, row, problem.import_limit_kw), most)
    hurries = _hurries(car, grid, row, last)
    return CarPlan(
        car=car,
        row=row,
        soc=soc,
        worth=worths.tolist(),
        hurry=[one and worth > NO_GRID_EUR_KWH for one, worth in zip(hurries, worths, strict=True)],
        following=following,
        next_at=next_at,
        waiting_saves=np.round(prices.buy - worths, 4).tolist(),
        done_from=done_from,
        by_rule=flows.rung == "rules",
        last=-1 if last is None else last,
        freely=most,
        fullest=float(full.min()) if len(full) else None,
        other_eur=other[number] if needs and other else None,
    )


def _car_slots(plan: CarPlan, table: Table, market: Market) -> list[PlanCar]:
    car, imports, buy = plan.car, table.imports, market.buy
    asked = not plan.by_rule and car.need_kwh >= SHORTFALL_KWH
    slots: list[PlanCar] = []
    for k, power in enumerate(plan.row):
        value = plan.worth[k] if asked else None
        if power <= TINY_KW:
            mode, why = ChargeMode.PV, idle_why(plan, k, table, market)
            before = slots[-1] if slots else None
            same = before is not None and before.value_eur_kwh == value
            if before is not None and same and why is CAR_DONE and before.why is CAR_DONE:
                slots.append(before)
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
            why = charging_why(plan, mode, k, table, market)
        if k == 0:
            why = in_first_slot(why, plan.other_eur)
        slots.append(PlanCar(car.vehicle, car.loadpoint, power, plan.soc[k], mode, why, value))
    return slots


def slots_of(problem: Problem, grid: Grid, prices: Prices, flows: Flows) -> tuple[PlanSlot, ...]:
    """The plan's slots: what the solver chose, the modes that carry it out, and why."""
    table, n = _table(problem, grid, flows), len(grid.starts)
    found = _Found(flows, table)
    market = market_of(problem, grid, prices, flows.stored_value)
    battery = _battery_part(problem, grid, flows, table, market)
    stays = stays_of(problem, grid, table.cars)
    plans = [
        _car_plan(k, problem, (grid, prices), found)._replace(stay=stays.get(k))
        for k in range(len(problem.cars))
    ]
    cars = [_car_slots(plan, table, market) for plan in plans]
    unknown: list[float | None] = [None] * n
    columns = (  # in the order of PlanSlot's fields, which is several times faster than by name
        grid.starts,
        np.round(grid.hours * 3600, 3).tolist(),
        market.buy,
        market.sell,
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
