"""Forecasts of load and PV: what is learnt, what is said, and how sure it is."""

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.forecast_errors import LEADS, NO_ERRORS, WINDOW, Lead, Spread, issued, scored, spreads
from actors.forecaster import Forecaster
from actors.load_profile import (
    BINS,
    empty,
    learnt,
    load_levels,
    local_bins,
    slot_number,
    slot_start,
)
from actors.pv_ratio import Ratio, learnt_ratio
from actors.slot_meter import Meter, Past, read
from engine.messages import ConfigRead, Forecasted, Message, RatesChanged, StateChanged
from engine.settings import PlannerSettings, Settings, SiteSettings
from engine.slots import SLOT, slots
from engine.steps import StepSystem
from engine.values import ChargeMode, HomeState, Loadpoint, Quantiles, Series, Site

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 1, 12, 0, 0, tzinfo=BERLIN).astimezone(UTC)
NOON = datetime(2026, 1, 12, 11, 0, tzinfo=UTC)
NOTHING = Series(MONDAY)

Curve = Callable[[datetime], float | None]


def make(tick_s: float = 900.0, **more: Any) -> Forecaster:
    """Slots as ticks by default: each reading is a slot's edge."""
    actor = Forecaster()
    assert not list(actor.on(ConfigRead(MONDAY, Settings(tick_s=tick_s, **more))))
    return actor


def reading(
    at: datetime, home_w: float | None, pv_w: float | None = 0.0, boxes: tuple[Loadpoint, ...] = ()
) -> StateChanged:
    site = Site(
        version="0.300",
        title="Home",
        currency="EUR",
        interval_s=30.0,
        grid_import_w=0.0,
        pv_w=pv_w,
        home_w=home_w,
        battery=None,
        loadpoints=boxes,
        vehicles=(),
    )
    return StateChanged(at, HomeState(1, at, measured_at=at, site=site, evcc_reachable=True))


def sun(at: datetime, solar: Series) -> RatesChanged:
    return RatesChanged(at, 1, NOTHING, NOTHING, solar)


def feed(
    actor: Forecaster, start: datetime, end: datetime, load: Curve, pv: Curve = lambda _: 0.0,
    *, step: timedelta = SLOT,
) -> list[Forecasted]:  # fmt: skip
    """Readings from `start` to `end`, both included; all that was said."""
    said: list[Forecasted] = []
    at = start
    while at <= end:
        said += list(actor.on(reading(at, load(at), pv(at))))
        at += step
    return said


def constant(power_w: float) -> Curve:
    return lambda _: power_w


def days(count: float) -> timedelta:
    return timedelta(days=count)


# --- what is said, and when ----------------------------------------------------------------------


def test_the_first_forecast_needs_no_rates_and_is_honest_about_it() -> None:
    actor = make(planner=PlannerSettings(horizon_h=6, default_load_w=400))
    (said,) = list(actor.on(reading(NOON, 350.0, None)))
    count = 25
    assert said == Forecasted(
        at=NOON,
        load=Quantiles(NOON, (120.0,) * count, (400.0,) * count, (1000.0,) * count),
        pv=Quantiles(NOON, (0.0,) * count, (0.0,) * count, (0.0,) * count),
        load_days=0.0,
        pv_ratio=1.0,
        pv_known=False,
    )


def test_it_is_said_once_per_slot_also_while_evcc_is_silent() -> None:
    actor = make(tick_s=10)
    said: list[Message] = []
    for k in range(200):
        at = NOON + timedelta(seconds=10 * k)
        message = reading(at, 300.0)
        if k > 60:  # no new reading any more
            lost = HomeState(2, at, measured_at=NOON, evcc_silent_since=NOON)
            message = StateChanged(at, lost)
        said += list(actor.on(message))
    assert [one.at for one in said] == [NOON, NOON + SLOT, NOON + 2 * SLOT]


def test_inv_37_it_begins_with_the_present_slot_and_ends_with_the_horizon() -> None:
    actor = make()
    at = NOON + timedelta(minutes=7)
    list(actor.on(sun(at, Series(MONDAY, tuple(float(k) for k in range(200))))))
    (said,) = list(actor.on(reading(at, 300.0)))
    for series in (said.load, said.pv):
        assert series.start == NOON
        assert {len(series.q10_w), len(series.q50_w), len(series.q90_w)} == {193}
    assert said.pv.q50_w[:3] == (48.0, 49.0, 50.0)  # the 48th quarter hour of the day


