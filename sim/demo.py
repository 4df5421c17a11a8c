"""The pretend home of `smartload demo`: a scenario moved to now, behind a real HTTP server."""

from datetime import timedelta

from msgspec.structs import replace

from engine.clock import WallClock
from engine.settings import Settings
from engine.slots import slot_of
from engine.values import Control
from sim.evcc import PretendEvcc
from sim.evcc_server import EvccServer
from sim.scenario_files import load_scenario
from sim.world import SeededWorld

DEMO_DAYS = 60.0


def pretend_now(
    clock: WallClock, speed: float, seed: int, port: int
) -> tuple[Settings, EvccServer]:
    """The settings for the controller, and the server (not yet started) of its pretend evcc.

    Time goes `speed` times as fast there: ticks come every 10 s of its time, but at most about
    twice per real second, and readings may be as old as six ticks.
    """
    scenario = load_scenario("demo")
    start = slot_of(clock.now()) - timedelta(hours=2)
    scenario = replace(scenario, sim=replace(scenario.sim, start=start, days=DEMO_DAYS))
    pretend = PretendEvcc(scenario, SeededWorld(scenario, seed, DEMO_DAYS), clock)
    tick_s = max(10.0, speed / 2)
    settings = replace(
        scenario.settings,
        control=Control.ON,
        tick_s=tick_s,
        max_age_s=max(scenario.settings.max_age_s, 6 * tick_s),
    )
    return settings, EvccServer(pretend, port)
