"""Seeded days with people who touch evcc at any second, and a judge: `python -m sim.touches`.

Every actor is at home, under virtual time; half of the homes hear evcc's push (`EvccNudged`).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from random import Random
from time import perf_counter
from typing import Any

import msgspec

from actors import cast
from actors.planner import load_modelling_language
from engine.actor import Actor
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.messages import ConfigRead, EvccNudged, Message, OwnershipChanged, StopAsked, Tick
from engine.messages import TurnsGiven as Turns
from engine.steps import StepSystem
from engine.system import AnyEndpoint
from sim.run import settings_of, ticks_of
from sim.scenario import Scenario, end_of
from sim.touches_day import Day, Told
from sim.touches_home import touched_home
from sim.touches_judge import FALSE, Case, Judge
from sim.touches_truth import WatchedEvcc
from sim.world import SeededWorld

CASES_EACH = 3
"""So many cases of each cause are kept."""
PUSHED = timedelta(milliseconds=200)
"""So long after a touch evcc's push is heard."""
Minds = Callable[[], Iterable[Actor[Any, Any]]]


class TouchResult(msgspec.Struct, frozen=True):
    """What many days came to. `not_counted`: without effect, without a car, undone or overtaken."""

    days: float
    touches: int
    not_counted: int
    false_overrides: int
    missed: int
    causes: dict[str, int]
    cases: tuple[Case, ...]
    wall_s: float


class _Ears:
    """A recorder that keeps who owns what, and what cars need."""

    def __init__(self) -> None:
        self.told = Told()

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        """Keep what the judge asks for; names of loadpoints as evcc has them."""
        for one in said:
            if isinstance(one, OwnershipChanged):
                owners = {owned.setting: owned.owner for owned in one.in_control}
                self.told.owners.append((one.at, owners))
            elif isinstance(one, Turns):
                needs = {turn.loadpoint: turn.need_kwh for turn in one.turns}
                self.told.needs.append((one.at, needs))


def judged(seed: int, days: float = 1.0, minds: Minds = cast) -> Judge:
    """Live through the days of this seed; the judge has heard everything."""
    scenario = touched_home(seed, days)
    rng, ears = Random(f"touches-system-{seed}"), _Ears()
    start, end = scenario.sim.start, end_of(scenario.sim, days)
    latency_s = {"EvccReader": rng.choice((0.0, 0.1, 1.0)), "EvccWriter": rng.choice((0.0, 0.5))}
    system = StepSystem(start, ears, latency_s=latency_s)
    evcc = WatchedEvcc(scenario, SeededWorld(scenario, seed, days), system.clock)
    ports: list[AnyEndpoint] = [
        EvccReader(evcc, system.clock),
        EvccWriter(evcc, system.clock),
        BatteryKeeper(evcc, system.clock),
    ]
    system.enter([*minds(), *ports])
    system.publish(ConfigRead(at=start, settings=settings_of(scenario)))
    system.settle()
    _live(system, scenario, days, pushed=rng.random() < 0.5)
    system.tick(StopAsked(at=end))
    system.advance(end + timedelta(seconds=5))
    evcc.advance(end + timedelta(seconds=5))
    system.stop()
    day = Day(evcc.changes, evcc.reads, evcc.starts, ears.told, end, evcc.connected())
    return Judge(seed, day, command=f"python -m sim.touches --seed {seed} --days {days:g}")


def _live(system: StepSystem, scenario: Scenario, days: float, *, pushed: bool) -> None:
    """All ticks, and where evcc's push is heard a nudge after each touch."""
    nudges = [
        scenario.sim.start + timedelta(seconds=round(event.at_h * 3600)) + PUSHED
        for event in scenario.sim.events
        if pushed and event.kind == "human"
    ]
    said: list[Message] = [Tick(at) for at in ticks_of(scenario, days)]
    said += [EvccNudged(at, "mode") for at in nudges]
    for message in sorted(said, key=lambda one: one.at):
        system.tick(message)


def touch(seeds: Iterable[int], days: float = 1.0, minds: Minds = cast) -> TouchResult:
    """The days of all seeds. Each is a home of its own."""
    load_modelling_language()
    began = perf_counter()
    cases: list[Case] = []
    touches = not_counted = count = 0
    for seed in seeds:
        judge = judged(seed, days, minds)
        cases += judge.cases()
        touches += judge.touches
        not_counted += judge.not_counted
        count += 1
    false = sum(case.kind == FALSE for case in cases)
    causes = Counter(map(_named, cases))
    return TouchResult(
        days=count * days,
        touches=touches,
        not_counted=not_counted,
        false_overrides=false,
        missed=len(cases) - false,
        causes=dict(causes.most_common()),
        cases=tuple(_first(cases)),
        wall_s=round(perf_counter() - began, 1),
    )


def _named(case: Case) -> str:
    return f"{case.kind} of {case.setting}, {case.cause}"


def _first(cases: Iterable[Case]) -> Iterator[Case]:
    """The first ones of each cause."""
    kept: Counter[str] = Counter()
    for case in cases:
        kept[_named(case)] += 1
        if kept[_named(case)] <= CASES_EACH:
            yield case


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where anything was missed or taken for a human's."""
    parser = argparse.ArgumentParser(prog="python -m sim.touches", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first home")
    parser.add_argument("--homes", type=int, default=1, help="how many homes, one seed each")
    parser.add_argument("--days", type=float, default=1.0, help="how long each is lived in")
    asked = parser.parse_args(arguments)
    result = touch(range(asked.seed, asked.seed + asked.homes), asked.days)
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    sys.stdout.write(text.decode() + "\n")
    return 1 if result.cases else 0


if __name__ == "__main__":
    sys.exit(main())
