"""The planner's modes: permissions, holding, bridging, ceilings; and plans by rules."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.execution import car_rule
from actors.planner import flows_of
from actors.planner_battery import CALM_EUR, CODES, BatterySlots, battery_rule, calm
from actors.planner_model import MONEY_SCALE
from actors.planner_report import plan_of
from actors.rules import plan_by_rules
from engine.values import BatteryMode, ChargeMode
from tests.make_planner import (
    PLANNER,
    SHORT,
    assert_physical,
    battery,
    by_hour,
    car,
    car_kwh,
    home,
    hours,
    modes,
    plan,
    valley_and_peak,
)

# --- modes ---------------------------------------------------------------------------------------


def test_inv_13_a_slot_that_charges_for_the_sun_never_permits_the_grid() -> None:
    """Sun below and above the car's minimum power, no deadline, full price: never `now`/`minpv`."""
    sun = tuple(2.0 + 3.0 * math.sin(k / 4) for k in range(24)) + (0.0,) * (SHORT - 24)
    found = plan(home(pv_kw=sun, import_eur_kwh=by_hour({20: 0.1, 21: 0.1}, 0.4), cars=(car(),)))
    sunny = [slot.cars[0] for slot in found.slots[:24]]
    assert sum(one.charge_kw for one in sunny) > 0
    assert {one.mode for one in sunny} == {ChargeMode.PV}
    assert BatteryMode.CHARGE not in modes(found, 0, 6)


def test_inv_13_rule_no_permission_above_what_the_energy_is_worth() -> None:
    one = car()
    for from_grid in (0.0, 0.3, 2.0, 4.2):
        mode = car_rule(
            one,
            charge_kw=4.2,
            from_grid_kw=from_grid,
            from_battery_kw=0.0,
            price=0.40,
            worth=0.10,
            hurry=False,
        )
        assert mode is ChargeMode.PV


def test_the_house_battery_feeds_a_car_at_its_minimum_power_only() -> None:
    """Full battery, sun tomorrow, dear grid tonight: `minpv`, which is what evcc can do of it."""
    sun = by_hour(dict.fromkeys(range(20, 24), 9.0), 0.0)
    prices = by_hour(dict.fromkeys(range(8), 0.40), 0.25)
    found = plan(
        home(
            import_eur_kwh=prices,
            pv_kw=sun,
            store=battery(stored_kwh=9.9),
            cars=(car(departure=hours(16), need_kwh=6),),
        )
    )
    fed = [s.cars[0] for s in found.slots if s.cars[0].charge_kw > 0 and s.grid_import_kw < 1e-3]
    assert fed
    assert {one.mode for one in fed} == {ChargeMode.MINPV}
    assert sum(one.charge_kw >= 0.95 * 4.14 for one in fed) >= len(fed) - 1
    assert fed[0].why.code == "car_from_battery"


def test_inv_14_at_a_negative_price_the_grid_is_really_permitted() -> None:
    prices = by_hour({0: -0.05, 1: -0.05}, 0.30)
    found = plan(
        home(
            import_eur_kwh=prices,
            store=battery(stored_kwh=1.0),
            cars=(car(need_kwh=40), car(vehicle="zoe", loadpoint="garage", max_kw=3.7)),
        )
    )
    first = found.slots[0]
    assert first.battery_mode is BatteryMode.CHARGE
    assert [one.mode for one in first.cars] == [ChargeMode.NOW, ChargeMode.NOW]
    assert first.cars[0].why.code == "car_negative_price"


def test_inv_19_power_and_capacity_are_this_cars() -> None:
    one = car(max_kw=3.68, capacity_kwh=20, need_kwh=10, soc_pct=40, departure=hours(6))
    found = plan(home(cars=(one,)))
    assert max(slot.cars[0].charge_kw for slot in found.slots) <= 3.68 + 1e-6
    assert found.slots[-1].cars[0].soc_pct == pytest.approx(40 + 100 * 9 / 20, abs=1e-3)


