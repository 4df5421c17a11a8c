"""From surplus to current, its timers, phases and boost (evcc-regulator.md §7-10)."""

from typing import Any

import pytest

from engine.loadpoint import (
    BOOST_HOLD,
    BOOST_OFF,
    BOOST_ON,
    BOOST_START,
    DISABLE,
    ELAPSED,
    ENABLE,
    INACTIVE,
    MINPV,
    SCALE_1P,
    SCALE_3P,
    UNSET,
    B,
    Loadpoint,
)
from engine.regulator import (
    boost_w,
    pv_current,
    scale_phases,
    wait_to_disable,
    wait_to_enable,
)
from tests.make_homes import a_box, a_point, a_site, charging_point, copy_of, switching, timer

NOW_S = 1000.0


def current(
    point: Loadpoint, site_w: float, *, buffered: bool = False, start: bool = False, **site: Any
) -> float:
    """The current that pv sets at this site power."""
    return pv_current(a_site(**site), point, a_box(), (site_w, buffered, start), NOW_S)


# --- from surplus to current (§7) -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "site_w", "amps"),
    [
        (charging_point(10.0), 0.0, 10.0),
        (charging_point(10.0), -690.0, 11.0),  # the whole site power, in one cycle
        (charging_point(10.0), 1380.0, 8.0),
        (charging_point(10.0), -9000.0, 16.0),
        (charging_point(10.0), 2759.0, 10.0 - 2759 / 690),
        (charging_point(10.0, pv_timer_s=5.0), 2760.0, 6.0),  # 6 A exactly are enough
        (charging_point(10.0, pv_timer_s=5.0, mode=MINPV), 2760.0, 6.0),
        (charging_point(10.0, phases=1), -460.0, 12.0),
        (charging_point(10.0, vehicle_phases=1), -460.0, 12.0),
        (charging_point(10.0, max_a=10.0), -460.0, 10.0),
        # enabled without drawing: its own reserve does not count
        (charging_point(10.0, status=B), -4830.0, 7.0),
        # measured currents keep what is offered within 2 A of what is drawn
        (charging_point(16.0, has_currents=True, current_a=8.0), -690.0, 11.0),
        (charging_point(16.0, current_a=8.0), 690.0, 15.0),
    ],
)
def test_the_site_power_is_added_to_what_is_offered(
    point: Loadpoint, site_w: float, amps: float
) -> None:
    assert current(point, site_w) == pytest.approx(amps)
    assert timer(point.pv_timer_s) == "unset"


@pytest.mark.parametrize(
    ("changes", "power", "keeps"),
    [
        ({"mode": MINPV}, {}, True),
        ({}, {"start": True}, True),
        ({}, {"buffered": True}, True),
        ({"status": B}, {"buffered": True}, False),  # the buffer keeps a charge, it starts none
        ({"boost": BOOST_ON}, {}, True),
        ({"boost": BOOST_HOLD}, {}, False),
        ({}, {}, False),
    ],
)
def test_what_keeps_the_minimum_current_without_sun(
    changes: dict[str, Any], power: dict[str, bool], keeps: bool
) -> None:
    point = charging_point(10.0, pv_timer_s=5.0, **changes)
    assert current(point, 9000.0, **power) == (6.0 if keeps else 0.0)
    assert timer(point.pv_timer_s) == (5.0 if keeps else "unset")  # kept: untouched; else it fired


def test_enough_sun_unsets_the_timer() -> None:
    for mode in (1, MINPV):
        point = charging_point(10.0, mode=mode, pv_timer_s=5.0)
        assert current(point, 0.0) == 10.0
        assert (timer(point.pv_timer_s), point.pv_action) == ("unset", INACTIVE)


# --- the enable and disable timer (§8) ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "target_a", "site_w", "amps", "left"),
    [
        ({}, 6.0, -4140.0, 0.0, NOW_S),  # starts
        ({}, 5.9, -4100.0, 0.0, "unset"),
        ({"pv_timer_s": 941.0}, 6.0, -4140.0, 0.0, 941.0),
        ({"pv_timer_s": 940.0}, 6.0, -4140.0, 6.0, "unset"),  # 60 s
        ({"pv_timer_s": 940.0}, 5.9, -4100.0, 0.0, "unset"),  # one cycle without resets it
        ({"pv_timer_s": ELAPSED}, 6.0, -4140.0, 6.0, "unset"),
        ({"pv_timer_s": ELAPSED}, 5.9, -4100.0, 0.0, "unset"),
        ({"pv_timer_s": 990.0, "enable_delay_s": 10.0}, 6.0, -4140.0, 6.0, "unset"),
        ({"enable_delay_s": 0.0}, 6.0, -4140.0, 6.0, "unset"),
        # a threshold of one's own takes the place of the minimum current
        ({"enable_threshold": -1000.0}, 0.0, -999.0, 0.0, "unset"),
        ({"enable_threshold": -1000.0}, 0.0, -1000.0, 0.0, NOW_S),
        ({"enable_threshold": -1000.0, "pv_timer_s": 900.0}, 0.0, -1000.0, 6.0, "unset"),
        ({"enable_threshold": -6000.0, "pv_timer_s": 900.0}, 8.0, -5520.0, 0.0, "unset"),
    ],
)
def test_enable_timer(
    changes: dict[str, Any], target_a: float, site_w: float, amps: float, left: float | str
) -> None:
    point = a_point(**changes)
    assert wait_to_enable(point, target_a, site_w, NOW_S) == amps
    assert timer(point.pv_timer_s) == left
    if left == NOW_S:
        assert point.pv_action == ENABLE
    if left == "unset":
        assert point.pv_action == INACTIVE


