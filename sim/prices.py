"""Tariffs as evcc would publish them: dynamic by the day, flat, or a repeated table.

The day's shape is the German day-ahead market's of recent years: cheap nights and noons, dear
mornings and evenings, a level that drifts from day to day (autocorrelation 0.87 in 2021 and 2022).
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.values import Rate
from sim.local_days import LocalDays
from sim.scenario import SimPrices
from sim.streams import stream

Floats = NDArray[np.floating[Any]]
_HOURS = (
    *(-0.30, -0.36, -0.40, -0.42, -0.38, -0.22, 0.10, 0.34, 0.32, 0.10, -0.08, -0.20),
    *(-0.28, -0.30, -0.22, -0.06, 0.12, 0.36, 0.54, 0.58, 0.46, 0.26, 0.06, -0.12),
)
"""In parts of the spread, around the mean, per local hour."""
_NOON = (11, 15)
PERSISTENCE = 0.85
FLAT_DAYS = 7


class Prices:
    """The tariff of a home. `of_day(k)` is made once; days do not depend on how many there are."""

    def __init__(self, seed: int, prices: SimPrices, days: LocalDays) -> None:
        self.prices = prices
        self._days = days
        self._seed = seed
        self._levels = self._day_levels(len(days.days) - 1)
        self._step = timedelta(minutes=prices.slot_min)

    def of_day(self, k: int) -> tuple[Rate, ...]:
        """The entries of local day k, `slot_min` each: 92, 96 or 100 quarter hours."""
        begin, end = self._days.starts[k], self._days.starts[k + 1]
        starts = [begin + n * self._step for n in range((end - begin) // self._step)]
        local = [at.astimezone(self._days.zone) for at in starts]
        hours = np.array([at.hour + at.minute / 60 for at in local])
        if self.prices.kind == "table":
            values = [self.prices.hourly_eur_kwh[at.hour] for at in local]
        elif self.prices.kind == "flat":
            values = [self.prices.mean_eur_kwh] * len(starts)
        else:
            values = self._dynamic(k, hours).tolist()
        return tuple(
            Rate(at, at + self._step, round(value, 4))
            for at, value in zip(starts, values, strict=True)
        )

    def _dynamic(self, k: int, hours: Floats) -> Floats:
        rng = stream(self._seed, "prices", k)
        spread = self.prices.spread_eur_kwh
        amplitude = spread * rng.lognormal(-0.02, 0.2)
        bend = rng.normal(0.0, 0.04 * spread, 24)
        hourly = np.array(_HOURS) * amplitude + bend + self._levels[k]
        weekend = self._days.days[k].isoweekday() >= 6
        # quarter hours lean towards the neighbouring hour, as in the 15-minute auction
        middle = hours + self.prices.slot_min / 120 - 0.5
        values: Floats = np.interp(middle % 24, np.arange(25), [*hourly, hourly[0]])
        values = values + rng.normal(0.0, 0.015 * spread, len(hours)) - 0.08 * spread * weekend
        if self.prices.negative_days and (k % 7 == 1 or rng.random() < 0.35):
            noon = (hours >= _NOON[0]) & (hours < _NOON[1])
            values = np.where(noon, -rng.uniform(0.01, 0.08, len(hours)), values)
        return values

    def _day_levels(self, count: int) -> list[float]:
        """The mean of each day: drifts, and stays within what the spread allows."""
        width = 0.3 * self.prices.spread_eur_kwh
        levels: list[float] = []
        drift = 0.0
        for k in range(count):
            step = float(stream(self._seed, "price level", k).standard_normal())
            drift = PERSISTENCE * drift + (1 - PERSISTENCE**2) ** 0.5 * step if k else step
            levels.append(self.prices.mean_eur_kwh + width * float(np.clip(drift, -2, 2)))
        return levels


def flat(start: datetime, value: float) -> tuple[Rate, ...]:
    """One price for a week, in entries of an hour, as evcc publishes a fixed tariff."""
    hour = timedelta(hours=1)
    return tuple(
        Rate(start + n * hour, start + (n + 1) * hour, round(value, 4))
        for n in range(24 * FLAT_DAYS)
    )
