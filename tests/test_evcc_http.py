"""evcc over a real socket: login, slowness, keep-alive, and the WebSocket as a wake-up."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from engine.clock import VirtualClock, WallClock
from engine.evcc import BatteryKeeper, EvccReader
from engine.evcc_http import EvccPush, HttpTransport, PushWatch, websocket_url
from engine.evcc_json import site_from
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeStands,
    EvccNudged,
    EvccRead,
    EvccReadDue,
    EvccSilent,
)
from engine.transport import Answer, TransportError
from engine.values import BatteryMode, Why
from tests.make_evcc_ports import STATE, T0

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "reference" / "evcc-recorded"


class LocalEvcc(ThreadingHTTPServer):
    """Answers with `answers["VERB path"]`, or 404; keeps what it was asked, and by whom."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[Handler], tuple[int, bytes]]] = {}
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.ports: set[int] = set()
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalEvcc

    def answer(self) -> None:
        request = f"{self.command} {self.path}"
        self.server.asked.append(request)
        self.server.ports.add(self.client_address[1])
        self.server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        status, body = self.server.answers.get(request, lambda _: (404, b"404 page not found"))(
            self
        )
        if status == 0:  # answered by hand
            return
        self.send_response(status)
        if status == 200 and self.path == "/api/auth/login":
            self.send_header("Set-Cookie", "auth=jwt; Path=/; HttpOnly; SameSite=Strict")
        if status == 301:
            self.send_header("Location", self.path.rstrip("/"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def evcc() -> Iterator[LocalEvcc]:
    server = LocalEvcc()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def transport(url: str, **options: Any) -> Iterator[HttpTransport]:
    http = HttpTransport(url, **options)
    try:
        yield http
    finally:
        http.close()


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def test_requests_go_over_one_connection_below_a_base_path(evcc: LocalEvcc) -> None:
    evcc.answers["GET /evcc/api/state"] = lambda _: (200, STATE)
    evcc.answers["DELETE /evcc/api/batterymode"] = lambda _: (200, b"0")
    with transport(evcc.url + "/evcc/", headers={"X-Home": "1"}) as http:
        assert http.request("GET", "/api/state") == Answer(200, STATE)
        assert http.request("DELETE", "/api/batterymode") == Answer(200, b"0")
        assert http.request("GET", "/api/none") == Answer(404, b"404 page not found")
    assert len(evcc.ports) == 1


def test_headers_are_sent(evcc: LocalEvcc) -> None:
    seen = []

    def state(handler: Handler) -> tuple[int, bytes]:
        seen.append(handler.headers["Authorization"])
        return 200, STATE

    evcc.answers["GET /api/state"] = state
    with transport(evcc.url, headers={"Authorization": "Bearer evcc_key"}) as http:
        http.request("GET", "/api/state")
    assert seen == ["Bearer evcc_key"]


def test_inv_61_an_expired_login_is_renewed_and_the_request_repeated_once(evcc: LocalEvcc) -> None:
    def mode(handler: Handler) -> tuple[int, bytes]:
        known = "auth=jwt" in (handler.headers["Cookie"] or "")
        return (200, b'"pv"') if known else (401, b"Unauthorized")

    evcc.answers["POST /api/loadpoints/1/mode/pv"] = mode
    evcc.answers["POST /api/auth/login"] = lambda _: (200, b"")
    with transport(evcc.url, password="secret") as http:
        for _ in range(2):
            assert http.request("POST", "/api/loadpoints/1/mode/pv") == Answer(200, b'"pv"')
    write, login = "POST /api/loadpoints/1/mode/pv", "POST /api/auth/login"
    assert evcc.asked == [write, login, write, write]  # the second time the cookie is there
    assert json.loads(evcc.bodies[1]) == {"password": "secret"}


@pytest.mark.parametrize(("password", "logins"), [("wrong", 1), (None, 0)])
def test_inv_61_a_refused_login_is_not_repeated(
    evcc: LocalEvcc, password: str | None, logins: int
) -> None:
    evcc.answers["GET /api/state"] = lambda _: (401, b"Unauthorized")
    evcc.answers["POST /api/auth/login"] = lambda _: (401, b"Unauthorized")
    with transport(evcc.url, password=password) as http:
        assert http.request("GET", "/api/state").status == 401
    assert evcc.asked == ["GET /api/state", *["POST /api/auth/login"] * logins]


def test_a_redirect_is_an_answer_and_no_other_request(evcc: LocalEvcc) -> None:
    evcc.answers["POST /api/batterymode/hold/"] = lambda _: (301, b"")
    with transport(evcc.url) as http:
        assert http.request("POST", "/api/batterymode/hold/").status == 301
    assert evcc.asked == ["POST /api/batterymode/hold/"]


def hang(handler: Handler) -> tuple[int, bytes]:
    handler.server.release.wait(5)
    handler.close_connection = True
    return 0, b""


def drip(handler: Handler) -> tuple[int, bytes]:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not handler.server.release.wait(0.05):
        try:
            handler.wfile.write(b"x")
        except OSError:
            break
    handler.close_connection = True
    return 0, b""


def cut(handler: Handler) -> tuple[int, bytes]:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    handler.close_connection = True
    return 0, b""


@pytest.mark.parametrize("way", [hang, drip, cut])
def test_inv_186_a_slow_or_broken_answer_is_an_error_in_time(
    evcc: LocalEvcc, way: Callable[[Handler], tuple[int, bytes]]
) -> None:
    evcc.answers["POST /api/batterymode/hold"] = way
    with (
        transport(evcc.url, timeout_s=0.3) as http,
        pytest.raises(TransportError),
    ):
        http.request("POST", "/api/batterymode/hold")
    assert evcc.asked == ["POST /api/batterymode/hold"]  # never repeated


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "nonsense"])
def test_what_cannot_be_reached_is_silence(url: str) -> None:
    with transport(url, timeout_s=0.5) as http:
        port = EvccReader(http, VirtualClock(T0))
        (said,) = port.on(EvccReadDue(T0))
    assert isinstance(said, EvccSilent)
    assert said.reason