@pytest.mark.parametrize(
    ("changes", "site_w", "amps", "left"),
    [
        ({}, 0.0, 6.0, NOW_S),  # 0 W are enough
        ({}, -0.1, 6.0, "unset"),
        ({"pv_timer_s": 821.0}, 500.0, 6.0, 821.0),
        ({"pv_timer_s": 820.0}, 500.0, 0.0, "unset"),  # 180 s
        ({"pv_timer_s": 820.0}, -500.0, 6.0, "unset"),
        ({"pv_timer_s": ELAPSED}, 500.0, 0.0, "unset"),
        ({"disable_threshold": 300.0}, 299.0, 6.0, "unset"),
        ({"disable_threshold": 300.0}, 300.0, 6.0, NOW_S),
        ({"pv_timer_s": 990.0, "disable_delay_s": 10.0}, 500.0, 0.0, "unset"),
    ],
)
def test_disable_timer(
    changes: dict[str, Any], site_w: float, amps: float, left: float | str
) -> None:
    point = charging_point(6.0, **changes)
    assert wait_to_disable(point, site_w, NOW_S) == amps
    assert timer(point.pv_timer_s) == left
    if left == NOW_S:
        assert point.pv_action == DISABLE
    if left == "unset":
        assert point.pv_action == INACTIVE


@pytest.mark.parametrize(
    ("phase_timer_s", "site_w", "left"),
    [(UNSET, 2000.0, NOW_S), (990.0, 2000.0, "unset"), (990.0, 2760.0, NOW_S)],
)
def test_down_goes_before_stopping(phase_timer_s: float, site_w: float, left: float | str) -> None:
    point = charging_point(6.0, can_switch=True, phases_configured=0, phase_timer_s=phase_timer_s)
    assert wait_to_disable(point, site_w, NOW_S) == 6.0
    assert timer(point.pv_timer_s) == left


# --- phases (§9) ----------------------------------------------------------------------------------

ON_THREE = charging_point(6.0, can_switch=True, phases_configured=0)
ON_ONE = charging_point(16.0, can_switch=True, phases_configured=0, phases=1)


@pytest.mark.parametrize(
    ("point", "changes", "site_w", "scaled", "left"),
    [
        # down: import and less than 6 A on 3 phases, for the disable delay
        (ON_THREE, {}, 100.0, 0, NOW_S),
        (ON_THREE, {}, 0.0, 0, "unset"),
        (ON_THREE, {"phase_timer_s": 821.0}, 100.0, 0, 821.0),
        (ON_THREE, {"phase_timer_s": 820.0}, 100.0, 1, "unset"),
        (ON_THREE, {"phase_timer_s": 820.0}, -100.0, 0, "unset"),
        (ON_THREE, {"phase_timer_s": 990.0, "disable_delay_s": 10.0}, 100.0, 1, "unset"),
        (ON_THREE, {"charge_w": 6900.0}, 100.0, 0, "unset"),  # still 6 A and more
        (ON_THREE, {"phases_configured": 3}, 100.0, 0, "unset"),
        # up: more than 16 A on 1 phase and at least 6 A on 3, for the enable delay
        (ON_ONE, {}, -459.0, 0, "unset"),
        (ON_ONE, {}, -460.0, 0, NOW_S),
        (ON_ONE, {"phase_timer_s": 941.0}, -460.0, 0, 941.0),
        (ON_ONE, {"phase_timer_s": 940.0}, -460.0, 3, "unset"),
        (ON_ONE, {"max_a": 20.0}, -920.0, 0, "unset"),  # 1 phase can take it
        (ON_ONE, {"max_a": 20.0}, -921.0, 0, NOW_S),
        (ON_ONE, {"phases_configured": 1}, -2000.0, 0, "unset"),
        (ON_ONE, {"vehicle_phases": 1}, -2000.0, 0, "unset"),
        (ON_ONE, {"vehicle_phases": 2}, -2000.0, 0, NOW_S),
        # not charging: at once, in both directions
        (switching(), {}, 0.0, 1, "unset"),
        (switching(), {}, -4139.0, 1, "unset"),
        (switching(), {}, -4140.0, 0, "unset"),
        (switching(), {"phases": 0}, -1000.0, 1, "unset"),
        (switching(), {"enabled": True}, -1000.0, 0, "unset"),  # enabled: only with import
        (switching(), {"phases": 1}, -4140.0, 3, "unset"),
        (switching(), {"phases": 1}, -4139.0, 0, "unset"),
    ],
)
def test_phase_decision(
    point: Loadpoint, changes: dict[str, Any], site_w: float, scaled: int, left: float | str
) -> None:
    point = copy_of(point)
    for name, value in changes.items():
        setattr(point, name, value)
    before, box = point.phases, a_box()
    box.phases = point.phases
    assert scale_phases(point, box, site_w, NOW_S) == scaled
    assert timer(point.phase_timer_s) == left
    assert point.phases == box.phases == (scaled or before)
    if scaled:
        assert point.phases_switched_at_s == NOW_S
    if left == NOW_S:
        assert point.phase_action == (SCALE_1P if before == 3 else SCALE_3P)
    if left == "unset":
        assert point.phase_action == INACTIVE


