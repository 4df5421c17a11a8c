"""What the pretend evcc remembers, and how a car comes and goes (evcc-regulator.md §2, §11).

Truth and knowledge are apart: `Car.kwh` is what the car holds, `Loadpoint.known_soc` what evcc
knows of it (0 = unknown, as in evcc).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine import home
from sim.evcc_plan import Part
from sim.scenario import Scenario, SimCar, SimLoadpoint

MODES = {"off": home.OFF, "pv": home.PV, "minpv": home.MINPV, "now": home.NOW}
BATTERY_MODES = ("unknown", "normal", "hold", "charge", "holdcharge")
DETECTION = timedelta(minutes=10)


def no_strategy() -> dict[str, Any]:
    """A plan strategy as evcc has it before anyone set one."""
    return {"continuous": False, "precondition": 0}


@dataclass(slots=True)
class Car:
    """A car, and what evcc is configured to know of it."""

    spec: SimCar
    kwh: float
    limit_soc: int
    min_soc: int
    mode: str
    plan_soc: int = 0
    plan_time: str = ""
    repeating: list[dict[str, Any]] | None = None
    strategy: dict[str, Any] = field(default_factory=no_strategy)
    owed_kwh: float = 0.0
    """Used on the road, taken off at the return."""
    cloud_until: datetime | None = None

    @property
    def soc_pct(self) -> float:
        """The truth."""
        return 100.0 * self.kwh / self.spec.capacity_kwh

    @property
    def title(self) -> str:
        """The title, else the name."""
        return self.spec.title or self.spec.name


@dataclass(slots=True)
class Loadpoint:
    """One loadpoint: its settings, the session, and what was measured last."""

    spec: SimLoadpoint
    index: int
    mode: str
    min_a: float
    max_a: float
    phases_configured: int
    priority: int = 0
    limit_soc: int = 0
    limit_energy: float = 0.0
    smart_cost_limit: float | None = None
    feed_in_limit: float | None = None
    enable_threshold: float = 0.0
    disable_threshold: float = 0.0
    enable_delay_s: int = 60
    disable_delay_s: int = 180
    boost: bool = False
    boost_limit: int = 100
    min_soc: int = 0
    plan_energy: float = 0.0
    plan_time: str = ""
    plan_from_kwh: float = 0.0
    strategy: dict[str, Any] = field(default_factory=no_strategy)
    car: Car | None = None
    """What stands there; `vehicle` is what evcc takes it for."""
    vehicle: Car | None = None
    detecting_since: datetime | None = None
    known_soc: float = 0.0
    ask_soc: bool = False
    session_kwh: float = 0.0
    session_sun_kwh: float = 0.0
    session_eur: float = 0.0
    session_s: float = 0.0
    total_kwh: float = 0.0
    charge_w: float = 0.0
    charging: bool = False
    offered_a: float = 0.0
    phases_on: int = 3
    smart_cost_active: bool = False
    feed_in_active: bool = False
    min_not_reached: bool = False
    plan_active: bool = False
    plan_parts: tuple[Part, ...] = ()
    plan_end: datetime | None = None
    plan_lock: tuple[int, datetime, float, bool] | None = None
    plan_id: int = 0
    plan_goal_at: datetime | None = None
    plan_goal_text: str = ""
    plan_goal_soc: int = 0
    plan_need_s: float = 0.0

    @property
    def knows_soc(self) -> bool:
        """Whether evcc has a vehicle here that tells its SoC (limitEnergy then has no effect)."""
        return self.vehicle is not None and self.vehicle.spec.api

    @property
    def max_phases(self) -> int:
        """The most phases that evcc reckons with."""
        phases = self.phases_configured or 3
        return min(phases, self.vehicle.spec.phases) if self.vehicle else phases

    @property
    def effective_max_a(self) -> float:
        """After the vehicle's own limit."""
        return min(self.max_a, self.vehicle.spec.max_current_a) if self.vehicle else self.max_a

    @property
    def effective_limit_soc(self) -> int:
        """The loadpoint's limit, else the vehicle's, else 100."""
        return self.limit_soc or (self.vehicle.limit_soc if self.vehicle else 0) or 100

    @property
    def effective_min_soc(self) -> int:
        """The larger of the loadpoint's and the vehicle's."""
        return max(self.min_soc, self.vehicle.min_soc if self.vehicle else 0)

    @property
    def max_power_w(self) -> float:
        """What evcc plans with."""
        return home.VOLTAGE_V * self.effective_max_a * self.max_phases

    def set_mode(self, mode: str) -> None:
        """evcc's mode change: boost off; `now` and `off` end the plan's activity."""
        if mode == self.mode:
            return
        self.mode = mode
        self.boost = False
        if mode in ("now", "off"):
            self.plan_active = False
            self.plan_lock = None


@dataclass(slots=True)
class SlotBill:
    """One slot of the bill."""

    start: datetime
    import_kwh: float
    export_kwh: float
    import_eur_kwh: float
    export_eur_kwh: float


@dataclass(slots=True)
class Meters:
    """Since the start; energies in kWh, `cars_kwh` by car (AC side)."""

    import_kwh: float = 0.0
    export_kwh: float = 0.0
    pv_kwh: float = 0.0
    load_kwh: float = 0.0
    charged_kwh: float = 0.0
    discharged_kwh: float = 0.0
    cost_eur: float = 0.0
    cars_kwh: dict[str, float] = field(default_factory=dict)
    slots: list[SlotBill] = field(default_factory=list)


