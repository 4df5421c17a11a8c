"""Power is the proof: what contradicts a mode, for how long, and what is then thought of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from actors.orders import Desk, Held, Human
from actors.proof import (
    Proof,
    Proofs,
    Reading,
    Verdict,
    battery_says,
    loadpoint_says,
    not_obeyed,
    proved,
    reading_of,
)
from actors.script import script_of
from actors.situation import Situation, line_of
from actors.wishes import battery_wish, car_wish
from engine.values import Battery, BatteryMode, ChargeMode, FailedMeter, Loadpoint, Site, Why
from tests.make_actuator import (
    CHEAP,
    MINPV,
    NOW,
    PV,
    T0,
    after,
    car,
    loadpoint,
    plan,
    plan_slot,
    site,
    state,
)
from tests.make_proof import CHARGE, HOLD, NORMAL, READY, TOLD, home

OBEYS, SUSPECTED, REASSERT, NOT_OBEYED = Verdict


# --- the battery: for how long --------------------------------------------------------------------


def told(
    proofs: Proofs, at_s: float, known: Site, mode: BatteryMode | None = HOLD, **more: Any
) -> Proofs:
    return proved(proofs, Reading(after(at_s), known, TOLD, mode, **more))


def series(*charge_w: float, every_s: float = 30.0, mode: BatteryMode | None = HOLD) -> Proofs:
    """The proofs after one reading each `every_s`, beginning with a mode that was just shown."""
    proofs = Proofs()
    for k, power_w in enumerate(charge_w):
        proofs = told(proofs, k * every_s, home(power_w, mode), mode)
    return proofs


def test_three_cycles_against_it_and_the_mode_is_left() -> None:
    verdicts = [battery_says(series(*[-900.0] * n), HOLD).verdict for n in range(1, 6)]
    assert verdicts == [OBEYS, SUSPECTED, SUSPECTED, REASSERT, REASSERT]
    assert battery_says(series(*[-900.0] * 4), HOLD).since == after(90)


def test_time_counts_and_not_readings() -> None:
    assert battery_says(series(*[-900.0] * 9, every_s=10.0), HOLD).verdict is SUSPECTED
    assert battery_says(series(*[-900.0] * 10, every_s=10.0), HOLD).verdict is REASSERT
    assert battery_says(series(0.0, -900.0, -900.0, every_s=300.0), HOLD).verdict is REASSERT


def test_one_reading_that_agrees_or_tells_nothing_begins_anew() -> None:
    assert battery_says(series(0.0, -900.0, -900.0, 0.0, -900.0, -900.0), HOLD).verdict is SUSPECTED
    proofs = told(series(0.0, -900.0, -900.0), 90, home(-900.0), battery_failed=True)
    assert battery_says(proofs, HOLD).verdict is OBEYS
    buys = home(3000.0)
    proofs = Proofs()
    for k in range(9):
        proofs = told(proofs, k * 30, buys, grid_failed=True)
    assert battery_says(proofs, HOLD).verdict is OBEYS


@given(
    some.lists(some.floats(-140, 140), min_size=1, max_size=30),
    some.sampled_from((1.0, 10.0, 30.0, 300.0, 900.0)),
)
def test_a_battery_that_obeys_is_never_suspected(powers_w: list[float], every_s: float) -> None:
    assert battery_says(series(*powers_w, every_s=every_s), HOLD) == battery_says(Proofs(), HOLD)


@given(some.lists(some.floats(1, 400), min_size=20, max_size=40), some.sampled_from((10.0, 30.0)))
def test_a_battery_that_does_not_obey_is_found_in_time(gaps_s: list[float], cycle_s: float) -> None:
    """Never before it had three cycles, and always with the first reading after them."""
    proofs, at_s = Proofs(), 0.0
    suspected_s: float | None = None
    for gap_s in gaps_s:
        known = replace(home(-900.0), interval_s=cycle_s)
        proofs = told(proofs, at_s, known)
        says = battery_says(proofs, HOLD)
        if says.verdict is REASSERT:
            break
        if says.verdict is SUSPECTED and suspected_s is None:
            suspected_s = at_s
        assert suspected_s is None or at_s - suspected_s < 2 * cycle_s
        at_s += gap_s
    else:
        assert at_s < 1000
        return
    assert at_s >= 3 * cycle_s - 1e-6


def left(proofs: Proofs, from_s: float, mode: BatteryMode | None = HOLD) -> tuple[Proofs, float]:
    """Released (a released battery: `normal` posted) until it may be entered again; and when."""
    away = NORMAL if mode is None else None
    at_s = from_s
    while battery_says(proofs, mode).verdict is REASSERT:
        at_s += 10
        assert at_s < from_s + 300
        proofs = told(proofs, at_s, home(-500.0, away, grid_w=0.0), away)
    return proofs, at_s


@pytest.mark.parametrize(("mode", "wrong_w"), [(HOLD, -900.0), (CHARGE, 0.0), (None, 0.0)])
def test_it_is_left_for_a_whole_cycle_and_entered_once_more_then_given_up(
    mode: BatteryMode | None, wrong_w: float
) -> None:
    proofs = series(*[wrong_w] * 4, mode=mode)
    proofs, at_s = left(proofs, 90, mode)
    assert at_s >= 90 + 30 + 15
    for k in range(5):
        proofs = told(proofs, at_s + 30 * k, home(wrong_w, mode), mode)
    says = battery_says(proofs, mode)
    assert (says.verdict, says.since) == (NOT_OBEYED, after(at_s + 90))
    (shown,) = not_obeyed(proofs)
    assert (shown.setting, shown.mode) == ("battery_mode", mode.value if mode else "")


def test_after_an_hour_a_mode_that_was_given_up_gets_another_chance() -> None:
    proofs, at_s = left(series(*[-900.0] * 4), 90)
    for k in range(5):
        proofs = told(proofs, at_s + 30 * k, home(-900.0))
    given_up_s = at_s + 90
    for k in range(12):  # released meanwhile
        proofs = told(proofs, given_up_s + 300 * k, home(-500.0, None, grid_w=0.0), None)
        assert battery_says(proofs, HOLD).verdict is NOT_OBEYED
    proofs = told(proofs, given_up_s + 3600, home(-500.0, None, grid_w=0.0), None)
    assert battery_says(proofs, HOLD).verdict is OBEYS
    for k in range(4):
        proofs = told(proofs, given_up_s + 3630 + 30 * k, home(-900.0))
    assert battery_says(proofs, HOLD).verdict is REASSERT


def test_who_obeyed_for_long_enough_is_left_and_entered_once_more() -> None:
    for good_s, verdict in [(600, NOT_OBEYED), (1000, REASSERT)]:
        proofs, at_s = left(series(*[-900.0] * 4), 90)
        for second in range(0, good_s, 50):
            proofs = told(proofs, at_s + second, home(0.0))
        for k in range(3):
            proofs = told(proofs, at_s + good_s + 30 * k, home(-900.0))
        assert battery_says(proofs, HOLD).verdict is verdict


def test_a_mode_that_evcc_itself_does_not_show_is_left_too() -> None:
    """Errors other than HTTP's: evcc goes on trying and shows the old mode."""
    shown = replace(home(0.0), battery=Battery(50.0, 0.0, 10.0, NORMAL, HOLD, True))
    proofs = Proofs()
    for k in range(4):
        proofs = told(proofs, 30 * k, shown)
    assert battery_says(proofs, HOLD).verdict is REASSERT


