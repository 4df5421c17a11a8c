"""The same homes behind a limit per phase: kettle, car and battery may all hang on the first one.

evcc's grid meter then shows the current of each phase (`grid.currents`), which no recording has.
"""

from typing import Any

from msgspec.structs import replace

from actors.fuse import battery_phases
from engine.home import VOLTAGE_V
from engine.settings import Settings
from sim.evcc_home import Home
from sim.fuse_homes import fuse_home
from sim.scenario import Scenario

PHASES = 3
SINGLE_W = 3000.0
"""Of the house's load so much may be uneven: two thirds of it are on the first phase."""


def phased_home(seed: int, amps: float, days: float) -> Scenario:
    """The home of this seed with its limit per phase."""
    scenario = fuse_home(seed, amps, days)
    limits = replace(scenario.settings.site, grid_import_limit_kw=None, grid_import_limit_a=amps)
    return replace(scenario, settings=replace(scenario.settings, site=limits))


def phases_w(home: Home, settings: Settings) -> list[float]:
    """What each phase of the connection imports now; the first one is the most loaded."""
    house = home.house
    even_w = (house.load_w - house.pv_w) / PHASES
    uneven_w = min(house.load_w, SINGLE_W) / PHASES
    drawn_w = [even_w + uneven_w, even_w - uneven_w / 2, even_w - uneven_w / 2]
    # a box that draws has a car
    loads = [(-house.battery_w, battery_phases(settings))]
    loads += [(box.charge_w, min(box.phases, box.car_phases)) for box in home.boxes]
    for watts, count in loads:
        for k in range(count):
            drawn_w[k] += watts / count
    return drawn_w


def with_currents(state: dict[str, Any], drawn_w: list[float]) -> dict[str, Any]:
    """evcc's state as a meter with phases makes it."""
    amps = [round(watts / VOLTAGE_V, 3) for watts in drawn_w]
    return {**state, "grid": {**state["grid"], "currents": amps, "powers": drawn_w}}
