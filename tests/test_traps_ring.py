"""Traps of a real evcc that take the whole ring to pass: every actor at home, the pretend evcc.

Each is shown twice: what it does to a careless client, and that it does nothing to us
(evcc-api.md §7, §8.1, §10; evcc-recorded/README.md).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors import cast
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.home import CHARGE
from engine.messages import ConfigRead, RatesChanged, Tick
from engine.settings import CarSettings, GuestSettings
from engine.steps import StepSystem
from engine.transport import Answer
from sim.evcc import PretendEvcc
from sim.evcc_home import MODE_NAMES
from sim.run import settings_of
from sim.scenario import Scenario, SimBattery, SimCar
from sim.world import SeededWorld
from tests.make_ring import Told, home, local

START = local("2026-01-12", "18:00")
GRAMS = 350.0


class GreenEvcc(PretendEvcc):
    """While its grid tariff fails, `planner` answers with grams of CO2 per kWh, as recorded."""

    def __init__(self, *args: Any) -> None:
        self.asked: list[str] = []
        super().__init__(*args)

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        self.asked.append(path)
        answer = super().request(method, path, body)
        if path == "/api/tariff/planner" and answer.status == 404:
            slot = {
                "start": self.now.isoformat(),
                "end": (self.now + timedelta(hours=24)).isoformat(),
                "value": GRAMS,
            }
            return Answer(200, json.dumps({"rates": [slot]}).encode())
        return answer


@dataclass
class Ring:
    """A home that is played tick by tick, and whose controller may be gone at any time."""

    evcc: GreenEvcc
    system: StepSystem
    told: Told
    at: datetime

    def play(self, until: Callable[[], bool], most: timedelta) -> bool:
        """Tick until it is so; False: it never was."""
        end = self.at + most
        while self.at < end:
            self.system.tick(Tick(self.at))
            self.at += timedelta(seconds=60)
            if until():
                return True
        return False

    def dead(self, time: timedelta) -> None:
        """The controller is gone, evcc lives on."""
        self.at += time
        self.evcc.advance(self.at)

    def writes(self, part: str) -> list[str]:
        return [one.path.split(part)[1] for one in self.evcc.writes if part in one.path]

    def mode(self) -> str:
        return MODE_NAMES[self.evcc.home.loadpoints[0].mode]

    def soc_pct(self, car: str = "zoe") -> float:
        found = self.evcc.car_soc_pct(car)
        assert found is not None
        return found


def ring(scenario: Scenario) -> Ring:
    start, told = scenario.sim.start, Told()
    system = StepSystem(start, told)
    evcc = GreenEvcc(scenario, SeededWorld(scenario, 1, 2.0), system.clock)
    clock = system.clock
    system.enter(
        [*cast(), EvccReader(evcc, clock), EvccWriter(evcc, clock), BatteryKeeper(evcc, clock)]
    )
    system.publish(ConfigRead(at=start, settings=settings_of(scenario)))
    system.settle()
    return Ring(evcc, system, told, start)


def with_car(car: SimCar, departure: str = "07:00", **changes: Any) -> Scenario:
    wish = CarSettings("zoe", capacity_kwh=50.0, target_soc_pct=80.0, departure=departure)
    wishes = () if car.guest else (wish,)
    return home(START, cars=(car,), wishes=wishes, tick_s=60.0, **changes)


def careless(scenario: Scenario, *paths: str) -> PretendEvcc:
    """evcc with these requests ten hours later."""
    evcc = PretendEvcc(scenario, SeededWorld(scenario, 1, 2.0))
    evcc.advance(START + timedelta(minutes=1))
    for path in paths:
        assert evcc.request("POST", f"/api/{path}").status == 200
    evcc.advance(START + timedelta(hours=10))
    return evcc


# --- limits ---------------------------------------------------------------------------------------


def test_limit_energy_is_ignored_for_a_known_car_so_a_now_of_ours_has_a_limit_soc() -> None:
    story = with_car(SimCar("zoe", soc_pct=50.0, loadpoint="carport"))
    trapped = careless(story, "loadpoints/1/limitenergy/5", "loadpoints/1/mode/now")
    assert trapped.car_soc_pct("zoe") == pytest.approx(100, abs=1)
    ours = ring(story)
    assert ours.play(lambda: ours.mode() == "now", timedelta(hours=13))
    assert ours.writes("limitsoc/") == ["80"]
    assert not ours.writes("limitenergy/")
    ours.dead(timedelta(hours=8))
    assert ours.soc_pct() == pytest.approx(80, abs=1)


def test_a_guest_has_no_soc_so_a_now_of_ours_has_a_limit_of_energy() -> None:
    guest = SimCar("visitor", soc_pct=30.0, guest=True, api=False, loadpoint="carport")
    story = with_car(guest)
    guests = GuestSettings(energy_kwh=8.0, departure="07:00")
    story = replace(story, settings=replace(story.settings, guests=guests))
    ours = ring(story)
    assert ours.play(lambda: ours.mode() == "now", timedelta(hours=13))
    (limit_kwh,) = ours.writes("limitenergy/")
    assert not ours.writes("limitsoc/")
    ours.dead(timedelta(hours=8))
    taken_kwh = (ours.soc_pct("visitor") - 30.0) / 100 * 50.0 / 0.9
    assert taken_kwh == pytest.approx(float(limit_kwh), abs=0.2)


# --- plans and prices -----------------------------------------------------------------------------


@pytest.mark.parametrize(("soc_pct", "mode"), [(77.0, "now"), (78.5, "minpv")])
def test_a_plan_of_one_short_slot_never_starts_and_we_charge_by_mode(
    soc_pct: float, mode: str
) -> None:
    story = with_car(SimCar("zoe", soc_pct=soc_pct, loadpoint="carport"), departure="20:00")
    trapped = careless(story, "vehicles/zoe/plan/soc/80/2026-01-12T19:00:00Z")
    assert trapped.car_soc_pct("zoe") == soc_pct
    ours = ring(story)
    assert ours.play(lambda: ours.mode() == mode, timedelta(hours=2))
    assert ours.writes("limitsoc/") == ["80"]
    ours.play(lambda: False, local("2026-01-12", "20:00") - ours.at)
    assert ours.soc_pct() >= 79.5


def test_a_planner_that_answers_in_grams_is_not_taken_for_a_price() -> None:
    ours = ring(with_car(SimCar("zoe", soc_pct=50.0, loadpoint="carport")))
    ours.play(lambda: False, timedelta(minutes=10))
    ours.evcc.device("tariff_error", True)
    failing = timedelta(minutes=30)
    ours.play(lambda: False, failing)
    grams = json.loads(ours.evcc.request("GET", "/api/tariff/planner").body)
    assert grams["rates"][0]["value"] == GRAMS  # the trap is set
    assert not [path for path in ours.evcc.asked[:-1] if "planner" in path]
    rates = ours.told.said(RatesChanged)
    assert rates[-1].grid_failed_since is not None
    prices = [value for said in rates for value in said.import_eur_kwh.values if value is not None]
    assert prices
    assert max(prices) < 1


# --- an old SoC -----------------------------------------------------------------------------------


def test_min_soc_is_judged_by_an_old_soc_and_our_departure_by_the_one_seen_while_charging() -> None:
    hourly = (*[0.30] * 18, 0.10, *[0.30] * 5)
    car = SimCar("zoe", soc_pct=60.0, loadpoint="carport", min_soc_pct=50.0)
    story = with_car(car, departure="23:59", hourly=hourly)
    trapped = PretendEvcc(story, SeededWorld(story, 1, 2.0))
    ours = ring(story)
    ours.play(lambda: False, timedelta(minutes=2))
    for evcc in (trapped, ours.evcc):
        evcc.advance(ours.at)
        evcc.device("car.zoe.soc_pct", 30.0)  # evcc asks again only when it charges
    trapped.advance(START + timedelta(hours=6))
    assert trapped.car_soc_pct("zoe") == 30.0  # below its minSoc, and nothing happens
    ours.play(lambda: False, local("2026-01-12", "23:59") - ours.at)
    assert ours.soc_pct() >= 79.5


# --- an inverter that does something else ---------------------------------------------------------


def test_a_swallowed_error_of_the_inverter_is_seen_in_its_power_and_ended() -> None:
    start = local("2026-01-12", "23:30")
    night = (*[0.05] * 4, *[0.50] * 20)
    story = home(start, hourly=night, battery=SimBattery(10.0, soc_pct=10.0), tick_s=60.0)
    ours = ring(story)
    ours.evcc.device("battery_write_error", True)
    site = ours.evcc.home.site
    assert ours.play(lambda: site.battery_mode == CHARGE, timedelta(hours=5))
    ours.evcc.device("battery_write_error", False)
    assert ours.evcc.home.house.mode != CHARGE  # the trap: evcc shows `charge`
    assert ours.play(lambda: ours.evcc.home.house.mode == CHARGE, timedelta(minutes=10))
