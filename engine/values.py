"""The values that messages carry: immutable to the bottom, units at the end of every name.

Signs are in the names: `grid_import_w` is positive when importing, `battery.charge_w` is positive
when charging (the adapters convert evcc's signs, INV-53). Unknown is `None`, never 0 (INV-80).
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec

from engine.circuits import Circuit
from engine.slots import SLOT, slots_between

Utc = Annotated[datetime, msgspec.Meta(tz=True)]


class Value(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Base of all values: frozen; equality and JSON by fields, those at their default left out.

    Values that come by the hundred in one message are JSON arrays (`array_like`). What is frozen to
    the bottom holds no cycles: the garbage collector need not look (`gc=False`).
    """


class Why(Value, frozen=True, array_like=True):
    """A structured reason: a code of `engine/words.py` and the numbers its sentence needs.

    Number names end in their unit; names ending in `_at` hold ISO times in UTC.
    """

    code: str
    numbers: tuple[tuple[str, float | str], ...] = ()


class ChargeMode(StrEnum):
    """evcc's charge modes, in the older vocabulary (later ones are mapped by the port)."""

    OFF = "off"
    PV = "pv"
    MINPV = "minpv"
    NOW = "now"


class BatteryMode(StrEnum):
    """evcc's battery modes (evcc-api.md §4)."""

    UNKNOWN = "unknown"
    NORMAL = "normal"
    HOLD = "hold"
    CHARGE = "charge"
    HOLDCHARGE = "holdcharge"


class Control(StrEnum):
    """What the actuator may do: nothing, decide and show only, or act."""

    OFF = "off"
    WATCH = "watch"
    ON = "on"


class Series(Value, frozen=True):
    """One number per slot from `start` (a slot start) on; None marks a gap (INV-05, INV-18)."""

    start: Utc
    values: tuple[float | None, ...] = ()

    def at(self, when: datetime) -> float | None:
        """The value of the slot that contains `when`; None in a gap or outside."""
        k = slots_between(self.start, when)
        return self.values[k] if 0 <= k < len(self.values) else None

    def window(self, start: datetime, count: int) -> tuple[float | None, ...]:
        """`count` values from the slot that contains `start` on, None where unknown."""
        first = slots_between(self.start, start)
        before, after = max(0, -first), max(0, first + count - len(self.values))
        known = self.values[max(0, first) : max(0, first + count)]
        if not before and not after:
            return known
        return ((None,) * before + known + (None,) * after)[:count]

    @property
    def end(self) -> datetime:
        """The end of the last slot."""
        return self.start + len(self.values) * SLOT


class Rate(Value, frozen=True, array_like=True):
    """One entry of an evcc tariff; `value` in currency/kWh, or W for `solar` (evcc-api.md §2)."""

    start: Utc
    end: Utc
    value: float


class Tariff(Value, frozen=True):
    """One tariff as evcc sent it. `rates` is None when evcc has none or it failed (404).

    `unchanged`: evcc answered what it answered last time; `rates` is None, the last ones hold.
    """

    usage: str
    rates: tuple[Rate, ...] | None
    reason: str = ""
    unchanged: bool = False


class Battery(Value, frozen=True):
    """The home's batteries together. `charge_w` is negative while discharging."""

    soc_pct: float | None
    charge_w: float | None
    capacity_kwh: float | None
    mode: BatteryMode = BatteryMode.UNKNOWN
    external_mode: BatteryMode | None = None
    controllable: bool = False


class Loadpoint(Value, frozen=True):
    """One evcc loadpoint. `id` is 1-based, as in evcc's paths (INV-39); `name` identifies it."""

    id: int
    name: str
    title: str
    mode: ChargeMode
    connected: bool
    charging: bool
    enabled: bool
    charge_w: float
    charger: bool = True
    """False for heating, switch sockets and integrated devices: never touched, counted as load."""
    vehicle: str | None = None
    vehicle_soc_pct: float | None = None
    detecting: bool = False
    limit_soc_pct: float | None = None
    limit_energy_kwh: float | None = None
    effective_limit_soc_pct: float | None = None
    effective_min_current_a: float = 6.0
    effective_max_current_a: float = 16.0
    phases_active: int = 3
    phases_configured: int = 3
    can_switch_phases: bool = False
    session_kwh: float = 0.0
    plan_active: bool = False
    plan_soc_pct: float | None = None
    plan_at: Utc | None = None
    smart_cost_active: bool = False
    min_soc_not_reached: bool = False
    priority: int = 0
    plan_energy_kwh: float | None = None


