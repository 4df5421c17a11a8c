"""An optimizer and the news it hears, for its tests."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actors.optimizer import Optimizer
from actors.planner import Planner
from engine.messages import (
    ConfigRead,
    Forecasted,
    Message,
    PlanMade,
    RatesChanged,
    StateChanged,
    TurnsGiven,
)
from engine.settings import BatterySettings, CarSettings, PlannerSettings, Settings, SiteSettings
from engine.slots import slot_of
from engine.values import (
    Battery,
    ChargeMode,
    HomeState,
    Loadpoint,
    Quantiles,
    Series,
    Site,
    Turn,
    Why,
)
from tests.make_planner import NOON, hours

SLOTS = 25
SETTINGS = Settings(
    site=SiteSettings(zone="Europe/Berlin"),
    battery=BatterySettings(capacity_kwh=10),
    cars=(CarSettings(name="eUp", capacity_kwh=32, max_power_kw=7.4, phases=2),),
    planner=PlannerSettings(horizon_h=6),
)
PLANNER = Planner()


def optimizer(config: Settings = SETTINGS, planner: Planner | None = None) -> Optimizer:
    one = Optimizer(planner or PLANNER)
    assert list(one.on(ConfigRead(NOON - timedelta(hours=1), config))) == []
    return one


def loadpoint(**changes: Any) -> Loadpoint:
    one = Loadpoint(
        id=1,
        name="Carport",
        title="Carport",
        mode=ChargeMode.PV,
        connected=True,
        charging=False,
        enabled=False,
        charge_w=0,
        vehicle="eup",
    )
    return replace(one, **changes)


def turn(**changes: Any) -> Turn:
    one = Turn(
        loadpoint="carport",
        vehicle="EUP",
        why=Why("turn"),
        target_soc_pct=80.0,
        departure=hours(5),
        soc_pct=50.0,
        capacity_kwh=32.0,
        need_kwh=9.6,
    )
    return replace(one, **changes)


def home_state(at: datetime, revision: int = 1, **changes: Any) -> HomeState:
    site = Site(
        version="0.300",
        title="Home",
        currency="EUR",
        interval_s=30,
        grid_import_w=400,
        pv_w=0,
        home_w=400,
        battery=changes.pop("battery", Battery(50, 0, 10, controllable=True)),
        loadpoints=changes.pop("loadpoints", (loadpoint(),)),
        vehicles=changes.pop("vehicles", ()),
    )
    known = HomeState(revision=revision, at=at, measured_at=at, site=site, evcc_reachable=True)
    return replace(known, **changes)


def state(at: datetime, revision: int = 1, **changes: Any) -> StateChanged:
    return StateChanged(at, home_state(at, revision, **changes))


def forecast(at: datetime, **changes: Any) -> Forecasted:
    flat = (400.0,) * SLOTS
    load, dark = Quantiles(slot_of(at), flat, flat, flat), (0.0,) * SLOTS
    sun = Quantiles(slot_of(at), dark, dark, dark)
    return replace(Forecasted(at, load, sun, 7.0, 1.0, True), **changes)


def rates(at: datetime, revision: int = 1, price: float | None = 0.30) -> RatesChanged:
    series = Series(slot_of(at), (price,) * 2 * SLOTS)
    dark = Series(slot_of(at))
    return RatesChanged(at, revision, series, Series(slot_of(at), (0.08,) * 2 * SLOTS), dark)


def turns(at: datetime, *given_: Turn) -> TurnsGiven:
    return TurnsGiven(at, given_ or (turn(),))


def hear(actor: Optimizer, messages: Iterable[Message]) -> list[PlanMade]:
    return [said for message in messages for said in actor.on(message)]  # type: ignore[arg-type]


def complete(at: datetime, revision: int = 1) -> list[Message]:
    return [state(at, revision), rates(at), forecast(at), turns(at)]
