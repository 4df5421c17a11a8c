"""From the solver's energies to what evcc can do: a mode for the battery and each car per slot.

Load and sun will differ from the forecast, so a slot gets the mode whose *rule* is right for it,
given what stored energy is worth, not the mode nearest to a power (design §6).
"""

from typing import NamedTuple

import numpy as np

from actors.planner_model import Array
from actors.planner_problem import CarNeed, Grid, Prices, Problem, Store
from engine.values import BatteryMode, ChargeMode, PlanCar, PlanSlot, Why

TINY_KW = 1e-3
GRID_SHARE = 0.1
"""Less than this share of a charging power from the grid is noise of the forecast."""
NEAR_FULL = 0.6
SERVES = 0.5
"""The battery serves a slot in which it gives at least this share of what it could."""
PRICE_EUR_KWH = 1e-4
SHORTFALL_KWH = 0.01


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


def at_reserve(store: Store, missing_kw: float, available_kw: float) -> bool:
    """Whether serving would go on below the reserve floor, which the inverter may not know."""
    return missing_kw > TINY_KW and available_kw < SERVES * min(missing_kw, store.discharge_kw)


def battery_rule(
    store: Store,
    *,
    charge_kw: float,
    discharge_kw: float,
    missing_kw: float,
    available_kw: float,
    room_kw: float,
) -> BatteryMode:
    """The battery's mode in a slot: NORMAL serves the house and takes the sun, by itself.

    `missing_kw`: what house and cars lack without the battery, negative where sun is left;
    `available_kw` and `room_kw`: what it could give and take in this slot. CHARGE only where the
    plan really buys for it (INV-13), HOLD only where it keeps what it could give, or leaves sun
    that it could take and `hold` keeps it from taking it.
    """
    if not store.controllable:
        return BatteryMode.NORMAL
    spare_kw = max(0.0, -missing_kw)
    if store.grid_charging and charge_kw - spare_kw > GRID_SHARE * store.charge_kw:
        return BatteryMode.CHARGE
    if at_reserve(store, missing_kw, available_kw):
        return BatteryMode.HOLD
    could_give = min(missing_kw, available_kw, store.discharge_kw)
    if could_give > TINY_KW and discharge_kw < SERVES * could_give:
        return BatteryMode.HOLD
    could_take = min(spare_kw, room_kw, store.charge_kw)
    if not store.hold_charges_from_pv and could_take > TINY_KW and charge_kw < SERVES * could_take:
        return BatteryMode.HOLD
    return BatteryMode.NORMAL


def car_rule(
    car: CarNeed,
    *,
    charge_kw: float,
    from_grid_kw: float,
    from_battery_kw: float,
    price: float,
    worth: float,
    hurry: bool,
) -> ChargeMode:
    """A car's mode in a slot; `pv` is also "not now" (design §7).

    Permission for the grid (`now`, `minpv`) only where the car's energy is worth this slot's price:
    a slot that charges for the sun's sake never gives it (INV-13). The house battery alone feeds a
    car in `minpv`, which evcc holds at the minimum current.
    """
    if charge_kw <= TINY_KW:
        return ChargeMode.PV
    if hurry:
        return ChargeMode.NOW
    permitted = worth >= price - PRICE_EUR_KWH
    if from_grid_kw <= GRID_SHARE * charge_kw:
        fed = from_battery_kw > GRID_SHARE * charge_kw
        enough = permitted or charge_kw >= 0.95 * car.min_kw
        return ChargeMode.MINPV if fed and enough else ChargeMode.PV
    if not permitted:
        return ChargeMode.PV
    near_full = charge_kw >= NEAR_FULL * car.max_kw or price < 0
    partly = from_grid_kw < 0.5 * charge_kw or charge_kw <= 1.1 * car.min_kw
    return ChargeMode.MINPV if partly and not near_full else ChargeMode.NOW


def _hurries(car: CarNeed, grid: Grid, row: list[float], last: int | None) -> list[bool]:
    """Per slot: the deadline leaves no choice (or the car is to be charged at once)."""
    n = len(row)
    if car.asap:
        return [True] * n
    if last is None:
        return [False] * n
    hours = grid.hours.tolist()
    before = [power if k <= last else 0.0 for k, power in enumerate(row)]
    flags, need, time_h = [], 0.0, 0.0
    for k in reversed(range(n)):
        need += before[k] * hours[k]
        time_h += hours[k] if k <= last else 0.0
        # what is still to come before the departure needs the whole time until then
        flags.append(k <= last and need > 0 and need >= car.max_kw * (time_h - 0.05) * 0.98)
    return [flag or (k > last and row[k] > 0) for k, flag in enumerate(reversed(flags))]


NO_BATTERY = Why("no_battery")
BATTERY_WAITS = Why("battery_waits")
BATTERY_RESERVE = Why("battery_reserve")
BATTERY_BY_RULE = Why("battery_serves_by_rule")
CAR_DONE = Why("car_done")
CAR_FROM_BATTERY = Why("car_from_battery")
CAR_SUN = Why("car_sun")
CAR_TAKES_SUN_ONLY = Why("car_takes_sun_only")


