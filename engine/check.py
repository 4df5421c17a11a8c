"""`smartload check`: reach every outside system once, and say what was found.

Writes nothing itself; what `--write` finds (`engine/check_write.py`) is put into the same answer.
"""

import msgspec
from msgspec.structs import replace

from engine.check_battery import Outcome
from engine.check_write import Report, Tried
from engine.clock import WallClock
from engine.config import Config
from engine.evcc import EvccReader
from engine.evcc_http import HttpTransport
from engine.messages import CarAnswered, CarPollDue, CarSilent, EvccRead, EvccReadDue, EvccSilent
from engine.values import Site, find


class EvccFound(msgspec.Struct, frozen=True):
    """What evcc is."""

    url: str
    reachable: bool
    version: str | None = None
    reason: str | None = None


class BatteryFound(msgspec.Struct, frozen=True):
    """What the battery is, and what came of its modes; None: whether it charges is unknown."""

    text: str
    hold: Outcome = Outcome.NOT_TRIED
    charge: Outcome = Outcome.NOT_TRIED
    holdcharge: Outcome = Outcome.NOT_TRIED
    hold_charges_from_pv: bool | None = None
    charge_power_kw: float | None = None


class Found(msgspec.Struct, frozen=True):
    """Everything found. `problems` are sentences with what to do."""

    evcc: EvccFound
    loadpoints: tuple[str, ...] = ()
    vehicles: tuple[str, ...] = ()
    battery: BatteryFound | None = None
    tariffs: dict[str, int] = msgspec.field(default_factory=dict)
    cars: dict[str, str] = msgspec.field(default_factory=dict)
    tried: tuple[Tried, ...] = ()
    problems: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The same for people."""
        state = self.evcc.version if self.evcc.reachable else f"not reached: {self.evcc.reason}"
        out = [f"evcc        {self.evcc.url}: {state}"]
        out += [f"loadpoints  {', '.join(self.loadpoints) or 'none'}"]
        out += [f"vehicles    {', '.join(self.vehicles) or 'none'}"]
        out += [f"battery     {self.battery.text if self.battery else 'none'}"]
        out += [f"tariff      {usage}: {count} entries" for usage, count in self.tariffs.items()]
        out += [f"car         {name}: {said}" for name, said in self.cars.items()]
        out += [f"tried       {one.line()}" for one in self.tried]
        out += [f"problem     {text}" for text in self.problems]
        return out if self.problems else [*out, "no problems found"]


def with_report(found: Found, report: Report) -> Found:
    """The same with what was tried. A mode that is not obeyed, or could not be given back, is a
    problem; one that could not be told is not.
    """
    battery = found.battery
    if battery is not None:
        battery = replace(
            battery,
            hold=report.outcome("hold"),
            charge=report.outcome("charge"),
            holdcharge=report.outcome("holdcharge"),
            hold_charges_from_pv=report.hold_charges_from_pv,
            charge_power_kw=report.charge_power_kw,
        )
    bad = [one.line() for one in report.tried if one.outcome is Outcome.NOT_OBEYED]
    problems = (*found.problems, *bad, *report.problems)
    return replace(found, battery=battery, tried=report.tried, problems=problems)


def look(config: Config) -> tuple[Found, Site | None]:
    """What was found, and evcc's reading behind it; None where it was not reached."""
    transport = HttpTransport(
        config.evcc.url, config.evcc.password, config.evcc.timeout_s, config.evcc.headers
    )
    reader = EvccReader(transport, WallClock())
    due = EvccReadDue(at=WallClock().now(), tariffs=("grid", "feedin", "solar"))
    (said,) = tuple(reader.on(due))
    reader.close()
    cars = _cars(config)
    problems = [f"{name}: {text}" for name, text in cars.items() if not text.endswith("%")]
    match said:
        case EvccRead(site=site, tariffs=tariffs):
            counts = {one.usage: len(one.rates or ()) for one in tariffs}
            found = Found(
                evcc=EvccFound(config.evcc.url, True, site.version),
                loadpoints=tuple(_loadpoint(one.name, one.title, one.charger) for one in
                                 site.loadpoints),
                vehicles=tuple(one.name for one in site.vehicles),
                battery=_battery(site),
                tariffs=counts,
                cars=cars,
                problems=(*problems, *_problems(config, site, counts)),
            )  # fmt: skip
            return found, site
        case EvccSilent(reason=reason):
            found = Found(
                evcc=EvccFound(config.evcc.url, False, reason=reason),
                cars=cars,
                problems=(*problems, f"evcc at {config.evcc.url} is not reached ({reason}): start "
                          "it, or correct evcc.url"),
            )  # fmt: skip
            return found, None


def _loadpoint(name: str, title: str, charger: bool) -> str:
    return f"{name} ({title})" if charger else f"{name} ({title}, no charger: left alone)"


def _battery(site: Site) -> BatteryFound | None:
    battery = site.battery
    if battery is None:
        return None
    size = "unknown size" if battery.capacity_kwh is None else f"{battery.capacity_kwh:g} kWh"
    soc = "unknown" if battery.soc_pct is None else f"{battery.soc_pct:.0f} %"
    control = "controllable" if battery.controllable else "not controllable by evcc"
    return BatteryFound(f"{size}, SoC {soc}, {control}")


def _problems(config: Config, site: Site, tariffs: dict[str, int]) -> list[str]:
    problems = []
    if not tariffs.get("grid"):
        problems.append("evcc has no grid tariff now: without prices only departures charge")
    if not tariffs.get("solar"):
        problems.append("evcc has no solar forecast: PV is planned from what was measured before")
    if site.battery is not None and not site.battery.controllable:
        problems.append("evcc cannot control the battery: it is planned as serving the house")
    for car in config.settings.cars:
        if not car.disabled and find(site.vehicles, car.name) is None:
            known = ", ".join(one.name for one in site.vehicles) or "none"
            problems.append(f"car {car.name!r} is not a vehicle of evcc (there are: {known})")
    if site.optimizer_controls:
        problems.append("evcc's own optimizer is in control: SmartLoad will not write beside it")
    return problems


def _cars(config: Config) -> dict[str, str]:
    from engine.cars import HttpCar

    said = {}
    clock = WallClock()
    for name, connection in config.cars_http.items():
        port = HttpCar(
            vehicle=name,
            url=connection.url,
            soc_path=connection.soc_path,
            soc_regex=connection.soc_regex,
            measured_path=connection.measured_path,
            headers=connection.headers,
            timeout_s=connection.timeout_s,
            clock=clock,
        )
        for one in port.on(CarPollDue(at=clock.now(), vehicle=name)):
            match one:
                case CarAnswered(soc_pct=soc_pct):
                    said[name] = f"{soc_pct:g} %"
                case CarSilent(reason=reason):
                    said[name] = f"no answer ({reason})"
        port.close()
    return said