def test_evcc_that_wants_the_same_mode_itself_does_not_keep_us_waiting() -> None:
    proofs = series(*[-900.0] * 4)
    for k in range(1, 20):  # released, but evcc holds it for a car
        proofs = told(proofs, 90 + 10 * k, home(-900.0), None)
    assert battery_says(proofs, HOLD).verdict is OBEYS


def test_a_restart_of_evcc_and_a_home_without_battery_forget() -> None:
    bad = series(*[-900.0] * 4)
    assert battery_says(told(bad, 120, home(0.0), restarted=True), HOLD).verdict is OBEYS
    assert told(bad, 120, site(battery=None), None) == Proofs()


# --- a battery that is full -----------------------------------------------------------------------


def charged(*readings: tuple[float, float], proofs: Proofs | None = None) -> Proofs:
    """One reading each 30 s in `charge`: power and SoC."""
    proofs = proofs or Proofs()
    for k, (power_w, soc_pct) in enumerate(readings):
        proofs = told(proofs, 30 * k, home(power_w, CHARGE, soc_pct), CHARGE)
    return proofs


def test_charge_that_sticks_after_full_is_left_and_entered_again() -> None:
    full = charged((5000, 93), (5000, 94), *[(0.0, 95.0)] * 6)
    assert (battery_says(full, CHARGE).verdict, full.full_pct) == (OBEYS, 95.0)
    stuck = charged((5000, 93), (5000, 94), *[(0.0, 95.0)] * 6, *[(0.0, 93.0)] * 3)
    assert battery_says(stuck, CHARGE).verdict is REASSERT


