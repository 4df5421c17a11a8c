"""The solar forecast that evcc would pass on: right in the mean, wrong in a correlated way."""

from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.slots import SLOT
from engine.values import Rate
from sim.streams import stream

Floats = NDArray[np.floating[Any]]
SLOT_MIN = 15
DAYS = 3
_TRUST = (0.85, 0.65, 0.45)
_ERROR = (0.10, 0.15, 0.20)
"""By day ahead: weight of the true sky against the usual one, and deviation of the share."""


class SunForecast:
    """Forecasts issued once per local day, of what the tables hold per minute (W)."""

    def __init__(
        self, seed: int, start: datetime, clear_w: Floats, sky: Floats, sunny: float
    ) -> None:
        count = len(sky) // SLOT_MIN * SLOT_MIN
        self._seed = seed
        self._start = start
        self._sunny = sunny
        self._clear_w = clear_w[:count].reshape(-1, SLOT_MIN).mean(axis=1)
        per_slot = sky[:count].reshape(-1, SLOT_MIN).mean(axis=1)
        # nobody foresees single clouds: the true sky over three hours
        width = min(13, len(per_slot))
        self._sky = np.convolve(per_slot, np.ones(width) / width, mode="same")

    def issued(self, day: int, midnight: datetime, end: datetime) -> tuple[Rate, ...]:
        """The forecast of local day number `day`, from its midnight to `end`, W per slot."""
        first, count = (midnight - self._start) // SLOT, (end - midnight) // SLOT
        rng = stream(self._seed, "forecast", day)
        noise = rng.standard_normal(count).tolist()
        error = np.array([*accumulate(noise, lambda x, step: 0.97 * x + 0.243 * step)])
        ahead = np.minimum(np.arange(count) // 96, DAYS - 1)
        trust, width = np.array(_TRUST)[ahead], np.array(_ERROR)[ahead]
        window = slice(first, first + count)
        share = trust * self._sky[window] + (1 - trust) * self._sunny + width * error
        watts = self._clear_w[window] * np.clip(share, 0.02, 1.0)
        return tuple(
            Rate(at, at + SLOT, float(value))
            for at, value in zip(
                (midnight + n * SLOT for n in range(count)), np.round(watts), strict=True
            )
        )
