"""Limits, phases, orders, modes and events of a loadpoint (evcc-regulator.md §2, §5, §11)."""

from math import inf
from typing import Any

import pytest

from engine.loadpoint import (
    BOOST_HOLD,
    BOOST_OFF,
    BOOST_ON,
    BOOST_START,
    CONNECTED,
    ELAPSED,
    KEEP,
    LEFT,
    MINPV,
    NO_STATUS,
    NOW,
    OFF,
    PV,
    SCALE_1P,
    STARTED,
    STOPPED,
    UNSET,
    WROTE_CURRENT,
    WROTE_ENABLE,
    A,
    B,
    C,
    Loadpoint,
    active_phases,
    below_min,
    count_energy,
    energy_reached,
    limit_soc,
    look,
    max_phases,
    max_power,
    min_phases,
    run_counter,
    set_boost,
    set_current,
    set_mode,
    soc_reached,
    switch_phases,
    sync,
)
from engine.regulator import ask, hold_boost
from tests.make_homes import a_box, a_point, a_site, charging_point, copy_of, switching, timer

NOW_S = 1000.0


# --- limits and minSoc (§12) ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "below"),
    [
        (a_point(min_soc=0), False),
        (a_point(min_soc=20), False),
        (a_point(min_soc=21), True),
        (a_point(min_soc=10, vehicle_min_soc=30), True),
        (a_point(min_soc=50, knows_vehicle=False), False),
        (a_point(min_soc=17, soc=0.0, session_kwh=9.9), True),  # 50 kWh * 17 % / 0.85 = 10
        (a_point(min_soc=17, soc=0.0, session_kwh=10.0), False),
    ],
)
def test_below_min_soc(point: Loadpoint, below: bool) -> None:
    assert below_min(point) is below


@pytest.mark.parametrize(
    ("point", "limit", "reached"),
    [
        (a_point(), 100, False),
        (a_point(soc=100.0), 100, False),  # 100 never stops, the car does
        (a_point(vehicle_limit_soc=20), 20, True),
        (a_point(vehicle_limit_soc=20, limit_soc=30), 30, False),
        (a_point(limit_soc=21, soc=20.9), 21, False),
        (a_point(limit_soc=21, soc=21.0), 21, True),
        (a_point(limit_soc=20, soc=0.0), 20, False),
    ],
)
def test_limit_soc(point: Loadpoint, limit: int, reached: bool) -> None:
    assert limit_soc(point) == limit
    assert soc_reached(point) is reached


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, True),
        ({"session_kwh": 4.9}, False),
        ({"limit_energy": 0.0}, False),
        ({"vehicle_tells_soc": True}, False),  # a car that tells its SoC ignores it
        ({"soc": 40.0}, False),
    ],
)
def test_limit_energy(changes: dict[str, Any], reached: bool) -> None:
    usual = {"vehicle_tells_soc": False, "soc": 0.0, "limit_energy": 5.0, "session_kwh": 5.0}
    assert energy_reached(a_point(**{**usual, **changes})) is reached


# --- phases that count (§2) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "active", "most", "fewest"),
    [
        (a_point(), 3, 3, 3),
        (a_point(phases=0), 3, 3, 3),
        (a_point(phases=1), 1, 1, 1),
        (a_point(single_phase=True), 1, 1, 1),
        (a_point(vehicle_phases=2), 2, 2, 2),
        (a_point(measured_phases=1), 1, 1, 1),
        (a_point(phases=1, measured_phases=1), 1, 1, 1),
        (switching(), 3, 3, 1),
        (switching(phases=1), 1, 3, 1),
        (switching(phases=1, measured_phases=1), 1, 3, 1),  # on 1 phase 1 proves nothing
        (switching(measured_phases=1), 1, 1, 1),
        (switching(phases=1, phases_configured=1), 1, 1, 1),
        (switching(phases=0, vehicle_phases=1), 1, 1, 1),
    ],
)
def test_phases_that_count(point: Loadpoint, active: int, most: int, fewest: int) -> None:
    assert (active_phases(point), max_phases(point), min_phases(point)) == (active, most, fewest)
    assert max_power(point) == 230.0 * 16.0 * most


