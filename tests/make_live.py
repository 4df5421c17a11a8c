"""Real processes and threads for tests: a pretend evcc on a port, `smartload` beside it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Never, Self, TypeAlias, TypeVar

import httpx

from actors import cast
from engine.actor import Port
from engine.clock import Clock, WallClock
from engine.config import CarConnection
from engine.evcc_http import HttpTransport
from engine.heirs import Heirs
from engine.home_ports import Reach, ports_of
from engine.journal import Journal, live_header
from engine.live import Live
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    CarAnswered,
    CarSilent,
    EvccLost,
    EvccRead,
    HandsOff,
    Message,
    StateChanged,
    Tick,
)
from engine.settings import CarSettings, Settings, SiteSettings
from engine.system import AnyEndpoint
from engine.values import Control
from sim.evcc import PretendEvcc
from sim.evcc_server import EvccServer
from sim.scenario import Scenario, Sim, SimBattery, SimCar, SimLoadpoint, SimPrices
from sim.world import SeededWorld
from web.app import create_app
from web.feed import Window
from web.server import serve

SMARTLOAD = (sys.executable, "-m", "engine")
PATIENCE_S = 30.0
Found = TypeVar("Found")
Kind = TypeVar("Kind", bound=Message)
Noted: TypeAlias = (
    Tick
    | StateChanged
    | EvccRead
    | EvccLost
    | CarAnswered
    | CarSilent
    | BatteryModeConfirmed
    | BatteryModeFailed
    | ActorFailed
    | HandsOff
)


def until(ask: Callable[[], Found], timeout_s: float = PATIENCE_S) -> Found:
    """The first true answer of `ask`; AssertionError after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {found!r}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- the home -------------------------------------------------------------------------------------


def make_home(start: datetime, cars: tuple[CarSettings, ...] | None = None) -> Scenario:
    """No sun; power is cheap for three hours from `start` on and dear later; an empty car leaves in
    two hours. So there is no doubt what is right now: the car charges (`now`), and so does the
    battery (`charge`).
    """
    leaves = start + timedelta(hours=2)
    settings = Settings(
        site=SiteSettings(zone="UTC", language="en"),
        control=Control.ON,
        tick_s=1.0,
        cars=cars or (CarSettings("compact", departure=f"{leaves:%H:%M}"), CarSettings("family")),
    )
    cheap = {(start + timedelta(hours=k)).hour for k in (0, 1, 2)}
    prices = SimPrices(
        kind="table", hourly_eur_kwh=tuple(0.1 if hour in cheap else 0.9 for hour in range(24))
    )
    sim = Sim(
        start=start,
        days=10.0,
        pv_kwp=0.0,
        battery=SimBattery(capacity_kwh=10.0, soc_pct=40.0),
        loadpoints=(SimLoadpoint("carport", "Carport"), SimLoadpoint("garage", "Garage")),
        cars=(
            SimCar("compact", "Compact", capacity_kwh=52.0, soc_pct=20.0, loadpoint="carport"),
            SimCar("family", "Family car", capacity_kwh=77.0, soc_pct=80.0),
        ),
        prices=prices,
    )
    return Scenario(name="live", title="The test home", settings=settings, sim=sim)


def make_evcc(clock: Clock, scenario: Scenario | None = None) -> PretendEvcc:
    """The evcc of that home, starting now."""
    start = clock.now().replace(microsecond=0)
    scenario = scenario or make_home(start)
    return PretendEvcc(scenario, SeededWorld(scenario, 1, 10.0), clock)


