"""Benchmarks of the lab: measured in one run, told as they come."""

import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Union

import msgspec

from actors import CAST
from engine.actor import Actor, Port
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.journal import Journal, lines_of
from engine.messages import MESSAGES, Message
from engine.steps import StepSystem
from sim.replay import read
from sim.run import header_for, simulate
from sim.scenario_files import load_scenario

SCENARIO = "winter-week"
REPEATS = 5
EVCC_PORTS: tuple[type[Port[Any, Any]], ...] = (EvccReader, EvccWriter, BatteryKeeper)


class _Nothing(msgspec.Struct, frozen=True):
    """The memory of one that only repeats."""


def _echo(mind: type[Actor[Any, Any]], said: deque[tuple[Message, ...]]) -> Actor[Any, Any]:
    """An actor with this one's header and name, saying what was recorded, in order."""

    def on(self: Any, message: Message) -> Iterator[Message]:
        yield from said.popleft() if said else ()

    body = {"on": on, "hears": mind.hears, "says": mind.says, "memory": _Nothing()}
    echo: type[Actor[Any, Any]] = type(mind.__name__, (Actor,), body)
    return echo()


def _deaf(port: type[Port[Any, Any]]) -> Port[Any, Any]:
    """A port that hears what this one hears and answers nothing: its answers come as recorded."""

    def on(self: Any, message: Message) -> Iterator[Message]:
        return iter(())

    deaf: type[Port[Any, Any]] = type(port.__name__, (Port,), {"on": on, "hears": port.hears})
    return deaf()


def bench_messages() -> dict[str, float]:
    """Deliveries per second of the stepped runtime, journal on, in the mix of a simulated day.

    A day of the winter scenario is recorded with every actor. Then the same messages go through
    the runtime and a journal on disk, said by actors that only repeat what was recorded, to the
    same hearers: `deliveries_per_s` (the median of the passes) is the runtime and the journal.
    `with_actors_per_s` is the day itself, planning and pretend home included.
    """
    scenario = load_scenario(SCENARIO)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "day.db"
        began = perf_counter()
        simulate(scenario, days=1, seed=1, journal=file)
        day_s = perf_counter() - began
        lines = [read(file, raw) for raw in list(lines_of(file))[1:]]
        rates = [_rate(scenario, lines, Path(folder) / f"{k}.db") for k in range(REPEATS)]
    return {
        "deliveries_per_s": round(sorted(rates)[REPEATS // 2]),
        "deliveries_per_s_best": round(max(rates)),
        "deliveries_per_day": len(lines),
        "with_actors_per_s": round(len(lines) / day_s),
    }


def _rate(scenario: Any, lines: list[tuple[Any, Message]], file: Path) -> float:
    """Deliveries per second of one pass over the recorded day."""
    said: dict[str, deque[tuple[Message, ...]]] = defaultdict(deque)
    inside: set[bytes] = set()
    decoder = msgspec.json.Decoder(Union[MESSAGES])  # noqa: UP007 - made from a tuple
    spoken: dict[bytes, Message] = {}
    for line, _ in lines:
        messages = tuple(spoken.setdefault(bytes(raw), decoder.decode(raw)) for raw in line.said)
        inside.update(bytes(raw) for raw in line.said)
        said[line.actor].append(messages)
    outside, seen = [], set()
    for line, heard in lines:
        raw = bytes(line.heard)
        if raw not in inside and raw not in seen:
            seen.add(raw)
            outside.append(heard)
    journal = Journal(file, header_for(scenario, 1, 1), hashing=False)
    system = StepSystem(scenario.sim.start, journal)
    system.enter([*(_echo(mind, said[mind.__name__]) for mind in CAST), *map(_deaf, EVCC_PORTS)])
    began = perf_counter()
    for message in outside:
        system.publish(message)
        system.settle()
    journal.close()
    wall_s = perf_counter() - began
    system.stop()
    return system.delivered / wall_s
