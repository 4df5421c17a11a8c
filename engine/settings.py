"""The settings that the minds hear (`ConfigRead`): typed, bounded, without secrets.

Bounds stand in the annotations and are enforced by `engine/config.py` (INV-147); units end names.
"""

from datetime import timedelta
from typing import Annotated

import msgspec

from engine.home import VOLTAGE_V
from engine.values import Control, Value

Pct = Annotated[float, msgspec.Meta(ge=0, le=100)]
Kwh = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Kw = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
EurKwh = Annotated[float, msgspec.Meta(ge=-5, le=5)]
PositiveEurKwh = Annotated[float, msgspec.Meta(ge=0, le=5)]
CLOCK_TIME = r"^([01]?\d|2[0-3]):[0-5]\d$"
ClockTime = Annotated[str, msgspec.Meta(pattern=CLOCK_TIME)]
"""Local `HH:MM`; the configuration makes `06:30` of `6:30`."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
READING_PER_TICK = 1.5


class SiteSettings(Value, frozen=True):
    """The house: its zone, language and connection limits."""

    zone: Name = "Europe/Berlin"
    """IANA time zone: quiet hours, departures and daily profiles are local to it."""
    language: Annotated[str, msgspec.Meta(pattern="^(de|en)$")] = "de"
    grid_import_limit_kw: Kw | None = None
    grid_import_limit_a: Annotated[float, msgspec.Meta(ge=6, le=200)] | None = None
    """Per phase of a three-phase connection. Both limits may be given, the tighter one counts."""
    grid_export_limit_kw: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    feed_in_eur_kwh: EurKwh = 0.08
    """Used while evcc has no feed-in tariff."""

    @property
    def import_limit_kw(self) -> float | None:
        """The tighter of both limits, for all phases together; None: there is none."""
        known = [] if self.grid_import_limit_kw is None else [self.grid_import_limit_kw]
        if self.grid_import_limit_a is not None:
            known.append(3 * VOLTAGE_V * self.grid_import_limit_a / 1000.0)
        return min(known, default=None)


class BatterySettings(Value, frozen=True):
    """The house battery, where evcc does not tell. Absent in a home without one."""

    capacity_kwh: Kwh | None = None
    """None: what evcc reports."""
    charge_power_kw: Kw = 5.0
    discharge_power_kw: Kw = 5.0
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] | None = None
    """On how many it charges. None: one up to 4.6 kW (more may not be on one phase), else three."""
    charge_efficiency: Share = 0.95
    discharge_efficiency: Share = 0.95
    min_soc_pct: Pct = 10.0
    max_soc_pct: Pct = 100.0
    wear_eur_kwh: PositiveEurKwh = 0.02
    """Cost of one kWh discharged."""
    grid_charging: bool = True
    """Whether `charge` from the grid may be planned."""
    max_price_eur_kwh: EurKwh | None = None
    """Never charged from the grid above this price. None: wherever it pays."""
    reserve_soc_pct: Pct | None = None
    """Kept for an outage: never given away for a price's sake. None: nothing but `min_soc_pct`."""
    reserve: Annotated[str, msgspec.Meta(pattern="^(none|forecast)$")] = "none"
    """`forecast`: also keeps, where that is cheap, what the forecasts may be wrong by."""
    target_soc_pct: Pct | None = None
    """To be reached each day at `target_at`. None: charged as it pays."""
    target_at: ClockTime | None = None
    feeds_cars: Annotated[str, msgspec.Meta(pattern="^(when_it_pays|never)$")] = "when_it_pays"
    """Whether cars may be charged from it."""
    hold_charges_from_pv: bool = True
    """Whether this inverter charges from PV in `hold` (differs: evcc-api.md §4)."""

    @property
    def floor_soc_pct(self) -> float:
        """The one reserve floor of plan, modes and orders (INV-21), within `max_soc_pct`."""
        return min(self.max_soc_pct, max(self.min_soc_pct, self.reserve_soc_pct or 0.0))


class CarSettings(Value, frozen=True):
    """One car. `name` is evcc's vehicle name (upper and lower case are equal)."""

    name: Name
    title: str = ""
    capacity_kwh: Kwh | None = None
    """None: what evcc reports."""
    max_power_kw: Kw = 11.0
    min_current_a: Annotated[float, msgspec.Meta(ge=1, le=32)] = 6.0
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3
    charge_efficiency: Share = 0.9
    target_soc_pct: Pct = 80.0
    departure: ClockTime | None = None
    """Local time of day; None: no deadline."""
    departure_weekdays: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...] = (1, 2, 3, 4, 5, 6, 7)
    """ISO weekdays (1 = Monday) on which `departure` holds."""
    max_price_eur_kwh: EurKwh | None = None
    """Above this price it takes from the grid only what a departure would lack. None: no limit."""
    source: Annotated[str, msgspec.Meta(pattern="^(evcc|http|manual)$")] = "evcc"
    poll_interval_min: Annotated[float, msgspec.Meta(ge=1, le=1440)] = 60.0
    disabled: bool = False


class GuestSettings(Value, frozen=True):
    """Cars that evcc does not know, or whose SoC nobody knows: asked in kWh."""

    energy_kwh: Kwh = 10.0
    departure: ClockTime | None = None
    max_power_kw: Kw = 11.0
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3


class SequencerSettings(Value, frozen=True):
    """Turns at a shared wallbox."""

    enabled: bool = True
    quiet_start: ClockTime = "21:00"
    quiet_end: ClockTime = "06:00"
    """Local quiet hours: nobody is asked to swap cars."""
    swap_cost_eur: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0
    """What a swap has to save: so much the people's trouble counts."""


class PlannerSettings(Value, frozen=True):
    """The planner's horizon and what an unmet wish costs."""

    horizon_h: Annotated[int, msgspec.Meta(ge=6, le=168)] = 48
    unmet_eur_kwh: Annotated[float, msgspec.Meta(ge=0.1, le=100)] = 5.0
    default_load_w: Annotated[float, msgspec.Meta(ge=0, le=50_000)] = 500.0
    """Assumed house load until something was measured."""


class Settings(Value, frozen=True):
    """Everything that the minds may know of the configuration."""

    control: Control = Control.WATCH
    tick_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 10.0
    site: SiteSettings = SiteSettings()
    battery: BatterySettings | None = None
    """None: the defaults where evcc reports a battery."""
    cars: tuple[CarSettings, ...] = ()
    guests: GuestSettings = GuestSettings()
    sequencer: SequencerSettings = SequencerSettings()
    planner: PlannerSettings = PlannerSettings()
    max_age_s: Annotated[float, msgspec.Meta(ge=10, le=7200)] = 120.0
    """A reading older than this is neither planned nor acted on (INV-112)."""

    @property
    def oldest_reading(self) -> timedelta:
        """How old a reading may be: `max_age_s`, but never less than a tick and a half.

        With long ticks (simulation) a reading is one tick old when the next one is heard.
        """
        return timedelta(seconds=max(self.max_age_s, READING_PER_TICK * self.tick_s))