class RepeatingPlan(Value, frozen=True):
    """A weekly plan of an evcc vehicle; weekdays as evcc counts them (0 = Sunday)."""

    weekdays: tuple[int, ...]
    time: str
    tz: str
    soc_pct: float
    active: bool


class EvccVehicle(Value, frozen=True):
    """What evcc is configured to know of a car; live data is at the loadpoint only."""

    name: str
    title: str
    capacity_kwh: float | None = None
    min_soc_pct: float | None = None
    limit_soc_pct: float | None = None
    phases: int | None = None
    max_current_a: float | None = None
    offline: bool = False
    mode: ChargeMode | None = None
    """Set by evcc when the car is assigned."""
    plan_soc_pct: float | None = None
    plan_at: Utc | None = None
    repeating: tuple[RepeatingPlan, ...] = ()


class Site(Value, frozen=True):
    """One reading of evcc's state: every part is of the same moment (INV-60)."""

    version: str
    title: str
    currency: str
    interval_s: float
    grid_import_w: float | None
    pv_w: float | None
    home_w: float | None
    battery: Battery | None
    loadpoints: tuple[Loadpoint, ...]
    vehicles: tuple[EvccVehicle, ...]
    discharge_control: bool = False
    grid_charge_limit_eur_kwh: float | None = None
    priority_soc_pct: float = 0.0
    buffer_soc_pct: float = 0.0
    buffer_start_soc_pct: float = 0.0
    smart_modes: bool = False
    """True when this evcc speaks `off smart now` (evcc-api.md §12)."""
    optimizer_controls: bool = False
    dimmed: bool = False
    circuits: tuple[Circuit, ...] = ()
    grid_currents_a: tuple[float, float, float] | None = None


class SocSource(StrEnum):
    """Where a car's SoC comes from."""

    EVCC = "evcc"
    HTTP = "http"
    MANUAL = "manual"


class Vehicle(Value, frozen=True):
    """One car as SmartLoad knows it. Attempt, success and measurement times are apart (INV-81)."""

    name: str
    title: str
    capacity_kwh: float | None
    soc_pct: float | None = None
    source: SocSource | None = None
    measured_at: Utc | None = None
    polled_at: Utc | None = None
    answered_at: Utc | None = None
    loadpoint: str | None = None
    stale: bool = False
    range_km: float | None = None


class Quantiles(Value, frozen=True):
    """10, 50 and 90 % quantiles of one forecast, one number per slot from `start` on (W)."""

    start: Utc
    q10_w: tuple[float, ...]
    q50_w: tuple[float, ...]
    q90_w: tuple[float, ...]


class Turn(Value, frozen=True):
    """Whose turn it is at a loadpoint, and what that car is to get.

    Exactly one of `target_soc_pct` and `energy_kwh` is set; `energy_kwh` is for guests and cars
    without SoC. `departure` None: no deadline, charge when it pays.
    """

    loadpoint: str
    vehicle: str | None
    why: Why
    target_soc_pct: float | None = None
    energy_kwh: float | None = None
    departure: Utc | None = None
    soc_pct: float | None = None
    capacity_kwh: float | None = None
    need_kwh: float = 0.0
    immediate: bool = False
    """True at hand-over and where the deadline leaves no choice."""
    waiting: tuple[str, ...] = ()


class PlanCar(Value, frozen=True, array_like=True):
    """One car in one slot of a plan. `charge_kw` is the mean of the slot."""

    vehicle: str
    loadpoint: str
    charge_kw: float
    soc_pct: float | None
    mode: ChargeMode
    why: Why
    value_eur_kwh: float | None = None
    """What one kWh may cost at most, so that the car takes it there; None: nobody asked (rules)."""


