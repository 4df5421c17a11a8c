"""The pretend evcc over real HTTP and WebSocket on one port (`smartload demo`, contract tests).

What `/ws` tells is in `sim/evcc_publish.py`. evcc's process can be killed and started here: its
port is then really closed.
"""

import socket
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.datastructures import Headers
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from engine.transport import TransportError
from sim.evcc import PretendEvcc
from sim.evcc_publish import LONGEST, Listener
from sim.evcc_routes import Response

PUSH_S = 0.1
"""How often the home is looked at for the stream; what is set is pushed at once."""
LOOK_S = 0.05
"""How often it is looked whether evcc's process has its port open."""


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
        owner = self.server.owner
        asks_stream = self.path.partition("?")[0] == "/ws" and self.headers.get("Upgrade")
        if asks_stream and owner.serves_stream():
            self.close_connection = True
            owner.stream(self)
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        response = owner.respond(self.command, self.path, body)
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

    While evcc's process does not run, and until it opens its port, connections are refused; in a
    network outage they are closed without an answer. Raises OSError when the port is taken. The
    lock guards the pretend evcc: whoever else touches it while the server runs holds `lock` too.
    """

    def __init__(self, pretend: PretendEvcc, port: int, host: str = "127.0.0.1") -> None:
        self.pretend = pretend
        self.lock = threading.Lock()
        self._place = _bound(host, port)
        self.host, self.port = host, int(self._place.getsockname()[1])
        self._http: _Http | None = None
        self._serving: threading.Thread | None = None
        self._keeper: threading.Thread | None = None
        self._door = threading.Lock()
        self._stopping, self._closing = threading.Event(), threading.Event()
        self._news = threading.Condition()
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Begin to answer as soon as evcc's process has its port open: at once if it has."""
        self._follow()
        self._keeper = _thread(self._keep)

    def stop(self) -> None:
        """Close everything; returns when no thread of ours is left."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()
        with self._door:
            self._close_port()
            self._place.close()

    # --- evcc's process ---------------------------------------------------------------------------

    def kill(self) -> None:
        """evcc is gone as by kill -9: every connection drops, new ones are refused."""
        with self.lock:
            self.pretend.catch_up()
            self.pretend.kill()
        self._follow()

    def term(self) -> None:
        """evcc stops gracefully (the battery is given back), then as after `kill`."""
        with self.lock:
            self.pretend.catch_up()
            self.pretend.term()
        self._follow()

    def boot(self, first_cycle_s: float = 0.55) -> None:
        """evcc's process starts; its first cycle comes so many seconds of its clock later.

        Shortly before, the port opens (404), then the API answers.
        """
        with self.lock:
            self.pretend.catch_up()
            self.pretend.start(first_cycle_s)
        self._follow()

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self._follow()

    def _follow(self) -> None:
        """Open or close the port as evcc's process has it."""
        with self._door:
            with self.lock:
                self.pretend.catch_up()
                is_open = self.pretend.port_open
            if is_open and self._http is None:
                self._place.close()  # it has held the port until now
                self._http = _Http((self.host, self.port), _Handler)
                self._http.owner = self
                self._serving = _thread(partial(self._http.serve_forever, 0.05))
            elif not is_open:
                self._close_port()

    def _close_port(self) -> None:
        """Refuse and drop connections; returns when their threads have ended."""
        if self._http is None or self._serving is None:
            return
        with self._news:
            self._closing.set()
            self._news.notify_all()
            connections = list(self._open)
        for connection in connections:
            _shut(connection)
        self._http.shutdown()
        self._serving.join()
        self._http.server_close()
        self._http = self._serving = None
        self._place = _bound(self.host, self.port)
        self._closing.clear()

    # --- for the handlers -------------------------------------------------------------------------

    def connected(self, connection: socket.socket) -> None:
        """A connection that has to be closed at the end."""
        with self._news:
            self._open.add(connection)
            closing = self._closing.is_set()
        if closing:
            _shut(connection)

    def disconnected(self, connection: socket.socket) -> None:
        """It is gone."""
        with self._news:
            self._open.discard(connection)

    def respond(self, method: str, path: str, body: bytes) -> Response | None:
        """evcc's answer; None while it cannot be reached."""
        try:
            with self.lock:
                response = self.pretend.respond(method, path, body)
        except TransportError:
            return None
        if method != "GET":
            with self._news:
                self._news.notify_all()
        return response

    def stream(self, handler: _Handler) -> None:
        """Push what evcc tells until the client goes, evcc falls silent, or the port closes."""
        stream = _Stream(handler)
        if not stream.accepted:
            return
        with self.lock:
            if self.pretend.catch_up():
                return
            told = self.pretend.publisher.listen()
        try:
            self._push(stream, told)
            stream.close()
        except OSError:
            return
        finally:
            with self.lock:
                self.pretend.publisher.leave(told)
            _shut(handler.connection)

    def _push(self, stream: "_Stream", told: Listener) -> None:
        while stream.alive() and not self._closing.is_set() and len(told) < LONGEST:
            while told:
                stream.send(told.popleft())
            with self.lock:
                if self.pretend.catch_up():
                    return
            with self._news:
                if not told and not self._closing.is_set():
                    self._news.wait(PUSH_S)

    def serves_stream(self) -> bool:
        """Whether `/ws` is there: from the time when the API answers."""
        with self.lock:
            return not self.pretend.catch_up() and self.pretend.ready


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

    def send(self, message: bytes) -> None:
        """One message. Raises OSError when the client is gone."""
        self._protocol.send_text(message)
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


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="smartload-pretend-evcc")
    thread.start()
    return thread


def _bound(host: str, port: int) -> socket.socket:
    """A socket that holds the port but listens not: connections are refused."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((host, port))
    except OSError:
        place.close()
        raise
    return place


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