@contextmanager
def serving(pretend: PretendEvcc | None = None, port: int = 0) -> Iterator[EvccServer]:
    """An evcc on a port, in real time unless `pretend` has another clock."""
    server = EvccServer(pretend or make_evcc(WallClock()), port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def writes_of(server: EvccServer) -> list[str]:
    """What was written to it, for instance `POST /api/batterymode/charge`."""
    with server.lock:
        return [f"{one.method} {one.path}" for one in server.pretend.writes]


# --- the process ----------------------------------------------------------------------------------


def config_text(url: str, control: str = "watch", more: str = "") -> str:
    """A `smartload.yaml` for `make_home`, ticking each second."""
    leaves = datetime.now(UTC) + timedelta(hours=2)
    return f"""
control: {control}
tick_s: 1
site: {{zone: UTC, language: en}}
evcc: {{url: "{url}", timeout_s: 5}}
cars:
  - {{name: compact, departure: "{leaves:%H:%M}"}}
{more}
"""


class Program:
    """A running `smartload`, in a process group of its own."""

    def __init__(self, *arguments: str, cwd: Path, temporary: Path | None = None) -> None:
        self.page = f"http://127.0.0.1:{_port_in(arguments)}"
        self.out = cwd / f"{arguments[0]}.{free_port()}.txt"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [*SMARTLOAD, *arguments],
                cwd=cwd,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(cwd) | ({"TMPDIR": str(temporary)} if temporary else {}),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    @property
    def said(self) -> str:
        """Everything on standard output and error so far."""
        return self.out.read_text()

    def get(self, path: str) -> Any:
        """The page's JSON, or None while nobody answers."""
        assert self.process.poll() is None, self.said
        try:
            return httpx.get(f"{self.page}{path}", timeout=5).json()
        except httpx.TransportError:
            return None

    def until(self, good: Callable[[], Any]) -> None:
        """Wait for `good()` while the process lives."""

        def ask() -> Any:
            assert self.process.poll() is None, self.said
            return good()

        try:
            until(ask)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said}") from None

    def status(self, good: Callable[[Any], Any], timeout_s: float = PATIENCE_S) -> Any:
        """The first `/status` that is `good`."""

        def ask() -> Any:
            status = self.get("/status")
            return status if status is not None and good(status) else None

        return until(ask, timeout_s)

    def end(self, number: int = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """Send a signal and wait; the exit code. Nobody of the process's group may be left."""
        self.process.send_signal(number)
        code = self.process.wait(timeout_s)
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return code
        raise AssertionError("somebody of the process group is left")


def environment(home: Path) -> dict[str, str]:
    """A small environment: no configuration but what a test gives."""
    root = Path(__file__).resolve().parent.parent
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "HOME": str(home), "LANG": "C"}


def _port_in(arguments: tuple[str, ...]) -> str:
    return arguments[arguments.index("--port") + 1] if "--port" in arguments else "8099"


# --- in this process ------------------------------------------------------------------------------


class Notes(Port[Noted, Never]):
    """Notes what was said, with the real second of hearing it."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, Message]] = []

    def on(self, message: Noted) -> Iterator[Never]:
        """Note it."""
        self.heard.append((time.monotonic(), message))
        yield from ()

    def of(self, kind: type[Kind]) -> list[tuple[float, Kind]]:
        """The notes of one type."""
        return [(at_s, one) for at_s, one in list(self.heard) if isinstance(one, kind)]


@dataclass
class Ring:
    """The whole ring on threads in this process."""

    controller: Live
    window: Window
    notes: Notes
    page: str
    folder: Path

    def get(self, path: str) -> Any:
        """The page's JSON."""
        return httpx.get(f"{self.page}{path}", timeout=5).json()


@contextmanager
def running(
    server: EvccServer,
    clock: WallClock,
    folder: Path,
    settings: Settings,
    *,
    beside: tuple[AnyEndpoint, ...] = (),
    cars: Mapping[str, CarConnection] | None = None,
    timeout_s: float = 10.0,
) -> Iterator[Ring]:
    """What `smartload run` puts together, with the doubles in `beside` seated as well."""
    reach = Reach(lambda: HttpTransport(server.url, timeout_s=timeout_s), server.url, {},
                  cars or {})  # fmt: skip
    window, notes = Window(clock), Notes()
    journal = Journal(folder / "journal.db", live_header(settings), live=True, hashing=False)
    heirs = Heirs.in_memory(reach.transport, clock)
    ports = ports_of(reach, settings, clock, folder, heirs.ledger)
    minds = [*cast(), *ports, window, notes, *beside]
    controller = Live(settings, minds, clock, journal, heirs)
    for source in reach.sources(controller.system.publish, clock):
        controller.add(source)
    web = serve(create_app(window, clock, controller.health), "127.0.0.1", 0)
    controller.start()
    try:
        yield Ring(controller, window, notes, web.url, folder)
    finally:
        controller.stop()
        web.stop()
