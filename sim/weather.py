"""Sun and clouds, by the minute: geometry of a clear sky, times a seeded cloud process.

Held against the year of Konstanz (`data/real`): clear days give 2.7 kWh/kWp in January and 6.3 in
July; the share of the clear sky varies from day to day (persistence 0.4) and within minutes.
"""

from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.streams import stream

Floats = NDArray[np.floating[Any]]
TILT_DEG = 30.0
PERFORMANCE = 0.84
MINUTES = 1440
PERSISTENCE = 0.4
SLOW, FAST = np.exp(-1 / 60), np.exp(-1 / 5)


def clear_sky_w_per_kwp(
    start: datetime, minutes: int, latitude_deg: float, longitude_deg: float
) -> Floats:
    """Power of 1 kWp that faces the equator at 30 degrees under a clear sky, per minute (W).

    Direct light by Meinel's air mass formula, a tenth of it diffuse; no horizon, no snow.
    """
    days = (np.arange(minutes) + 0.5) / MINUTES + _days_of_year(start)
    angle = 2 * np.pi * (days - 81) / 365.25
    declination = np.radians(23.45) * np.sin(angle)
    equation_min = 9.87 * np.sin(2 * angle) - 7.53 * np.cos(angle) - 1.5 * np.sin(angle)
    hour_angle = 2 * np.pi * ((days + equation_min / MINUTES + longitude_deg / 360) % 1 - 0.5)
    latitude = np.radians(latitude_deg)

    def facing(tilted: float) -> Floats:
        """Cosine between the sun and the normal of a plane of that latitude."""
        cosine: Floats = np.sin(tilted) * np.sin(declination) + np.cos(tilted) * np.cos(
            declination
        ) * np.cos(hour_angle)
        return cosine

    height = np.maximum(facing(latitude), 0.0)
    tilt = np.radians(TILT_DEG) * (1 if latitude_deg >= 0 else -1)
    mass = 1 / np.maximum(height, 0.02)
    direct = np.where(height > 0, 1353 * 0.7 ** (mass**0.678), 0.0)
    diffuse = 0.1 * direct * (1 + np.cos(tilt)) / 2
    plane = direct * np.maximum(facing(latitude - tilt), 0.0) + diffuse
    power: Floats = PERFORMANCE * plane
    return power


def _days_of_year(start: datetime) -> float:
    new_year = start.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return (start - new_year) / timedelta(days=1)


def sky(seed: int, days: int, sunny: float) -> Floats:
    """Share of the clear sky's light that arrives, per minute of `days` days (0 to about 1)."""
    parts: list[Floats] = []
    mood, slow, fast = 0.0, 0.0, 0.0
    for day in range(days):
        rng = stream(seed, "weather", day)
        step = rng.standard_normal()
        mood = PERSISTENCE * mood + np.sqrt(1 - PERSISTENCE**2) * step if day else step
        slowly = _drift(slow, SLOW, rng.standard_normal(MINUTES))
        quickly = _drift(fast, FAST, rng.standard_normal(MINUTES))
        slow, fast = float(slowly[-1]), float(quickly[-1])
        parts.append(_minutes(_share_of_day(float(mood), sunny), 0.8 * slowly + 0.6 * quickly))
    return np.concatenate(parts) if parts else np.zeros(0)


def _drift(last: float, keep: float, noise: Floats) -> Floats:
    """An AR(1) process of variance 1 that goes on from `last`."""
    steps = (noise * np.sqrt(1 - keep**2)).tolist()
    return np.array([*accumulate(steps, lambda x, step: keep * x + step, initial=last)][1:])


def _rank(normal: Floats | float) -> Floats:
    """About the normal distribution's cumulative share (logistic, within 0.01)."""
    share: Floats = 1 / (1 + np.exp(-1.702 * np.asarray(normal)))
    return share


def _share_of_day(mood: float, sunny: float) -> float:
    """The day's share of clear light: its mean over many days is `sunny`."""
    sunny = min(max(sunny, 0.02), 0.98)
    return float(np.maximum(_rank(mood) ** ((1 - sunny) / sunny), 0.02))


def _minutes(share: float, noise: Floats) -> Floats:
    """The minutes of a day with that share: gaps between clouds that let through little."""
    through = min(0.05 + 0.4 * share, share)
    gaps = (share - through) / (1 - through)
    width = 0.04
    open_sky = 1 / (1 + np.exp(np.clip((_rank(noise) - gaps) / width, -40, 40)))
    light: Floats = through + (1 - through) * open_sky
    return light
