"""Forecasts house load and PV, with quantiles from its own earlier errors.

Load (without cars, with heating: what no wallbox of ours draws) is a local-time profile plus the
fading deviation of the newest slots. PV is evcc's solar tariff times a learned ratio; without one
it is the plant's own profile, said to be so (`pv_known` False, INV-25).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias, assert_never

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.departures import zone_of
from actors.forecast_errors import NO_ERRORS, Errors, Spread, issued, scored, spreads
from actors.load_profile import (
    BINS,
    KEEP_WEEKDAY,
    KEEP_WEEKEND,
    WEEKDAY,
    WEEKEND,
    Array,
    Bins,
    Profile,
    empty,
    learnt,
    load_levels,
    local_bin,
    local_bins,
    pv_levels,
    slot_number,
    slot_start,
)
from actors.pv_ratio import SUNNY, Ratio, learnt_ratio
from actors.recent_error import RECENT, corrected, deviation, fading, lesser
from actors.slot_meter import Meter, Past, Sum, read
from engine.actor import Actor
from engine.messages import ConfigRead, Forecasted, RatesChanged, StateChanged
from engine.settings import Settings
from engine.slots import slots_between
from engine.values import HomeState, Quantiles, Series, Site, Value

KEEP_PV = 0.85
"""The sun of a quarter hour is remembered for about a week."""
LOAD_PRIOR = Spread(-0.7, 1.5)
SOLAR_PRIOR = Spread(-0.6, 0.5)
OWN_PV_PRIOR = Spread(-0.9, 1.5)
LEAST_LOAD_W = 50.0
"""Quantiles stay apart by so much of a forecast, however small it is."""
DARK = (np.arange(BINS) < 4 * 4) | (np.arange(BINS) >= 22 * 4)
"""22:00 to 04:00 local: no sun is assumed where nothing was measured yet."""
LOAD_FADE = fading(gain=0.8, tau_slots=12)
SUN_FADE = fading(gain=0.7, tau_slots=4)
"""Recent errors fade within hours; clouds pass sooner than a guest leaves."""
SOLAR_SLOTS = 8 * BINS

Bools: TypeAlias = NDArray[np.bool_]
Hears: TypeAlias = ConfigRead | StateChanged | RatesChanged


class ForecasterMemory(Value, frozen=True):
    """All that is learnt. Bounded: profiles of fixed size, windows of errors, 8 days of sun."""

    zone: str = "Europe/Berlin"
    default_load_w: float = 500.0
    slots: int = 193
    gap_s: float = 180.0
    said_slot: int | None = None
    meter: Meter = Meter()
    load: Profile = empty(2)
    load_errors: Errors = NO_ERRORS
    recent: tuple[Past, ...] = ()
    """The newest slots that are over, newest first."""
    covered_slots: int = 0
    solar: Series | None = None
    solar_peak_w: float = 0.0
    ratio: Ratio = Ratio()
    pv: Profile = empty(1)
    pv_errors: Errors = NO_ERRORS
    pv_errors_of_solar: bool = False
    rates_revision: int = 0
    waits_for: HomeState | None = None
    """The first state of a slot, while the prices that it names were not heard yet."""


class Forecaster(Actor[Hears, Forecasted]):
    """Learns from every new reading; says `Forecasted` once per slot, and again on new sun."""

    memory: ForecasterMemory

    def __init__(self) -> None:
        self.memory = ForecasterMemory()

    def on(self, message: Hears) -> Iterator[Forecasted]:
        match message:
            case ConfigRead():
                self.memory = _configured(self.memory, message.settings)
            case StateChanged():
                self._measure(message.state)
                yield from self._new_slot(message.state)
            case RatesChanged():
                new_sun = self._take_sun(message)
                self.memory = msgspec.structs.replace(self.memory, rates_revision=message.revision)
                if self.memory.waits_for is not None:
                    yield from self._new_slot(self.memory.waits_for)
                elif new_sun and slot_number(message.at) == self.memory.said_slot:
                    yield self._forecast(message.at)
            case _:
                assert_never(message)

    def _new_slot(self, state: HomeState) -> Iterator[Forecasted]:
        """Forecast at a slot's first reading, once the prices and the sun that it names are here.

        While evcc is silent the page still gets one per slot.
        """
        at = state.measured_at if state.evcc_silent_since is None else state.at
        said_slot = self.memory.said_slot
        if at is None or (said_slot is not None and slot_number(at) <= said_slot):
            return
        early = state.rates_revision > self.memory.rates_revision
        waits_for = msgspec.structs.replace(state, site=None) if early else None
        self.memory = msgspec.structs.replace(self.memory, waits_for=waits_for)
        if not early:
            yield self._forecast(at)

    def _measure(self, state: HomeState) -> None:
        """Learn from the reading, if it is a new one, and if its meters can be believed.

        A meter that failed had failed for a while before it was noticed: what the slot has so far
        is not learnt either.
        """
        if state.site is None or state.measured_at is None:
            return
        memory = self.memory
        at_s = state.measured_at.timestamp()
        if memory.meter.at_s is not None and at_s <= memory.meter.at_s:
            return
        load_w, pv_w = _house_load_w(state.site), state.site.pv_w
        pv_w = None if pv_w is None else max(pv_w, 0.0)
        failed = {one.name for one in state.failed_meters}
        before = memory.meter
        if failed:  # every meter is in the house's consumption
            load_w, before = None, msgspec.structs.replace(before, load=Sum())
        if failed & {"pv", "home"}:
            pv_w, before = None, msgspec.structs.replace(before, pv=Sum())
        meter, past = read(before, at_s, load_w, pv_w, memory.gap_s)
        memory = msgspec.structs.replace(memory, meter=meter)
        for one in past:
            memory = _with_sun(_with_load(memory, one), one)
            recent = (one, *memory.recent)[: len(RECENT)]
            memory = msgspec.structs.replace(memory, recent=recent)
        self.memory = memory

    def _take_sun(self, message: RatesChanged) -> bool:
        """Keep the solar series; True when it changed for slots ahead."""
        memory, solar = self.memory, message.solar_w
        if solar == memory.solar:
            return False
        solar = Series(solar.start, solar.values[:SOLAR_SLOTS])
        peak_w = max((value for value in solar.values if value is not None), default=0.0)
        self.memory = msgspec.structs.replace(memory, solar=solar, solar_peak_w=peak_w)
        return _ahead(memory.solar, message.at, memory.slots) != _ahead(
            solar, message.at, memory.slots
        )

    def _forecast(self, at: datetime) -> Forecasted:
        memory, now = self.memory, slot_number(at)
        start = slot_start(now)
        bins = local_bins(now, memory.slots, zone_of(memory.zone))
        load_w = _load_ahead(memory, now, bins)
        sun = _ahead(memory.solar, at, memory.slots)
        known = any(value is not None for value in sun)
        pv_errors = memory.pv_errors if known == memory.pv_errors_of_solar else NO_ERRORS
        own_w, seen = pv_levels(memory.pv)
        pv_w, of_solar = _pv_ahead(memory, now, sun, bins, own_w)
        scorable = np.where(of_solar == known, pv_w, np.nan).tolist()
        self.memory = msgspec.structs.replace(
            memory,
            said_slot=now,
            load_errors=issued(memory.load_errors, now, load_w.tolist()),
            pv_errors=issued(pv_errors, now, scorable),
            pv_errors_of_solar=known,
        )
        return Forecasted(
            at=at,
            load=_load_quantiles(memory, start, load_w),
            pv=_pv_quantiles(self.memory, start, pv_w, of_solar, (seen | DARK)[bins % BINS]),
            load_days=round(memory.covered_slots / BINS, 6),
            pv_ratio=round(memory.ratio.value, 6),
            pv_known=known,
            rates_revision=memory.rates_revision,
        )


def _configured(memory: ForecasterMemory, settings: Settings) -> ForecasterMemory:
    """Readings further apart than three ticks leave a gap, but slots themselves may be ticks."""
    return msgspec.structs.replace(
        memory,
        zone=settings.site.zone,
        default_load_w=settings.planner.default_load_w,
        slots=settings.planner.horizon_h * 4 + 1,
        gap_s=min(max(3 * settings.tick_s, 180.0), 1800.0),
    )


def _house_load_w(site: Site) -> float | None:
    """evcc's home power leaves out every loadpoint; those that are no wallbox are load to us."""
    if site.home_w is None:
        return None
    others_w = sum(one.charge_w for one in site.loadpoints if not one.charger)
    return max(site.home_w + others_w, 0.0)


