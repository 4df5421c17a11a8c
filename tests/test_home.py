"""The physics of a home: it balances, stays within its bounds, and modes mean what evcc means."""

from copy import deepcopy
from math import inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.home import (
    CHARGE,
    HOLD,
    HOLDCHARGE,
    NORMAL,
    UNKNOWN,
    Box,
    House,
    box_w,
    flow,
    into_battery_kwh,
    settle,
)
from tests.make_homes import houses

steady = settings(derandomize=True, deadline=None)
powers = st.floats(0, 20_000)

boxes_of = st.lists(
    st.builds(
        Box,
        phases=st.sampled_from([1, 2, 3]),
        enabled=st.booleans(),
        current_a=st.floats(0, 32),
        plugged=st.booleans(),
        refuses=st.booleans(),
        car_kwh=st.floats(0, 40),
        full_kwh=st.one_of(st.just(inf), st.floats(30, 60)),
        stop_kwh=st.one_of(st.just(inf), st.floats(0, 60)),
        car_phases=st.sampled_from([1, 2, 3]),
        car_max_a=st.floats(6, 32),
        charge_efficiency=st.floats(0.5, 1),
    ),
    max_size=3,
)

FULL = House(
    capacity_kwh=10.0, charge_w=5000.0, discharge_w=5000.0, charge_efficiency=0.95,
    discharge_efficiency=0.9, floor_kwh=0.5, max_kwh=9.5, battery_kwh=9.5,
)  # fmt: skip


def battery(**changes: float) -> House:
    """A 10 kWh battery, half full."""
    house = deepcopy(FULL)
    house.battery_kwh = 5.0
    for name, value in changes.items():
        setattr(house, name, value)
    return house


def charging(**changes: float) -> Box:
    """A box that gives 16 A on 3 phases to a car with 10 kWh."""
    box = Box(enabled=True, current_a=16.0, plugged=True, car_kwh=10.0)
    for name, value in changes.items():
        setattr(box, name, value)
    return box


@steady
@given(houses, boxes_of, powers, powers, st.floats(0.5, 1800))
@example(FULL, [charging(car_kwh=30.0, full_kwh=30.0)], 300.0, 9000.0, 900.0)
def test_inv_08_house_load_is_in_the_balance_of_every_step(
    house: House, boxes: list[Box], load_w: float, pv_w: float, dt_s: float
) -> None:
    house, boxes = deepcopy(house), deepcopy(boxes)
    held_kwh, cars_kwh = house.battery_kwh, [box.car_kwh for box in boxes]
    flow(house, boxes, load_w, pv_w)
    settle(house, boxes, dt_s)
    drawn_kwh = sum(box.charged_kwh for box in boxes)
    sources = house.pv_kwh + house.import_kwh + house.discharged_kwh
    sinks = house.load_kwh + drawn_kwh + house.export_kwh + house.charged_kwh
    assert sources == pytest.approx(sinks, abs=1e-9)
    assert house.load_kwh == pytest.approx(load_w * dt_s / 3.6e6, abs=1e-9)
    assert house.pv_kwh == pytest.approx(pv_w * dt_s / 3.6e6, abs=1e-9)
    for box, before in zip(boxes, cars_kwh, strict=True):
        gained = box.charged_kwh * box.charge_efficiency
        assert box.car_kwh - before == pytest.approx(gained, abs=1e-9)
    stored = house.charged_kwh * house.charge_efficiency
    taken = house.discharged_kwh / house.discharge_efficiency
    assert house.battery_kwh - held_kwh == pytest.approx(stored - taken, abs=1e-9)


@steady
@given(houses, boxes_of, powers, powers)
def test_meters_balance_at_every_moment(
    house: House, boxes: list[Box], load_w: float, pv_w: float
) -> None:
    house, boxes = deepcopy(house), deepcopy(boxes)
    flow(house, boxes, load_w, pv_w)
    cars_w = sum(box.charge_w for box in boxes)
    assert house.grid_w + house.pv_w + house.battery_w == pytest.approx(load_w + cars_w, abs=1e-6)
    assert -house.charge_w - 1e-6 <= house.battery_w <= house.discharge_w + 1e-6


@steady
@given(houses, boxes_of, powers, powers, st.floats(0.5, 1800))
def test_nothing_is_bought_and_sold_or_charged_and_discharged_at_once(
    house: House, boxes: list[Box], load_w: float, pv_w: float, dt_s: float
) -> None:
    house, boxes = deepcopy(house), deepcopy(boxes)
    flow(house, boxes, load_w, pv_w)
    settle(house, boxes, dt_s)
    flowed = (house.import_kwh, house.export_kwh, house.charged_kwh, house.discharged_kwh)
    assert min(flowed) >= 0
    assert min(house.import_kwh, house.export_kwh) == 0
    assert min(house.charged_kwh, house.discharged_kwh) == 0
    assert min(house.discharged_kwh, house.export_kwh) <= 1e-12  # never to the grid


@steady
@given(houses, boxes_of, powers, powers, st.floats(0.5, 7200))
def test_energy_stays_within_battery_and_car(
    house: House, boxes: list[Box], load_w: float, pv_w: float, dt_s: float
) -> None:
    house, boxes = deepcopy(house), deepcopy(boxes)
    held_kwh, cars_kwh = house.battery_kwh, [box.car_kwh for box in boxes]
    flow(house, boxes, load_w, pv_w)
    settle(house, boxes, dt_s)
    assert min(held_kwh, house.floor_kwh) <= house.battery_kwh <= max(held_kwh, house.max_kwh)
    for box, before in zip(boxes, cars_kwh, strict=True):
        assert before <= box.car_kwh <= max(before, min(box.full_kwh, box.stop_kwh))


