"""The actuator and humans: overrides of mode and limit, outages of evcc, memory."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Said
from engine.messages import HandsOff, StopAsked, Tick
from engine.values import (
    Battery,
    BatteryMode,
    ChargeMode,
    EvccVehicle,
    Loadpoint,
    Site,
    Why,
)
from tests.make_actuator import (
    IN_NOW,
    MINPV,
    NOW,
    OFF,
    PV,
    T0,
    actuator,
    after,
    charging,
    confirm,
    loadpoint,
    orders,
    owners,
    plan_of,
    site,
    stands,
    state,
    tell,
    turns,
)


def test_a_mode_that_a_human_sets_is_respected_and_shown() -> None:
    actor = charging()
    said = tell(actor, state(after(60), site(loadpoint(mode=OFF, limit_soc_pct=80.0))))
    shown = owners(said)["loadpoint:garage:mode"]
    assert (shown.owner, shown.why) == ("human", Why("human_mode", (("mode", "off"),)))
    assert orders(said) == [("limit_soc", 0.0)]
    confirm(actor, said, after(61))
    off = site(loadpoint(mode=OFF))
    later = tell(actor, Tick(after(70)), state(after(80), off), plan_of(NOW, made_at=after(90)))
    assert orders(later) == []
    tell(actor, turns(after(95), need_kwh=0.0))
    assert actor.memory.desks[0].human is not None


def test_a_humans_mode_ends_with_unplugging() -> None:
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=OFF))))
    gone = site(loadpoint(mode=OFF, connected=False, vehicle=None))
    said = tell(actor, state(after(90), gone))
    assert orders(said) == [("mode", "pv")]  # what was there before us
    assert owners(said)["loadpoint:garage:mode"].owner == "evcc"


def test_a_humans_mode_ends_when_the_target_is_reached() -> None:
    actor = actuator(plan_of(PV, PV))
    fast = site(loadpoint(mode=NOW))
    assert orders(tell(actor, state(after(60), fast), Tick(after(70)))) == []
    assert orders(tell(actor, turns(after(80), need_kwh=0.0))) == [("mode", "pv")]


def test_a_plan_that_is_older_than_a_met_need_starts_nothing() -> None:
    """A human's limit has met the need, which ends their mode: the old plan's `now` is over."""
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=PV, limit_soc_pct=80.0))))
    said = tell(actor, turns(after(61), need_kwh=0.0))
    assert actor.memory.desks[0].human is None
    assert orders(said) == []


def test_a_humans_mode_on_a_full_car_stays() -> None:
    actor = actuator(plan_of(PV, PV), turns(need_kwh=0.0))
    said = tell(actor, state(after(60), site(loadpoint(mode=NOW))), Tick(after(70)))
    assert orders(said) == []
    assert owners(said)["loadpoint:garage:mode"].owner == "human"


def test_a_human_gives_control_back_by_undoing_the_change() -> None:
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=PV, limit_soc_pct=80.0))))
    said = tell(actor, state(after(90), site(IN_NOW)))
    assert owners(said)["loadpoint:garage:mode"].owner == "smartload"


def test_a_limit_that_a_human_sets_is_kept_while_we_charge() -> None:
    actor = charging()
    said = tell(actor, state(after(60), site(loadpoint(mode=NOW, limit_soc_pct=55.0))))
    assert orders(said) == []
    assert owners(said)["loadpoint:garage:limit_soc"].why == Why(
        "human_limit_soc", (("limit_pct", 55.0),)
    )
    end = tell(actor, plan_of(PV, made_at=after(70), revision=8))
    assert orders(end + confirm(actor, end, after(71))) == [("mode", "pv")]


def test_acceptance_7_an_outage_of_evcc_ends_without_decisions_or_a_false_override() -> None:
    actor = charging()
    said = tell(actor, plan_of(NOW, NOW, battery=BatteryMode.HOLD, made_at=after(30)))
    for k in range(4, 244):  # 40 minutes; plans go on as if nothing had happened
        at = after(10 * k)
        lost = state(at, site(IN_NOW), measured_at=after(20), evcc_reachable=False)
        silent = replace(lost.state, evcc_silent_since=after(40))
        said += tell(actor, Tick(at), replace(lost, state=silent))
        if k % 90 == 0:
            said += tell(actor, plan_of(PV, made_at=at, revision=8 + k))
    assert orders(said) == []
    assert stands(said)[0].mode is BatteryMode.HOLD
    assert stands(said)[-1].why.code == "reading_too_old"
    assert owners(said)["loadpoint:garage:mode"].why.code == "reading_too_old"
    home = site(loadpoint(mode=PV))  # evcc has lost what we had set
    back = tell(actor, Tick(after(2440)), state(after(2440), home))
    back += tell(actor, plan_of(NOW, made_at=after(2441), revision=999))
    back += confirm(actor, back, after(2442))
    assert orders(back) == [("limit_soc", 80.0), ("mode", "now")]
    assert "human" not in {one.owner for one in owners(back).values()}


def test_after_an_outage_what_goes_on_is_not_interrupted_before_the_new_plan() -> None:
    actor = charging()
    said = tell(actor, Tick(after(2440)), state(after(2440), site(IN_NOW)))
    said += tell(actor, plan_of(NOW, made_at=after(2441), revision=9), Tick(after(2450)))
    assert orders(said) == []


def test_after_an_outage_without_a_new_plan_the_car_goes_back_to_pv() -> None:
    actor = charging()
    said = tell(actor, state(after(2440), site(IN_NOW)), Tick(after(2490)))
    assert orders(said) == []
    assert orders(tell(actor, Tick(after(2500)))) == [("mode", "pv")]


def test_the_memory_survives_its_own_snapshot() -> None:
    actor, twin = charging(), Actuator()
    twin.restore(actor.snapshot())
    assert twin.memory == actor.memory
    end = plan_of(PV, made_at=after(60), revision=8)
    assert list(twin.on(end)) == list(actor.on(end))


def test_time_does_not_go_back() -> None:
    actor = actuator(Tick(after(100)), plan_of(PV, battery=BatteryMode.HOLD))
    assert actor.memory.now == T0 + timedelta(seconds=100)


# --- evcc's own rules, and nothing more ----------------------------------------------------------


GONE = loadpoint(connected=False, vehicle=None, vehicle_soc_pct=None)


def plugged(lp: Loadpoint, mode: ChargeMode | None = None, **changes: Any) -> Site:
    return site(lp, vehicles=(EvccVehicle("kia", "Kia", mode=mode),), **changes)


def comes(first: Site, *later: Site) -> Actuator:
    """The car comes at 10 s, further readings follow every 10 s."""
    actor = actuator(plan_of(PV), home=site(GONE))
    for k, home in enumerate((first, *later), start=1):
        said = tell(actor, state(after(10 * k), home))
        confirm(actor, said, after(10 * k + 1))
    return actor


def human(actor: Actuator) -> ChargeMode | None:
    standing = actor.memory.desks[0].human
    return None if standing is None else standing.mode


@pytest.mark.parametrize("mode", [NOW, OFF, MINPV])
def test_inv_42_the_mode_that_a_car_brings_along_is_no_override(mode: ChargeMode) -> None:
    assert human(comes(plugged(loadpoint(mode=mode), mode))) is None


def test_inv_42_a_mode_that_comes_right_after_the_car_is_its_own() -> None:
    assert human(comes(plugged(loadpoint(), NOW), plugged(loadpoint(mode=NOW), NOW))) is None


@pytest.mark.parametrize("brings", [PV, MINPV, None])
def test_a_humans_mode_is_seen_in_the_reading_that_first_shows_the_car(
    brings: ChargeMode | None,
) -> None:
    assert human(comes(plugged(loadpoint(mode=NOW), brings))) is NOW


def test_a_humans_mode_is_seen_half_a_minute_after_plugging_in() -> None:
    home = plugged(loadpoint(), MINPV)
    assert human(comes(home, home, plugged(loadpoint(mode=NOW), MINPV))) is NOW
    # who sets the mode that the car has brought gives the control back
    assert human(comes(home, home, plugged(loadpoint(mode=MINPV), MINPV))) is None


def test_inv_42_where_evcc_does_not_tell_a_cars_mode_its_plugging_in_explains_any() -> None:
    old = plugged(loadpoint(mode=NOW), version="0.311.0")
    assert human(comes(old)) is None
    assert human(comes(site(loadpoint(mode=NOW)))) is None


def test_inv_42_a_swap_between_two_readings_resets_what_unplugging_resets() -> None:
    actor = charging()
    tell(actor, state(after(100), site(GONE)), state(after(200), site(loadpoint())))
    made = plan_of(NOW, NOW, made_at=after(201), revision=8)
    said = tell(actor, made)
    confirm(actor, said, after(202))
    tell(actor, state(after(220), site(IN_NOW)))
    other = loadpoint(vehicle="ora")
    both = (EvccVehicle("kia", "Kia"), EvccVehicle("ora", "Ora"))
    tell(actor, state(after(400), site(other, vehicles=both)))
    assert human(actor) is None
    tell(actor, state(after(600), site(replace(other, mode=MINPV), vehicles=both)))
    assert human(actor) is MINPV


# --- evcc is started anew ------------------------------------------------------------------------

BOXED = Battery(50.0, 0.0, 10.0, controllable=True)
RUNNING = replace(BOXED, mode=BatteryMode.NORMAL)


def crashed(*later: tuple[float, Loadpoint], mode: ChargeMode | None = None) -> Actuator:
    """evcc was started anew between two readings, so quickly that none was missed."""
    actor = charging()
    tell(actor, state(after(60), plugged(IN_NOW, mode, battery=RUNNING)))
    for seconds, lp in later:
        tell(actor, state(after(seconds), plugged(lp, mode, battery=BOXED)))
    return actor


@pytest.mark.parametrize("mode", [PV, MINPV])
def test_inv_49_a_restart_that_nobody_noticed_loses_settings_and_is_no_override(
    mode: ChargeMode,
) -> None:
    actor = crashed()
    said = tell(actor, state(after(70), plugged(loadpoint(mode=mode), battery=BOXED)))
    assert human(actor) is None
    assert orders(said + confirm(actor, said, after(71))) == [("limit_soc", 80.0), ("mode", "now")]
    desk = actor.memory.desks[0]
    assert (desk.mode.user, desk.limit_soc.user, desk.limit_soc.human) == ("pv", 0.0, False)


def test_inv_49_a_session_that_begins_at_zero_with_the_same_car_is_a_restart() -> None:
    actor = charging()
    tell(actor, state(after(60), plugged(replace(IN_NOW, session_kwh=4.0))))
    tell(actor, state(after(70), plugged(loadpoint(session_kwh=0.0))))
    assert human(actor) is None


def test_a_human_is_seen_in_the_minute_after_a_restart() -> None:
    assert human(crashed((70, loadpoint()), (90, loadpoint(mode=MINPV)))) is MINPV
    # the connect event of the first cycle sets the car's own mode
    assert human(crashed((70, loadpoint()), (90, loadpoint(mode=MINPV)), mode=MINPV)) is None


def silence(actor: Actuator, lp: Loadpoint, then: Site) -> list[Said]:
    """A minute in which evcc was not reached, and the first reading after it."""
    lost = state(after(90), site(lp), measured_at=after(60), evcc_reachable=False)
    lost = replace(lost, state=replace(lost.state, evcc_silent_since=after(70)))
    return tell(actor, lost, state(after(130), then))


@pytest.mark.parametrize("mode", [PV, MINPV, OFF])
def test_a_human_who_came_while_only_the_network_was_down_is_seen(mode: ChargeMode) -> None:
    actor = charging()
    going = replace(IN_NOW, session_kwh=4.0)
    tell(actor, state(after(60), site(going)))
    silence(actor, going, site(replace(going, mode=mode, session_kwh=4.1)))
    assert human(actor) is mode


def test_a_human_who_came_during_a_silence_is_seen_where_the_default_mode_is_known() -> None:
    actor = comes(plugged(loadpoint()))
    tell(actor, state(after(30), plugged(GONE)), state(after(60), plugged(loadpoint())))
    silence(actor, loadpoint(), plugged(loadpoint(mode=MINPV)))
    assert human(actor) is MINPV


def test_inv_43_an_off_after_a_restart_is_a_humans_word() -> None:
    assert human(crashed((70, loadpoint(mode=OFF)))) is OFF


def test_inv_42_an_off_that_is_the_loadpoints_default_is_nobodys() -> None:
    actor = charging()
    gone = replace(GONE, mode=OFF)
    tell(actor, state(after(30), site(gone)), state(after(60), plugged(replace(GONE, mode=PV))))
    tell(actor, state(after(90), plugged(loadpoint(), battery=RUNNING)))
    tell(actor, state(after(120), plugged(loadpoint(mode=OFF), battery=BOXED)))
    assert human(actor) is None


def test_inv_49_what_was_given_back_and_lost_in_a_crash_is_given_back_again() -> None:
    actor = charging()
    tell(actor, state(after(60), plugged(IN_NOW, battery=RUNNING)))
    said = tell(actor, plan_of(PV, made_at=after(70), revision=8))
    confirm(actor, said, after(71))
    assert actor.memory.desks[0].mode.user is None
    tell(actor, state(after(90), plugged(loadpoint(), battery=RUNNING)))
    said = tell(actor, state(after(100), plugged(IN_NOW, battery=BOXED)))
    assert human(actor) is None
    assert orders(said) == [("mode", "pv")]
    assert orders(confirm(actor, said, after(101))) == [("limit_soc", 0.0)]


@pytest.mark.parametrize("end", [StopAsked(after(70)), HandsOff(after(70), Why("x"))])
def test_inv_43_a_humans_mode_stands_when_we_go(end: StopAsked | HandsOff) -> None:
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=OFF, limit_soc_pct=80.0))))
    assert [value for setting, value in orders(tell(actor, end)) if setting == "mode"] == []
