"""A window on a real port, and clients that speak to it over bare sockets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from engine.clock import Clock
from engine.messages import Message
from tests.make_status import make_messages
from web.app import create_app
from web.feed import Window
from web.server import THREADS, WebServer


@contextmanager
def served(
    clock: Clock, messages: list[Message] | None = None, *, threads: int = 40, port: int = 0
) -> Iterator[tuple[Window, WebServer]]:
    """A window that has heard `messages` (the usual ones by default), served by waitress."""
    window = Window(clock)
    for message in make_messages(clock.now()) if messages is None else messages:
        list(window.on(message))  # type: ignore[arg-type]
    assert threads <= THREADS
    server = WebServer(create_app(window, clock), "127.0.0.1", port, threads)
    try:
        yield window, server
    finally:
        server.stop()


class Stream:
    """One client of `/events` over a bare socket: `events()` gives `(name, data)`, comments too."""

    def __init__(self, port: int, path: str = "/events", timeout_s: float = 5.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._file.readline().strip().decode():
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value

    def _lines(self) -> Iterator[bytes]:
        """The body's lines, out of its chunks."""
        rest = b""
        while True:
            size = int(self._file.readline().strip() or b"0", 16)
            if size == 0:
                return
            rest += self._file.read(size)
            self._file.readline()
            *lines, rest = rest.split(b"\n")
            yield from lines

    def events(self) -> Iterator[tuple[str, Any]]:
        """Named events with their decoded data; a comment is `("comment", text)`."""
        name = ""
        for line in self._lines():
            if line.startswith(b":"):
                yield "comment", line[1:].strip().decode()
            elif line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                yield name, msgspec.json.decode(line[6:])

    def close(self) -> None:
        """Vanish."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self._socket.close()


def balances(found: dict[str, Any]) -> bool:
    """Whether the shown powers add up, and the parts are those that the state names."""
    charged = sum(one["charge_w"] for one in found["loadpoints"])
    total = found["grid_import_w"] + found["pv_w"] - found["battery"]["charge_w"] - charged
    names = [(found["plan_revision"], found.get("plan")), (found["rates_revision"],
             found.get("prices"))]  # fmt: skip
    parts = all(part is None or part["revision"] == named for named, part in names)
    return abs(total - found["home_w"]) < 1e-3 and parts
