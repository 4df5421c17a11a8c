"""What a pretend home consists of: a `smartload.yaml` plus a `sim:` section, as typed structs."""

from datetime import datetime, timedelta
from typing import Annotated, Protocol

import msgspec

from engine.settings import ClockTime, EurKwh, Kw, Kwh, Name, Pct, Settings, Share
from engine.values import Rate, Utc, Value

Current = Annotated[float, msgspec.Meta(ge=1, le=63)]
Phases = Annotated[int, msgspec.Meta(ge=1, le=3)]


FAULTS = (
    "grid_error", "pv_error", "soc_error", "battery_error", "charger_error", "tariff_error", "nan",
    "battery_write_error",
)  # fmt: skip
"""What can fail at a device, as evcc meets it; `nan`: grid currents that are not a number."""
FaultName = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(FAULTS)})$")]


class SimBattery(Value, frozen=True):
    """The pretend house battery (what the inverter really does)."""

    capacity_kwh: Kwh
    soc_pct: Pct = 50.0
    charge_power_kw: Kw = 5.0
    discharge_power_kw: Kw = 5.0
    charge_efficiency: Share = 0.95
    discharge_efficiency: Share = 0.95
    floor_soc_pct: Pct = 5.0
    max_soc_pct: Pct = 100.0
    hold_charges_from_pv: bool = True
    evcc_max_soc_pct: Pct | None = None
    """The device's maximum SoC as evcc is told; None: `max_soc_pct`."""


class SimCar(Value, frozen=True):
    """A pretend car. `api` False: evcc never learns its SoC. `guest`: evcc does not know it."""

    name: Name
    title: str = ""
    capacity_kwh: Kwh = 50.0
    soc_pct: Pct = 50.0
    phases: Phases = 3
    max_current_a: Current = 16.0
    charge_efficiency: Share = 0.9
    api: bool = True
    guest: bool = False
    loadpoint: Name | None = None
    """Where it is plugged in at the start; None: away (or at home, unplugged)."""
    limit_soc_pct: Pct = 0.0
    """evcc's vehicle limit; 0: none."""
    min_soc_pct: Pct = 0.0
    mode: str | None = None
    """evcc's vehicle mode, applied when the car is assigned."""
    whole_percent: bool = False
    """The car's cloud tells whole percent only."""
    own_limit_pct: Pct = 100.0
    """The car stops by itself at this SoC."""
    tells_current: bool = True
    """evcc is configured with the car's maximum current where it is below 16 A."""
    tells_limit: bool = True
    """The car's cloud tells that limit, too (`vehicleLimitSoc`)."""


class SimLoadpoint(Value, frozen=True):
    """A pretend wallbox as evcc is configured for it."""

    name: Name
    title: str = ""
    mode: str = "pv"
    """evcc's default mode, set again at unplugging; `none`: the mode stays."""
    min_current_a: Current = 6.0
    max_current_a: Current = 16.0
    phases: Phases = 3
    can_switch_phases: bool = False


class SimTrip(Value, frozen=True):
    """A habit: the car leaves and returns at local times, on ISO weekdays, and uses energy."""

    car: Name
    leaves: ClockTime
    returns: ClockTime
    weekdays: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...] = (1, 2, 3, 4, 5)
    used_kwh: Annotated[float, msgspec.Meta(ge=0, le=200)] = 8.0
    loadpoint: Name | None = None
    """Where it is plugged in on return; None: it is parked without being plugged in."""
    jitter_min: Annotated[float, msgspec.Meta(ge=0, le=180)] = 20.0


class SimPrices(Value, frozen=True):
    """The tariff: `dynamic` is made from the seed, `table` repeats `hourly_eur_kwh`.

    Published like day-ahead markets: the next local day at `published`. `flat` has one price.
    """

    kind: Annotated[str, msgspec.Meta(pattern="^(dynamic|flat|table)$")] = "dynamic"
    mean_eur_kwh: EurKwh = 0.30
    spread_eur_kwh: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.12
    """Between the cheapest and the dearest hour of an ordinary day."""
    negative_days: bool = False
    hourly_eur_kwh: tuple[EurKwh, ...] = ()
    """24 prices of the local day for `table`."""
    feed_in_eur_kwh: EurKwh = 0.08
    feed_in_static: bool = True
    """A fixed feed-in price: evcc's feed-in priority never acts on it."""
    published: ClockTime = "13:00"
    slot_min: Annotated[int, msgspec.Meta(ge=15, le=60)] = 15