def test_a_maximum_that_nobody_told_us_is_learnt_and_forgotten() -> None:
    """The inverter stops at 88 %, the settings say 95."""
    own = charged((5000, 87), (5000, 88), *[(0.0, 88.0)] * 9)
    assert (battery_says(own, CHARGE).verdict, own.full_pct) == (OBEYS, 88.0)
    low = charged((5000, 87), (5000, 88), *[(0.0, 88.0)] * 9, *[(0.0, 86.0)] * 3)
    assert battery_says(low, CHARGE).verdict is REASSERT
    beyond = charged((5000, 87), (5000, 88), *[(0.0, 88.0)] * 9, (4000, 90.0))
    assert beyond.full_pct is None


def test_a_battery_that_stops_half_full_is_not_full() -> None:
    assert (
        battery_says(charged((5000, 49), (5000, 50), *[(0.0, 50.0)] * 3), CHARGE).verdict
        is REASSERT
    )


# --- loadpoints -----------------------------------------------------------------------------------

DEAD = replace(READY, charge_w=0.0)


def watched(
    proofs: Proofs, since_s: int, until_s: int, lp: Loadpoint, mode: ChargeMode = NOW
) -> Proofs:
    """A reading each 30 s in which our `mode` is in force."""
    for second in range(since_s, until_s + 1, 30):
        reading = Reading(after(second), site(lp), TOLD, modes=((lp.name, mode),))
        proofs = proved(proofs, reading)
    return proofs


def test_a_loadpoint_has_five_minutes_is_left_and_entered_once_then_shown() -> None:
    assert loadpoint_says(watched(Proofs(), 0, 270, DEAD), "garage", NOW).verdict is SUSPECTED
    proofs = watched(Proofs(), 0, 300, DEAD)
    assert loadpoint_says(proofs, "garage", NOW).verdict is REASSERT
    proofs = watched(proofs, 330, 360, replace(DEAD, mode=PV, charging=False), PV)
    assert loadpoint_says(proofs, "garage", NOW).verdict is REASSERT
    proofs = watched(proofs, 390, 390, replace(DEAD, mode=PV, charging=False), PV)
    assert loadpoint_says(proofs, "garage", NOW).verdict is OBEYS
    proofs = watched(proofs, 420, 720, DEAD)
    assert loadpoint_says(proofs, "garage", NOW).verdict is NOT_OBEYED
    proofs = watched(proofs, 750, 750, READY)
    assert loadpoint_says(proofs, "garage", NOW).verdict is OBEYS


def test_a_switch_of_phases_and_an_unplugged_car_begin_anew() -> None:
    proofs = watched(Proofs(), 0, 270, DEAD)
    switched = replace(DEAD, phases_active=1)
    assert loadpoint_says(watched(proofs, 300, 570, switched), "garage", NOW).verdict is SUSPECTED
    gone = watched(proofs, 300, 300, replace(DEAD, connected=False))
    assert {one.setting for one in gone.known} == {"battery_mode"}


