"""A pretend evcc in virtual time, things of ours in it, and the executor of the will."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.clock import VirtualClock
from engine.estate import Bequest
from engine.evcc_json import site_from
from engine.ledger import Ledger
from engine.values import Loadpoint, Site, Why, find
from engine.will import carry_out
from sim.evcc import PretendEvcc
from tests.make_live import make_evcc

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHY = Why("restore_user")
RELEASE = Bequest("battery_mode", WHY)


def bequest(setting: str, value: str | float, **more: Any) -> Bequest:
    """One line for the carport."""
    return Bequest(setting, WHY, **({"loadpoint": "CARPORT"} | more), value=value)


@dataclass
class Deathbed:
    """What a dead controller has left. `events`: what happens meanwhile, by second after T0."""

    events: list[tuple[float, Callable[[PretendEvcc], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = VirtualClock(T0)
        self.evcc = make_evcc(self.clock)
        self.ledger = Ledger()
        self.back_at: datetime | None = None

    def wrote(self, setting: str, value: str | float, path: str) -> None:
        """The controller wrote this, and noted it."""
        loadpoint = "" if setting == "battery_mode" else "carport"
        self.ledger.intend(setting, loadpoint, value, self.clock.now())
        assert self.evcc.request("POST", path).status == 200
        self.ledger.confirm(setting, loadpoint, value, self.clock.now())

    def wait(self, seconds: float) -> None:
        """Time passes, and what has to happen happens."""
        until = self.clock.now() + timedelta(seconds=seconds)
        while self.events and self.events[0][0] <= (until - T0).total_seconds():
            at_s, happen = self.events.pop(0)
            self.clock.move_to(T0 + timedelta(seconds=at_s))
            self.evcc.advance(self.clock.now())
            happen(self.evcc)
        self.clock.move_to(until)
        self.evcc.advance(until)

    def carry_out(self, *will: Bequest, **more: Any) -> bool:
        """Carry it out; `back_at` is when the controller is back."""
        return carry_out(
            will,
            self.evcc,
            self.clock,
            self.ledger,
            lambda: self.back_at is not None and self.clock.now() >= self.back_at,
            wait=self.wait,
            **more,
        )

    def seconds(self) -> float:
        """Since T0."""
        return (self.clock.now() - T0).total_seconds()

    def site(self) -> Site:
        """What evcc shows now."""
        return site_from(self.evcc.request("GET", "/api/state").body)

    def carport(self) -> Loadpoint:
        """The loadpoint with the car."""
        loadpoint = find(self.site().loadpoints, "carport")
        assert loadpoint is not None
        return loadpoint

    def writes(self) -> list[str]:
        """What was written, in order."""
        return [f"{one.method} {one.path.removeprefix('/api/')}" for one in self.evcc.writes]
