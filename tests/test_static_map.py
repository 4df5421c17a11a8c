"""The static map: evcc's modes in one coarse step, in evcc's order of precedence."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.home import CHARGE, HOLD, Box, House
from engine.loadpoint import BOOST_HOLD, BOOST_ON, MINPV, NOW, OFF, B, C, Loadpoint, Site
from engine.static_map import map_step, set_by_map
from tests.make_homes import Home, a_box, a_point, copies, homes, switching

steady = settings(derandomize=True, deadline=None)
powers = st.floats(0, 20_000)


def battery(kwh: float = 5.0) -> House:
    """A 10 kWh battery."""
    return House(
        capacity_kwh=10.0, charge_w=5000.0, discharge_w=5000.0, charge_efficiency=0.95,
        discharge_efficiency=0.9, floor_kwh=0.5, max_kwh=9.5, battery_kwh=kwh,
    )  # fmt: skip


def drawn_w(
    point: Loadpoint,
    pv_w: float,
    *,
    box: Box | None = None,
    site: Site | None = None,
    house: House | None = None,
    dt_s: float = 60.0,
) -> float:
    """The car's mean power in one step."""
    box = box or a_box()
    map_step(site or Site(), [point], house or House(), [box], 0.0, pv_w, dt_s)
    return round(box.charged_kwh * 3.6e6 / dt_s, 6)


@steady
@given(homes(), powers, powers, st.sampled_from([60.0, 300.0, 900.0]))
def test_a_step_of_any_home_balances_and_stays_within_physics(
    given_home: Home, load_w: float, pv_w: float, dt_s: float
) -> None:
    site, points, house, boxes = copies(given_home)
    held_kwh, before = house.battery_kwh, [box.car_kwh for box in boxes]
    map_step(site, points, house, boxes, load_w, pv_w, dt_s)
    cars_kwh = sum(box.charged_kwh for box in boxes)
    sources = house.pv_kwh + house.import_kwh + house.discharged_kwh
    assert sources == pytest.approx(
        house.load_kwh + cars_kwh + house.export_kwh + house.charged_kwh, abs=1e-9
    )
    assert min(held_kwh, house.floor_kwh) <= house.battery_kwh <= max(held_kwh, house.max_kwh)
    for box, kwh in zip(boxes, before, strict=True):
        assert kwh <= box.car_kwh <= max(kwh, box.full_kwh)


@steady
@given(homes(), powers, powers)
def test_a_car_gets_nothing_that_it_may_not_have(
    given_home: Home, load_w: float, pv_w: float
) -> None:
    site, points, house, boxes = copies(given_home)
    map_step(site, points, house, boxes, load_w, pv_w, 900.0)
    for point, box in zip(points, boxes, strict=True):
        if not box.plugged or point.mode == OFF:
            assert box.charged_kwh == 0
        if point.offered_a:
            assert point.offered_a == int(point.offered_a)  # whole amperes
            assert point.min_a <= point.offered_a <= point.max_a
            assert point.offered_a == box.current_a
        most_w = min(box.current_a, box.car_max_a) * 230.0 * min(box.phases, box.car_phases)
        assert box.charged_kwh <= most_w / 4000.0 + 1e-9
        limited = point.vehicle_tells_soc and 0 < point.limit_soc < 100 and point.soc > 0
        if limited and box.charged_kwh and not point.plan_active:
            most_soc = max(point.limit_soc, point.min_soc if point.knows_vehicle else 0)
            assert box.car_kwh <= point.vehicle_capacity_kwh * most_soc / 100 + 1e-9


@pytest.mark.parametrize(
    ("point", "pv_w", "expected_w"),
    [
        (a_point(), 4139.0, 0.0),  # 6 A on 3 phases are 4140 W
        (a_point(), 4140.0, 4140.0),
        (a_point(), 5500.0, 4830.0),  # 7.97 A: whole amperes, rounded down
        (a_point(), 20_000.0, 11_040.0),  # 16 A
        (a_point(takes_fractions=True), 5520.0 + 345, 5865.0),
        (switching(), 1379.0, 0.0),
        (switching(), 1380.0, 1380.0),
        (switching(), 4139.0, 3680.0),  # the gap: 16 A on 1 phase, below 6 A on 3
        (switching(), 4140.0, 4140.0),
        (switching(phases_configured=1), 9000.0, 3680.0),
        (switching(phases_configured=3), 4139.0, 0.0),
        (switching(max_a=20.0), 4500.0, 4370.0),  # 1 phase as long as it can take it
        (switching(max_a=20.0), 4601.0, 4140.0),
        (a_point(mode=MINPV), 0.0, 4140.0),
        (switching(mode=MINPV), 0.0, 1380.0),
        (switching(mode=MINPV), 5000.0, 4830.0),
        (switching(mode=NOW), 0.0, 11_040.0),
        (switching(mode=NOW, phases_configured=1), 0.0, 3680.0),
        (a_point(mode=NOW, vehicle_max_a=10.0), 0.0, 6900.0),
        (a_point(mode=OFF), 20_000.0, 0.0),
    ],
)
def test_modes_and_currents(point: Loadpoint, pv_w: float, expected_w: float) -> None:
    assert drawn_w(point, pv_w) == expected_w


