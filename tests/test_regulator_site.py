"""What evcc counts as surplus (evcc-regulator.md §4) and what it tells the battery (§14)."""

from typing import Any

import pytest

from engine.home import CHARGE, HOLD, HOLDCHARGE, NORMAL, UNKNOWN, House
from engine.loadpoint import (
    BOOST_HOLD,
    BOOST_ON,
    ELAPSED,
    MINPV,
    NOW,
    OFF,
    UNSET,
    A,
    B,
    Loadpoint,
    Site,
)
from engine.regulator import battery, flexible_w, read, reserved_w, run_battery, site_power
from tests.make_homes import a_box, a_point, a_site, charging_point, switching


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ({"grid_w": -2000.0}, (-2000.0, False, False)),
        ({"grid_w": -2000.0, "residual_w": 300.0}, (-1700.0, False, False)),
        ({"grid_w": -2000.0, "residual_w": -300.0}, (-2300.0, False, False)),
        # above prioritySoc: what the battery takes is surplus, what it gives is not
        ({"has_battery": True, "battery_w": -3000.0}, (-3000.0, False, False)),
        ({"has_battery": True, "battery_w": 3000.0}, (3000.0, False, False)),
        (
            {"has_battery": True, "priority_soc": 50.0, "battery_w": -3000.0},
            (-3000.0, False, False),
        ),
        # below it: only export, less 100 W; a discharging battery still counts against the car
        ({"has_battery": True, "priority_soc": 51.0, "battery_w": -3000.0}, (100.0, False, False)),
        ({"has_battery": True, "priority_soc": 51.0, "grid_w": -500.0}, (-400.0, False, False)),
        ({"has_battery": True, "priority_soc": 51.0, "battery_w": 800.0}, (900.0, False, False)),
        # a residual power of one's own takes the place of the 100 W, a negative one does not
        (
            {"has_battery": True, "priority_soc": 51.0, "grid_w": -500.0, "residual_w": 200.0},
            (-300.0, False, False),
        ),
        (
            {"has_battery": True, "priority_soc": 51.0, "grid_w": -500.0, "residual_w": -200.0},
            (-400.0, False, False),
        ),
        # buffers: above bufferSoc, at bufferStartSoc; neither below prioritySoc while it charges
        ({"has_battery": True, "buffer_soc": 49.0}, (0.0, True, False)),
        ({"has_battery": True, "buffer_soc": 50.0}, (0.0, False, False)),
        ({"has_battery": True, "buffer_start_soc": 50.0}, (0.0, False, True)),
        ({"has_battery": True, "buffer_start_soc": 51.0}, (0.0, False, False)),
        (
            {"has_battery": True, "priority_soc": 60.0, "buffer_start_soc": 40.0},
            (100.0, False, True),
        ),
        (
            {
                "has_battery": True,
                "priority_soc": 60.0,
                "buffer_start_soc": 40.0,
                "buffer_soc": 40.0,
                "battery_w": -1.0,
            },
            (100.0, False, False),
        ),
        ({"buffer_soc": 10.0, "priority_soc": 90.0}, (0.0, False, False)),  # no battery
    ],
)
def test_site_power(site: dict[str, Any], expected: tuple[float, bool, bool]) -> None:
    assert site_power(a_site(**site), [a_point()], 0) == expected


@pytest.mark.parametrize("boost", [BOOST_ON, BOOST_HOLD])
def test_boost_ignores_priority_soc(boost: int) -> None:
    site = a_site(has_battery=True, priority_soc=60.0, grid_w=-200.0, battery_w=-3000.0)
    power_w, buffered, start = site_power(site, [a_point(boost=boost)], 0)
    assert power_w == -3200.0
    assert not buffered
    assert not start
    assert site_power(site, [a_point()], 0)[0] == -100.0


