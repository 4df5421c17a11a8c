"""A new life of the controller: what an earlier one left is known, humans are left alone."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Said
from engine.estate import Bequest, Written
from engine.messages import BatteryModeConfirmed, EstateRead, StopAsked, Tick, WillMade
from engine.values import BatteryMode, ChargeMode, Control, Loadpoint, Site, Why
from tests.make_actuator import (
    IN_NOW,
    MINPV,
    NOW,
    OFF,
    PV,
    RESTORE,
    T0,
    after,
    charging,
    config,
    confirm,
    loadpoint,
    orders,
    owners,
    plan_of,
    rates,
    site,
    state,
    tell,
    turns,
)

MODE_BACK = Bequest("mode", RESTORE, "garage", value="pv")
LIMIT_BACK = Bequest("limit_soc", RESTORE, "garage", value=0.0)
WILL = (MODE_BACK, LIMIT_BACK)


def sent(setting: str, value: str | float, at: datetime = T0, *, confirmed: bool = True) -> Written:
    return Written(setting, value, at, "" if setting == "battery_mode" else "garage", confirmed)


SENT = (sent("limit_soc", 80.0), sent("mode", "now"))
ESTATE = EstateRead(T0, SENT, WILL)


def reborn(
    estate: EstateRead, lp: Loadpoint, *, late: bool = False, control: Control = Control.ON
) -> tuple[Actuator, list[Said]]:
    """A new actuator with its first reading; `late`: the ledger is read after that."""
    actor, reading = Actuator(), state(T0, site(lp))
    first = (reading, estate) if late else (estate, reading)
    return actor, tell(actor, config(control), *first, Tick(T0), rates(), turns())


def human(actor: Actuator) -> ChargeMode | None:
    standing = actor.memory.desks[0].human
    return None if standing is None else standing.mode


EACH_ORDER = pytest.mark.parametrize("late", [False, True], ids=["before", "after"])


@EACH_ORDER
def test_inv_40_inv_41_what_is_as_we_last_sent_it_is_ours(late: bool) -> None:
    actor, said = reborn(ESTATE, IN_NOW, late=late)
    assert orders(said) == []
    assert human(actor) is None
    assert orders(tell(actor, plan_of(NOW, NOW))) == []
    said = tell(actor, plan_of(PV, made_at=after(60), revision=8))
    assert orders(said + confirm(actor, said, after(61))) == [("mode", "pv"), ("limit_soc", 0.0)]
    tell(actor, Tick(after(150)))
    assert actor.memory.will == ()


@EACH_ORDER
def test_inv_41_a_write_that_was_sent_and_never_answered_is_ours(late: bool) -> None:
    estate = replace(ESTATE, written=(SENT[0], sent("mode", "now", confirmed=False)))
    actor, _ = reborn(estate, IN_NOW, late=late)
    assert human(actor) is None
    assert orders(tell(actor, StopAsked(after(5)))) == [("mode", "pv"), ("limit_soc", 0.0)]


@EACH_ORDER
def test_inv_41_a_write_that_was_noted_and_never_sent_is_nobodys_override(late: bool) -> None:
    estate = replace(ESTATE, written=(SENT[0], sent("mode", "now", confirmed=False)))
    actor, said = reborn(estate, loadpoint(limit_soc_pct=80.0), late=late)
    assert (orders(said), human(actor)) == ([], None)  # the limit stays until there is a plan
    assert orders(tell(actor, plan_of(NOW))) == [("mode", "now")]


@EACH_ORDER
@pytest.mark.parametrize("mode", [OFF, MINPV])
def test_inv_43_what_differs_from_our_last_is_a_humans_and_not_overruled(
    mode: ChargeMode, late: bool
) -> None:
    actor, said = reborn(ESTATE, replace(IN_NOW, mode=mode), late=late)
    said += tell(actor, plan_of(NOW, NOW), Tick(after(10)))
    assert [one for one in orders(said) if one[0] == "mode"] == []
    assert owners(said)["loadpoint:garage:mode"].owner == "human"
    assert human(actor) is mode


@EACH_ORDER
def test_inv_43_a_humans_word_of_before_the_crash_still_holds(late: bool) -> None:
    """They had set `pv` over our `now`: then no will gives a mode back."""
    estate = replace(ESTATE, bequests=())
    actor, said = reborn(estate, loadpoint(), late=late)
    assert orders(said + tell(actor, plan_of(NOW, NOW))) == []
    assert human(actor) is PV


@EACH_ORDER
def test_inv_43_a_now_that_we_never_sent_is_a_humans(late: bool) -> None:
    actor, said = reborn(EstateRead(T0), loadpoint(mode=NOW), late=late)
    assert orders(said + tell(actor, plan_of(PV, PV))) == []
    assert human(actor) is NOW


def test_pv_that_was_never_touched_says_nothing() -> None:
    actor, _ = reborn(EstateRead(T0), loadpoint())
    assert orders(tell(actor, plan_of(NOW))) == [("limit_soc", 80.0)]


def test_a_humans_limit_of_meanwhile_is_kept() -> None:
    actor, _ = reborn(ESTATE, replace(IN_NOW, limit_soc_pct=60.0))
    assert orders(tell(actor, plan_of(NOW, NOW))) == []
    said = tell(actor, plan_of(PV, made_at=after(60), revision=8))
    assert orders(said + confirm(actor, said, after(61))) == [("mode", "pv")]


def test_inv_42_what_evcc_does_at_unplugging_is_no_override() -> None:
    actor, _ = reborn(ESTATE, loadpoint(mode=MINPV, connected=False, vehicle=None))
    assert human(actor) is None
    cleared, _ = reborn(ESTATE, loadpoint(mode=NOW))
    assert not cleared.memory.desks[0].limit_soc.human


def test_inv_49_what_we_gave_back_and_a_crash_of_evcc_lost_is_given_back_again() -> None:
    written = (sent("mode", "now"), sent("mode", "pv", after(30), confirmed=False))
    actor, said = reborn(EstateRead(T0, written), loadpoint(mode=NOW))
    assert human(actor) is None
    assert orders(said + tell(actor, StopAsked(after(40)))) == [("mode", "pv")]


def test_without_a_plan_what_an_earlier_life_left_ends_after_a_minute() -> None:
    actor, _ = reborn(ESTATE, IN_NOW)
    assert orders(tell(actor, state(after(50), site(IN_NOW)), Tick(after(50)))) == []
    assert orders(tell(actor, Tick(after(70)))) == [("mode", "pv")]


@EACH_ORDER
def test_while_a_plan_is_expected_no_limit_of_an_earlier_life_flaps(late: bool) -> None:
    lost = replace(IN_NOW, mode=PV)  # a crash of evcc has lost the mode, and kept the limit
    actor, said = reborn(ESTATE, lost, late=late)
    assert orders(said) == []
    assert orders(tell(actor, state(after(10), site(lost)), Tick(after(10)))) == []
    said = tell(actor, Tick(after(70)), state(after(70), site(lost)))
    assert orders(said) == [("limit_soc", 0.0)]


def test_inv_49_a_power_cut_right_after_giving_back_is_made_good_in_the_next_life() -> None:
    first, _ = reborn(ESTATE, IN_NOW)
    confirm(first, tell(first, StopAsked(after(10))), after(11))
    written = (sent("mode", "pv", after(11)), sent("limit_soc", 0.0, after(11)))
    estate = EstateRead(T0, written, first.memory.will)
    actor, said = reborn(estate, IN_NOW)  # evcc came back with what it had saved
    assert (orders(said), human(actor)) == ([], None)
    said = tell(actor, plan_of(PV))
    assert orders(said + confirm(actor, said, after(61))) == [("mode", "pv"), ("limit_soc", 0.0)]


def test_inv_56_in_watch_what_an_earlier_life_left_is_given_back_at_once() -> None:
    actor, said = reborn(ESTATE, IN_NOW, control=Control.WATCH)
    assert orders(said) == [("mode", "pv")]
    assert orders(confirm(actor, said, after(1))) == [("limit_soc", 0.0)]
    for will in (one for one in said if isinstance(one, WillMade)):
        assert [one.value for one in will.bequests] == ["pv", 0.0]  # as on disk
    tell(actor, Tick(after(90)))
    assert actor.memory.will == ()


def test_the_will_holds_the_battery_until_its_release_is_confirmed() -> None:
    release = Bequest("battery_mode", RESTORE)
    estate = EstateRead(T0, (sent("battery_mode", "hold"),), (release,))
    actor, said = reborn(estate, loadpoint())
    assert [one for one in said if isinstance(one, WillMade)] == []
    assert actor.memory.will == (release,)
    said = tell(actor, BatteryModeConfirmed(after(5), None))
    assert [one.bequests for one in said if isinstance(one, WillMade)] == [()]
    held = tell(actor, plan_of(PV, battery=BatteryMode.HOLD, made_at=after(6)))
    assert [one.bequests for one in held if isinstance(one, WillMade)] == [(release,)]


# --- the will was carried out --------------------------------------------------------------------

DONE = replace(ESTATE, written=(sent("mode", "pv"), sent("limit_soc", 0.0)), carried_out_at=T0)


@EACH_ORDER
def test_after_the_will_nothing_of_ours_stands_and_nothing_is_a_humans(late: bool) -> None:
    actor, said = reborn(DONE, loadpoint(), late=late)
    assert (orders(said), human(actor)) == ([], None)
    assert orders(tell(actor, plan_of(NOW))) == [("limit_soc", 80.0)]


@EACH_ORDER
def test_who_changes_something_after_the_will_is_a_human(late: bool) -> None:
    actor, said = reborn(DONE, loadpoint(mode=NOW), late=late)
    assert orders(said + tell(actor, plan_of(PV, PV))) == []
    assert human(actor) is NOW


@EACH_ORDER
def test_a_now_of_the_will_is_ours_and_ends_with_what_the_user_had(late: bool) -> None:
    why = Why("will_departure", (("had", "pv"),))
    limit = Why("will_departure", (("had", 0.0),))
    will = (
        Bequest("limit_soc", limit, "garage", value=80.0),
        Bequest("mode", why, "garage", value="now"),
    )
    estate = EstateRead(T0, SENT, will, carried_out_at=T0)
    actor, said = reborn(estate, IN_NOW, late=late)
    assert (orders(said), human(actor)) == ([], None)
    assert orders(tell(actor, StopAsked(after(5)))) == [("mode", "pv"), ("limit_soc", 0.0)]


def slept(first: Loadpoint | None, then: Site) -> tuple[Actuator, list[Said]]:
    """One that was stopped for three minutes in a block of `now`, while the will was carried out.

    `first`: what a reading showed before the ledger was read.
    """
    actor = charging()
    tell(actor, EstateRead(after(21)))
    woke = after(200)
    done = EstateRead(woke, SENT, WILL, carried_out_at=after(115))
    early = [state(after(199), site(first))] if first is not None else []
    return actor, tell(actor, *early, done, state(after(220), then))


def test_after_a_sleep_the_wills_doing_is_no_humans() -> None:
    for first in (None, loadpoint()):
        actor, said = slept(first, site())
        assert human(actor) is None
        said += tell(actor, plan_of(NOW, NOW, made_at=after(221), revision=9))
        assert "human" not in {one.owner for one in owners(said).values()}
        again = orders(said + confirm(actor, said, after(222)))
        assert again[-2:] == [("limit_soc", 80.0), ("mode", "now")]


def test_after_a_sleep_what_a_human_set_meanwhile_is_theirs() -> None:
    actor, said = slept(None, site(loadpoint(mode=OFF)))
    said += tell(actor, plan_of(NOW, NOW, made_at=after(221), revision=9))
    assert [value for setting, value in orders(said) if setting == "mode"] == []
    assert human(actor) is OFF


def test_after_a_sleep_in_which_nothing_was_carried_out_all_goes_on() -> None:
    actor = charging()
    tell(actor, EstateRead(after(21)))
    said = tell(actor, replace(ESTATE, at=after(80)), state(after(90), site(IN_NOW)))
    assert orders(said) == []
    assert actor.memory.desks[0].mode.ours == "now"


def test_without_a_ledger_all_is_as_it_was() -> None:
    actor = Actuator()
    tell(actor, config(), state(T0, site(loadpoint(mode=MINPV))), rates(), turns())
    assert orders(tell(actor, plan_of(PV))) == [("mode", "pv")]
