"""The pretend evcc's memory and the home behind it (evcc-regulator.md §2).

Truth and knowledge are apart: `House`, `Box` and `Car` are what is, `Site` and `Loadpoint` what
evcc knows and was told. A restart of evcc makes new ones of the latter (`sim/evcc_process.py`).
Numbers that the regulator needs are inherited from the engine; times in seconds since the start.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from engine import home, loadpoint
from engine.loadpoint import KEEP, MINPV, NOW, OFF, PV
from sim.evcc_plan import Part
from sim.scenario import Scenario, SimBattery, SimCar, SimLoadpoint

MODES = {"off": OFF, "pv": PV, "minpv": MINPV, "now": NOW}
MODE_NAMES = tuple(MODES)
BATTERY_MODES = ("unknown", "normal", "hold", "charge", "holdcharge")
DETECTION_S = 600.0


def no_strategy() -> dict[str, Any]:
    """A plan strategy as evcc has it before anyone set one."""
    return {"continuous": False, "precondition": 0}


@dataclass(slots=True)
class Car:
    """A car: what it holds, and the settings that evcc keeps for it.

    `away_kwh` is its energy while no box has it.
    """

    spec: SimCar
    away_kwh: float
    limit_soc: int
    min_soc: int
    mode: str
    plan_soc: int = 0
    plan_time: str = ""
    repeating: list[dict[str, Any]] | None = None
    strategy: dict[str, Any] = field(default_factory=no_strategy)
    box: home.Box | None = None
    own_limit_pct: float = 100.0
    refuses: bool = False
    owed_kwh: float = 0.0
    """Used on the road, taken off at the return."""
    cloud_fails: bool = False
    cloud_until: datetime | None = None

    @property
    def kwh(self) -> float:
        """Energy in the car."""
        return self.away_kwh if self.box is None else self.box.car_kwh

    @property
    def soc_pct(self) -> float:
        """The truth."""
        return 100.0 * self.kwh / self.spec.capacity_kwh

    @property
    def title(self) -> str:
        """The title, else the name."""
        return self.spec.title or self.spec.name

    def put(self, kwh: float) -> None:
        """Set the energy in the car."""
        if self.box is None:
            self.away_kwh = kwh
        else:
            self.box.car_kwh = kwh

    def adjust_box(self) -> None:
        """Tell the box where the car stops by itself, and whether it takes anything at all."""
        if self.box is not None:
            self.box.full_kwh = self.spec.capacity_kwh * self.own_limit_pct / 100.0
            self.box.refuses = self.refuses

    def cloud_answers(self, at: datetime) -> bool:
        """Whether its cloud tells anything at present."""
        late = self.cloud_until is not None and at < self.cloud_until
        return self.spec.api and not self.cloud_fails and not late


@dataclass(slots=True)
class Estimate:
    """evcc's estimator of a car's SoC between two answers of its cloud (§12); energies in Wh."""

    step_wh: float
    asked: bool = False
    first_soc: float = 0.0
    first_wh: float = 0.0
    last_soc: float = 0.0
    last_wh: float = 0.0

    def heard(self, soc: float, session_wh: float) -> float:
        """The SoC that evcc then shows."""
        if self.asked and soc == self.last_soc and session_wh >= self.last_wh:
            return min(100.0, soc + (session_wh - self.last_wh) / self.step_wh)
        if not self.asked:
            self.asked, self.first_soc, self.first_wh = True, soc, session_wh
        if soc - self.first_soc > 10 and session_wh > self.first_wh:
            self.step_wh = (session_wh - self.first_wh) / (soc - self.first_soc)
        self.last_soc, self.last_wh = soc, session_wh
        return soc


class Effective(NamedTuple):
    """What counts at a loadpoint, by evcc's words. Shown as it was when evcc last told it."""

    priority: int
    plan_id: int
    plan_time: str
    plan_soc: int
    plan_strategy: dict[str, Any]
    min_current: float
    max_current: float
    min_soc: int
    limit_soc: int