@pytest.mark.parametrize(
    ("other", "freed_w"),
    [
        (charging_point(10.0), 6900.0),
        (charging_point(10.0, mode=MINPV), 6900.0 - 4140.0),
        (charging_point(10.0, mode=MINPV, can_switch=True, phases_configured=0), 6900.0 - 1380.0),
        (charging_point(3.0, mode=MINPV), 0.0),  # less than its minimum: nothing to give
        (charging_point(10.0, status=B), 0.0),
        (charging_point(10.0, mode=NOW), 0.0),
        (charging_point(10.0, min_soc=30), 0.0),
        (charging_point(10.0, plan_active=True), 0.0),
        (charging_point(10.0, within_cost=True), 0.0),
        (charging_point(10.0, priority=1), 0.0),
        (charging_point(10.0, priority=2), 0.0),
    ],
)
def test_what_lower_priorities_give_up(other: Loadpoint, freed_w: float) -> None:
    points = [a_point(priority=1), other]
    assert flexible_w(points, 0) == freed_w
    assert site_power(a_site(grid_w=500.0), points, 0)[0] == 500.0 - freed_w
    points[0].mode = MINPV
    assert site_power(a_site(grid_w=500.0), points, 0)[0] == 500.0


@pytest.mark.parametrize(
    ("other", "kept_w"),
    [
        (a_point(priority=1, pv_timer_s=30.0), 11_040.0),
        (a_point(priority=1, pv_timer_s=ELAPSED), 11_040.0),
        (switching(priority=1, pv_timer_s=30.0), 11_040.0),
        (switching(priority=1, pv_timer_s=30.0, vehicle_phases=1), 3680.0),
        (a_point(priority=1, pv_timer_s=30.0, max_a=10.0), 6900.0),
        (a_point(priority=1, pv_timer_s=UNSET), 0.0),
        (a_point(priority=0, pv_timer_s=30.0), 0.0),
        (a_point(priority=1, pv_timer_s=30.0, enabled=True), 0.0),
        (a_point(priority=1, pv_timer_s=30.0, mode=MINPV), 0.0),
        (a_point(priority=1, pv_timer_s=30.0, status=A), 0.0),
        (a_point(priority=1, pv_timer_s=30.0, limit_soc=20), 0.0),
        (a_point(priority=1, pv_timer_s=30.0, limit_soc=21), 11_040.0),
        (a_point(priority=1, pv_timer_s=30.0, soc=100.0), 0.0),
        (
            a_point(
                priority=1,
                pv_timer_s=30.0,
                vehicle_tells_soc=False,
                soc=0.0,
                limit_energy=5.0,
                session_kwh=5.0,
            ),
            0.0,
        ),
    ],
)
def test_what_is_kept_for_higher_priorities_that_start(other: Loadpoint, kept_w: float) -> None:
    points = [a_point(), other]
    assert reserved_w(points, 0) == kept_w
    assert site_power(a_site(), points, 0)[0] == kept_w


def test_readings_are_what_the_meters_show() -> None:
    site, points = Site(has_battery=True), [a_point(), a_point()]
    house = House(capacity_kwh=8.0, battery_kwh=2.0, grid_w=100.0, pv_w=200.0, battery_w=-300.0)
    boxes = [a_box(charge_w=4140.0, current_a=6.0), a_box(current_a=20.0, car_max_a=16.0)]
    read(site, points, house, boxes)
    assert (site.grid_w, site.pv_w, site.battery_w, site.battery_soc) == (
        100.0,
        200.0,
        -300.0,
        25.0,
    )
    assert [(point.charge_w, point.current_a) for point in points] == [(4140.0, 6.0), (0.0, 16.0)]


# --- the battery's mode ---------------------------------------------------------------------------

FAST = charging_point(16.0, mode=NOW)


