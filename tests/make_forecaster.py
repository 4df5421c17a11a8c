"""Days of readings and sun for the forecaster's tests."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from actors.forecaster import Forecaster
from engine.messages import ConfigRead, Forecasted, RatesChanged, StateChanged
from engine.settings import Settings
from engine.slots import SLOT, slots
from engine.values import HomeState, Loadpoint, Series, Site

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


zones = st.sampled_from(
    ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu", "UTC",
     "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo", "America/St_Johns"]
)  # fmt: skip


def sunshine(at: datetime, peak_w: float = 5000.0) -> float:
    hour = at.hour + at.minute / 60
    return max(0.0, peak_w * math.sin(math.pi * (hour - 6) / 12)) if 6 <= hour <= 18 else 0.0


def solar_series(start: datetime, count: int = 4 * 96) -> Series:
    first = next(iter(slots(start, 1)))
    return Series(first, tuple(sunshine(at + SLOT / 2) for at in slots(start, count)))
