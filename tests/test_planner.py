"""The planner: there is always a plan, its economics, and the acceptance scenarios."""

import math
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.planner_problem import Problem
from actors.planner_report import cost_eur
from actors.rules import plan_by_rules
from engine.values import BatteryMode, ChargeMode, Plan, PlanSlot
from tests.make_planner import (
    HORIZON,
    NOON,
    SHORT,
    assert_physical,
    battery,
    bill,
    by_hour,
    car,
    car_kwh,
    home,
    hours,
    modes,
    plan,
    valley_and_peak,
)


def kwh(found: Plan, field: str, start: float = 0, end: float = 1000) -> float:
    """Energy of one power between two hours ahead."""
    return sum(
        float(getattr(slot, field)) * slot.duration_s / 3600
        for slot in found.slots
        if hours(start) <= slot.start < hours(end)
    )


# --- always a plan -------------------------------------------------------------------------------


ODD = st.floats(0, 1, allow_nan=False)


@st.composite
def homes(draw: st.DrawFn) -> Problem:
    slots = 25
    price = st.one_of(st.none(), st.floats(-0.5, 1.5))
    prices = draw(st.lists(price, min_size=slots, max_size=slots))
    prices[draw(st.integers(0, slots - 1))] = 0.2
    capacity = draw(st.floats(0.3, 150))
    low, high = sorted((draw(ODD), draw(ODD)))
    store = battery(
        capacity_kwh=capacity,
        stored_kwh=capacity * draw(st.one_of(st.sampled_from((0.0, 1.0)), ODD)),
        min_kwh=capacity * low,
        max_kwh=capacity * high,
        charge_kw=draw(st.floats(0.1, 50)),
        discharge_kw=draw(st.floats(0.1, 50)),
        charge_efficiency=draw(st.floats(0.5, 1)),
        discharge_efficiency=draw(st.floats(0.5, 1)),
        grid_charging=draw(st.booleans()),
    )
    cars = [
        car(
            vehicle=f"car{k}",
            loadpoint=f"lp{k}",
            need_kwh=draw(st.sampled_from((0.0, 0.05, 3.0, 20.0, 200.0))),
            min_kw=draw(st.sampled_from((0.0, 1.4, 4.14, 11.0))),
            departure=draw(
                st.one_of(st.none(), st.floats(-2, 9).map(lambda h: NOON + timedelta(hours=h)))
            ),
            asap=draw(st.booleans()),
        )
        for k in range(draw(st.integers(0, 2)))
    ]
    return home(
        slots,
        at=NOON + timedelta(seconds=draw(st.sampled_from((0, 1, 450, 899)))),
        import_eur_kwh=tuple(prices),
        export_eur_kwh=tuple(draw(st.lists(price, min_size=slots, max_size=slots))),
        load_kw=tuple(draw(st.lists(st.floats(0, 8), min_size=slots, max_size=slots))),
        pv_kw=tuple(draw(st.lists(st.floats(0, 12), min_size=slots, max_size=slots))),
        store=draw(st.sampled_from((None, store))),
        cars=tuple(cars),
        import_limit_kw=draw(st.sampled_from((None, 3.0))),
        export_limit_kw=draw(st.sampled_from((None, 0.0, 4.0))),
    )


@given(homes())
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_inv_01_inv_02_inv_07_every_home_has_a_plan(problem: Problem) -> None:
    """Odd batteries, SoC in and out of the band, negative prices, gaps, impossible deadlines."""
    found = plan(problem)
    assert found.rung == "lp"
    assert len(found.slots) == len(problem.load_kw)
    assert found.cost_eur == pytest.approx(bill(found), abs=1e-5)
    assert_physical(problem, plan_by_rules(problem))


@pytest.mark.parametrize("soc_pct", [0, 3, 10, 50, 90, 96, 100])
def test_inv_01_a_plan_for_every_soc_inside_and_outside_its_band(soc_pct: int) -> None:
    found = plan(home(store=battery(stored_kwh=soc_pct / 10, max_kwh=9.0)))
    socs = [slot.battery_soc_pct or 0.0 for slot in found.slots]
    assert socs[-1] >= 10 - 1e-4  # the reserve is refilled, and not traded with
    assert max(socs) <= max(90, soc_pct) + 1e-4


