"""A few numbers on the day ahead: sun still to come, and how far prices are known. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

from engine.messages import Forecasted
from engine.rates import day_kwh, day_start, energy_kwh, hours_covered
from engine.values import Series
from web.snapshot import Snapshot


def totals_view(snapshot: Snapshot) -> dict[str, float | None]:
    """Totals at the state's time; None is unknown (INV-25).

    `sun_today_kwh`: from now to local midnight; `sun_tomorrow_kwh`: the whole local day after;
    both by the forecast's median, the very curve that is planned with and shown.
    `prices_known_h`: hours ahead with a published price, at most 24 (INV-30).
    """
    state, rates = snapshot.state, snapshot.rates
    zone = ZoneInfo(snapshot.zone)
    today = tomorrow = prices_h = None
    if state is not None:
        at = state.at
        sun = _sun_w(snapshot.forecast, day_start(at, zone, 1))
        today = energy_kwh(sun, at, day_start(at, zone, 1)) if sun else None
        sun = _sun_w(snapshot.forecast, day_start(at, zone, 2))
        tomorrow = day_kwh(sun, at, zone, 1) if sun else None
        prices_h = hours_covered(rates.import_eur_kwh, at) if rates else None
    return {
        "sun_today_kwh": _rounded(today),
        "sun_tomorrow_kwh": _rounded(tomorrow),
        "prices_known_h": _rounded(prices_h),
    }


def _sun_w(forecast: Forecasted | None, until: datetime) -> Series | None:
    """The forecast PV power, if evcc knows of sun and it reaches so far: half a day is no total."""
    if forecast is None or not forecast.pv_known:
        return None
    sun = Series(forecast.pv.start, forecast.pv.q50_w)
    return sun if sun.end >= until else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
