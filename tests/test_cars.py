"""The ports to cars: over a small server on the loopback, and the owner's file."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.vehicle_monitor import VehicleMonitor
from engine.cars import MOST_BYTES, HttpCar, ManualCar, write_manual_soc
from engine.clock import VirtualClock, WallClock
from engine.messages import CarAnswered, CarPollDue, CarSilent, Tick, VehicleMeasured
from engine.settings import CarSettings
from engine.threads import ThreadSystem
from tests.make_senses import NOON, config

POLL = CarPollDue(NOON, "zoë")
CLOCK = VirtualClock(NOON)


class Cloud:
    """Answers each path with what was put there; keeps the headers that it was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.hang = threading.Event()
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cloud.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                if self.path == "/hang":
                    cloud.hang.wait(10)
                status, headers, body = cloud.answers.get(self.path, (404, {}, b"nothing here"))
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    return  # the client had enough

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def put(self, path: str, body: Any, status: int = 200, **headers: str) -> str:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, headers, content)
        return self.url + path

    def stop(self) -> None:
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def shared_cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.stop()


@pytest.fixture
def cloud(shared_cloud: Cloud) -> Cloud:
    shared_cloud.answers.clear()
    shared_cloud.asked.clear()
    return shared_cloud


def ask(url: str, **how: Any) -> CarAnswered | CarSilent:
    """What the port of `Zoë` says to one poll."""
    port = HttpCar("Zoë", url, CLOCK, **how)
    try:
        (said,) = port.on(POLL)
    finally:
        port.close()
    return said


def soc_of(url: str, **how: Any) -> float:
    said = ask(url, **how)
    assert isinstance(said, CarAnswered), said
    return said.soc_pct


def reason_of(url: str, **how: Any) -> str:
    said = ask(url, **how)
    assert isinstance(said, CarSilent), said
    return said.reason


# --- over HTTP ------------------------------------------------------------------------------------


def test_the_plain_answer(cloud: Cloud) -> None:
    assert ask(cloud.put("/", {"soc": 45})) == CarAnswered(NOON, "Zoë", 45.0, NOON)


def test_paths_into_json_and_headers(cloud: Cloud) -> None:
    url = cloud.put("/v2", {"data": {"cars": [{"battery": {"level": "67.5 %"}}]}})
    path = "data.cars.0.battery.level"
    assert soc_of(url, soc_path=path, headers={"X-Key": "secret"}) == 67.5
    assert cloud.asked[0][1]["x-key"] == "secret"


def test_a_pattern_in_any_text(cloud: Cloud) -> None:
    url = cloud.put("/page", b"<b>Ladezustand:</b> 45,5 %")
    assert soc_of(url, soc_regex=r"Ladezustand:</b>\s*([\d,]+)") == 45.5
    assert soc_of(url, soc_regex=r"\d\d") == 45
    assert reason_of(url, soc_regex="level") == "soc_regex finds nothing"
    assert reason_of(url, soc_regex="(level)?") == "the SoC is not a number"


@pytest.mark.parametrize(
    "told",
    [
        "2026-01-11T12:00:00+01:00",
        "2026-01-11T11:00:00Z",
        "2026-01-11T11:00:00",
        1768129200,
        1768129200000,
        "1768129200",
    ],
)
def test_inv_64_the_vendors_time_survives(cloud: Cloud, told: str | int) -> None:
    url = cloud.put("/timed", {"soc": 80, "t": told})
    assert ask(url, measured_path="t") == CarAnswered(
        NOON, "Zoë", 80.0, datetime(2026, 1, 11, 11, tzinfo=UTC)
    )


def test_inv_64_a_time_in_the_future_is_cut_and_an_unreadable_one_is_no_answer(
    cloud: Cloud,
) -> None:
    url = cloud.put("/timed", {"soc": 80, "t": "2036-01-01T00:00:00Z"})
    assert ask(url, measured_path="t") == CarAnswered(NOON, "Zoë", 80.0, NOON)
    told: Any
    for told in ("yesterday", None, True, [], 1e300, "0000-00-00"):
        cloud.put("/timed", {"soc": 80, "t": told})
        assert reason_of(url, measured_path="t") == "the measurement time is not readable"
    assert reason_of(url, measured_path="when") == "no when in the answer"


