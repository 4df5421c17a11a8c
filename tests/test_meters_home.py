"""Failed meters in a home: found, not learnt from, not decided on, shown; and no false alarm."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from actors.forecaster import Forecaster
from actors.meters import blind_by_meters
from engine.clock import VirtualClock
from engine.messages import PlanMade, StateChanged
from engine.slots import SLOT
from engine.values import FailedMeter, HomeState, Why
from engine.words import LANGUAGES, render
from sim.scenario_files import load_scenario
from tests.make_forecaster import MONDAY, make
from tests.make_forecaster import reading as quarter
from tests.make_meters import (
    BEGIN,
    Watched,
    sunny_home,
    watch,
)
from tests.make_optimizer import complete, hear, optimizer, state
from tests.make_planner import NOON, hours
from web.feed import Window
from web.health import health
from web.status import status

# --- each recorded fault, by the pretend evcc -----------------------------------------------------

FAULTS = {
    # fault: what the car does, the meter to blame, minutes until it is known
    "grid_error": ("pv", "grid", 4.0),
    "nan": ("pv", "grid", 4.0),
    "pv_error": ("pv", "pv", 2.0),
    "battery_error": ("off", "battery", 2.0),
    "charger_error": ("now", "loadpoint:carport", 2.0),
    "soc_error": ("off", "battery", 30.0),
}


def named(seen: Watched, since_min: float, until_min: float) -> set[str]:
    """The meters that had failed at some reading in these minutes."""
    since, until = BEGIN + timedelta(minutes=since_min), BEGIN + timedelta(minutes=until_min)
    return {name for at, name in seen.failed() if since < at <= until}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_recorded_fault_is_found_and_over_when_it_is(fault: str) -> None:
    mode, meter, within_min = FAULTS[fault]
    deeds = [(90.0, fault, 1), (130.0, fault, 0)]
    seen, _, _ = watch(sunny_home(mode=mode), 3 / 24, deeds)
    assert named(seen, 0, 90) == set()
    assert meter in named(seen, 90, 90 + within_min)
    late = {name for at, name in seen.failed() if at > BEGIN + timedelta(minutes=132)}
    assert late == set()
    during = [
        one
        for one in seen.states
        if BEGIN + timedelta(minutes=90 + within_min) < one.at <= BEGIN + timedelta(minutes=130)
    ]
    assert during
    if fault != "nan":  # its retries let a cycle through now and then
        assert all(any(one.name == meter for one in home.failed_meters) for home in during)
    begun = {one.since for home in during for one in home.failed_meters if one.name == meter}
    assert all(abs(at - BEGIN - timedelta(minutes=90)) < timedelta(minutes=30) for at in begun)


@pytest.mark.parametrize("tick_s", [60.0, 300.0])
@pytest.mark.parametrize("name", ["winter-week", "summer-week", "tariff-outage"])
def test_a_sound_home_has_no_failed_meter(name: str, tick_s: float) -> None:
    """Nights, full batteries, idle wallboxes, held batteries: none of them is a failure."""
    scenario = load_scenario(name)
    scenario = replace(scenario, sim=replace(scenario.sim, tick_s=tick_s))
    seen, _, _ = watch(scenario, 2, whole=tick_s == 60.0)
    assert len(seen.states) > 2 * 86_400 / tick_s
    assert seen.failed() == []


# --- nothing is learnt, nothing is decided --------------------------------------------------------


def failed(name: str, since_s: float = 0.0) -> tuple[FailedMeter, ...]:
    why = Why("meter_frozen", (("meter", "grid_meter"),))
    return (FailedMeter(name, NOON - timedelta(seconds=since_s), why),)


@pytest.mark.parametrize("name", ["grid", "home", "loadpoint:carport", "pv"])
def test_nothing_is_learnt_under_a_failed_meter(name: str) -> None:
    def learnt(bad: tuple[FailedMeter, ...]) -> Forecaster:
        actor = make()
        for k in range(12):
            heard = quarter(MONDAY + k * SLOT, 7777.0 if k >= 4 else 400.0, 3000.0 if k >= 4 else 0)
            if k >= 4:
                heard = replace(heard, state=replace(heard.state, failed_meters=bad))
            list(actor.on(heard))
        return actor

    sound, blind = learnt(()).memory, learnt(failed(name)).memory
    assert (sound.covered_slots, blind.covered_slots) == (11, 3)
    assert max(sound.load.mean_w) > 7000
    assert max(blind.load.mean_w) <= 400
    assert max(sound.pv.mean_w) > 2900
    assert (max(blind.pv.mean_w) < 100) == (name in ("pv", "home"))


def test_a_slot_in_which_a_meter_fails_is_not_learnt() -> None:
    """It had failed for a while before it was noticed."""
    actor = make(tick_s=10.0)
    for k in range(2 * 90 + 1):
        heard = quarter(MONDAY + timedelta(seconds=10 * k), 400.0 if k < 60 else 9000.0)
        if 75 <= k < 85:
            heard = replace(heard, state=replace(heard.state, failed_meters=failed("grid")))
        list(actor.on(heard))
    assert actor.memory.covered_slots == 1  # the second one alone


def test_after_two_minutes_nothing_is_decided_on_failed_meters() -> None:
    for name, since_s, blind in [
        ("grid", 119.0, False),
        ("grid", 121.0, True),
        ("pv", 121.0, True),
        ("battery", 121.0, True),
        ("home", 121.0, True),
        ("loadpoint:carport", 7200.0, False),
    ]:
        home = replace(HomeState(1, NOON), failed_meters=failed(name, since_s))
        assert (blind_by_meters(home.failed_meters, NOON) is not None) == blind
    assert blind_by_meters((), NOON) is None


def test_no_plan_is_made_on_failed_meters_and_at_once_when_they_are_back() -> None:
    actor = optimizer()
    assert len(hear(actor, complete(NOON))) == 1
    for k in range(1, 4):
        messages = complete(hours(k / 4), k + 1)
        messages[0] = state(hours(k / 4), k + 1, failed_meters=failed("grid"))
        assert hear(actor, messages) == []
    assert len(hear(actor, [state(hours(0.75) + timedelta(seconds=30), 9)])) == 1


def test_a_home_with_a_failing_grid_meter_plans_no_more_until_it_is_back() -> None:
    """Everybody at home: the old plan goes on, and no slot of bad readings is learnt."""
    deeds = [(120.0, "grid_error", 1), (180.0, "grid_error", 0)]
    seen, _, minds = watch(sunny_home(tick_s=30.0), 5 / 24, deeds, whole=True)
    plans = [at for at, one in seen.said if isinstance(one, PlanMade)]
    begin, end = BEGIN + timedelta(minutes=124), BEGIN + timedelta(minutes=180)
    assert len([at for at in plans if at < begin]) >= 8
    assert [at for at in plans if begin < at <= end] == []
    assert len([at for at in plans if at > end]) >= 7
    (forecaster,) = (one for one in minds if isinstance(one, Forecaster))
    assert forecaster.memory.covered_slots == 20 - 4 - 1  # an hour, and the slot that is not over


# --- shown ----------------------------------------------------------------------------------------


def test_failed_meters_are_troubles_and_in_status_and_health() -> None:
    seen, _, _ = watch(sunny_home(mode="now"), 1.7 / 24, [(90.0, "charger_error", 1)])
    home = replace(seen.states[-1], rates_revision=0, plan_revision=0)
    assert [one.code for one in home.troubles] == ["meter_unbalanced"]
    for language in LANGUAGES:
        text = render(home.troubles[0], language, "Europe/Berlin")
        assert "Wallbox carport" in text or "wallbox carport" in text
    window = Window(VirtualClock(home.at))
    list(window.on(StateChanged(home.at, home)))
    page = status(window.snapshot, home.at)
    (shown,) = page["failed_meters"]
    assert shown["name"] == "loadpoint:carport"
    assert shown["since"] == home.failed_meters[0].since
    assert "Wallbox carport" in shown["why"]["de"]
    assert [one["code"] for one in page["troubles"]] == ["meter_unbalanced"]
    found = health(window.snapshot, home.at, {})
    assert "meter_failed:loadpoint:carport" in found["problems"]
    assert [one["name"] for one in found["failed_meters"]] == ["loadpoint:carport"]