def test_new_sun_within_the_slot_is_said_again_old_sun_is_not() -> None:
    actor = make()
    first = Series(MONDAY, (1000.0,) * 300)
    assert not list(actor.on(sun(NOON, first)))  # no state was heard yet
    assert len(list(actor.on(reading(NOON, 300.0)))) == 1
    at = NOON + timedelta(minutes=1)
    assert not list(actor.on(sun(at, first)))
    (again,) = list(actor.on(sun(at, Series(MONDAY, (2000.0,) * 300))))
    assert again.pv.q50_w[0] == 2000.0
    assert not list(actor.on(sun(at, Series(NOON, (2000.0,) * 256))))  # only the past was dropped
    assert not list(actor.on(sun(at + SLOT, Series(MONDAY, (1000.0,) * 300))))  # waits for state


def test_any_order_of_delivery_ends_with_the_same_forecast() -> None:
    results = []
    for seed in range(4):
        system = StepSystem(NOON, shuffle=seed > 0, seed=seed)
        actor = Forecaster()
        system.enter([actor])
        system.publish(ConfigRead(NOON, Settings()))
        system.settle()
        both: list[Message] = [sun(NOON, Series(MONDAY, (1000.0,) * 300)), reading(NOON, 300.0)]
        random.Random(seed).shuffle(both)
        for message in both:
            system.publish(message)
        system.settle()
        results.append(actor.snapshot())
        system.stop()
    assert len(set(results)) == 1


# --- measuring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tick_s", [10, 30, 60, 300, 900])
def test_inv_28_the_mean_of_a_slot_does_not_depend_on_how_often_it_is_read(tick_s: int) -> None:
    actor = make(tick_s=tick_s)

    # a straight line: its mean over the slot is the value in its middle
    def line(at: datetime) -> float:
        return 1000 + (at - NOON) / timedelta(hours=1) * 400

    feed(actor, NOON, NOON + timedelta(hours=1), line, line, step=timedelta(seconds=tick_s))
    recent = [(past.load_w, past.pv_w) for past in actor.memory.recent]
    expected = [1350.0, 1250.0, 1150.0, 1050.0]
    assert recent == [(pytest.approx(w), pytest.approx(w)) for w in expected]


def test_inv_28_an_hour_at_4_kw_in_quarter_hours_is_4_kwh() -> None:
    actor = make()
    series = Series(NOON, (4000.0,) * 4 + (0.0,) * 189)
    list(actor.on(sun(NOON, series)))
    (said,) = list(actor.on(reading(NOON, 300.0)))
    assert sum(said.pv.q50_w) * 0.25 == 4000.0


def test_inv_26_50_w_at_dusk_are_50_w() -> None:
    actor = make()
    feed(actor, NOON, NOON + SLOT, constant(300.0), constant(50.0))
    assert actor.memory.recent[0].pv_w == 50.0


def test_unknown_is_not_zero_and_old_readings_are_not_read_again() -> None:
    actor = make(tick_s=60)
    minute = timedelta(minutes=1)
    feed(actor, NOON, NOON + SLOT, lambda at: None if at.minute % 4 == 0 else 800.0, step=minute)
    assert actor.memory.recent[0].load_w is None or actor.memory.recent[0].load_w == 800.0
    before = actor.memory.meter
    list(actor.on(reading(NOON + 5 * minute, 9000.0)))
    assert actor.memory.meter == before
    nobody = make(tick_s=60)
    feed(nobody, NOON, NOON + SLOT, lambda _: None, lambda _: None, step=minute)
    assert (nobody.memory.recent[0].load_w, nobody.memory.covered_slots) == (None, 0)


def test_a_slot_of_which_less_than_half_was_seen_teaches_nothing() -> None:
    second = timedelta(seconds=1)
    for seen_s, taught in ((440, 0), (460, 1)):
        actor = make(tick_s=10)
        feed(actor, NOON, NOON + seen_s * second, constant(700.0), step=10 * second)
        list(actor.on(reading(NOON + timedelta(hours=1), 700.0)))
        assert actor.memory.covered_slots == taught


