"""The live side in trouble: pushes, what hangs, restarts of evcc, actors that fail."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, Never

import msgspec
import pytest

from engine.actor import Actor
from engine.clock import WallClock
from engine.config import CarConnection
from engine.loadpoint import PV
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    CarAnswered,
    CarSilent,
    EvccLost,
    EvccRead,
    HandsOff,
    StateChanged,
    Tick,
)
from engine.settings import CarSettings
from engine.values import BatteryMode, find
from sim import evcc_life
from sim.evcc_server import EvccServer
from tests.make_live import (
    Ring,
    make_evcc,
    make_home,
    running,
    serving,
    until,
    writes_of,
)

# --- push -----------------------------------------------------------------------------------------


def test_a_plug_in_is_known_in_less_than_two_seconds_although_ticks_are_far_apart(
    tmp_path: Path,
) -> None:
    clock = WallClock()
    scenario = make_home(clock.now())
    settings = msgspec.structs.replace(scenario.settings, tick_s=30.0)
    sim = msgspec.structs.replace(scenario.sim, evcc_interval_s=1.0)
    pretend = make_evcc(clock, msgspec.structs.replace(scenario, sim=sim))
    took_s = []
    with serving(pretend) as server, running(server, clock, tmp_path, settings) as ring:
        until(lambda: ring.window.snapshot.state)
        push = ring.controller._sources[0]
        until(lambda: getattr(push, "connected", False))
        for _ in range(3):
            time.sleep(1.0)  # the stream's first message has come
            took_s.append(plugged_after_s(server, ring))
    assert min(took_s) < 2.0


def plugged_after_s(server: EvccServer, ring: Ring) -> float:
    """Plug the family car in, and out again; seconds from when evcc knew until we did."""
    home = server.pretend.home

    def known() -> str | None:
        state = ring.window.snapshot.state
        garage = find(state.site.loadpoints, "garage") if state and state.site else None
        return garage.vehicle if garage else None

    assert known() is None
    with server.lock:
        evcc_life.plug(home, 1, home.cars["family"])
    while home.loadpoints[1].vehicle is None:  # until a cycle of that loadpoint
        time.sleep(0.01)
    began_s = time.monotonic()
    until(lambda: known() == "family")
    took_s = time.monotonic() - began_s
    with server.lock:
        evcc_life.unplug(home, 1)
    until(lambda: known() is None)
    return took_s


# --- what hangs delays nobody else ----------------------------------------------------------------


class SlowHandler(BaseHTTPRequestHandler):
    """`/fast` answers at once, `/hang` after `hang_s` or when the server is closed."""

    hang_s = 3.0
    closing = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/hang":
            self.closing.wait(self.hang_s)
        body = b'{"soc": 61.5}'
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def car_clouds() -> Iterator[str]:
    SlowHandler.closing.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="test-clouds")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        SlowHandler.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class SlowEvcc(EvccServer):
    """Answers `/api/state` only after `delay_s`, if set; all else at once."""

    delay_s = 0.0

    def respond(self, method: str, path: str, body: bytes) -> Any:
        if method == "GET" and path.startswith("/api/state"):
            time.sleep(self.delay_s)
        return super().respond(method, path, body)


def within(times_s: list[float], longest_s: float) -> bool:
    """Whether nobody waited longer than that from one to the next."""
    return all(b - a < longest_s for a, b in pairwise(times_s))


SPEED = 10.0
"""One tick of 10 s each real second; a renewal every 2 s; the chain breaks after 5 s."""
WATCHED_S = 9.0


def test_inv_186_a_hanging_cloud_and_a_slow_evcc_delay_no_car_no_tick_and_no_renewal(
    tmp_path: Path,
) -> None:
    clock = WallClock(SPEED)
    cars = tuple(
        CarSettings(name, source="http", poll_interval_min=10.0 / 60, target_soc_pct=100.0)
        for name in ("compact", "family")
    )
    scenario = make_home(clock.now(), cars)
    settings = msgspec.structs.replace(scenario.settings, tick_s=10.0)
    server = SlowEvcc(make_evcc(clock, scenario), 0)
    server.start()
    try:
        with car_clouds() as clouds:
            asked = {"compact": CarConnection(f"{clouds}/hang", timeout_s=5.0),
                     "family": CarConnection(f"{clouds}/fast", timeout_s=5.0)}  # fmt: skip
            with running(server, clock, tmp_path, settings, cars=asked) as ring:
                until(lambda: posts_of(server))
                server.delay_s = 3.0
                began_s = time.monotonic()
                time.sleep(WATCHED_S)
                ended_s = time.monotonic()
                assert_nobody_was_delayed(ring, server, began_s, ended_s)
    finally:
        server.stop()


def posts_of(server: EvccServer) -> list[float]:
    """When the battery mode was posted, in seconds of the home's time."""
    with server.lock:
        writes = list(server.pretend.writes)
    return [one.at.timestamp() for one in writes if one.path == "/api/batterymode/charge"]