@pytest.mark.parametrize(
    ("box", "expected_w"),
    [
        ({"plugged": False}, 0.0),
        ({"refuses": True}, 0.0),
        ({"car_kwh": 50.0}, 0.0),
        ({"car_phases": 1}, 3680.0),  # a 1p car that does not say so: raised until the sun is used
        ({"car_max_a": 10.0}, 6900.0),
    ],
)
def test_what_the_car_makes_of_it(box: dict[str, Any], expected_w: float) -> None:
    assert drawn_w(a_point(), 9000.0, box=a_box(**box)) == expected_w


def test_a_car_that_says_one_phase_leaves_the_box_on_three() -> None:
    box = a_box(car_phases=1)
    assert drawn_w(switching(vehicle_phases=1), 9000.0, box=box) == 3680.0
    assert box.phases == 3


def test_measured_currents_show_a_car_on_one_phase() -> None:
    point, box = a_point(has_currents=True), a_box(car_phases=1)
    assert drawn_w(point, 5000.0, box=box) == 3680.0
    assert point.status == B
    box.charged_kwh = 0.0
    assert drawn_w(point, 1500.0, box=box) == 1380.0  # now it reckons with 6 A on 1 phase
    assert point.measured_phases == 1


@pytest.mark.parametrize(
    ("point", "expected_w"),
    [
        (a_point(mode=OFF, plan_active=True, min_soc=40), 0.0),  # off beats everything
        (a_point(plan_active=True, limit_soc=10), 11_040.0),  # a plan ignores limits
        (a_point(min_soc=40, limit_soc=10), 11_040.0),  # so does minSoc
        (a_point(mode=NOW, limit_soc=20), 0.0),
        (a_point(mode=MINPV, limit_soc=20), 0.0),
        (a_point(within_cost=True, limit_soc=20), 0.0),
        (a_point(within_cost=True), 11_040.0),
        (a_point(within_cost=True, within_feed_in=True), 11_040.0),
        (a_point(within_feed_in=True), 0.0),
        (switching(mode=MINPV, within_feed_in=True), 1380.0),
        (a_point(mode=NOW, within_feed_in=True), 11_040.0),
        (a_point(mode=NOW, limit_energy=5.0, session_kwh=6.0), 11_040.0),  # only without a SoC
        (
            a_point(mode=NOW, vehicle_tells_soc=False, limit_energy=5.0, session_kwh=6.0),
            11_040.0,
        ),
        (a_point(mode=NOW, vehicle_capacity_kwh=0.0, vehicle_tells_soc=False, limit_soc=20), 0.0),
        (
            a_point(mode=NOW, vehicle_capacity_kwh=0.0, vehicle_tells_soc=False, limit_soc=21),
            11_040.0,
        ),
    ],
)
def test_order_of_precedence(point: Loadpoint, expected_w: float) -> None:
    assert drawn_w(point, 9000.0) == expected_w


@pytest.mark.parametrize(
    ("point", "stops_at_kwh"),
    [
        (a_point(mode=NOW, limit_soc=21), 10.5),
        (a_point(mode=NOW, vehicle_limit_soc=21), 10.5),
        (a_point(min_soc=21), 10.5),
        (a_point(mode=MINPV, min_soc=21), 10.5),
        (a_point(mode=NOW, min_soc=21, limit_soc=22), 11.0),  # now goes on behind minSoc
        (a_point(min_soc=22, limit_soc=21), 11.0),
        (a_point(plan_active=True, limit_soc=21), 10.0 + 2.76 * 0.9),
    ],
)
def test_a_limit_is_met_inside_a_step_exactly(point: Loadpoint, stops_at_kwh: float) -> None:
    box = a_box()
    drawn_w(point, 0.0, box=box, dt_s=900.0)
    assert box.car_kwh == pytest.approx(stops_at_kwh, abs=1e-12)
    assert box.stop_kwh == float("inf")
    assert point.session_kwh == pytest.approx((stops_at_kwh - 10.0) / 0.9)