def test_inv_80_what_is_no_soc_is_not_taken_for_one(cloud: Cloud) -> None:
    soc: Any
    for soc in (None, True, "unknown", "", [], {}, "nan", float("nan")):
        url = cloud.put("/", {"soc": soc})
        assert "SoC is not" in reason_of(url), soc
    for soc in (-1, 100.1, 254, "1e9", 10**400):
        assert "SoC is not" in reason_of(cloud.put("/", {"soc": soc})), soc
    assert reason_of(cloud.put("/", {"level": 50})) == "no soc in the answer"
    assert reason_of(cloud.put("/", b"<html>")) == "the answer is not JSON"
    assert reason_of(cloud.put("/", b"")) == "the answer is not JSON"
    assert reason_of(cloud.put("/", [1, 2]), soc_path="2") == "no 2 in the answer"


def test_errors_say_what_happened_and_no_secret(cloud: Cloud) -> None:
    assert reason_of(cloud.put("/key=s3cret", {}, status=500)) == "HTTP 500"
    assert reason_of(cloud.url + "/key=s3cret/nowhere") == "HTTP 404"
    assert reason_of("http://127.0.0.1:9/key=s3cret") == "not reached (ConnectError)"
    assert reason_of("nonsense://s3cret") == "not reached (UnsupportedProtocol)"
    assert reason_of("http://h:s3cret") == "not reached (InvalidURL)"


def test_answers_are_limited_in_size(cloud: Cloud) -> None:
    fits = b'{"soc": 50}' + b" " * (MOST_BYTES - 11)
    assert soc_of(cloud.put("/", fits)) == 50.0
    assert reason_of(cloud.put("/", fits + b" ")) == "the answer is too large"


def test_redirects_stay_on_the_host_because_headers_hold_secrets(cloud: Cloud) -> None:
    cloud.put("/new", {"soc": 50})
    url = cloud.put("/old", {}, status=302, Location="/new")
    assert soc_of(url, headers={"X-Key": "secret"}) == 50.0
    other = Cloud()
    try:
        other.put("/", {"soc": 90})
        url = cloud.put("/away", {}, status=302, Location=other.url + "/")
        assert reason_of(url, headers={"X-Key": "secret"}) == "redirected to another host"
        assert other.asked == []
    finally:
        other.stop()
    url = cloud.put("/loop", {}, status=302, Location="/loop")
    assert reason_of(url) == "too many redirects"
    assert reason_of(cloud.put("/lost", {}, status=302)) == "HTTP 302"


def test_a_cloud_that_hangs_is_given_up(cloud: Cloud) -> None:
    assert reason_of(cloud.url + "/hang", timeout_s=0.2) == "no answer within 0.2 s"


def test_other_cars_polls_are_not_for_this_port() -> None:
    port = HttpCar("Zoë", "http://127.0.0.1:9/", CLOCK)
    assert list(port.on(CarPollDue(NOON, "ora_03"))) == []
    assert port.name == "HttpCar:Zoë"
    port.close()


def test_a_hanging_cloud_delays_no_other_car(cloud: Cloud) -> None:
    """One port per car, one thread per port: on the live runtime."""
    cloud.hang.clear()
    cars = [CarSettings(name, source="http") for name in ("slow", "quick")]
    clock = WallClock()
    monitor = VehicleMonitor()
    ports = [
        HttpCar("slow", cloud.url + "/hang", clock, timeout_s=5),
        HttpCar("quick", cloud.put("/quick", {"soc": 77}), clock, timeout_s=5),
    ]
    system = ThreadSystem(clock)
    system.enter([monitor, *ports])
    try:
        system.publish(config(*cars))
        system.publish(Tick(NOON))
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            known = {one.vehicle.name: one.vehicle.soc_pct for one in monitor.memory.records}
            if known.get("quick") is not None:
                break
            time.sleep(0.01)
        assert known == {"slow": None, "quick": 77.0}
    finally:
        cloud.hang.set()
        system.stop()


# --- what the owner typed in ----------------------------------------------------------------------


