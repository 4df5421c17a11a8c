"""Tariffs on the slot grid: gaps, energy, coverage, and what is kept of a failed one."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rates import (
    day_kwh,
    day_start,
    energy_kwh,
    filled,
    fully_known,
    hours_covered,
    kept,
    series_from,
)
from engine.slots import SLOT, slots_between
from engine.values import Rate, Series
from tests.make_collector import DAY, HOUR
from tests.make_senses import (
    MIDNIGHT,
    NOON,
    rates,
)

BERLIN = ZoneInfo("Europe/Berlin")

# --- the grid of slots ----------------------------------------------------------------------------


def test_inv_06_four_different_quarter_hours_stay_four_prices() -> None:
    series = series_from(rates(MIDNIGHT, (0.1, 0.2, 0.3, 0.4)), MIDNIGHT)
    assert series == Series(MIDNIGHT, (0.1, 0.2, 0.3, 0.4))


def test_hourly_entries_are_spread() -> None:
    series = series_from(rates(MIDNIGHT, (0.1, -0.2), HOUR), MIDNIGHT)
    assert series.values == (0.1,) * 4 + (-0.2,) * 4


def test_shorter_and_overlapping_entries_are_averaged_by_time() -> None:
    entries = (
        Rate(MIDNIGHT, MIDNIGHT + timedelta(minutes=5), 0.30),
        Rate(MIDNIGHT + timedelta(minutes=5), MIDNIGHT + timedelta(minutes=20), 0.60),
        Rate(MIDNIGHT + timedelta(minutes=20), MIDNIGHT + timedelta(minutes=30), 0.90),
    )
    assert series_from(entries, MIDNIGHT).values == (0.5, 0.8)


def test_inv_05_a_missing_entry_is_a_gap_and_shifts_nothing() -> None:
    values: list[float | None] = list(DAY)
    values[8:16] = [None] * 8
    series = series_from(rates(MIDNIGHT, values), MIDNIGHT)
    assert series.values == tuple(None if v is None else round(v, 6) for v in values)
    assert series.at(MIDNIGHT + 16 * SLOT) == pytest.approx(DAY[16])


def test_a_slot_covered_by_less_than_half_is_a_gap() -> None:
    entry = Rate(MIDNIGHT + timedelta(minutes=8), MIDNIGHT + timedelta(minutes=22), 0.3)
    assert series_from((entry,), MIDNIGHT).values == ()
    longer = Rate(MIDNIGHT + timedelta(minutes=7), MIDNIGHT + timedelta(minutes=22), 0.3)
    assert series_from((longer,), MIDNIGHT).values == (0.3,)


def test_elapsed_and_far_entries_and_nonsense_are_left_out() -> None:
    entries = (
        Rate(MIDNIGHT - HOUR, MIDNIGHT, 0.9),
        Rate(MIDNIGHT, MIDNIGHT + SLOT, 0.1),
        Rate(MIDNIGHT + SLOT, MIDNIGHT + SLOT, 0.7),
        Rate(MIDNIGHT + 2 * SLOT, MIDNIGHT + SLOT, 0.7),
        Rate(MIDNIGHT + SLOT, MIDNIGHT + 2 * SLOT, math.nan),
        Rate(MIDNIGHT + timedelta(days=8), MIDNIGHT + timedelta(days=9), 0.9),
    )
    assert series_from(entries, MIDNIGHT) == Series(MIDNIGHT, (0.1,))
    endless = Rate(MIDNIGHT, datetime(9999, 1, 1, tzinfo=UTC), 0.3)
    assert len(series_from((endless,), MIDNIGHT).values) == 7 * 96


values_or_gaps = st.lists(
    st.none() | st.floats(-0.5, 1.0).map(lambda v: round(v, 4)), min_size=1, max_size=120
)


@given(values_or_gaps, st.sampled_from((1, 2, 4)), st.randoms())
def test_inv_05_any_resolution_any_gaps_any_order(
    values: list[float | None], per_slot: int, chance: Any
) -> None:
    """An entry of any length lies where its times say, in whatever order it came."""
    entries = list(rates(MIDNIGHT, values, per_slot * SLOT))
    chance.shuffle(entries)
    series = series_from(entries, MIDNIGHT)
    for k, value in enumerate(values):
        for part in range(per_slot):
            found = series.at(MIDNIGHT + (k * per_slot + part) * SLOT)
            assert found == (None if value is None else pytest.approx(value, abs=1e-6))


@pytest.mark.parametrize(
    ("day", "count"),
    [
        (datetime(2026, 3, 29, 12, tzinfo=UTC), 92),
        (datetime(2026, 6, 1, 12, tzinfo=UTC), 96),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), 100),
    ],
)
def test_a_local_day_has_92_96_or_100_slots(day: datetime, count: int) -> None:
    start, end = day_start(day, BERLIN), day_start(day, BERLIN, 1)
    assert slots_between(start, end) == count
    series = series_from(rates(start, [0.001 * k for k in range(count)]), start)
    assert len(series.values) == count
    assert fully_known(series, start, end)
    assert series.end == end


def test_a_day_whose_midnight_is_skipped_begins_with_its_first_moment() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at 01:00 summer time
    start = day_start(datetime(2026, 4, 24, 12, tzinfo=UTC), cairo)
    assert start == datetime(2026, 4, 23, 22, tzinfo=UTC)
    assert start.astimezone(cairo).hour == 1


# --- what is kept of a tariff ---------------------------------------------------------------------


def test_a_failed_tariff_keeps_what_it_published_from_today_on() -> None:
    old = Series(MIDNIGHT, DAY)
    tomorrow = day_start(NOON, BERLIN, 1)
    assert kept(old, None, MIDNIGHT, NOON) == old
    assert kept(old, None, tomorrow, tomorrow).values == ()


def test_a_reading_replaces_the_future_with_its_gaps_and_keeps_the_past() -> None:
    old = Series(MIDNIGHT, (0.1, 0.2, 0.3, 0.4))
    new = Series(MIDNIGHT, (None, None, None, 0.5))
    assert kept(old, new, MIDNIGHT, MIDNIGHT + 2 * SLOT).values == (0.1, 0.2, None, 0.5)


def test_filled_covers_the_span_of_another_series() -> None:
    span = Series(MIDNIGHT, (0.1, None, 0.3))
    assert filled(Series(MIDNIGHT + SLOT, (0.05,)), span, 0.08).values == (0.08, 0.05, 0.08)


# --- energy and coverage --------------------------------------------------------------------------


def test_inv_27_solar_is_w_by_contract_before_sunrise_and_on_small_plants_too() -> None:
    """No number is so small that it is taken for kW."""
    for peak_w in (3.0, 80.0, 600.0, 9000.0):
        curve = (0.0, 0.0, 0.001 * peak_w, peak_w)
        series = series_from(rates(MIDNIGHT, curve, HOUR), MIDNIGHT)
        assert series.values == tuple(value for value in curve for _ in range(4))
        assert day_kwh(series, NOON, BERLIN) == pytest.approx(1.001 * peak_w / 1000)


@given(st.lists(st.floats(0, 12_000), min_size=1, max_size=48))
def test_inv_28_quarter_hours_and_hours_of_one_curve_have_the_same_kwh(curve: list[float]) -> None:
    hourly = series_from(rates(MIDNIGHT, curve, HOUR), MIDNIGHT)
    quarters = series_from(rates(MIDNIGHT, [v for v in curve for _ in range(4)]), MIDNIGHT)
    end = MIDNIGHT + timedelta(days=3)
    energies = [energy_kwh(series, MIDNIGHT, end) for series in (hourly, quarters)]
    assert energies[0] == energies[1] == pytest.approx(sum(curve) / 1000, abs=1e-6)


def test_inv_28_one_hour_at_4_kw_in_quarter_hours_is_4_kwh() -> None:
    series = Series(NOON, (4000.0,) * 4)
    assert energy_kwh(series, NOON - HOUR, NOON + 2 * HOUR) == pytest.approx(4.0)
    assert energy_kwh(series, NOON + timedelta(minutes=20), NOON + HOUR) == pytest.approx(8 / 3)


def test_unknown_energy_is_none_and_known_darkness_is_zero() -> None:
    assert energy_kwh(Series(NOON), NOON, NOON + HOUR) is None
    assert energy_kwh(Series(NOON, (None, None)), NOON, NOON + HOUR) is None
    assert energy_kwh(Series(NOON, (0.0,)), NOON, NOON + HOUR) == 0.0


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 3, 29, 12, tzinfo=UTC), 23),
        (datetime(2026, 6, 1, 12, tzinfo=UTC), 24),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
    ],
)
def test_inv_29_today_goes_from_local_midnight_to_local_midnight(day: datetime, hours: int) -> None:
    start = day_start(day, BERLIN) - timedelta(days=1)
    series = Series(start, (1000.0,) * 96 * 4)
    assert day_kwh(series, day, BERLIN) == pytest.approx(hours)
    before = Series(day_start(day, BERLIN, 1), (1000.0,) * 96)
    assert day_kwh(before, day, BERLIN) is None
    assert day_kwh(before, day, BERLIN, 1) == pytest.approx(24)


def test_inv_30_coverage_is_future_real_hours_capped_at_24() -> None:
    series = Series(MIDNIGHT, (1.0,) * 96 * 2)
    assert hours_covered(series, MIDNIGHT - HOUR) == 24
    assert hours_covered(series, series.end - 5 * HOUR) == 5
    assert hours_covered(series, series.end - timedelta(minutes=50)) == pytest.approx(50 / 60)
    assert hours_covered(series, series.end) == 0
    holes = Series(NOON, (1.0, None, 1.0, None))
    assert hours_covered(holes, NOON) == 0.5
    assert hours_covered(holes, NOON + timedelta(minutes=10)) == pytest.approx(20 / 60)
