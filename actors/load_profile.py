"""A profile of the day in local time: 96 quarter hours, for load once per kind of day.

Indexed by the local wall time at which a slot starts, so days of 92 and 100 slots need nothing
special: bins are left out or visited twice (INV-35).
"""

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from engine.slots import SLOT_S
from engine.values import Value

Array: TypeAlias = NDArray[np.float64]
Bins: TypeAlias = NDArray[np.int64]
BINS = 96
DAY_S = 86_400
WEEKDAY, WEEKEND = 0, 1
KEEP_WEEKDAY = 0.9
KEEP_WEEKEND = 0.8
"""What a visit leaves of the older ones' weight: both forget within about three weeks."""
BORROW = 0.5
"""The other kind of day counts as half a visit: it matters where the own kind is hardly known."""
CHUNK = 16
"""Within so many slots (4 h) clocks change at most once."""


class Profile(Value, frozen=True):
    """Means (W) and weights of the visited bins; bin = 96 * kind of day + quarter hour."""

    mean_w: tuple[float, ...]
    weight: tuple[float, ...]


def empty(kinds: int) -> Profile:
    """A profile that has seen nothing."""
    return Profile((0.0,) * (BINS * kinds), (0.0,) * (BINS * kinds))


@lru_cache(maxsize=2048)
def _offset_s(stamp_s: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(stamp_s, zone).utcoffset() or timedelta(0)
    return int(offset.total_seconds())


def _offsets_s(first: int, count: int, zone: ZoneInfo) -> Bins:
    """Local time less UTC at the start of each slot; looked up in steps, between only if needed."""
    offsets = np.empty(count, dtype=np.int64)
    for low in range(0, count, CHUNK):
        high = min(low + CHUNK, count)
        begin = _offset_s((first + low) * SLOT_S, zone)
        if begin == _offset_s((first + high - 1) * SLOT_S, zone):
            offsets[low:high] = begin
        else:
            offsets[low:high] = [_offset_s((first + k) * SLOT_S, zone) for k in range(low, high)]
    return offsets


def local_bins(first: int, count: int, zone: ZoneInfo) -> Bins:
    """Bins (kind of day and quarter hour) of `count` slots; `first` = slot start in s / 900."""
    stamps = np.arange(first * SLOT_S, (first + count) * SLOT_S, SLOT_S)
    local_s = stamps + _offsets_s(first, count, zone)
    weekday = (local_s // DAY_S + 3) % 7  # 1 January 1970 was a Thursday
    bins: Bins = np.where(weekday >= 5, BINS, 0) + local_s % DAY_S // SLOT_S
    return bins


def local_bin(slot: int, zone: ZoneInfo) -> int:
    """The bin of one slot."""
    local_s = slot * SLOT_S + _offset_s(slot * SLOT_S, zone)
    weekday = (local_s // DAY_S + 3) % 7
    return (BINS if weekday >= 5 else 0) + local_s % DAY_S // SLOT_S


def slot_number(at: datetime) -> int:
    """Quarter hours since 1970; the number of the slot that contains `at`."""
    return int(at.timestamp()) // SLOT_S


def slot_start(number: int) -> datetime:
    """The start of that slot, aware UTC."""
    return datetime.fromtimestamp(number * SLOT_S, UTC)


def learnt(profile: Profile, at_bin: int, mean_w: float, keep: float) -> Profile:
    """The profile after one more slot: a plain mean at first, then forgetting exponentially."""
    weights, means = profile.weight, profile.mean_w
    weight = weights[at_bin] * keep + 1.0
    mean = means[at_bin] + (mean_w - means[at_bin]) / weight
    after = at_bin + 1
    return Profile(
        (*means[:at_bin], mean, *means[after:]), (*weights[:at_bin], weight, *weights[after:])
    )


def _smooth(values: Array) -> Array:
    """Each bin with its neighbours (1, 2, 1), around midnight too; one row for a kind of day."""
    around = np.concatenate((values[:, -1:], values, values[:, :1]), axis=1)
    smooth: Array = 2 * values + around[:, :-2] + around[:, 2:]
    return smooth


def _sums(profile: Profile) -> tuple[Array, Array]:
    """Smoothed weights, and weights x means; rows are kinds of day."""
    weight = np.array(profile.weight).reshape(-1, BINS)
    return _smooth(weight), _smooth(weight * np.array(profile.mean_w).reshape(-1, BINS))


def load_levels(profile: Profile, default_w: float) -> Array:
    """What each of the 192 bins is expected to be (W).

    A bin never seen takes the other kind of day, else the mean of all that was seen, else
    `default_w`. All are means of measured values: a constant load is met exactly.
    """
    weight, total = _sums(profile)
    if not weight.any():
        return np.full(2 * BINS, default_w)
    # smoothing has made one visit a weight of four
    share = np.minimum(1.0, 4 * BORROW / np.maximum(weight, 1e-9))
    weight = weight + (weight * share)[::-1]
    total = total + (total * share)[::-1]
    # not numpy's sum: its order of adding, and so the last digit, depends on the processor
    mean_w = math.fsum(total.ravel().tolist()) / math.fsum(weight.ravel().tolist())
    levels = np.full_like(weight, mean_w)
    np.divide(total, weight, out=levels, where=weight > 0)
    return levels.ravel()


def pv_levels(profile: Profile) -> tuple[Array, NDArray[np.bool_]]:
    """What each of the 96 bins is expected to give (W), and which were seen; 0 where not."""
    weight, total = _sums(profile)
    levels = np.zeros_like(weight)
    np.divide(total, weight, out=levels, where=weight > 0)
    return levels.ravel(), (weight > 0).ravel()
