"""The pretend house of a recording: its setup as a scenario, its weather and prices as told."""

import math
from datetime import datetime, timedelta

from engine.settings import Settings, SiteSettings
from engine.slots import SLOT
from engine.values import Rate
from sim.scenario import (
    Happening,
    Minute,
    Scenario,
    Sim,
    SimBattery,
    SimCar,
    SimLoadpoint,
    SimPrices,
)
from sim.twin_trace import START_LOAD_W, Setup, Told, Trace, is_known

HOUR = timedelta(hours=1)
GUEST = "guest"
"""The car that evcc of the recordings is not configured with."""
EVCC_MAX_SOC_PCT = 95.0
FIXED_HOURS = 48


class ScriptedWorld:
    """Weather that stays until it is told; hourly prices; satisfies `sim.scenario.World`."""

    weather_step_s = math.inf

    def __init__(self, trace: Trace) -> None:
        setup = trace.setup
        self.pv_w = number(setup.devices.get("pv_w", 0.0))
        self.load_w = number(setup.devices.get("load_w", START_LOAD_W))
        self._began = _hour_of(trace.header.started_at)
        self._hourly = {
            "grid": _hourly(setup.prices),
            "feedin": _hourly(setup.feedin),
            "solar": setup.solar,
        }

    def minute(self, at: datetime) -> Minute:
        """Load and PV as last told."""
        return Minute(self.load_w, self.pv_w)

    def rates(self, usage: str, now: datetime) -> tuple[Rate, ...] | None:
        """Quarter hours from the full hour on; None: the recording has no such tariff."""
        values = self._hourly.get(usage)
        if values is None:
            return None
        since, count = _hour_of(now), HOUR // SLOT
        slots = [
            (self._began + k * HOUR + quarter * SLOT, value)
            for k, value in enumerate(values)
            for quarter in range(count)
        ]
        return tuple(Rate(start, start + SLOT, value) for start, value in slots if start >= since)

    def happenings(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        """Nothing by itself: the lines of the recording say what happens."""
        return ()


def _hourly(told: float | tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Prices by the hour; a fixed one for two days; None: no such tariff."""
    return (told,) * FIXED_HOURS if isinstance(told, float | int) else told or None


def scenario_of(trace: Trace) -> Scenario:
    """The house of a recording as the pretend evcc needs it (the recordings' physics)."""
    setup = trace.setup
    places = {box.car: _name(n) for n, box in enumerate(setup.loadpoints) if box.car is not None}
    sim = Sim(
        start=trace.header.started_at,
        days=max(trace.end_s, 1.0) / 86_400,
        evcc_interval_s=setup.interval_s,
        battery=_battery(setup),
        residual_power_w=setup.evcc.site.residualPower if setup.evcc else 0.0,
        prices=SimPrices(
            kind="table" if isinstance(setup.prices, tuple) else "flat",
            feed_in_static=not isinstance(setup.feedin, tuple),
        ),
        loadpoints=tuple(
            SimLoadpoint(
                name=_name(n),
                mode="none" if box.mode is None else box.mode,
                can_switch_phases=bool(box.switch),
            )
            for n, box in enumerate(setup.loadpoints)
        ),
        cars=tuple(
            SimCar(
                name=name,
                capacity_kwh=car.capacity_kwh,
                soc_pct=car.soc_pct,
                phases=car.phases,
                max_current_a=car.max_a,
                tells_current=False,
                api=not car.offline,
                guest=name == GUEST,
                loadpoint=places.get(name),
                whole_percent=bool(car.int_soc),
                own_limit_pct=car.own_limit_pct,
            )
            for name, car in setup.cars.items()
        ),
    )
    name = trace.header.scenario
    return Scenario(name, name, Settings(site=SiteSettings(zone="UTC")), sim)


def first_values(setup: Setup) -> dict[str, Told]:
    """What is set on the devices before evcc starts, besides weather and load."""
    faults: dict[str, Told] = {}
    for name, car in setup.cars.items():
        if car.refuses:
            faults[f"car.{name}.refuses"] = 1
        if car.cloud_error:
            faults[f"car.{name}.cloud_error"] = 1
    others = {
        key: value
        for key, value in setup.devices.items()
        if key not in ("pv_w", "load_w") and is_known(setup, key)
    }
    return faults | others


def number(value: Told) -> float:
    """A device's value that the reader has found to be a number."""
    assert isinstance(value, int | float)
    return float(value)


def _battery(setup: Setup) -> SimBattery | None:
    """Without losses, 5 kW both ways."""
    if setup.battery is None:
        return None
    return SimBattery(
        capacity_kwh=setup.battery.capacity_kwh,
        soc_pct=setup.battery.soc_pct,
        charge_efficiency=1.0,
        discharge_efficiency=1.0,
        evcc_max_soc_pct=EVCC_MAX_SOC_PCT,
    )


def _name(n: int) -> str:
    return f"lp{n + 1}"


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
