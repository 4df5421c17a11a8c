"""The actuator and humans: overrides of mode and limit, outages of evcc, memory."""

from datetime import timedelta

from msgspec.structs import replace

from actors.actuator import Actuator
from engine.messages import (
    Tick,
)
from engine.values import (
    BatteryMode,
    Why,
)
from tests.make_actuator import (
    IN_NOW,
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
