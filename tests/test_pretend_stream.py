"""What the pretend evcc tells to those who listen, beside what was recorded of the demo."""

import json
from datetime import timedelta
from typing import Any

import pytest

from sim import evcc_publish
from sim.evcc import PretendEvcc
from tests.make_evcc import post, pretend


def home(**changes: Any) -> PretendEvcc:
    return pretend(evcc_interval_s=10.0, **changes)


def live(evcc: PretendEvcc, seconds: float) -> None:
    evcc.advance(evcc.now + timedelta(seconds=seconds))


def told(evcc: PretendEvcc, seconds: float) -> list[dict[str, Any]]:
    """What the stream says meanwhile, without its first messages."""
    listener = evcc.publisher.listen()
    listener.clear()
    live(evcc, seconds)
    evcc.publisher.leave(listener)
    return [json.loads(message) for message in listener]


def test_the_end_of_a_mode_is_told_when_it_comes_and_the_batterys_in_its_cycle() -> None:
    evcc = home(cars=())
    live(evcc, 1)
    post(evcc, "batterymode/hold")
    live(evcc, 59.5)
    assert told(evcc, 1.5) == [{"batteryModeExternal": "unknown"}]
    assert {"batteryMode": "normal"} in told(evcc, 10)


def test_a_cycle_without_a_grid_meter_tells_the_other_meters_only() -> None:
    evcc = home()
    whole = {key for message in told(evcc, 10) for key in message}
    evcc.device("grid_error", 1)
    rest = {key for message in told(evcc, 10) for key in message}
    assert whole > rest
    assert {"grid", "homePower", "tariffGrid", "loadpoints.0.connected"} <= whole - rest
    assert {"pvPower", "battery", "loadpoints.0.chargePower"} <= rest


def test_every_listener_hears_all_from_when_it_came() -> None:
    evcc = home()
    early = evcc.publisher.listen()
    live(evcc, 10)
    late = evcc.publisher.listen()
    first = json.loads(late.popleft())
    assert first["loadpoints.0.mode"] == "pv"
    assert "forecast.grid" in json.loads(late[1])
    early.clear()
    late.clear()
    post(evcc, "loadpoints/1/mode/off")
    assert list(early) == list(late) == [
        b'{"loadpoints.0.mode":"off"}', b'{"loadpoints.0.batteryBoost":false}'
    ]  # fmt: skip
    evcc.publisher.leave(early)
    live(evcc, 10)
    assert len(early) == 2 < len(late)


def test_a_listener_that_does_not_fetch_gets_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evcc_publish, "LONGEST", 50)
    evcc = home()
    listener = evcc.publisher.listen()
    live(evcc, 60)
    assert len(listener) == 50
