"""The stream and the server over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from flask import Flask, Response

from engine.clock import VirtualClock
from engine.messages import PlanMade, StateChanged
from tests.make_status import NOW, make_messages, make_plan, make_site, make_state
from tests.make_web import Stream, balances, served
from web.app import create_app
from web.feed import STREAMS_MAX, Window
from web.server import PortInUseError, WebServer, serve
from web.stream import Encoder, events


def wait_for(condition: Callable[[], bool], timeout_s: float = 2.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.fixture
def home() -> Iterator[tuple[Window, Any]]:
    with served(VirtualClock(NOW)) as pair:
        yield pair


def test_inv_166_the_stream_begins_with_the_full_snapshot_and_goes_on_with_updates(
    home: tuple[Window, Any],
) -> None:
    window, server = home
    stream = Stream(server.port)
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    heard = stream.events()
    name, first = next(heard)
    assert name == "state"
    assert first == httpx.get(f"{server.url}/status").json()
    newer = make_state(11, site=make_site(grid_import_w=-300.0))
    list(window.on(StateChanged(NOW, newer)))
    name, second = next(heard)
    assert (name, second["revision"], second["grid_import_w"]) == ("state", 11, -300.0)
    assert second.keys() == first.keys()
    stream.close()


def test_a_sparing_stream_leaves_out_long_parts_until_they_change(home: tuple[Window, Any]) -> None:
    window, server = home
    stream = Stream(server.port, "/events?sparing=1")
    heard = stream.events()
    assert {"plan", "prices", "forecast"} <= next(heard)[1].keys()
    list(window.on(StateChanged(NOW, make_state(11))))
    _, second = next(heard)
    assert not {"plan", "prices", "forecast"} & second.keys()
    assert balances(second)
    list(window.on(make_plan(2)))
    list(window.on(StateChanged(NOW, make_state(12, plan_revision=2))))
    _, third = next(heard)
    assert third["plan"]["revision"] == 2
    assert "prices" not in third
    stream.close()


def test_updates_are_coalesced_and_the_newest_one_always_comes(home: tuple[Window, Any]) -> None:
    window, server = home
    stream = Stream(server.port)
    heard = stream.events()
    next(heard)
    for revision in range(11, 111):
        list(window.on(StateChanged(NOW, make_state(revision))))
    revisions = []
    for _, data in heard:
        revisions.append(data["revision"])
        if revisions[-1] == 110:
            break
    assert len(revisions) <= 2
    stream.close()


def test_a_quiet_stream_is_kept_alive() -> None:
    window = Window(VirtualClock(NOW))
    encoder = Encoder(VirtualClock(NOW))
    said = events(
        window, window.subscribe(), encoder, threading.Event(), bool, keepalive_s=0.0
    )  # fmt: skip
    assert b"event: state" in next(said)
    assert next(said) == b": keepalive\n\n"


def test_a_stream_ends_when_its_client_is_gone() -> None:
    window = Window(VirtualClock(NOW))
    gone = iter([False, True])
    said = events(
        window, window.subscribe(), Encoder(VirtualClock(NOW)), threading.Event(),
        lambda: next(gone), keepalive_s=0.0,
    )  # fmt: skip
    assert len(list(said)) == 2


def test_vanished_clients_leave_nothing_behind(home: tuple[Window, Any]) -> None:
    window, server = home
    streams = [Stream(server.port) for _ in range(12)]
    assert all(stream.status == 200 for stream in streams)
    assert window.streams == 12
    for stream in streams:
        stream.close()
    assert wait_for(lambda: window.streams == 0)


def test_a_client_that_never_reads_delays_nobody(home: tuple[Window, Any]) -> None:
    window, server = home
    stalled = Stream(server.port)
    reading = Stream(server.port)
    heard = reading.events()
    next(heard)
    for revision in range(11, 15):
        list(window.on(StateChanged(NOW, make_state(revision))))
        assert next(heard)[1]["revision"] == revision
    assert httpx.get(f"{server.url}/status").json()["revision"] == 14
    stalled.close()
    reading.close()


def test_beyond_the_cap_a_stream_is_refused_and_told_when_to_come_again(
    home: tuple[Window, Any],
) -> None:
    window, server = home
    clients = [window.subscribe() for _ in range(STREAMS_MAX)]
    answer = httpx.get(f"{server.url}/events")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "15"
    assert httpx.get(f"{server.url}/status").status_code == 200
    window.unsubscribe(clients[0])
    stream = Stream(server.port)
    assert stream.status == 200
    stream.close()


def test_the_server_stops_cleanly_while_streams_stand() -> None:
    before = threading.active_count()
    with served(VirtualClock(NOW)) as (window, server):
        streams = [Stream(server.port) for _ in range(5)]
        heard = [stream.events() for stream in streams]
        assert [next(one)[0] for one in heard] == ["state"] * 5
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
        assert [next(one)[0] for one in heard] == ["bye"] * 5
        for stream in streams:
            stream.close()
    assert window.streams == 0
    assert wait_for(lambda: threading.active_count() <= before)


def test_a_client_that_never_reads_does_not_keep_the_server_from_stopping() -> None:
    app = Flask("flood")

    @app.get("/events")
    def flood() -> Response:
        return Response(b"x" * 1_000_000 for _ in range(100))

    before = threading.active_count()
    server = WebServer(app, "127.0.0.1", 0, threads=2)
    stalled = Stream(server.port)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 3
    stalled.close()
    assert wait_for(lambda: threading.active_count() <= before)


def test_a_taken_port_is_said_clearly_and_leaves_no_thread(home: tuple[Window, Any]) -> None:
    _, server = home
    before = threading.active_count()
    app = create_app(Window(VirtualClock(NOW)), VirtualClock(NOW))
    with pytest.raises(PortInUseError, match=f"127.0.0.1:{server.port}"):
        serve(app, "127.0.0.1", server.port)
    assert wait_for(lambda: threading.active_count() <= before)


def test_inv_150_a_malformed_request_gives_400(home: tuple[Window, Any]) -> None:
    _, server = home
    with socket.create_connection(("127.0.0.1", server.port), 5) as raw:
        raw.sendall(b"GET /status HTTP/1.1\r\nbad header line\r\n\r\n")
        assert b"400" in raw.recv(100).split(b"\r\n")[0]
    assert httpx.get(f"{server.url}/events?sparing=2").status_code == 400


def test_the_full_status_stays_small_enough_for_a_phone() -> None:
    window = Window(VirtualClock(NOW))
    for message in make_messages():
        list(window.on(message))  # type: ignore[arg-type]
    encoder = Encoder(VirtualClock(NOW))
    assert len(encoder.status(window.snapshot)) < 300_000
    spared = encoder.status(window.snapshot, frozenset({"plan", "prices", "forecast"}))
    assert len(spared) < 10_000


def test_a_part_is_encoded_anew_when_it_changes_and_only_then() -> None:
    window = Window(VirtualClock(NOW))
    for message in make_messages():
        list(window.on(message))  # type: ignore[arg-type]
    encoder = Encoder(VirtualClock(NOW))
    one = encoder.status(window.snapshot)
    assert encoder.status(window.snapshot) == one
    plan = msgspec.structs.replace(make_plan().plan, revision=2, cost_eur=1.25)
    list(window.on(PlanMade(NOW, plan, make_plan().news)))
    list(window.on(StateChanged(NOW, make_state(11, plan_revision=2))))
    assert msgspec.json.decode(encoder.status(window.snapshot))["plan"]["cost_eur"] == 1.25
