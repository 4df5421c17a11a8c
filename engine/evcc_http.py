"""evcc over the network: HTTP for reads and writes, its WebSocket as a wake-up.

No request is ever repeated here, except once after a login: a 401 means that nothing was done
(INV-61). Reads are repeated by `EvccReader`, writes by the actuator. Source: evcc-api.md §5.1, §6.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from engine.clock import Clock
from engine.evcc_fields import EvccUnreadable, decoded, mapping
from engine.evcc_writes import LOGIN_PATH
from engine.messages import EvccNudged
from engine.transport import Answer, TransportError

log = logging.getLogger("smartload.evcc")

MAX_BODY = 16 * 2**20
KEEP_S = 100.0
"""An idle connection is kept for so long. evcc itself closes one after 120 s (server/http.go): to
be the first leaves no request that meets a connection which is just being closed."""
CONNECTS = "connection.connect_tcp.complete"
"""httpx traces so that a request needed a connection of its own."""
WATCHED = re.compile(
    r"batteryMode|batteryModeExternal|loadpoints\.\d{1,3}\."
    r"(connected|vehicleName|mode|alwaysCharge|limitSoc|limitEnergy|planActive)"
)
"""Changes that are worth a reading at once; the index counts from 0."""


class HttpTransport:
    """One keep-alive connection to evcc. `url` may have a base path and `user:password@`.

    `timeout_s` bounds each step of a request (connecting, the next byte of the answer), and twice
    that the whole of one that drips; `headers` are for a proxy in front or an API key.
    """

    def __init__(
        self,
        url: str,
        password: str | None = None,
        timeout_s: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._password = password
        self._timeout_s = timeout_s
        self._connections = 0
        self._client = httpx.Client(
            base_url=url,
            headers=dict(headers or {}),
            timeout=timeout_s,
            limits=httpx.Limits(keepalive_expiry=KEEP_S),
            follow_redirects=False,  # a redirected POST becomes a GET
            trust_env=False,
        )

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request. Raises TransportError when no complete answer came in time."""
        answer = self._send(method, path, body)
        if answer.status == 401 and self._password is not None and self._login():
            answer = self._send(method, path, body)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _login(self) -> bool:
        """Renew the cookie; True when evcc took the password."""
        answer = self._send("POST", LOGIN_PATH, msgspec.json.encode({"password": self._password}))
        if answer.status != 200:
            log.warning("evcc refused the login: HTTP %d", answer.status)
        return answer.status == 200

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        self._connections += event == CONNECTS

    def _send(self, method: str, path: str, body: bytes) -> Answer:
        deadline_s = time.monotonic() + self._timeout_s
        headers = {"Content-Type": "application/json"} if body else None
        try:
            with self._client.stream(
                method, path, content=body, headers=headers, extensions={"trace": self._trace}
            ) as response:
                received = bytearray()
                for chunk in response.iter_bytes():
                    received += chunk
                    if time.monotonic() > deadline_s:
                        raise TransportError(f"no complete answer within {self._timeout_s:g} s")
                    if len(received) > MAX_BODY:
                        raise TransportError(f"answer of more than {MAX_BODY} bytes")
                return Answer(response.status_code, bytes(received), self._connections)
        except httpx.TimeoutException as error:
            raise TransportError(f"no answer within {self._timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise TransportError(f"{type(error).__name__}: {error}"[:200]) from error


def websocket_url(url: str) -> str:
    """`http://evcc.local:7070/base` -> `ws://evcc.local:7070/base/ws`."""
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))


class PushWatch:
    """What evcc's WebSocket said of the watched keys. Pure; kept over reconnects."""

    def __init__(self) -> None:
        self._known: dict[str, Any] | None = None

    def changed(self, message: str | bytes) -> str | None:
        """A watched key that `message` changed, or None. The first message is the whole state."""
        try:
            pairs = mapping(decoded(message if isinstance(message, bytes) else message.encode()))
        except EvccUnreadable:
            return None
        watched = {key: value for key, value in pairs.items() if WATCHED.fullmatch(key)}
        if self._known is None:
            self._known = watched
            return None
        news = [key for key, value in watched.items() if self._known.get(key) != value]
        self._known.update(watched)
        return news[0] if news else None


class EvccPush:
    """A thread on evcc's WebSocket that publishes `EvccNudged`, at most one per `pause_s`.

    Reconnects after a delay that grows from `delay_s` to 30 s. Never sends anything but pings:
    evcc disconnects a client that does.
    """

    def __init__(
        self,
        url: str,
        publish: Callable[[EvccNudged], None],
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        *,
        pause_s: float = 0.5,
        delay_s: float = 1.0,
    ) -> None:
        self._url = websocket_url(url)
        self._publish = publish
        self._clock = clock
        self._headers = dict(headers or {})
        self._pause_s = pause_s
        self._delay_s = delay_s
        self._watch = PushWatch()
        self._stop = threading.Event()
        self._socket: ClientConnection | None = None
        self._thread = threading.Thread(target=self._run, name="smartload-evcc-push", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the stream is up."""
        return self._socket is not None

    def start(self) -> None:
        """Connect, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect and end the thread; at most some seconds while a connect is under way."""
        self._stop.set()
        if (socket := self._socket) is not None:
            socket.close()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        delay_s = self._delay_s
        while not self._stop.is_set():
            try:
                with connect(
                    self._url,
                    additional_headers=self._headers,
                    open_timeout=4,
                    close_timeout=1,
                    ping_interval=20,
                    ping_timeout=10,
                    max_size=MAX_BODY,
                    proxy=None,
                ) as socket:
                    self._socket = socket
                    delay_s = self._delay_s
                    self._listen(socket)
            except (OSError, EOFError, WebSocketException) as error:
                if not self._stop.is_set():
                    log.info("evcc push: %s", str(error)[:200] or type(error).__name__)
            finally:
                self._socket = None
            self._stop.wait(delay_s)
            delay_s = min(2 * delay_s, 30.0)

    def _listen(self, socket: ClientConnection) -> None:
        """Until the connection ends or `stop`."""
        waiting: str | None = None
        quiet_until_s = 0.0
        while not self._stop.is_set():
            left_s = quiet_until_s - time.monotonic()
            if waiting is not None and left_s <= 0:
                self._publish(EvccNudged(self._clock.now(), waiting))
                waiting, quiet_until_s = None, time.monotonic() + self._pause_s
                continue
            try:
                message = socket.recv(timeout=left_s if waiting is not None else 1.0)
            except TimeoutError:
                continue
            waiting = self._watch.changed(message) or waiting
