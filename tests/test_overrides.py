"""Whose a value is that evcc shows after a start, a plug or a tick: evcc's, ours, or a human's."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Heard, Said
from actors.orders import Desk, Held
from actors.overrides import EvccRules, read
from engine.messages import StateChanged, StopAsked, Tick
from engine.values import ChargeMode, EvccVehicle, Loadpoint, Site
from tests.make_actuator import (
    IN_NOW,
    MINPV,
    NOW,
    OFF,
    PV,
    actuator,
    after,
    charging,
    confirm,
    fail,
    loadpoint,
    orders,
    plan_of,
    site,
    state,
    tell,
)

GONE = loadpoint(connected=False, vehicle=None, vehicle_soc_pct=None)


def home(lp: Loadpoint, mode: ChargeMode | None = None, *others: EvccVehicle) -> Site:
    """A loadpoint, and what evcc tells of its cars: `mode` is the one that the kia brings along."""
    return site(lp, vehicles=(EvccVehicle("kia", "Kia", mode=mode), *others))


def anew(at: float, lp: Loadpoint, mode: ChargeMode | None = None, **changes: Any) -> StateChanged:
    """A reading over a connection that had to be made anew."""
    return state(after(at), home(lp, mode), evcc_connection=2, **changes)


def human(actor: Actuator) -> ChargeMode | None:
    standing = actor.memory.desks[0].human
    return None if standing is None else standing.mode


def defaults_to(mode: ChargeMode, *then: StateChanged) -> Actuator:
    """Ours is `now` with 80 %; at unplugging evcc has set `mode`, so that is the default."""
    actor = actuator(home=home(GONE))
    tell(actor, state(after(10), home(loadpoint(mode=mode))))
    tell(actor, state(after(20), home(replace(GONE, mode=mode))))
    tell(actor, state(after(100), home(loadpoint(mode=mode))))
    said = tell(actor, plan_of(NOW, NOW, made_at=after(110)))
    confirm(actor, said, after(111))
    tell(actor, state(after(200), home(IN_NOW)), *then)
    return actor


# --- a connection that had to be made anew --------------------------------------------------------


@pytest.mark.parametrize("mode", [PV, OFF, MINPV])
def test_inv_42_after_a_new_connection_the_default_mode_is_evccs(mode: ChargeMode) -> None:
    back = loadpoint(mode=mode, limit_soc_pct=80.0)
    assert human(defaults_to(mode, anew(260, back))) is None
    # over the same connection nothing has restarted
    assert human(defaults_to(mode, state(after(260), home(back)))) is mode


def test_after_a_new_connection_a_mode_that_no_rule_gives_is_a_humans() -> None:
    assert human(defaults_to(PV, anew(260, loadpoint(mode=MINPV)))) is MINPV
    assert human(defaults_to(OFF, anew(260, loadpoint(mode=PV)))) is PV


def test_a_session_that_goes_on_refutes_a_restart() -> None:
    going = replace(IN_NOW, session_kwh=4.0)
    actor = defaults_to(PV, state(after(210), home(going)))
    tell(actor, anew(260, replace(going, mode=PV, session_kwh=4.1)))
    assert human(actor) is PV


def test_the_first_connection_is_no_restart() -> None:
    actor = Actuator()
    tell(actor, anew(0, loadpoint()))
    assert actor.memory.restarted_at is None


def test_a_second_reading_over_the_new_connection_excuses_nothing_more() -> None:
    actor = defaults_to(MINPV, anew(260, IN_NOW), anew(280, replace(IN_NOW, mode=MINPV)))
    assert human(actor) is MINPV


def test_inv_42_the_cars_own_off_is_nobodys_word_where_the_default_is_unknown() -> None:
    actor = charging()
    tell(actor, state(after(200), home(IN_NOW)), anew(260, loadpoint(mode=OFF), OFF))
    assert human(actor) is None
    actor = charging()
    tell(actor, state(after(200), home(IN_NOW)), anew(260, loadpoint(mode=OFF), MINPV))
    assert human(actor) is OFF


# --- what a killed evcc comes back with -----------------------------------------------------------


def test_inv_49_a_limit_younger_than_a_minute_is_lost_in_a_crash_and_nobodys_word() -> None:
    actor = actuator(home=home(GONE))
    tell(actor, state(after(60), home(loadpoint())))
    said = tell(actor, plan_of(NOW, NOW, made_at=after(61)))
    confirm(actor, said, after(62))
    tell(actor, state(after(90), home(IN_NOW)), anew(120, loadpoint()))
    desk = actor.memory.desks[0]
    assert (human(actor), desk.limit_soc.human, desk.limit_soc.user) == (None, False, 0.0)


@pytest.mark.parametrize(("limit_pct", "theirs"), [(55.0, True), (80.0, False)])
def test_a_limit_that_no_rule_gives_is_a_humans_after_a_restart_too(
    limit_pct: float, *, theirs: bool
) -> None:
    actor = defaults_to(PV, anew(260, replace(IN_NOW, mode=PV, limit_soc_pct=limit_pct)))
    assert actor.memory.desks[0].limit_soc.human is theirs


def test_what_stood_longer_ago_than_a_minute_does_not_come_back() -> None:
    def restarted(settled_s: float) -> Actuator:
        actor = defaults_to(PV)
        said = tell(actor, plan_of(PV, made_at=after(210), revision=8))
        confirm(actor, said, after(211))
        at = 220.0
        while at <= 220 + settled_s:
            tell(actor, state(after(at), home(loadpoint())))
            at += 10
        tell(actor, anew(at, loadpoint(mode=NOW)))
        return actor

    assert human(restarted(20)) is None  # lost with the crash: it is ours again
    assert human(restarted(120)) is NOW


def test_a_mode_of_a_human_that_a_crash_loses_does_not_make_ours_theirs() -> None:
    actor = defaults_to(PV)
    tell(actor, state(after(230), home(replace(IN_NOW, mode=MINPV))))
    assert human(actor) is MINPV
    tell(actor, anew(250, IN_NOW))
    assert human(actor) is None


@pytest.mark.parametrize(("waits_s", "theirs"), [(10, None), (100, MINPV)])
def test_of_two_words_of_a_human_a_crash_brings_back_the_first_for_a_minute(
    waits_s: int, theirs: ChargeMode | None
) -> None:
    actor = defaults_to(PV, state(after(230), home(replace(IN_NOW, mode=MINPV))))
    for at in range(240, 240 + waits_s, 10):
        tell(actor, state(after(at), home(replace(IN_NOW, mode=OFF))))
    assert human(actor) is OFF
    tell(actor, anew(240 + waits_s, replace(IN_NOW, mode=MINPV)))
    assert human(actor) is theirs


@pytest.mark.parametrize(("given_s", "ours"), [(195, "now"), (20, None)])
def test_inv_49_a_default_that_was_ours_long_ago_is_not_ours_again(
    given_s: int, ours: str | None
) -> None:
    """What was given back so lately that the crash lost it is ours to give back once more."""
    given = Held("pv", was="now", given_at=after(given_s))
    desk = Desk("garage", True, "kia", given, Held(0.0), Held(0.0), returns_to="now")
    rules = EvccRules(after(260), after(135), vehicle_known=True)
    desk = read(desk, loadpoint(mode=NOW), after(260), rules, acting=True)
    assert (desk.human, desk.mode.ours) == (None, ours)


# --- who was there --------------------------------------------------------------------------------


def test_inv_42_without_a_car_the_first_reading_shows_the_default() -> None:
    actor = actuator(home=home(replace(GONE, mode=OFF)))
    tell(actor, state(after(60), home(loadpoint(mode=OFF))))
    said = tell(actor, plan_of(PV, made_at=after(61)))
    confirm(actor, said, after(62))
    tell(actor, *(state(after(100 * k), home(loadpoint())) for k in (1, 2)))
    tell(actor, anew(260, loadpoint(mode=OFF)))
    assert human(actor) is None


def test_inv_42_a_start_of_evcc_that_also_finds_the_car_again_explains_the_default() -> None:
    actor = defaults_to(MINPV)
    guest = replace(IN_NOW, vehicle=None)
    tell(actor, state(after(220), home(guest)), anew(280, loadpoint(mode=MINPV)))
    assert human(actor) is None


def comes_as_guest(mode: ChargeMode, *, detecting: bool) -> Actuator:
    """A car is plugged in; the first reading shows it without a name."""
    actor = actuator(plan_of(PV), home=home(GONE, OFF))
    guest = loadpoint(mode=mode, vehicle=None, vehicle_soc_pct=None, detecting=detecting)
    tell(actor, state(after(60), home(guest, OFF)))
    return actor


def test_inv_42_a_car_that_somebody_has_removed_had_brought_its_mode_along() -> None:
    assert human(comes_as_guest(OFF, detecting=False)) is None
    assert human(comes_as_guest(MINPV, detecting=False)) is MINPV


def test_a_guest_that_evcc_still_looks_for_has_brought_no_mode() -> None:
    assert human(comes_as_guest(OFF, detecting=True)) is OFF


def test_a_human_who_comes_right_after_the_car_has_replaced_its_mode() -> None:
    actor = actuator(plan_of(PV), home=home(replace(GONE, mode=OFF), MINPV))
    tell(actor, state(after(60), home(loadpoint(mode=NOW), MINPV)))
    assert human(actor) is NOW
    tell(actor, state(after(120), home(loadpoint(mode=OFF), MINPV)))
    assert human(actor) is OFF
    tell(actor, state(after(180), home(loadpoint(mode=MINPV), MINPV)))
    assert human(actor) is None


# --- a tick waits for its reading -----------------------------------------------------------------


def slot_ends(*then: Heard) -> tuple[Actuator, list[Said]]:
    """Ticks of a minute, each with a reading; at 900 s the plan's next slot is `pv`."""
    actor = actuator(plan_of(NOW), home=home(IN_NOW))
    for k in range(1, 15):
        tell(actor, Tick(after(60 * k)), state(after(60 * k), home(replace(IN_NOW, charge_w=1e4))))
    return actor, tell(actor, *then)