@pytest.mark.parametrize(("since_s", "decides"), [(60.0, False), (60.1, True)])
def test_after_a_switch_nothing_is_decided_for_a_minute(since_s: float, decides: bool) -> None:
    point = switching(phases_switched_at_s=NOW_S - since_s)
    current(point, 0.0)
    assert (point.phases == 1) is decides


def test_after_a_switch_to_three_phases_power_does_not_jump() -> None:
    point = copy_of(ON_ONE)
    point.phase_timer_s = 940.0
    assert current(point, -1150.0) == pytest.approx(16 / 3 + 1150 / 690)  # 4830 W, as before


def test_after_a_switch_to_one_phase_the_old_power_still_counts() -> None:
    point = copy_of(ON_THREE)
    point.phase_timer_s = 820.0
    assert current(point, 2000.0) == 6.0
    assert (point.phases, timer(point.pv_timer_s)) == (1, NOW_S)
    point.charge_w = 1380.0
    assert current(point, -760.0) == pytest.approx(6 + 760 / 230)
    assert timer(point.pv_timer_s) == "unset"


def test_minpv_scales_as_pv_does() -> None:
    point = switching(mode=MINPV)
    assert current(point, 500.0) == 6.0
    assert point.phases == 1


# --- battery boost (§10) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "site", "pushed_w", "state"),
    [
        ({"boost": BOOST_OFF}, {"battery_w": 500.0}, 0.0, BOOST_OFF),
        ({"boost": BOOST_HOLD}, {"battery_w": 500.0}, 0.0, BOOST_HOLD),
        ({"boost": BOOST_START}, {}, 11_040.0, BOOST_ON),
        ({"boost": BOOST_START, "status": B}, {}, 11_040.0, BOOST_START),
        ({"boost": BOOST_ON}, {}, 100.0 + 690.0, BOOST_ON),
        ({"boost": BOOST_ON}, {"battery_w": 500.0}, 500.0 + 790.0, BOOST_ON),
        ({"boost": BOOST_ON}, {"battery_w": -500.0}, 790.0, BOOST_ON),
        ({"boost": BOOST_ON, "takes_fractions": True}, {}, 100.0, BOOST_ON),
        ({"boost": BOOST_ON}, {"residual_w": 200.0}, 890.0 + 200.0, BOOST_ON),
        ({"boost": BOOST_ON}, {"residual_w": -200.0}, 890.0 - 200.0, BOOST_ON),
        (
            {"boost": BOOST_ON},
            {"battery_w": 4000.0, "battery_max_discharge_w": 4500.0},
            4500.0,
            BOOST_ON,
        ),
    ],
)
def test_what_boost_adds(
    point: dict[str, Any], site: dict[str, float], pushed_w: float, state: int
) -> None:
    made = charging_point(10.0, **point)
    assert boost_w(a_site(has_battery=True, **site), made) == pushed_w
    assert made.boost == state
    elapsed = point["boost"] == BOOST_START
    assert timer(made.pv_timer_s) == ("elapsed" if elapsed else "unset")
    assert timer(made.phase_timer_s) == ("elapsed" if elapsed else "unset")


def test_boost_starts_a_car_at_once_and_raises_it_to_the_maximum() -> None:
    point = a_point(boost=BOOST_START)
    assert current(point, 0.0, has_battery=True) == 6.0
    point = charging_point(6.0, boost=BOOST_START)
    assert current(point, 0.0, has_battery=True) == 16.0
