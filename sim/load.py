"""House load by the minute: what runs always, what people do, and appliances in bursts.

The shape of the day is the year's mean of Konstanz without heat pump and car (`data/real`).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.streams import stream

Floats = NDArray[np.floating[Any]]
MINUTES = 1440
BASE_SHARE, PEOPLE_SHARE, BURST_SHARE = 0.30, 0.35, 0.35
_WORKDAY = (8, 3, 1, 1, 0, 0, 4, 12, 13, 12, 11, 12, 26, 28, 18, 12, 11, 11, 16, 19, 17, 17, 16, 14)
_WEEKEND = (9, 5, 2, 1, 0, 0, 1, 2, 7, 11, 18, 22, 30, 29, 25, 18, 17, 21, 23, 18, 24, 20, 18, 14)
"""Watts x 10 above the base, per local hour."""


class Appliance(NamedTuple):
    """Something that runs now and then: for `minutes`, `a_day` times in the mean."""

    watts: float
    minutes: int
    a_day: float


APPLIANCES = (
    Appliance(2000, 4, 3.0),
    Appliance(1800, 18, 1.2),
    Appliance(2400, 30, 0.6),
    Appliance(1900, 25, 0.7),
    Appliance(900, 60, 0.5),
    Appliance(1200, 10, 1.0),
)


def house_load_w(
    seed: int, kwh_day: float, local_hours: list[tuple[int, int]], day_of_year: int
) -> Floats:
    """Watts per minute for whole days of UTC.

    `local_hours` has (ISO weekday, local minute of the day) for each hour of UTC from the start.
    """
    scale = kwh_day / 10
    parts = [
        _day(stream(seed, "load", k // 24), scale, local_hours[k : k + 24], day_of_year + k // 24)
        for k in range(0, len(local_hours), 24)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _day(
    rng: np.random.Generator, scale: float, hours: list[tuple[int, int]], day_of_year: int
) -> Floats:
    """One day of UTC, local hours as they come."""
    season = 1 + 0.15 * np.cos(2 * np.pi * (day_of_year - 15) / 365.25)
    shape = np.array([(_WEEKEND if day >= 6 else _WORKDAY)[at // 60] for day, at in hours], float)
    people_w = shape / np.mean(_WORKDAY) * 10_000 / 24 * PEOPLE_SHARE
    spread = rng.lognormal(-0.03, 0.25)
    wobble = np.repeat(rng.lognormal(-0.02, 0.2, len(hours) * 6), 10)
    flicker = 1 + 0.05 * rng.standard_normal(len(hours) * 60)
    fridge = 0.7 + 0.9 * ((np.arange(len(hours) * 60) + rng.integers(60)) % 60 < 20)
    watts = 10_000 / 24 * BASE_SHARE * fridge * np.maximum(flicker, 0.5)
    watts += np.repeat(people_w, 60) * wobble * spread
    watts += _bursts(rng, shape, season * spread)
    rounded: Floats = np.round(np.maximum(watts * scale * season, 0.0), 1)
    return rounded


def _bursts(rng: np.random.Generator, shape: Floats, busy: float) -> Floats:
    """Appliances at times when people are about."""
    minutes = len(shape) * 60
    watts = np.zeros(minutes + max(one.minutes for one in APPLIANCES))
    energy_kwh = sum(one.watts * one.minutes * one.a_day for one in APPLIANCES) / 60_000
    often = 10 * BURST_SHARE / energy_kwh
    about = np.cumsum(shape + 1) / np.sum(shape + 1)
    for one in APPLIANCES:
        for _ in range(int(rng.poisson(one.a_day * often * busy))):
            hour = int(np.searchsorted(about, rng.random()))
            start = min(hour, len(shape) - 1) * 60 + int(rng.integers(60))
            watts[start : start + one.minutes] += one.watts * rng.uniform(0.85, 1.1)
    return watts[:minutes]
