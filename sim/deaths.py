"""The table of deaths: who dies how in which state, and what the home does for the next 12 hours.

`python -m sim.deaths` lives through each under virtual time, prints the table (markdown), and says
which rule does not hold (exit 1).
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

import msgspec
from msgspec.structs import replace

from actors.planner import load_modelling_language
from engine.home import UNKNOWN
from sim.deaths_home import ALIVE, BOX, CAR, DEATHS, HAD, SIX, STATES, TARGET_PCT, Death, State
from sim.deaths_rules import RELEASED, START_S, Cell, Row, Span, broken
from sim.evcc import Write
from sim.evcc_home import BATTERY_MODES
from sim.lives import Life, Lives

AFTER = timedelta(hours=12)
SLOWLY, SLOW_TICK_S = timedelta(minutes=30), 120.0
"""So long after the last event ticks come as fast as they do live, then every two minutes."""
STEP = timedelta(minutes=15)
LANDED = timedelta(minutes=2)
"""So long after an orderly end evcc's cycles have done what they were told."""
FULL_PCT = TARGET_PCT - 0.5
MODE = f"loadpoint:{BOX}:mode"


class NotThereError(AssertionError):
    """The plan did not lead to the state that was to be tested."""


@dataclass
class Story:
    """A home that is lived in until `end`, whoever dies."""

    cell: Cell
    lives: Lives
    life: Life | None = None
    known: list[Life] = field(default_factory=list)
    at_six_pct: float = 0.0
    needs_s: float = 0.0
    stood: str = ""

    @property
    def died_at(self) -> datetime:
        """The second of the death."""
        return self.cell.state.dies_at

    @property
    def end(self) -> datetime:
        """Until then it is looked at."""
        return self.died_at + AFTER

    def play(self) -> None:
        """Everything, up to an orderly end where somebody lives then."""
        death = self.cell.death
        self.lives.wait_until(self.cell.state.starts_at)
        self._begin()
        assert self.life is not None
        self.life.live(self.died_at)
        self.stood = self._stands()
        back_at = self.end if death.back_s is None else self._after(death.back_s)
        if death.ours == "hang":
            self._hang(self.life, back_at)
        elif death.ours:
            self._end(self.life, orderly=death.ours == "term", until=back_at)
            self._wait(back_at)
            if death.back_s is not None:
                self._begin()
        self._wait(self.end)
        if self.life is not None:
            self._end(self.life, orderly=True, until=self.end + LANDED)
            self.lives.wait_until(self.end + LANDED)

    def _after(self, seconds: float) -> datetime:
        return self.died_at + timedelta(seconds=seconds)

    def _begin(self) -> None:
        self.life = Life(self.lives)
        self.known.append(self.life)

    def _stands(self) -> str:
        """What stands at the death, in words. Raises NotThereError."""
        assert self.life is not None
        site, point = self.lives.pretend.home.site, self.lives.pretend.home.loadpoints[0]
        owners = {one.setting: one.owner for one in self.life.scribe.owners[-1][1]}
        battery = "" if site.external == UNKNOWN else BATTERY_MODES[site.external]
        found = (battery, self.lives.mode(), owners.get(MODE, ""))
        if found != self.cell.state.stands:
            raise NotThereError(f"{self.cell.state.name}: {found} stands, not what was wanted")
        limit = f" to {point.limit_soc:g} %" if point.limit_soc else ""
        human = " (human)" if found[2] == "human" else ""
        return f"{f'battery {battery}, ' if battery else ''}car {found[1]}{limit}{human}"

    def _end(self, life: Life, *, orderly: bool, until: datetime) -> None:
        """A controller is gone; its guard, if it survives, does what is left to do."""
        done = False
        if orderly:
            done = life.stop()
        else:
            life.die()
        self.life = None
        if self.cell.death.guard and not done:
            self.lives.guard(until, life.ticked_at)

    def _hang(self, life: Life, back_at: datetime) -> None:
        """Nothing moves in the controller; the guard acts once it has been silent for long."""
        assert life.ticked_at is not None
        acts_at = life.ticked_at + self.lives.guard_silence
        if self.cell.death.guard and acts_at < back_at:
            self.lives.wait_until(acts_at)
            self.lives.guard(back_at, life.ticked_at)
        self.lives.wait_until(back_at)
        life.resume()

    def _wait(self, until: datetime) -> None:
        """Time passes, whoever lives; the car is looked at on the way."""
        lives, death = self.lives, self.cell.death
        quiet_s = max(death.back_s or 0.0, death.evcc_down_s if death.evcc else 0.0)
        slow_at = self._after(quiet_s) + SLOWLY
        while (now := lives.clock.now()) < until:
            then = min(until, now + STEP, *(at for at in (SIX, slow_at) if at > now))
            if self.life is None:
                lives.wait_until(then)
            else:
                self.life.live(then, SLOW_TICK_S if now >= slow_at else None)
            soc_pct = lives.soc_pct(CAR)
            if then <= SIX:
                self.at_six_pct = soc_pct
            if soc_pct < FULL_PCT:
                self.needs_s = (then - self.died_at).total_seconds()

    # --- what became of it ------------------------------------------------------------------------

    def writes(self, since: datetime, until: datetime) -> list[Write]:
        """What ours wrote in [since, until)."""
        return [one for one in self.lives.writes("", since) if one.at < until]

    def spans(self, setting: str) -> tuple[Span, ...]:
        """What stood from the death on: `battery` (told to the inverter), `mode`, `limit_soc`."""
        pretend = self.lives.pretend
        if setting == "battery":
            changes = [
                (one.at, "" if one.value == UNKNOWN else BATTERY_MODES[int(one.value)])
                for one in pretend.orders
                if one.key == "battery_mode" and not one.failed
            ]
            before = ""
        else:
            changes = [
                (one.at, _plain(one.value)) for one in pretend.changes if one.setting == setting
            ]
            before = "0" if setting == "limit_soc" else HAD
        return tuple(_spans(before, changes, self.died_at, AFTER.total_seconds()))

    def taken(self) -> tuple[str, ...]:
        """What was taken for a human's since the death and is not."""
        found = {
            one.setting
            for life in self.known
            for at, known in life.scribe.owners
            for one in known
            if at >= self.died_at and one.owner == "human"
        }
        own = {MODE} if self.cell.state.human else set()
        return tuple(sorted(found - own))

    def left(self) -> tuple[str, ...]:
        """What of ours stands now."""
        home = self.lives.pretend.home
        point, car, site = home.loadpoints[0], home.cars[CAR], home.site
        inverter = "" if home.house.mode == UNKNOWN else BATTERY_MODES[home.house.mode]
        found = {
            f"inverter in {inverter}": inverter not in RELEASED,
            "external battery mode": site.external != UNKNOWN,
            f"mode {self.lives.mode()}": self.lives.mode() not in {HAD, *self.cell.theirs},
            f"limit {point.limit_soc:g} %": point.limit_soc != 0,
            f"limit {point.limit_energy:g} kWh": point.limit_energy != 0,
            "a plan of the car": bool(car.plan_time),
            "a plan of the loadpoint": bool(point.plan_time),
        }
        return tuple(name for name, stands in found.items() if stands)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _spans(
    before: str, changes: Iterable[tuple[datetime, str]], zero: datetime, end_s: float
) -> Iterator[Span]:
    """From the values at their times: what stood how long after `zero`."""
    value, since_s = before, 0.0
    for at, new in changes:
        at_s = (at - zero).total_seconds()
        if at_s > 0.0 and new != value and at_s < end_s:
            if at_s > since_s:
                yield Span(value, since_s, at_s)
            since_s = at_s
        if at_s < end_s:
            value = new
    yield Span(value, since_s, end_s)