def _with_load(memory: ForecasterMemory, past: Past) -> ForecasterMemory:
    if past.load_w is None:
        return memory
    at_bin = local_bin(past.slot, zone_of(memory.zone))
    keep = KEEP_WEEKEND if at_bin >= BINS else KEEP_WEEKDAY
    return msgspec.structs.replace(
        memory,
        load=learnt(memory.load, at_bin, past.load_w, keep),
        load_errors=scored(memory.load_errors, past.slot, past.load_w, 0.0, LEAST_LOAD_W),
        covered_slots=memory.covered_slots + 1,
    )


def _with_sun(memory: ForecasterMemory, past: Past) -> ForecasterMemory:
    if past.pv_w is None:
        return memory
    at_bin = local_bin(past.slot, zone_of(memory.zone))
    ratio = memory.ratio
    forecast_w = memory.solar.at(slot_start(past.slot)) if memory.solar else None
    if forecast_w is not None:
        ratio = learnt_ratio(ratio, past.pv_w, forecast_w, memory.solar_peak_w)
    pv = learnt(memory.pv, at_bin % BINS, past.pv_w, KEEP_PV)
    peak_w = memory.solar_peak_w if memory.pv_errors_of_solar else max(pv.mean_w)
    sunny_w = max(SUNNY * peak_w, 1.0)
    errors = scored(memory.pv_errors, past.slot, past.pv_w, sunny_w, sunny_w)
    return msgspec.structs.replace(memory, ratio=ratio, pv=pv, pv_errors=errors)


