"""Why a plan does what it does: the reason that binds, and what doing otherwise would cost."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.planner import Planner
from actors.planner_other import NOISE_EUR
from actors.planner_problem import Problem
from actors.planner_solver import SolveFailedError
from actors.rules import plan_by_rules
from engine.values import Plan, PlanSlot, Why
from engine.words import render
from sim.plan_problems import drawn
from tests.make_planner import (
    SHORT,
    battery,
    by_hour,
    car,
    home,
    hours,
    plan,
    valley_and_peak,
)
from tests.planner_oracle import Flow, Oracle
from tests.test_planner_optimal import small_homes
from web.plan_view import slot_view

BERLIN = "Europe/Berlin"
TIES_EUR = 0.002
MATTERS_EUR = 0.01
PLANNER = Planner()


def numbers(why: Why) -> dict[str, float | str]:
    return dict(why.numbers)


def saves(why: Why) -> float | None:
    """What the present slot says that the whole plan saves."""
    found = numbers(why).get("saves_eur")
    assert not isinstance(found, str)
    return found


# --- what a kWh is worth --------------------------------------------------------------------------


def test_a_plan_says_what_a_kwh_in_each_car_may_cost() -> None:
    """It takes the 8 ct valley; a kWh before it is worth what it costs there."""
    found = plan(valley_and_peak(store=None, cars=(car(need_kwh=5.0),)))
    values = [slot.cars[0].value_eur_kwh for slot in found.slots]
    assert values[0] == pytest.approx(0.08, abs=2e-3)
    assert slot_view(found.slots[0])["cars"][0]["value_eur_kwh"] == values[0]
    stored = plan(valley_and_peak()).slots[0]
    assert slot_view(stored)["battery_value_eur_kwh"] == stored.battery_value_eur_kwh is not None


def test_nobody_knows_what_a_kwh_is_worth_where_rules_decide_or_nothing_is_needed() -> None:
    by_rules = plan_by_rules(home(cars=(car(departure=hours(8)),)))
    assert {slot.cars[0].value_eur_kwh for slot in by_rules.slots} == {None}
    full = plan(home(cars=(car(need_kwh=0.0),)))
    assert {slot.cars[0].value_eur_kwh for slot in full.slots} == {None}
    for why in (slot.cars[0].why for slot in by_rules.slots):
        assert not {"saves_eur", "saves_eur_kwh"} & numbers(why).keys()


# --- the reason that binds ------------------------------------------------------------------------


def test_inv_162_waiting_for_the_valley_saves_the_difference() -> None:
    """A quarter hour at 4.14 kW, 30 ct now instead of 8 ct: 22.8 ct, 22 ct per kWh."""
    found = plan(valley_and_peak(store=None, cars=(car(need_kwh=5.0),)))
    first = found.slots[0].cars[0].why
    assert first.code == "car_waits"
    assert saves(first) == pytest.approx(4.14 / 4 * 0.22, abs=2e-3)
    assert numbers(first)["saves_eur_kwh"] == pytest.approx(0.22, abs=2e-3)
    taken = next(slot.cars[0].why for slot in found.slots if slot.cars[0].charge_kw > 0)
    assert taken.code == "car_cheap"
    assert render(first, "en", BERLIN) == (
        "Waits for cheaper power: 8.0 ct Wed 22:00 instead of 30.0 ct now. Below 8.0 ct it would "
        "charge now. That saves 22.0 ct per kWh. Over the whole plan it saves at least €0.23."
    )
    assert "Das spart 22,0 ct je kWh. Im ganzen Plan spart es mindestens 0,23 €." in render(
        first, "de", BERLIN
    )


def test_inv_163_a_departure_binds_where_slack_is_left_at_higher_prices_only() -> None:
    """45 ct now, 60 ct until it leaves, 10 ct after that: it charges now, for its departure."""
    prices = by_hour({0: 0.45, 1: 0.45} | dict.fromkeys(range(2, 6), 0.60), 0.10)
    one = car(need_kwh=10, departure=hours(6))
    first = plan(home(import_eur_kwh=prices, cars=(one,))).slots[0].cars[0]
    assert first.charge_kw > 4
    assert first.why.code == "car_before_departure"
    assert numbers(first.why)["departure_at"] == hours(6).isoformat()
    said = render(first.why, "de", BERLIN)
    assert "billiger wird es nicht mehr rechtzeitig vor der Abfahrt Mi 18:00" in said
    free = plan(home(import_eur_kwh=prices, cars=(replace(one, departure=None),)))
    assert free.slots[0].cars[0].charge_kw == 0


def test_inv_163_a_departure_that_leaves_no_choice_says_so_and_promises_no_money() -> None:
    found = plan(home(cars=(car(need_kwh=11, departure=hours(1)),)))
    first = found.slots[0].cars[0].why
    assert first.code == "car_deadline"
    assert first.numbers == (("departure_at", hours(1).isoformat()),)


def test_inv_163_a_departure_is_no_reason_where_the_car_would_charge_anyway() -> None:
    prices = by_hour({0: 0.08, 1: 0.08}, 0.30)
    found = plan(home(import_eur_kwh=prices, cars=(car(need_kwh=5, departure=hours(9)),)))
    first = found.slots[0].cars[0]
    assert (first.charge_kw > 0, first.why.code) == (True, "car_cheap")
    assert "departure_at" not in numbers(first.why)


def test_inv_163_the_battery_feeds_a_car_for_its_departure() -> None:
    """Enough stored, much sun tomorrow: without a departure the car waits for that."""
    sun = by_hour(dict.fromkeys(range(20, 24), 9.0), 0.0)
    one = car(departure=hours(3), need_kwh=4)
    problem = home(pv_kw=sun, store=battery(stored_kwh=9.9), cars=(one,))
    found = plan(problem)
    fed = [slot.cars[0].why for slot in found.slots if slot.cars[0].why.code == "car_from_battery"]
    assert fed
    assert {numbers(why).get("departure_at") for why in fed} == {hours(3).isoformat()}
    free = plan(replace(problem, cars=(replace(one, departure=None),)))
    assert all(slot.cars[0].charge_kw == 0 for slot in free.slots[:12])


def test_the_reserve_is_the_reason_where_the_battery_is_at_it() -> None:
    found = plan(home(store=battery(stored_kwh=1.0, grid_charging=False)))
    assert found.slots[0].why == Why("battery_reserve")


def test_sun_is_the_reason_where_it_charges() -> None:
    sun = by_hour(dict.fromkeys(range(4), 8.0), 0.0)
    found = plan(home(pv_kw=sun, store=battery(stored_kwh=9.0), cars=(car(need_kwh=6),)))
    whys = {slot.cars[0].why.code for slot in found.slots[:16] if slot.cars[0].charge_kw > 0}
    assert whys == {"car_sun"}
    assert "battery_takes_sun" in {slot.why.code for slot in found.slots[:16]}


def test_the_soc_limit_is_the_reason_where_a_full_battery_leaves_sun() -> None:
    sun = by_hour(dict.fromkeys(range(4), 8.0), 0.0)
    found = plan(home(pv_kw=sun, store=battery(stored_kwh=10.0)))
    assert found.slots[0].why == Why("battery_full")
    assert found.slots[0].grid_export_kw > 7


def test_the_house_connection_is_the_reason_where_it_gives_no_more() -> None:
    """Two cars at once, 10 ct now and 40 ct later: one waits for room, then pays what it costs."""
    prices = by_hour({0: 0.10, 1: 0.10}, 0.40)
    cars = (
        car(need_kwh=11, departure=hours(3), min_kw=7.0),
        car(vehicle="zoe", loadpoint="b", need_kwh=11, departure=hours(3), min_kw=7.0),
    )
    found = plan(home(import_eur_kwh=prices, cars=cars, import_limit_kw=11.6))
    firsts = {one.charge_kw > 0: one.why for one in found.slots[0].cars}
    assert firsts[False].code == "car_waits_for_room"
    assert numbers(firsts[False])["limit_kw"] == 11.6
    alone = plan(home(import_eur_kwh=prices, cars=cars))
    assert all(one.charge_kw > 0 for one in alone.slots[0].cars)


def test_the_house_connection_makes_a_car_take_dear_hours_too() -> None:
    prices = by_hour({0: 0.20, 1: 0.10}, 0.40)
    one = car(need_kwh=10, departure=hours(2))
    found = plan(home(import_eur_kwh=prices, cars=(one,), import_limit_kw=6.4))
    first = found.slots[0].cars[0]
    assert (first.charge_kw > 0, first.why.code) == (True, "car_grid_limit")
    assert numbers(first.why)["limit_kw"] == 6.4


def test_its_own_power_makes_a_car_take_dear_hours_too() -> None:
    prices = by_hour({0: 0.20, 1: 0.10}, 0.40)
    one = car(need_kwh=5, max_kw=3.68, min_kw=1.38, departure=hours(2.5))
    first = plan(home(import_eur_kwh=prices, cars=(one,))).slots[0].cars[0]
    assert (first.charge_kw > 0, first.why.code) == (True, "car_own_power")
    assert numbers(first.why)["limit_kw"] == 3.68


def test_the_house_connection_is_the_reason_where_the_battery_would_buy() -> None:
    prices = by_hour({0: 0.05}, 0.40)
    problem = home(
        import_eur_kwh=prices, load_kw=(2.0,) * SHORT, store=battery(stored_kwh=1.0),
        import_limit_kw=2.0,
    )  # fmt: skip
    first = plan(problem).slots[0]
    assert first.why.code == "battery_grid_limit"
    assert numbers(first.why)["limit_kw"] == 2.0
    free = plan(replace(problem, import_limit_kw=None)).slots[0]
    assert free.why.code == "battery_buys"
    assert (saves(free.why) or 0) > 0.2


def test_nothing_is_left_to_do_for_a_full_car_and_no_figure_is_given() -> None:
    found = plan(home(cars=(car(need_kwh=0.0),)))
    assert found.slots[0].cars[0].why == Why("car_done")


def test_a_slot_that_moves_both_explains_each() -> None:
    problem = home(store=battery(stored_kwh=1.0), cars=(car(need_kwh=11, departure=hours(9)),))
    found = plan(replace(problem, import_eur_kwh=by_hour({0: 0.05}, 0.40)))
    first = found.slots[0]
    assert (first.why.code, first.cars[0].why.code) == ("battery_buys", "car_cheap")
    assert (saves(first.why) or 0) > 0
    assert (saves(first.cars[0].why) or 0) > 0


def test_a_saving_of_nothing_is_not_told() -> None:
    why = Why("car_cheap", (("price_eur_kwh", 0.2), ("saves_eur", 0.0)))
    assert render(why, "en", BERLIN) == "Charges now, power is cheap (20.0 ct)."


# --- the figures, recomputed ----------------------------------------------------------------------


def others(problem: Problem, slot: PlanSlot) -> list[tuple[float, dict[Flow, tuple[float, float]]]]:
    """Of the first slot: what it says to save, and the other action as bounds of flows."""
    oracle, found = Oracle(problem), []
    for k, one in enumerate(slot.cars):
        said, car_ = saves(one.why), (f"car{k}", 0)
        if said is not None and one.charge_kw > 1e-3:
            found.append((said, {car_: (0.0, 0.0)}))
        elif said is not None:
            most = min(oracle.most(car_), problem.cars[k].need_kwh)
            found.append((said, {car_: (min(oracle.draws(k, 0) or most, most), most)}))
    said, h, store = saves(slot.why), oracle.hours[0], problem.store
    if said is None or store is None:
        return found
    cars_kw = sum(one.charge_kw for one in slot.cars)
    missing = (slot.load_kw + cars_kw - slot.pv_kw) * h
    there = (store.stored_kwh - store.min_kwh) * store.discharge_efficiency
    gives = min(missing, there, store.discharge_kw * h)
    forced = {
        "battery_buys": {("in", 0): (0.0, max(0.0, -missing))},
        "battery_serves": {("out", 0): (0.0, 0.0)},
        "battery_keeps": {("out", 0): (0.998 * gives, store.discharge_kw * h)},
    }[slot.why.code]
    return [*found, (said, forced)]


def stated(found: Plan) -> list[Why]:
    return [why for slot in found.slots for why in (slot.why, *(one.why for one in slot.cars))]


def assert_saves(problem: Problem) -> None:
    """Solved twice from outside, every way looked at: at least what is said, and never a loss.

    Where export pays more than import costs a plan's figures hold for the directions decided first,
    as its certificate does; nobody outside knows those, so no home has such a slot here.
    """
    sell = tuple(
        min(one, other)
        for one, other in zip(problem.export_eur_kwh, problem.import_eur_kwh, strict=True)
        if one is not None and other is not None
    )
    problem = replace(problem, export_eur_kwh=sell)
    try:
        found = PLANNER.make_plan(problem)
    except SolveFailedError:
        return
    oracle = Oracle(problem)
    free = oracle.best().eur
    for said, forced in others(problem, found.slots[0]):
        costs = oracle.best(forced).eur - free
        assert said == 0 or said > NOISE_EUR
        assert costs >= said - TIES_EUR
        assert costs > 0 or said == 0


@given(small_homes())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_inv_162_what_is_said_to_be_saved_is_saved(problem: Problem) -> None:
    assert_saves(problem)


@given(st.integers(0, 500))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_inv_162_what_is_said_to_be_saved_is_saved_in_drawn_homes(seed: int) -> None:
    """Their first hours, of which all prices are known."""
    problem = drawn(seed, 6)[1]
    assert None not in (*problem.import_eur_kwh, *problem.export_eur_kwh)
    assert_saves(problem)


@given(st.integers(0, 500))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_inv_162_no_reason_ever_states_a_loss(seed: int) -> None:
    found = PLANNER.make_plan(drawn(seed, SHORT)[1])
    for why in stated(found):
        known = numbers(why)
        for name in ("saves_eur", "saves_eur_kwh"):
            assert float(known.get(name, 0.0)) >= 0.0
        if "limit_eur_kwh" in known:
            assert float(known["limit_eur_kwh"]) < float(known["price_eur_kwh"])
    for slot in found.slots[1:]:
        assert all("saves_eur" not in numbers(why) for why in (slot.why, slot.cars[0].why))


@given(st.integers(0, 500), st.floats(1, 8))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_inv_163_a_departure_without_which_the_car_would_wait_is_named(
    seed: int, leaves_h: float
) -> None:
    """Planned once more without each departure: where the car then waits now, and that matters."""
    problem = drawn(seed, SHORT)[1]
    departure = problem.at + timedelta(hours=leaves_h)
    problem = replace(
        problem, cars=tuple(replace(one, departure=departure) for one in problem.cars)
    )
    first = PLANNER.make_plan(problem).slots[0]
    for k, one in enumerate(first.cars):
        if one.charge_kw == 0:
            continue
        freed = [
            replace(each, departure=None) if n == k else each for n, each in enumerate(problem.cars)
        ]
        free = PLANNER.make_plan(replace(problem, cars=tuple(freed))).slots[0].cars[k]
        if free.charge_kw == 0 and (saves(free.why) or 0.0) > MATTERS_EUR:
            assert numbers(one.why).get("departure_at") == departure.isoformat()
