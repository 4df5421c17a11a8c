"""Seeded days behind a small connection, and a judge: `python -m sim.fuse_days`.

Every actor is at home, under virtual time, at a tick of 10 s; those that could show nothing new
are left out. What the house really draws is judged, not what evcc shows: two cycles after the limit
was exceeded nothing of ours may draw.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from actors import cast
from actors.planner import load_modelling_language
from engine import home as physics
from engine.actor import Actor
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.loadpoint import MINPV, NOW
from engine.messages import ConfigRead, Message, PlanMade, StopAsked, Tick
from engine.steps import StepSystem
from engine.system import AnyEndpoint
from engine.transport import Answer
from engine.values import PlanSlot
from sim.evcc import PretendEvcc
from sim.fuse_homes import STEP_S, VOLTS, PeakyWorld, fuse_home
from sim.fuse_phases import phased_home, phases_w, with_currents
from sim.run import settings_of, ticks_of
from sim.scenario import Scenario, end_of

CYCLES = 2
NOISE_W = 1.0
FLOOR_KWH = 0.01
HOLDS = (physics.HOLD, physics.HOLDCHARGE)
PLAN_NOISE_KW = 1e-3
RARELY = 6
"""One tick of so many suffices while nothing of ours stands."""
CYCLE_S, FIRST_CYCLE_S = 30.0, 10.0
"""evcc's cycles, from the start."""
Minds = Callable[[], Iterable[Actor[Any, Any]]]


class Flow(NamedTuple):
    """What flows from `at_s` on (W): into the house, and of it what we asked for.

    With a limit per phase `grid_w` is three times the most loaded one. `tail_w`: cars in `pv`,
    which evcc lets run on for a while after we took `now` away. `held`: the battery could serve,
    and does not because of us.
    """

    at_s: float
    grid_w: float
    battery_w: float
    cars_w: float
    tail_w: float
    held: bool


class Breach(msgspec.Struct, frozen=True):
    """The limit was exceeded for longer than two cycles, and something of ours took part.

    Nothing drew: we held the battery back.
    """

    seed: int
    at: datetime
    seconds: float
    import_kw: float
    battery_kw: float
    cars_kw: float
    command: str


class DayResult(msgspec.Struct, frozen=True):
    """What many days came to.

    `over`: how often the limit was exceeded while something of ours drew or held the battery back,
    `over_worst_s`: the longest that ours took part in it. `tails`: how often the least current at
    which evcc lets a car run on was too much for longer than two cycles. `planned_over`: planned
    slots above the limit that the house alone does not exceed.
    """

    amps: float
    days: float
    over: int
    over_worst_s: float
    tails: int
    tail_worst_s: float
    slots: int
    planned_over: int
    battery_kwh: float
    cars_kwh: float
    shortfall_kwh: float
    breaches: tuple[Breach, ...]
    wall_s: float


class FlowingEvcc(PretendEvcc):
    """The pretend evcc; keeps what really flowed, each time that it changed."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.flows: list[Flow] = []
        super().__init__(*args, **more)

    def _happen(self) -> None:
        super()._happen()
        self._look()

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        answer = super().request(method, path, body)
        if method != "GET":
            self._look()
        return answer

    def due(self, tick: int, phase_s: float) -> bool:
        """Whether this tick is lived through: not while it can neither show nor prevent anything.

        evcc shows something new after its cycles only; where nothing of ours stands that may wait.
        """
        site = self.home.site
        since = int((tick * STEP_S + phase_s - FIRST_CYCLE_S) % CYCLE_S) // STEP_S
        fast = any(point.mode in (NOW, MINPV) for point in site.loadpoints)
        if site.external == physics.UNKNOWN and self.home.house.mode != physics.CHARGE and not fast:
            return tick % RARELY == 0
        return since == 0

    def _imported_w(self) -> float:
        return self.home.house.grid_w

    def _look(self) -> None:
        house, cars_w, tail_w = self.home.house, 0.0, 0.0
        for point in self.home.loadpoints:
            if point.mode in (NOW, MINPV):
                cars_w += point.box.charge_w
            else:
                tail_w += point.box.charge_w
        battery_w = max(0.0, -house.battery_w) if house.mode == physics.CHARGE else 0.0
        holds = house.mode in HOLDS and self.home.site.external == house.mode
        held = holds and house.battery_kwh > house.floor_kwh + FLOOR_KWH
        flow = Flow(self._now_s, self._imported_w(), battery_w, cars_w, tail_w, held)
        if not self.flows or self.flows[-1][1:] != flow[1:]:
            self.flows.append(flow)


class PhasedEvcc(FlowingEvcc):
    """The same with a meter of three phases, and of them the most loaded one as what flows."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._measured_w = [0.0] * 3
        super().__init__(*args, **more)

    def state(self) -> dict[str, object]:
        return with_currents(super().state(), self._measured_w)

    def _run(self, k: int) -> None:
        self._measured_w = phases_w(self.home, self.home.scenario.settings)
        super()._run(k)

    def _imported_w(self) -> float:
        return 3 * max(phases_w(self.home, self.home.scenario.settings))


