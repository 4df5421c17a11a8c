"""Ceilings, a target by a time, the reserves, and a battery that feeds no car: what plans do."""

from datetime import UTC, datetime, timedelta
from math import floor, sqrt
from typing import Any

import pytest
from msgspec.structs import replace

from actors.planner_goals import TARGET_SHARE, goals_of
from actors.planner_inputs import problem_of, store_of, targets_of
from actors.planner_problem import Problem, Target, grid_of, prices_of
from actors.rules import plan_by_rules
from engine.settings import BatterySettings, Settings
from engine.slots import slot_of
from engine.values import BatteryMode, ChargeMode, Plan, Quantiles
from tests.make_optimizer import SETTINGS as OPTIMIZER_SETTINGS
from tests.make_optimizer import SLOTS, forecast, home_state
from tests.make_planner import (
    NOON,
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

VALLEY = by_hour(dict.fromkeys(range(2, 4), 0.20), 0.45)
"""20 ct in hours 2 to 4 (22 kWh for a car of 11 kW), else 45 ct."""


def codes(found: Plan, start: float, end: float, number: int = 0) -> set[str]:
    inside = [slot for slot in found.slots if hours(start) <= slot.start < hours(end)]
    return {one.cars[number].why.code for one in inside if one.cars[number].charge_kw > 1e-3}


# --- ceilings -------------------------------------------------------------------------------------


def test_inv_24_above_its_ceiling_a_car_without_departure_takes_nothing_from_the_grid() -> None:
    problem = home(import_eur_kwh=(0.15,) * SHORT, export_eur_kwh=(0.08,) * SHORT)
    free = plan(replace(problem, cars=(car(),)))
    assert car_kwh(free) == pytest.approx(20, abs=1e-3)
    bound = plan(replace(problem, cars=(car(max_eur_kwh=0.14),)))
    assert car_kwh(bound) == 0
    assert float(dict(bound.slots[0].cars[0].why.numbers)["limit_eur_kwh"]) <= 0.14


def test_inv_24_the_stated_exception_is_a_departure_and_only_for_what_it_lacks() -> None:
    """30 kWh until 8 h: 22 in the valley, and 8 dear ones, whose reason says so."""
    one = car(need_kwh=30, departure=hours(8), max_eur_kwh=0.30)
    found = plan(home(import_eur_kwh=VALLEY, cars=(one,)))
    assert found.shortfalls == ()
    assert car_kwh(found, 2, 4) == pytest.approx(22, abs=1e-3)
    assert car_kwh(found, 0, 8) == pytest.approx(30, abs=1e-3)
    dear = codes(found, 0, 2) | codes(found, 4, 8)
    assert dear == {"car_above_ceiling"}
    why = next(
        s.cars[0].why for s in found.slots if s.cars[0].charge_kw > 0 and s.import_eur_kwh > 0.3
    )
    assert dict(why.numbers) == {
        "price_eur_kwh": 0.45,
        "ceiling_eur_kwh": 0.30,
        "departure_at": hours(8).isoformat(),
        "saves_eur": 0.0,  # it may as well charge its dear share in the next slot
    }
    enough = plan(home(import_eur_kwh=VALLEY, cars=(replace(one, need_kwh=20),)))
    assert car_kwh(enough, 2, 4) == pytest.approx(20, abs=1e-3)


def test_inv_24_a_ceiling_is_kept_at_the_cost_of_ties_and_of_the_battery() -> None:
    """The battery's target has to make way, where both want the valley's last kWh."""
    one = car(need_kwh=21, departure=hours(4), max_eur_kwh=0.30)
    found = plan(
        home(
            import_eur_kwh=VALLEY,
            import_limit_kw=11.4,
            store=battery(stored_kwh=1.0, max_eur_kwh=0.30),
            cars=(one,),
            targets=(Target(8.0, hours(4)),),
        )
    )
    assert car_kwh(found, 2, 4) == pytest.approx(21, abs=1e-3)
    assert [one.goal for one in found.shortfalls] == ["battery_target"]


def test_inv_24_sun_above_the_ceiling_is_free_and_no_permission() -> None:
    """7 kW of sun while the tariff is above the ceiling: the car takes it, and nothing else."""
    sun = by_hour(dict.fromkeys(range(4), 7.4), 0.0)
    one = car(need_kwh=28, departure=hours(4), max_eur_kwh=0.20)
    found = plan(home(pv_kw=sun, cars=(replace(one, need_kwh=24),)))
    assert car_kwh(found, 0, 4) == pytest.approx(24, abs=1e-2)
    assert {slot.cars[0].mode for slot in found.slots} == {ChargeMode.PV}
    more = plan(home(pv_kw=sun, cars=(replace(one, need_kwh=36),)))
    assert more.shortfalls == ()
    bought = sum(max(0.0, s.cars[0].charge_kw - 7.0) / 4 for s in more.slots)
    assert bought == pytest.approx(8, abs=0.05)
    assert "car_above_ceiling" in codes(more, 0, 4)


def test_inv_24_at_once_is_a_persons_word_and_knows_no_ceiling() -> None:
    found = plan(home(cars=(car(asap=True, max_eur_kwh=0.1),)))
    assert car_kwh(found, 0, 2) == pytest.approx(20, abs=1e-3)
    assert codes(found, 0, 2) == {"car_at_once"}


def test_inv_24_the_batterys_own_ceiling_is_hard() -> None:
    free = plan(valley_and_peak())
    assert BatteryMode.CHARGE in modes(free, 10, 14)
    bound = plan(
        valley_and_peak(
            store=battery(stored_kwh=1.0, max_eur_kwh=0.07), targets=(Target(9.0, hours(16)),)
        )
    )
    assert sum(slot.battery_charge_kw for slot in bound.slots) == 0
    (missed,) = bound.shortfalls
    assert (missed.goal, missed.missing_kwh, missed.missing_pct) == ("battery_target", 8.0, 80.0)


# --- a target by a time ---------------------------------------------------------------------------


def test_a_target_is_reached_by_its_time_and_not_dearer_than_it_has_to_be() -> None:
    found = plan(valley_and_peak(targets=(Target(8.0, hours(9)),)))
    at = next(slot for slot in found.slots if slot.start == hours(8.75))
    assert at.battery_soc_pct == pytest.approx(80, abs=0.01)
    assert found.shortfalls == ()
    later = plan(valley_and_peak(targets=(Target(8.0, hours(13)),)))
    assert sum(s.battery_charge_kw for s in later.slots if s.start < hours(10)) == 0
    assert next(s for s in later.slots if s.start == hours(12.75)).battery_soc_pct >= 79.99  # type: ignore[operator]


def test_a_target_that_cannot_be_reached_is_said_in_kwh_percent_and_time() -> None:
    bare = plan(valley_and_peak())
    found = plan(valley_and_peak(targets=(Target(9.0, hours(0.5)), Target(9.0, hours(-1)))))
    (missed,) = found.shortfalls
    reached = 1.0 + 0.5 * 5 * 0.95
    assert (missed.goal, missed.name, missed.by) == ("battery_target", "battery", hours(0.5))
    assert missed.missing_kwh == pytest.approx(9 - reached, abs=1e-3)
    assert missed.missing_pct == pytest.approx(10 * (9 - reached), abs=1e-2)
    penalty = TARGET_SHARE * 5.0 * missed.missing_kwh
    assert found.objective_eur - penalty > bare.objective_eur - 0.01


def aim(at: datetime, clock: str) -> list[datetime]:
    own = BatterySettings(target_soc_pct=80, target_at=clock, capacity_kwh=10)
    settings = replace(OPTIMIZER_SETTINGS, battery=own)
    store = store_of(home_state(at), settings)
    found = targets_of(store, settings, at, 193)
    assert {one.stored_kwh for one in found} == {8.0}
    return [one.by for one in found]


def test_a_target_is_local_time_on_days_of_23_and_25_hours() -> None:
    winter = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)
    assert aim(winter, "17:00") == [winter + timedelta(hours=h) for h in (5, 29)]
    spring = datetime(2026, 3, 28, 11, 0, tzinfo=UTC)
    assert aim(spring, "17:00") == [spring + timedelta(hours=h) for h in (5, 28)]
    autumn = datetime(2026, 10, 24, 11, 0, tzinfo=UTC)
    assert aim(autumn, "17:00") == [autumn + timedelta(hours=h) for h in (4, 29)]
    assert aim(autumn, "02:30") == [autumn + timedelta(hours=h) for h in (13.5, 38.5)]


