"""Benchmarks of the lab: measured in one run, told as they come."""

import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, Union

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
PASSES = 15
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


class _Mix(NamedTuple):
    """A recorded day: what came from outside, in order, and what each actor said, in turn."""

    outside: list[Message]
    said: dict[str, list[tuple[Message, ...]]]
    handled: int


def bench_messages() -> dict[str, float]:
    """Deliveries per second of the stepped runtime, journal on, in the mix of a simulated day.

    A day of the winter scenario is recorded with every actor. Then the same messages go through
    the runtime and a journal on disk, said by actors that only repeat what was recorded, to the
    same hearers: `deliveries_per_s` is the median of the passes. `without_journal_per_s` is the
    same without a journal, pass by pass in turn. `with_actors_per_s` is the day itself, planning
    and pretend home included.
    """
    scenario = load_scenario(SCENARIO)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "day.db"
        began = perf_counter()
        simulate(scenario, days=1, seed=1, journal=file)
        day_s = perf_counter() - began
        mix = _mix(file)
        kept, bare = [], []
        for k in range(PASSES):
            journal = Journal(Path(folder) / f"{k}.db", header_for(scenario, 1, 1), hashing=False)
            kept.append(_rate(scenario, mix, journal))
            bare.append(_rate(scenario, mix, None))
    return {
        "deliveries_per_s": round(median(kept)),
        "deliveries_per_s_best": round(max(kept)),
        "without_journal_per_s": round(median(bare)),
        "handled_per_day": mix.handled,
        "with_actors_per_s": round(mix.handled / day_s),
    }


def _mix(file: Path) -> _Mix:
    """The messages of a journal, each one object however often it was heard."""
    decoder = msgspec.json.Decoder(Union[MESSAGES])  # noqa: UP007 - made from a tuple
    known: dict[bytes, Message] = {}
    said: dict[str, list[tuple[Message, ...]]] = defaultdict(list)
    lines = [read(file, raw)[0] for raw in list(lines_of(file))[1:]]
    for line in lines:
        for raw in map(bytes, (line.heard, *line.said)):
            if raw not in known:
                known[raw] = decoder.decode(raw)
        said[line.actor].append(tuple(known[bytes(raw)] for raw in line.said))
    inside = {bytes(raw) for line in lines for raw in line.said}
    outside = dict.fromkeys(bytes(line.heard) for line in lines)
    return _Mix([known[raw] for raw in outside if raw not in inside], said, len(lines))


def _rate(scenario: Any, mix: _Mix, journal: Journal | None) -> float:
    """Deliveries per second of one pass over the recorded day."""
    system = StepSystem(scenario.sim.start, journal)
    echoes = [_echo(mind, deque(mix.said[mind.__name__])) for mind in CAST]
    system.enter([*echoes, *map(_deaf, EVCC_PORTS)])
    began = perf_counter()
    for message in mix.outside:
        system.publish(message)
        system.settle()
    if journal is not None:
        journal.close()
    wall_s = perf_counter() - began
    system.stop()
    return system.delivered / wall_s
