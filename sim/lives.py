"""Controllers that come and go over one pretend evcc, with the ledger and the guard between them.

As live, under virtual time: all actors and ports, the ledger kept by the ports, what the runtime
does at a start, after a silence and at an orderly end (`engine/live.py`, `engine/heirs.py`).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from actors import cast
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.guard import SILENCE_S
from engine.heirs import LAST_WORDS, Heirs
from engine.ledger import Ledger
from engine.live import SILENCE, SILENT_TICKS
from engine.messages import (
    ConfigRead,
    Message,
    OwnershipChanged,
    StateChanged,
    StopAsked,
    Tick,
)
from engine.settings import Settings
from engine.steps import StepSystem
from engine.system import AnyEndpoint
from engine.values import Ownership
from engine.will import PATIENCE, SURE, carry_out
from sim.evcc import Write
from sim.evcc_home import MODE_NAMES
from sim.run import settings_of
from sim.scenario import Scenario
from sim.touches_truth import WatchedEvcc
from sim.world import SeededWorld

ZERO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class Scribe:
    """A recorder that keeps what the actuator of one life said, and who was said to own what."""

    owners: list[tuple[datetime, tuple[Ownership, ...]]] = field(default_factory=list)
    news: list[Message] = field(default_factory=list)

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        """Keep what concerns ownership."""
        if actor != "Actuator":
            return
        if isinstance(heard, StateChanged):
            self.owners.append((heard.at, heard.state.in_control))
        self.owners += [(one.at, one.in_control) for one in said
                        if isinstance(one, OwnershipChanged)]  # fmt: skip
        self.news += said

    def humans(self) -> set[str]:
        """Every setting that was ever taken for a human's."""
        return {one.setting for _, known in self.owners for one in known if one.owner == "human"}

    def said(self, kind: type[Message]) -> list[Message]:
        """What the actuator said of that type."""
        return [one for one in self.news if isinstance(one, kind)]


class Life:
    """One controller, from its start to its end."""

    def __init__(self, lives: "Lives") -> None:
        self.scribe = Scribe()
        self.ticked_at: datetime | None = None
        self._lives = lives
        self._settings: Settings = settings_of(lives.scenario)
        now = lives.clock.now()
        self._system = StepSystem(now, self.scribe)
        self._system.clock = lives.clock
        pretend, ledger, clock = lives.pretend, lives.ledger, lives.clock
        ports: list[AnyEndpoint] = [
            EvccReader(pretend, clock),
            EvccWriter(pretend, clock, ledger),
            BatteryKeeper(pretend, clock, ledger),
        ]
        self._system.enter([*cast(), *ports])
        self._system.publish(ConfigRead(now, self._settings))
        self._read_estate(now)
        self._system.settle()

    def live(self, until: datetime, tick_s: float | None = None) -> None:
        """Tick until then, the first time at once; `tick_s`: from now on so often."""
        if tick_s is not None and tick_s != self._settings.tick_s:
            max_age_s = max(self._settings.max_age_s, 2 * tick_s)
            self._settings = replace(self._settings, tick_s=tick_s, max_age_s=max_age_s)
            self._system.publish(ConfigRead(self._lives.clock.now(), self._settings))
            self._system.settle()
        at = self._lives.clock.now() if self.ticked_at is None else self._next_tick()
        while at < until:
            self._tick(at)
            at = self._next_tick()
        self._system.advance(until)
        self._lives.pretend.advance(until)

    def resume(self) -> None:
        """Go on after a standstill (SIGCONT, a lid that opens): late timers ring, time ticks."""
        now = self._lives.clock.now()
        self._system.advance(now)
        least = SILENT_TICKS * timedelta(seconds=self._settings.tick_s)
        silence = max(min(SILENCE, self._lives.guard_silence * 2 / 3), least)
        if self.ticked_at is not None and now - self.ticked_at > silence:
            self._read_estate(now)
        self._tick(now)

    def die(self) -> None:
        """Gone without a word."""
        self._system.stop()

    def stop(self) -> bool:
        """An orderly end; whether all was given back (else it is the guard's)."""
        lives = self._lives
        self._system.tick(StopAsked(lives.clock.now()))
        self._system.stop()
        kept = lives.ledger.read()
        if not kept.bequests or kept.carried_out_at is not None:
            return True
        return lives.carry_out(patience=LAST_WORDS, sure=timedelta())

    def _tick(self, at: datetime) -> None:
        self._system.tick(Tick(at))
        self.ticked_at = at

    def _next_tick(self) -> datetime:
        """On whole ticks, as the live clock has them."""
        step = timedelta(seconds=self._settings.tick_s)
        return ZERO + ((self._lives.clock.now() - ZERO) // step + 1) * step

    def _read_estate(self, now: datetime) -> None:
        self._system.publish(self._lives.heirs.estate(now))


class Lives:
    """A pretend home in which controllers come and go. Times are hours since the start."""

    def __init__(self, scenario: Scenario, days: float = 1.0) -> None:
        self.scenario = scenario
        self.start = scenario.sim.start
        self.clock = StepSystem(self.start).clock
        self.pretend = WatchedEvcc(scenario, SeededWorld(scenario, 1, days), self.clock)
        self.ledger = Ledger()
        self.heirs = Heirs(self.ledger, lambda: self.pretend, self.clock)

    def at(self, hours: float) -> datetime:
        """So many hours after the start."""
        return self.start + timedelta(seconds=round(3600 * hours))

    def wait(self, until_h: float) -> None:
        """Nobody of ours is alive."""
        self.wait_until(self.at(until_h))

    def wait_until(self, until: datetime) -> None:
        """Nobody of ours is alive."""
        self.clock.move_to(until)
        self.pretend.advance(until)

    def live(self, until_h: float, *, stop: bool = False) -> Scribe:
        """A controller lives until then and is gone without a word, except with `stop`."""
        life = Life(self)
        life.live(self.at(until_h))
        if stop:
            life.stop()
        else:
            life.die()
        return life.scribe

    # --- the guard --------------------------------------------------------------------------------

    @property
    def guard_silence(self) -> timedelta:
        """So long a controller may be silent before its guard acts."""
        return timedelta(seconds=max(SILENCE_S, 3 * settings_of(self.scenario).tick_s))

    def carry_out(
        self,
        until: datetime | None = None,
        *,
        alive_at: datetime | None = None,
        patience: timedelta = PATIENCE,
        sure: timedelta = SURE,
    ) -> bool:
        """The will is carried out, until a controller is back; whether to the end."""

        def wait(seconds: float) -> None:
            then = self.clock.now() + timedelta(seconds=seconds)
            self.clock.move_to(then if until is None else min(then, until))

        kept = self.ledger.read()
        return carry_out(
            kept.bequests,
            self.pretend,
            self.clock,
            self.ledger,
            lambda: until is not None and self.clock.now() >= until,
            patience=patience,
            sure=sure,
            alive_at=alive_at,
            wait=wait,
        )

    def guard(self, until: datetime, alive_at: datetime | None = None) -> None:
        """A guard acts from now on, where there is anything to give back."""
        kept = self.ledger.read()
        if kept.bequests and kept.carried_out_at is None:
            self.carry_out(until, alive_at=alive_at)

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