@dataclass(slots=True, kw_only=True)
class Loadpoint(loadpoint.Loadpoint):
    """One loadpoint: its settings, the session, and what was measured last."""

    spec: SimLoadpoint
    index: int
    box: home.Box
    smart_cost_limit: float | None = None
    feed_in_limit: float | None = None
    plan_energy: float = 0.0
    plan_time: str = ""
    plan_from_kwh: float = 0.0
    strategy: dict[str, Any] = field(default_factory=no_strategy)
    seen: bool = False
    """Whether it had a cycle of its own since evcc's start."""
    changed: bool = False
    """Whether evcc itself changed a setting that it keeps."""
    kept_enable_delay_s: float = 60.0
    kept_disable_delay_s: float = 180.0
    """Delays are kept only together with their thresholds."""
    summed_w: float = 0.0
    """`charge_w` as the site counts it: 0 while it cannot be read."""
    vehicle: Car | None = None
    """What evcc takes the car for."""
    box_id: str = ""
    detecting_since_s: float | None = None
    estimate: Estimate | None = None
    session_sun_kwh: float = 0.0
    session_eur: float = 0.0
    session_s: float = 0.0
    effective: Effective | None = None
    """What the state shows of the settings that count; None: nothing yet."""
    charge_remaining_wh: float | None = None
    """To the limit, as of the car's last answer; None: never told."""
    retell: bool = False
    """The vehicle has changed, so `effective` has to be told anew."""
    plan_parts: tuple[Part, ...] = ()
    plan_end: datetime | None = None
    plan_lock: tuple[int, datetime, float, bool, str] | None = None
    plan_id: int = 0
    plan_goal_at: datetime | None = None
    plan_goal_text: str = ""
    plan_goal_soc: int = 0
    plan_need_s: float = 0.0
    plan_overrun_s: float = 0.0
    # published at the end of its cycle
    pv_remaining_s: float = 0.0
    phase_remaining_s: float = 0.0
    charge_remaining_s: float = 0.0
    min_not_reached: bool = False
    vehicle_own_limit_soc: float = 0.0
    gives_reason: bool = False

    @property
    def cells_kwh(self) -> float:
        """The vehicle's capacity seen from the wallbox, losses as learnt (§12, §13)."""
        learnt_kwh = self.estimate.step_wh / 10.0 if self.estimate is not None else 0.0
        return max(self.vehicle_capacity_kwh, learnt_kwh)


@dataclass(slots=True, kw_only=True)
class Site(loadpoint.Site):
    """What evcc knows and was told of the site."""

    loadpoints: list[Loadpoint]
    grid_charge_limit: float | None = None
    grid_charge_limit_set: bool = False
    grid_discharge: bool = False
    export_limit_w: float = 0.0
    solar_adjusted: bool = False
    strategy: str = "charge_before_export"
    external_set: bool = False
    watchdogs_s: list[float] = field(default_factory=list)
    """When each running watchdog of the external battery mode began to look."""
    seen: bool = False
    """Whether a cycle has come as far as the battery since evcc's start."""
    grid_kwh: tuple[float, float] = (0.0, 0.0)
    battery_kwh: tuple[float, float] = (0.0, 0.0)
    """Imported and exported, discharged and charged, as last read."""
    pv_kwh: float = 0.0
    home_w: float = 0.0
    charge_w: float = 0.0
    green_home: float = 0.0
    green_cars: float = 0.0
    priced_at: datetime | None = None
    """When a cycle last looked at the prices."""
    owners: dict[str, "Loadpoint"] = field(default_factory=dict)
    """Which loadpoint evcc has noted for a vehicle; `sim.evcc_life.assign`."""


@dataclass(slots=True)
class Faults:
    """What fails at present, as evcc meets it. `nan`: the grid's currents are not a number."""

    grid: bool = False
    pv: bool = False
    soc: bool = False
    battery: bool = False
    charger: bool = False
    tariff: bool = False
    nan: bool = False
    battery_write: bool = False