class _Plans:
    """A recorder that counts planned slots above the limit."""

    def __init__(self, limit_kw: float) -> None:
        self._limit_kw = limit_kw + PLAN_NOISE_KW
        self.slots = self.over = 0

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        """Count those that the forecast of the house alone does not exceed."""
        for one in said:
            if isinstance(one, PlanMade):
                self.slots += len(one.plan.slots)
                self.over += sum(map(self._exceeds, one.plan.slots))

    def _exceeds(self, slot: PlanSlot) -> bool:
        house_kw = slot.load_kw - slot.pv_kw
        return slot.grid_import_kw > max(self._limit_kw, house_kw + PLAN_NOISE_KW)


class Lived(NamedTuple):
    """One home's days, as they really were."""

    seed: int
    days: float
    amps: float
    evcc: FlowingEvcc
    slots: int
    planned_over: int


def lived(
    seed: int, amps: float, days: float = 1.0, *, phases: bool = False, minds: Minds = cast
) -> Lived:
    """Live through the days of this seed; `phases`: its limit and its meter are of each phase."""
    scenario = (phased_home if phases else fuse_home)(seed, amps, days)
    rng, start = Random(f"fuse-system-{seed}"), scenario.sim.start
    plans = _Plans(VOLTS * amps / 1000)
    latency_s = {"EvccReader": rng.choice((0.0, 0.1, 1.0)), "EvccWriter": rng.choice((0.0, 0.5))}
    system = StepSystem(start, plans, latency_s=latency_s)
    kind = PhasedEvcc if phases else FlowingEvcc
    evcc = kind(scenario, PeakyWorld(scenario, seed, days), system.clock)
    ports: list[AnyEndpoint] = [
        EvccReader(evcc, system.clock),
        EvccWriter(evcc, system.clock),
        BatteryKeeper(evcc, system.clock),
    ]
    system.enter([*minds(), *ports])
    # so that the battery is not let go for a tick that is left out
    settings = msgspec.structs.replace(settings_of(scenario), tick_s=2.0 * STEP_S)
    system.publish(ConfigRead(at=start, settings=settings))
    system.settle()
    _tick(system, scenario, days, timedelta(seconds=rng.randrange(100) / 10), evcc)
    end = end_of(scenario.sim, days)
    evcc.advance(end)
    system.stop()
    return Lived(seed, days, amps, evcc, plans.slots, plans.over)


def _tick(
    system: StepSystem, scenario: Scenario, days: float, phase: timedelta, evcc: FlowingEvcc
) -> None:
    """Each tick that is due; `phase`: evcc's cycles do not wait for ours."""
    at = scenario.sim.start
    for k, at in enumerate(ticks_of(scenario, days)):
        system.advance(at + phase)
        if evcc.due(k, phase.total_seconds()):
            system.tick(Tick(at=at + phase))
    system.tick(StopAsked(at=at + phase + timedelta(seconds=1)))


class Stretch(NamedTuple):
    """The limit was exceeded from `at_s` on, by what, for how long (None: it took no part)."""

    at_s: float
    ours_s: float
    tail_s: float
    last: Flow


def stretches(flows: list[Flow], limit_w: float, end_s: float) -> list[Stretch]:
    """All stretches above the limit. `..._s`: until when, since its beginning, each took part.

    A tail takes part only where the limit would be kept without it.
    """
    found: list[Stretch] = []
    flows = [*flows, Flow(end_s, 0.0, 0.0, 0.0, 0.0, False)]
    open_: Stretch | None = None
    for flow, after in pairwise(flows):
        if flow.grid_w <= limit_w + NOISE_W:
            if open_ is not None:
                found.append(open_)
            open_ = None
            continue
        if open_ is None:
            open_ = Stretch(flow.at_s, 0.0, 0.0, flow)
        open_ = _grown(open_, flow, after.at_s - open_.at_s, limit_w)
    return found if open_ is None else [*found, open_]


