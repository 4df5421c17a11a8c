"""Scenarios and sums for the tests of the pretend world."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.settings import Settings, SiteSettings
from sim.scenario import (
    Scenario,
    Sim,
)

DAY, MINUTE, HOUR = timedelta(days=1), timedelta(minutes=1), timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def scenario(
    start: str = "2026-07-06T00:00", days: float = 3, zone: str = "Europe/Berlin", **sim: object
) -> Scenario:
    home = Settings(site=SiteSettings(zone=zone))
    at = local(start, ZoneInfo(zone))
    return Scenario("test", "Test", home, Sim(start=at, days=days, **sim))  # type: ignore[arg-type]