# --- a row ----------------------------------------------------------------------------------------


def lived(state: State, death: Death) -> Story:
    """Live through this death in this state."""
    load_modelling_language()
    story = Story(Cell(state, death), Lives(state.scenario(death)))
    story.play()
    return story


@cache
def undisturbed(state: State) -> Story:
    """The same home in which nobody dies."""
    return lived(state, ALIVE)


def row_of(story: Story) -> Row:
    """What became of it, and which rules do not hold."""
    cell, alive = story.cell, undisturbed(story.cell.state)
    back_s = cell.death.back_s or 0.0
    back_at = story.died_at + timedelta(seconds=back_s)
    said_at = story.died_at + timedelta(seconds=min(cell.said_s, AFTER.total_seconds()))
    first = story.writes(back_at, back_at + timedelta(seconds=START_S))
    if not cell.death.ours or cell.death.back_s is None:
        first = []
    battery = [one.path.split("/")[-1] for one in story.writes(back_at, story.end)
               if one.method == "POST" and "batterymode" in one.path]  # fmt: skip
    row = Row(
        state=cell.state.name,
        death=cell.death.name,
        stood=story.stood,
        unattended_s=cell.death.unattended_s,
        battery=story.spans("battery"),
        mode=story.spans("mode"),
        limit_pct=story.spans("limit_soc"),
        soc_pct=round(story.at_six_pct, 2),
        alive_soc_pct=round(alive.at_six_pct, 2),
        first=tuple(map(_said, first)),
        first_battery=battery[0] if battery else "",
        usual=frozenset(_usual(story, alive, back_s)),
        needs_s=story.needs_s,
        ours_on_mode=tuple(
            _said(one)
            for one in story.writes(said_at, story.died_at + timedelta(seconds=story.needs_s))
            if "/mode/" in one.path
        ),
        taken=story.taken(),
        left=story.left(),
        human=cell.state.human[0] if cell.state.human else "",
        charges=story.lives.pretend.home.boxes[0].charge_w > 0,
    )
    return replace(row, broken=broken(row, cell))


