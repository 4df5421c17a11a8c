"""What the page says of the day ahead: sun to come, and how far prices are known."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from engine.messages import ConfigRead, Forecasted, RatesChanged
from engine.slots import SLOT
from engine.values import HomeState, Quantiles, Series
from tests.make_status import NOW, SETTINGS, make_forecast, make_rates, make_state
from web.snapshot import Snapshot
from web.status import status
from web.totals import totals_view

HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 1, 13, 23, 0, tzinfo=UTC)
"""Local midnight (CET) of the day of the tests."""
UNKNOWN = {"sun_today_kwh": None, "sun_tomorrow_kwh": None, "prices_known_h": None}


def sun(watts: float, start: datetime, slots: int = 193, known: bool = True) -> Forecasted:
    power = Quantiles(start, (0.0,) * slots, (watts,) * slots, (9000.0,) * slots)
    return msgspec.structs.replace(make_forecast(start), pv=power, pv_known=known)


def prices(start: datetime, values: tuple[float | None, ...]) -> RatesChanged:
    return msgspec.structs.replace(make_rates(), import_eur_kwh=Series(start, values))


def at(now: datetime, **parts: object) -> dict[str, float | None]:
    state: HomeState = make_state(now=now)
    return totals_view(Snapshot(settings=SETTINGS, state=state, **parts))  # type: ignore[arg-type]


def test_nothing_heard_is_nothing_known() -> None:
    assert totals_view(Snapshot()) == UNKNOWN
    assert at(NOW) == UNKNOWN


def test_inv_28_quarter_hours_of_one_kw_are_a_kwh_per_hour() -> None:
    found = at(MIDNIGHT + 20 * HOUR, forecast=sun(1000.0, MIDNIGHT + 20 * HOUR))
    assert found["sun_today_kwh"] == pytest.approx(4.0)
    assert found["sun_tomorrow_kwh"] == pytest.approx(24.0)


def test_inv_29_today_is_what_is_left_of_the_local_day_and_tomorrow_the_next_one() -> None:
    now = MIDNIGHT + 23 * HOUR + timedelta(minutes=50)
    found = at(now, forecast=sun(6000.0, MIDNIGHT + 23 * HOUR + 3 * SLOT))
    assert found["sun_today_kwh"] == pytest.approx(1.0)
    assert found["sun_tomorrow_kwh"] == pytest.approx(144.0)
    just_after = at(MIDNIGHT + 24 * HOUR, forecast=sun(6000.0, MIDNIGHT + 24 * HOUR))
    assert just_after["sun_today_kwh"] == pytest.approx(144.0)


@pytest.mark.parametrize(
    ("noon", "hours"),
    [
        (datetime(2026, 3, 28, 11, tzinfo=UTC), 23),
        (datetime(2026, 10, 24, 10, tzinfo=UTC), 25),
    ],
)
def test_inv_29_tomorrow_is_as_long_as_its_local_day(noon: datetime, hours: int) -> None:
    found = at(noon, forecast=sun(1000.0, noon))
    assert found["sun_today_kwh"] == pytest.approx(12.0)
    assert found["sun_tomorrow_kwh"] == pytest.approx(hours)


def test_a_day_that_is_forecast_in_part_has_no_total() -> None:
    now = MIDNIGHT + 12 * HOUR
    assert at(now, forecast=sun(1000.0, now, slots=40)) == UNKNOWN
    found = at(now, forecast=sun(1000.0, now, slots=96))
    assert (found["sun_today_kwh"], found["sun_tomorrow_kwh"]) == (12.0, None)


def test_inv_25_without_a_solar_forecast_the_sun_is_unknown_not_zero() -> None:
    assert at(NOW, forecast=sun(1000.0, NOW, known=False)) == UNKNOWN
    dark = at(MIDNIGHT, forecast=sun(0.0, MIDNIGHT))
    assert (dark["sun_today_kwh"], dark["sun_tomorrow_kwh"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("values", "hours"),
    [
        ((0.3,) * 8, 2.0),
        ((0.3, None, None, None, 0.3), 0.5),  # gaps are not covered
        ((), 0.0),
        ((0.3,) * 140, 24.0),
    ],
)
def test_inv_30_known_prices_are_future_hours_capped_at_24(
    values: tuple[float | None, ...], hours: float
) -> None:
    assert at(MIDNIGHT, rates=prices(MIDNIGHT, values))["prices_known_h"] == hours


def test_inv_30_past_prices_do_not_count_and_the_present_slot_in_part() -> None:
    now = MIDNIGHT + HOUR + timedelta(minutes=5)
    found = at(now, rates=prices(MIDNIGHT, (0.3,) * 6))
    assert found["prices_known_h"] == pytest.approx(25 / 60, abs=1e-3)


def test_the_status_carries_the_totals() -> None:
    snapshot = Snapshot(
        settings=ConfigRead(NOW, SETTINGS).settings,
        state=make_state(),
        rates=make_rates(),
        forecast=make_forecast(),
    )
    found = status(snapshot, NOW)["totals"]
    assert found == totals_view(snapshot)
    assert found["sun_today_kwh"] == 0.0  # an evening
    assert found["sun_tomorrow_kwh"] == pytest.approx(16.3, abs=0.1)
    assert found["prices_known_h"] == 24.0