class PlanSlot(Value, frozen=True, array_like=True):
    """One slot of a plan. Powers are means over `duration_s`; SoC is at the slot's end."""

    start: Utc
    duration_s: float
    import_eur_kwh: float
    export_eur_kwh: float
    assumed_price: bool
    load_kw: float
    pv_kw: float
    grid_import_kw: float
    grid_export_kw: float
    battery_charge_kw: float
    battery_discharge_kw: float
    battery_soc_pct: float | None
    battery_mode: BatteryMode | None
    battery_value_eur_kwh: float | None
    cars: tuple[PlanCar, ...]
    why: Why


class Shortfall(Value, frozen=True):
    """A goal that cannot be met: how much is missing, in kWh, and for a car in percent."""

    goal: str
    name: str
    missing_kwh: float
    missing_pct: float | None = None
    by: Utc | None = None


class Plan(Value, frozen=True):
    """A plan and how it was found. `cost_eur` is the bill of the slots (INV-10).

    `objective_eur` adds wear and penalties and takes off the value of energy left at the end.
    """

    revision: int
    made_at: Utc
    rung: str
    """`lp`, `last`, `rules` or `evcc`: the rung of the ladder that gave it."""
    slots: tuple[PlanSlot, ...]
    cost_eur: float
    wear_eur: float
    objective_eur: float
    end_value_eur_kwh: float
    why: Why
    shortfalls: tuple[Shortfall, ...] = ()
    gap_eur: float | None = None
    """So much cheaper any plan could be at most (0: proved); None: nobody knows."""

    def slot_at(self, at: datetime) -> PlanSlot | None:
        """The slot that contains `at`, or None (slots follow each other; the first may be cut)."""
        if not self.slots:
            return None
        k = slots_between(self.slots[0].start, at)
        return self.slots[k] if 0 <= k < len(self.slots) else None


class Ownership(Value, frozen=True):
    """Who owns one setting at present: `smartload`, `evcc`, `evcc_optimizer` or `human`."""

    setting: str
    owner: str
    since: Utc
    until: Utc | None
    why: Why


class FailedMeter(Value, frozen=True):
    """A meter that cannot be believed: `grid`, `pv`, `battery`, `home` or `loadpoint:NAME`.

    `home`: evcc's powers do not add up, and no single one is to blame. `since`: when it began.
    """

    name: str
    since: Utc
    why: Why


Named = TypeVar("Named", Loadpoint, Vehicle, EvccVehicle)


def find(things: Iterable[Named], name: str) -> Named | None:
    """The thing of that name, case-insensitive (INV-78), or None."""
    folded = name.casefold()
    for thing in things:
        if thing.name.casefold() == folded:
            return thing
    return None


class HomeState(Value, frozen=True):
    """The one state of the home: immutable, with a revision that only grows.

    Made by the state store alone. All parts are of this revision; `measured_at` is the time of the
    reading behind `site`. Series and plan travel as messages of their own, named here by revision.
    """

    revision: int
    at: Utc
    measured_at: Utc | None = None
    site: Site | None = None
    evcc_reachable: bool = False
    evcc_silent_since: Utc | None = None
    evcc_reason: str = ""
    vehicles: tuple[Vehicle, ...] = ()
    turns: tuple[Turn, ...] = ()
    rates_revision: int = 0
    plan_revision: int = 0
    control: Control = Control.WATCH
    in_control: tuple[Ownership, ...] = ()
    troubles: tuple[Why, ...] = ()
    failed_meters: tuple[FailedMeter, ...] = ()
    evcc_connection: int = 0
    """Over which connection, counted, the reading came."""

    def loadpoint(self, name: str) -> Loadpoint | None:
        """The loadpoint of that name in the newest reading, or None."""
        return find(self.site.loadpoints, name) if self.site else None

    def vehicle(self, name: str | None) -> Vehicle | None:
        """The car of that name, case-insensitive (INV-78), or None."""
        return find(self.vehicles, name) if name else None
