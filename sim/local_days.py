"""Local days in UTC: where they begin, and local times of day in them (DST included)."""

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


class LocalDays:
    """Consecutive local days. `starts[k]` is the UTC time of day k's local midnight."""

    def __init__(self, zone: str, first: datetime, count: int) -> None:
        self.zone = ZoneInfo(zone)
        day = first.astimezone(self.zone).date()
        self.days = tuple(day + k * DAY for k in range(count + 1))
        self.starts = tuple(self.at(k, "00:00") for k in range(count + 1))

    def at(self, k: int, clock: str) -> datetime:
        """UTC of local `HH:MM` on day k; a time that DST skips is that much later."""
        return wall(self.days[k], clock, self.zone)

    def index(self, at: datetime) -> int:
        """The day that contains `at`, kept within the days there are."""
        return min(max(bisect_right(self.starts, at) - 1, 0), len(self.days) - 2)


def wall(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """UTC of local `HH:MM` on that day."""
    hour, minute = clock.split(":")
    return datetime.combine(day, time(int(hour), int(minute)), zone).astimezone(UTC)


def local_minutes(days: LocalDays, start: datetime, count: int) -> list[tuple[int, int]]:
    """(ISO weekday, minute of the local day) for `count` hours of UTC from `start` on.

    Zones shift at full hours of UTC (or at quarters of it in few places, which is ignored).
    """
    hours = (start + timedelta(hours=k) for k in range(count))
    local = (at.astimezone(days.zone) for at in hours)
    return [(at.isoweekday(), at.hour * 60 + at.minute) for at in local]