def test_a_tick_writes_nothing_before_its_reading_has_shown_who_came() -> None:
    made = plan_of(PV, PV, made_at=after(900), revision=8)
    actor, said = slot_ends(Tick(after(900)))
    assert orders(said + tell(actor, made)) == []
    assert orders(tell(actor, state(after(900), home(replace(IN_NOW, mode=MINPV))))) == []
    assert human(actor) is MINPV


def test_where_nobody_came_the_reading_lets_it_write() -> None:
    made = plan_of(PV, PV, made_at=after(900), revision=8)
    actor, said = slot_ends(Tick(after(900)))
    said += tell(actor, made)
    assert orders(said) == []
    assert orders(tell(actor, state(after(900), home(IN_NOW)))) == [("mode", "pv")]


def test_a_tick_after_one_without_a_reading_waits_for_none() -> None:
    actor, _ = slot_ends(Tick(after(900)), plan_of(PV, PV, made_at=after(900), revision=8))
    assert orders(tell(actor, Tick(after(930)))) == [("mode", "pv")]


def test_what_failed_is_tried_again_by_the_reading_of_a_tick() -> None:
    actor, _ = slot_ends()
    said = tell(actor, plan_of(PV, PV, made_at=after(850), revision=8))
    fail(actor, said, after(851))
    assert orders(tell(actor, Tick(after(900)))) == []
    assert orders(tell(actor, state(after(900), home(IN_NOW)))) == [("mode", "pv")]


