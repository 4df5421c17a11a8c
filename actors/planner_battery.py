"""The battery's mode in each slot of a plan, and why: the mode whose *rule* is right (design §6).

Load and sun will differ from the forecast; a mode follows them, a power would not.
"""

from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.plan_reasons import PRICE_EUR_KWH, TINY_KW, Market, Numbers, Other, in_first_slot
from actors.planner_model import Array
from actors.planner_problem import Store
from engine.values import BatteryMode, Why

SERVES = 0.5
"""The battery serves a slot in which it gives at least this share of what it could."""
BUYS_KW = 0.2
"""Less is no reason to charge from the grid."""
CALM_SLOTS = 2
CALM_EUR = 1e-3
"""Runs of so many slots between two of the same mode are bridged where that costs less."""
CODES = (BatteryMode.NORMAL, BatteryMode.HOLD, BatteryMode.CHARGE)
_NORMAL, _HOLD, _CHARGE = range(3)

NO_BATTERY = Why("no_battery")
BATTERY_WAITS = Why("battery_waits")
BATTERY_RESERVE = Why("battery_reserve")
BATTERY_NOT_FOR_CARS = Why("battery_not_for_cars")
BATTERY_FULL = Why("battery_full")
BATTERY_BY_RULE = Why("battery_serves_by_rule")
NO_OTHER = Other()
DOES = {
    "battery_buys": "buys",
    "battery_keeps": "keeps",
    "battery_serves": "serves",
}
"""What a reason says that the battery does: a figure is told only for the same."""

Bools = NDArray[np.bool_]
Codes = NDArray[np.int64]


class BatterySlots(NamedTuple):
    """What a plan knows of the battery, one number per slot.

    `missing_kw`: what house and cars lack without the battery, negative where sun is left;
    `available_kw` and `room_kw`: what it could give and take in that slot. Prices and the values
    of one stored kWh in EUR/kWh.
    """

    hours: Array
    charge_kw: Array
    discharge_kw: Array
    missing_kw: Array
    available_kw: Array
    room_kw: Array
    price: Array
    value: Array
    cars_kw: Array
    import_kw: Array


class BatteryPart(NamedTuple):
    """The battery's part of every slot."""

    modes: list[BatteryMode | None]
    whys: list[Why]


def at_reserve(store: Store, slots: BatterySlots) -> Bools:
    """Whether serving would go on below the reserve floor, which the inverter may not know."""
    lack = slots.missing_kw
    short: Bools = slots.available_kw < SERVES * np.minimum(lack, store.discharge_kw)
    return (lack > TINY_KW) & short


def not_for_cars(store: Store, slots: BatterySlots) -> Bools:
    """Whether serving would feed a car that it is not to feed."""
    draws: Bools = (slots.cars_kw > TINY_KW) & (slots.missing_kw > TINY_KW)
    return draws & (not store.feeds_cars)


def battery_rule(store: Store, slots: BatterySlots) -> Codes:
    """An index into `CODES` for each slot: NORMAL serves the house and takes the sun, by itself.

    CHARGE, which is always at full power, only where the plan buys at least half of what that
    would (INV-13); HOLD only where it keeps what it could give, or leaves sun that it could take
    and `hold` keeps it from taking it.
    """
    if not store.controllable:
        return np.zeros(len(slots.hours), dtype=np.int64)
    spare_kw = np.maximum(0.0, -slots.missing_kw)
    could_give = np.minimum(np.minimum(slots.missing_kw, slots.available_kw), store.discharge_kw)
    holds = at_reserve(store, slots)
    holds |= (could_give > TINY_KW) & (slots.discharge_kw < SERVES * could_give)
    holds |= not_for_cars(store, slots)
    if not store.hold_charges_from_pv:
        could_take = np.minimum(np.minimum(spare_kw, slots.room_kw), store.charge_kw)
        holds |= (could_take > TINY_KW) & (slots.charge_kw < SERVES * could_take)
    modes = np.where(holds, _HOLD, _NORMAL)
    if store.grid_charging:
        full_kw = np.minimum(np.maximum(slots.room_kw, TINY_KW), store.charge_kw)
        buys = slots.charge_kw - spare_kw > np.maximum(SERVES * (full_kw - spare_kw), BUYS_KW)
        modes = np.where(buys, _CHARGE, modes)
    return modes


def _regrets(store: Store, slots: BatterySlots, modes: Codes) -> Array:
    """EUR by slot: what it costs to serve where the rule says hold, or the other way round.

    Endless where that is no choice: buying, below the reserve, sun that `hold` would keep out.
    """
    could_kw = np.maximum(np.minimum(slots.missing_kw, slots.available_kw), 0.0)
    kwh = np.minimum(could_kw, store.discharge_kw) * slots.hours
    saved = slots.price - slots.value / store.discharge_efficiency - store.wear_eur_kwh
    regret = np.abs(saved) * kwh
    sun = slots.missing_kw < -TINY_KW
    never = (modes == _CHARGE) | ((modes == _HOLD) & at_reserve(store, slots))
    if not store.hold_charges_from_pv:
        never |= sun
    never |= not_for_cars(store, slots)
    return np.where(never, np.inf, regret)


