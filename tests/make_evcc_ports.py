"""Fakes at the transport seam: an evcc that answers from a script, and evcc's battery watchdog."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from engine.clock import VirtualClock
from engine.evcc_json import site_from
from engine.transport import Answer, TransportError
from engine.values import Why

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATE = (
    b'{"apiReady":true,"interval":30,"batteryMode":"normal","battery":{"power":0,"soc":50,'
    b'"capacity":10,"devices":[{"soc":50,"capacity":10,"controllable":true}]},"loadpoints":['
    b'{"name":"carport","mode":"pv"},{"name":"garage","mode":"off"}]}'
)

Reply = Answer | TransportError | Callable[[], Answer]


class ScriptedTransport:
    """Answers each request from `replies` by "VERB path", otherwise with `default`."""

    def __init__(self, default: Reply | None = None) -> None:
        self.asked: list[str] = []
        self.replies: dict[str, list[Reply]] = {}
        self.default = default or TransportError("refused")
        self.closed = False

    def reply(self, request: str, *replies: Reply) -> None:
        """What comes next for `request`; the last one stays."""
        self.replies[request] = list(replies)

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        request = f"{method} {path}"
        self.asked.append(request)
        waiting = self.replies.get(request, [self.default])
        reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(reply, TransportError):
            raise reply
        return reply if isinstance(reply, Answer) else reply()

    def close(self) -> None:
        self.closed = True


ENUM = {"unknown": 0, "normal": 1, "hold": 2, "charge": 3, "holdcharge": 4}


@dataclass
class Fault:
    """What goes wrong with one request: `delay_s` on the way there, then `kind`.

    `ok`, `slow` (the delay lies on the way back), `lost` (done, but nobody hears), `refused`.
    """

    kind: str = "ok"
    delay_s: float = 0.0


@dataclass
class WatchdogEvcc:
    """evcc's external battery mode with its 60 s watchdog and the hole in it (evcc-api.md §4).

    As recorded: a POST starts a watchdog only where the timer is unset; the timer is unset by the
    next cycle after the release, not by the expiry.
    """

    clock: VirtualClock
    interval_s: float = 30.0
    phase_s: float = 0.0
    faults: Iterator[Fault] = field(default_factory=lambda: iter(()))
    external: str = "unknown"
    inverter: str = "normal"
    posts: list[tuple[float, str]] = field(default_factory=list)
    holes: int = 0  # POSTs that nothing would have ended
    _timer: datetime | None = None
    _watchdogs: int = 0
    _cycles: int = 0

    def run(self, until: datetime) -> None:
        """Let evcc live until `until`: watchdog and cycles in order."""
        while True:
            cycle = T0 + timedelta(seconds=self.phase_s + self._cycles * self.interval_s)
            expiry = None
            if self._watchdogs and self._timer is not None:
                expiry = self._timer + timedelta(seconds=60.2)
            if expiry is not None and expiry <= min(cycle, until):
                self.external, self._watchdogs = "unknown", 0
            elif cycle <= until:
                self._cycle()
            else:
                return

    def _cycle(self) -> None:
        self._cycles += 1
        if self.external != "unknown":
            self.inverter = self.external
        elif self._timer is not None:
            self._timer, self.inverter = None, "normal"

    def restart(self) -> None:
        """Killed and started again: the inverter keeps what it was told."""
        self.external, self._timer, self._watchdogs = "unknown", None, 0

    def _set(self, mode: str) -> None:
        if mode != self.external:
            self.external = mode
            if mode != "unknown" and self._timer is None:
                self._watchdogs += 1
        if mode != "unknown":
            self._timer = self.clock.now()
            self.holes += not self._watchdogs

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        fault = next(self.faults, Fault())
        if fault.kind == "refused":
            self._pass(fault.delay_s)
            raise TransportError("refused")
        if fault.kind != "slow":
            self._pass(fault.delay_s)
        self.run(self.clock.now())
        mode = path.rsplit("/", 1)[1] if method == "POST" else "unknown"
        self._set(mode)
        self.posts.append(((self.clock.now() - T0).total_seconds(), mode))
        if fault.kind == "slow":
            self._pass(fault.delay_s)
        if fault.kind == "lost":
            self._pass(10 - fault.delay_s)
            raise TransportError("no answer within 10 s")
        return Answer(200, str(ENUM[mode]).encode())

    def _pass(self, seconds: float) -> None:
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))

    def close(self) -> None:
        """Nothing is open."""


WHY = Why("test")
SITE = site_from(STATE)


def ok(said: object) -> Answer:
    return Answer(200, json.dumps(said).encode())


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)