def test_inv_186_a_slow_reading_delays_no_renewal(evcc: LocalEvcc) -> None:
    """Each port has a connection and a thread of its own: evcc answers the read when released."""

    def slow_state(handler: Handler) -> tuple[int, bytes]:
        handler.server.release.wait(5)
        return 200, STATE

    evcc.answers["GET /api/state"] = slow_state
    evcc.answers["POST /api/batterymode/hold"] = lambda _: (200, b"2")
    read: list[Any] = []
    with transport(evcc.url) as for_reading, transport(evcc.url) as for_keeping:
        reader = EvccReader(for_reading, WallClock())
        reading = threading.Thread(target=lambda: read.extend(reader.on(EvccReadDue(T0))))
        reading.start()
        assert wait_for(lambda: evcc.asked)
        clock = VirtualClock(T0)
        keeper = BatteryKeeper(for_keeping, clock)
        list(keeper.on(EvccRead(T0, site_from(STATE))))
        said = list(keeper.on(BatteryModeStands(T0, BatteryMode.HOLD, Why("test"))))
        assert said == [BatteryModeConfirmed(T0, BatteryMode.HOLD)]
        due = keeper.next_wake()
        assert due is not None
        clock.move_to(due)
        list(keeper.wake(due))
        assert evcc.asked == ["GET /api/state", *["POST /api/batterymode/hold"] * 2]
        assert read == []  # all of that while the reading still waited
        evcc.release.set()
        reading.join(5)
    assert isinstance(read[0], EvccRead)


# --- push ----------------------------------------------------------------------------------------


def test_websocket_addresses() -> None:
    assert websocket_url("http://evcc.local:7070") == "ws://evcc.local:7070/ws"
    assert websocket_url("https://u:p@home.example/evcc/") == "wss://u:p@home.example/evcc/ws"


