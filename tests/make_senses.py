"""Readings of a small home, for the tests of the senses."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.messages import ConfigRead, EvccRead, SiteMeasured
from engine.settings import CarSettings, Settings
from engine.slots import SLOT
from engine.values import ChargeMode, EvccVehicle, Loadpoint, Rate, Site, Tariff

NOON = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)
"""12:00 in Berlin, winter."""
MIDNIGHT = datetime(2026, 1, 13, 23, 0, tzinfo=UTC)
"""The local midnight before `NOON`."""


def after(minutes: float = 0.0, seconds: float = 0.0) -> datetime:
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def settings(*cars: CarSettings, **changes: Any) -> Settings:
    return Settings(cars=cars, **changes)


def config(*cars: CarSettings, **changes: Any) -> ConfigRead:
    return ConfigRead(NOON, settings(*cars, **changes))


def box(vehicle: str | None = None, soc_pct: float | None = None, **changes: Any) -> Loadpoint:
    """A wallbox `carport`; connected unless told otherwise."""
    values: dict[str, Any] = {
        "id": 1,
        "name": "carport",
        "title": "Carport",
        "mode": ChargeMode.PV,
        "connected": True,
        "charging": False,
        "enabled": False,
        "charge_w": 0.0,
        "vehicle": vehicle,
        "vehicle_soc_pct": soc_pct,
    }
    return Loadpoint(**(values | changes))


def free(**changes: Any) -> Loadpoint:
    return box(connected=False, **changes)


def site(*loadpoints: Loadpoint, vehicles: Iterable[EvccVehicle] = (), **changes: Any) -> Site:
    values: dict[str, Any] = {
        "version": "0.314.0",
        "title": "Home",
        "currency": "EUR",
        "interval_s": 30.0,
        "grid_import_w": 300.0,
        "pv_w": 50.0,
        "home_w": 350.0,
        "battery": None,
        "loadpoints": loadpoints,
        "vehicles": tuple(vehicles),
    }
    return Site(**(values | changes))


def measured(at: datetime, *loadpoints: Loadpoint, **changes: Any) -> SiteMeasured:
    return SiteMeasured(at, site(*loadpoints, **changes))


def read(
    at: datetime, *loadpoints: Loadpoint, tariffs: tuple[Tariff, ...] = (), **changes: Any
) -> EvccRead:
    return EvccRead(at, site(*loadpoints, **changes), tariffs)


def rates(
    start: datetime, values: Iterable[float | None], step: timedelta = SLOT
) -> tuple[Rate, ...]:
    """Entries of `step` from `start` on; None leaves one out."""
    return tuple(
        Rate(start + k * step, start + (k + 1) * step, value)
        for k, value in enumerate(values)
        if value is not None
    )


def three(
    grid: tuple[Rate, ...] | None = None,
    feedin: tuple[Rate, ...] | None = None,
    solar: tuple[Rate, ...] | None = None,
) -> tuple[Tariff, ...]:
    return (Tariff("grid", grid), Tariff("feedin", feedin), Tariff("solar", solar))
