"""What earlier forecasts were worth, and the quantiles that follow from it.

A forecast is kept until its own slot is over and compared with what was measured then (INV-31),
separately for short and long lead times. Errors are relative to the forecast.
"""

import math

import numpy as np

from actors.load_profile import Array
from engine.values import Value

LEADS = (1, 8, 48, 120)
"""Lead times (slots) at which forecasts are scored: they stand for the classes below."""
CLASS_ENDS = (4, 24, 96)
"""A slot ahead by less than this belongs to the class; the last class has no end."""
WINDOW = 3 * 96
PRIOR_COUNT = 16
LARGEST = 5.0


class Lead(Value, frozen=True):
    """One class: forecasts waiting for the slots from `first` on, and the newest errors."""

    first: int = 0
    waiting: tuple[float | None, ...] = ()
    errors: tuple[float, ...] = ()


class Spread(Value, frozen=True):
    """How far the 10 and 90 % quantiles lie from the forecast, relative to it."""

    low: float
    high: float


Errors = tuple[Lead, ...]
NO_ERRORS: Errors = tuple(Lead() for _ in LEADS)


def issued(errors: Errors, now: int, values_w: list[float]) -> Errors:
    """Keep what is forecast at slot `now` for the slots `now + lead`; NaN is not kept."""
    kept = []
    for lead, one in zip(LEADS, errors, strict=True):
        if lead >= len(values_w):
            kept.append(one)
            continue
        slot = now + lead
        value = None if math.isnan(values_w[lead]) else round(values_w[lead], 3)
        end = one.first + len(one.waiting)
        if not one.waiting or slot > end + lead or slot < one.first:
            waiting: tuple[float | None, ...] = (value,)
            first = slot
        else:
            gap = (None,) * (slot - end)
            waiting = (*one.waiting[: slot - one.first], *gap, value)
            first = one.first
        surplus = max(len(waiting) - lead - 1, 0)
        kept.append(Lead(first + surplus, waiting[surplus:], one.errors))
    return tuple(kept)


def scored(errors: Errors, slot: int, actual_w: float, least_w: float, floor_w: float) -> Errors:
    """Compare `actual_w` with what was forecast for the same slot.

    Forecasts under `least_w` are not scored; errors are relative to at least `floor_w`.
    """
    kept = []
    for one in errors:
        k = slot - one.first
        if not 0 <= k < len(one.waiting):
            kept.append(one)
            continue
        forecast_w = one.waiting[k]
        marks = one.errors
        if forecast_w is not None and forecast_w >= least_w:
            error = (actual_w - forecast_w) / max(forecast_w, floor_w)
            marks = (*marks, round(max(-1.0, min(error, LARGEST)), 6))[-WINDOW:]
        kept.append(Lead(slot + 1, one.waiting[k + 1 :], marks))
    return tuple(kept)


def quantile(ordered: list[float], share: float) -> float:
    """The empirical quantile of sorted values, interpolated."""
    place = share * (len(ordered) - 1)
    k = int(place)
    if k + 1 >= len(ordered):
        return ordered[k]
    return ordered[k] + (place - k) * (ordered[k + 1] - ordered[k])


def spread(lead: Lead, prior: Spread) -> Spread:
    """10 and 90 % of the own errors; few of them count little against the (wide) `prior`."""
    count = len(lead.errors)
    if not count:
        return prior
    ordered = sorted(lead.errors)
    own = count / (count + PRIOR_COUNT)
    low = own * quantile(ordered, 0.1) + (1 - own) * prior.low
    high = own * quantile(ordered, 0.9) + (1 - own) * prior.high
    return Spread(min(low, 0.0), max(high, 0.0))


def spreads(errors: Errors, prior: Spread, count: int) -> tuple[Array, Array]:
    """`low` and `high` of `count` slots ahead; classes never scored so soon take the one before."""
    scored_classes = max(sum(1 for lead in LEADS if lead < count), 1)
    ends = [min(end, count) for end in CLASS_ENDS[: scored_classes - 1]] + [count]
    lengths = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    each = [spread(one, prior) for one in errors[:scored_classes]]
    low = np.repeat([one.low for one in each], lengths)
    return low, np.repeat([one.high for one in each], lengths)