def test_what_is_worth_a_reading() -> None:
    watch = PushWatch()
    assert watch.changed('{"loadpoints.0.connected":false,"batteryMode":"normal"}') is None
    assert watch.changed('{"loadpoints.0.connected":false}') is None
    assert watch.changed('{"loadpoints.0.connected":true}') == "loadpoints.0.connected"
    assert watch.changed('{"loadpoints.0.chargePower":4830}') is None
    assert watch.changed('{"grid":{"power":1}}') is None
    assert watch.changed('{"log":"mode"}') is None
    assert watch.changed('{"batteryModeExternal":"hold"}') == "batteryModeExternal"
    assert watch.changed('{"loadpoints.12.vehicleName":"id3"}') == "loadpoints.12.vehicleName"
    assert watch.changed(b'{"batteryMode":"hold"}') == "batteryMode"
    for odd in ("", "[]", "{", "null", '{"loadpoints.0.connected":', b"\xff"):
        assert watch.changed(odd) is None
    # after a reconnect the whole state comes again: only what differs is news
    assert watch.changed('{"loadpoints.0.connected":true,"batteryMode":"hold"}') is None
    assert watch.changed('{"loadpoints.0.connected":false}') == "loadpoints.0.connected"


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings beside the checkout")
def test_a_recorded_stream_nudges_for_what_was_changed_and_little_else() -> None:
    watch = PushWatch()
    lines = (RECORDED / "websocket-demo.jsonl").read_text().splitlines()
    nudges = [key for line in lines if (key := watch.changed(json.dumps(json.loads(line)[1])))]
    assert {key.rsplit(".", 1)[-1] for key in nudges} == {
        "mode", "vehicleName", "limitSoc", "limitEnergy", "batteryMode", "batteryModeExternal",
    }  # fmt: skip
    assert len(nudges) < len(lines) / 5


class LocalPush:
    """A WebSocket server that says `first` to whoever comes, and then what it is told."""

    def __init__(self, first: str, port: int = 0) -> None:
        self.first = first
        self.clients: list[ServerConnection] = []
        self.heard: list[Any] = []
        self.path = ""
        self.server = serve(self._client, "127.0.0.1", port)
        self.port: int = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def _client(self, client: ServerConnection) -> None:
        assert client.request is not None
        self.path = client.request.path
        client.send(self.first)
        self.clients.append(client)
        self.heard.extend(client)

    def say(self, text: str) -> None:
        self.clients[-1].send(text)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.server.shutdown()
        self.thread.join()


@contextmanager
def listening(port: int) -> Iterator[tuple[EvccPush, list[EvccNudged]]]:
    nudges: list[EvccNudged] = []
    push = EvccPush(f"http://127.0.0.1:{port}", nudges.append, VirtualClock(T0), delay_s=0.05)
    push.start()
    try:
        yield push, nudges
    finally:
        push.stop()
    assert not push.connected


FIRST = '{"loadpoints.0.connected":false,"loadpoints.0.mode":"pv"}'


def test_a_plug_is_seen_by_push_within_two_seconds() -> None:
    evcc = LocalPush(FIRST)
    with listening(evcc.port) as (push, nudges):
        assert wait_for(lambda: evcc.clients and push.connected)
        assert evcc.path == "/ws"
        evcc.say('{"loadpoints.0.connected":true}')
        assert wait_for(lambda: nudges, 2.0)
        assert nudges == [EvccNudged(T0, "loadpoints.0.connected")]
    evcc.close()
    assert evcc.heard == []  # evcc disconnects a client that sends


def test_many_changes_are_few_nudges_and_the_last_is_not_lost() -> None:
    evcc = LocalPush(FIRST)
    with listening(evcc.port) as (_, nudges):
        assert wait_for(lambda: evcc.clients)
        for k in range(20):
            evcc.say(json.dumps({"loadpoints.0.limitSoc": k + 1}))
        evcc.say('{"loadpoints.0.mode":"now"}')
        assert wait_for(lambda: nudges and nudges[-1].key == "loadpoints.0.mode")
        assert len(nudges) <= 3
    evcc.close()


def test_push_comes_back_after_an_outage_and_tells_what_changed_meanwhile() -> None:
    evcc = LocalPush(FIRST)
    with listening(evcc.port) as (push, nudges):
        assert wait_for(lambda: evcc.clients and push.connected)
        evcc.close()
        assert wait_for(lambda: not push.connected)
        again = LocalPush(FIRST.replace("false", "true"), evcc.port)
        assert wait_for(lambda: nudges)
        assert nudges == [EvccNudged(T0, "loadpoints.0.connected")]
        again.close()


def test_push_stops_where_nothing_listens() -> None:
    with socket.socket() as held:  # bound, but nobody accepts
        held.bind(("127.0.0.1", 0))
        with listening(held.getsockname()[1]) as (push, nudges):
            assert not push.connected
    assert not [one for one in threading.enumerate() if one.name == "smartload-evcc-push"]
    assert nudges == []
    EvccPush("http://127.0.0.1:1", nudges.append, VirtualClock(T0)).stop()  # never started
