"""Tariffs on the slot grid, and what may be computed from them (design §4). Pure.

The unit comes from the contract, never from the size of a number (INV-27): `grid` and `feedin` are
currency/kWh, `solar` is W (evcc-api.md §2). Energy is power times duration (INV-28).
"""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from engine.slots import SLOT, SLOT_S, slot_of, slots_between
from engine.values import Rate, Series

HORIZON = timedelta(days=7)
"""No tariff is kept further ahead than this."""
HALF_SLOT_S = SLOT_S / 2


def day_start(at: datetime, zone: tzinfo, days: int = 0) -> datetime:
    """The local midnight (as UTC) of the day that contains `at`, or of `days` days later.

    Where the clock skips midnight, the first moment of that day.
    """
    day = at.astimezone(zone).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def series_from(rates: Iterable[Rate], start: datetime, horizon: timedelta = HORIZON) -> Series:
    """`rates` on the slot grid from `start` on, ending with the last known slot.

    Longer entries are spread, shorter ones averaged by time; quarter hours stay as they are
    (INV-06). A slot of which less than half is covered is a gap (INV-05). Entries outside the
    horizon, without duration, or not finite are left out; overlapping ones are averaged.
    """
    first, count = slot_of(start), horizon // SLOT
    sums, covered = [0.0] * count, [0.0] * count
    last_s = float(count * SLOT_S)
    for rate in rates:
        if not math.isfinite(rate.value):
            continue
        offset = rate.start - first
        if rate.end - rate.start == SLOT and not offset % SLOT:  # the usual case, quickly
            k = offset // SLOT
            if 0 <= k < count:
                sums[k] += rate.value * SLOT_S
                covered[k] += SLOT_S
            continue
        begin_s = max(offset.total_seconds(), 0.0)
        end_s = min((rate.end - first).total_seconds(), last_s)
        while begin_s < end_s:
            k = int(begin_s // SLOT_S)
            until_s = min(end_s, (k + 1) * SLOT_S)
            sums[k] += rate.value * (until_s - begin_s)
            covered[k] += until_s - begin_s
            begin_s = until_s
    return _trimmed(
        first,
        [
            round(total / seconds, 6) if seconds >= HALF_SLOT_S else None
            for total, seconds in zip(sums, covered, strict=True)
        ],
    )


def kept(old: Series, new: Series | None, start: datetime, now: datetime) -> Series:
    """What is known of a tariff from `start` on, after a reading at `now`.

    `new` None: the tariff failed, what was published stays. Otherwise the reading replaces it (its
    gaps are gaps), except that slots already over keep what they were when it no longer names them.
    """
    newest = new or old
    count = max(slots_between(start, max(old.end, newest.end)), 0)
    before = old.window(start, count)
    if new is None:
        return _trimmed(slot_of(start), before)
    elapsed = slots_between(start, now)
    after = new.window(start, count)
    merged = [
        before[k] if value is None and k < elapsed else value for k, value in enumerate(after)
    ]
    return _trimmed(slot_of(start), merged)


def filled(series: Series, span: Series, value: float) -> Series:
    """`series` over the slots of `span`, with `value` wherever it is unknown."""
    known = series.window(span.start, len(span.values))
    return Series(span.start, tuple(value if one is None else one for one in known))


def known_from(series: Series, at: datetime) -> bool:
    """Whether anything is known for the slot that contains `at`, or later."""
    offset = max(slots_between(series.start, at), 0)
    return any(value is not None for value in series.values[offset:])


def fully_known(series: Series, start: datetime, end: datetime) -> bool:
    """Whether every slot from `start` to `end` is known."""
    return None not in series.window(start, max(slots_between(start, end), 0))


def hours_covered(series: Series, at: datetime, cap_h: float = 24.0) -> float:
    """How many hours after `at` are known, as real durations, at most `cap_h` (INV-30)."""
    parts = _known_parts(series, at, series.end)
    return min(sum(seconds for _, seconds in parts) / 3600, cap_h)


def energy_kwh(power_w: Series, start: datetime, end: datetime) -> float | None:
    """Energy (kWh) of a series in W between two moments; None when nothing of it is known.

    Gaps contribute nothing: `hours_covered` says how much is behind the number.
    """
    parts = tuple(_known_parts(power_w, start, end))
    if not parts:
        return None
    return sum(watts * seconds for watts, seconds in parts) / 3_600_000


def day_kwh(power_w: Series, at: datetime, zone: tzinfo, days: int = 0) -> float | None:
    """Energy (kWh) of the local day that contains `at`, or of `days` days later (INV-29)."""
    return energy_kwh(power_w, day_start(at, zone, days), day_start(at, zone, days + 1))


def _known_parts(series: Series, start: datetime, end: datetime) -> Iterator[tuple[float, float]]:
    """(value, seconds) of each known slot as far as it lies between `start` and `end`."""
    for k, value in enumerate(series.values):
        begin = series.start + k * SLOT
        seconds = (min(begin + SLOT, end) - max(begin, start)).total_seconds()
        if value is not None and seconds > 0:
            yield value, seconds


def _trimmed(start: datetime, values: Iterable[float | None]) -> Series:
    """A series that ends with its last known value."""
    known = list(values)
    while known and known[-1] is None:
        known.pop()
    return Series(start, tuple(known))