def test_a_met_limit_stays_met() -> None:
    point, box = a_point(mode=NOW, limit_soc=21), a_box()
    drawn_w(point, 0.0, box=box, dt_s=900.0)
    box.charged_kwh = 0.0
    assert drawn_w(point, 0.0, box=box, dt_s=900.0) == 0.0
    assert not box.enabled


def test_limit_energy_ends_a_guests_session_inside_the_step() -> None:
    guest = a_point(
        mode=NOW, knows_vehicle=False, vehicle_tells_soc=False, soc=0.0, limit_energy=1.0
    )
    box = a_box()
    drawn_w(guest, 0.0, box=box, dt_s=900.0)
    assert box.charged_kwh == pytest.approx(1.0)
    drawn_w(guest, 0.0, box=box, dt_s=900.0)
    assert box.charged_kwh == pytest.approx(1.0)


def test_min_soc_of_an_unknown_soc_counts_from_an_empty_car() -> None:
    silent = a_point(vehicle_tells_soc=False, soc=0.0, min_soc=10)
    box = a_box(full_kwh=60.0)
    for _ in range(4):
        drawn_w(silent, 0.0, box=box, dt_s=900.0)
    assert box.charged_kwh == pytest.approx(5.0 / 0.85)


def test_a_new_session_begins_when_a_car_comes() -> None:
    point, box = a_point(mode=NOW, session_kwh=9.0, limit_soc=80, status=C), a_box(plugged=False)
    drawn_w(point, 0.0, box=box)
    assert (point.status, point.limit_soc, point.soc) == (1, 0, 0.0)
    box.plugged = True
    drawn_w(point, 0.0, box=box)
    assert point.session_kwh == pytest.approx(11.04 / 60)


def test_a_new_box_has_its_phases_chosen_at_the_first_step() -> None:
    box = a_box(phases=3)
    assert drawn_w(switching(phases=0, status=0, soc=0.0), 2000.0, box=box) == 1840.0
    assert box.phases == 1


def test_a_box_that_was_released_by_hand_is_stopped() -> None:
    assert drawn_w(a_point(mode=OFF), 0.0, box=a_box(enabled=True, current_a=16.0)) == 0.0


def test_set_by_map_lives_through_nothing() -> None:
    point, box, house = a_point(mode=NOW, limit_soc=21), a_box(), battery()
    set_by_map(Site(has_battery=True), [point], house, [box], 500.0, 0.0)
    assert (box.enabled, box.current_a, box.phases, box.stop_kwh) == (True, 16.0, 3, 10.5)
    assert (house.battery_kwh, box.charged_kwh, house.import_kwh) == (5.0, 0.0, 0.0)


# --- the house battery ----------------------------------------------------------------------------


def test_above_priority_soc_the_car_takes_the_sun_from_the_battery() -> None:
    site = Site(has_battery=True, priority_soc=50.0)
    assert drawn_w(a_point(), 9000.0, site=site, house=battery(6.0)) == 8970.0


@pytest.mark.parametrize(("pv_w", "expected_w"), [(9000.0, 0.0), (9239.0, 0.0), (9240.0, 4140.0)])
def test_below_priority_soc_the_battery_goes_first_and_100_w_are_left(
    pv_w: float, expected_w: float
) -> None:
    site = Site(has_battery=True, priority_soc=50.0)
    assert drawn_w(a_point(), pv_w, site=site, house=battery(4.0)) == expected_w


def test_at_priority_soc_and_with_a_full_battery_nothing_is_kept_for_it() -> None:
    at = Site(has_battery=True, priority_soc=50.0)
    assert drawn_w(a_point(), 4140.0, site=at, house=battery(5.0)) == 4140.0
    full = battery(9.5)
    site = Site(has_battery=True, priority_soc=100.0)
    assert drawn_w(a_point(), 4239.0, site=site, house=full) == 0.0
    assert drawn_w(a_point(), 4240.0, site=site, house=full) == 4140.0  # the 100 W stay


@pytest.mark.parametrize("boost", [BOOST_HOLD, BOOST_ON])
@pytest.mark.parametrize("residual_w", [-200.0, 0.0, 300.0])
def test_boost_goes_before_the_battery_below_priority_soc(boost: int, residual_w: float) -> None:
    site = Site(has_battery=True, priority_soc=60.0, residual_w=residual_w)
    empty = battery(0.5)  # it has nothing to add
    surplus_w = 4830.0 + residual_w
    assert drawn_w(a_point(boost=boost), surplus_w, site=site, house=empty) == 4830.0
    empty = battery(0.5)
    assert drawn_w(a_point(boost=boost), surplus_w - 1.0, site=site, house=empty) == 4140.0


