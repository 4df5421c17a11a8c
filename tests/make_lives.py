"""Two lives of the controller over one pretend evcc, with the ledger that is between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from actors import cast
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.ledger import Ledger
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeStands,
    ConfigRead,
    EstateRead,
    Message,
    Order,
    OrderConfirmed,
    OwnershipChanged,
    StateChanged,
    StopAsked,
    Tick,
    WillMade,
)
from engine.steps import StepSystem
from engine.values import Ownership
from engine.will import carry_out
from sim.evcc import PretendEvcc, Write
from sim.evcc_home import MODE_NAMES
from sim.run import pretend_home, settings_of
from sim.scenario import Scenario


@dataclass
class Scribe:
    """A recorder that keeps the ledger as the ports do, and what one life said."""

    ledger: Ledger
    owners: list[tuple[datetime, tuple[Ownership, ...]]] = field(default_factory=list)
    news: list[Message] = field(default_factory=list)

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        if actor != "Actuator":
            return
        match heard:
            case OrderConfirmed(order=order):
                self.ledger.confirm(order.setting, order.loadpoint, order.value, heard.at)
            case BatteryModeConfirmed():
                self.ledger.confirm("battery_mode", "", heard.mode or "", heard.at)
            case StateChanged(state=state):
                self.owners.append((heard.at, state.in_control))
            case _:
                pass
        for one in said:
            self._keep(one)

    def _keep(self, said: Message) -> None:
        match said:
            case Order():
                self.ledger.intend(said.setting, said.loadpoint, said.value, said.at)
            case BatteryModeStands(mode=mode) if mode is not None:
                self.ledger.intend("battery_mode", "", mode.value, said.at)
            case WillMade():
                self.ledger.will(said.bequests, said.at)
            case OwnershipChanged():
                self.owners.append((said.at, said.in_control))
            case _:
                pass
        self.news.append(said)

    def humans(self) -> set[str]:
        """Every setting that was ever taken for a human's."""
        return {one.setting for _, known in self.owners for one in known if one.owner == "human"}

    def said(self, kind: type[Message]) -> list[Message]:
        """What the actuator said of that type."""
        return [one for one in self.news if isinstance(one, kind)]


class Lives:
    """A pretend home in which controllers come and go. Times are hours since the start."""

    def __init__(self, scenario: Scenario, days: float = 1.0) -> None:
        self.scenario = scenario
        self.start = scenario.sim.start
        self._system = StepSystem(self.start)
        self.clock = self._system.clock
        self.pretend: PretendEvcc = pretend_home(scenario, 1, days, self.clock).pretend
        self.ledger = Ledger()

    def at(self, hours: float) -> datetime:
        """So many hours after the start."""
        return self.start + timedelta(hours=hours)

    def wait(self, until_h: float) -> None:
        """Nobody of ours is alive."""
        self.clock.move_to(self.at(until_h))
        self.pretend.advance(self.at(until_h))

    def live(
        self, until_h: float, *, stop: bool = False, then: Callable[[], object] | None = None
    ) -> Scribe:
        """A controller lives until then and is gone without a word, except with `stop`."""
        scribe, now = Scribe(self.ledger), self.clock.now()
        system = StepSystem(now, scribe)
        system.clock = self.clock
        ports = (EvccReader, EvccWriter, BatteryKeeper)
        system.enter([*cast(), *(port(self.pretend, self.clock) for port in ports)])
        settings = settings_of(self.scenario)
        system.publish(ConfigRead(now, settings))
        written, bequests, carried_out_at = self.ledger.read()
        system.publish(EstateRead(now, written, bequests, carried_out_at))
        system.settle()
        at, end = now, self.at(until_h)
        while at < end:
            system.tick(Tick(at))
            at += timedelta(seconds=settings.tick_s)
        if stop:
            system.tick(StopAsked(end))
        system.advance(end)
        system.stop()
        return scribe

    def carry_out(self) -> bool:
        """A guard carries out the will, in virtual time."""

        def wait(seconds: float) -> None:
            self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))

        _, bequests, _ = self.ledger.read()
        return carry_out(bequests, self.pretend, self.clock, self.ledger, bool, wait=wait)

    # --- the truth --------------------------------------------------------------------------------

    def mode(self) -> str:
        """evcc's mode at the first loadpoint."""
        return MODE_NAMES[self.pretend.home.loadpoints[0].mode]

    def soc_pct(self, name: str) -> float:
        """What the car holds."""
        return self.pretend.home.cars[name].soc_pct

    def writes(self, part: str, since: datetime) -> list[Write]:
        """What ours wrote from then on, where the path contains `part`."""
        return [
            one
            for one in self.pretend.writes
            if part in one.path and not one.human and one.at >= since
        ]
