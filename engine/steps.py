"""The stepped runtime: Pykka actors on one thread, in an order that the seed decides.

A subclass of Pykka's `Actor` whose three runtime hooks hand envelopes to one scheduler. The inbox
gives out one envelope and then raises `_Idle`, which turns Pykka's own loop into "handle one
message", with its failure handling intact (style-anchors.md §2.3; canary in tests).
"""

import heapq
import random
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import pykka

from engine.actor import Port
from engine.clock import VirtualClock
from engine.messages import Message
from engine.system import AnyEndpoint, NoRecorder, Recorder, Runtime, handle, routes_of


class _Idle(BaseException):
    """Back to the scheduler."""


class _Inbox(deque[Any]):
    """One seat's waiting envelopes; gives out `quota` of them and then hands back."""

    def __init__(self, ready: deque["_Inbox"]) -> None:
        super().__init__()
        self._ready = ready
        self.quota = 0
        self.seat: _Seat  # the scheduler's strong reference: a Pykka ref holds its actor weakly

    def put(self, envelope: Any, /) -> None:
        self.append(envelope)
        self._ready.append(self)

    def get(self) -> Any:
        if self.quota == 0:
            raise _Idle
        self.quota -= 1
        return self.popleft()

    def empty(self) -> bool:
        return not self


class WaitRefusedError(RuntimeError):
    """Something inside asked and waited; in one thread nobody could answer."""


class _Seat(pykka.Actor):
    """A Pykka actor that hosts one endpoint."""

    def __init__(self, system: "StepSystem", endpoint: AnyEndpoint) -> None:
        self.system = system
        self.endpoint = endpoint
        super().__init__()

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]
        inbox = _Inbox(self.system.ready)
        inbox.seat = self
        return inbox

    @staticmethod
    def _create_future() -> Any:
        raise WaitRefusedError("actors tell, they do not ask")

    def _start_actor_loop(self) -> None:
        # the registry is global and would hold every system that was ever made
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.system.seats[self.endpoint.name] = self
        self._actor_loop_setup()

    def on_receive(self, message: Message) -> None:
        system, endpoint = self.system, self.endpoint
        system.delivered += 1
        said = handle(endpoint, message, system.recorder)
        if said:
            system.say(endpoint.name, said)

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.actor_stopped.set()
        self.system.failure = exception_value


class StepSystem(Runtime):
    """Runs a cast under virtual time, deterministically; a failure raises at once.

    `shuffle` delivers ready messages in an order drawn from `seed` instead of first in, first out.
    `latency_s` maps port names to the virtual time that their answers take.
    """

    def __init__(
        self,
        start: datetime,
        recorder: Recorder | None = None,
        *,
        shuffle: bool = False,
        seed: int = 0,
        latency_s: dict[str, float] | None = None,
    ) -> None:
        self.clock: VirtualClock = VirtualClock(start)
        self.recorder: Recorder = recorder or NoRecorder()
        self.seats: dict[str, _Seat] = {}
        self.ready: deque[_Inbox] = deque()
        self.failure: BaseException | None = None
        self.delivered = 0
        self._routes: dict[type[Message], tuple[Any, ...]] = {}
        self._ports: list[Port[Any, Any]] = []
        self._late: list[tuple[datetime, int, tuple[Message, ...]]] = []
        self._late_n = 0
        self._random = random.Random(f"order-{seed}") if shuffle else None
        self._latency_s = latency_s or {}

    def enter(self, cast: Iterable[AnyEndpoint]) -> None:
        """Seat everyone."""
        cast = list(cast)
        for endpoint in cast:
            _Seat.start(self, endpoint)
        self._ports = [endpoint for endpoint in cast if isinstance(endpoint, Port)]
        self._routes = {
            heard: tuple(self.seats[name].actor_ref for name in names)
            for heard, names in routes_of(cast).items()
        }

    def publish(self, message: Message) -> None:
        """Put a message into the inboxes of its hearers; nothing runs before `settle`."""
        for ref in self._routes.get(type(message), ()):
            ref.tell(message)

    def settle(self) -> None:
        """Run until nobody has anything left to do. Raises what a handler raised."""
        ready, rng = self.ready, self._random
        while ready:
            if rng is None:
                inbox = ready.popleft()
            else:
                k = rng.randrange(len(ready))
                inbox = ready[k]
                del ready[k]
            inbox.quota = 1
            try:  # noqa: SIM105 - suppress() costs a tenth of a delivery
                inbox.seat._actor_loop_running()
            except _Idle:
                pass
            if self.failure is not None:
                failure, self.failure = self.failure, None
                raise failure

    def say(self, name: str, said: tuple[Message, ...]) -> None:
        """Publish what an endpoint says; a port's answers take their virtual time."""
        delay_s = self._latency_s.get(name, 0.0) if self._latency_s else 0.0
        if delay_s:
            self._later(self.clock.now() + timedelta(seconds=delay_s), said)
        else:
            for one in said:
                self.publish(one)

    def _later(self, at: datetime, said: tuple[Message, ...]) -> None:
        self._late_n += 1
        heapq.heappush(self._late, (at, self._late_n, said))

    def _next_wake(self) -> tuple[datetime, Port[Any, Any]] | None:
        """The port that rings first, and when; of several the one seated first."""
        first: tuple[datetime, Port[Any, Any]] | None = None
        for port in self._ports:
            at = port.next_wake()
            if at is not None and (first is None or at < first[0]):
                first = at, port
        return first

    def advance(self, to: datetime) -> None:
        """Move virtual time to `to`; late answers and ports' wakes happen on the way, in order."""
        while True:
            next_wake = self._next_wake()
            late_at = self._late[0][0] if self._late else None
            if (
                late_at is not None
                and late_at <= to
                and (next_wake is None or late_at <= next_wake[0])
            ):
                self.clock.move_to(late_at)
                for one in heapq.heappop(self._late)[2]:
                    self.publish(one)
            elif next_wake is not None and next_wake[0] <= to:
                self.clock.move_to(next_wake[0])
                for one in tuple(next_wake[1].wake(next_wake[0])):
                    self.publish(one)
            else:
                break
            self.settle()
        self.clock.move_to(to)

    def endpoints(self) -> list[AnyEndpoint]:
        """Everyone seated."""
        return [seat.endpoint for seat in self.seats.values()]

    def stop(self) -> None:
        """Close the ports and forget everyone."""
        for port in reversed(self._ports):
            port.close()
        for seat in self.seats.values():
            seat.actor_stopped.set()
        self.seats.clear()
        self._routes.clear()
        self.ready.clear()