def test_what_no_wallbox_draws_is_load() -> None:
    heating = Loadpoint(
        id=1, name="heat", title="", mode=ChargeMode.PV, connected=True, charging=True,
        enabled=True, charge_w=1500.0, charger=False,
    )  # fmt: skip
    car = Loadpoint(
        id=2, name="box", title="", mode=ChargeMode.NOW, connected=True, charging=True,
        enabled=True, charge_w=11_000.0,
    )  # fmt: skip
    actor = make()
    for at in (NOON, NOON + SLOT):
        list(actor.on(reading(at, 400.0, 0.0, (heating, car))))
    assert actor.memory.recent[0].load_w == 1900.0


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 2000), st.none() | st.floats(-100, 20_000)),
        min_size=2,
        max_size=40,
    )
)
def test_energy_is_kept_whatever_the_rhythm(steps: list[tuple[int, float | None]]) -> None:
    """What the slots and the open rest hold is the trapezoid over all short enough intervals."""
    meter, total_ws, seen_s = Meter(), 0.0, 0.0
    past: list[Past] = []
    at_s, last_w = 0, None
    for k, (step_s, power_w) in enumerate(steps):
        at_s += step_s
        if k and step_s <= 600 and last_w is not None and power_w is not None:
            total_ws += (last_w + power_w) / 2 * step_s
            seen_s += step_s
        last_w = power_w
        before = meter
        meter, done = read(meter, float(at_s), power_w, None, 600.0)
        for one in done:
            past.append(one)
            if one.load_w is None:  # seen too little of it: taken off the sum below
                lost = before.load if one.slot == before.slot else None
                assert lost is None or lost.seen_s < 450 + 900
    assert [one.slot for one in past] == sorted({one.slot for one in past})
    assert all(one.pv_w is None for one in past)
    if not past:
        assert meter.load.energy_ws == pytest.approx(total_ws)
        assert meter.load.seen_s == pytest.approx(seen_s)


# --- the load profile ----------------------------------------------------------------------------


def shape(at: datetime) -> float:
    """Quiet nights, an evening peak, and lazy weekends, by the clock on the wall."""
    local = at.astimezone(BERLIN)
    hour = local.hour + local.minute / 60
    base = (
        200
        + 300 * math.exp(-(((hour - 7.5) / 1.5) ** 2))
        + 900 * math.exp(-(((hour - 19) / 2) ** 2))
    )
    return base + (250 if local.weekday() >= 5 and 9 <= hour < 15 else 0)


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


zones = st.sampled_from(
    ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu", "UTC",
     "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo", "America/St_Johns"]
)  # fmt: skip
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


# --- readiness -----------------------------------------------------------------------------------


def test_inv_33_one_sample_is_no_day_and_a_restart_adds_none() -> None:
    actor = make()
    said = feed(actor, NOON, NOON + SLOT, constant(500.0))
    assert said[-1].load_days == round(1 / 96, 6)
    said = feed(actor, NOON + 2 * SLOT, NOON + days(1), constant(500.0))
    assert said[-1].load_days == 1.0
    again = Forecaster()
    again.restore(actor.snapshot())
    list(again.on(ConfigRead(NOON, Settings(tick_s=900.0))))
    (after,) = list(again.on(reading(NOON + days(1) + SLOT, 500.0)))
    assert after.load_days == round(97 / 96, 6)


def test_inv_25_the_mode_is_said_with_and_without_a_solar_tariff() -> None:
    actor = make()
    (said,) = list(actor.on(reading(NOON, 300.0)))
    assert not said.pv_known
    (said,) = list(actor.on(sun(NOON, Series(MONDAY, (700.0,) * 150))))
    assert said.pv_known
    (said,) = list(actor.on(sun(NOON, Series(MONDAY, (None,) * 150))))
    assert not said.pv_known


# --- the sun -------------------------------------------------------------------------------------


def sunshine(at: datetime, peak_w: float = 5000.0) -> float:
    hour = at.hour + at.minute / 60
    return max(0.0, peak_w * math.sin(math.pi * (hour - 6) / 12)) if 6 <= hour <= 18 else 0.0


def solar_series(start: datetime, count: int = 4 * 96) -> Series:
    first = next(iter(slots(start, 1)))
    return Series(first, tuple(sunshine(at + SLOT / 2) for at in slots(start, count)))


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


# --- quantiles -----------------------------------------------------------------------------------


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