def _battery_why(mode: BatteryMode, table: _Table, k: int, price: float, value: float) -> Why:
    """Why this mode: `price_eur_kwh` is the tariff, `value_eur_kwh` what stored energy is worth."""
    if mode is BatteryMode.CHARGE:
        code = "battery_buys"
    elif mode is BatteryMode.HOLD:
        code = "battery_keeps"
    elif table.charge[k] > TINY_KW:
        return Why("battery_takes_sun", (("value_eur_kwh", value),))
    elif table.discharge[k] > TINY_KW:
        code = "battery_serves"
    else:
        return BATTERY_WAITS
    return Why(code, (("price_eur_kwh", price), ("value_eur_kwh", value)))


class _Battery(NamedTuple):
    """The battery's part of every slot."""

    modes: list[BatteryMode | None]
    whys: list[Why]


def _battery_part(
    problem: Problem, grid: Grid, flows: Flows, table: _Table, buy: list[float]
) -> _Battery:
    store, n = problem.store, len(grid.starts)
    if store is None:
        return _Battery([None] * n, [NO_BATTERY] * n)
    if flows.stored_value is None:
        return _Battery([BatteryMode.NORMAL] * n, [BATTERY_BY_RULE] * n)
    lack = np.array(table.load) + np.array(table.cars).reshape(-1, n).sum(axis=0)
    lack = lack - np.array(table.pv)
    before = np.concatenate([[store.stored_kwh], flows.stored_kwh[:-1]])
    available = (before - store.min_kwh) * store.discharge_efficiency / grid.hours
    room = (store.max_kwh - before) / store.charge_efficiency / grid.hours
    values = np.round(flows.stored_value, 4).tolist()
    modes: list[BatteryMode | None] = []
    whys = []
    for k, (missing, give, take) in enumerate(
        zip(lack.tolist(), available.tolist(), room.tolist(), strict=True)
    ):
        mode = battery_rule(
            store,
            charge_kw=table.charge[k],
            discharge_kw=table.discharge[k],
            missing_kw=missing,
            available_kw=give,
            room_kw=take,
        )
        modes.append(mode)
        if mode is BatteryMode.HOLD and at_reserve(store, missing, give):
            whys.append(BATTERY_RESERVE)
        else:
            whys.append(_battery_why(mode, table, k, buy[k], values[k]))
    return _Battery(modes, whys)


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
    by_rule = flows.rung == "rules"
    return _CarPlan(car, row, soc, worths, hurry, following, done_from, by_rule)


def _idle_why(plan: _CarPlan, k: int, table: _Table, buy: list[float], starts: list[str]) -> Why:
    """Why a car does not charge in a slot; `limit_eur_kwh`: below this price it would."""
    following = plan.following[k]
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
    if mode is ChargeMode.MINPV and table.imports[k] <= GRID_SHARE * plan.row[k]:
        return CAR_FROM_BATTERY
    if mode is ChargeMode.MINPV and table.pv[k] - table.load[k] > GRID_SHARE * plan.row[k]:
        return Why("car_sun_and_grid", numbers)
    if price < 0:
        return Why("car_negative_price", numbers)
    return _now_why(plan, k, numbers)


def _now_why(plan: _CarPlan, k: int, numbers: tuple[tuple[str, float], ...]) -> Why:
    """Why the grid: its price, or a departure that leaves no choice."""
    departure = plan.car.departure
    if plan.hurry[k] and departure is None:
        return Why("car_at_once")
    if departure is not None and (plan.hurry[k] or plan.by_rule):
        return Why("car_deadline", (("departure_at", departure.isoformat()),))
    return Why("car_cheap", numbers)


def _car_slots(plan: _CarPlan, table: _Table, buy: list[float], starts: list[str]) -> list[PlanCar]:
    car, imports = plan.car, table.imports
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
            )
            why = _charging_why(plan, mode, k, table, buy[k])
        slots.append(PlanCar(car.vehicle, car.loadpoint, power, plan.soc[k], mode, why))
    return slots


def slots_of(problem: Problem, grid: Grid, prices: Prices, flows: Flows) -> tuple[PlanSlot, ...]:
    """The plan's slots: what the solver chose, the modes that carry it out, and why."""
    table, n = _table(problem, grid, flows), len(grid.starts)
    buy, sell = prices.buy.tolist(), prices.sell.tolist()
    seconds = np.round(grid.hours * 3600, 3).tolist()
    battery = _battery_part(problem, grid, flows, table, buy)
    texts = [start.isoformat() for start in grid.starts]
    cars = [
        _car_slots(_car_plan(car, k, grid, flows, table.cars[k]), table, buy, texts)
        for k, car in enumerate(problem.cars)
    ]
    by_slot = list(zip(*cars, strict=True)) if cars else [()] * n
    unknown: list[float | None] = [None] * n
    soc, value = table.soc or unknown, table.value or unknown
    return tuple(
        PlanSlot(
            start=start,
            duration_s=seconds[k],
            import_eur_kwh=buy[k],
            export_eur_kwh=sell[k],
            assumed_price=prices.assumed[k],
            load_kw=table.load[k],
            pv_kw=table.pv[k],
            grid_import_kw=table.imports[k],
            grid_export_kw=table.exports[k],
            battery_charge_kw=table.charge[k],
            battery_discharge_kw=table.discharge[k],
            battery_soc_pct=soc[k],
            battery_mode=battery.modes[k],
            battery_value_eur_kwh=value[k],
            cars=by_slot[k],
            why=battery.whys[k],
        )
        for k, start in enumerate(grid.starts)
    )