# --- the reserves ---------------------------------------------------------------------------------


def asked(own: BatterySettings, at: datetime = NOON, **changes: Any) -> Problem:
    """What the optimizer would ask with these settings of the battery."""
    return problem_of(
        at=at,
        revision=1,
        settings=replace(OPTIMIZER_SETTINGS, battery=own),
        state=home_state(at),
        cars=(),
        rates=None,
        forecast=forecast(at, **changes),
        usual=(),
    )


def test_inv_21_the_reserve_is_the_floor_where_it_is_above_the_least_charge() -> None:
    def floor_kwh(**own: Any) -> float:
        store = asked(BatterySettings(capacity_kwh=10, **own)).store
        assert store is not None
        return store.min_kwh

    assert floor_kwh(reserve_soc_pct=30.0) == 3.0
    assert floor_kwh(reserve_soc_pct=5.0) == 1.0
    assert floor_kwh(reserve_soc_pct=30.0, max_soc_pct=20.0) == 2.0


def test_nothing_is_planned_below_the_reserve_for_a_price() -> None:
    found = plan(valley_and_peak(store=battery(stored_kwh=5.0, min_kwh=4.0, grid_charging=False)))
    assert min(slot.battery_soc_pct or 0 for slot in found.slots) >= 40 - 1e-6
    below = plan(valley_and_peak(store=battery(stored_kwh=3.0, min_kwh=4.0)))
    assert sum(slot.battery_discharge_kw for slot in below.slots[:4]) == 0
    assert below.shortfalls[0].goal == "reserve"


