"""The newest slots' deviation from what was expected, carried into the next hours, fading."""

import math

import numpy as np

from actors.load_profile import Array
from engine.values import Value

RECENT = (0.4, 0.3, 0.2, 0.1)
"""Weights of the newest slots, newest first."""
MOST_SLOTS = 60


class Correction(Value, frozen=True):
    """A deviation as a difference (W) and as a share of what was expected.

    The smaller of both is applied, and never beyond what was measured just now: neither a constant
    offset nor a constant factor nor a new constant level is ever overshot (INV-32).
    """

    offset_w: float = 0.0
    share: float = 0.0
    extreme_w: float = 0.0
    """The largest (smallest, for a negative one) of the powers that deviate."""


NO_CORRECTION = Correction()


def fading(gain: float, tau_slots: float) -> Array:
    """What is left of a deviation `k` slots from now."""
    return np.array([gain * math.exp(-k / tau_slots) for k in range(MOST_SLOTS)])


def deviation(actual_w: list[float], expected_w: list[float]) -> Correction:
    """The weighted deviation of slots, newest first."""
    if not actual_w:
        return NO_CORRECTION
    offset = sum(w * (a - e) for w, a, e in zip(RECENT, actual_w, expected_w, strict=False))
    expected = sum(w * e for w, e in zip(RECENT, expected_w, strict=False))
    share = offset / expected if expected > 0 else math.copysign(math.inf, offset)
    extreme_w = max(actual_w) if offset > 0 else min(actual_w)
    return Correction(offset / sum(RECENT[: len(actual_w)]), share, extreme_w)


def lesser(one: Correction, other: Correction) -> Correction:
    """What both agree on; nothing where they contradict each other."""
    if one.offset_w * other.offset_w <= 0:
        return NO_CORRECTION
    return Correction(
        min(one.offset_w, other.offset_w, key=abs),
        min(one.share, other.share, key=abs),
        one.extreme_w,
    )


def corrected(levels_w: Array, by: Correction, fade: Array, first: int = 0) -> Array:
    """`levels_w` of consecutive slots, the first of them `first` slots from now; never negative."""
    count = min(len(levels_w), max(len(fade) - first, 0))
    if by.offset_w == 0 or count == 0:
        return levels_w
    near = levels_w[:count]
    limit_w = np.full(count, abs(by.offset_w))
    if math.isfinite(by.share):
        limit_w = np.minimum(limit_w, abs(by.share) * near)
    step_w = np.copysign(limit_w * fade[first : first + count], by.offset_w)
    if by.offset_w > 0:
        moved = np.minimum(near + step_w, np.maximum(near, by.extreme_w))
    else:
        moved = np.maximum(near + step_w, np.minimum(near, by.extreme_w))
    return np.concatenate((np.maximum(moved, 0.0), levels_w[count:]))