def _said(write: Write) -> str:
    short = write.path.removeprefix("/api/").removeprefix("loadpoints/1/")
    return short if write.method == "POST" else f"{write.method} {short}"


def _usual(story: Story, alive: Story, back_s: float) -> Iterator[str]:
    """What may be written about then: giving back, what the home without a death has, and what
    its own first start wrote (a new plan begins without the old one)."""
    yield from ("batterymode/normal", "DELETE batterymode", "limitsoc/0")
    began = story.cell.state.starts_at
    yield from map(_said, alive.writes(began, began + timedelta(seconds=START_S)))
    near_s = STEP.total_seconds()
    for setting, word in (("mode", "mode"), ("limit_soc", "limitsoc"), ("battery", "batterymode")):
        for span in alive.spans(setting):
            if span.since_s <= back_s + near_s and span.until_s >= back_s - near_s:
                yield f"{word}/{span.value}"
    for write in story.writes(story.died_at, story.end):
        if write.method == "POST" and "/plan/" in write.path:  # our will's; it may be withdrawn
            whose, _, plan = write.path.partition("/plan/")
            gone = f"{whose}/plan/{plan.split('/')[0]}"
            yield _said(write._replace(method="DELETE", path=gone))


def rows(states: Sequence[State] = STATES, deaths: Sequence[Death] = DEATHS) -> Iterator[Row]:
    """The table, row by row."""
    for state in states:
        for death in deaths:
            yield row_of(lived(state, death))


# --- the table ------------------------------------------------------------------------------------

HEAD = (
    "state", "death", "stood", "battery serves after", "mode back after", "inverter, 12 h",
    "car's mode, 12 h", "SoC at six (alive)", "first cycle of the next life", "human", "left",
    "rules",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """The row in short words."""
    human = row.human
    return (
        row.state,
        row.death,
        row.stood,
        _back(row.battery, RELEASED, row.unattended_s) if "battery" in row.stood else "–",
        "–" if "now to" not in row.stood else _back(row.mode, (HAD,), row.unattended_s),
        _hours(row.battery),
        _hours(row.mode),
        f"{row.soc_pct:.0f} ({row.alive_soc_pct:.0f})",
        ", ".join(row.first) or "–",
        f"{human} overruled" if row.ours_on_mode else f"{human} stands" if human else "–",
        ", ".join(row.left) or "–",
        ", ".join(row.broken) or "hold",
    )


def _back(spans: Sequence[Span], wanted: Sequence[str], unattended_s: float | None) -> str:
    """When it was given back; what goes on under the next life was never without somebody."""
    if unattended_s == 0:
        return "goes on"
    first = next((span.since_s for span in spans if span.value in wanted), None)
    if unattended_s is not None and (first is None or first > unattended_s + START_S):
        return f"goes on at {unattended_s:g} s"
    return "never" if first is None else f"{first:.0f} s"


def _hours(spans: Iterable[Span]) -> str:
    """Hours by value, in the order in which they first stood."""
    total: dict[str, float] = {}
    for span in spans:
        name = span.value or "normal"
        total[name] = total.get(name, 0.0) + span.hours
    return ", ".join(f"{name} {hours:.2f}" for name, hours in total.items() if hours >= 0.005)


def table(found: Iterable[Row]) -> Iterator[str]:
    """Markdown, line by line."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{' --- |' * len(HEAD)}"
    for row in found:
        yield f"| {' | '.join(cells(row))} |"


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where a rule does not hold."""
    parser = argparse.ArgumentParser(prog="python -m sim.deaths", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--state", choices=[one.name for one in STATES], help="this state only")
    parser.add_argument("--death", choices=[one.name for one in DEATHS], help="this death only")
    asked = parser.parse_args(arguments)
    found: list[Row] = []

    def noted() -> Iterator[Row]:
        for row in rows(
            [one for one in STATES if asked.state in (None, one.name)],
            [one for one in DEATHS if asked.death in (None, one.name)],
        ):
            found.append(row)
            yield row

    if asked.json:
        text = msgspec.json.encode({"rows": tuple(noted())}).decode()
        sys.stdout.write(f"{text}\n")
    else:
        for line in table(noted()):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 1 if any(row.broken for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