def test_who_stops_waits_for_no_reading() -> None:
    actor = charging()
    tell(actor, Tick(after(20)))
    assert actor.memory.desks[0].mode.ours == "now"
    tell(actor, Tick(after(60)))
    assert ("mode", "pv") in orders(tell(actor, StopAsked(after(61))))


# --- a word that looks like no change -------------------------------------------------------------


def comes_to(mode: ChargeMode, brings: ChargeMode, shows: ChargeMode) -> Actuator:
    """`mode` stands while no car is there; one comes and brings a mode, evcc shows another."""
    actor = actuator(home=home(replace(GONE, mode=mode), brings))
    tell(
        actor, state(after(60), home(loadpoint(mode=shows), brings)), plan_of(PV, made_at=after(61))
    )
    return actor


def test_a_mode_that_is_not_the_cars_own_was_set_again_after_the_car_came() -> None:
    assert human(comes_to(OFF, NOW, OFF)) is OFF
    assert human(comes_to(PV, OFF, PV)) is PV
    assert human(comes_to(OFF, OFF, OFF)) is None


def test_who_sets_the_mode_again_that_the_car_brought_gives_the_control_back() -> None:
    actor = comes_to(OFF, NOW, OFF)
    tell(actor, state(after(120), home(loadpoint(mode=NOW), NOW)))
    assert human(actor) is None
    tell(actor, state(after(180), home(loadpoint(mode=OFF), NOW)))
    assert human(actor) is OFF


def test_inv_41_a_write_of_ours_that_landed_after_the_car_came_is_nobodys_word() -> None:
    given = Held("now", user="now", ours="pv", ours_at=after(62))
    desk = Desk("garage", False, None, given, Held(0.0), Held(0.0))

    def reads(looked_s: float) -> Desk:
        rules = EvccRules(vehicle_mode="now", vehicle_known=True, looked_at=after(looked_s))
        return read(desk, loadpoint(), after(120), rules, acting=True)

    assert reads(60).human is None
    word = reads(90).human
    assert word is not None
    assert word.mode is PV


