"""The prices of the pretend world: publication, shapes, outages and holes."""

from datetime import datetime
from itertools import pairwise
from statistics import correlation, fmean, pstdev

import pytest

from engine.slots import SLOT
from sim.scenario import (
    SimEvent,
    SimPrices,
)
from sim.world import SeededWorld
from tests.make_world import BERLIN, DAY, HOUR, MINUTE, local, scenario


@pytest.mark.parametrize(
    ("day", "slots"), [("2026-03-29", 92), ("2026-03-28", 96), ("2026-10-25", 100)]
)
def test_a_local_day_has_92_96_or_100_slots(day: str, slots: int) -> None:
    world = SeededWorld(scenario(f"{day}T00:00"), 1)
    rates = world.rates("grid", local(f"{day}T08:00"))
    assert rates is not None
    assert len(rates) == slots
    assert rates[0].start == local(f"{day}T00:00")
    assert all(a.end == b.start for a, b in pairwise(rates))
    assert {rate.end - rate.start for rate in rates} == {SLOT}


def test_tomorrow_is_published_at_one_o_clock_local() -> None:
    world = SeededWorld(scenario("2026-10-23T00:00", 5), 1)
    for day in ("2026-10-23", "2026-10-24", "2026-10-25"):
        before = world.rates("grid", local(f"{day}T13:00") - MINUTE)
        after = world.rates("grid", local(f"{day}T13:00"))
        assert before is not None
        assert after is not None
        assert before == after[: len(before)]
        tomorrow = datetime.fromisoformat(day) + DAY
        assert before[-1].end == local(tomorrow.isoformat())
        assert after[-1].end == local((tomorrow + DAY).isoformat())
        again = world.rates("grid", local(f"{day}T23:59"))
        assert again == after
        assert again is not None
        assert world.rates("grid", local(tomorrow.isoformat())) == again[len(before) :]


def test_dynamic_prices_are_cheap_at_night_and_noon_and_dear_in_the_evening() -> None:
    prices = SimPrices(mean_eur_kwh=0.3, spread_eur_kwh=0.12)
    world = SeededWorld(scenario("2026-01-05T00:00", 60, prices=prices), 1)
    days = [world.rates("grid", local("2026-01-05T06:00") + k * DAY) or () for k in range(60)]
    values = [[rate.value for rate in day] for day in days]
    assert all(round(v, 4) == v for day in values for v in day)
    assert fmean(v for day in values for v in day) == pytest.approx(0.3, abs=0.02)
    assert fmean(max(day) - min(day) for day in values) == pytest.approx(0.12, rel=0.2)
    hour = [fmean(v for day in values for v in day[4 * h : 4 * h + 4]) for h in range(24)]
    assert max(hour[2:5]) < hour[13] + 0.01 < hour[8] < hour[18]
    means = [fmean(day) for day in values]
    assert pstdev(means) > 0.01
    assert correlation(means[:-1], means[1:]) > 0.3


def test_negative_days_have_noons_below_zero() -> None:
    prices = SimPrices(negative_days=True, mean_eur_kwh=0.24)
    for seed in range(5):
        world = SeededWorld(scenario("2026-05-08T00:00", 3, prices=prices), seed)
        days = [world.rates("grid", local("2026-05-08T06:00") + k * DAY) or () for k in range(3)]
        below = [rate for day in days for rate in day if rate.value < 0]
        assert len(below) >= 16
        assert {rate.start.astimezone(BERLIN).hour for rate in below} == {11, 12, 13, 14}


def test_a_table_repeats_in_local_hours() -> None:
    table = tuple(k / 100 for k in range(24))
    prices = SimPrices(kind="table", hourly_eur_kwh=table, slot_min=60)
    world = SeededWorld(scenario("2026-03-28T00:00", 3, prices=prices), 1)
    spring = world.rates("grid", local("2026-03-29T01:00")) or ()
    assert [rate.value for rate in spring] == [0.0, 0.01, *(k / 100 for k in range(3, 24))]


def test_flat_prices_and_feed_in_reach_a_week() -> None:
    world = SeededWorld(scenario(prices=SimPrices(kind="flat", mean_eur_kwh=0.35)), 1)
    for usage, value in (("grid", 0.35), ("feedin", 0.08)):
        rates = world.rates(usage, local("2026-07-06T15:00")) or ()
        assert {rate.value for rate in rates} == {value}
        assert rates[0].start == local("2026-07-06T00:00")
        assert rates[-1].end == local("2026-07-13T00:00")


def test_asking_again_costs_nothing() -> None:
    world = SeededWorld(scenario(), 1)
    for usage in ("grid", "feedin", "solar"):
        first = world.rates(usage, local("2026-07-06T14:00"))
        assert world.rates(usage, local("2026-07-06T14:05")) is first
    assert world.rates("planner", local("2026-07-06T14:00")) is None


def test_outages_and_holes() -> None:
    events = (
        SimEvent(18, "tariff_outage", hours=7),
        SimEvent(10, "tariff_hole", hours=2),
        SimEvent(4, "evcc_outage", hours=2 / 3),
    )
    story = scenario(events=events)
    world, start = SeededWorld(story, 1), story.sim.start
    assert world.rates("grid", start + 18 * HOUR - MINUTE) is not None
    assert world.rates("grid", start + 18 * HOUR) is None
    assert world.rates("grid", start + 25 * HOUR - MINUTE) is None
    assert world.rates("solar", start + 20 * HOUR) is not None
    assert world.rates("grid", start + 25 * HOUR) is not None
    starts = {rate.start for rate in world.rates("grid", start) or ()}
    assert len(starts) == 96 - 8
    assert not any(start + 10 * HOUR <= at < start + 12 * HOUR for at in starts)
    outage = next(h for h in world.happenings(start, start + DAY) if h.kind == "evcc_outage")
    assert outage.until == start + 4 * HOUR + 40 * MINUTE