def test_doubts_are_asked_for_only_where_a_reserve_for_them_is_wanted() -> None:
    start = slot_of(NOON)
    load = Quantiles(start, (300.0,) * SLOTS, (400.0,) * SLOTS, (700.0,) * SLOTS)
    sun = Quantiles(start, (500.0,) * SLOTS, (800.0,) * SLOTS, (900.0,) * SLOTS)
    own = BatterySettings(capacity_kwh=10)
    assert asked(own, load=load, pv=sun).load_beyond_kw == ()
    wanted = asked(replace(own, reserve="forecast"), load=load, pv=sun)
    assert wanted.load_beyond_kw == pytest.approx((0.3,) * SLOTS)
    assert wanted.pv_short_kw == pytest.approx((0.3,) * SLOTS)


def test_a_reserve_for_surprises_keeps_energy_for_a_dearer_peak() -> None:
    """3 kWh for six hours of 30 ct, 50 ct in the middle: what the peak leaves is used after it."""
    prices = by_hour(dict.fromkeys((0, 1, 4, 5), 0.30) | dict.fromkeys((2, 3), 0.50), 0.10)
    store = battery(stored_kwh=4.0, wear_eur_kwh=0.0)
    bare = home(import_eur_kwh=prices, load_kw=(1.0,) * SHORT, store=store)
    doubtful = replace(bare, load_beyond_kw=(2.0,) * SHORT, pv_short_kw=(0.0,) * SHORT)
    without, with_ = plan(bare), plan(doubtful)

    def stored_kwh(found: Plan, after_h: float) -> float:
        slot = next(one for one in found.slots if one.start == hours(after_h - 0.25))
        return (slot.battery_soc_pct or 0.0) / 10

    assert stored_kwh(without, 2) == pytest.approx(1 + 2 / 0.95, abs=0.02)
    assert stored_kwh(with_, 2) >= 1 + 0.3 * 9 - 0.02
    assert stored_kwh(with_, 6) == pytest.approx(1.0, abs=0.01)
    assert with_.cost_eur == pytest.approx(without.cost_eur, abs=0.005)