# --- orders (§5) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "amps", "offered_a", "enabled", "wrote"),
    [
        (a_point(), 7.9, 7.0, True, WROTE_CURRENT + WROTE_ENABLE),
        (a_point(takes_fractions=True), 7.9, 7.9, True, WROTE_CURRENT + WROTE_ENABLE),
        (a_point(), 5.9, 0.0, False, 0),
        (a_point(vehicle_min_a=8.0), 7.9, 0.0, False, 0),
        (charging_point(7.0), 7.5, 7.0, True, 0),  # nothing changes, nothing is sent
        (charging_point(7.0), 8.0, 8.0, True, WROTE_CURRENT),
        (charging_point(7.0), 0.0, 0.0, False, WROTE_ENABLE),
        (a_point(min_a=10.0, max_a=8.0), 10.0, 0.0, False, 0),  # min above max: nothing is set
        (charging_point(7.0, min_a=10.0, max_a=8.0), 0.0, 7.0, True, 0),
    ],
)
def test_orders_are_sent_where_they_change(
    point: Loadpoint, amps: float, offered_a: float, enabled: bool, wrote: int
) -> None:
    point = copy_of(point)
    was = point.enabled
    box = a_box(enabled=was, current_a=point.offered_a)
    set_current(point, box, amps, NOW_S)
    assert (point.offered_a, point.enabled, point.wrote) == (offered_a, enabled, wrote)
    assert box.enabled is enabled
    if enabled:
        assert box.current_a == offered_a
    assert point.switched_at_s == (NOW_S if was != enabled else ELAPSED)


def test_phases_are_switched_once() -> None:
    point, box = switching(measured_phases=3, phase_timer_s=990.0, phase_action=SCALE_1P), a_box()
    switch_phases(point, box, 1, NOW_S)
    assert (box.phases, point.phases, point.measured_phases) == (1, 1, 0)
    assert (timer(point.phase_timer_s), point.phases_switched_at_s) == ("unset", NOW_S)
    point.wrote = 0
    switch_phases(point, box, 1, NOW_S + 30)
    assert (point.wrote, point.phases_switched_at_s) == (0, NOW_S)


# --- modes and boost ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "pv_timer", "phase_timer", "plan"),
    [
        (PV, NOW, "unset", "unset", False),
        (PV, OFF, "unset", "unset", False),
        (PV, MINPV, "unset", 5.0, True),
        (NOW, PV, "elapsed", 5.0, True),  # a timer elapsed by plugging in survives
        (MINPV, PV, "elapsed", 5.0, True),
        (PV, PV, "elapsed", 5.0, True),
        (PV, KEEP, "elapsed", 5.0, True),
    ],
)
def test_change_of_mode(
    before: int, after: int, pv_timer: str, phase_timer: float | str, plan: bool
) -> None:
    point = a_point(
        mode=before, pv_timer_s=ELAPSED, phase_timer_s=5.0, plan_active=True, boost=BOOST_ON
    )
    set_mode(point, after)
    real = after not in (before, KEEP)
    assert point.mode == (after if real else before)
    assert point.boost == (BOOST_OFF if real else BOOST_ON)
    assert (timer(point.pv_timer_s), timer(point.phase_timer_s)) == (pv_timer, phase_timer)
    assert point.plan_active is plan


def test_boost_by_request_and_its_limit() -> None:
    point = a_point()
    set_boost(point, True)
    assert point.boost == BOOST_START
    point.boost = BOOST_ON
    set_boost(point, True)
    assert point.boost == BOOST_ON
    for limit, held in ((50, False), (51, True)):
        point.boost_limit = limit
        hold_boost(a_site(), point)
        assert (point.boost == BOOST_HOLD) is held
    set_boost(point, False)
    assert point.boost == BOOST_OFF
    hold_boost(a_site(), point)
    assert point.boost == BOOST_OFF


# --- status and events (§5.4, §11) ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "plugged", "draws", "events"),
    [
        (NO_STATUS, False, False, LEFT),
        (NO_STATUS, True, False, CONNECTED),
        (NO_STATUS, True, True, CONNECTED + STARTED),
        (A, False, False, 0),
        (A, True, False, CONNECTED),
        (A, True, True, CONNECTED + STARTED),
        (B, True, False, 0),
        (B, True, True, STARTED),
        (B, False, False, LEFT),
        (C, True, True, 0),
        (C, True, False, STOPPED),
        (C, False, False, STOPPED + LEFT),
    ],
)
def test_events(before: int, plugged: bool, draws: bool, events: int) -> None:
    point = a_point(status=before)
    assert look(point, a_box(plugged=plugged, charge_w=4140.0 if draws else 0.0)) == events
    assert point.status == ((C if draws else B) if plugged else A)


def test_plugging_in_begins_a_session_and_lets_pv_start_at_once() -> None:
    point = a_point(status=A, session_kwh=7.0, pv_timer_s=UNSET, ask_soc=False, limit_soc=80)
    look(point, a_box())
    assert (point.session_kwh, timer(point.pv_timer_s), point.ask_soc) == (0.0, "elapsed", True)
    assert point.limit_soc == 80