def calm(store: Store, slots: BatterySlots, modes: Codes, before: BatteryMode | None) -> Codes:
    """The modes without short runs that hardly matter; `before` is the mode that stands now."""
    regret = _regrets(store, slots, modes)
    left = CODES.index(before) if before in CODES else -1
    runs, start = [], 0
    for code, members in groupby(modes.tolist()):
        end = start + sum(1 for _ in members)
        runs.append((code, start, end))
        start = end
    calmed = modes.copy()
    for (code, first, end), following in zip(runs, [*runs[1:], (-1, 0, 0)], strict=True):
        between = left == following[0] != code and left != _CHARGE and end - first <= CALM_SLOTS
        if between and regret[first:end].sum() <= CALM_EUR:
            calmed[first:end] = left
        else:
            left = code
    return calmed


def battery_part(
    store: Store,
    slots: BatterySlots,
    before: BatteryMode | None,
    market: Market,
    other: Other = NO_OTHER,
) -> BatteryPart:
    """Modes and reasons; the numbers of a reason are the tariff and what stored energy is worth."""
    modes = battery_rule(store, slots)
    if store.controllable:
        modes = calm(store, slots, modes, before)
    whys = _whys(store, slots, modes.tolist(), market)
    if whys and DOES.get(whys[0].code, "") == other.battery_does:
        whys[0] = in_first_slot(whys[0], other.battery_eur)
    elif whys:
        whys[0] = in_first_slot(whys[0], None)
    return BatteryPart([CODES[code] for code in modes.tolist()], whys)


def _whys(store: Store, slots: BatterySlots, codes: list[int], market: Market) -> list[Why]:
    """The reason that binds in each slot, with what it saves per kWh on the AC side."""
    reserve, limited = at_reserve(store, slots).tolist(), _limited(store, slots, market).tolist()
    kept = not_for_cars(store, slots).tolist()
    full = ((slots.missing_kw < -TINY_KW) & (slots.room_kw < TINY_KW)).tolist()
    takes, gives = (slots.charge_kw > TINY_KW).tolist(), (slots.discharge_kw > TINY_KW).tolist()
    values, whys = np.round(slots.value, 4).tolist(), []
    saves = _savings(store, slots, market)
    for k, (code, price, value) in enumerate(zip(codes, market.buy, values, strict=True)):
        numbers = (("price_eur_kwh", price), ("value_eur_kwh", value))
        if code == _CHARGE:
            whys.append(Why("battery_buys", (*numbers, *saves.buys[k])))
        elif limited[k] and not takes[k]:
            whys.append(Why("battery_grid_limit", (("limit_kw", market.limit_kw or 0.0),)))
        elif code == _HOLD:
            keeps = Why("battery_keeps", (*numbers, *saves.keeps[k]))
            keeps = BATTERY_NOT_FOR_CARS if kept[k] else keeps
            whys.append(BATTERY_RESERVE if reserve[k] else keeps)
        elif takes[k]:
            whys.append(Why("battery_takes_sun", (numbers[1], *saves.takes[k])))
        elif gives[k]:
            whys.append(Why("battery_serves", (*numbers, *saves.serves[k])))
        else:
            whys.append(BATTERY_FULL if full[k] else BATTERY_WAITS)
    return whys


class _Savings(NamedTuple):
    """By slot what each way is better than its contrary, per kWh on the AC side."""

    buys: list[Numbers]
    takes: list[Numbers]
    serves: list[Numbers]
    keeps: list[Numbers]


def _savings(store: Store, slots: BatterySlots, market: Market) -> _Savings:
    into = slots.value * store.charge_efficiency
    serves = slots.price - np.array(market.fed)
    ways = (into - slots.price, into - np.array(market.sell), serves, -serves)
    money = np.abs(slots.value) <= market.dearest
    return _Savings(*(_told(np.where(money, one, -1.0)) for one in ways))


def _told(saves_eur_kwh: Array) -> list[Numbers]:
    """As a reason's number; none where the contrary would be better by the value alone."""
    rounded = np.round(np.maximum(saves_eur_kwh, 0.0), 4).tolist()
    right = (saves_eur_kwh >= -PRICE_EUR_KWH).tolist()
    return [
        (("saves_eur_kwh", one),) if well else () for one, well in zip(rounded, right, strict=True)
    ]


def _limited(store: Store, slots: BatterySlots, market: Market) -> Bools:
    """Whether it would buy if the house connection gave more."""
    none: Bools = np.zeros(len(slots.hours), dtype=bool)
    if market.limit_kw is None or not (store.grid_charging and store.controllable):
        return none
    pays = slots.value * store.charge_efficiency > slots.price + PRICE_EUR_KWH
    none |= pays & (slots.room_kw > TINY_KW) & (slots.import_kw >= market.limit_kw - TINY_KW)
    return none