def assert_nobody_was_delayed(
    ring: Ring, server: EvccServer, began_s: float, ended_s: float
) -> None:
    def since(kind: type[Any], vehicle: str | None = None) -> list[float]:
        return [
            at_s
            for at_s, one in ring.notes.of(kind)
            if began_s <= at_s <= ended_s and vehicle in (None, getattr(one, "vehicle", None))
        ]

    ticks, fast = since(Tick), since(CarAnswered, "family")
    hung, reads = since(CarAnswered, "compact"), since(EvccRead)
    assert len(ticks) >= WATCHED_S - 3
    assert within([began_s, *ticks, ended_s], 2.9)
    assert len(fast) >= WATCHED_S / 3  # a busy machine skips a tick now and then
    assert within([began_s, *fast, ended_s], 2.9)
    assert 1 <= len(hung) <= 4  # each hangs for 3 s: it was really slow
    assert 1 <= len(reads) <= 4
    posts = posts_of(server)
    assert len(posts) >= 4
    assert within(posts, 50.0)  # the chain of renewals never broke
    assert "DELETE /api/batterymode" not in writes_of(server)[writes_of(server).index(
        "POST /api/batterymode/charge") :]  # fmt: skip
    assert ring.notes.of(BatteryModeFailed) == []
    assert ring.get("/health")["problems"] == []


def test_a_cloud_that_never_answers_in_time_is_silent_and_the_stop_does_not_wait_for_it(
    tmp_path: Path,
) -> None:
    clock = WallClock()
    cars = (CarSettings("compact", source="http", poll_interval_min=1.0),)
    scenario = make_home(clock.now(), cars)
    with serving(make_evcc(clock, scenario)) as server, car_clouds() as clouds:
        asked = {"compact": CarConnection(f"{clouds}/hang", timeout_s=1.0)}
        with running(server, clock, tmp_path, scenario.settings, cars=asked) as ring:
            ((_, silent),) = until(lambda: ring.notes.of(CarSilent))
            assert silent.reason == "no answer within 1 s"
            assert ring.get("/health")["status"] in ("ok", "starting")


# --- evcc restarts --------------------------------------------------------------------------------


def test_a_restart_of_evcc_is_survived_and_what_stood_is_set_again(tmp_path: Path) -> None:
    clock = WallClock(SPEED)
    scenario = make_home(clock.now())
    settings = msgspec.structs.replace(scenario.settings, tick_s=10.0)
    pretend = make_evcc(clock, scenario)
    with serving(pretend) as server, running(server, clock, tmp_path, settings) as ring:
        until(lambda: posts_of(server))
        server.kill()
        until(lambda: ring.notes.of(EvccLost))
        until(lambda: "evcc_silent" in ring.get("/health")["problems"])
        assert ring.get("/status")["evcc_reachable"] is False
        gone = len(posts_of(server))
        server.boot(first_cycle_s=5.0)
        until(lambda: ring.get("/status")["evcc_reachable"])
        until(lambda: len(posts_of(server)) > gone)
        push = ring.controller._sources[0]
        until(lambda: getattr(push, "connected", False))
        until(lambda: ring.get("/health")["status"] == "ok")
        ring.controller.stop()
        assert "DELETE /api/batterymode" in writes_of(server)
        with server.lock:
            assert pretend.home.loadpoints[0].mode == PV


