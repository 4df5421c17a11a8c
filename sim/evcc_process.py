"""evcc as a process: what it keeps, how it starts, what a kill loses (evcc-regulator.md §14).

Settings are written every 60 s from the start and at a graceful stop. Everything else is new after
a start: battery mode unknown, no session, no vehicle; the devices keep what they were told.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from engine.home import NORMAL, UNKNOWN
from engine.loadpoint import KEEP, min_current
from sim.evcc_home import Home, new_site

SAVE_S = 60.0
PORT_OPENS_S, API_OPENS_S, ADOPTS_S = 0.15, 0.07, 0.08
"""So long before its first cycle evcc accepts connections (404), answers, and takes over boxes."""

LOADPOINT_KEYS = (
    "mode", "min_a", "max_a", "limit_soc", "limit_energy", "min_soc", "priority", "boost_limit",
    "phases_configured", "smart_cost_limit", "feed_in_limit", "enable_threshold",
    "disable_threshold", "kept_enable_delay_s", "kept_disable_delay_s", "plan_energy", "plan_time",
    "strategy",
)  # fmt: skip
SITE_KEYS = (
    "priority_soc", "buffer_soc", "buffer_start_soc", "residual_w", "discharge_control",
    "grid_charge_limit", "grid_charge_limit_set", "grid_discharge", "export_limit_w",
    "solar_adjusted", "strategy",
)  # fmt: skip
CAR_KEYS = ("limit_soc", "min_soc", "mode", "plan_soc", "plan_time", "repeating", "strategy")


@dataclass(slots=True)
class Saved:
    """evcc's settings as they stand in its database."""

    site: dict[str, Any] = field(default_factory=dict)
    loadpoints: list[dict[str, Any]] = field(default_factory=list)
    cars: dict[str, dict[str, Any]] = field(default_factory=dict)


def _of(thing: object, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: getattr(thing, key) for key in keys}


def save(home: Home) -> Saved:
    """What is written to the database now."""
    for point in home.loadpoints:
        point.changed = False
    return Saved(
        _of(home.site, SITE_KEYS),
        [_of(point, LOADPOINT_KEYS) for point in home.loadpoints],
        {name: _of(car, CAR_KEYS) for name, car in home.cars.items()},
    )


def start(home: Home, saved: Saved) -> None:
    """A new evcc: configured, then the saved settings. A mode in the configuration wins."""
    home.site = new_site(home.scenario, home.boxes)
    for key, value in saved.site.items():
        setattr(home.site, key, value)
    for point, kept in zip(home.loadpoints, saved.loadpoints, strict=False):
        for key, value in kept.items():
            if key != "mode" or point.default_mode == KEEP:
                setattr(point, key, value)
        point.enable_delay_s = point.kept_enable_delay_s
        point.disable_delay_s = point.kept_disable_delay_s
        if not point.can_switch:
            point.phases = point.phases_configured
    for name, kept in saved.cars.items():
        for key, value in kept.items():
            setattr(home.cars[name], key, value)


def adopt(home: Home) -> list[int]:
    """A box that is found released gets the minimum current; their indices."""
    found = []
    for point in home.loadpoints:
        if point.box.enabled and not home.faults.charger:
            point.enabled = True
            point.offered_a = point.box.current_a = float(int(min_current(point)))
            found.append(point.index)
    return found


def stop_gracefully(home: Home) -> int:
    """The mode that a graceful stop writes to the battery; UNKNOWN: nothing. Boxes stay."""
    site = home.site
    if not site.has_battery or site.battery_mode in (UNKNOWN, NORMAL):
        return UNKNOWN
    home.house.mode = NORMAL
    return NORMAL


@dataclass(slots=True)
class Process:
    """Where evcc's process stands; times in seconds since the start of the world."""

    running: bool = True
    began_s: float = 0.0
    first_cycle_s: float = 0.0
    """When its first cycle is due."""
    adopts_s: float = inf
    saves_s: float = SAVE_S
    saved: Saved = field(default_factory=Saved)

    def begin(self, at_s: float, first_cycle_s: float) -> None:
        """A process starts now; its first cycle comes `first_cycle_s` later."""
        self.running = True
        self.began_s, self.first_cycle_s = at_s, at_s + first_cycle_s
        self.adopts_s = max(at_s, self.first_cycle_s - ADOPTS_S)
        self.saves_s = at_s + SAVE_S

    def end(self) -> None:
        """It is gone."""
        self.running = False
        self.adopts_s = self.saves_s = inf

    def reachable(self, at_s: float) -> bool:
        """Whether its port is open."""
        return self.running and at_s >= self.first_cycle_s - PORT_OPENS_S

    def answers(self, at_s: float) -> bool:
        """Whether the API's routes are there; 404 before."""
        return self.running and at_s >= self.first_cycle_s - API_OPENS_S
