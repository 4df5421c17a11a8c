"""Schedules by evcc's protocol: its rules one by one, and the value against a whole program."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.charge_case import case_of
from actors.charge_model import write_charge_model
from actors.charge_request import read_request
from actors.charge_schedule import Scheduler
from actors.planner_solver import PublicProgram
from sim.schedule_requests import home_request
from tests.charge_reference import reference
from tests.make_charge import answered, battery, car, request, solved

CENT = 0.01


def same_as_whole(asked: dict[str, Any], seconds: float = 60.0) -> None:
    """The value is that of the whole program within 0.1 ct, and every rule holds.

    Where penalties are thousands, a solver's tolerance on what they are paid for is more than that.
    """
    _, answer, checked = solved(asked)
    assert checked.broken == ()
    best = reference(asked, seconds).value
    assert checked.value >= best - 0.1 * CENT - 1e-6 * abs(best)
    assert answer["status"] == "Optimal"


def test_a_cheap_hour_charges_what_dear_ones_need() -> None:
    asked = request(p_N=[0.0001, 0.0001, 0.0005, 0.0005, 0.0005, 0.0005], gt=[0, 0, *[2000.0] * 4])
    (found,) = answered(asked)["batteries"]
    assert found["state_of_charge"][1] == pytest.approx(8000 / 0.9, abs=0.1)
    assert found["charging_power"][2:] == [0] * 4
    assert found["discharging_power"] == [0, 0, 2000, 2000, 2000, 2000]
    assert found["state_of_charge"][-1] == 0


def test_the_value_leaves_out_what_the_first_slot_charges() -> None:
    asked = request(battery(d_max=0, p_a=0.001), slots=2, p_N=[0.0001, 0.0008], gt=[0.0, 0.0])
    answer = answered(asked)
    (found,) = answer["batteries"]
    assert found["charging_power"] == [5000, pytest.approx(500 / 0.9, abs=0.01)]
    money = -0.5 - 0.0008 * 500 / 0.9
    assert answer["objective_value"] == pytest.approx(money + 500 * 0.001, abs=1e-5)


def test_a_battery_that_may_not_charge_from_the_grid_takes_the_sun_alone() -> None:
    own = battery(charge_from_grid=False, p_a=0.001, s_initial=0)
    answer = answered(request(own, ft=[0, 0, 3500.0, 0, 400.0, 0]))
    assert answer["batteries"][0]["charging_power"] == [0, 0, 3000, 0, 0, 0]
    assert answer["flow_direction"] == [0, 0, 1, 0, 0, 0]


def test_a_battery_that_may_not_discharge_to_the_grid_serves_the_house_alone() -> None:
    own = battery(p_a=0.0, s_initial=9000, c_max=0)
    dear = request(own, p_E=[0.0006] * 6)
    assert answered(dear)["batteries"][0]["discharging_power"] == [500] * 6
    own["discharge_to_grid"] = True
    answer = answered(dear)
    assert sum(answer["batteries"][0]["discharging_power"]) == pytest.approx(8100, abs=0.1)
    assert sum(answer["grid_export"]) > 5000


def test_nothing_is_bought_to_be_sold_at_once() -> None:
    answer = answered(request(battery(discharge_to_grid=True), p_E=[0.0009] * 6))
    for one, other in zip(answer["grid_import"], answer["grid_export"], strict=True):
        assert one == 0 or other == 0
    same_as_whole(request(battery(discharge_to_grid=True), car(), p_E=[0.0009] * 6))


def test_below_zero_power_is_not_burnt_by_charging_and_discharging_at_once() -> None:
    asked = request(battery(), p_N=[-0.0002, 0.0003, -0.0002, 0.0003, -0.0001, 0.0003])
    answered(asked)
    same_as_whole(asked)


def test_a_car_charges_with_its_least_power_or_not_at_all() -> None:
    own = car(p_a=0.0002, charge_from_grid=True)
    asked = request(own, slots=4, gt=[0.0] * 4, ft=[1000.0, 1600.0, 300.0, 0.0])
    charged = answered(asked)["batteries"][0]["charging_power"]
    assert all(wh == 0 or wh >= 1400 for wh in charged)
    assert charged[1] == 1600
    same_as_whole(asked)


def test_what_is_demanded_is_charged_and_ends_with_a_last_bit() -> None:
    own = car(s_initial=37000, p_demand=[1400.0] * 6, p_a=0.0)
    asked = request(own, p_N=[0.0003, 0.0003, 0.0001, 0.0003, 0.0003, 0.0003])
    charged = answered(asked)["batteries"][0]["charging_power"]
    assert charged[:2] == [1400, 1400]
    assert charged[2] == pytest.approx(3000 / 0.9 - 2800, abs=0.01)
    assert charged[3:] == [0, 0, 0]


def test_more_than_can_be_charged_is_demanded_in_vain() -> None:
    charged = answered(request(car(p_demand=[20000.0] + [0.0] * 5, p_a=0.0)))["batteries"][0]
    assert charged["charging_power"] == [7400, 0, 0, 0, 0, 0]


def test_a_demand_below_the_least_power_gets_the_least_power() -> None:
    charged = answered(request(car(p_demand=[0.0, 600.0, 0, 0, 0, 0], p_a=0.0)))["batteries"][0]
    assert charged["charging_power"] == [0, 1400, 0, 0, 0, 0]


def test_a_demanded_home_battery_is_charged_however_dear() -> None:
    own = battery(p_demand=[0.0, 2000.0, 0, 0, 2000.0, 0], p_a=0.0)
    asked = request(own, gt=[100.0] * 6)
    charged = answered(asked)["batteries"][0]["charging_power"]
    assert (charged[1], charged[4]) == (2000, 2000)
    same_as_whole(asked)


def test_a_goal_is_reached_in_the_cheapest_slots_before_it() -> None:
    goal = [0.0, 0, 0, 0, 30000, 0]
    own = car(s_goal=goal, p_a=0.0)
    asked = request(own, p_N=[0.0005, 0.0002, 0.0004, 0.0001, 0.0003, 0.0001])
    found = answered(asked)["batteries"][0]
    assert found["state_of_charge"][4] == pytest.approx(30000, abs=0.1)
    assert [wh > 0 for wh in found["charging_power"]] == [False, True, False, True, False, False]


def test_a_goal_that_cannot_be_reached_is_approached() -> None:
    found = answered(request(car(s_goal=[0, 0, 40000.0, 0, 0, 0], p_a=0.0)))["batteries"][0]
    assert found["charging_power"][:3] == [7400] * 3


@pytest.mark.parametrize(
    ("changes", "first"),
    [({"s_min": 2000, "s_initial": 1000}, "charging_power"),
     ({"s_max": 8000, "s_capacity": 10000, "s_initial": 9500}, "discharging_power"),
     ({"s_max": 8000, "s_initial": 9500}, "discharging_power")],
)  # fmt: skip
def test_a_battery_outside_its_band_comes_back(changes: dict[str, Any], first: str) -> None:
    asked = request(battery(p_a=0.00025) | changes, gt=[4000.0] * 6)
    found = answered(asked)["batteries"][0]
    assert found[first][0] > 1000
    same_as_whole(asked)


def test_the_import_limit_gives_way_where_it_must_and_says_so() -> None:
    asked = request(battery(s_initial=0), gt=[500, 500, 3000.0, 500, 500, 500],
                    grid={"p_max_imp": 1000})  # fmt: skip
    answer = answered(asked)
    assert max(answer["grid_import"]) <= 1000
    assert answer["limit_violations"]["grid_import_limit_exceeded"]
    assert answer["grid_import_overshoot"][2] == pytest.approx(2000 - 1000 * 0.81, abs=0.1)
    same_as_whole(asked)


def test_what_may_not_be_exported_is_lost_and_told() -> None:
    asked = request(battery(s_initial=9000), ft=[4500.0] * 6, grid={"p_max_exp": 1000})
    answer = answered(asked)
    assert set(answer["grid_export"]) == {1000}
    assert answer["limit_violations"] == {
        "grid_import_limit_exceeded": False, "grid_export_limit_hit": True}  # fmt: skip
    assert answer["grid_export_overshoot"][0] < answer["grid_export_overshoot"][5]
    same_as_whole(asked)


def test_a_demand_rate_is_paid_once_for_the_highest_power() -> None:
    asked = request(battery(s_initial=1000), gt=[500, 500, 6000.0, 500, 500, 500],
                    grid={"p_max_imp": 1500, "prc_p_exc_imp": 0.05})  # fmt: skip
    answer = answered(asked)
    over = answer["grid_import_overshoot"]
    assert answer["grid_import"][2] == pytest.approx(1500 + over[2], abs=1e-3)
    same_as_whole(asked)


def test_without_limits_nothing_is_said_of_overshoot() -> None:
    answer = answered(request())
    assert (answer["grid_import_overshoot"], answer["grid_export_overshoot"]) == ([], [])


# --- preferences: they decide only between what costs the same ------------------------------------


def test_charging_comes_before_exporting() -> None:
    own = battery(s_initial=6000, p_a=0.0002, d_max=0)
    sunny = request(own, slots=8, ft=[2500.0] * 8, gt=[500.0] * 8,
                    strategy={"charging_strategy": "charge_before_export"})  # fmt: skip
    charged = answered(sunny)["batteries"][0]["charging_power"]
    assert charged[:3] == [2000, 2000, pytest.approx(4000 / 0.9 - 4000, abs=0.1)]


def test_discharging_comes_before_importing() -> None:
    own = battery(s_initial=1000, p_a=0.0001, c_max=0)
    asked = request(own, slots=8, strategy={"discharging_strategy": "discharge_before_import"})
    assert answered(asked)["batteries"][0]["discharging_power"] == [500, 400, *[0] * 6]


@pytest.mark.parametrize("strategy", ["attenuate_demand_peaks", "attenuate_grid_peaks"])
def test_a_goal_is_spread_over_the_horizon(strategy: str) -> None:
    own = battery(c_max=8000, d_max=0, s_max=40000, s_initial=8000, s_goal=[0] * 5 + [20000, 0, 0])
    asked = request(own, slots=8, strategy={"charging_strategy": strategy})
    bought = answered(asked)["grid_import"]
    assert np.std(bought[:6]) < 1
    assert max(bought) < 3000


def test_exported_sun_is_shaved() -> None:
    own = battery(s_initial=4000, d_max=0, p_a=0.0002)
    sun = [500.0, 1500, 4500, 5500, 4500, 1500]
    asked = request(own, ft=sun, strategy={"charging_strategy": "attenuate_feedin_peaks"})
    assert max(answered(asked)["grid_export"]) < 3000


def test_who_has_priority_is_charged_first() -> None:
    low, high = (battery(d_max=0, p_a=0.0002, s_initial=8000, c_priority=k) for k in (0, 2))
    asked = request(low, high, ft=[1500.0] * 6)
    first, second = (one["charging_power"] for one in answered(asked)["batteries"])
    assert second[:2] == [1000, 1000]
    assert first[:2] == [0, 0]


@pytest.mark.parametrize("strategy", ["charge_before_export", "attenuate_grid_peaks"])
@pytest.mark.parametrize("lowest", [-0.0001, 0.0])
def test_preferences_cost_nothing_whatever_the_prices(strategy: str, lowest: float) -> None:
    prices = [0.0003, lowest, 0.0002, 0.0004, lowest, 0.0003]
    plain = request(battery(c_priority=2), car(p_a=0.0002), p_N=prices, ft=[900.0] * 6)
    wishing = plain | {"strategy": {"charging_strategy": strategy}}
    assert solved(wishing)[2].value == pytest.approx(solved(plain)[2].value, abs=0.05 * CENT)


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("grid", [False, True])
def test_homes_cost_no_more_than_the_whole_program_finds(seed: int, grid: bool) -> None:
    prices = ("dynamic", "flat", "negative")[seed % 3]
    same_as_whole(home_request(100 + seed, 32, 1 + seed % 2, prices=prices, grid=grid), 30.0)


def test_a_week_of_two_cars_is_answered_within_counted_work() -> None:
    found, _, checked = solved(home_request(4, 672, 2))
    assert checked.broken == ()
    assert found.work < 12_000 * 1.5
    assert not found.whole


def test_the_same_request_has_the_same_answer_whatever_was_asked_before() -> None:
    asked = read_request(json.dumps(home_request(3, 24, 2)))
    used = Scheduler()
    used.solve(read_request(json.dumps(home_request(5, 24, 2))))
    assert used.solve(asked).answer == Scheduler().solve(asked).answer


def test_the_public_path_of_cvxpy_says_the_same() -> None:
    asked = request(battery(), car(p_demand=[1400.0] * 6), ft=[900.0] * 6, grid={"p_max_imp": 5000})
    read = read_request(json.dumps(asked))
    scheduler = Scheduler()
    shape = case_of(read).shape
    scheduler._programs[shape] = PublicProgram(write_charge_model(shape), scheduler.meter)
    assert scheduler.solve(read).value == pytest.approx(solved(asked)[0].value, abs=0.05 * CENT)


numbers = st.floats(0, 6000, allow_subnormal=False, width=32)
prices_wh = st.integers(-500, 1000).map(lambda one: one / 1e6)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Anything that is allowed, likely or not."""
    slots = draw(st.integers(1, 8))

    def several(one: Any) -> list[float]:
        return draw(st.lists(one, min_size=slots, max_size=slots))

    def one_battery() -> dict[str, Any]:
        capacity = draw(st.floats(100, 30000, width=32))
        share = st.floats(0, 1, width=32)
        found: dict[str, Any] = {
            "charge_from_grid": draw(st.booleans()),
            "discharge_to_grid": draw(st.booleans()),
            "s_capacity": capacity,
            "s_min": draw(share) * capacity * 0.3,
            "s_max": draw(share) * capacity,
            "s_initial": draw(share) * capacity,
            "c_min": draw(st.sampled_from([0.0, 0.0, 1380.0, 4140.0])),
            "c_max": draw(numbers),
            "d_max": draw(st.sampled_from([0.0, 3000.0])),
            "p_a": draw(prices_wh),
            "c_priority": draw(st.integers(0, 2)),
        }
        if draw(st.booleans()):
            found["p_demand"] = several(st.sampled_from([0.0, 0.0, 300.0, 1400.0, 9000.0]))
        if draw(st.booleans()):
            found["s_goal"] = several(st.sampled_from([0.0, 0.0, capacity * 0.5, capacity]))
        return found

    grid = {
        name: value
        for name, value in (
            ("p_max_imp", draw(st.sampled_from([None, 500.0, 4000.0]))),
            ("p_max_exp", draw(st.sampled_from([None, 0.0, 1000.0]))),
            ("prc_p_exc_imp", draw(st.sampled_from([None, 0.0, 0.01]))),
        )
        if value is not None
    }
    return request(
        *(one_battery() for _ in range(draw(st.integers(1, 2)))),
        slots=slots,
        dt=several(st.sampled_from([60, 900, 3600])),
        gt=several(numbers),
        ft=several(numbers),
        p_N=several(prices_wh),
        p_E=several(prices_wh),
        eta_c=draw(st.floats(0.5, 1, width=32)),
        eta_d=draw(st.floats(0.5, 1, width=32)),
        grid=grid,
        strategy={"charging_strategy": draw(st.sampled_from(["none", "attenuate_grid_peaks"]))},
    )


@settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(requests())
def test_whatever_is_asked_is_answered_and_best(asked: dict[str, Any]) -> None:
    same_as_whole(asked)
