"""Failed meters, reading by reading: what stands, what does not fit, and what is sound."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from actors.meters import MeterWatch, watched
from engine.values import Battery, BatteryMode, Site
from tests.make_meters import (
    BEGIN,
    Watcher,
    charging,
    lively,
    reading,
)


def test_a_home_whose_weather_is_constant_has_no_failed_meter() -> None:
    box = charging(400.0, 3.0)
    for battery_w, moves_pct in ((-2000.0, 0.1), (0.0, 0.0)):
        same = [
            reading(0.0, 3000.0, battery_w, box, soc_pct=10 + k * moves_pct) for k in range(600)
        ]
        assert Watcher().live(600, same.__getitem__) == []


# --- what stands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter", "changes"),
    [
        ("grid", {"grid_import_w": 1234.5, "home_w": 321.5}),
        ("pv", {"pv_w": 1800.0}),
        ("loadpoint:carport", {"loadpoints": (charging(4000.0, 3.0),)}),
    ],
)
def test_a_meter_that_stands_for_three_usual_intervals_has_failed(
    meter: str, changes: dict[str, Any]
) -> None:
    """The rest moves. The grid's takes the home's consumption with it, the sums do not fit then."""
    story = Watcher()
    assert story.live(40) == []
    found = [story.see(_stands(k, meter, changes)) for k in range(33)]
    assert found[0] == found[1] == []
    assert meter in found[31 if meter == "pv" else 5]
    assert story.see(lively(60)) == []


def _stands(k: int, meter: str, changes: dict[str, Any]) -> Site:
    """Reading `k` with these values, adding up unless the grid stands."""
    one = replace(lively(k), **changes)
    if meter == "grid":
        return one
    assert one.battery is not None
    assert one.battery.charge_w is not None
    cars_w = sum(point.charge_w for point in one.loadpoints)
    rest_w = (one.grid_import_w or 0.0) + (one.pv_w or 0.0) - one.battery.charge_w - cars_w
    return replace(one, home_w=max(0.0, rest_w))


def test_a_slow_meter_has_its_own_usual_interval() -> None:
    """A sun that is told every 10 minutes is no failure; after 30 minutes it is one."""
    story = Watcher()

    def slow(k: int) -> Site:
        return _stands(k, "pv", {"pv_w": 1000.0 + k // 20})

    assert story.live(600, slow) == []
    seen = [story.see(_stands(k, "pv", {"pv_w": 999.0})) for k in range(70)]
    first = next(k for k, names in enumerate(seen) if names == ["pv"])
    assert 58 <= first <= 62


def test_nothing_stands_in_the_first_ten_minutes_nor_after_a_pause() -> None:
    story = Watcher()
    assert story.live(13) == []
    assert story.live(4, lambda k: lively(13)) == []
    assert story.live(30) == []
    assert story.see(lively(29), after_s=7200.0) == []
    assert story.live(2, lambda k: lively(29)) == []


# --- what does not fit ----------------------------------------------------------------------------


def test_one_reading_that_does_not_add_up_is_not_yet_a_failure() -> None:
    story = Watcher(step_s=30.0)
    assert story.see(lively(0)) == []
    assert story.see(lively(1, home_w=9000.0)) == []
    assert story.see(lively(2)) == []
    assert story.see(lively(3, home_w=9000.0)) == []
    assert story.see(lively(4, home_w=9000.0)) == []
    assert story.see(lively(5, home_w=9000.0)) == ["home"]
    assert story.failed[0].since == BEGIN + timedelta(seconds=30 * 4)


def test_export_out_of_nothing_is_a_source_that_reads_zero() -> None:
    for pv_w, battery_w, meter in (
        (0.0, -500.0, "pv"),
        (100.0, 0.0, "battery"),
        (0.0, 0.0, "home"),
    ):
        story = Watcher()
        seen = [story.see(reading(-3000.0 - k, pv_w, battery_w)) for k in range(4)]
        assert seen[-1] == [meter]


def test_the_wallbox_that_is_missing_in_the_sum_is_to_blame() -> None:
    """One of two, both, and one whose car stops unseen."""
    first, second = charging(4000.0, 1.0, "carport"), charging(7000.0, 1.0, "garage")
    for off_w, names in (
        (4000.0, ["loadpoint:carport"]),
        (7000.0, ["loadpoint:garage"]),
        (11000.0, ["loadpoint:carport", "loadpoint:garage"]),
        (2500.0, ["home"]),
        (-2500.0, ["home"]),
    ):
        story, seen = Watcher(), []
        for k in range(4):
            one = reading(12000.0 + k, 2000.0, 0.0, first, second)
            seen = story.see(replace(one, home_w=(one.home_w or 0.0) + off_w))
        assert seen == names
    story = Watcher()
    for k in range(4):
        seen = story.see(reading(400.0 + k, 0.0, 0.0, first, home_w=400.0 + k))
    assert seen == ["loadpoint:carport"]


def test_a_grid_meter_that_was_not_read_is_to_blame_even_as_a_car_starts() -> None:
    story = Watcher()
    assert story.live(5, lambda k: reading(900.0 + k, 0.0, -300.0)) == []
    for power_w in (0.0, 4000.0, 4000.0, 4000.0):
        seen = story.see(reading(904.0, 0.0, -300.0, charging(power_w, 1.0), home_w=604.0))
    assert seen == ["grid"]


def test_a_battery_that_stands_has_failed_when_its_soc_should_have_moved() -> None:
    story = Watcher()
    assert story.live(40) == []
    stands = Battery(60.0, 2000.0, 10.0, controllable=True)
    seen = [story.see(replace(_stands(k, "", {"battery": stands}))) for k in range(13)]
    assert seen[5] == []  # 100 Wh, a percent of it
    assert seen[12] == ["battery"]


def test_a_battery_that_really_stops_is_none() -> None:
    """The grid takes over: the house's consumption stays. Held, full or empty it may stop too."""
    story = Watcher()
    for k in range(5):
        story.see(reading(500.0 + k, 0.0, 2000.0))
    assert story.live(5, lambda k: reading(2500.0 + k, 0.0, 0.0)) == []
    story = Watcher()
    for k in range(5):
        story.see(reading(500.0 + k, 0.0, 2000.0))
    held = Battery(50.0, 0.0, 10.0, BatteryMode.HOLD)
    assert story.live(5, lambda k: replace(reading(500.0, 0.0, 0.0), battery=held)) == []


