"""Local wall time of the home: the next departure, and the quiet hours (INV-92, 98, 99).

A local time that a change of clocks leaves out counts with the offset before the change (RFC 5545);
one that comes twice counts the first time, so that nobody finds the car unready.
"""

from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.settings import SequencerSettings

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


@lru_cache(maxsize=64)
def zone_of(name: str, otherwise: str = "UTC") -> ZoneInfo:
    """The IANA zone of that name; `otherwise`, or else UTC, where there is none."""
    for key in (name, otherwise):
        try:
            return ZoneInfo(key)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


@lru_cache(maxsize=256)
def clock_time(text: str) -> time | None:
    """`7:05` as a time of day; None when the text is none."""
    hour, _, minute = text.strip().partition(":")
    try:
        return time(int(hour), int(minute[:2]))
    except ValueError:
        return None


def next_departure(
    at: datetime, clock: str, zone: str, weekdays: Collection[int] = EVERY_DAY
) -> datetime | None:
    """The first moment after `at` (UTC) at which clocks in `zone` show `clock` on such a weekday.

    `weekdays` are ISO (1 = Monday). None when there is no such moment.
    """
    key = frozenset(weekdays)
    hour = at.replace(minute=0, second=0, microsecond=0)
    found = _next_departure(hour, clock, zone, key)
    # the answer for the hour's start is the answer for now, unless it has just passed
    return found if found is None or found > at else _next_departure(at, clock, zone, key)


@lru_cache(maxsize=512)
def _next_departure(
    at: datetime, clock: str, zone: str, weekdays: frozenset[int]
) -> datetime | None:
    moment = clock_time(clock)
    if moment is None:
        return None
    home = zone_of(zone)
    today = at.astimezone(home).date()
    for days in range(9):
        date = today + timedelta(days=days)
        if date.isoweekday() in weekdays:
            departure = datetime.combine(date, moment, home).astimezone(UTC)
            if departure > at:
                return departure
    return None


def is_quiet(at: datetime, settings: SequencerSettings, zone: str) -> bool:
    """Whether `at` lies in the local quiet hours, which may span midnight; equal ends: never."""
    start, end = clock_time(settings.quiet_start), clock_time(settings.quiet_end)
    if start is None or end is None or start == end:
        return False
    local = at.astimezone(zone_of(zone)).time()
    return start <= local < end if start < end else local >= start or local < end
