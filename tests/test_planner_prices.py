"""The planner's time and prices: gaps, quarter hours, departures, what is not published."""

from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from msgspec.structs import replace

from actors.planner import NoPricesError
from actors.planner_problem import grid_of, learn_shape, prices_of
from actors.rules import plan_by_rules
from engine.values import BatteryMode, ChargeMode
from tests.make_planner import (
    HORIZON,
    NOON,
    PLANNER,
    SHORT,
    battery,
    by_hour,
    car,
    car_kwh,
    home,
    hours,
    modes,
    plan,
)


def test_inv_04_slot_0_is_the_rest_of_this_quarter_hour_at_its_price() -> None:
    prices = by_hour({0: 0.11}, 0.30)
    found = plan(home(at=NOON + timedelta(minutes=50), import_eur_kwh=(0.17, *prices[:-1])))
    assert found.slots[0].start == NOON + timedelta(minutes=50)
    assert found.slots[0].duration_s == 600
    assert found.slots[0].import_eur_kwh == 0.17
    assert found.slots[1].start == hours(1)


def test_inv_05_inv_18_a_gap_never_shifts_a_price_and_is_dear() -> None:
    prices: list[float | None] = [0.30 + 0.001 * k for k in range(SHORT)]
    prices[40:48] = [None] * 8
    found = plan(home(import_eur_kwh=tuple(prices), store=battery(stored_kwh=1.0)))
    for k, slot in enumerate(found.slots):
        assert slot.start == NOON + k * timedelta(minutes=15)
        known = prices[k]
        assert slot.assumed_price is (known is None)
        dearest = max(one for one in prices if one is not None)
        assert slot.import_eur_kwh == pytest.approx(dearest if known is None else known)
        if known is None:
            assert slot.battery_mode is not BatteryMode.CHARGE


def test_inv_06_four_quarter_hours_have_four_prices() -> None:
    prices = (0.21, 0.22, 0.23, 0.24) + (0.30,) * (SHORT - 4)
    found = plan(home(import_eur_kwh=prices))
    assert [slot.import_eur_kwh for slot in found.slots[:4]] == [0.21, 0.22, 0.23, 0.24]


@pytest.mark.parametrize("hours_away", [40, 30])
def test_inv_16_a_departure_beyond_the_horizon_forces_nothing(hours_away: int) -> None:
    prices = by_hour(dict.fromkeys(range(3, 5), 0.1), 0.30)
    far = plan(home(import_eur_kwh=prices, cars=(car(departure=hours(hours_away)),)))
    never = plan(home(import_eur_kwh=prices, cars=(car(),)))
    assert far.shortfalls == ()
    assert car_kwh(far) == pytest.approx(car_kwh(never))


def test_inv_16_a_past_departure_is_unknown() -> None:
    prices = by_hour(dict.fromkeys(range(10, 14), 0.2), 0.45)
    found = plan(home(import_eur_kwh=prices, cars=(car(departure=hours(-1)),)))
    assert found.slots[0].cars[0].mode is ChargeMode.PV
    assert found.shortfalls == ()
    assert car_kwh(found, 0, 10) == 0


def test_inv_18_in_an_unknown_slot_nothing_is_bought_for_its_price_but_deadlines_are_kept() -> None:
    prices: list[float | None] = [None] * 16 + [0.30] * 4 + [0.60] * (SHORT - 20)
    found = plan(
        home(
            import_eur_kwh=tuple(prices),
            store=battery(stored_kwh=1.0),
            cars=(car(departure=hours(2)), car(vehicle="zoe", loadpoint="garage")),
        )
    )
    assert BatteryMode.CHARGE not in modes(found, 0, 4)
    assert car_kwh(found, 0, 2, 0) == pytest.approx(20, abs=1e-3)
    assert car_kwh(found, 0, 4, 1) == 0


def test_inv_18_without_any_price_there_is_no_price_driven_plan() -> None:
    unknown = home(import_eur_kwh=(None,) * SHORT, store=battery(), cars=(car(),))
    with pytest.raises(NoPricesError):
        PLANNER.make_plan(unknown)
    found = plan_by_rules(unknown)
    assert found.rung == "rules"
    assert found.why.code == "plan_by_rules_no_prices"
    assert modes(found, 0, 24) == {BatteryMode.NORMAL}
    assert {slot.cars[0].mode for slot in found.slots} == {ChargeMode.PV}


def test_prices_beyond_the_published_ones_follow_the_tariffs_shape() -> None:
    known = tuple(round(0.2 + 0.001 * k, 5) for k in range(96))
    problem = home(HORIZON, import_eur_kwh=known + (None,) * (HORIZON - 96))
    grid = grid_of(problem)
    prices = prices_of(problem, grid)
    assert prices.buy[96:192].tolist() == pytest.approx(known)
    assert prices.assumed == (False,) * 96 + (True,) * (HORIZON - 96)
    assert not prices.gap.any()
    usual = learn_shape(learn_shape((), 80, 0.5), 80, 0.4)
    assert usual[80] == pytest.approx(0.47)
    few = replace(problem, import_eur_kwh=(0.3,) + (None,) * (HORIZON - 1), usual_eur_kwh=usual)
    shaped = prices_of(few, grid).buy
    assert {float(shaped[k]) for k in range(HORIZON) if grid.quarters[k] == 80} == {0.47}


def test_learnt_prices_are_assumed_ones_and_days_of_23_and_25_hours_have_their_slots() -> None:
    for at in ("2026-03-28T23:00:00+00:00", "2026-10-24T22:00:00+00:00"):
        start = msgspec.convert(at, type=type(NOON))
        grid = grid_of(home(at=start))
        assert all(b - a == timedelta(minutes=15) for a, b in pairwise(grid.starts))
    spring = grid_of(home(at=msgspec.convert("2026-03-28T23:00:00+00:00", type=type(NOON))))
    assert 8 not in spring.quarters  # 02:00 does not exist
    assert spring.quarters[:93].count(0) == 2