def _grown(stretch: Stretch, flow: Flow, long_s: float, limit_w: float) -> Stretch:
    if flow.battery_w + flow.cars_w > 0 or flow.held:
        return stretch._replace(ours_s=long_s, last=flow)
    if flow.tail_w > 0 and flow.grid_w - flow.tail_w <= limit_w:
        return stretch._replace(tail_s=long_s)
    return stretch


def breaches_of(one: Lived) -> list[Breach]:
    """Each stretch in which something of ours drew for longer than two cycles."""
    most_s = CYCLES * CYCLE_S
    command = f"python -m sim.fuse_days --amps {one.amps:g} --seed {one.seed} --days {one.days:g}"
    command += " --phases" * isinstance(one.evcc, PhasedEvcc)
    return [
        Breach(
            seed=one.seed,
            at=one.evcc.home.moment(stretch.at_s),
            seconds=round(stretch.ours_s, 1),
            import_kw=round(stretch.last.grid_w / 1000, 2),
            battery_kw=round(stretch.last.battery_w / 1000, 2),
            cars_kw=round(stretch.last.cars_w / 1000, 2),
            command=command,
        )
        for stretch in _stretches(one)
        if stretch.ours_s > most_s + 1e-6
    ]


def _stretches(one: Lived) -> list[Stretch]:
    return stretches(one.evcc.flows, VOLTS * one.amps, one.days * 86_400)


def fuse_days(
    seeds: Iterable[int], amps: float, days: float = 1.0, *, phases: bool = False
) -> DayResult:
    """The days of all seeds. Each is a home of its own."""
    load_modelling_language()
    began, count = perf_counter(), 0
    breaches: list[Breach] = []
    all_: list[Stretch] = []
    slots = planned_over = 0
    battery_kwh = cars_kwh = shortfall_kwh = 0.0
    for seed in seeds:
        one = lived(seed, amps, days, phases=phases)
        count += 1
        breaches += breaches_of(one)
        all_ += _stretches(one)
        slots, planned_over = slots + one.slots, planned_over + one.planned_over
        battery_kwh += one.evcc.home.house.charged_kwh
        cars_kwh += sum(box.charged_kwh for box in one.evcc.home.boxes)
        shortfall_kwh += one.evcc.bill().shortfall_kwh
    most_s = CYCLES * CYCLE_S
    return DayResult(
        amps=amps,
        days=count * days,
        over=sum(one.ours_s > 0 for one in all_),
        over_worst_s=round(max((one.ours_s for one in all_), default=0.0), 1),
        tails=sum(one.tail_s > most_s for one in all_),
        tail_worst_s=round(max((one.tail_s for one in all_), default=0.0), 1),
        slots=slots,
        planned_over=planned_over,
        battery_kwh=round(battery_kwh, 1),
        cars_kwh=round(cars_kwh, 1),
        shortfall_kwh=round(shortfall_kwh, 1),
        breaches=tuple(breaches),
        wall_s=round(perf_counter() - began, 1),
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where the limit was exceeded by our doing, or planned to be."""
    parser = argparse.ArgumentParser(prog="python -m sim.fuse_days", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first home")
    parser.add_argument("--homes", type=int, default=1, help="how many homes, one seed each")
    parser.add_argument("--amps", type=float, default=25.0, help="the connection, A per phase")
    parser.add_argument("--days", type=float, default=1.0, help="how long each is lived in")
    parser.add_argument("--phases", action="store_true", help="limit and meter of each phase")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    asked = parser.parse_args(arguments)
    seeds = range(asked.seed, asked.seed + asked.homes)
    result = fuse_days(seeds, asked.amps, asked.days, phases=asked.phases)
    text = msgspec.json.encode(result)
    if not asked.json:
        text = msgspec.json.format(text, indent=2)
    sys.stdout.write(text.decode() + "\n")
    return 1 if result.breaches or result.planned_over else 0


if __name__ == "__main__":
    sys.exit(main())