def test_with_many_loadpoints_evcc_has_more_time() -> None:
    others = tuple(loadpoint(f"lp-{k}", id=k) for k in range(2, 6))
    proofs = Proofs()
    verdicts = {}
    for second in range(0, 481, 30):
        known = site(DEAD, *others)
        proofs = proved(proofs, Reading(after(second), known, TOLD, modes=(("garage", NOW),)))
        verdicts[second] = loadpoint_says(proofs, "garage", NOW).verdict
    assert (verdicts[420], verdicts[450]) == (SUSPECTED, REASSERT)


def test_a_mode_that_is_not_ours_is_not_judged() -> None:
    proofs = Proofs()
    for second in range(0, 1200, 30):
        proofs = proved(proofs, Reading(after(second), site(DEAD), TOLD))
    assert loadpoint_says(proofs, "garage", NOW).verdict is OBEYS


def test_pv_that_is_not_obeyed_is_not_left_for_something_that_draws_more() -> None:
    stuck = replace(READY, mode=PV, enabled=False)
    proofs = watched(Proofs(), 0, 300, stuck, PV)
    assert loadpoint_says(proofs, "garage", PV).verdict is NOT_OBEYED
    proofs = watched(Proofs(), 0, 300, replace(DEAD, mode=MINPV), MINPV)
    assert loadpoint_says(proofs, "garage", MINPV).verdict is REASSERT


def test_a_reading_takes_our_modes_and_leaves_out_failed_meters_and_humans() -> None:
    known = state(after(10), site(DEAD)).state
    ours = Held(seen="pv", user="pv", ours="now"), Held(seen=0.0), Held(seen=0.0)
    desk = Desk("garage", True, "kia", *ours)
    reading = reading_of(known, TOLD, (desk,), HOLD, restarted=False)
    assert reading == Reading(after(10), site(DEAD), TOLD, HOLD, (("garage", NOW),))
    taken = replace(desk, human=Human(NOW, "pv", T0))
    broken = tuple(FailedMeter(one, T0, Why("meter_frozen")) for one in ("battery", "grid"))
    reading = reading_of(replace(known, failed_meters=broken), TOLD, (taken,), None, restarted=True)
    assert reading is not None
    assert (reading.modes, reading.battery_failed, reading.grid_failed) == ((), True, True)
    assert reading_of(replace(known, site=None), TOLD, (), None, restarted=False) is None


# --- the gate -------------------------------------------------------------------------------------


def test_the_car_is_left_to_the_sun_for_a_moment_and_then_shown() -> None:
    made = plan([plan_slot(T0, NORMAL, (car(NOW),))])
    line, no_line = line_of(script_of(made.plan), T0)
    held = Held(seen="now"), Held(seen=0.0), Held(seen=0.0)
    desk = Desk("garage", True, "kia", *held)
    wishes = []
    for proof in (
        Proof("loadpoint:garage:mode", "now"),
        Proof("loadpoint:garage:mode", "now", leaving_at=T0),
        Proof("loadpoint:garage:mode", "now", refused_at=T0),
    ):
        view = Situation(T0, TOLD, site(DEAD), line=line, no_line=no_line, proofs=Proofs((proof,)))
        wish = car_wish(view, desk, DEAD)
        wishes.append((wish.mode, wish.why))
    named = (("vehicle", "kia"),)
    assert wishes == [
        (NOW, CHEAP),
        (PV, Why("car_again", named)),
        (NOW, Why("car_not_obeyed", named)),
    ]


def test_the_battery_is_not_touched_where_somebody_else_is_in_control() -> None:
    proof = Proof("battery_mode", "", leaving_at=T0)
    for idle, mode in [(None, NORMAL), (Why("stopping"), None), (Why("evcc_optimizer"), None)]:
        view = Situation(T0, TOLD, site(), idle=idle, proofs=Proofs((proof,)))
        assert battery_wish(view).mode is mode