def test_inv_24_the_ceiling_of_a_car_without_deadline_is_hard_a_departure_is_the_exception() -> (
    None
):
    """Without a configured ceiling `limit_eur_kwh` is it, and only a departure goes above."""
    prices = by_hour(dict.fromkeys(range(12, 16), 0.2), 0.45)
    free = plan(home(import_eur_kwh=prices, cars=(car(),)))
    assert car_kwh(free, 0, 12) == 0
    waits = dict(free.slots[0].cars[0].why.numbers)
    assert free.slots[0].cars[0].why.code == "car_waits"
    assert float(waits["limit_eur_kwh"]) < 0.45
    bound = plan(home(import_eur_kwh=prices, cars=(car(departure=hours(6)),)))
    assert car_kwh(bound, 0, 6) == pytest.approx(20, abs=1e-3)


def test_inv_25_a_plan_without_sun_forecast_says_so() -> None:
    assert plan(home(pv_known=False)).why.code == "plan_optimal_no_sun_forecast"
    assert plan(home()).why.code == "plan_optimal"
    assert dict(plan(home()).why.numbers)["known_h"] == SHORT / 4


@pytest.mark.parametrize(("gap_eur", "said"), [(0.0, None), (0.0049, None), (0.0123, 0.0123)])
def test_a_plan_says_how_far_from_the_best_it_may_be(gap_eur: float, said: float | None) -> None:
    solved = PLANNER.solve(home())
    searched = solved.found._replace(gap=gap_eur * MONEY_SCALE)
    grid, prices = solved.case.grid, solved.case.prices
    found = plan_of(home(), grid, prices, flows_of(solved._replace(found=searched)))
    assert found.gap_eur == gap_eur
    assert dict(found.why.numbers).get("gap_eur") == said


def test_the_battery_holds_for_a_dearer_hour_and_serves_in_it() -> None:
    problem = valley_and_peak(
        store=battery(stored_kwh=5.0, grid_charging=False),
        load_kw=by_hour(dict.fromkeys(range(18, 22), 1.5), 0.3),
    )
    found = plan(problem)
    assert BatteryMode.CHARGE not in modes(found, 0, 24)
    assert modes(found, 18, 20) == {BatteryMode.NORMAL}
    assert BatteryMode.HOLD in modes(found, 0, 18)
    held = next(slot for slot in found.slots if slot.battery_mode is BatteryMode.HOLD)
    assert held.why.code == "battery_keeps"
    assert (held.battery_value_eur_kwh or 0) > 0.95 * held.import_eur_kwh - 0.02 - 1e-3


def test_the_value_of_stored_energy_is_what_it_saves() -> None:
    """Energy is short: one kWh more serves the 45 ct peak through the battery, less wear."""
    found = plan(valley_and_peak(store=battery(stored_kwh=3.0, charge_kw=0.001)))
    assert found.slots[0].battery_value_eur_kwh == pytest.approx(0.95 * (0.45 - 0.02), abs=2e-3)


def test_inv_21_at_the_reserve_the_battery_is_held_not_left_to_the_inverters_own_floor() -> None:
    found = plan(home(store=battery(stored_kwh=1.3, grid_charging=False)))
    empty = [slot for slot in found.slots[4:] if (slot.battery_soc_pct or 0) < 10.001]
    assert {slot.battery_mode for slot in empty} == {BatteryMode.HOLD}
    assert {slot.why.code for slot in empty} == {"battery_reserve"}


def test_an_uncontrollable_battery_is_never_given_a_mode() -> None:
    found = plan(valley_and_peak(store=battery(controllable=False)))
    assert modes(found, 0, 24) == {BatteryMode.NORMAL}


def battery_slots(**given_: list[float]) -> BatterySlots:
    """Columns of that length; what is not named is 0, a slot is a quarter hour."""
    count = len(next(iter(given_.values())))
    names = BatterySlots._fields
    columns = {name: np.array(given_.get(name, [0.0] * count)) for name in names}
    return BatterySlots(**(columns | {"hours": np.full(count, 0.25)}))


@pytest.mark.parametrize(("follows", "mode"), [(True, "normal"), (False, "hold")])
def test_hold_keeps_sun_out_only_of_an_inverter_whose_hold_does(follows: bool, mode: str) -> None:
    store = battery(hold_charges_from_pv=follows)
    slots = battery_slots(missing_kw=[-3.0], available_kw=[4.0], room_kw=[5.0])
    assert [CODES[code] for code in battery_rule(store, slots)] == [mode]


