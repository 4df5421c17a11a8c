"""The threaded runtime: Pykka's ThreadingActor, supervised; every port has a thread of its own.

A handler that raises costs one message: the seat is taken by a new Pykka actor with the memory from
before it and the same inbox. Three failures of one seat in ten minutes end in `HandsOff`.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import pykka

from engine.actor import Actor, Port
from engine.clock import Clock, VirtualClock
from engine.messages import ActorFailed, ConfigRead, HandsOff, Message
from engine.system import AnyEndpoint, NoRecorder, Recorder, Runtime, handle, routes_of
from engine.values import Why

log = logging.getLogger("smartload.threads")

INBOX_LIMIT = 10_000
FAILURES_MAX = 3
FAILURES_WITHIN = timedelta(minutes=10)


class _Wake:
    """A port's timer has run out."""

    newest_wins = True


class _Envelope:
    """As Pykka's: a message and nobody to reply to."""

    __slots__ = ("message", "reply_to")

    def __init__(self, message: Any) -> None:
        self.message = message
        self.reply_to = None


class _Inbox(queue.Queue[Any]):
    """A seat's inbox: newest wins where the type says so, and a port's timer rings in `get`."""

    def __init__(self, system: "ThreadSystem", endpoint: AnyEndpoint) -> None:
        super().__init__()
        self._system = system
        self._port = endpoint if isinstance(endpoint, Port) else None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._system.count(+1)
        super().put(item, block, timeout)

    def _put(self, item: Any) -> None:
        kind = type(item.message)
        if getattr(kind, "newest_wins", False):
            for k, waiting in enumerate(self.queue):
                if type(waiting.message) is kind:
                    del self.queue[k]
                    self._system.count(-1)
                    break
        self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self._port is None:
            return super().get(block, timeout)
        at = self._port.next_wake()
        try:
            return super().get(timeout=None if at is None else self._system.real_s_until(at))
        except queue.Empty:
            self._system.count(+1)
            return _Envelope(_Wake())


class _Seat(pykka.ThreadingActor):
    """A Pykka actor that hosts one endpoint."""

    use_daemon_thread = True  # a cloud that hangs must not keep the process from ending

    def __init__(self, system: "ThreadSystem", endpoint: AnyEndpoint, inbox: _Inbox) -> None:
        self.system = system
        self.endpoint = endpoint
        self.inbox = inbox
        self.failed = False
        self.hearing = ""
        super().__init__()

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]
        return self.inbox

    def on_receive(self, message: Any) -> None:
        self.hearing = type(message).__name__
        if isinstance(message, _Wake):
            self.system.wake(self.endpoint)
        else:
            self.system.deliver(self.endpoint, message)
        self.system.count(-1)

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super()._handle_failure(exception_type, exception_value, traceback)
        self.failed = True
        self.system.replace(self, exception_value)
        self.system.count(-1)  # only now: `settle` must wait for what the failure says

    def on_stop(self) -> None:
        self.system.count(-1)  # the stop envelope itself

    def _actor_loop_teardown(self) -> None:
        if not self.failed:  # the inbox has passed to the next actor of this seat
            super()._actor_loop_teardown()