@pytest.mark.parametrize(
    ("changes", "drawn_w"),
    [
        ({}, 11_040.0),
        ({"current_a": 6.0}, 4140.0),
        ({"phases": 1}, 3680.0),
        ({"car_phases": 1}, 3680.0),
        ({"car_phases": 2}, 7360.0),
        ({"car_max_a": 10.0}, 6900.0),
        ({"enabled": False}, 0.0),
        ({"plugged": False}, 0.0),
        ({"refuses": True}, 0.0),
        ({"full_kwh": 10.0}, 0.0),
        ({"stop_kwh": 10.0}, 0.0),
        ({"full_kwh": 10.1}, 11_040.0),
    ],
)
def test_what_a_car_draws(changes: dict[str, float], drawn_w: float) -> None:
    box = charging(**changes)
    assert box_w(box) == drawn_w
    house = House()
    flow(house, [box], 0.0, 0.0)
    assert house.grid_w == drawn_w
    settle(house, [box], 1.0)
    assert box.charged_kwh == pytest.approx(drawn_w / 3.6e6)


@pytest.mark.parametrize("limit", ["full_kwh", "stop_kwh"])
def test_a_car_stops_inside_a_step_where_it_is_full(limit: str) -> None:
    box, house = charging(**{limit: 10.05}), House()
    for _ in range(2):
        flow(house, [box], 0.0, 0.0)
        settle(house, [box], 60.0)
        assert box.car_kwh == pytest.approx(10.05, abs=1e-12)
        assert house.import_kwh == pytest.approx(0.05 / 0.9)
    assert box.charge_w == 0.0


def test_a_car_that_holds_more_than_allowed_keeps_it() -> None:
    box, house = charging(stop_kwh=5.0), House()
    flow(house, [box], 0.0, 0.0)
    settle(house, [box], 60.0)
    assert (box.car_kwh, box.charged_kwh) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("mode", "pv_w", "load_w", "battery_w"),
    [
        (NORMAL, 3000.0, 1000.0, -2000.0),
        (NORMAL, 9000.0, 1000.0, -5000.0),
        (NORMAL, 0.0, 1000.0, 1000.0),
        (NORMAL, 0.0, 7000.0, 5000.0),
        (UNKNOWN, 0.0, 1000.0, 1000.0),
        (HOLD, 0.0, 1000.0, 0.0),
        (HOLD, 3000.0, 1000.0, -2000.0),
        (CHARGE, 0.0, 1000.0, -5000.0),
        (CHARGE, 9000.0, 0.0, -5000.0),
        (HOLDCHARGE, 3000.0, 1000.0, 0.0),
        (HOLDCHARGE, 0.0, 1000.0, 1000.0),
    ],
)
def test_battery_modes(mode: int, pv_w: float, load_w: float, battery_w: float) -> None:
    house = battery(mode=mode)
    flow(house, [], load_w, pv_w)
    assert house.battery_w == pytest.approx(battery_w)
    assert house.grid_w == pytest.approx(load_w - pv_w - battery_w)
    settle(house, [], 60.0)
    went_w = (house.discharged_kwh - house.charged_kwh) * 60_000
    assert went_w == pytest.approx(battery_w)


def test_whether_hold_charges_from_the_sun_is_the_inverters_affair() -> None:
    house = battery(mode=HOLD, hold_charges_from_pv=False)
    flow(house, [], 0.0, 3000.0)
    settle(house, [], 60.0)
    assert house.charged_kwh == 0
    assert house.export_kwh == pytest.approx(0.05)


def test_the_battery_feeds_a_car_but_never_the_grid() -> None:
    house, box = battery(), charging(current_a=6.0)
    flow(house, [box], 500.0, 1000.0)
    assert house.battery_w == pytest.approx(3640.0)
    assert house.grid_w == pytest.approx(0.0, abs=1e-9)


def test_floor_and_maximum_cut_the_step() -> None:
    house = battery(battery_kwh=0.51)
    flow(house, [], 5000.0, 0.0)
    settle(house, [], 60.0)
    assert house.battery_kwh == pytest.approx(0.5)
    assert house.discharged_kwh == pytest.approx(0.01 * 0.9)
    house = battery(battery_kwh=9.49)
    flow(house, [], 0.0, 5000.0)
    settle(house, [], 60.0)
    assert house.battery_kwh == pytest.approx(9.5)
    assert house.charged_kwh == pytest.approx(0.01 / 0.95)


@pytest.mark.parametrize(("held_kwh", "net_w"), [(0.4, -3000.0), (9.6, 3000.0)])
def test_beyond_its_bounds_a_battery_only_comes_back(held_kwh: float, net_w: float) -> None:
    house = battery(battery_kwh=held_kwh)
    flow(house, [], max(0.0, -net_w), max(0.0, net_w))
    assert house.battery_w == 0.0
    settle(house, [], 60.0)
    assert house.battery_kwh == held_kwh
    flow(house, [], max(0.0, net_w), max(0.0, -net_w))
    settle(house, [], 60.0)
    assert abs(house.battery_kwh - 5.0) < abs(held_kwh - 5.0)


def test_no_battery_takes_and_gives_nothing() -> None:
    house = House(mode=CHARGE, charge_w=5000.0, discharge_w=5000.0, max_kwh=5.0)
    assert into_battery_kwh(house, 1.0, 1.0) == 0.0
    assert into_battery_kwh(house, -1.0, 1.0) == 0.0