@pytest.mark.parametrize(("charge_kw", "room_kw", "mode"), [
    (0.6, 9.0, "normal"), (3.0, 9.0, "charge"), (0.9, 1.0, "charge"), (0.1, 0.1, "normal"),
])  # fmt: skip
def test_inv_13_the_grid_fills_the_battery_at_full_power_or_not_at_all(
    charge_kw: float, room_kw: float, mode: str
) -> None:
    """`charge` knows no half: a plan that buys a little is not carried out as one that buys all."""
    slots = battery_slots(charge_kw=[charge_kw], missing_kw=[0.0], room_kw=[room_kw])
    assert [CODES[code] for code in battery_rule(battery(), slots)] == [mode]


@pytest.mark.parametrize(
    ("price", "before", "modes_"),
    [
        ((0.30, 0.30, 0.26, 0.30), None, "nnnn"),  # 0.4 kWh at a loss of 0.2 ct per kWh
        ((0.30, 0.30, 0.10, 0.30), None, "nnhn"),  # it matters: 16 ct per kWh
        ((0.26, 0.30, 0.30, 0.30), "normal", "nnnn"),  # what stands now is the neighbour
        ((0.26, 0.30, 0.30, 0.30), "hold", "hnnn"),
        ((0.30, 0.26, 0.26, 0.26, 0.30), None, "nhhhn"),  # a block is no flip
    ],
)
def test_short_runs_that_hardly_matter_are_bridged(
    price: tuple[float, ...], before: str | None, modes_: str
) -> None:
    count = len(price)
    given_ = {"missing_kw": [1.6] * count, "available_kw": [9.0] * count, "value": [0.2299] * count}
    serves = [1.6 if one > 0.262 else 0.0 for one in price]
    slots = battery_slots(price=list(price), discharge_kw=serves, **given_)
    found = calm(
        battery(), slots, battery_rule(battery(), slots), BatteryMode(before) if before else None
    )
    assert "".join(CODES[code].value[0] for code in found) == modes_
    assert CALM_EUR <= 0.002


def test_the_reserve_is_never_bridged() -> None:
    slots = battery_slots(
        missing_kw=[0.1] * 3,
        available_kw=[1.0, 0.0, 1.0],
        discharge_kw=[0.1, 0.0, 0.1],
        price=[0.2] * 3,
        value=[0.17] * 3,
    )
    found = calm(battery(), slots, battery_rule(battery(), slots), BatteryMode.NORMAL)
    assert [CODES[code].value for code in found] == ["normal", "hold", "normal"]


