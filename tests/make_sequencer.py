"""Wallboxes, cars and turns for the sequencer's tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from actors.sequencer import Sequencer
from engine.messages import (
    ConfigRead,
    DriverAsked,
    Message,
    StateChanged,
    TurnsChecked,
)
from engine.settings import CarSettings, Settings
from engine.values import (
    ChargeMode,
    EvccVehicle,
    HomeState,
    Loadpoint,
    Site,
    Turn,
    Vehicle,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)  # a Wednesday, 12:00 in Berlin
SLOT = timedelta(minutes=15)


def berlin(*when: int) -> datetime:
    return datetime(*when, tzinfo=BERLIN).astimezone(UTC)  # type: ignore[arg-type,misc]


def box(vehicle: str | None = None, **more: Any) -> Loadpoint:
    fields: dict[str, Any] = {
        "id": 1,
        "name": "garage",
        "title": "Garage",
        "mode": ChargeMode.PV,
        "connected": vehicle is not None,
        "charging": False,
        "enabled": False,
        "charge_w": 0.0,
        "vehicle": vehicle,
    }
    return Loadpoint(**{**fields, **more})


def car(name: str, soc_pct: float | None = None, **more: Any) -> Vehicle:
    return Vehicle(**{"name": name, "title": "", "capacity_kwh": 50.0, "soc_pct": soc_pct, **more})


def state(
    boxes: Sequence[Loadpoint], cars: Sequence[Vehicle] = (), known: Sequence[EvccVehicle] = (),
    **more: Any,
) -> HomeState:  # fmt: skip
    site = Site(
        version="0.300",
        title="Home",
        currency="EUR",
        interval_s=30.0,
        grid_import_w=0.0,
        pv_w=0.0,
        home_w=300.0,
        battery=None,
        loadpoints=tuple(boxes),
        vehicles=tuple(known),
    )
    fields: dict[str, Any] = {"revision": 1, "at": NOON, "site": site, "evcc_reachable": True}
    return HomeState(**{**fields, "vehicles": tuple(cars), **more})


def make(*cars: CarSettings, **more: Any) -> Sequencer:
    actor = Sequencer()
    assert not list(actor.on(ConfigRead(NOON, Settings(cars=cars, **more))))
    return actor


def hear(actor: Sequencer, at: datetime, home: HomeState) -> list[Message]:
    said = list(actor.on(StateChanged(at, home)))
    return [one for one in said if not isinstance(one, TurnsChecked)]


def turn_of(actor: Sequencer, at: datetime, home: HomeState) -> Turn:
    """The first turn of what is known after this state, said or not."""
    hear(actor, at, home)
    return actor.memory.given.turns[0]


def asked(said: list[Message]) -> list[tuple[str, str]]:
    return [(one.loadpoint, one.vehicle) for one in said if isinstance(one, DriverAsked)]


def home_of_two(first_pct: float, second_pct: float = 30.0, **more: Any) -> HomeState:
    return state([box("one")], [car("one", first_pct), car("two", second_pct)], **more)
