"""Status as bytes: encoded once per snapshot for everyone, and the event stream made of it."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from engine.clock import Clock
from web.feed import Client, Window
from web.health import Vitals, no_vitals
from web.plan_view import plan_view
from web.snapshot import Snapshot
from web.status import HEAVY, forecast_view, live_view, prices_view, summary

LOOK_S = 1.0
"""How often a stream looks whether its client is gone or the server stops."""
UPDATE_S = 0.5
KEEPALIVE_S = 30.0
RETRY_MS = 3000


class Encoder:
    """Encodes each part once as long as what it shows is the same object.

    Two threads that come at once both do the work; that costs less than waiting.
    """

    def __init__(self, clock: Clock, vitals: Vitals = no_vitals) -> None:
        self._clock = clock
        self._vitals = vitals
        self._kept: dict[str, tuple[object, str, msgspec.Raw]] = {}

    def _raw(self, part: str, key: object, zone: str, view: Callable[[], Any]) -> msgspec.Raw:
        kept = self._kept.get(part)
        if kept is None or kept[0] is not key or kept[1] != zone:
            kept = (key, zone, msgspec.Raw(msgspec.json.encode(view())))
            self._kept[part] = kept
        return kept[2]

    def status(self, snapshot: Snapshot, without: frozenset[str] = frozenset()) -> bytes:
        """`web.status.status` as JSON, the heavy parts `without` left out."""
        now, zone = self._clock.now(), snapshot.zone
        live = self._raw("live", snapshot, zone, lambda: live_view(snapshot))
        heavy = {
            "plan": (snapshot.plan, lambda: plan_view(snapshot.plan, zone)),
            "prices": (snapshot.rates, lambda: prices_view(snapshot.rates)),
            "forecast": (snapshot.forecast, lambda: forecast_view(snapshot.forecast)),
        }
        parts: dict[str, Any] = {
            "now": now,
            "health": summary(snapshot, now, self._vitals()),
        }
        for part, (key, view) in heavy.items():
            if part not in without:
                parts[part] = self._raw(part, key, zone, view)
        # two JSON objects become one: the closing brace of the first, the opening one of the second
        return msgspec.json.encode(parts)[:-1] + b"," + bytes(live)[1:]


def heavy_of(snapshot: Snapshot) -> dict[str, object]:
    """The heavy parts' sources, to see which of them changed."""
    return dict(zip(HEAVY, (snapshot.plan, snapshot.rates, snapshot.forecast), strict=True))


def event(name: str, number: int, data: bytes) -> bytes:
    """One server-sent event."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), data)


def events(
    window: Window,
    client: Client,
    encoder: Encoder,
    stopping: threading.Event,
    is_gone: Callable[[], bool],
    *,
    sparing: bool = False,
    keepalive_s: float = KEEPALIVE_S,
) -> Iterator[bytes]:
    """The full status first, then again after changes, at most one per `UPDATE_S`.

    `sparing`: later events leave the heavy parts out while they are the same as in the last one.
    Ends when the client is gone or the server stops.
    """
    snapshot = window.snapshot
    yield b"retry: %d\n\n" % RETRY_MS + event("state", snapshot.version, encoder.status(snapshot))
    sent_at = time.monotonic()
    while not is_gone():
        if stopping.is_set():
            yield event("bye", snapshot.version, b"{}")
            return
        news = client.newest(LOOK_S)
        if news is not None and news.version > snapshot.version:
            before, snapshot = snapshot, news
            same = frozenset[str]()
            if sparing:
                old, new = heavy_of(before), heavy_of(snapshot)
                same = frozenset(part for part in HEAVY if old[part] is new[part])
            yield event("state", snapshot.version, encoder.status(snapshot, same))
            sent_at = time.monotonic()
            stopping.wait(UPDATE_S)
        elif time.monotonic() - sent_at >= keepalive_s:
            yield b": keepalive\n\n"
            sent_at = time.monotonic()