@given(
    need_kwh=st.floats(0.1, 30),
    stored_kwh=st.floats(1, 10),
    departure_h=st.floats(0.5, 18),
    sun_kw=st.floats(0, 6),
    seed=st.integers(0, 20),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_rule_ever_costs_a_car_its_departure(
    need_kwh: float, stored_kwh: float, departure_h: float, sun_kw: float, seed: int
) -> None:
    """What full power until the departure could have given is given (INV-18 to the other side)."""
    prices = tuple(round(0.3 + 0.1 * math.sin(k * (0.3 + seed)), 5) for k in range(SHORT))
    sun = tuple(round(max(0.0, sun_kw * math.sin((k + seed) / 9)), 3) for k in range(SHORT))
    one = car(need_kwh=need_kwh, departure=hours(departure_h))
    problem = home(
        import_eur_kwh=prices, pv_kw=sun, store=battery(stored_kwh=stored_kwh), cars=(one,)
    )
    found = plan(problem)
    last = sum(1 for k in range(1, SHORT) if k / 4 + 0.125 <= departure_h)
    got = sum(s.cars[0].charge_kw * s.duration_s / 3600 for s in found.slots[: last + 1])
    assert got >= min(need_kwh, 11 * (last + 1) / 4) - 0.02
    assert_physical(problem, found)


def test_the_battery_feeds_a_car_in_cheap_hours_where_all_else_is_equal() -> None:
    """Full battery, more sun tomorrow than it takes: fed where an error would be cheap."""
    sun = by_hour(dict.fromkeys(range(20, 24), 9.0), 0.0)
    prices = by_hour(dict.fromkeys(range(13, 16), 0.25), 0.40)
    store = battery(stored_kwh=9.9)
    one = car(departure=hours(16), need_kwh=3)
    found = plan(home(import_eur_kwh=prices, pv_kw=sun, store=store, cars=(one,)))
    assert car_kwh(found, 0, 13) == 0
    assert car_kwh(found, 13, 16) == pytest.approx(3, abs=1e-3)


def test_a_lone_crumb_joins_a_block() -> None:
    """The last 0.6 kWh: not in the slot that is 0.2 ct cheaper by itself."""
    prices = [0.40] * SHORT
    prices[10:12] = [0.20, 0.20]
    prices[12], prices[20] = 0.202, 0.201
    one = car(departure=hours(8), need_kwh=6.1)
    found = plan(home(import_eur_kwh=tuple(prices), cars=(one,)))
    on = [k for k, slot in enumerate(found.slots) if slot.cars[0].charge_kw > 0]
    assert on == [10, 11, 12]
    assert found.slots[12].cars[0].mode is not ChargeMode.PV


def test_inv_18_while_the_tariff_fails_rules_wait_for_the_latest_safe_time() -> None:
    """What the tariff published before it failed decides nothing: not the cheap hour at once."""
    prices = by_hour({0: 0.05}, 0.40)
    one = car(departure=hours(12), need_kwh=20)
    known, failed = (
        plan_by_rules(home(import_eur_kwh=prices, cars=(one,), prices_failed=failing))
        for failing in (False, True)
    )
    assert car_kwh(known, 0, 1) == pytest.approx(11)
    assert car_kwh(failed, 0, 9) == 0
    assert car_kwh(failed, 9, 12) == pytest.approx(20)
    assert [one.why.code for one in (known, failed)] == ["plan_by_rules", "plan_by_rules_no_prices"]


def test_minimum_power_is_respected_but_for_the_last_slot() -> None:
    sun = tuple(max(0.0, 3.0 * math.sin(math.pi * k / 40)) for k in range(40)) + (0.0,) * 57
    found = plan(home(pv_kw=sun, cars=(car(need_kwh=30, departure=hours(20)),)))
    weak = [slot for slot in found.slots if 1e-3 < slot.cars[0].charge_kw < 4.14 - 1e-3]
    assert len(weak) <= 1
    assert found.shortfalls == ()


# --- rules ---------------------------------------------------------------------------------------


def test_inv_17_rules_never_buy_for_the_battery_and_never_wait_for_the_sun() -> None:
    sun = by_hour(dict.fromkeys(range(1, 4), 6.0), 0.0)
    problem = home(pv_kw=sun, store=battery(), cars=(car(departure=hours(8)), car(loadpoint="b")))
    found = plan_by_rules(problem)
    assert_physical(problem, found)
    assert modes(found, 0, 24) == {BatteryMode.NORMAL}
    assert car_kwh(found, 0, 8) == pytest.approx(20, abs=1e-6)
    assert {slot.cars[1].mode for slot in found.slots} == {ChargeMode.PV}


def test_rules_take_the_cheapest_known_hours_before_the_departure() -> None:
    prices: list[float | None] = [0.30] * 8 + [0.10] * 8 + [None] * (SHORT - 16)
    found = plan_by_rules(home(import_eur_kwh=tuple(prices), cars=(car(departure=hours(10)),)))
    assert car_kwh(found, 2, 4) == pytest.approx(20, abs=1e-6)
    blind = plan_by_rules(home(import_eur_kwh=(None,) * SHORT, cars=(car(departure=hours(10)),)))
    assert car_kwh(blind, 7, 10) == pytest.approx(20, abs=1e-6)
    asap = plan_by_rules(home(import_eur_kwh=(None,) * SHORT, cars=(car(asap=True),)))
    assert car_kwh(asap, 0, 2) == pytest.approx(20, abs=1e-6)
