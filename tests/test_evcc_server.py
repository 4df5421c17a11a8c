"""The pretend evcc's process over real HTTP: killed, stopped and started, its port with it."""

import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from engine.clock import VirtualClock
from sim.evcc import PretendEvcc
from sim.evcc_server import EvccServer
from sim.scenario import Happening
from tests.make_evcc import START, ScriptedWorld, minutes, scenario

REFUSED, DROPPED = 0, -1


def status(server: EvccServer, path: str = "/api/state") -> int:
    try:
        return httpx.get(f"{server.url}{path}", timeout=10).status_code
    except httpx.ConnectError:
        return REFUSED
    except httpx.TransportError:  # it closed just then
        return DROPPED


def becomes(server: EvccServer, expected: int, path: str = "/api/state") -> bool:
    """Whether it answers like that within some seconds."""
    for _ in range(100):
        if status(server, path) == expected:
            return True
        time.sleep(0.05)
    return False


def drain(stream: ClientConnection) -> None:
    """Read what is there until the server closes."""
    for _ in range(100):
        stream.recv(5)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[EvccServer]:
    """Killed by its scenario after a minute, started after nine."""
    world = ScriptedWorld(happenings=(Happening(minutes(1), "evcc_kill", until=minutes(9)),))
    running = EvccServer(PretendEvcc(scenario(), world, clock), port=0)
    running.start()
    yield running
    running.stop()


def test_a_killed_evcc_refuses_connections_until_its_port_opens(
    server: EvccServer, clock: VirtualClock
) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws", max_size=None) as stream:
        assert status(server) == 200
        server.kill()
        with pytest.raises(ConnectionClosed):
            drain(stream)
    assert status(server) == REFUSED
    server.boot(first_cycle_s=10.0)
    clock.move_to(START + timedelta(seconds=9.0))
    time.sleep(0.2)
    assert status(server) == status(server, "/") == REFUSED
    clock.move_to(START + timedelta(seconds=9.86))  # the port opens at 9.85 s
    assert becomes(server, 404)
    answer = httpx.get(f"{server.url}/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server.port}/ws")
    clock.move_to(START + timedelta(seconds=9.96))  # the API answers from 9.95 s on
    assert becomes(server, 200)


def test_a_graceful_stop_refuses_connections_too_and_gives_the_battery_back(
    server: EvccServer, clock: VirtualClock
) -> None:
    httpx.post(f"{server.url}/api/batterymode/hold")
    clock.move_to(minutes(0.6))
    assert status(server) == 200
    assert server.pretend.device_state()["battery_mode"] == 2
    server.term()
    assert status(server) == REFUSED
    assert server.pretend.device_state()["battery_mode"] == 1
    server.boot()
    server.stop()  # while the port is still closed
    assert status(server) == REFUSED


def test_a_process_that_the_scenario_kills_is_refused_too(
    server: EvccServer, clock: VirtualClock
) -> None:
    for at, expected in ((0, 200), (2, REFUSED), (10, 200)):
        clock.move_to(minutes(at))
        assert becomes(server, expected)
