"""A whole home under virtual time: every actor on its chair, pretend doors, ticks from a loop."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from actors import cast
from actors.optimizer import Optimizer
from actors.planner import load_modelling_language
from engine.actor import Actor
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.journal import SCHEMA, Header, Journal, encode
from engine.messages import ConfigRead, StopAsked, Tick
from engine.steps import StepSystem
from engine.system import AnyEndpoint, Runtime
from engine.values import Control
from sim.clouds import PretendCloud
from sim.evcc import PretendEvcc
from sim.scenario import Scenario, end_of
from sim.world import SeededWorld


class Result(msgspec.Struct, frozen=True):
    """What `smartload simulate --json` prints. Money in the tariff's currency, energy in kWh.

    `wall_s` is from the world's making to the last word, without the imports of the start.
    """

    scenario: str
    days: float
    seed: int
    cost_eur: float
    wear_eur: float
    import_kwh: float
    export_kwh: float
    shortfall_kwh: float
    plans: int
    ticks: int
    mode_changes: int
    solver_s: float
    wall_s: float
    journal_sha256: str


def header_for(scenario: Scenario, seed: int, days: float) -> Header:
    """The journal header of a simulated run."""
    return Header(
        schema=SCHEMA,
        version=version("smartload"),
        kind="simulation",
        configuration=msgspec.Raw(encode({"scenario": scenario, "days": days})),
        seed=seed,
    )


@dataclass
class PretendHome:
    """The pretend evcc with its world, and the ports to it."""

    pretend: PretendEvcc
    ports: list[AnyEndpoint]


def pretend_home(scenario: Scenario, seed: int, days: float, clock: Any) -> PretendHome:
    """Build the world, its evcc, and our ports over its in-process transport."""
    world = SeededWorld(scenario, seed, days)
    pretend = PretendEvcc(scenario, world, clock)
    ports: list[AnyEndpoint] = [
        EvccReader(pretend, clock),
        EvccWriter(pretend, clock),
        BatteryKeeper(pretend, clock),
        *(
            PretendCloud(car.name, pretend, clock)
            for car in scenario.settings.cars
            if car.source != "evcc"
        ),
    ]
    return PretendHome(pretend, ports)


def settings_of(scenario: Scenario) -> Any:
    """The scenario's settings with its tick, and in control: a simulation acts."""
    return msgspec.structs.replace(
        scenario.settings,
        tick_s=scenario.sim.tick_s,
        control=Control.ON,
        max_age_s=max(scenario.settings.max_age_s, 2 * scenario.sim.tick_s),
    )


def ticks_of(scenario: Scenario, days: float) -> Iterator[datetime]:
    """The times of the ticks, from the start to the end."""
    at, end = scenario.sim.start, end_of(scenario.sim, days)
    step = timedelta(seconds=scenario.sim.tick_s)
    while at < end:
        yield at
        at += step


def play(
    system: Runtime,
    scenario: Scenario,
    days: float,
    home: PretendHome,
    minds: Iterable[Actor[Any, Any]],
    *,
    progress: Callable[[datetime], None] | None = None,
    stop: Callable[[], bool] = bool,
) -> int:
    """Run the story on `system` (either runtime, under a virtual clock); returns the ticks.

    Once `stop()` is true the story ends there, in order.
    """
    system.enter([*minds, *home.ports])
    start = scenario.sim.start
    system.publish(ConfigRead(at=start, settings=settings_of(scenario)))
    system.settle()
    count, end = 0, end_of(scenario.sim, days)
    for at in ticks_of(scenario, days):
        if stop():
            end = at
            break
        system.tick(Tick(at=at))
        count += 1
        if progress is not None:
            progress(at)
    system.tick(StopAsked(at=end))
    home.pretend.advance(end)
    return count


def simulate(
    scenario: Scenario,
    *,
    days: float | None = None,
    seed: int = 1,
    journal: Path | None = None,
    progress: Callable[[datetime], None] | None = None,
    stop: Callable[[], bool] = bool,
) -> Result:
    """Run `scenario` for `days` with every actor at home, under virtual time.

    The same seed gives the same journal, byte for byte; `journal` keeps it (SQLite). Once `stop()`
    is true the run ends there, in order; `days` of the result is what was run.
    """
    days = scenario.sim.days if days is None else days
    load_modelling_language()
    began = perf_counter()
    kept = Journal(journal, header_for(scenario, seed, days))
    system = StepSystem(scenario.sim.start, kept)
    home = pretend_home(scenario, seed, days, system.clock)
    minds = cast()
    ticks = play(system, scenario, days, home, minds, progress=progress, stop=stop)
    system.stop()
    sha = kept.sha256()
    kept.close()
    bill = home.pretend.bill()
    (optimizer,) = (mind for mind in minds if isinstance(mind, Optimizer))
    return Result(
        scenario=scenario.name,
        days=min(days, round(ticks * scenario.sim.tick_s / 86_400, 6)),
        seed=seed,
        cost_eur=round(bill.cost_eur, 6),
        wear_eur=round(bill.wear_eur, 6),
        import_kwh=round(bill.import_kwh, 6),
        export_kwh=round(bill.export_kwh, 6),
        shortfall_kwh=round(bill.shortfall_kwh, 6),
        plans=optimizer.memory.revision,
        ticks=ticks,
        mode_changes=bill.mode_changes,
        solver_s=round(optimizer.planner.solver_s, 3),
        wall_s=round(perf_counter() - began, 3),
        journal_sha256=sha,
    )