@dataclass(slots=True)
class Home:
    """The whole pretend evcc's memory, and the home behind it."""

    scenario: Scenario
    loadpoints: list[Loadpoint]
    cars: dict[str, Car]
    battery: home.Battery
    battery_kwh: float
    priority_soc: float
    buffer_soc: float
    buffer_start_soc: float
    residual_w: float
    discharge_control: bool = False
    grid_charge_limit: float | None = None
    grid_charge_limit_set: bool = False
    grid_charge_active: bool = False
    grid_discharge: bool = False
    export_limit_w: float = 0.0
    solar_adjusted: bool = False
    strategy: str = "charge_before_export"
    mode: int = home.UNKNOWN
    external: int = home.UNKNOWN
    external_set: bool = False
    external_at: datetime | None = None
    watchdogs: int = 0
    grid_w: float = 0.0
    pv_w: float = 0.0
    battery_w: float = 0.0
    """As evcc has it: positive when discharging."""
    load_w: float = 0.0
    green_share: float = 0.0
    meters: Meters = field(default_factory=Meters)

    @property
    def has_battery(self) -> bool:
        """Whether there is a (controllable) battery."""
        return self.battery.capacity_kwh > 0

    @property
    def battery_soc_pct(self) -> float:
        """SoC of the house battery; 0 without one."""
        return 100.0 * self.battery_kwh / self.battery.capacity_kwh if self.has_battery else 0.0

    def find_car(self, name: str) -> Car | None:
        """A car that evcc is configured to know."""
        car = self.cars.get(name)
        return None if car is None or car.spec.guest else car

    def loadpoint_of(self, car: Car) -> Loadpoint | None:
        """Where the car stands."""
        return next((point for point in self.loadpoints if point.car is car), None)


def build(scenario: Scenario) -> Home:
    """The home at the scenario's start, nothing plugged in yet."""
    sim = scenario.sim
    battery = home.NO_BATTERY
    if sim.battery is not None:
        own = sim.battery
        battery = home.Battery(
            capacity_kwh=own.capacity_kwh,
            charge_w=own.charge_power_kw * 1000.0,
            discharge_w=own.discharge_power_kw * 1000.0,
            charge_efficiency=own.charge_efficiency,
            discharge_efficiency=own.discharge_efficiency,
            floor_kwh=own.capacity_kwh * own.floor_soc_pct / 100.0,
            max_kwh=own.capacity_kwh * own.max_soc_pct / 100.0,
            hold_charges_from_pv=own.hold_charges_from_pv,
        )
    cars = {
        spec.name: Car(
            spec=spec,
            kwh=spec.capacity_kwh * spec.soc_pct / 100.0,
            limit_soc=int(spec.limit_soc_pct),
            min_soc=int(spec.min_soc_pct),
            mode=spec.mode or "",
        )
        for spec in sim.cars
    }
    loadpoints = [
        Loadpoint(
            spec=spec,
            index=k,
            mode=spec.mode if spec.mode in MODES else "off",
            min_a=spec.min_current_a,
            max_a=spec.max_current_a,
            phases_configured=0 if spec.can_switch_phases else spec.phases,
            phases_on=spec.phases,
        )
        for k, spec in enumerate(sim.loadpoints)
    ]
    return Home(
        scenario=scenario,
        loadpoints=loadpoints,
        cars=cars,
        battery=battery,
        battery_kwh=battery.capacity_kwh * (sim.battery.soc_pct / 100.0 if sim.battery else 0.0),
        priority_soc=sim.priority_soc_pct,
        buffer_soc=sim.buffer_soc_pct,
        buffer_start_soc=sim.buffer_start_soc_pct,
        residual_w=sim.residual_power_w,
    )


def assign(site: Home, point: Loadpoint, car: Car | None) -> None:
    """evcc takes the car at `point` for `car`; None: a guest. Taken from another loadpoint."""
    if car is not None:
        for other in site.loadpoints:
            if other is not point and other.vehicle is car:
                assign(site, other, None)
    if point.vehicle is not car:
        point.known_soc = 0.0
    point.vehicle = car
    point.ask_soc = True
    point.plan_lock = None
    if car is not None:
        point.detecting_since = None
        if car.mode:
            point.set_mode(car.mode)


def plug(site: Home, point: Loadpoint, car: Car, at: datetime) -> None:
    """A car comes: a new session; evcc knows it at once, a guest is looked for and not found."""
    elsewhere = site.loadpoint_of(car)
    if elsewhere is not None:
        unplug(site, elsewhere)
    if point.car is not None:
        unplug(site, point)
    point.car = car
    point.session_kwh = point.session_sun_kwh = point.session_eur = point.session_s = 0.0
    point.plan_from_kwh = 0.0
    if car.spec.guest:
        point.detecting_since = at
    else:
        assign(site, point, car)


def unplug(site: Home, point: Loadpoint) -> None:
    """The car goes: default mode, session limits, boost and the plan's lock are cleared."""
    site.grid_w -= point.charge_w
    point.car = point.vehicle = None
    point.detecting_since = point.plan_lock = None
    point.known_soc = point.charge_w = point.offered_a = 0.0
    point.charging = point.boost = point.plan_active = point.ask_soc = False
    if point.spec.mode in MODES:
        point.set_mode(point.spec.mode)
    point.limit_soc, point.limit_energy = 0, 0.0
    point.phases_on = point.phases_configured or point.spec.phases
