"""Scenarios in YAML: a `smartload.yaml` with a title and a `sim:` section.

Named ones are in `sim/scenarios/`. Errors read like those of the configuration.
"""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from msgspec.structs import replace

from engine.config import ConfigError, ConfigFile, Finding, parse_as, read_text, settings_of
from engine.config_checks import READINGS_PER_AGE, unique
from engine.config_walk import did_you_mean
from engine.settings import Name
from sim.scenario import Scenario, Sim, SimEvent

_NEEDS = {
    "arrive": ("car", "loadpoint"),
    "leave": ("car",),
    "human": ("path",),
    "cloud_outage": ("car", "hours"),
    "evcc_outage": ("hours",),
    "tariff_outage": ("hours",),
    "tariff_hole": ("hours",),
    "evcc_kill": ("hours",),
    "evcc_stop": ("hours",),
    "fault": ("fault", "hours"),
}


class ScenarioFile(ConfigFile, frozen=True, kw_only=True):
    """A scenario as it stands in its file."""

    title: Name
    sim: Sim


def scenario_names() -> tuple[str, ...]:
    """The named scenarios."""
    return tuple(
        sorted(
            Path(entry.name).stem
            for entry in (files("sim") / "scenarios").iterdir()
            if entry.name.endswith(".yaml")
        )
    )


def load_scenario(name_or_path: str | Path) -> Scenario:
    """The named scenario, or the one in this file. Raises ConfigError with all that is wrong."""
    name = f"{name_or_path}"
    if name in scenario_names():
        text = (files("sim") / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
        return parse_scenario(text, name)
    if not name.endswith((".yaml", ".yml")) and not Path(name).is_file():
        raise ConfigError([_no_such(name)], name)
    path = Path(name)
    return parse_scenario(read_text(path), path.stem, f"{path}")


def parse_scenario(text: str, name: str, source: str = "") -> Scenario:
    """The scenario in this text. Raises ConfigError.

    The controller ticks as `sim.tick_s` says, and readings stay valid for as long as that needs.
    """
    file, _ = parse_as(ScenarioFile, text, source or f"{name}.yaml", more=lambda f: _checked(f.sim))
    settings = settings_of(file)
    tick_s = file.sim.tick_s
    settings = replace(
        settings, tick_s=tick_s, max_age_s=max(settings.max_age_s, READINGS_PER_AGE * tick_s)
    )
    return Scenario(name=name, title=file.title, settings=settings, sim=file.sim)


def _no_such(name: str) -> Finding:
    names = scenario_names()
    likely = did_you_mean(name, names)
    return Finding(
        field="scenario",
        value=name[:100],
        allowed="one of " + ", ".join(names) + ", or the path of a YAML file",
        problem="there is no such scenario",
        suggestion=f"did you mean {likely}?" if likely else "write one of these names",
    )


def _checked(sim: Sim) -> Iterator[Finding]:
    cars = [car.name for car in sim.cars]
    boxes = [box.name for box in sim.loadpoints]
    yield from unique("sim.cars", cars)
    yield from unique("sim.loadpoints", boxes)
    taken: set[str] = set()
    for k, car in enumerate(sim.cars):
        yield from _known(f"sim.cars[{k}].loadpoint", car.loadpoint, boxes)
        if car.loadpoint in taken:
            yield _finding(
                f"sim.cars[{k}].loadpoint", car.loadpoint, "a free one", "another car stands there"
            )
        taken |= {car.loadpoint} if car.loadpoint else set()
    for k, trip in enumerate(sim.trips):
        yield from _known(f"sim.trips[{k}].car", trip.car, cars)
        yield from _known(f"sim.trips[{k}].loadpoint", trip.loadpoint, boxes)
    for k, event in enumerate(sim.events):
        yield from _event(f"sim.events[{k}]", event, cars, boxes)
    prices = sim.prices
    if 60 % prices.slot_min:
        yield _finding("sim.prices.slot_min", prices.slot_min, "15, 20, 30 or 60", "hours break")
    if prices.kind == "table" and len(prices.hourly_eur_kwh) != 24:
        found = len(prices.hourly_eur_kwh)
        yield _finding("sim.prices.hourly_eur_kwh", f"{found} prices", "24 prices", "a day has 24")


def _event(field: str, event: SimEvent, cars: list[str], boxes: list[str]) -> Iterator[Finding]:
    for name in _NEEDS[event.kind]:
        if not getattr(event, name):
            problem = f"an event of kind {event.kind} needs it"
            yield _finding(f"{field}.{name}", None, f"a value for {name}", problem)
    yield from _known(f"{field}.car", event.car, cars)
    yield from _known(f"{field}.loadpoint", event.loadpoint, boxes)
    verb, _, path = (event.path or "GET /").partition(" ")
    if verb not in {"GET", "POST", "PUT", "DELETE", "PATCH"} or not path.startswith("/"):
        allowed = "a verb and a path, such as POST /api/loadpoints/1/mode/off"
        yield _finding(f"{field}.path", event.path, allowed, "this is no request")


def _known(field: str, name: str | None, names: Iterable[str]) -> Iterator[Finding]:
    """A reference to something that has to exist (spelt alike, as evcc's own names are)."""
    known = list(names)
    if name is not None and name not in known:
        allowed = "one of " + ", ".join(known) if known else "nothing: there are none"
        yield _finding(field, name, allowed, "there is none of that name")


def _finding(field: str, value: object, allowed: str, problem: str) -> Finding:
    shown = "nothing" if value is None else f"{value}"
    return Finding(field, shown, allowed, problem, f"write {allowed}")