@dataclass(slots=True)
class Home:
    """The home and the evcc that runs there."""

    scenario: Scenario
    cars: dict[str, Car]
    house: home.House
    boxes: list[home.Box]
    plugged: list[Car | None]
    """The car at each box."""
    site: Site
    faults: Faults = field(default_factory=Faults)

    @property
    def has_battery(self) -> bool:
        """Whether there is a (controllable) battery."""
        return self.house.capacity_kwh > 0

    @property
    def loadpoints(self) -> list[Loadpoint]:
        """evcc's loadpoints."""
        return self.site.loadpoints

    def flow(self) -> None:
        """What flows now, in the weather that lasts."""
        home.flow(self.house, self.boxes, self.house.load_w, self.house.pv_w)

    def find_car(self, name: str) -> Car | None:
        """A car that evcc is configured to know."""
        car = self.cars.get(name)
        return None if car is None or car.spec.guest else car

    def index_of(self, car: Car) -> int | None:
        """The box at which the car stands."""
        return next((k for k, other in enumerate(self.plugged) if other is car), None)

    def moment(self, at_s: float) -> datetime:
        """The time at so many seconds after the start."""
        return self.scenario.sim.start + timedelta(seconds=at_s)


def new_site(scenario: Scenario, boxes: list[home.Box]) -> Site:
    """evcc as it is configured, just started: nothing read, nothing remembered."""
    sim = scenario.sim
    return Site(
        has_battery=sim.battery is not None,
        residual_w=sim.residual_power_w,
        priority_soc=sim.priority_soc_pct,
        buffer_soc=sim.buffer_soc_pct,
        buffer_start_soc=sim.buffer_start_soc_pct,
        battery_max_soc=_known_max_soc(sim.battery),
        loadpoints=[_new_loadpoint(spec, k, boxes[k]) for k, spec in enumerate(sim.loadpoints)],
    )


def _known_max_soc(battery: SimBattery | None) -> float:
    if battery is None:
        return 0.0
    told = battery.evcc_max_soc_pct
    return battery.max_soc_pct if told is None else told


def _new_loadpoint(spec: SimLoadpoint, index: int, box: home.Box) -> Loadpoint:
    default = MODES.get(spec.mode, KEEP)
    return Loadpoint(
        spec=spec,
        index=index,
        box=box,
        mode=OFF if default == KEEP else default,
        default_mode=default,
        min_a=spec.min_current_a,
        max_a=spec.max_current_a,
        can_switch=spec.can_switch_phases,
        single_phase=spec.phases == 1,
        phases_configured=0 if spec.can_switch_phases else spec.phases,
        phases=0 if spec.can_switch_phases else spec.phases,
    )


def _house(own: SimBattery | None) -> home.House:
    if own is None:
        return home.House()
    return home.House(
        capacity_kwh=own.capacity_kwh,
        charge_w=own.charge_power_kw * 1000.0,
        discharge_w=own.discharge_power_kw * 1000.0,
        charge_efficiency=own.charge_efficiency,
        discharge_efficiency=own.discharge_efficiency,
        floor_kwh=own.capacity_kwh * own.floor_soc_pct / 100.0,
        max_kwh=own.capacity_kwh * own.max_soc_pct / 100.0,
        hold_charges_from_pv=own.hold_charges_from_pv,
        battery_kwh=own.capacity_kwh * own.soc_pct / 100.0,
    )


def build(scenario: Scenario) -> Home:
    """The home at the scenario's start, nothing plugged in yet."""
    sim = scenario.sim
    cars = {
        spec.name: Car(
            spec=spec,
            away_kwh=spec.capacity_kwh * spec.soc_pct / 100.0,
            limit_soc=int(spec.limit_soc_pct),
            min_soc=int(spec.min_soc_pct),
            mode=spec.mode or "",
            own_limit_pct=spec.own_limit_pct,
        )
        for spec in sim.cars
    }
    boxes = [home.Box(phases=spec.phases) for spec in sim.loadpoints]
    return Home(
        scenario=scenario,
        cars=cars,
        house=_house(sim.battery),
        boxes=boxes,
        plugged=[None] * len(boxes),
        site=new_site(scenario, boxes),
    )