@pytest.mark.parametrize(
    ("site", "wanted"),
    [
        # leaving: one cycle of normal, before any wish of its own
        ({"external_at_s": 5.0, "battery_mode": CHARGE, "grid_charge_active": True}, NORMAL),
        ({"external_at_s": 5.0, "battery_mode": NORMAL}, NORMAL),
        # the external mode outranks its own wishes, and is written once
        ({"external": HOLD, "external_at_s": 5.0, "grid_charge_active": True}, HOLD),
        ({"external": HOLD, "external_at_s": 5.0, "battery_mode": HOLD}, UNKNOWN),
        ({"external": NORMAL, "external_at_s": 5.0, "discharge_control": True}, NORMAL),
        ({"external": HOLDCHARGE, "external_at_s": 5.0, "battery_mode": HOLD}, HOLDCHARGE),
        # then the price of the grid, then discharge control, then back to normal
        ({"grid_charge_active": True, "discharge_control": True}, CHARGE),
        ({"grid_charge_active": True, "battery_mode": CHARGE}, UNKNOWN),
        ({"discharge_control": True}, HOLD),
        ({"discharge_control": True, "battery_mode": HOLD}, UNKNOWN),
        ({"battery_mode": HOLD}, NORMAL),
        ({"battery_mode": CHARGE}, NORMAL),
        ({"battery_mode": NORMAL}, UNKNOWN),
        ({"battery_mode": UNKNOWN}, UNKNOWN),
    ],
)
def test_whose_battery_mode_counts(site: dict[str, Any], wanted: int) -> None:
    made = a_site(has_battery=True, **site)
    assert battery(made, [FAST]) == wanted
    assert made.battery_order == wanted


@pytest.mark.parametrize(
    ("point", "holds"),
    [
        (FAST, True),
        (charging_point(16.0, mode=NOW, status=B), False),
        (charging_point(16.0), False),
        (charging_point(16.0, within_cost=True), True),
        (charging_point(16.0, plan_active=True), True),
        (charging_point(16.0, min_soc=21), True),
        (charging_point(16.0, min_soc=20), False),
        (charging_point(16.0, mode=OFF), False),
    ],
)
def test_discharge_control_holds_while_a_car_charges_fast(point: Loadpoint, holds: bool) -> None:
    site = a_site(has_battery=True, discharge_control=True, battery_mode=NORMAL)
    assert battery(site, [a_point(), point]) == (HOLD if holds else UNKNOWN)


@pytest.mark.parametrize(
    ("max_soc", "mode", "wanted", "order"),
    [
        (50.0, NORMAL, CHARGE, HOLD),  # full: told to hold, remembered as charge
        (50.0, CHARGE, UNKNOWN, HOLD),  # in each cycle
        (51.0, NORMAL, CHARGE, CHARGE),
        (51.0, CHARGE, UNKNOWN, UNKNOWN),  # below its maximum again: nothing is sent
        (0.0, NORMAL, CHARGE, CHARGE),
        (100.0, NORMAL, CHARGE, CHARGE),
    ],
)
def test_a_full_battery_is_told_to_hold(max_soc: float, mode: int, wanted: int, order: int) -> None:
    site = a_site(
        has_battery=True, grid_charge_active=True, battery_max_soc=max_soc, battery_mode=mode
    )
    assert battery(site, []) == wanted
    assert site.battery_order == order


def test_leaving_takes_one_cycle_and_then_its_own_wish_is_back() -> None:
    site = a_site(has_battery=True, external=CHARGE, external_at_s=0.0, discharge_control=True)
    seen = []
    for expired in (False, False, True, True, True):
        if expired:
            site.external = UNKNOWN
        run_battery(site, [FAST], House())
        seen.append(site.battery_order)
    assert seen == [CHARGE, UNKNOWN, NORMAL, HOLD, UNKNOWN]
    assert (site.battery_mode, site.external_at_s) == (HOLD, UNSET)


def test_a_mode_set_again_before_the_cycle_of_leaving_stays() -> None:
    site = a_site(has_battery=True, external=CHARGE, external_at_s=0.0, battery_mode=CHARGE)
    site.external = HOLD
    house = House(mode=CHARGE)
    run_battery(site, [], house)
    assert house.mode == HOLD
    assert (site.battery_mode, site.external_at_s) == (HOLD, 0.0)