# --- who fails ------------------------------------------------------------------------------------


class ClumsyMemory(msgspec.Struct, frozen=True):
    """How many ticks were handled."""

    ticks: int = 0


class Clumsy(Actor[Tick, Never]):
    """Stumbles over each tick while `stumbling` is set."""

    memory: ClumsyMemory
    stumbling = threading.Event()

    def __init__(self) -> None:
        self.memory = ClumsyMemory()

    def on(self, message: Tick) -> Iterator[Never]:
        if self.stumbling.is_set():
            raise ValueError("stumbled")
        self.memory = ClumsyMemory(self.memory.ticks + 1)
        yield from ()


@pytest.fixture
def stumbling() -> Iterator[threading.Event]:
    Clumsy.stumbling.clear()
    yield Clumsy.stumbling
    Clumsy.stumbling.clear()


def ticks_of(ring: Ring) -> int:
    return msgspec.json.decode(ring.controller.system.memories()["Clumsy"])["ticks"]  # type: ignore[no-any-return]


def test_an_actor_that_raises_is_seated_again_with_its_memory_and_the_page_says_so(
    tmp_path: Path, stumbling: threading.Event
) -> None:
    clock = WallClock(SPEED)
    scenario = make_home(clock.now())
    settings = msgspec.structs.replace(scenario.settings, tick_s=10.0)
    with (
        serving(make_evcc(clock, scenario)) as server,
        running(server, clock, tmp_path, settings, beside=(Clumsy(),)) as ring,
    ):
        until(lambda: ticks_of(ring) >= 2 and ring.window.snapshot.plan)
        stumbling.set()
        ((_, failed),) = until(lambda: ring.notes.of(ActorFailed))
        stumbling.clear()
        known = ticks_of(ring)
        assert known >= 2
        assert (failed.actor, failed.heard) == ("Clumsy", "Tick")
        until(lambda: ticks_of(ring) > known)
        health = until(lambda: "failed:Clumsy" in (h := ring.get("/health"))["problems"] and h)
        assert health["status"] == "degraded"
        assert health["runtime"]["failures"] == {"Clumsy": 1}
        assert health["failures"][0]["error"] == "ValueError: stumbled"
        assert "failed:Clumsy" in ring.get("/status")["health"]["problems"]
        assert not ring.controller.system.hands_off


def test_four_failures_end_in_hands_off_and_everything_is_released(
    tmp_path: Path, stumbling: threading.Event
) -> None:
    clock = WallClock(SPEED)
    scenario = make_home(clock.now())
    settings = msgspec.structs.replace(scenario.settings, tick_s=10.0)
    with (
        serving(make_evcc(clock, scenario)) as server,
        running(server, clock, tmp_path, settings, beside=(Clumsy(),)) as ring,
    ):
        until(lambda: posts_of(server) and "POST /api/loadpoints/1/mode/now" in writes_of(server))
        stumbling.set()
        until(lambda: ring.notes.of(HandsOff))
        assert len(ring.notes.of(ActorFailed)) == 4
        stumbling.clear()
        until(lambda: any(one.mode is None for _, one in ring.notes.of(BatteryModeConfirmed)))
        released = writes_of(server)
        assert released.index("POST /api/batterymode/normal") < released.index(
            "DELETE /api/batterymode"
        )
        until(lambda: "POST /api/loadpoints/1/mode/pv" in writes_of(server))
        health = until(lambda: "hands_off" in (h := ring.get("/health"))["problems"] and h)
        assert health["runtime"]["hands_off"] is True
        count, ticks = len(posts_of(server)), len(ring.notes.of(Tick))
        until(lambda: len(ring.notes.of(Tick)) >= ticks + 4)
        assert len(posts_of(server)) == count  # nothing more is done
        state = ring.notes.of(StateChanged)[-1][1].state
        assert state.site is not None
        assert state.site.battery is not None
        assert state.site.battery.external_mode in (None, BatteryMode.UNKNOWN)
        assert timedelta(0) <= clock.now() - state.at < timedelta(minutes=5)
