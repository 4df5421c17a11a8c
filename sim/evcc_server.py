"""The pretend evcc over real HTTP and WebSocket on one port (`smartload demo`, contract tests).

`/ws` as recorded: everything flat first, the forecast's keys in messages of their own, then one
changed key per message. During an outage connections are closed without an answer.
"""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from websockets.datastructures import Headers
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from engine.transport import TransportError
from sim.evcc import PretendEvcc, Response

PUSH_S = 0.5
"""How often the home is looked at for the stream; writes are pushed at once."""


class _Handler(BaseHTTPRequestHandler):
    """One connection; requests one after another (keep-alive)."""

    protocol_version = "HTTP/1.1"
    server: "_Http"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.owner.connected(self.connection)

    def finish(self) -> None:
        self.server.owner.disconnected(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client went away
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""

    def _serve(self) -> None:
        if self.path.partition("?")[0] == "/ws" and self.headers.get("Upgrade"):
            self.close_connection = True
            self.server.owner.stream(self)
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        response = self.server.owner.respond(self.command, self.path, body)
        if response is None:
            self.close_connection = True
            return
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        if response.location:
            self.send_header("Location", response.location)
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _serve  # noqa: N815 - the base class's names


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    allow_reuse_address = True
    owner: "EvccServer"


class EvccServer:
    """Serves `pretend` on `host:port` (port 0: any free one, then in `port`).

    Raises OSError when the port is taken. The lock guards the pretend evcc: whoever else touches it
    while the server runs holds `lock` too.
    """

    def __init__(self, pretend: PretendEvcc, port: int, host: str = "127.0.0.1") -> None:
        self.pretend = pretend
        self.lock = threading.Lock()
        self._http = _Http((host, port), _Handler)
        self._http.owner = self
        self.host, self.port = host, int(self._http.server_address[1])
        self._thread: threading.Thread | None = None
        self._news = threading.Condition()
        self._written = 0
        self._stopping = False
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="smartload-pretend-evcc"
        )
        self._thread.start()

    def stop(self) -> None:
        """Close everything; returns when no thread of ours is left."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
            connections = list(self._open)
        for connection in connections:
            _shut(connection)
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    # --- for the handlers -------------------------------------------------------------------------

    def connected(self, connection: socket.socket) -> None:
        """A connection that `stop` has to close."""
        with self._news:
            self._open.add(connection)
            stopping = self._stopping
        if stopping:
            _shut(connection)

    def disconnected(self, connection: socket.socket) -> None:
        """It is gone."""
        with self._news:
            self._open.discard(connection)

    def respond(self, method: str, path: str, body: bytes) -> Response | None:
        """evcc's answer; None while an outage lasts."""
        try:
            with self.lock:
                response = self.pretend.respond(method, path, body)
        except TransportError:
            return None
        if method != "GET":
            with self._news:
                self._written += 1
                self._news.notify_all()
        return response

    def stream(self, handler: _Handler) -> None:
        """Push the state until the client goes, evcc falls silent, or the server stops."""
        if self._state() is None:
            return
        stream = _Stream(handler)
        try:
            if stream.accepted:
                self._push(stream)
                stream.close()
        except OSError:
            return
        finally:
            _shut(handler.connection)

    def _push(self, stream: "_Stream") -> None:
        seen: dict[str, Any] | None = None
        while stream.alive() and not self._stopping:
            written = self._written
            now = self._state()
            if now is None:
                return
            state, forecast = now
            if seen is None:
                stream.send(state)
                for key, value in forecast.items():
                    stream.send({key: value})
            else:
                for key, value in {**state, **forecast}.items():
                    if key not in seen or seen[key] != value:
                        stream.send({key: value})
            seen = {**state, **forecast}
            with self._news:
                if not self._stopping and self._written == written:
                    self._news.wait(PUSH_S)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The flat state of now, copied by encoding; None while an outage lasts."""
        with self.lock:
            if self.pretend.catch_up():
                return None
            state, forecast = self.pretend.flat()
            copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(state))
        return copied, forecast


class _Stream:
    """The server's side of one WebSocket; a client that sends is let go, as evcc does."""

    def __init__(self, handler: _Handler) -> None:
        self._connection = handler.connection
        self._protocol = ServerProtocol()
        asked = Request(handler.path, Headers(handler.headers.items()))
        self._protocol.receive_data(asked.serialize())
        (request,) = self._protocol.events_received()
        assert isinstance(request, Request)
        response = self._protocol.accept(request)
        self.accepted = response.status_code == 101
        self._protocol.send_response(response)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._connection.sendall(data)

    def send(self, message: dict[str, Any]) -> None:
        """One message. Raises OSError when the client is gone."""
        self._protocol.send_text(msgspec.json.encode(message))
        self._flush()

    def alive(self) -> bool:
        """Read what came (pings are answered); False when the client is gone or said something."""
        try:
            while data := self._connection.recv(4096, socket.MSG_DONTWAIT):
                self._protocol.receive_data(data)
        except BlockingIOError:
            self._flush()
            said = [
                event
                for event in self._protocol.events_received()
                if isinstance(event, Frame) and event.opcode in DATA_OPCODES
            ]
            return not said and not self._protocol.close_expected()
        return False

    def close(self) -> None:
        """Say goodbye."""
        if not self._protocol.close_expected():
            self._protocol.send_close(1001)
        self._flush()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