class SimEvent(Value, frozen=True):
    """Something scripted, `at` hours after the start.

    `kind`: `arrive` (car at loadpoint), `leave` (car), `human` (a request to evcc as a human's UI
    would send it, `path` with the verb: `POST /api/loadpoints/1/mode/off`), `evcc_outage`,
    `tariff_outage`, `tariff_hole` (entries missing) or `cloud_outage` (of `car`), for `hours`.
    `evcc_kill` (as by kill -9) and `evcc_stop` (graceful): evcc is down for `hours`, then starts.
    `fault`: the device named by `fault` fails for `hours`.
    """

    at_h: Annotated[float, msgspec.Meta(ge=0, le=10_000)]
    kind: Annotated[
        str,
        msgspec.Meta(
            pattern="^(arrive|leave|human|evcc_outage|tariff_outage|tariff_hole|cloud_outage"
            "|evcc_kill|evcc_stop|fault)$"
        ),
    ]
    fault: FaultName | None = None
    car: Name | None = None
    loadpoint: Name | None = None
    path: str | None = None
    hours: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    used_kwh: Annotated[float, msgspec.Meta(ge=0, le=200)] = 0.0


class Sim(Value, frozen=True):
    """The `sim:` section."""

    start: Utc
    days: Annotated[float, msgspec.Meta(gt=0, le=4000)] = 1.0
    tick_s: Annotated[float, msgspec.Meta(ge=1, le=900)] = 300.0
    pv_kwp: Annotated[float, msgspec.Meta(ge=0, le=100)] = 8.0
    sunny: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """Share of clear sky in the mean."""
    latitude_deg: Annotated[float, msgspec.Meta(ge=-66, le=66)] = 50.0
    longitude_deg: Annotated[float, msgspec.Meta(ge=-180, le=180)] = 10.0
    load_kwh_day: Annotated[float, msgspec.Meta(ge=0, le=500)] = 10.0
    evcc_interval_s: Annotated[float, msgspec.Meta(ge=5, le=60)] = 30.0
    residual_power_w: float = 0.0
    priority_soc_pct: Pct = 0.0
    buffer_soc_pct: Pct = 0.0
    buffer_start_soc_pct: Pct = 0.0
    battery: SimBattery | None = None
    loadpoints: tuple[SimLoadpoint, ...] = ()
    cars: tuple[SimCar, ...] = ()
    trips: tuple[SimTrip, ...] = ()
    prices: SimPrices = SimPrices()
    events: tuple[SimEvent, ...] = ()


class Scenario(Value, frozen=True):
    """A story: the controller's settings and the pretend home. `name` is the file's."""

    name: str
    title: str
    settings: Settings
    sim: Sim


class Minute(Value, frozen=True):
    """Weather and load, constant within one minute of UTC."""

    load_w: float
    pv_w: float


class Happening(Value, frozen=True):
    """A `SimEvent` or a trip at its real time."""

    at: Utc
    kind: str
    car: str | None = None
    loadpoint: str | None = None
    path: str | None = None
    fault: FaultName | None = None
    until: Utc | None = None
    used_kwh: float = 0.0


class World(Protocol):
    """What happens to the home whatever it does: weather, load, prices, people (all seeded)."""

    weather_step_s: float
    """Seconds for which weather is constant; inf: until told."""

    def minute(self, at: datetime) -> Minute:
        """Load and PV of the minute that contains `at`."""

    def rates(self, usage: str, now: datetime) -> tuple[Rate, ...] | None:
        """The tariff `grid`, `feedin` or `solar` as published at `now`; None: it fails (404).

        `solar` in W: a forecast with errors, not the truth.
        """

    def happenings(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        """What happens in (since, until], in order of time."""


def end_of(sim: Sim, days: float | None = None) -> datetime:
    """The end of the run."""
    return sim.start + timedelta(days=days if days is not None else sim.days)
