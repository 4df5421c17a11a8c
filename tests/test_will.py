"""The executor of the will: repeated until it shows, across outages and kills of evcc."""

from datetime import timedelta
from typing import Any

import pytest

from engine import home as physics
from engine.ledger import Ledger
from engine.transport import Answer, TransportError
from engine.values import BatteryMode, ChargeMode, find
from engine.will import carry_out
from tests.make_evcc_ports import STATE, ScriptedTransport, ok
from tests.make_will import RELEASE, T0, Deathbed, bequest

NOW = ("mode", "now", "/api/loadpoints/1/mode/now")
HOLD = ("battery_mode", "hold", "/api/batterymode/hold")


def after(seconds: float) -> Any:
    return T0 + timedelta(seconds=seconds)


def test_everything_is_given_back_in_order_and_looked_at_again_after_a_minute() -> None:
    home = Deathbed()
    home.wrote(*HOLD)
    home.wrote("limit_soc", 60.0, "/api/loadpoints/1/limitsoc/60")
    home.wrote(*NOW)
    home.wait(60)
    done = len(home.writes())
    due = after(4 * 3600)
    will = (
        RELEASE,
        bequest("limit_soc", 0.0),
        bequest("limit_energy", 12.5),
        bequest("mode", "pv"),
        bequest("plan_soc", 80.0, vehicle="Compact", due=due),
    )
    assert home.carry_out(*will)
    assert home.writes()[done:] == [
        "POST batterymode/normal",
        "DELETE batterymode",
        "POST loadpoints/1/limitsoc/0",
        "POST loadpoints/1/limitenergy/12.5",
        "POST loadpoints/1/mode/pv",
        "POST vehicles/compact/plan/soc/80/2026-01-01T16:00:00Z",
    ]
    assert 60 + 70 <= home.seconds() < 60 + 90
    assert home.evcc.home.house.mode == physics.NORMAL
    carport, car = home.carport(), find(home.site().vehicles, "compact")
    assert (carport.mode, carport.limit_soc_pct) == (ChargeMode.PV, None)
    assert car is not None
    assert (car.plan_soc_pct, car.plan_at) == (80.0, due)
    estate = home.ledger.read()
    assert estate.carried_out_at == home.clock.now()
    latest = {one.setting: one for one in estate.written}
    assert (latest["battery_mode"].value, latest["mode"].value) == ("", "pv")
    assert all(one.confirmed for one in estate.written)


def test_a_guest_gets_an_energy_plan() -> None:
    home = Deathbed()
    due = after(3 * 3600)
    assert home.carry_out(bequest("plan_energy", 9.0, due=due))
    assert home.writes() == ["POST loadpoints/1/plan/energy/9/2026-01-01T15:00:00Z"]
    # evcc would refuse a time that is past: there is nothing left to do
    assert home.carry_out(bequest("plan_energy", 9.0, due=T0))
    assert len(home.writes()) == 1


@pytest.mark.parametrize("down_s", [(0.0, 40.0), (3.0, 400.0)])
def test_an_outage_of_evcc_is_waited_for(down_s: tuple[float, float]) -> None:
    home = Deathbed()
    home.wrote(*HOLD)
    home.wrote(*NOW)
    home.wait(0.1)
    home.events = [(0.2 + down_s[0], lambda e: e.kill()), (down_s[1], lambda e: e.start())]
    home.wait(0.2)
    assert home.carry_out(RELEASE, bequest("mode", "pv"))
    assert home.seconds() >= down_s[1] + 70
    assert home.carport().mode is ChargeMode.PV
    assert home.evcc.home.house.mode == physics.NORMAL
    assert home.site().battery.external_mode is None  # type: ignore[union-attr]


@pytest.mark.parametrize("kill_s", [1, 10, 29, 31, 45, 55])
def test_what_a_kill_of_evcc_loses_is_given_back_again(kill_s: int) -> None:
    """evcc saves each minute; the inverter keeps what it was told (evcc-api.md §3.4, §4)."""
    home = Deathbed()
    home.wrote(*HOLD)
    home.wrote(*NOW)
    home.wait(130)  # saved
    home.events = [(130 + kill_s, lambda e: e.kill()), (132 + kill_s, lambda e: e.start())]
    assert home.carry_out(RELEASE, bequest("mode", "pv"))
    assert home.carport().mode is ChargeMode.PV
    home.wait(120)
    assert home.evcc.home.house.mode == physics.NORMAL