def test_inv_01_below_the_reserve_is_reported_and_never_discharged() -> None:
    found = plan(home(store=battery(stored_kwh=0.5), load_kw=(2.0,) * SHORT))
    socs = [slot.battery_soc_pct or 0.0 for slot in found.slots]
    assert min(socs) >= 5 - 1e-4
    assert found.slots[0].battery_mode in {BatteryMode.HOLD, BatteryMode.CHARGE}
    reserve = found.shortfalls[0]
    assert (reserve.goal, reserve.missing_kwh, reserve.missing_pct) == ("reserve", 0.5, 5.0)


def test_inv_02_a_car_above_its_target_is_left_alone() -> None:
    found = plan(home(cars=(car(need_kwh=0.0, soc_pct=100.4, departure=hours(6)),)))
    assert car_kwh(found) == 0
    assert found.shortfalls == ()
    assert found.slots[0].cars[0].why.code == "car_done"


def test_inv_07_an_impossible_deadline_leaves_the_battery_plan_as_it_is() -> None:
    without = plan(valley_and_peak())
    found = plan(valley_and_peak(cars=(car(need_kwh=20, departure=hours(1)),)))
    assert car_kwh(found, 0, 1) == pytest.approx(11, abs=1e-3)
    assert all(slot.cars[0].mode is ChargeMode.NOW for slot in found.slots[:4])
    assert [slot.battery_mode for slot in found.slots[16:]] == [
        slot.battery_mode for slot in without.slots[16:]
    ]
    missed = found.shortfalls[0]
    assert (missed.goal, missed.name, missed.by) == ("departure", "eup", hours(1))
    assert missed.missing_kwh == pytest.approx(9 * 0.9, abs=1e-3)
    assert missed.missing_pct == pytest.approx(100 * 9 * 0.9 / 50, abs=1e-2)
    # what was missing is charged as soon as possible after the departure
    assert car_kwh(found, 1, 2) == pytest.approx(9, abs=1e-3)


def test_grid_limits_are_kept_where_they_can_be_and_reported_where_not() -> None:
    limited = home(cars=(car(departure=hours(8)),), import_limit_kw=5.0)
    found = plan(limited)
    assert max(slot.grid_import_kw for slot in found.slots) <= 5.0 + 1e-6
    assert found.shortfalls == ()
    tight = plan(replace(limited, import_limit_kw=0.3))
    assert {one.goal for one in tight.shortfalls} == {"departure", "grid_import"}
    assert car_kwh(tight) == 0  # the fuse comes before the car


# --- economics -----------------------------------------------------------------------------------


def test_inv_08_house_load_is_in_the_balance() -> None:
    """A cheap valley before an expensive peak with load: charge, and import less in the peak."""
    found = plan(valley_and_peak())
    assert kwh(found, "battery_charge_kw", 10, 14) > 4
    assert kwh(found, "grid_import_kw", 18, 22) < 1e-3
    idle = plan(valley_and_peak(store=None))
    assert kwh(idle, "grid_import_kw", 18, 22) == pytest.approx(6.0)


@pytest.mark.parametrize(("peak", "charges"), [(0.35, False), (0.37, True)])
def test_inv_08_it_charges_only_if_the_spread_pays_losses_and_wear(
    peak: float, charges: bool
) -> None:
    """30 ct through 0.95 x 0.95 is 33.2 ct, and 2 ct wear: 35.2 ct is the break-even."""
    prices = by_hour(dict.fromkeys(range(4, 8), peak), 0.30)
    found = plan(home(import_eur_kwh=prices, store=battery(stored_kwh=1.0)))
    assert (kwh(found, "battery_charge_kw", 0, 4) > 1) is charges


def test_inv_09_stored_energy_has_a_value_at_the_end() -> None:
    found = plan(home(store=battery(stored_kwh=8.0)))
    assert kwh(found, "grid_export_kw") == 0
    assert kwh(found, "battery_discharge_kw") <= kwh(found, "load_kw") + 1e-6
    assert found.end_value_eur_kwh > 0
    dear = plan(home(store=battery(), import_eur_kwh=(0.60,) * SHORT))
    assert dear.end_value_eur_kwh > found.end_value_eur_kwh


