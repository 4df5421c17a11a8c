"""The pretend evcc against recordings of a real one: same shapes, same answers (evcc-recorded/)."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from engine.clock import VirtualClock
from engine.evcc_json import site_from, tariff_from
from engine.values import BatteryMode, ChargeMode, Rate
from sim.evcc import PretendEvcc
from sim.evcc_plan import plan_parts
from sim.evcc_server import EvccServer
from sim.scenario import Happening
from tests.make_evcc import START, ScriptedWorld, cycle_at, demo, minutes, scenario

RECORDED = Path(__file__).parents[2] / "shared" / "reference" / "evcc-recorded"
needs_recording = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recordings of a real evcc are not beside this checkout"
)


@pytest.fixture
def server() -> Iterator[EvccServer]:
    """The demo's home behind real HTTP; its clock stands."""
    world = ScriptedWorld(load_w=500.0, pv_w=8300.0, grid=(0.274, 0.2, 0.3))
    running = EvccServer(PretendEvcc(demo(), world, VirtualClock(START)), port=0)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(server: EvccServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as opened:
        yield opened


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())


def kind(value: Any) -> str:
    """The JSON type."""
    if isinstance(value, bool):
        return "boolean"
    return {int: "number", float: "number", str: "string", type(None): "null"}.get(
        type(value), type(value).__name__
    )


ABSENT_HERE = {"tariffCo2", "tariffCo2Home", "tariffCo2Loadpoints", "tariffTemperature"}
"""No CO2 and no temperature in the pretend home."""


@needs_recording
def test_the_state_has_every_key_of_the_recording_in_its_type(client: httpx.Client) -> None:
    real, ours = recorded("state-demo.json"), client.get("/api/state").json()
    assert set(real) - set(ours) == ABSENT_HERE
    for key in set(real) & set(ours):
        assert kind(ours[key]) == kind(real[key]), key
    assert set(ours["grid"]) >= set(real["grid"])
    assert set(ours["pv"][0]) >= set(real["pv"][0])
    assert set(ours["battery"]) >= set(real["battery"])
    assert set(ours["battery"]["devices"][0]) >= set(real["battery"]["devices"][0])


@needs_recording
def test_loadpoints_have_every_key_of_the_recording_in_its_type(client: httpx.Client) -> None:
    real, ours = recorded("state-demo.json"), client.get("/api/state").json()
    kinds: dict[str, set[str]] = {}
    for point in real["loadpoints"]:
        for key, value in point.items():
            kinds.setdefault(key, set()).add(kind(value))
    for key in ("effectivePlanTime", "planTime", "planProjectedStart", "planProjectedEnd"):
        kinds[key].add("string")
    kinds["plan"].add("list")
    for mine, theirs in zip(ours["loadpoints"], real["loadpoints"], strict=True):
        optional = {"chargeRemainingDuration", "chargeRemainingEnergy"}
        assert set(theirs) - set(mine) <= optional
        assert set(mine) <= set(kinds)
        for key, value in mine.items():
            assert kind(value) in kinds[key], key


@needs_recording
def test_vehicles_and_forecast_have_the_recorded_shape(client: httpx.Client) -> None:
    real, ours = recorded("state-demo.json"), client.get("/api/state").json()
    assert set(ours["vehicles"]) == set(real["vehicles"])
    for name, entry in ours["vehicles"].items():
        assert set(entry) == set(real["vehicles"][name]) - {"icon"}
        for key, value in entry.items():
            assert kind(value) == kind(real["vehicles"][name][key])
    assert set(real["forecast"]) - set(ours["forecast"]) == {"co2", "temperature"}
    for usage in ("grid", "feedin", "planner"):
        first, theirs = ours["forecast"][usage][0], real["forecast"][usage][0]
        assert [kind(value) for value in first] == [kind(value) for value in theirs]
    solar, theirs = ours["forecast"]["solar"], real["forecast"]["solar"]
    assert set(solar) == set(theirs)
    assert set(solar["today"]) == set(theirs["today"])
    assert len(solar["timeseries"][0]) == 2


@needs_recording
@pytest.mark.parametrize("usage", ["grid", "feedin", "solar", "planner"])
def test_tariffs_have_the_recorded_shape(client: httpx.Client, usage: str) -> None:
    real = recorded(f"tariff-{usage}.json")
    answer = client.get(f"/api/tariff/{usage}")
    assert answer.status_code == 200
    ours = answer.json()
    assert list(ours) == list(real)
    for entry in ours["rates"]:
        assert list(entry) == list(real["rates"][0])
        assert entry["start"].endswith("Z")
    for body in (answer.content, json.dumps(real).encode()):
        parsed = tariff_from(usage, 200, body)
        assert parsed.rates


