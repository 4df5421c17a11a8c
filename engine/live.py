"""A cast on threads, with a clock that ticks, a journal, and an orderly end."""

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from engine.clock import WallClock
from engine.heirs import Heirs
from engine.journal import Journal
from engine.messages import ConfigRead, StopAsked, Tick
from engine.settings import Settings
from engine.system import AnyEndpoint
from engine.threads import ThreadSystem

log = logging.getLogger("smartload.live")


class Source(Protocol):
    """Something that publishes by itself, on a thread of its own (evcc's push)."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End; returns when its thread is gone."""


class AlreadyRunningError(OSError):
    """Another SmartLoad uses this data folder."""


class DataFolder:
    """The folder that one running controller owns. Entering it takes the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path / "smartload.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            self._lock = None
            raise AlreadyRunningError(
                error.errno,
                "another SmartLoad runs with this data folder; stop it, or give another with "
                "--data",
                str(self.path),
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


SILENCE = timedelta(seconds=60)
"""After a longer silence of ours (SIGSTOP, a laptop asleep) evcc and the guard have acted."""
SILENT_TICKS = 6


class Live:
    """Runs minds and ports on threads until stopped; publishes `Tick` every `settings.tick_s`.

    `heirs`: who knows what is to be given back, and sees to it when we cannot.
    """

    def __init__(
        self,
        settings: Settings,
        cast: Iterable[AnyEndpoint],
        clock: WallClock,
        journal: Journal,
        heirs: Heirs | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.system = ThreadSystem(clock, journal)
        self._cast = list(cast)
        self._journal = journal
        self._heirs = heirs
        self._sources: list[Source] = []
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="smartload-clock", daemon=True)
        self.ticked_at: datetime | None = None
        self._unkept = ""

    def add(self, source: Source) -> None:
        """Let `source` start and stop with the system."""
        self._sources.append(source)

    def start(self) -> None:
        """Seat everyone, say the configuration and the estate, and let time run."""
        if self._heirs is not None:
            self._heirs.start()
        self.system.enter(self._cast)
        self.system.publish(ConfigRead(at=self.clock.now(), settings=self.settings))
        self._read_estate()
        for source in self._sources:
            source.start()
        self._ticker.start()

    def _tick(self) -> None:
        step = timedelta(seconds=self.settings.tick_s)
        zero = datetime(2000, 1, 1, tzinfo=UTC)
        at = self.clock.now()
        while not self._stop.is_set():
            self._beat(at)
            self.system.publish(Tick(at=at))
            self.ticked_at = at
            self._keep()
            now = self.clock.now()
            at = zero + ((now - zero) // step + 1) * step  # aligned, and never two for one
            self._stop.wait(self.clock.real_s_until(at))
            at = max(at, self.clock.now())

    def _beat(self, at: datetime) -> None:
        """Tell the guard that we live; after a long silence begin as after a restart."""
        if self._heirs is None:
            return
        self._heirs.beat()
        if self.system.hands_off:
            self._heirs.hands_off()
        ticks = SILENT_TICKS * timedelta(seconds=self.settings.tick_s)
        silence = max(min(SILENCE, self._heirs.silence), ticks)
        if self.ticked_at is not None and at - self.ticked_at > silence:
            log.warning("no time passed for %.0f s: beginning as after a restart",
                        (at - self.ticked_at).total_seconds())  # fmt: skip
            self._heirs.wait_for_guard()
            self._read_estate()

    def _read_estate(self) -> None:
        if self._heirs is not None:
            self.system.publish(self._heirs.estate(self.clock.now()))

    def _keep(self) -> None:
        """Write the journal. A full disk costs memory of the day, not the home's control."""
        try:
            self._journal.flush()
            self._unkept = ""
        except (OSError, sqlite3.Error) as error:
            self._unkept = f"{error}"
            log.error("the journal could not be written, a part of it is lost: %s", error)

    def stop(self) -> None:
        """Give everything back to evcc, then stop everyone in order. Twice is once."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._ticker.join(5)
        for source in reversed(self._sources):
            source.stop()
        self.system.publish(StopAsked(at=self.clock.now()))
        if not self.system.settle(15):
            log.warning("not everything was given back within 15 s: %s", self.system.waiting())
        self.system.stop()
        if self._heirs is not None:
            self._heirs.stop()
        self._journal.close()

    def health(self) -> dict[str, Any]:
        """What the runtime knows of itself, for `/health`."""
        return {
            "hands_off": self.system.hands_off,
            "failures": self.system.failures(),
            "waiting": {name: n for name, n in self.system.waiting().items() if n},
            "actors": sorted(endpoint.name for endpoint in self._cast),
            "ticked_at": self.ticked_at,
            "journal": self._unkept,
            **(self._heirs.health() if self._heirs is not None else {}),
        }