@pytest.mark.parametrize("feed_in", [0.08, 0.28, 0.60])
def test_inv_09_the_battery_never_feeds_the_grid(feed_in: float) -> None:
    sun = by_hour(dict.fromkeys(range(20, 24), 3.0), 0.0)
    found = plan(
        home(
            store=battery(stored_kwh=9.5),
            export_eur_kwh=(feed_in,) * SHORT,
            pv_kw=sun,
            cars=(car(departure=hours(23)),),
        )
    )
    for slot in found.slots:
        if slot.grid_export_kw > 1e-4:
            assert slot.battery_discharge_kw < 1e-4


@given(homes())
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_inv_10_the_reported_cost_is_the_bill_of_the_slots(problem: Problem) -> None:
    found = plan(problem)
    assert found.cost_eur == pytest.approx(bill(found), abs=1e-5)
    assert cost_eur(found.slots) == pytest.approx(bill(found), abs=1e-9)


def test_inv_11_never_both_directions_at_negative_prices() -> None:
    prices = by_hour(dict.fromkeys(range(2, 8), -0.3), 0.30)
    for stored in (1.0, 9.9, 10.0):
        found = plan(
            home(
                import_eur_kwh=prices,
                export_eur_kwh=by_hour(dict.fromkeys(range(2, 8), -0.3), 0.08),
                store=battery(stored_kwh=stored),
                pv_kw=by_hour(dict.fromkeys(range(4, 6), 2.0), 0.0),
            )
        )
        assert all(
            min(slot.battery_charge_kw, slot.battery_discharge_kw) < 1e-6 for slot in found.slots
        )


def test_inv_12_a_kwh_of_sun_is_used_once() -> None:
    """4 kW of sun cannot be 5 kW for the battery and 4 kW for the car at once."""
    sun = by_hour(dict.fromkeys(range(1, 6), 4.4), 0.0)
    found = plan(home(pv_kw=sun, store=battery(stored_kwh=1.0), cars=(car(min_kw=1.4),)))
    for slot in found.slots:
        used = slot.battery_charge_kw + slot.cars[0].charge_kw + slot.load_kw + slot.grid_export_kw
        assert used <= slot.pv_kw + slot.grid_import_kw + slot.battery_discharge_kw + 1e-5


def test_inv_15_the_soc_shown_is_the_solvers() -> None:
    still = home(store=battery(stored_kwh=9.6, max_kwh=9.0), load_kw=(0.0,) * SHORT)
    assert {slot.battery_soc_pct for slot in plan(still).slots} == {96.0}


def test_wear_is_reported_and_a_worn_battery_rests() -> None:
    found = plan(valley_and_peak())
    given_kwh = kwh(found, "battery_discharge_kw")
    assert found.wear_eur == pytest.approx(0.02 * given_kwh, abs=1e-5)
    rests = plan(valley_and_peak(store=battery(stored_kwh=1.0, wear_eur_kwh=0.5)))
    assert kwh(rests, "battery_discharge_kw") < 1e-3


def test_the_objective_is_made_of_its_parts() -> None:
    found = plan(home(store=battery(), cars=(car(departure=hours(1)),)))
    missing = sum(one.missing_kwh for one in found.shortfalls)
    stored = 10 * (found.slots[-1].battery_soc_pct or 0) / 100
    parts = found.cost_eur + found.wear_eur + 5 * missing - found.end_value_eur_kwh * stored
    assert found.objective_eur == pytest.approx(parts, abs=1e-3)


def test_paid_more_for_export_than_import_costs_is_no_money_machine() -> None:
    sun = by_hour(dict.fromkeys(range(4, 8), 3.0), 0.0)
    found = plan(
        home(export_eur_kwh=(0.5,) * SHORT, pv_kw=sun, store=battery(), cars=(car(min_kw=0.0),))
    )
    assert kwh(found, "grid_export_kw") == pytest.approx((3.0 - 0.4) * 4, abs=1e-3)