class ThreadSystem(Runtime):
    """Runs a cast live, each endpoint on its own thread."""

    def __init__(self, clock: Clock, recorder: Recorder | None = None) -> None:
        self.clock = clock
        self.recorder: Recorder = recorder or NoRecorder()
        self._routes: dict[type[Message], list[str]] = {}
        self._inboxes: dict[str, _Inbox] = {}
        self._refs: dict[str, pykka.ActorRef[Any]] = {}
        self._endpoints: dict[str, AnyEndpoint] = {}
        self._failures: dict[str, deque[datetime]] = {}
        self._overflowing: set[str] = set()
        self._pending = 0
        self._idle = threading.Condition()
        self._stopping = False
        self._configuration: ConfigRead | None = None
        self.hands_off = False

    def enter(self, cast: Iterable[AnyEndpoint]) -> None:
        """Seat everyone and start their threads."""
        cast = list(cast)
        self._routes = routes_of(cast)
        for endpoint in cast:
            self._endpoints[endpoint.name] = endpoint
            self._inboxes[endpoint.name] = _Inbox(self, endpoint)
        for endpoint in cast:
            self._seat(endpoint)

    def _seat(self, endpoint: AnyEndpoint) -> None:
        self._endpoints[endpoint.name] = endpoint
        ref = _Seat.start(self, endpoint, self._inboxes[endpoint.name])
        self._refs[endpoint.name] = ref

    def publish(self, message: Message) -> None:
        """Put a message into the inboxes of its hearers. A dead hearer harms nobody."""
        if isinstance(message, ConfigRead):
            self._configuration = message
        for name in self._routes.get(type(message), ()):
            inbox = self._inboxes[name]
            if inbox.qsize() >= INBOX_LIMIT:
                self._overflow(name, message)
            else:
                inbox.put(_Envelope(message))

    def _overflow(self, name: str, message: Message) -> None:
        if name not in self._overflowing:
            self._overflowing.add(name)
            error = f"inbox of {INBOX_LIMIT} messages is full"
            self._report(name, type(message).__name__, error)
            self._give_up(name, error)

    def deliver(self, endpoint: AnyEndpoint, message: Message) -> None:
        """Handle one message at one seat and publish what it says."""
        for one in handle(endpoint, message, self.recorder):
            self.publish(one)

    def wake(self, endpoint: AnyEndpoint) -> None:
        """Ring a port's timer, unless hearing something meanwhile put it off."""
        assert isinstance(endpoint, Port)
        at, now = endpoint.next_wake(), self.clock.now()
        if at is not None and at <= now:
            for one in tuple(endpoint.wake(now)):
                self.publish(one)

    def real_s_until(self, at: datetime) -> float | None:
        """Real seconds until `at`; None under a clock that is moved by hand."""
        return self.clock.real_s_until(at)

    # --- supervision -----------------------------------------------------------------------------

    def replace(self, seat: _Seat, error: BaseException | None) -> None:
        """Seat a new actor where one has died; too many deaths end in `HandsOff`."""
        name, now = seat.endpoint.name, self.clock.now()
        self._report(name, seat.hearing, f"{type(error).__name__}: {error}")
        times = self._failures.setdefault(name, deque(maxlen=FAILURES_MAX + 1))
        times.append(now)
        if len([at for at in times if now - at < FAILURES_WITHIN]) > FAILURES_MAX:
            self._give_up(name, str(error))
        if not self._stopping:
            endpoint = seat.endpoint
            self._seat(endpoint.reborn() if isinstance(endpoint, Actor) else endpoint)
            if self._configuration is not None and seat.hearing == "ConfigRead":
                # nobody goes on with the defaults: it is heard again, or there are too many deaths
                self._inboxes[name].put(_Envelope(self._configuration))

    def _report(self, name: str, heard: str, error: str) -> None:
        log.error("%s failed on %s: %s", name, heard, error)
        self.publish(ActorFailed(at=self.clock.now(), actor=name, heard=heard, error=error))

    def _give_up(self, name: str, error: str) -> None:
        if not self.hands_off:
            self.hands_off = True
            why = Why("hands_off", (("actor", name), ("error", error)))
            self.publish(HandsOff(at=self.clock.now(), why=why))

    # --- quiet and stop --------------------------------------------------------------------------

    def count(self, change: int) -> None:
        """Keep count of messages waiting or being handled."""
        with self._idle:
            self._pending += change
            if self._pending == 0:
                self._idle.notify_all()

    def settle(self, timeout_s: float = 30.0) -> bool:
        """Wait until nobody has anything left to do; False when that took too long."""
        with self._idle:
            return self._idle.wait_for(lambda: self._pending == 0, timeout_s)

    def advance(self, to: datetime) -> None:
        """Under a virtual clock: move time to `to`, ringing the ports' timers on the way."""
        assert isinstance(self.clock, VirtualClock)
        while True:
            due = [
                (at, name)
                for name, endpoint in self._endpoints.items()
                if isinstance(endpoint, Port) and (at := endpoint.next_wake()) and at <= to
            ]
            if not due:
                break
            at, name = min(due)
            self.clock.move_to(at)
            self._inboxes[name].put(_Envelope(_Wake()))
            self.settle()
        self.clock.move_to(to)

    def endpoints(self) -> list[AnyEndpoint]:
        """Everyone seated."""
        return list(self._endpoints.values())

    def waiting(self) -> dict[str, int]:
        """Messages waiting per seat (for `/health`)."""
        return {name: inbox.qsize() for name, inbox in self._inboxes.items()}

    def failures(self) -> dict[str, int]:
        """Failures per seat since the start (for `/health`)."""
        return {name: len(times) for name, times in self._failures.items()}

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop everyone in reverse order; a hung port is left behind on its daemon thread."""
        self._stopping = True
        for name in reversed(list(self._refs)):
            ref = self._refs[name]
            if ref.is_alive():
                try:
                    ref.stop(timeout=timeout_s)
                except pykka.Timeout:
                    log.warning("%s did not stop within %.0f s", name, timeout_s)
                except pykka.ActorDeadError:
                    continue
        for endpoint in self._endpoints.values():
            if isinstance(endpoint, Port):
                endpoint.close()
