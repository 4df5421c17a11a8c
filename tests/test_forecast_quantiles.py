"""How sure a forecast is: quantiles that hold what they promise, in bounded memory."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.forecast_errors import LEADS, NO_ERRORS, WINDOW, Lead, Spread, issued, scored, spreads
from actors.forecaster import Forecaster
from actors.load_profile import (
    empty,
    learnt,
    load_levels,
    slot_start,
)
from engine.messages import Forecasted
from engine.settings import SiteSettings
from engine.slots import SLOT, slots
from engine.values import Quantiles, Series
from tests.make_forecaster import (
    MONDAY,
    NOON,
    Curve,
    days,
    feed,
    make,
    reading,
    shape,
    solar_series,
    sun,
    sunshine,
    zones,
)


def test_inv_31_a_forecast_is_compared_with_the_same_slot_when_its_time_has_come() -> None:
    errors = NO_ERRORS
    for now in range(130):
        # each slot's forecast is its number, so a shift by one would show as an error
        errors = issued(errors, now, [float(1000 + now + k) for k in range(193)])
        errors = scored(errors, now, 1000.0 + now, 0.0, 50.0)
    for lead, one in zip(LEADS, errors, strict=True):
        assert one.errors == (0.0,) * (130 - lead)
        assert len(one.waiting) == lead
        assert one.first == 130


def test_inv_31_gaps_and_restarts_do_not_shift_forecasts() -> None:
    errors = NO_ERRORS
    for now in (0, 1, 2, 7, 8, 9, 40, 41, 400, 401, 402):
        errors = issued(errors, now, [float(1000 + now + k) for k in range(193)])
        errors = scored(errors, now, 1000.0 + now, 0.0, 50.0)
    assert all(set(one.errors) <= {0.0} for one in errors)
    assert errors[0].errors == (0.0,) * 7
    again = issued(errors, 402, [1.0] * 193)
    assert issued(again, 402, [float(1402 + k) for k in range(193)]) == errors


def test_a_new_class_of_lead_times_begins_with_the_prior_and_short_horizons_borrow() -> None:
    low, high = spreads(NO_ERRORS, Spread(-0.5, 2.0), 193)
    assert set(low.tolist()) == {-0.5}
    assert len(low) == len(high) == 193
    half = tuple(-0.1 if k % 2 else 0.1 for k in range(WINDOW))
    errors = (Lead(errors=half), *NO_ERRORS[1:])
    low, high = spreads(errors, Spread(-0.5, 2.0), 25)
    assert -0.15 < low[0] < -0.1
    assert low[4] == -0.5
    low, _ = spreads(errors, Spread(-0.5, 2.0), 3)
    assert set(low.tolist()) == {low[0]}


def noisy(seed: int, level: Curve) -> Curve:
    rng = random.Random(seed)
    return lambda at: max(0.0, (level(at) or 0.0) * rng.lognormvariate(0.0, 0.5))


def test_the_quantiles_hold_what_they_promise() -> None:
    actor = make()
    actual: dict[datetime, float] = {}
    said: list[Forecasted] = []
    curve = noisy(3, shape)
    for at in slots(MONDAY, 96 * 16):
        said += list(actor.on(reading(at, curve(at))))
        past = actor.memory.recent[:1]
        actual |= {slot_start(one.slot): one.load_w for one in past if one.load_w is not None}
    for lead in (0, 2, 12, 40):
        below = above = count = 0
        for one in said[96 * 6 :]:
            at = one.load.start + lead * SLOT
            if at in actual:
                below += actual[at] < one.load.q10_w[lead]
                above += actual[at] > one.load.q90_w[lead]
                count += 1
        assert 0.04 < below / count < 0.16
        assert 0.04 < above / count < 0.16


powers = st.none() | st.floats(-500, 30_000)


@settings(max_examples=30, deadline=None)
@given(
    readings=st.lists(st.tuples(st.integers(1, 5000), powers, powers), min_size=1, max_size=30),
    solar=st.lists(powers, max_size=300),
    begin=st.integers(-400, 400),
    zone=zones,
)
def test_quantiles_are_ordered_and_memory_comes_back(
    readings: list[tuple[int, float | None, float | None]],
    solar: list[float | None],
    begin: int,
    zone: str,
) -> None:
    actor = make(tick_s=300.0, site=SiteSettings(zone=zone))
    at = NOON
    list(actor.on(sun(at, Series(NOON + begin * SLOT, tuple(solar)))))
    for step_s, home_w, pv_w in readings:
        at += timedelta(seconds=step_s)
        twin = Forecaster()
        twin.restore(actor.snapshot())
        said = list(actor.on(reading(at, home_w, pv_w)))
        assert list(twin.on(reading(at, home_w, pv_w))) == said
        assert twin.memory == actor.memory
        for one in said:
            for series in (one.load, one.pv):
                for low, mid, high in quantiles(series):
                    assert 0 <= low <= mid <= high < 1e7


def quantiles(series: Quantiles) -> Iterator[tuple[float, float, float]]:
    return zip(series.q10_w, series.q50_w, series.q90_w, strict=True)


def test_inv_116_memory_is_bounded() -> None:
    actor = make()
    sizes = []
    for week in range(3):
        start = MONDAY + days(7 * week)
        list(actor.on(sun(start, solar_series(start, 3000))))
        feed(actor, start, start + days(7) - SLOT, shape, sunshine)
        sizes.append(len(actor.snapshot()))
    assert sizes[2] < 1.2 * sizes[1] < 100_000
    assert all(len(one.errors) <= WINDOW for one in actor.memory.load_errors)
    assert all(len(one.waiting) <= lead + 1 for lead, one in zip(
        LEADS, actor.memory.pv_errors, strict=True))  # fmt: skip


def test_a_profile_of_one_sample_is_that_sample_everywhere() -> None:
    profile = learnt(empty(2), 40, 700.0, 0.9)
    assert load_levels(profile, 500.0).tolist() == pytest.approx([700.0] * 192)
    assert load_levels(empty(2), 500.0).tolist() == [500.0] * 192
