"""The pretend world: one seed, sun, load and their forecast; anywhere, anytime."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from statistics import correlation, fmean, pstdev
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.settings import Settings, SiteSettings
from engine.values import Rate
from sim.scenario import (
    Scenario,
    Sim,
    SimCar,
    SimPrices,
    SimTrip,
)
from sim.scenario_files import load_scenario
from sim.world import SeededWorld
from tests.make_world import BERLIN, DAY, HOUR, MINUTE, local, scenario


def kwh(world: SeededWorld, what: str, start: datetime, days: float) -> float:
    """Of every third minute, which is near enough."""
    minutes = range(0, int(days * 1440), 3)
    return sum(getattr(world.minute(start + k * MINUTE), what) for k in minutes) / 20_000


def fingerprint(name: str, seed: int) -> str:
    """Everything that a world says in its first days."""
    story = load_scenario(name)
    world, start = SeededWorld(story, seed, 2), story.sim.start
    said: list[object] = [world.minute(start + k * MINUTE) for k in range(2880)]
    for hour in range(48):
        said += [world.rates(usage, start + hour * HOUR) for usage in ("grid", "feedin", "solar")]
    said.append(world.happenings(start, start + 2 * DAY))
    return sha256(repr(said).encode()).hexdigest()


# --- one seed, one world -------------------------------------------------------------------------


def test_a_seed_gives_the_same_world_in_every_process() -> None:
    code = "from tests.test_world import fingerprint; print(fingerprint('winter-week', 3))"
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == fingerprint("winter-week", 3)
    assert fingerprint("winter-week", 4) != fingerprint("winter-week", 3)


def test_another_seed_changes_every_stream() -> None:
    story = load_scenario("winter-week")
    one, two = SeededWorld(story, 1), SeededWorld(story, 2)
    noon = story.sim.start + 12 * HOUR
    for usage in ("grid", "solar"):
        assert one.rates(usage, noon) != two.rates(usage, noon)
    assert kwh(one, "pv_w", story.sim.start, 1) != kwh(two, "pv_w", story.sim.start, 1)
    assert kwh(one, "load_w", story.sim.start, 1) != kwh(two, "load_w", story.sim.start, 1)
    end = story.sim.start + 7 * DAY
    assert one.happenings(story.sim.start, end) != two.happenings(story.sim.start, end)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    story = load_scenario("two-cars-one-wallbox")
    short, long = SeededWorld(story, 5, 1), SeededWorld(story, 5, 30)
    start = story.sim.start
    for k in range(0, 1440, 7):
        assert short.minute(start + k * MINUTE) == long.minute(start + k * MINUTE)
    for usage in ("grid", "feedin", "solar"):
        assert short.rates(usage, start + 20 * HOUR) == long.rates(usage, start + 20 * HOUR)
    assert short.happenings(start, start + DAY) == long.happenings(start, start + DAY)


def test_one_stream_leaves_the_others_alone() -> None:
    plain = SeededWorld(scenario(), 1)
    other = SeededWorld(
        scenario(
            load_kwh_day=25,
            prices=SimPrices(negative_days=True),
            cars=(SimCar("compact"),),
            trips=(SimTrip("compact", "7:00", "16:00"),),
        ),
        1,
    )
    at = local("2026-07-06T13:00")
    assert [plain.minute(at + k * MINUTE).pv_w for k in range(99)] == [
        other.minute(at + k * MINUTE).pv_w for k in range(99)
    ]
    assert plain.rates("solar", at) == other.rates("solar", at)


# --- sun and load --------------------------------------------------------------------------------


def test_a_year_of_sun_and_load_is_a_plausible_german_one() -> None:
    story = scenario("2026-01-01T00:00", 365, pv_kwp=10, sunny=0.6, load_kwh_day=10)
    world = SeededWorld(story, 1)
    start = story.sim.start
    assert 850 < kwh(world, "pv_w", start, 365) / 10 < 1200
    assert 3300 < kwh(world, "load_w", start, 365) < 4000
    january = kwh(world, "pv_w", start, 31) / 10
    july = kwh(world, "pv_w", local("2026-07-01T00:00"), 31) / 10
    assert 15 < january < 70
    assert 100 < july < 190
    every = [world.minute(start + k * 10 * MINUTE) for k in range(365 * 144)]
    assert all(0 <= m.pv_w <= 10_000 for m in every)
    assert all(50 < m.load_w < 15_000 for m in every)


@pytest.mark.parametrize("sunny", [0.0, 0.3, 0.7, 1.0])
def test_sunny_is_the_mean_share_of_clear_sky(sunny: float) -> None:
    story = scenario("2026-06-01T00:00", 60, sunny=sunny)
    clear = scenario("2026-06-01T00:00", 60, sunny=1.0)
    start = story.sim.start
    share = kwh(SeededWorld(story, 1), "pv_w", start, 60) / kwh(
        SeededWorld(clear, 1), "pv_w", start, 60
    )
    assert share == pytest.approx(max(sunny, 0.02), abs=0.1)


def test_the_sun_is_at_its_highest_at_local_solar_noon_and_absent_at_night() -> None:
    world = SeededWorld(scenario(sunny=1.0), 1)
    day = local("2026-07-07T00:00")
    power = [world.minute(day + k * MINUTE).pv_w for k in range(1440)]
    # 10 degrees east in summer time: 13:20, five minutes later in July
    assert power.index(max(power)) == pytest.approx(13 * 60 + 25, abs=40)
    assert all(power[k] == 0 for k in (*range(4 * 60), *range(23 * 60, 24 * 60)))


def test_clouds_move_by_the_minute() -> None:
    world = SeededWorld(scenario(sunny=0.5, days=20), 1)
    noons = [
        [world.minute(local("2026-07-06T11:00") + d * DAY + k * MINUTE).pv_w for k in range(240)]
        for d in range(20)
    ]
    spreads = [pstdev(noon) / fmean(noon) for noon in noons]
    assert max(spreads) > 0.3
    assert max(abs(b - a) for noon in noons for a, b in pairwise(noon)) > 500


def test_load_follows_local_time_and_weekdays() -> None:
    story = scenario("2026-03-02T00:00", 56, load_kwh_day=10)
    world = SeededWorld(story, 1)

    def mean_w(weekend: bool, clock: str) -> float:
        days = [local("2026-03-02T" + clock) + k * DAY for k in range(56)]
        at = [
            local(f"{(d.astimezone(BERLIN).date()).isoformat()}T{clock}")
            for d in days
            if (d.astimezone(BERLIN).isoweekday() >= 6) is weekend
        ]
        return fmean(world.minute(a + k * MINUTE).load_w for a in at for k in range(60))

    assert mean_w(False, "04:00") < 0.6 * mean_w(False, "12:00")
    assert mean_w(True, "10:00") > 1.2 * mean_w(False, "10:00")
    # half of these days are in summer time: the morning's rise stays at its local hour
    assert mean_w(False, "07:00") > 1.3 * mean_w(False, "05:00")


def test_a_house_without_load_or_roof_has_none() -> None:
    story = scenario(load_kwh_day=0, pv_kwp=0)
    world = SeededWorld(story, 1)
    assert kwh(world, "load_w", story.sim.start, 1) == 0
    assert kwh(world, "pv_w", story.sim.start, 1) == 0


# --- the sun as forecast -------------------------------------------------------------------------


def test_the_solar_forecast_is_near_the_truth_but_not_it() -> None:
    story = scenario("2026-06-01T00:00", 30, pv_kwp=8, sunny=0.6)
    world = SeededWorld(story, 1)
    forecast_kwh, true_kwh, later_kwh = [], [], []
    for k in range(30):
        midnight = story.sim.start + k * DAY
        rates = world.rates("solar", midnight + HOUR) or ()
        assert rates[0].start == midnight
        assert len(rates) == 288
        assert all(rate.value >= 0 for rate in rates)
        forecast_kwh.append(sum(rate.value for rate in rates[:96]) / 4000)
        later_kwh.append(sum(rate.value for rate in rates[192:]) / 4000)
        true_kwh.append(kwh(world, "pv_w", midnight, 1))
    assert sum(forecast_kwh) == pytest.approx(sum(true_kwh), rel=0.15)
    assert 0.6 < correlation(forecast_kwh, true_kwh) < 0.999
    near = fmean(abs(a - b) for a, b in zip(forecast_kwh, true_kwh, strict=True))
    far = fmean(abs(a - b) for a, b in zip(later_kwh[:-2], true_kwh[2:], strict=True))
    assert 0.3 < near < far


def test_the_solar_forecast_is_made_anew_each_local_day() -> None:
    world = SeededWorld(scenario(), 1)
    monday = world.rates("solar", local("2026-07-06T23:59")) or ()
    tuesday = world.rates("solar", local("2026-07-07T00:00")) or ()
    assert world.rates("solar", local("2026-07-06T00:00")) == monday
    assert [rate.start for rate in monday[96:]] == [rate.start for rate in tuesday[:192]]
    assert [rate.value for rate in monday[96:192]] != [rate.value for rate in tuesday[:96]]


# --- anywhere, anytime ---------------------------------------------------------------------------


@given(
    st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kolkata", "Australia/Sydney", "America/Denver"]),
    st.integers(0, 4 * 365 * 1440),
    st.floats(0.1, 3),
    st.sampled_from([15, 30, 60]),
)
@settings(max_examples=25, deadline=None)
def test_worlds_exist_everywhere(zone: str, at: int, days: float, slot_min: int) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC) + at * MINUTE
    story = Scenario(
        "test",
        "Test",
        Settings(site=SiteSettings(zone=zone)),
        Sim(start=start, days=days, prices=SimPrices(slot_min=slot_min)),
    )
    world = SeededWorld(story, 1)
    for now in (start, start + timedelta(days=days / 2), start + timedelta(days=days)):
        rates: tuple[Rate, ...] = world.rates("grid", now) or ()
        assert any(rate.start <= now < rate.end for rate in rates)
        midnight = rates[0].start.astimezone(ZoneInfo(zone))
        assert (midnight.hour, midnight.minute) == (0, 0)
        sun = world.rates("solar", now) or ()
        assert sun[-1].end - now >= timedelta(hours=47)
        minute = world.minute(now)
        assert minute.load_w > 0
        assert minute.pv_w >= 0
