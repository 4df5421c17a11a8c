"""What happens to the home whatever it does: weather, load, prices and people, all seeded.

Tables are made before the run, so that asking costs next to nothing. The same seed gives the same
world in every process; `days` only says how far the tables reach.
"""

from bisect import bisect_right
from datetime import datetime, timedelta

import numpy as np

from engine.values import Rate
from sim.load import house_load_w
from sim.local_days import LocalDays, local_minutes
from sim.people import happenings
from sim.prices import Prices, flat
from sim.scenario import Happening, Minute, Scenario, end_of
from sim.sun_forecast import DAYS as FORECAST_DAYS
from sim.sun_forecast import SunForecast
from sim.weather import clear_sky_w_per_kwp, sky

MINUTE = timedelta(minutes=1)
_Key = tuple[int, bool]


class SeededWorld:
    """The world of a scenario; satisfies `sim.scenario.World`."""

    weather_step_s = 60.0

    def __init__(self, scenario: Scenario, seed: int, days: float | None = None) -> None:
        sim, zone = scenario.sim, scenario.settings.site.zone
        length = end_of(sim, days) - sim.start
        # forecasts reach beyond the last day that is asked for
        count = length.days + 2 + FORECAST_DAYS
        self._days = LocalDays(zone, sim.start, count)
        self._start = self._days.starts[0]
        whole_days = (self._days.starts[-1] - self._start) // timedelta(days=1) + 1
        minutes = whole_days * 1440
        clear_w = sim.pv_kwp * clear_sky_w_per_kwp(
            self._start, minutes, sim.latitude_deg, sim.longitude_deg
        )
        light = sky(seed, whole_days, sim.sunny)
        hours = local_minutes(self._days, self._start, whole_days * 24)
        day_of_year = self._start.timetuple().tm_yday
        load_w = house_load_w(seed, sim.load_kwh_day, hours, day_of_year)
        self._minutes = [
            Minute(load, pv)
            for load, pv in zip(load_w.tolist(), np.round(clear_w * light, 1).tolist(), strict=True)
        ]
        self._sun = SunForecast(seed, self._start, clear_w, light, sim.sunny)
        self._prices = Prices(seed, sim.prices, self._days)
        self._published = tuple(self._days.at(k, sim.prices.published) for k in range(count))
        self._happenings = happenings(scenario, seed, self._days)
        self._times = [one.at for one in self._happenings]
        self._outages = self._spans("tariff_outage")
        self._holes = self._spans("tariff_hole")
        self._cache: dict[str, tuple[_Key, tuple[Rate, ...]]] = {}

    def minute(self, at: datetime) -> Minute:
        """Load and PV of the minute that contains `at` (the nearest one outside the tables)."""
        k = (at - self._start) // MINUTE
        if 0 <= k < len(self._minutes):
            return self._minutes[k]
        return self._minutes[0 if k < 0 else -1]

    def rates(self, usage: str, now: datetime) -> tuple[Rate, ...] | None:
        """`grid`, `feedin` or `solar` (W) as published at `now`; None: it fails, or there is none.

        All begin at today's local midnight; `grid` ends with the last local day published.
        """
        failed = any(since <= now < until for since, until in self._outages)
        if usage not in {"grid", "feedin", "solar"} or (usage == "grid" and failed):
            return None
        day = self._days.index(now)
        key = (day, usage == "grid" and now >= self._published[day])
        cached = self._cache.get(usage)
        if cached and cached[0] == key:
            return cached[1]
        made = self._made(usage, day, tomorrow=key[1])
        self._cache[usage] = (key, made)
        return made

    def happenings(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        """What happens in (since, until], in order of time."""
        first, last = bisect_right(self._times, since), bisect_right(self._times, until)
        return self._happenings[first:last]

    def _made(self, usage: str, day: int, tomorrow: bool) -> tuple[Rate, ...]:
        midnights = self._days.starts
        if usage == "feedin":
            return flat(midnights[day], self._prices.prices.feed_in_eur_kwh)
        if usage == "solar":
            end = midnights[min(day + FORECAST_DAYS, len(midnights) - 1)]
            return self._sun.issued(day, midnights[day], end)
        if self._prices.prices.kind == "flat":
            return flat(midnights[day], self._prices.prices.mean_eur_kwh)
        known = self._prices.of_day(day)
        if tomorrow and day + 1 < len(midnights) - 1:
            known += self._prices.of_day(day + 1)
        return tuple(
            rate
            for rate in known
            if not any(since <= rate.start < until for since, until in self._holes)
        )

    def _spans(self, kind: str) -> tuple[tuple[datetime, datetime], ...]:
        return tuple(
            (one.at, one.until) for one in self._happenings if one.kind == kind and one.until
        )