def _ahead(solar: Series | None, at: datetime, count: int) -> tuple[float | None, ...]:
    """The solar forecast from the present slot on, None where there is none."""
    if solar is None:
        return (None,) * count
    first = slots_between(solar.start, at)
    if first < 0:
        return solar.window(at, count)
    known = solar.values[first : first + count]  # ten times as quick as slot by slot
    return (*known, *(None,) * (count - len(known)))


def _recent(memory: ForecasterMemory, now: int) -> list[Past]:
    """The last hour's slots: what was measured before a gap says nothing of the present."""
    return [past for past in memory.recent if now - past.slot <= len(RECENT)]


def _load_ahead(memory: ForecasterMemory, now: int, bins: Bins) -> Array:
    """The median forecast of each slot ahead (W).

    The correction is measured against the profile as it is now, of the recent slots' own kind of
    day and of the kind ahead: a profile that knows Sundays badly says little of Mondays.
    """
    levels = load_levels(memory.load, memory.default_load_w)
    zone = zone_of(memory.zone)
    recent = [(one.slot, one.load_w) for one in _recent(memory, now) if one.load_w is not None]
    recent_w = [load_w for _, load_w in recent]
    at = [local_bin(slot, zone) for slot, _ in recent]
    own = deviation(recent_w, [float(levels[b]) for b in at])
    ahead_w = levels[bins]
    by_kind = []
    for kind in (WEEKDAY, WEEKEND):
        like = [float(levels[b % BINS + kind * BINS]) for b in at]
        by = lesser(own, deviation(recent_w, like))
        by_kind.append(corrected(ahead_w, by, LOAD_FADE))
    result: Array = np.where(bins < BINS, by_kind[WEEKDAY], by_kind[WEEKEND])
    return result


def _quantiles(start: datetime, low_w: Array, mid_w: Array, high_w: Array) -> Quantiles:
    """Ordered, never negative, to a tenth of a watt."""
    low_w, high_w = np.clip(low_w, 0.0, mid_w), np.maximum(high_w, mid_w)
    low, mid, high = (tuple(np.round(w, 1).tolist()) for w in (low_w, mid_w, high_w))
    return Quantiles(start, low, mid, high)


def _load_quantiles(memory: ForecasterMemory, start: datetime, load_w: Array) -> Quantiles:
    low, high = spreads(memory.load_errors, LOAD_PRIOR, len(load_w))
    width_w = np.maximum(load_w, LEAST_LOAD_W)
    return _quantiles(start, load_w + low * width_w, load_w, load_w + high * width_w)


def _pv_ahead(
    memory: ForecasterMemory, now: int, sun: tuple[float | None, ...], bins: Bins, own: Array
) -> tuple[Array, Bools]:
    """The median forecast (W), and whether it is from evcc's solar tariff, slot by slot.

    `own`: what the plant's own profile expects in each bin.
    """
    solar = np.array(sun, dtype=np.float64)
    of_solar = ~np.isnan(solar)
    pv_w = np.where(of_solar, np.maximum(solar, 0.0) * memory.ratio.value, own[bins % BINS])
    zone = zone_of(memory.zone)
    recent_w: list[float] = []
    expected_w: list[float] = []
    for past in _recent(memory, now):
        if past.pv_w is None:
            continue
        forecast_w = memory.solar.at(slot_start(past.slot)) if memory.solar else None
        recent_w.append(past.pv_w)
        if forecast_w is not None:
            expected_w.append(max(forecast_w, 0.0) * memory.ratio.value)
        else:
            expected_w.append(float(own[local_bin(past.slot, zone) % BINS]))
    by = deviation(recent_w, expected_w)
    return corrected(pv_w, by, SUN_FADE), of_solar


def _pv_quantiles(
    memory: ForecasterMemory, start: datetime, pv_w: Array, of_solar: Bools, known: Bools
) -> Quantiles:
    """Without a solar tariff, and behind its end, the plant's own profile is less sure."""
    count, by_solar = len(pv_w), memory.pv_errors_of_solar
    solar_errors = memory.pv_errors if by_solar else NO_ERRORS
    own_errors = NO_ERRORS if by_solar else memory.pv_errors
    solar_low, solar_high = spreads(solar_errors, SOLAR_PRIOR, count)
    own_low, own_high = spreads(own_errors, OWN_PV_PRIOR, count)
    low_w = pv_w * (1 + np.where(of_solar, solar_low, own_low))
    high_w = pv_w * (1 + np.where(of_solar, solar_high, own_high))
    anything = ~of_solar & ~known  # never seen at this hour of the day
    high_w = np.where(anything, max(memory.pv.mean_w), high_w)
    return _quantiles(start, low_w, pv_w, high_w)
