"""What the forecaster learns: load profile, recent errors, and the sun."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.forecaster import Forecaster
from actors.load_profile import (
    BINS,
    load_levels,
    local_bins,
    slot_number,
    slot_start,
)
from actors.pv_ratio import Ratio, learnt_ratio
from engine.messages import Forecasted
from engine.settings import PlannerSettings
from engine.slots import SLOT, slots
from engine.values import Series
from tests.make_forecaster import (
    BERLIN,
    MONDAY,
    NOON,
    constant,
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

# --- the load profile ----------------------------------------------------------------------------


def test_the_profile_is_learnt_in_local_time_and_by_kind_of_day() -> None:
    actor = make()
    said = feed(actor, MONDAY, MONDAY + days(21), shape)
    last = said[-1]
    truth = [(shape(at) + shape(at + SLOT)) / 2 for at in slots(last.load.start, 193)]
    # smoothed over neighbouring bins, so peaks and edges are a little off
    error = np.abs(np.array(last.load.q50_w) - truth)
    assert error.mean() < 12
    assert last.load_days == pytest.approx(21, abs=0.1)
    saturday = MONDAY + days(26) + timedelta(hours=12)
    levels = load_levels(actor.memory.load, 0.0)
    (weekend_bin,) = local_bins(slot_number(saturday), 1, BERLIN)
    assert levels[weekend_bin] - levels[weekend_bin - BINS] == pytest.approx(250, rel=0.2)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_inv_35_acceptance_10_the_evening_peak_stays_at_its_hour_when_clocks_change(
    day: date,
) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)
    actor = make()
    said = feed(actor, midnight - days(10), midnight, shape)
    peak_slot = int(np.argmax(said[-1].load.q50_w[:96]))
    local = (midnight + peak_slot * SLOT).astimezone(BERLIN)
    assert (local.date(), local.hour) in {(day, 18), (day, 19)}
    hours = (midnight + peak_slot * SLOT - midnight) / timedelta(hours=1)
    assert hours == pytest.approx(17.9 if day.month == 3 else 19.9, abs=0.6)


moments = st.integers(slot_number(datetime(2000, 1, 1, tzinfo=UTC)), slot_number(
    datetime(2036, 1, 1, tzinfo=UTC)))  # fmt: skip


@given(first=moments, count=st.integers(1, 700), zone=zones)
@example(first=slot_number(datetime(2026, 3, 28, 12, tzinfo=UTC)), count=193, zone="Europe/Berlin")
@example(first=slot_number(datetime(2026, 10, 24, 12, tzinfo=UTC)), count=193, zone="Europe/Berlin")
def test_inv_35_bins_are_the_clock_on_the_wall(first: int, count: int, zone: str) -> None:
    found = local_bins(first, count, ZoneInfo(zone))
    for k in range(0, count, 1 if count < 200 else 7):
        local = slot_start(first + k).astimezone(ZoneInfo(zone))
        kind = BINS if local.isoweekday() >= 6 else 0
        assert found[k] == kind + local.hour * 4 + local.minute // 15


def test_days_have_92_96_and_100_slots_and_all_have_a_bin() -> None:
    for day, count in ((date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 5, 3), 96)):
        midnight = datetime(day.year, day.month, day.day, tzinfo=BERLIN)
        found = local_bins(slot_number(midnight), count + 1, BERLIN) - BINS
        assert found[0] == found[-1] + BINS == 0 or (found[0], found[-1]) == (0, -BINS)
        skipped = set(range(BINS)) - set(found[:-1].tolist())
        assert skipped == ({8, 9, 10, 11} if count == 92 else set())


# --- recent errors, and no overshoot -------------------------------------------------------------


def test_a_recent_deviation_fades_into_the_forecast() -> None:
    actor = make()
    feed(actor, MONDAY, NOON + days(14), constant(500.0))
    said = feed(actor, NOON + days(14) + SLOT, NOON + days(14) + 5 * SLOT, constant(900.0))
    ahead = said[-1].load.q50_w
    assert 700 < ahead[0] < 900
    assert all(a >= b for a, b in pairwise(ahead[:41]))
    assert ahead[60] == pytest.approx(500, abs=45)  # the bins just seen have moved a little


@settings(max_examples=25, deadline=None)
@given(
    before_h=st.integers(0, 80),
    start_h=st.integers(0, 7 * 24),
    level=st.sampled_from([900.0, 300.0, 700.0]),
)
@example(before_h=5 * 24, start_h=1, level=700.0)  # the new level begins on a Friday night
@example(before_h=0, start_h=0, level=900.0)
@example(before_h=23, start_h=0, level=900.0)  # just before midnight
@example(before_h=12, start_h=96, level=900.0)  # and here it ends where a working week begins
def test_inv_32_a_constant_deviation_is_approached_and_never_overshot(
    before_h: int, start_h: int, level: float
) -> None:
    begin = MONDAY + timedelta(hours=start_h)
    change = begin + timedelta(hours=before_h)
    actor = make(planner=PlannerSettings(horizon_h=24, default_load_w=500))
    feed(actor, begin, change, constant(500.0))
    # the reading at the edge belongs to both slots
    list(actor.on(reading(change + timedelta(seconds=1), level)))
    said = feed(actor, change + SLOT, change + days(2.5), constant(level))
    low, high = sorted((500.0, level))
    for one in said:
        assert min(one.load.q50_w) >= low - 0.2
        assert max(one.load.q50_w) <= high + 0.2
    gaps = [abs(level - one.load.q50_w[0]) for one in said]
    assert gaps[8] < 0.5 * (high - low)  # two hours on, also across a midnight
    # a weekend says little of the first hour of a working week, and the other way round
    settled = [
        gap
        for one, gap in zip(said, gaps, strict=True)
        if (local := one.load.start.astimezone(BERLIN)).hour > 0 or local.weekday() not in {0, 5}
    ]
    assert settled[-1] < 0.4 * (high - low)


@given(ratio=st.floats(0.1, 4.0), watts=st.lists(st.floats(0, 9000), max_size=60))
def test_inv_32_the_pv_ratio_moves_towards_the_truth_and_not_past_it(
    ratio: float, watts: list[float]
) -> None:
    learned, seen = Ratio(), [1.0]
    for forecast_w in watts:
        learned = learnt_ratio(learned, ratio * forecast_w, forecast_w, 9000.0)
        seen.append(learned.value)
    goal = max(0.3, min(ratio, 3.0))
    gaps = [abs(value - goal) for value in seen]
    assert all(a >= b - 1e-9 for a, b in pairwise(gaps))
    assert all(min(1.0, goal) - 1e-9 <= value <= max(1.0, goal) + 1e-9 for value in seen)
    assert all(0.3 <= value <= 3.0 for value in seen)


# --- the sun -------------------------------------------------------------------------------------


def daily_sun(actor: Forecaster, start: datetime, count: int, share: float) -> list[Forecasted]:
    said: list[Forecasted] = []
    for day in range(count):
        at = start + days(day)
        list(actor.on(sun(at, solar_series(at))))
        end = at + days(1) - SLOT
        said += feed(actor, at, end, constant(300.0), lambda at: share * sunshine(at))
    return said


def test_the_ratio_scales_evccs_forecast() -> None:
    actor = make()
    said = daily_sun(actor, MONDAY, 8, 0.7)
    assert said[-1].pv_ratio == pytest.approx(0.7, abs=0.03)
    at = said[-1].pv.start
    for k in (30, 50, 60):
        expected = said[-1].pv_ratio * sunshine(at + k * SLOT + SLOT / 2)
        assert said[-1].pv.q50_w[k] == pytest.approx(expected, rel=0.03, abs=5)


def test_inv_34_nights_teach_nothing_and_the_size_of_the_plant_does_not_matter() -> None:
    actor = make()
    daily_sun(actor, MONDAY, 1, 0.8)
    ratio, marks = actor.memory.ratio, [len(one.errors) for one in actor.memory.pv_errors]
    evening = MONDAY + days(1) - timedelta(hours=4)
    night = Forecaster()
    night.restore(actor.snapshot())
    dark = Series(MONDAY, (0.0,) * (4 * 96))
    list(night.on(sun(evening + timedelta(hours=5), dark)))
    feed(night, MONDAY + days(1), MONDAY + days(1) + timedelta(hours=4), constant(300.0))
    assert night.memory.ratio == ratio
    assert [len(one.errors) for one in night.memory.pv_errors] == marks
    small, large = Ratio(), Ratio()
    for k in range(40):
        small = learnt_ratio(small, 12.0 * k, 10.0 * k, 400.0)
        large = learnt_ratio(large, 1200.0 * k, 1000.0 * k, 40_000.0)
    assert small.value == pytest.approx(large.value)


def test_without_a_tariff_the_plants_own_days_are_the_forecast_and_nights_are_dark() -> None:
    actor = make()
    said = feed(actor, MONDAY, MONDAY + days(4), constant(300.0), sunshine)
    pv = said[-1].pv
    assert not said[-1].pv_known
    for k, at in enumerate(slots(pv.start, 96)):
        hour = at.hour + at.minute / 60
        if hour < 5.5 or hour > 18.5:
            assert pv.q50_w[k] == pv.q90_w[k] == 0
        if hour == 12:
            assert pv.q50_w[k] == pytest.approx(5000, rel=0.05)
            assert pv.q10_w[k] < pv.q50_w[k] < pv.q90_w[k]


def test_behind_the_end_of_the_tariff_the_own_profile_goes_on() -> None:
    actor = make()
    feed(actor, MONDAY, MONDAY + days(3), constant(300.0), sunshine)
    at = MONDAY + days(3) + SLOT
    list(actor.on(sun(at, solar_series(at, 96))))
    (said,) = list(actor.on(reading(at, 300.0)))
    assert said.pv_known
    assert said.pv.q50_w[96 + 50] == pytest.approx(said.pv.q50_w[50], rel=0.1, abs=20)
    wide = (said.pv.q90_w[146] - said.pv.q10_w[146]) / said.pv.q50_w[146]
    narrow = (said.pv.q90_w[50] - said.pv.q10_w[50]) / said.pv.q50_w[50]
    assert wide > narrow


def test_a_gap_in_the_tariff_is_no_darkness() -> None:
    actor = make()
    feed(actor, MONDAY, MONDAY + days(3), constant(300.0), sunshine)
    at = MONDAY + days(3) + SLOT
    series = solar_series(at)
    holes = tuple(None if 44 <= k < 52 else value for k, value in enumerate(series.values))
    list(actor.on(sun(at, Series(series.start, holes))))
    (said,) = list(actor.on(reading(at, 300.0)))
    for k in range(44, 52):
        assert said.pv.q50_w[k] == pytest.approx(series.values[k], rel=0.1)
