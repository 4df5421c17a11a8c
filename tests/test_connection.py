"""The connection to evcc tells of a restart: over HTTP and in process, from reader to state."""

import time
from collections.abc import Iterator

import pytest

from actors.collector import Collector
from actors.state_store import StateStore
from engine.clock import VirtualClock
from engine.evcc import EvccReader
from engine.evcc_http import HttpTransport
from engine.messages import EvccRead, EvccReadDue, SiteMeasured, VehiclesChecked
from engine.transport import Answer, TransportError
from sim.evcc import PretendEvcc
from sim.evcc_server import EvccServer
from sim.scenario import Happening
from tests.make_evcc import START, ScriptedWorld, minutes, scenario
from tests.make_evcc_ports import STATE, T0, ScriptedTransport
from tests.make_senses import NOON, config, free, measured, read

STATE_PATH = "/api/state"


@pytest.fixture
def server() -> Iterator[EvccServer]:
    """One whose time stands still."""
    running = EvccServer(PretendEvcc(scenario(), ScriptedWorld(), VirtualClock(START)), port=0)
    running.start()
    yield running
    running.stop()


def answered(http: HttpTransport) -> Answer:
    """What it answers within some seconds."""
    for _ in range(100):
        try:
            answer = http.request("GET", STATE_PATH)
        except TransportError:
            time.sleep(0.05)
            continue
        if answer.status == 200:
            return answer
    raise AssertionError("evcc did not answer")


# --- over HTTP ------------------------------------------------------------------------------------


def test_requests_share_a_connection_until_evccs_process_ends(server: EvccServer) -> None:
    http = HttpTransport(server.url)
    try:
        first, second = answered(http), answered(http)
        server.kill()
        server.boot(first_cycle_s=0.0)
        third, fourth = answered(http), answered(http)
    finally:
        http.close()
    assert first.connection == second.connection
    assert second.connection < third.connection == fourth.connection


def test_an_idle_connection_is_kept_for_longer_than_a_tick_and_less_than_evcc_does(
    server: EvccServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monotonic, slept_s = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + slept_s)
    http = HttpTransport(server.url)
    try:
        first = answered(http)
        slept_s = 90.0
        second = answered(http)
        slept_s += 119.0
        third = answered(http)
    finally:
        http.close()
    assert first.connection == second.connection < third.connection


# --- in process -----------------------------------------------------------------------------------


@pytest.mark.parametrize("graceful", [True, False])
def test_in_process_a_restart_is_another_connection_and_an_outage_is_none(
    graceful: bool,
) -> None:
    outage = Happening(minutes(2), "evcc_outage", until=minutes(3))
    clock = VirtualClock(START)
    evcc = PretendEvcc(scenario(), ScriptedWorld(happenings=(outage,)), clock)
    seen = [evcc.request("GET", STATE_PATH).connection]
    clock.move_to(minutes(4))
    seen.append(evcc.request("GET", STATE_PATH).connection)
    (evcc.term if graceful else evcc.kill)()
    evcc.start()
    clock.move_to(minutes(5))
    seen += [evcc.request("GET", STATE_PATH).connection for _ in range(2)]
    assert seen[0] == seen[1] < seen[2] == seen[3]


# --- from the reader to the state -----------------------------------------------------------------


def test_a_reading_names_its_connection() -> None:
    transport = ScriptedTransport()
    transport.reply(f"GET {STATE_PATH}", Answer(200, STATE, 1), Answer(200, STATE, 4))
    reader = EvccReader(transport, VirtualClock(T0))
    (one,), (other,) = (list(reader.on(EvccReadDue(T0, ()))) for _ in range(2))
    assert isinstance(one, EvccRead)
    assert isinstance(other, EvccRead)
    assert (one.connection, other.connection) == (1, 4)


def test_a_tariff_is_unchanged_whichever_connection_it_came_over() -> None:
    transport = ScriptedTransport()
    body = b'{"rates":[{"start":"2026-01-01T12:00:00Z","end":"2026-01-01T13:00:00Z","value":0.3}]}'
    transport.reply(f"GET {STATE_PATH}", Answer(200, STATE, 1))
    transport.reply("GET /api/tariff/grid", Answer(200, body, 1), Answer(200, body, 2))
    reader = EvccReader(transport, VirtualClock(T0))
    said = [one for _ in range(2) for one in reader.on(EvccReadDue(T0, ("grid",)))]
    tariffs = [one.tariffs[0].unchanged for one in said if isinstance(one, EvccRead)]
    assert tariffs == [False, True]


def test_the_state_names_the_connection_of_its_reading() -> None:
    collector, store = Collector(), StateStore()
    for mind in (collector, store):
        list(mind.on(config()))
    plain = read(NOON, free())
    heard = EvccRead(plain.at, plain.site, plain.tariffs, connection=3)
    (one,) = [said for said in collector.on(heard) if isinstance(said, SiteMeasured)]
    assert one.connection == 3
    list(store.on(one))
    (said,) = store.on(VehiclesChecked(NOON))
    assert said.state.evcc_connection == 3
    assert measured(NOON, free()).connection == 0