@pytest.mark.parametrize(
    ("before", "after"), [(UNSET, "unset"), (5.0, "unset"), (ELAPSED, "elapsed")]
)
def test_a_stop_unsets_the_timer_unless_it_is_elapsed(before: float, after: str) -> None:
    point = a_point(status=C, pv_timer_s=before)
    look(point, a_box())
    assert timer(point.pv_timer_s) == after
    assert point.ask_soc


def test_what_goes_with_the_car() -> None:
    point = a_point(
        status=B, mode=NOW, default_mode=PV, boost=BOOST_ON, limit_soc=80, limit_energy=5.0,
        plan_active=True, session_kwh=3.0, measured_phases=1, soc=50.0, min_soc=30,
    )  # fmt: skip
    look(point, a_box(plugged=False))
    assert (point.mode, point.boost, point.limit_soc, point.limit_energy) == (PV, BOOST_OFF, 0, 0.0)
    assert (point.plan_active, point.measured_phases, point.soc) == (False, 0, 0.0)
    assert (point.session_kwh, point.min_soc) == (3.0, 30)  # these stay
    stays = a_point(mode=NOW)
    look(stays, a_box(plugged=False))
    assert stays.mode == NOW


def test_the_session_counts_from_the_start_event_to_the_stop_event() -> None:
    point, box = a_point(status=B, charge_w=4140.0), a_box(charge_w=4140.0)
    for at_s, draws, expected_kwh in (
        (0.0, True, 0.0),  # the first interval is not counted
        (30.0, True, 4140 * 30 / 3.6e6),
        (60.0, True, 4140 * 60 / 3.6e6),
        (90.0, False, 4140 * 90 / 3.6e6),
        (120.0, False, 4140 * 90 / 3.6e6),
    ):
        box.charge_w = 4140.0 if draws else 0.0
        count_energy(point, at_s)
        run_counter(point, look(point, box), at_s)
        assert point.session_kwh == pytest.approx(expected_kwh)


@pytest.mark.parametrize(
    ("changes", "soc"),
    [
        ({"ask_soc": True}, 30.0),
        ({"status": C}, 30.0),
        ({}, 20.0),
        ({"status": C, "vehicle_tells_soc": False}, 20.0),
    ],
)
def test_a_car_is_asked_after_events_and_while_it_charges(
    changes: dict[str, Any], soc: float
) -> None:
    point = a_point(**changes)
    ask(point, a_box(car_kwh=15.0))
    assert point.soc == soc
    assert not point.ask_soc


# --- the box's own view (§5.6) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since_s", "since_phases_s", "believed"),
    [(60.0, inf, False), (60.1, inf, True), (inf, 60.0, False), (inf, 60.1, True)],
)
def test_the_box_is_believed_a_minute_after_the_last_switch(
    since_s: float, since_phases_s: float, believed: bool
) -> None:
    point = a_point(
        enabled=False, switched_at_s=NOW_S - since_s, phases_switched_at_s=NOW_S - since_phases_s
    )
    sync(point, a_box(enabled=True, current_a=6.0), NOW_S)
    assert point.enabled is believed


def test_a_box_that_went_off_at_a_phase_switch_is_enabled_again() -> None:
    point, box = switching(enabled=True, phases_switched_at_s=NOW_S - 60.0), a_box()
    sync(point, box, NOW_S)
    assert (point.enabled, box.enabled, point.wrote) == (True, True, WROTE_ENABLE)
    later = switching(enabled=True, phases_switched_at_s=NOW_S - 61.0)
    sync(later, a_box(), NOW_S)
    assert not later.enabled


def test_a_car_that_charges_while_disabled_is_taken_over() -> None:
    point = a_point(status=C, enabled=False, pv_timer_s=UNSET)
    sync(point, a_box(), NOW_S)
    assert (point.enabled, timer(point.pv_timer_s)) == (True, "elapsed")


@pytest.mark.parametrize(
    ("changes", "offered_a", "measured"),
    [
        ({}, 6.0, 0),
        ({"has_currents": True, "current_a": 7.0}, 6.0, 1),
        ({"has_currents": True, "current_a": 7.1}, 7.1, 1),
        ({"has_currents": True, "current_a": 7.1, "status": B}, 6.0, 0),
        ({"has_currents": True, "current_a": 6.0, "phases_switched_at_s": NOW_S - 60}, 6.0, 0),
    ],
)
def test_measured_currents(changes: dict[str, Any], offered_a: float, measured: int) -> None:
    point = charging_point(6.0, **changes)
    sync(point, a_box(enabled=True, current_a=6.0, charge_w=1380.0, car_phases=1), NOW_S)
    assert (point.offered_a, point.measured_phases) == (offered_a, measured)