def manual(file: Path, vehicle: str = "Zoë") -> CarAnswered | CarSilent:
    (said,) = ManualCar(vehicle, file, CLOCK).on(CarPollDue(NOON, vehicle))
    return said


def test_inv_67_a_manual_soc_survives_a_restart_and_is_a_number(tmp_path: Path) -> None:
    file = tmp_path / "data" / "manual_soc.json"
    assert manual(file) == CarSilent(NOON, "Zoë", "nothing was entered yet")
    at = NOON - timedelta(hours=3)
    write_manual_soc(file, "Zoë", 55, at)
    write_manual_soc(file, "ora_03", 20.5, NOON)
    assert manual(file) == CarAnswered(NOON, "Zoë", 55.0, at)
    # another spelling replaces the entry (INV-78)
    write_manual_soc(file, "zOË", 60, NOON)
    assert manual(file) == CarAnswered(NOON, "Zoë", 60.0, NOON)
    assert manual(file, "ORA_03") == CarAnswered(NOON, "ORA_03", 20.5, NOON)
    assert [path.name for path in file.parent.iterdir()] == ["manual_soc.json"]


def test_inv_67_it_reaches_the_record_with_its_own_time(tmp_path: Path) -> None:
    file = tmp_path / "manual_soc.json"
    write_manual_soc(file, "Zoë", 55, NOON - timedelta(hours=13))
    monitor = VehicleMonitor()
    list(monitor.on(config(CarSettings("zoë", source="manual"))))
    list(monitor.on(Tick(NOON)))
    (said,) = monitor.on(manual(file))
    assert isinstance(said, VehicleMeasured)
    assert (said.vehicle.soc_pct, said.vehicle.source, said.vehicle.stale) == (55, "manual", True)


def test_manual_entries_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "manual_soc.json"
    for soc_pct in (-1, 101, float("nan")):
        with pytest.raises(ValueError, match="not within"):
            write_manual_soc(file, "Zoë", soc_pct, NOON)
    with pytest.raises(ValueError, match="time zone"):
        write_manual_soc(file, "Zoë", 50, NOON.replace(tzinfo=None))
    assert not file.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is not readable"),
        (b"\xff\xfe{", "the file is not readable"),
        (b"[1, 2]", "the file is not readable"),
        (b'{"Zo\xc3\xab": 50}', "the entry is not readable"),
        (b'{"Zo\xc3\xab": {"soc_pct": "x", "at": 3}}', "the entry is not readable"),
        (
            b'{"Zo\xc3\xab": {"soc_pct": 50, "at": "2026-01-14T11:00:00"}}',
            "the entry is not readable",
        ),
        (
            b'{"Zo\xc3\xab": {"soc_pct": 500, "at": "2026-01-14T11:00:00Z"}}',
            "the SoC is not within 0..100 %",
        ),
        (b" " * (MOST_BYTES + 1), "the file is too large"),
    ],
)
def test_an_unreadable_file_is_silence_with_a_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "manual_soc.json"
    file.write_bytes(content)
    assert manual(file) == CarSilent(NOON, "Zoë", reason)
    write_manual_soc(file, "Zoë", 50, NOON)
    assert manual(file) == CarAnswered(NOON, "Zoë", 50.0, NOON)


def test_a_folder_in_its_place_is_silence(tmp_path: Path) -> None:
    assert manual(tmp_path) == CarSilent(NOON, "Zoë", "the file cannot be read (IsADirectoryError)")


def test_a_broken_entry_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "manual_soc.json"
    file.write_text('{"ora_03": null, "Zoë": {"soc_pct": 50, "at": "2026-01-14T11:00:00Z"}}')
    assert manual(file) == CarAnswered(NOON, "Zoë", 50.0, NOON)


@given(st.binary(max_size=200))
def test_any_content_is_an_answer_or_silence(tmp_path_factory: Any, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_bytes(content)
    assert isinstance(manual(file), CarAnswered | CarSilent)


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "manual_soc.json"
    names = [f"car {k}" for k in range(12)]
    threads = [
        threading.Thread(target=write_manual_soc, args=(file, name, 50.0, NOON)) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(file.read_text())) == sorted(names)