def test_errors_of_different_hours_add_up_as_squares_and_what_is_not_there_is_said() -> None:
    """Of five hours to come and three quarters of the first."""
    prices = by_hour(dict.fromkeys(range(5), 0.45) | {5: 0.46}, 0.10)
    empty = home(import_eur_kwh=prices, load_kw=(1.0,) * SHORT, store=battery(stored_kwh=1.0))
    doubtful = replace(empty, load_beyond_kw=(1.0,) * SHORT, pv_short_kw=(0.0,) * SHORT)
    needed = floor(1000 * sqrt(0.75**2 + 5) / 0.95) / 1000
    grid = grid_of(doubtful)
    found = plan(doubtful)
    goals = goals_of(doubtful, grid, prices_of(doubtful, grid), found.end_value_eur_kwh)
    assert goals.stored_kwh[0] == pytest.approx(1 + needed, abs=1e-9)
    assert goals.stored_kwh[23:40].max() == 0
    (missed,) = found.shortfalls
    assert (missed.goal, missed.by) == ("forecast_reserve", NOON)
    assert missed.missing_kwh == pytest.approx(needed, abs=1e-6)
    sure = replace(doubtful, load_beyond_kw=(0.0,) * SHORT, pv_short_kw=(1.0,) * SHORT)
    sky = goals_of(sure, grid, prices_of(sure, grid), found.end_value_eur_kwh)
    # a cloudy sky goes on: its errors add up, to the cap
    assert sky.stored_kwh[0] == pytest.approx(1 + 0.3 * 9, abs=0.001)


# --- a battery that feeds no car ------------------------------------------------------------------


def test_a_battery_that_feeds_no_car_is_held_while_one_charges_from_the_grid() -> None:
    one = car(departure=hours(4), need_kwh=11, min_kw=4.14)
    given_ = {"load_kw": (1.0,) * SHORT, "cars": (one,)}
    prices = by_hour(dict.fromkeys(range(4), 0.6), 0.2)
    fed = plan(home(import_eur_kwh=prices, store=battery(stored_kwh=9.0), **given_))
    assert any(s.battery_discharge_kw > 1.5 for s in fed.slots[:16])
    kept = plan(
        home(import_eur_kwh=prices, store=battery(stored_kwh=9.0, feeds_cars=False), **given_)
    )
    assert kept.shortfalls == ()
    both = 0
    for slot in kept.slots:
        assert slot.battery_discharge_kw <= max(0.0, slot.load_kw - slot.pv_kw) + 1e-6
        if slot.cars[0].charge_kw > 1e-3:
            both += 1
            assert slot.battery_discharge_kw < 1e-6
            assert slot.battery_mode is BatteryMode.HOLD
            assert slot.why.code == "battery_not_for_cars"
    assert both >= 4
    # beside the car's hours it serves the house
    assert sum(s.battery_discharge_kw for s in kept.slots[:16]) > 5


def test_without_a_plan_it_feeds_no_car_either() -> None:
    problem = home(store=battery(feeds_cars=False), cars=(car(departure=hours(8)),))
    found = plan_by_rules(problem)
    assert_physical(problem, found)
    for slot in found.slots:
        charges = slot.cars[0].charge_kw > 0
        assert slot.battery_mode is (BatteryMode.HOLD if charges else BatteryMode.NORMAL)
        assert not (charges and slot.battery_discharge_kw > 0)


def test_a_battery_that_cannot_be_held_is_planned_as_it_is() -> None:
    own = BatterySettings(capacity_kwh=10, feeds_cars="never")
    settings: Settings = replace(OPTIMIZER_SETTINGS, battery=own)
    held, not_held = (
        store_of(
            home_state(NOON, battery=replace(home_state(NOON).site.battery, controllable=can)),  # type: ignore[union-attr,type-var]
            settings,
        )
        for can in (True, False)
    )
    assert held is not None
    assert not_held is not None
    assert (held.feeds_cars, not_held.feeds_cars) == (False, True)
