"""A small world in which everything is said beforehand, and a scenario like evcc's own demo."""

import json
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from msgspec.structs import replace

from engine.settings import BatterySettings, CarSettings, Settings, SiteSettings
from engine.slots import slots
from engine.values import Rate
from sim.evcc import PHASE, PretendEvcc
from sim.scenario import (
    Happening,
    Minute,
    Scenario,
    Sim,
    SimBattery,
    SimCar,
    SimLoadpoint,
    SimPrices,
)

START = datetime(2026, 11, 22, 11, 45, tzinfo=UTC)
BATTERY = SimBattery(
    capacity_kwh=10.0,
    soc_pct=50.0,
    charge_efficiency=1.0,
    discharge_efficiency=1.0,
)


def cycle_at(count: int, interval_s: float = 30.0) -> datetime:
    """When an evcc that has been running for long has this cycle, counted from 0."""
    return START + timedelta(seconds=(PHASE + count) * interval_s)


def minutes(count: float) -> datetime:
    """So many minutes after the start."""
    return START + timedelta(minutes=count)


class ScriptedWorld:
    """Load and sun stay as they are set; prices repeat slot by slot."""

    weather_step_s = inf

    def __init__(
        self,
        *,
        load_w: float = 500.0,
        pv_w: float = 0.0,
        happenings: tuple[Happening, ...] = (),
        grid: tuple[float, ...] = (0.30,),
        feed_in: float = 0.08,
    ) -> None:
        self.load_w, self.pv_w = load_w, pv_w
        self._happenings = happenings
        self._grid, self._feed_in = grid, feed_in
        self.fails: tuple[datetime, datetime] | None = None

    def minute(self, at: datetime) -> Minute:
        return Minute(self.load_w, self.pv_w)

    def rates(self, usage: str, now: datetime) -> tuple[Rate, ...] | None:
        if usage == "grid" and self.fails and self.fails[0] <= now < self.fails[1]:
            return None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        prices = {
            "grid": lambda k: self._grid[k % len(self._grid)],
            "feedin": lambda k: self._feed_in,
            "solar": lambda k: self.pv_w,
        }
        return tuple(
            Rate(start, start + timedelta(minutes=15), prices[usage](k))
            for k, start in enumerate(slots(midnight, 192))
        )

    def happenings(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        return tuple(one for one in self._happenings if since < one.at <= until)


def scenario(**changes: Any) -> Scenario:
    """One switching wallbox with a car of 50 kWh at 50 %, and a battery of 10 kWh at 50 %."""
    sim = Sim(
        start=START,
        evcc_interval_s=30.0,
        battery=BATTERY,
        loadpoints=(SimLoadpoint("lp-1", title="Carport", can_switch_phases=True),),
        cars=(SimCar("zoe", title="Zoe", loadpoint="lp-1"),),
        prices=SimPrices(kind="dynamic"),
    )
    settings = Settings(
        site=SiteSettings(zone="Europe/Berlin"),
        battery=BatterySettings(wear_eur_kwh=0.02),
        cars=(CarSettings("zoe", target_soc_pct=80.0, departure="07:00"),),
    )
    return Scenario("small", "Small home", settings, replace(sim, **changes))


def demo(**changes: Any) -> Scenario:
    """evcc's demo as far as we speak of it; its heat pump is an ordinary box with a guest here."""
    home: dict[str, Any] = {
        "evcc_interval_s": 5.0,
        "battery": SimBattery(capacity_kwh=13.4, soc_pct=89.0),
        "loadpoints": (
            SimLoadpoint("lp-1", title="Carport", mode="pv"),
            SimLoadpoint("lp-2", title="Garage", mode="off", can_switch_phases=True),
            SimLoadpoint("lp-3", title="Heat pump", mode="pv"),
        ),
        "cars": (
            SimCar("vehicle_1", "blue e-Golf", 44.0, 70.0, loadpoint="lp-1", tells_limit=False),
            SimCar("vehicle_2", "white Model 3", 80.0, 21.0, loadpoint="lp-2", own_limit_pct=90.0),
            SimCar("vehicle_3", "green Honda e", 8.0, 40.0, api=False),
            SimCar("vehicle_4", "black VanMoof", 0.46, 40.0, api=False),
            SimCar("visitor", "", 60.0, 40.0, guest=True, loadpoint="lp-3"),
        ),
    }
    return scenario(**home | changes)


def pretend(world: ScriptedWorld | None = None, **changes: Any) -> PretendEvcc:
    return PretendEvcc(scenario(**changes), world or ScriptedWorld())


def state(evcc: PretendEvcc) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(evcc.request("GET", "/api/state").body)
    return decoded


def box(evcc: PretendEvcc, k: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = state(evcc)["loadpoints"][k]
    return found


def post(evcc: PretendEvcc, path: str, body: object = None, method: str = "POST") -> Any:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = evcc.request(method, f"/api/{path}", sent)
    assert answer.status == 200, answer
    return json.loads(answer.body)