OF_THE_DEMO = ("/plan", "/sessions", "/state")
"""Their answers depend on the demo's house; `tests/test_requests_demo.py` looks at them."""


@needs_recording
def test_every_recorded_request_is_answered_as_recorded(client: httpx.Client) -> None:
    lines = (RECORDED / "requests-demo.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines]
    compared = 0
    for one in asked:
        body = one.get("body", "")
        content = body if isinstance(body, str) else json.dumps(body)
        answer = client.request(one["method"], one["path"], content=content)
        said = f"{one['method']} {one['path']}"
        assert answer.status_code == one["status"], (said, answer.text)
        assert answer.headers["content-type"] == one["type"], said
        assert answer.headers.get("location") == one.get("location"), said
        if one["method"] == "GET" and any(part in one["path"] for part in OF_THE_DEMO):
            continue
        if one["type"].startswith("application/json") and one["answer"]:
            assert answer.json() == json.loads(one["answer"]), said
        else:
            assert answer.text == one["answer"], said
        compared += 1
    assert compared > 150


@needs_recording
def test_evccs_plan_is_the_recorded_one() -> None:
    rates = tariff_from("grid", 200, (RECORDED / "tariff-grid.json").read_bytes()).rates
    now = datetime(2026, 11, 22, 11, 50, 40, tzinfo=UTC)
    target = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
    for line in (RECORDED / "requests-demo.jsonl").read_text().splitlines():
        one = json.loads(line)
        if "/plan/static/preview/soc" not in one["path"] or one["status"] != 200:
            continue
        real = json.loads(one["answer"])
        parts = plan_parts(rates, now, target, timedelta(seconds=real["duration"]), {})
        ours = [(p.start.isoformat(), p.end.isoformat(), p.value) for p in parts]
        texts = json.loads(json.dumps(real["plan"]).replace("Z", "+00:00"))
        times = [(p["start"], p["end"], p["value"]) for p in texts]
        assert ours == [
            (a.replace("Z", "+00:00"), b.replace("Z", "+00:00"), v) for a, b, v in times
        ]
        return
    pytest.fail("the recording has no preview")


def test_a_plan_in_one_piece_takes_the_cheapest_window() -> None:
    rates = [
        Rate(minutes(15 * k), minutes(15 * k + 15), value)
        for k, value in enumerate((0.1, 0.3, 0.2, 0.2, 0.3, 0.2, 0.2))
    ]
    need, target = timedelta(minutes=30), minutes(105)
    pieces = plan_parts(rates, START, target, need, {"continuous": False})
    assert [(p.start, p.end) for p in pieces] == [
        (minutes(0), minutes(15)),
        (minutes(90), minutes(105)),
    ]
    block = plan_parts(rates, START, target, need, {"continuous": True})
    assert (block[0].start, block[-1].end) == (minutes(75), minutes(105))
    late = plan_parts(rates, START, target, need, {"precondition": 900})
    assert [(p.start, p.end) for p in late] == [(minutes(0), minutes(15)), (minutes(90), target)]
    assert plan_parts(rates, START, minutes(200), need, {}) == ()  # fits behind what is known
    assert plan_parts(None, START, target, need, {})[0].start == minutes(75)


# --- what the parser makes of it ------------------------------------------------------------------


def test_inv_53_the_parser_reads_what_the_physics_says() -> None:
    evcc = PretendEvcc(scenario(), ScriptedWorld(load_w=500.0, pv_w=2000.0))
    evcc.request("POST", "/api/batterymode/charge")
    evcc.advance(cycle_at(1))  # ordered in one cycle, read in the next
    site = site_from(evcc.request("GET", "/api/state").body)
    assert site.battery is not None
    assert site.battery.charge_w == pytest.approx(5000.0)
    assert site.grid_import_w == pytest.approx(500 + 5000 + 1380 - 2000)
    assert site.home_w == pytest.approx(500.0)
    assert site.battery.mode == site.battery.external_mode == BatteryMode.CHARGE
    assert site.battery.soc_pct == pytest.approx(100 * evcc.battery_kwh / 10.0)
    point = site.loadpoints[0]
    assert (point.id, point.name, point.vehicle, point.mode) == (1, "lp-1", "zoe", ChargeMode.PV)
    assert point.charge_w == 1380
    assert point.vehicle_soc_pct == pytest.approx(50.0, abs=0.1)
    assert point.can_switch_phases
    sinks = site.home_w + site.battery.charge_w + point.charge_w
    assert site.grid_import_w + site.pv_w == pytest.approx(sinks, abs=0.01)
    evcc.request("POST", "/api/batterymode/normal")
    evcc.request("POST", "/api/loadpoints/1/limitenergy/7.5")
    evcc.advance(minutes(2))
    site = site_from(evcc.request("GET", "/api/state").body)
    assert site.loadpoints[0].limit_energy_kwh == 7.5
    assert site.battery is not None
    assert site.battery.charge_w == pytest.approx(120.0)


def test_unknown_socs_are_parsed_as_unknown(client: httpx.Client) -> None:
    site = site_from(client.get("/api/state").content)
    assert [point.vehicle for point in site.loadpoints] == ["vehicle_1", "vehicle_2", None]
    assert [point.vehicle_soc_pct for point in site.loadpoints] == [70.0, 21.0, None]
    assert [car.offline for car in site.vehicles] == [False, False, True, True]


# --- HTTP and WebSocket ---------------------------------------------------------------------------


def test_a_connection_is_kept(server: EvccServer, client: httpx.Client) -> None:
    for _ in range(3):
        answer = client.get("/api/state")
        assert answer.status_code == 200
        assert "connection" not in answer.headers
    assert len(server._open) == 1


@needs_recording
def test_the_stream_begins_as_recorded(server: EvccServer) -> None:
    lines = (RECORDED / "websocket-demo.jsonl").read_text().splitlines()
    real = [json.loads(line)[1] for line in lines[:7]]
    with connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as stream:
        first = json.loads(stream.recv(5))
        forecast = [json.loads(stream.recv(5)) for _ in range(4)]
    third = {key for key in real[0] if key.startswith("loadpoints.2.")}
    optional = {
        f"loadpoints.{k}.chargeRemaining{w}" for k in (0, 1) for w in ("Energy", "Duration")
    }
    assert set(real[0]) - set(first) - third - ABSENT_HERE - optional == set()
    for key in set(first) & set(real[0]) - third:
        if real[0][key] is not None and first[key] is not None:
            assert kind(first[key]) == kind(real[0][key]), key
    said = [next(iter(message)) for message in forecast]
    assert said == ["forecast.feedin", "forecast.grid", "forecast.planner", "forecast.solar"]
    assert {next(iter(message)) for message in real[1:]} >= set(said)


def ends(stream: ClientConnection) -> bool:
    """Whether the server closes, once what it had to say is read."""
    try:
        for _ in range(50):
            stream.recv(5)
    except ConnectionClosed:
        return True
    return False


def test_a_write_is_pushed_at_once_one_key_per_message(
    server: EvccServer, client: httpx.Client
) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as stream:
        for _ in range(5):
            stream.recv(5)
        client.post("/api/loadpoints/1/mode/now")
        assert json.loads(stream.recv(5)) == {"loadpoints.0.mode": "now"}


def test_a_client_that_talks_is_let_go(server: EvccServer) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as stream:
        stream.send("hello")
        assert ends(stream)


def test_during_an_outage_connections_are_closed() -> None:
    clock = VirtualClock(START)
    world = ScriptedWorld(happenings=(Happening(minutes(1), "evcc_outage", until=minutes(9)),))
    server = EvccServer(PretendEvcc(scenario(), world, clock), port=0)
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=10) as client:
            assert client.get("/api/state").status_code == 200
            clock.move_to(minutes(2))
            with pytest.raises(httpx.TransportError):
                client.get("/api/state")
            clock.move_to(minutes(10))
            assert client.get("/api/state").status_code == 200
    finally:
        server.stop()


def test_a_taken_port_is_an_error(server: EvccServer) -> None:
    with pytest.raises(OSError, match="in use"):
        EvccServer(server.pretend, server.port)


def test_stop_leaves_no_thread_and_a_free_port() -> None:
    before = set(threading.enumerate())
    server = EvccServer(PretendEvcc(scenario(), ScriptedWorld(), VirtualClock(START)), port=0)
    server.start()
    with (
        httpx.Client(base_url=server.url) as idle,
        connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as stream,
    ):
        idle.get("/api/state")
        stream.recv(5)
        server.stop()
        assert ends(stream)
    assert set(threading.enumerate()) <= before
    again = EvccServer(server.pretend, server.port)
    again.start()
    assert httpx.get(f"{again.url}/api/state").status_code == 200
    again.stop()


def test_a_plus_in_a_path_may_be_escaped(client: httpx.Client) -> None:
    for when in ("2026-11-22T20:00:00+02:00", quote("2026-11-22T20:00:00+02:00")):
        answer = client.post(f"/api/vehicles/vehicle_1/plan/soc/80/{when}")
        assert answer.json() == {"soc": 80, "time": "2026-11-22T20:00:00+02:00"}
