"""A controller dies in the middle of something, and a new one comes: nobody is overruled."""

import pytest

from engine.settings import CarSettings
from sim.lives import Lives
from sim.scenario import Scenario, SimBattery, SimCar, SimEvent
from tests.make_ring import home, local

NIGHT = local("2026-01-13", "02:00")
BACK_S = 180.0
WISH = CarSettings(name="compact", target_soc_pct=80, departure="06:30")


def house(start: object = NIGHT, *, human: str = "", battery_pct: float | None = None) -> Scenario:
    """A car that is to have 80 % at half past six; `human`: what somebody sets after 20 minutes."""
    path = f"POST /api/loadpoints/1/{human}"
    events = (SimEvent(at_h=1 / 3, kind="human", path=path),) if human else ()
    battery = None
    if battery_pct is not None:
        battery = SimBattery(capacity_kwh=10, soc_pct=battery_pct)
    return home(
        start,  # type: ignore[arg-type]
        tick_s=60,
        battery=battery,
        wishes=(WISH,),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=40, loadpoint="carport"),),
        events=events,
    )


def test_a_car_in_now_goes_on_charging_in_the_next_life_and_all_is_given_back() -> None:
    lives = Lives(house())
    lives.live(0.5)
    assert lives.mode() == "now"
    lives.wait(0.55)
    died = lives.clock.now()
    second = lives.live(4.5, stop=True)
    assert second.humans() == set()
    soon = [one for one in lives.writes("loadpoints/1", died) if one.at < lives.at(1)]
    assert soon == []  # it goes on as if nothing had happened
    assert lives.soc_pct("compact") >= 79.5
    assert lives.mode() == "pv"
    assert lives.pretend.home.loadpoints[0].limit_soc == 0


@pytest.mark.parametrize(("battery_pct", "mode"), [(30.0, "charge"), (99.0, "hold")])
def test_a_battery_mode_ends_with_its_watchdog_and_the_next_life_takes_it_up(
    battery_pct: float, mode: str
) -> None:
    lives = Lives(house(battery_pct=battery_pct))
    lives.live(0.4)
    assert lives.writes(f"batterymode/{mode}", NIGHT)
    assert lives.ledger.read().bequests[0].setting == "battery_mode"
    lives.wait(0.4 + BACK_S / 3600)
    died = lives.clock.now()
    second = lives.live(0.7, stop=True)
    assert second.humans() == set()
    willed = lives.ledger.read().bequests
    assert "battery_mode" not in {one.setting for one in willed}
    assert willed[-1].setting == "plan_soc"  # the departure is still to be kept
    taken = [one.path.split("/")[-1] for one in lives.writes("batterymode/", died)]
    assert {"hold", "charge"} & set(taken)
    lives.wait(0.8)
    assert lives.pretend.home.house.mode == 1  # normal


def test_a_car_that_waits_for_a_cheap_slot_is_full_at_six_though_nobody_comes_back() -> None:
    lives = Lives(house(local("2026-01-12", "22:00")))
    lives.live(0.5)
    assert lives.soc_pct("compact") == 40.0
    assert [one.setting for one in lives.ledger.read().bequests][-1] == "plan_soc"
    assert lives.carry_out()
    lives.wait(8.5)
    assert lives.soc_pct("compact") >= 79.5


def test_a_car_that_waits_is_full_at_six_though_we_come_back_after_the_will() -> None:
    lives = Lives(house(local("2026-01-12", "22:00")))
    lives.live(0.5)
    assert lives.carry_out()
    lives.wait(1.0)
    second = lives.live(8.4)
    assert second.humans() == set()
    assert lives.soc_pct("compact") >= 79.5


@pytest.mark.parametrize("mode", ["pv", "off", "minpv"])
@pytest.mark.parametrize("guarded", [False, True])
def test_inv_43_a_humans_override_stands_in_the_next_life(mode: str, guarded: bool) -> None:
    lives = Lives(house(human=f"mode/{mode}"))
    first = lives.live(0.5)
    assert first.humans() == {"loadpoint:carport:mode"}
    if guarded:
        assert lives.carry_out()
    lives.wait(0.6)
    died = lives.clock.now()
    second = lives.live(1.0, stop=True)
    assert lives.writes("/mode/", died) == []
    assert lives.mode() == mode
    assert "loadpoint:carport:mode" in second.humans()


def test_inv_49_evcc_and_controller_die_at_once_and_nothing_is_taken_for_a_human() -> None:
    lives = Lives(house())
    lives.live(0.35)
    assert lives.mode() == "now"
    lives.pretend.kill()
    lives.wait(0.4)
    lives.pretend.start()
    lives.wait(0.42)
    second = lives.live(4.45)
    assert second.humans() == set()
    assert lives.soc_pct("compact") >= 79.5


def test_inv_49_evcc_dies_beside_us_within_the_minute_of_our_writes() -> None:
    lives = Lives(house())
    lives.live(0.001)
    written = lives.writes("/mode/now", NIGHT)
    assert written
    lives.pretend.kill()
    lives.pretend.start()
    assert lives.mode() == "pv"  # lost
    second = lives.live(4.4)
    assert second.humans() == set()
    assert lives.soc_pct("compact") >= 79.5