def test_ties_are_broken_early_and_for_less_than_a_fifth_of_a_cent() -> None:
    found = plan(home(HORIZON, cars=(car(departure=hours(30)),)))
    assert car_kwh(found, 0, 2) == pytest.approx(20, abs=1e-3)
    assert found.cost_eur == pytest.approx((20 + 0.4 * HORIZON / 4) * 0.30, abs=0.002)


# --- acceptance scenarios of the behaviour reference, §7.5 ----------------------------------------


def test_acceptance_1_sunny_day_battery_96_pct_ceiling_90_pct() -> None:
    sun = tuple(6 * math.cos(math.pi * k / 64) for k in range(32)) + (0.0,) * (SHORT - 32)
    found = plan(home(pv_kw=sun, store=battery(stored_kwh=9.6, max_kwh=9.0)))
    assert found.slots[0].battery_soc_pct == 96.0
    assert BatteryMode.CHARGE not in modes(found, 0, 8)
    assert kwh(found, "grid_import_kw", 0, 7) == pytest.approx(0, abs=0.5)


def test_acceptance_2_cheap_night_dear_evening() -> None:
    values = dict.fromkeys(range(10, 18), 0.08) | dict.fromkeys(range(5, 10), 0.45)
    values |= dict.fromkeys(range(19, 24), 0.45)
    problem = home(
        import_eur_kwh=by_hour(values, 0.45),
        load_kw=by_hour(dict.fromkeys(range(19, 24), 1.2), 0.3),
        store=battery(stored_kwh=1.0),
    )
    found = plan(problem)
    idle = plan(replace(problem, store=None))
    assert BatteryMode.CHARGE in modes(found, 10, 18)
    assert kwh(found, "grid_import_kw", 19, 24) < 0.01
    served = 5 * 1.2
    spread = served * (0.45 - 0.08 / 0.95**2)
    left_kwh = ((found.slots[-1].battery_soc_pct or 0) - 10) / 10
    assert idle.cost_eur - found.cost_eur >= spread - 0.08 * left_kwh / 0.95 - 0.01


def test_acceptance_3_plug_in_twenty_minutes_before_departure() -> None:
    at = NOON + timedelta(minutes=40)
    shifted = valley_and_peak(at=at)
    without = plan(shifted)
    found = plan(replace(shifted, cars=(car(soc_pct=20, need_kwh=33, departure=hours(1)),)))
    first: PlanSlot = found.slots[0]
    assert first.cars[0].mode is ChargeMode.NOW
    assert first.cars[0].charge_kw == pytest.approx(11, abs=1e-4)
    missed = next(one for one in found.shortfalls if one.goal == "departure")
    assert missed.missing_kwh == pytest.approx((33 - 11 / 3) * 0.9, abs=1e-3)
    late = [slot.battery_mode for slot in found.slots[24:]]
    assert late == [slot.battery_mode for slot in without.slots[24:]]


def test_acceptance_11_negative_price_and_full_battery() -> None:
    prices = by_hour({0: -0.10, 1: -0.10, 2: -0.10}, 0.30)
    found = plan(
        home(import_eur_kwh=prices, store=battery(stored_kwh=10.0), cars=(car(need_kwh=25),))
    )
    assert found.slots[0].cars[0].mode is ChargeMode.NOW
    assert car_kwh(found, 0, 3) == pytest.approx(25, abs=1e-3)
    assert kwh(found, "battery_discharge_kw", 0, 1) < 5


@pytest.mark.parametrize("stored_kwh", [3.0, 5.5, 8.0, 9.9])
@pytest.mark.parametrize("need_kwh", [9.0, 14.3, 20.1])
def test_feeding_a_car_from_the_battery_never_misses_its_departure(
    stored_kwh: float, need_kwh: float
) -> None:
    sun = by_hour(dict.fromkeys(range(20, 24), 9.0), 0.0)
    prices = tuple(round(0.30 - 0.05 * math.cos(k / 9), 5) for k in range(SHORT))
    found = plan(
        home(
            import_eur_kwh=prices,
            pv_kw=sun,
            store=battery(stored_kwh=stored_kwh),
            cars=(car(departure=hours(16), need_kwh=need_kwh),),
        )
    )
    assert found.shortfalls == ()
