"""The one time grid: quarter hours of UTC, keyed by timestamp, never by list index (design §4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import floor

SLOT_S = 900
SLOT = timedelta(seconds=SLOT_S)
SLOTS_PER_HOUR = 4


def slot_of(at: datetime) -> datetime:
    """The start of the quarter hour (aware UTC) that contains `at`."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    late = utc.minute % 15
    if not (late or utc.second or utc.microsecond):
        return utc
    return utc.replace(minute=utc.minute - late, second=0, microsecond=0)


def slots(start: datetime, count: int) -> Iterator[datetime]:
    """`count` consecutive slot starts from the slot that contains `start`."""
    first = slot_of(start)
    return (first + k * SLOT for k in range(count))


def slots_between(start: datetime, end: datetime) -> int:
    """Whole slots from slot `start` to slot `end` (negative when `end` is earlier)."""
    return floor(end.timestamp() / SLOT_S) - floor(start.timestamp() / SLOT_S)
