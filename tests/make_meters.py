"""A home whose meters fail, for the tests of the failed meters."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actors import cast
from actors.collector import Collector
from actors.meters import MeterWatch, watched
from actors.state_store import StateStore
from actors.vehicle_monitor import VehicleMonitor
from engine.messages import Message, StateChanged
from engine.steps import StepSystem
from engine.values import Battery, FailedMeter, HomeState, Loadpoint, Site
from sim.run import PretendHome, play, pretend_home
from sim.scenario import Scenario, SimBattery, SimCar, SimLoadpoint
from tests.make_ring import home, local
from tests.make_senses import box, site

SENSES = (Collector.__name__, VehicleMonitor.__name__, StateStore.__name__)
BEGIN = local("2026-07-06", "10:00")


@dataclass
class Watched:
    """A recorder that keeps every state, and what else was said."""

    states: list[HomeState] = field(default_factory=list)
    said: list[tuple[datetime, Message]] = field(default_factory=list)

    def record(self, _actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        for one in said:
            if isinstance(one, StateChanged):
                self.states.append(one.state)
            else:
                self.said.append((heard.at, one))

    def failed(self) -> list[tuple[datetime, str]]:
        """Each reading at which a meter had failed, with its name."""
        return [(one.at, meter.name) for one in self.states for meter in one.failed_meters]


def sunny_home(*, tick_s: float = 10.0, mode: str = "pv", soc_pct: float = 40.0) -> Scenario:
    """A summer's day: sun, a battery, and a car that takes long to fill."""
    return home(
        BEGIN,
        battery=SimBattery(capacity_kwh=20.0, soc_pct=soc_pct),
        cars=(SimCar("zoe", "Zoe", 80.0, 20.0, loadpoint="carport"),),
        boxes=(SimLoadpoint(name="carport", mode=mode),),
        pv_kwp=10.0,
        sunny=0.9,
        tick_s=tick_s,
    )


def watch(
    scenario: Scenario,
    days: float,
    deeds: Iterable[tuple[float, str, Any]] = (),
    *,
    seed: int = 1,
    whole: bool = False,
) -> tuple[Watched, PretendHome, list[Any]]:
    """Play `scenario`: (minutes after the start, device, value) are done on the way.

    `whole`: with everybody, else with the senses and the state store alone.
    """
    recorder = Watched()
    system = StepSystem(scenario.sim.start, recorder)
    house = pretend_home(scenario, seed, days, system.clock)
    minds = [one for one in cast() if whole or type(one).__name__ in SENSES]
    left = sorted(deeds)

    def act(at: datetime) -> None:
        while left and at >= scenario.sim.start + timedelta(minutes=left[0][0]):
            _, key, value = left.pop(0)
            house.pretend.device(key, value)

    play(system, scenario, days, house, minds, progress=act)
    system.stop()
    return recorder, house, minds


def reading(
    grid_w: float | None = 300.0,
    pv_w: float | None = 2000.0,
    battery_w: float | None = -1000.0,
    *boxes: Loadpoint,
    home_w: float | None = None,
    soc_pct: float | None = 50.0,
    **more: Any,
) -> Site:
    """One reading as evcc publishes it; `battery_w` positive while discharging; None: no battery.

    `home_w` None: what is left of the rest.
    """
    battery = None
    if battery_w is not None:
        battery = Battery(soc_pct, 0.0 - battery_w, 10.0, controllable=True)
    if home_w is None:
        rest_w = (grid_w or 0.0) + max(0.0, pv_w or 0.0) + (battery_w or 0.0)
        home_w = max(0.0, rest_w - sum(one.charge_w for one in boxes))
    return site(*boxes, grid_import_w=grid_w, pv_w=pv_w, home_w=home_w, battery=battery, **more)


def charging(charge_w: float, kwh: float, name: str = "carport") -> Loadpoint:
    return box("zoe", name=name, charging=True, charge_w=charge_w, session_kwh=kwh)


@dataclass
class Watcher:
    """A watch, fed with a reading every `step_s`."""

    step_s: float = 30.0
    now: datetime = BEGIN
    mind: MeterWatch = field(default_factory=MeterWatch)
    failed: tuple[FailedMeter, ...] = ()

    def see(self, one: Site, after_s: float | None = None, **more: Any) -> list[str]:
        """The names of the failed meters after this reading."""
        self.now += timedelta(seconds=self.step_s if after_s is None else after_s)
        self.mind, self.failed = watched(self.mind, one, self.now, **more)
        return [meter.name for meter in self.failed]

    def live(self, count: int, make: Callable[[int], Site] | None = None) -> list[str]:
        """`count` readings; the names of all that failed meanwhile."""
        found: set[str] = set()
        for k in range(count):
            found |= set(self.see(make(k) if make else lively(k)))
        return sorted(found)


def lively(k: int, **more: Any) -> Site:
    """A reading in which every meter moves."""
    soc_pct = 50.0 + k / 100
    box_ = charging(4000.0 + k % 5, k / 30)
    made = reading(4500.0 + k % 7, 2000.0 - k % 3, -500.0 - k % 4, box_, soc_pct=soc_pct)
    return replace(made, **more)