@pytest.mark.parametrize(("pv_w", "expected_w"), [(4600.0, 0.0), (4640.0, 4140.0)])
def test_residual_power_is_kept_as_export(pv_w: float, expected_w: float) -> None:
    assert drawn_w(a_point(), pv_w, site=Site(residual_w=500.0)) == expected_w


@pytest.mark.parametrize(
    ("battery_kwh", "charging", "expected_w"),
    [
        (6.0, True, 0.0),
        (7.0, True, 0.0),
        (8.0, False, 0.0),
        (8.0, True, 4140.0),
        (9.0, False, 4140.0),
    ],
)
def test_buffer_soc_keeps_a_charge_and_buffer_start_soc_begins_one(
    battery_kwh: float, charging: bool, expected_w: float
) -> None:
    site = Site(has_battery=True, buffer_soc=70.0, buffer_start_soc=90.0)
    box = a_box(charge_w=4140.0 if charging else 0.0)
    assert drawn_w(a_point(), 1000.0, site=site, house=battery(battery_kwh), box=box) == expected_w


@pytest.mark.parametrize(("pv_w", "expected_w"), [(0.0, 4140.0), (2000.0, 0.0)])
def test_below_priority_soc_a_battery_that_charges_starts_no_car(
    pv_w: float, expected_w: float
) -> None:
    site = Site(has_battery=True, priority_soc=80.0, buffer_start_soc=50.0)
    assert drawn_w(a_point(), pv_w, site=site, house=battery(6.0)) == expected_w


def test_boost_takes_what_the_battery_gives_until_its_limit() -> None:
    site = Site(has_battery=True)
    boosted = a_point(boost=BOOST_ON)
    assert drawn_w(boosted, 2000.0, site=site, house=battery()) == 6900.0
    held = a_point(boost=BOOST_ON, boost_limit=60)
    assert drawn_w(held, 2000.0, site=site, house=battery()) == 0.0


def test_fast_charging_holds_the_battery_in_the_same_step() -> None:
    site, house = Site(has_battery=True, discharge_control=True), battery()
    assert drawn_w(a_point(mode=NOW), 0.0, site=site, house=house) == 11_040.0
    assert (house.mode, house.discharged_kwh) == (HOLD, 0.0)
    follows = battery()
    drawn_w(a_point(), 5000.0, site=Site(has_battery=True, discharge_control=True), house=follows)
    assert follows.mode != HOLD


def test_a_battery_that_charges_from_the_grid_is_told_so() -> None:
    house = battery()
    drawn_w(
        a_point(mode=OFF), 0.0, site=Site(has_battery=True, grid_charge_active=True), house=house
    )
    assert house.mode == CHARGE
    assert house.charged_kwh == pytest.approx(5.0 / 60)


# --- several loadpoints ---------------------------------------------------------------------------


def shared_w(points: list[Loadpoint], pv_w: float) -> list[int]:
    """What each car draws."""
    boxes = [a_box() for _ in points]
    map_step(Site(), points, House(), boxes, 0.0, pv_w, 60.0)
    return [round(box.charged_kwh * 60_000) for box in boxes]


@pytest.mark.parametrize(
    ("priorities", "pv_w", "expected_w"),
    [
        ((0, 1), 6000.0, [0, 5520]),
        ((1, 0), 6000.0, [5520, 0]),
        ((0, 0), 6000.0, [5520, 0]),
        ((0, 1), 16_000.0, [4830, 11_040]),
        ((0, 2, 1), 16_000.0, [0, 11_040, 4830]),
        ((0, 2, 2), 16_000.0, [0, 11_040, 4830]),
        ((1, 0, 1), 27_000.0, [11_040, 4830, 11_040]),
    ],
)
def test_the_loadpoint_of_higher_priority_has_the_sun(
    priorities: tuple[int, ...], pv_w: float, expected_w: list[int]
) -> None:
    assert shared_w([a_point(priority=one) for one in priorities], pv_w) == expected_w


def test_what_charges_anyway_is_no_surplus_for_the_others() -> None:
    assert shared_w([a_point(), a_point(mode=NOW)], 12_000.0) == [0, 11_040]
    assert shared_w([a_point(), a_point(mode=MINPV)], 9000.0) == [4830, 4140]
