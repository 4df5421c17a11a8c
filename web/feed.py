"""The window's port: hears facts, keeps one reference to the newest snapshot, feeds the streams.

Readers take the reference: no lock, no copy. It is replaced only by the one thread that hears.
"""

import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Never, TypeAlias

import msgspec

from engine.actor import Port
from engine.clock import Clock
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    ConfigRead,
    DriverAsked,
    EvccRead,
    EvccSilent,
    Forecasted,
    HandsOff,
    OrderConfirmed,
    OrderFailed,
    PlanMade,
    RatesChanged,
    StateChanged,
    WillMade,
)
from engine.values import HomeState
from web.snapshot import Snapshot, folded

STREAMS_MAX = 232
QUEUE_MAX = 10
REVISIONS_KEPT = 8
HELD = timedelta(seconds=15)

Heard: TypeAlias = (
    StateChanged
    | RatesChanged
    | Forecasted
    | PlanMade
    | DriverAsked
    | OrderConfirmed
    | OrderFailed
    | BatteryModeConfirmed
    | BatteryModeFailed
    | ActorFailed
    | HandsOff
    | ConfigRead
    | EvccRead
    | EvccSilent
    | WillMade
)


class TooManyStreamsError(Exception):
    """All places for streams are taken."""


class Client:
    """One stream's queue: bounded; a slow one loses the oldest and harms nobody."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Snapshot] = queue.Queue(QUEUE_MAX)

    def offer(self, snapshot: Snapshot) -> None:
        """Queue `snapshot`; drops the oldest one when full."""
        while True:
            with suppress(queue.Full):
                self._queue.put_nowait(snapshot)
                return
            with suppress(queue.Empty):
                self._queue.get_nowait()

    def newest(self, timeout_s: float) -> Snapshot | None:
        """The newest queued snapshot (older ones are forgotten); None after `timeout_s`."""
        snapshot = None
        with suppress(queue.Empty):
            snapshot = self._queue.get(timeout=timeout_s)
            while True:
                snapshot = self._queue.get_nowait()
        return snapshot

    def __len__(self) -> int:
        return self._queue.qsize()


class Window(Port[Heard, Never]):
    """Keeps the newest self-consistent `snapshot` and hands it to every stream.

    Between different senders there is no order: a state that names a plan or rates which have not
    been heard is held back until they come, at most `HELD` (then without them). Revisions of the
    state never go back.
    """

    def __init__(self, clock: Clock) -> None:
        self.snapshot = Snapshot()
        self._clock = clock
        self._rates: deque[RatesChanged] = deque(maxlen=REVISIONS_KEPT)
        self._plans: deque[PlanMade] = deque(maxlen=REVISIONS_KEPT)
        self._held: HomeState | None = None
        self._held_until: datetime | None = None
        self._given_up: frozenset[tuple[str, int]] = frozenset()
        self._clients: frozenset[Client] = frozenset()
        self._registering = threading.Lock()

    def on(self, message: Heard) -> Iterator[Never]:
        match message:
            case StateChanged(state=state):
                newest = self._held or self.snapshot.state
                if newest is None or state.revision > newest.revision:
                    self._held = state
                    self._held_until = self._held_until or self._clock.now() + HELD
            case RatesChanged():
                self._rates.append(message)
            case PlanMade():
                self._plans.append(message)
            case _:
                pass
        changes = folded(self.snapshot, message) | self._consistent()
        if changes:
            self._replace(changes)
        yield from ()

    def _consistent(self) -> dict[str, object]:
        """The newest state with the very rates and plan that it names; empty when nothing changed.

        A part that did not come in time is None, and not waited for again, until it comes.
        """
        state = self._held or self.snapshot.state
        if state is None:
            return {}
        rates = next((r for r in self._rates if r.revision == state.rates_revision), None)
        plan = next((p for p in self._plans if p.plan.revision == state.plan_revision), None)
        absent = frozenset(
            (part, revision)
            for part, revision, found in (
                ("rates", state.rates_revision, rates),
                ("plan", state.plan_revision, plan),
            )
            if revision and found is None
        )
        if self._held and absent - self._given_up:
            if self._held_until and self._clock.now() < self._held_until:
                return {}
            self._given_up = absent
        self._held = self._held_until = None
        parts = {"state": state, "rates": rates, "plan": plan}
        known = {name: getattr(self.snapshot, name) for name in parts}
        return {name: part for name, part in parts.items() if part is not known[name]}

    def _replace(self, changes: dict[str, object]) -> None:
        version = self.snapshot.version + 1
        snapshot = msgspec.structs.replace(self.snapshot, version=version, **changes)
        self.snapshot = snapshot
        for client in self._clients:
            client.offer(snapshot)

    def next_wake(self) -> datetime | None:
        """When a held state is shown without the parts that did not come."""
        return self._held_until

    def wake(self, at: datetime) -> Iterator[Never]:
        if changes := self._consistent():
            self._replace(changes)
        yield from ()

    # --- streams (called from the server's threads) -----------------------------------------------

    def subscribe(self) -> Client:
        """A new stream's queue. Raises TooManyStreamsError beyond `STREAMS_MAX`."""
        with self._registering:
            if len(self._clients) >= STREAMS_MAX:
                raise TooManyStreamsError(f"{STREAMS_MAX} streams stand already")
            client = Client()
            self._clients |= {client}
            return client

    def unsubscribe(self, client: Client) -> None:
        """Forget a stream; twice is once."""
        with self._registering:
            self._clients -= {client}

    def nudge(self) -> None:
        """Let every stream look up, although nothing changed."""
        for client in self._clients:
            client.offer(self.snapshot)

    @property
    def streams(self) -> int:
        """How many streams stand."""
        return len(self._clients)
