"""Stories of the whole ring: every actor, the ports, the pretend evcc and the window."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from actors import cast
from engine.clock import VirtualClock
from engine.messages import Message, PlanMade
from engine.settings import BatterySettings, CarSettings, SequencerSettings, Settings, SiteSettings
from engine.slots import slot_of
from engine.steps import StepSystem
from engine.threads import ThreadSystem
from engine.values import Control, Plan
from sim.evcc import PretendEvcc, Write
from sim.evcc_home import MODE_NAMES
from sim.run import PretendHome, play, pretend_home
from sim.scenario import Scenario, Sim, SimBattery, SimCar, SimEvent, SimLoadpoint, SimPrices
from web.feed import Window
from web.snapshot import Snapshot

Said = TypeVar("Said", bound=Message)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT_AND_EVENING = (*[0.08] * 6, *[0.30] * 11, *[0.45] * 5, *[0.30] * 2)
"""8 ct in the night, 45 ct in the evening."""


def local(day: str, clock: str) -> datetime:
    """UTC of a local time of day."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=BERLIN).astimezone(UTC)


def home(
    start: datetime,
    *,
    hourly: tuple[float, ...] = NIGHT_AND_EVENING,
    battery: SimBattery | None = None,
    battery_settings: BatterySettings | None = None,
    wishes: tuple[CarSettings, ...] = (),
    cars: tuple[SimCar, ...] = (),
    boxes: tuple[SimLoadpoint, ...] = (SimLoadpoint(name="carport"),),
    events: tuple[SimEvent, ...] = (),
    pv_kwp: float = 0.0,
    sunny: float = 0.5,
    tick_s: float = 300.0,
) -> Scenario:
    """A home of its own for each story."""
    settings = Settings(
        control=Control.ON,
        tick_s=tick_s,
        site=SiteSettings(zone=BERLIN.key),
        battery=battery_settings or BatterySettings(),
        cars=wishes,
        sequencer=SequencerSettings(quiet_start="21:00", quiet_end="06:00"),
        max_age_s=max(120.0, 2 * tick_s),
    )
    sim = Sim(
        start=start,
        tick_s=tick_s,
        pv_kwp=pv_kwp,
        sunny=sunny,
        battery=battery,
        loadpoints=boxes,
        cars=cars,
        events=events,
        prices=SimPrices(kind="table", hourly_eur_kwh=hourly),
    )
    return Scenario(name="acceptance", title="Acceptance", settings=settings, sim=sim)


@dataclass
class Told:
    """A recorder that keeps everything: who heard what and said what, in order."""

    lines: list[tuple[str, Message, tuple[Message, ...]]] = field(default_factory=list)

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        self.lines.append((actor, heard, said))

    def said(self, kind: type[Said]) -> list[Said]:
        """All messages of that type that actors said."""
        return [one for _, _, said in self.lines for one in said if isinstance(one, kind)]

    def heard(self, kind: type[Said], actor: str) -> list[Said]:
        """All messages of that type that this actor heard."""
        return [one for name, one, _ in self.lines if name == actor and isinstance(one, kind)]


@dataclass(frozen=True)
class Frame:
    """The home after one tick: what the page knows, and the truth."""

    at: datetime
    page: Snapshot
    battery_kwh: float
    cars_pct: dict[str, float]
    modes: dict[str, str]
    """evcc's mode by loadpoint."""


@dataclass
class Story:
    """A story that was played to its end."""

    pretend: PretendEvcc
    window: Window
    told: Told
    frames: list[Frame]

    def plans(self) -> list[Plan]:
        """All plans, in order."""
        return [made.plan for made in self.told.said(PlanMade)]

    def writes(self, part: str = "") -> list[Write]:
        """What we wrote, in order, where the path contains `part`."""
        return [one for one in self.pretend.writes if part in one.path and not one.human]

    def frame(self, at: datetime) -> Frame:
        """The newest frame of `at` or before."""
        return [one for one in self.frames if one.at <= at][-1]

    def between(self, since: datetime, until: datetime) -> Iterator[Frame]:
        """The frames in [since, until)."""
        return (one for one in self.frames if since <= one.at < until)


def one_at_a_time(pretend: PretendEvcc) -> None:
    """The pretend evcc is not thread-safe: from now on its callers wait for each other."""
    lock = threading.RLock()

    def locked(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def wait(*args: Any) -> Any:
            with lock:
                return call(*args)

        return wait

    for name in ("request", "cloud_soc_pct"):
        setattr(pretend, name, locked(getattr(pretend, name)))


def told(
    scenario: Scenario,
    runtime: str,
    days: float,
    *,
    seed: int = 1,
    shuffle: bool = False,
    order_seed: int = 0,
) -> Story:
    """Play `scenario` with everybody on one runtime: `steps` or `threads`."""
    start = scenario.sim.start
    recorder = Told()
    system: Any
    if runtime == "steps":
        system = StepSystem(start, recorder, shuffle=shuffle, seed=order_seed)
    else:
        system = ThreadSystem(VirtualClock(start), recorder)
    home: PretendHome = pretend_home(scenario, seed, days, system.clock)
    one_at_a_time(home.pretend)
    window = Window(system.clock)
    home.ports.append(window)
    story = Story(home.pretend, window, recorder, [])

    def keep(at: datetime) -> None:
        house = home.pretend.home
        cars = {name: car.soc_pct for name, car in house.cars.items()}
        modes = {point.spec.name: MODE_NAMES[point.mode] for point in house.loadpoints}
        story.frames.append(Frame(at, window.snapshot, home.pretend.battery_kwh, cars, modes))

    play(system, scenario, days, home, cast(), progress=keep)
    system.stop()
    return story


def confirmed_writes(pretend: PretendEvcc) -> Counter[tuple[datetime, str, str]]:
    """How often each write was confirmed in each slot."""
    return Counter(
        (slot_of(write.at), write.method, write.path)
        for write in pretend.writes
        if write.status == 200 and not write.human
    )


def hours(number: float) -> timedelta:
    """So many hours, to the second."""
    return timedelta(seconds=round(3600 * number))