def test_a_human_who_came_after_us_is_not_overruled() -> None:
    home = Deathbed()
    home.wrote(*NOW)
    home.wait(200)
    alive_at = home.clock.now()
    home.evcc.request("POST", "/api/loadpoints/1/mode/off")
    home.wait(60)
    assert home.carry_out(bequest("mode", "pv"), alive_at=alive_at)
    assert home.carport().mode is ChargeMode.OFF
    # nor one who comes while the will is carried out
    home = Deathbed([(230.0, lambda e: e.request("POST", "/api/loadpoints/1/mode/minpv"))])
    home.wrote(*NOW)
    home.wait(200)
    assert home.carry_out(bequest("mode", "pv"))
    assert home.carport().mode is ChargeMode.MINPV


def test_the_controller_that_comes_back_ends_it() -> None:
    home = Deathbed()
    home.wrote(*NOW)
    home.back_at = after(20)
    assert not home.carry_out(bequest("mode", "pv"))
    assert home.ledger.read().carried_out_at is None
    home = Deathbed()
    home.wrote(*NOW)
    home.back_at = T0
    done = len(home.writes())
    assert not home.carry_out(bequest("mode", "pv"))
    assert len(home.writes()) == done


def test_patience_ends() -> None:
    home = Deathbed([(0.0, lambda e: e.kill())])
    assert not home.carry_out(bequest("mode", "off"), patience=timedelta(seconds=100))
    assert 100 <= home.seconds() < 120


def test_in_a_hurry_it_is_done_when_it_shows() -> None:
    home = Deathbed()
    home.wrote(*NOW)
    assert home.carry_out(bequest("mode", "pv"), sure=timedelta())
    assert home.seconds() <= 10


def test_what_evcc_refuses_is_tried_ever_more_rarely_and_holds_up_nothing() -> None:
    home = Deathbed()
    lost = bequest("mode", "pv", loadpoint="nosuch")
    gone = bequest("plan_soc", 80.0, vehicle="nosuch", due=after(90_000))
    refused = bequest("mode", "sideways")
    assert not home.carry_out(lost, gone, refused, bequest("mode", "off"),
                              patience=timedelta(hours=1))  # fmt: skip
    assert home.writes() == ["POST loadpoints/1/mode/off"]
    assert home.carport().mode is ChargeMode.OFF


def test_without_a_battery_to_control_there_is_nothing_to_release() -> None:
    home, evcc = Deathbed(), ScriptedTransport()
    evcc.reply("GET /api/state", Answer(200, STATE))
    evcc.reply("POST /api/batterymode/normal", ok(0))
    evcc.reply("DELETE /api/batterymode", TransportError("lost"), ok(0))
    assert carry_out([RELEASE], evcc, home.clock, Ledger(), bool, wait=home.wait)
    assert evcc.asked.count("DELETE /api/batterymode") == 2
    assert home.seconds() == pytest.approx(10)


def test_a_release_that_evcc_does_not_take_is_repeated() -> None:
    home = Deathbed()
    home.wrote(*HOLD)
    home.wait(40)
    asked: list[str] = []

    class Unwilling:
        def request(self, method: str, path: str, body: bytes = b"") -> Answer:
            if method != "GET":
                asked.append(method)
                if len(asked) < 6:
                    return Answer(500, b"")
            return home.evcc.request(method, path, body)

        def close(self) -> None:
            """Nothing to release."""

    assert carry_out([RELEASE], Unwilling(), home.clock, home.ledger, bool, wait=home.wait)
    assert asked[:6] == ["POST", "DELETE"] * 3
    battery = home.site().battery
    assert battery is not None
    assert (battery.mode, battery.external_mode) == (BatteryMode.NORMAL, None)


def test_a_ledger_that_cannot_be_written_stops_nobody_from_giving_back(tmp_path: Any) -> None:
    home = Deathbed()
    home.wrote(*NOW)
    home.ledger = Ledger(tmp_path / "ledger.db")
    home.ledger._db.close()
    assert home.carry_out(RELEASE, bequest("mode", "pv"))
    assert home.carport().mode is ChargeMode.PV
