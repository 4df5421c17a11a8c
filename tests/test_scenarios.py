"""The scenarios that come with SmartLoad, and how scenario files are read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.config import ConfigError
from engine.values import Control
from sim.scenario_files import load_scenario, parse_scenario, scenario_names
from sim.world import SeededWorld

NAMES = (
    "demo",
    "dst-march",
    "dst-october",
    "negative-prices",
    "summer-week",
    "tariff-outage",
    "two-cars-one-wallbox",
    "winter-week",
)
SMALL = "title: Small\nsim:\n  start: 2026-01-05T00:00:00+01:00\n"


def findings(text: str) -> dict[str, str]:
    """Fields and problems of a scenario that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, "test")
    return {one.field: one.problem for one in caught.value.findings}


def test_these_scenarios_come_along() -> None:
    assert set(scenario_names()) >= set(NAMES)


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_is_a_whole_home(name: str) -> None:
    story = load_scenario(name)
    assert story.name == name
    assert story.settings.control is Control.ON
    assert story.settings.tick_s == story.sim.tick_s
    assert story.settings.max_age_s >= 2 * story.sim.tick_s
    assert 8 <= story.sim.pv_kwp <= 10
    assert story.sim.battery is not None
    assert 9 <= story.sim.battery.capacity_kwh <= 11
    assert story.sim.loadpoints
    assert {car.name for car in story.settings.cars} == {car.name for car in story.sim.cars}


@pytest.mark.parametrize("name", scenario_names())
def test_departures_are_before_the_car_leaves(name: str) -> None:
    """A car that is plugged in overnight leaves no earlier than its settings promise."""
    story = load_scenario(name)
    zone = ZoneInfo(story.settings.site.zone)
    for seed in range(3):
        world = SeededWorld(story, seed, min(story.sim.days, 14))
        plugged = {car.name for car in story.sim.cars if car.loadpoint}
        for one in world.happenings(story.sim.start, story.sim.start + timedelta(days=14)):
            settings = next((car for car in story.settings.cars if car.name == one.car), None)
            at = one.at.astimezone(zone)
            if one.kind == "arrive" and one.car and one.loadpoint:
                plugged.add(one.car)
            elif one.kind == "leave" and one.car in plugged:
                plugged.discard(one.car)
                assert settings is not None
                morning = at.hour < 9 and settings.departure is not None
                if morning and at.isoweekday() in settings.departure_weekdays:
                    assert f"{at:%H:%M}" >= f"{settings.departure}", (name, seed, at)


@pytest.mark.parametrize("name", scenario_names())
def test_trips_fit_the_cars(name: str) -> None:
    story = load_scenario(name)
    for trip in story.sim.trips:
        car = next(car for car in story.sim.cars if car.name == trip.car)
        assert trip.used_kwh < 0.5 * car.capacity_kwh


def test_the_weekends_of_the_clocks_are_in_the_middle() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for name, hours in (("dst-march", 71), ("dst-october", 73)):
        story = load_scenario(name)
        first = story.sim.start.astimezone(zone)
        assert first.hour == 0
        last = datetime.combine(first.date() + timedelta(days=3), first.time(), zone)
        assert last.astimezone(UTC) - story.sim.start == timedelta(hours=hours)
        assert story.settings.sequencer.quiet_end == "06:00"


def test_the_outages_are_where_they_hurt() -> None:
    story = load_scenario("tariff-outage")
    world, zone = SeededWorld(story, 1), ZoneInfo("Europe/Berlin")
    found = world.happenings(story.sim.start, story.sim.start + timedelta(days=3))
    tariff = next(one for one in found if one.kind == "tariff_outage")
    evcc = next(one for one in found if one.kind == "evcc_outage")
    assert tariff.until == tariff.at + timedelta(hours=7)
    assert tariff.at.astimezone(zone).hour == 18
    assert evcc.until == evcc.at + timedelta(minutes=40)
    assert story.settings.cars[0].departure == "06:30"


def test_one_wallbox_is_shared_night_by_night() -> None:
    story = load_scenario("two-cars-one-wallbox")
    world = SeededWorld(story, 1)
    found = world.happenings(story.sim.start, story.sim.start + timedelta(days=5))
    plugged = [one.car for one in found if one.kind == "arrive" and one.loadpoint]
    assert plugged == ["compact", "family", "compact", "family", "compact"]


def test_a_car_is_connected_and_free_to_wait_when_prices_are_below_zero() -> None:
    story = load_scenario("negative-prices")
    noon = datetime(2026, 5, 9, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    for seed in range(3):
        world = SeededWorld(story, seed)
        rates = world.rates("grid", noon) or ()
        assert next(rate.value for rate in rates if rate.start <= noon < rate.end) < 0
        last = world.happenings(story.sim.start, noon)[-1]
        assert (last.kind, last.loadpoint) == ("arrive", "carport")
    assert noon.isoweekday() not in story.settings.cars[0].departure_weekdays


def test_prices_reward_waiting_everywhere() -> None:
    for name in scenario_names():
        story = load_scenario(name)
        rates = SeededWorld(story, 1, 1).rates("grid", story.sim.start + timedelta(hours=14)) or ()
        values = [rate.value for rate in rates]
        assert max(values) - min(values) > 0.08, name


# --- reading -------------------------------------------------------------------------------------


def test_a_scenario_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SMALL + "  tick_s: 600\n", encoding="utf-8")
    story = load_scenario(file)
    assert (story.name, story.title, story.settings.tick_s) == ("mine", "Small", 600)
    assert story.sim.start == datetime(2026, 1, 4, 23, tzinfo=UTC)
    assert load_scenario(f"{file}") == story


def test_an_unknown_scenario_is_answered_with_the_names() -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario("winter-wek")
    (one,) = caught.value.findings
    assert one.suggestion == "did you mean winter-week?"
    assert "summer-week" in one.allowed
    with pytest.raises(ConfigError):
        load_scenario("none.yaml")


def test_what_does_not_exist_cannot_be_named() -> None:
    found = findings(
        SMALL
        + """
  loadpoints: [{name: box}]
  cars: [{name: a, loadpoint: box}, {name: b, loadpoint: box}, {name: A}, {name: c, loadpoint: no}]
  trips: [{car: d, leaves: 7:00, returns: 8:00, loadpoint: no}]
  events:
    - {at_h: 1, kind: arrive, car: a}
    - {at_h: 1, kind: human, path: mode/off}
    - {at_h: 1, kind: evcc_outage}
    - {at_h: 1, kind: fire}
  prices: {kind: table, slot_min: 25}
"""
    )
    assert set(found) == {
        "sim.cars[1].loadpoint",
        "sim.cars[2].name",
        "sim.cars[3].loadpoint",
        "sim.trips[0].car",
        "sim.trips[0].loadpoint",
        "sim.events[0].loadpoint",
        "sim.events[1].path",
        "sim.events[2].hours",
        "sim.events[3].kind",
        "sim.prices.slot_min",
        "sim.prices.hourly_eur_kwh",
    }


def test_what_is_missing_is_named() -> None:
    assert set(findings("control: on")) == {"title", "sim"}
    assert set(findings("title: x\nsim: {days: 0}")) == {"sim.start", "sim.days"}
    assert set(findings("title: x\nsim: {start: 2026-01-05 00:00}")) == {"sim.start"}
