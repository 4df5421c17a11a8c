"""evcc's order of precedence, and cycles one after the other (evcc-regulator.md §3, §6)."""

import pytest

from engine.home import Box, House
from engine.loadpoint import (
    MINPV,
    NO_STATUS,
    NOW,
    OFF,
    WROTE_PHASES,
    A,
    C,
    Loadpoint,
)
from engine.regulator import control, step
from tests.make_homes import a_box, a_point, a_site, copy_of, switching, timer

NOW_S = 1000.0
SUN = (-9000.0, False, False)
DARK = (9000.0, False, False)


# --- precedence (§6) ------------------------------------------------------------------------------

STAY = "stays"


@pytest.mark.parametrize(
    ("point", "amps", "phases", "pv_timer"),
    [
        # 1 nobody is there
        (a_point(status=A, mode=NOW, plan_active=True), 0.0, 3, STAY),
        # 2 other phases are configured: nothing else in this cycle
        (switching(mode=NOW, phases_configured=1), 0.0, 1, STAY),
        # 3 off beats everything behind it
        (a_point(mode=OFF, min_soc=40, plan_active=True, smart_cost_active=True), 0.0, 3, STAY),
        # 4 minSoc and plans go before limits and prices
        (a_point(min_soc=40, limit_soc=10), 16.0, 3, "elapsed"),
        (a_point(plan_active=True, limit_soc=10), 16.0, 3, "elapsed"),
        (switching(plan_active=True, phases=1, vehicle_phases=1), 16.0, 3, "elapsed"),
        (switching(plan_active=True, phases=1, phases_configured=1), 16.0, 1, "elapsed"),
        (a_point(mode=NOW, min_soc=40), 16.0, 3, "elapsed"),
        # 5, 6 limits, also in minpv; timers stay
        (a_point(mode=MINPV, limit_soc=20), 0.0, 3, STAY),
        (a_point(mode=NOW, limit_soc=20, smart_cost_active=True), 0.0, 3, STAY),
        (
            a_point(mode=NOW, vehicle_tells_soc=False, soc=0.0, limit_energy=3.0, session_kwh=3.0),
            0.0,
            3,
            STAY,
        ),
        # 7 now leaves the timers alone
        (a_point(mode=NOW), 16.0, 3, STAY),
        (switching(mode=NOW, phases=1), 16.0, 3, STAY),
        # 8 price
        (a_point(smart_cost_active=True, feed_in_active=True), 16.0, 3, "elapsed"),
        (switching(mode=MINPV, phases=1, smart_cost_active=True), 16.0, 3, "elapsed"),
        # 9 feed-in
        (a_point(feed_in_active=True), 0.0, 3, "elapsed"),
        (a_point(mode=MINPV, feed_in_active=True), 6.0, 3, "elapsed"),
        (switching(mode=MINPV, feed_in_active=True), 6.0, 1, "elapsed"),
        # 10 the sun
        (a_point(mode=MINPV), 13.0, 3, "unset"),
    ],
)
def test_order_of_precedence(point: Loadpoint, amps: float, phases: int, pv_timer: str) -> None:
    point, box = copy_of(point), a_box(phases=point.phases)
    point.pv_timer_s, point.phase_timer_s = 990.0, 995.0
    switched = point.phases
    control(a_site(), point, box, SUN, NOW_S)
    assert point.offered_a == amps
    assert point.enabled is box.enabled is (amps > 0)
    assert point.phases == box.phases == phases
    assert timer(point.pv_timer_s) == (990.0 if pv_timer == STAY else pv_timer)
    if pv_timer == "elapsed" or switched != phases:
        assert timer(point.phase_timer_s) == "unset"
    elif pv_timer == STAY:
        assert point.phase_timer_s == 995.0


def test_configured_phases_are_set_first_and_the_current_in_the_next_cycle() -> None:
    point, box = switching(mode=NOW, phases_configured=1), a_box()
    control(a_site(), point, box, SUN, NOW_S)
    assert (point.wrote, box.phases, box.enabled) == (WROTE_PHASES, 1, False)
    control(a_site(), point, box, SUN, NOW_S + 30)
    assert (box.phases, box.current_a) == (1, 16.0)


def test_when_a_price_or_plan_ends_pv_decides_at_once() -> None:
    point, box = a_point(plan_active=True), a_box()
    control(a_site(), point, box, DARK, NOW_S)
    assert box.enabled
    point.plan_active = False
    point.status = C
    control(a_site(), point, box, DARK, NOW_S + 30)
    assert not box.enabled  # without the 180 s
    bright = a_point(smart_cost_active=True, feed_in_active=False)
    control(a_site(), bright, a_box(), SUN, NOW_S)
    bright.smart_cost_active = False
    control(a_site(), bright, a_box(enabled=True, current_a=16.0), SUN, NOW_S + 30)
    assert bright.enabled


# --- cycles ---------------------------------------------------------------------------------------


def lived(
    point: Loadpoint, box: Box, pv_w: list[float], house: House | None = None
) -> list[tuple[float, int]]:
    """Offered current and phases after each cycle of 30 s, with this sun and 300 W of load."""
    house, site, seen = house or House(), a_site(), []
    for k, sun_w in enumerate(pv_w):
        step(site, [point], house, [box], 0, 30.0 * k, 300.0, sun_w, 30.0)
        seen.append((point.offered_a, box.phases))
    return seen


def test_a_car_in_pv_follows_the_sun_and_is_held_for_180_s() -> None:
    point, box = a_point(status=NO_STATUS), a_box()
    seen = lived(point, box, [6000.0] * 4 + [0.0] * 8)
    # at once at the minimum; the step to the target when evcc sees it charge; held, then off
    assert [amps for amps, _ in seen] == [6.0, 8.0, 8.0, 8.0] + [6.0] * 6 + [0.0] * 2


def test_without_sun_a_car_that_comes_waits_for_60_s_of_it() -> None:
    point, box = a_point(status=NO_STATUS), a_box()
    seen = lived(point, box, [0.0] * 2 + [6000.0] * 4)
    assert [amps for amps, _ in seen] == [0.0] * 4 + [6.0, 8.0]


def test_a_switching_box_begins_on_one_phase_and_goes_up_after_60_s() -> None:
    point, box = switching(status=NO_STATUS, phases=0), a_box()
    seen = lived(point, box, [2000.0] * 3 + [9000.0] * 8)
    assert seen[:3] == [(6.0, 1), (7.0, 1), (7.0, 1)]
    assert seen[3:6] == [(16.0, 1)] * 2 + [(12.0, 3)]
    assert seen[-1] == (12.0, 3)


def test_a_limit_stops_in_the_cycle_that_reads_it() -> None:
    point, box = a_point(mode=NOW, limit_soc=21), a_box()
    lived(point, box, [0.0] * 20)
    assert not box.enabled
    assert 10.5 <= box.car_kwh < 10.5 + 11.04 / 120


def test_two_loadpoints_take_turns() -> None:
    points, boxes = [a_point(mode=NOW), a_point(mode=NOW)], [a_box(), a_box()]
    step(a_site(), points, House(), boxes, 0, 0.0, 0.0, 0.0, 30.0)
    assert [box.enabled for box in boxes] == [True, False]
    step(a_site(), points, House(), boxes, 1, 30.0, 0.0, 0.0, 30.0)
    assert [box.enabled for box in boxes] == [True, True]


def test_a_site_without_loadpoints_still_lives() -> None:
    house = House()
    step(a_site(), [], house, [], 0, 0.0, 600.0, 0.0, 30.0)
    assert house.import_kwh == pytest.approx(0.005)