def test_what_a_human_sets_with_a_car_is_held_against_what_it_found() -> None:
    """`minpv` was set while no car was there, and read: setting that again gives the control."""
    actor = defaults_to(PV)
    tell(actor, state(after(300), home(GONE)), state(after(360), home(replace(GONE, mode=MINPV))))
    tell(actor, state(after(420), home(loadpoint())))
    assert human(actor) is PV
    tell(actor, state(after(480), home(loadpoint(mode=OFF))))
    assert human(actor) is OFF
    tell(actor, state(after(540), home(loadpoint(mode=MINPV))))
    assert human(actor) is None


def test_a_car_that_was_named_before_it_came_brings_nothing() -> None:
    """evcc gave its mode when somebody named it; what stands when it comes is what it finds."""
    actor = actuator(plan_of(PV), home=home(replace(GONE, vehicle="kia", mode=OFF), PV))
    tell(actor, state(after(60), home(loadpoint(mode=NOW), PV)))
    assert human(actor) is NOW
    tell(actor, state(after(120), home(loadpoint(mode=PV), PV)))
    assert human(actor) is PV


@pytest.mark.parametrize(("detecting", "theirs"), [(False, OFF), (True, None)])
def test_who_takes_a_cars_name_away_changes_no_mode(
    *, detecting: bool, theirs: ChargeMode | None
) -> None:
    """While evcc looks for a name, another car may have come that was unplugged since."""
    actor = charging()
    guest = loadpoint(mode=OFF, vehicle=None, vehicle_soc_pct=None, detecting=detecting)
    tell(actor, state(after(100), home(IN_NOW, OFF)), state(after(160), home(guest, OFF)))
    assert human(actor) is theirs


@pytest.mark.parametrize(("kwh", "theirs"), [(2.1, OFF), (0.0, None)])
def test_a_session_that_goes_on_shows_that_no_car_came(kwh: float, theirs: Any) -> None:
    """A human made evcc look for the name again (PATCH vehicle): what they set before is theirs."""
    actor = charging()
    guest = loadpoint(mode=OFF, vehicle=None, vehicle_soc_pct=None, detecting=True, session_kwh=kwh)
    tell(actor, state(after(100), home(replace(IN_NOW, session_kwh=2.0), OFF)))
    tell(actor, state(after(160), home(guest, OFF)))
    assert human(actor) is theirs


def test_evccs_rule_acts_once_after_a_start() -> None:
    """The first reading showed the car with its own mode; over ours, that is a word."""
    actor = charging()
    off, ours = home(loadpoint(mode=OFF), OFF), home(loadpoint(mode=PV), OFF)
    tell(actor, state(after(200), ours))
    back = state(after(260), off, evcc_connection=2)
    said = tell(actor, back, plan_of(PV, made_at=after(261), revision=9))
    confirm(actor, said, after(261))
    assert actor.memory.desks[0].mode.present == "pv"
    tell(actor, state(after(310), off, evcc_connection=2))
    assert human(actor) is OFF


def test_evccs_rule_acts_once_on_a_car_that_came() -> None:
    """Its mode was there with the car; seconds later, over ours, it is a word."""
    actor = actuator(plan_of(NOW, NOW), home=home(GONE, MINPV))
    said = tell(actor, state(after(60), home(loadpoint(mode=MINPV), MINPV)))
    confirm(actor, said, after(60.5))
    confirm(actor, tell(actor, Tick(after(60.6))), after(60.7))
    assert actor.memory.desks[0].mode.ours == "now"
    stale = home(loadpoint(mode=MINPV), MINPV)
    tell(actor, state(after(64), stale))
    assert human(actor) is None
    tell(actor, state(after(66), stale))
    assert human(actor) is MINPV


def test_inv_41_only_what_was_asked_for_before_our_write_may_be_stale() -> None:
    """Readings come one after the other: the second after a write has seen it."""
    actor = charging()
    said = tell(actor, plan_of(PV, made_at=after(25), revision=8))
    confirm(actor, said, after(30))
    assert actor.memory.desks[0].mode.present == "pv"
    tell(actor, state(after(33), home(IN_NOW)))
    assert human(actor) is None
    tell(actor, state(after(42), home(IN_NOW)))
    assert human(actor) is NOW


def test_a_start_of_evcc_that_has_not_looked_for_the_car_ends_no_word() -> None:
    actor = defaults_to(PV, state(after(230), home(replace(IN_NOW, mode=OFF))))
    away = replace(GONE, mode=OFF)
    said = tell(actor, anew(260, away))
    assert (human(actor), [one for one in orders(said) if one[0] == "mode"]) == (OFF, [])
    tell(actor, anew(320, loadpoint(mode=OFF)))
    assert human(actor) is OFF
    gone = defaults_to(PV, state(after(230), home(replace(IN_NOW, mode=OFF))))
    tell(gone, anew(260, away), anew(320, away))
    assert human(gone) is None
