"""Time for ports and runtimes. Actors have no clock: they hear `Tick`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What ports and runtimes need of time."""

    def now(self) -> datetime:
        """The present moment, aware UTC."""

    def real_s_until(self, at: datetime) -> float | None:
        """Seconds of real time until `at`, at least 0; None when time only moves by hand."""


class WallClock:
    """Real time; `speed` above 1 lets a pretend day pass quickly (`smartload demo`)."""

    def __init__(self, speed: float = 1.0, start: datetime | None = None) -> None:
        self._speed = speed
        self._zero = time.monotonic()
        self._start = start
        if speed != 1.0 and start is None:
            self._start = datetime.now(UTC)

    def now(self) -> datetime:
        if self._start is None:
            return datetime.now(UTC)
        return self._start + timedelta(seconds=(time.monotonic() - self._zero) * self._speed)

    def real_s_until(self, at: datetime) -> float | None:
        return max(0.0, (at - self.now()).total_seconds() / self._speed)


class VirtualClock:
    """Time that stands until it is moved: simulation, replay, tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def move_to(self, at: datetime) -> None:
        """Move on to `at`; never backwards."""
        self._now = max(self._now, at)

    def real_s_until(self, at: datetime) -> float | None:
        return None