def test_a_battery_that_reads_zero_while_its_soc_moves_has_failed() -> None:
    """At readings minutes apart the SoC is the witness."""
    story = Watcher(step_s=300.0)
    seen = [
        story.see(reading(900.0 + k, 0.0, 0.0, soc_pct=50.0 - k), tick_s=300.0) for k in range(6)
    ]
    assert seen[0] == seen[1] == []
    assert seen[-1] == ["battery"]


def test_a_sun_that_really_goes_is_none_and_one_that_takes_the_house_along_is() -> None:
    for grid_w, failed in ((2500.0, []), (500.0, ["pv"])):
        story = Watcher()
        for k in range(5):
            story.see(reading(500.0 + k, 2000.0, None), sun_w=1800.0)
        names = [story.see(reading(grid_w + k, 0.0, None), sun_w=1800.0) for k in range(4)]
        assert names[-1] == failed
        assert story.see(reading(grid_w, 0.0, None), sun_w=0.0) == []  # the sun is down


def test_a_grid_meter_that_reads_zero_with_nothing_to_balance_it_has_failed() -> None:
    story = Watcher()
    assert story.live(40, lambda k: reading(300.0 + k, 2000.0 - k % 3, None)) == []
    assert "grid" in story.live(6, lambda k: reading(0.0, 2000.0 - k % 3, None))


def test_a_meter_that_evcc_shows_no_more_is_missing_for_a_day() -> None:
    story = Watcher()
    story.live(10)
    gone = reading(None, 500.0, -200.0)
    assert story.see(gone) == story.see(gone) == []
    assert story.see(gone) == ["grid"]
    assert story.failed[0].why.code == "meter_missing"
    story.live(
        2 * 60 * 25, lambda k: reading(None, 500.0 + k % 9, -200.0 - k % 5, soc_pct=50 + k % 7)
    )
    assert story.failed == ()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    some.lists(
        some.tuples(
            some.floats(-9000, 9000),
            some.floats(0, 9000),
            some.floats(50, 4000),
            some.floats(0, 90),
        ),
        min_size=5,
        max_size=40,
    ),
    some.sampled_from([10.0, 30.0, 60.0, 300.0]),
)
def test_what_adds_up_and_moves_never_fails(
    rows: list[tuple[float, float, float, float]], step_s: float
) -> None:
    """Any grid and sun, a battery that moves with the house: the consumption is what is left."""
    story = Watcher(step_s=step_s)
    for k, (grid_w, pv_w, battery_w, off_w) in enumerate(rows):
        one = reading(grid_w + k, pv_w + 51 + k, battery_w + max(0.0, -grid_w), soc_pct=50 + k % 9)
        noisy = replace(one, home_w=(one.home_w or 0.0) + off_w)
        assert story.see(noisy, tick_s=step_s) == []


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    some.lists(
        some.tuples(*[some.none() | some.floats(-1e4, 1e4)] * 4, some.none() | some.floats(0, 100)),
        max_size=30,
    ),
    some.floats(1, 4000),
)
def test_any_reading_can_be_watched(
    rows: list[tuple[float | None, float | None, float | None, float | None, float | None]],
    step_s: float,
) -> None:
    story = Watcher(step_s=step_s)
    for grid_w, pv_w, battery_w, home_w, soc_pct in rows:
        one = reading(grid_w, pv_w, battery_w, home_w=home_w, soc_pct=soc_pct)
        names = story.see(one)
        assert names == sorted(set(names))
        assert all(meter.since <= story.now for meter in story.failed)
        assert watched(story.mind, lively(3), story.now) == (story.mind, story.failed)


def test_the_watch_stays_small() -> None:
    story = Watcher()
    story.live(500)
    size = len(msgspec.json.encode(story.mind))
    assert size < 3000
    assert msgspec.json.decode(msgspec.json.encode(story.mind), type=MeterWatch) == story.mind
