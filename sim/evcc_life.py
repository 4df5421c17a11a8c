"""How a car comes, is known and goes; what evcc believes of its SoC (evcc-regulator.md §11)."""

from datetime import datetime
from math import inf

from engine.loadpoint import CONNECTED, LEFT, C, limit_soc, set_mode
from sim.evcc_home import DETECTION_S, MODES, Car, Estimate, Home, Loadpoint

WH_PER_PCT = 10.0 / 0.85
"""Of a car of 1 kWh, at the efficiency that evcc assumes."""


# --- the truth ------------------------------------------------------------------------------------


def plug(home: Home, k: int, car: Car) -> None:
    """The car is plugged in at box `k`; it leaves where it stood, and what stood there leaves."""
    elsewhere = home.index_of(car)
    if elsewhere is not None:
        unplug(home, elsewhere)
    unplug(home, k)
    box, spec = home.boxes[k], car.spec
    box.plugged = True
    box.car_kwh = car.away_kwh
    box.car_phases, box.car_max_a = spec.phases, spec.max_current_a
    box.charge_efficiency = spec.charge_efficiency
    car.box, home.plugged[k] = box, car
    car.adjust_box()


def unplug(home: Home, k: int) -> None:
    """The car at box `k`, if any, is gone."""
    car, box = home.plugged[k], home.boxes[k]
    if car is not None:
        car.away_kwh, car.box, home.plugged[k] = box.car_kwh, None, None
    box.plugged, box.refuses, box.charge_w = False, False, 0.0


# --- what evcc takes it for -----------------------------------------------------------------------


def assign(home: Home, point: Loadpoint, car: Car | None) -> None:
    """evcc takes the car at `point` for `car`; None: a guest.

    It is taken from the loadpoint that evcc has noted for it. In doing so evcc loses its note: the
    next one to take the car again leaves it at both (evcc-recorded/requests-demo.jsonl).
    """
    owners = home.site.owners
    if point.vehicle is not None:
        owners.pop(point.vehicle.spec.name, None)
    if car is not None:
        owner = owners.get(car.spec.name)
        if owner is None:
            owners[car.spec.name] = point
        else:
            assign(home, owner, None)
    if point.vehicle is not car:
        point.soc = point.vehicle_own_limit_soc = 0.0
        point.charge_remaining_s = 0.0
        if point.charge_remaining_wh is not None:
            point.charge_remaining_wh = 0.0
        point.plan_lock = None
    point.vehicle, point.changed, point.retell = car, True, True
    point.ask_soc = car is not None
    point.estimate, point.vehicle_own_limit_soc = None, 0.0
    if car is not None and car.spec.api:
        point.estimate = Estimate(car.spec.capacity_kwh * WH_PER_PCT)
    refresh(point)
    if car is not None:
        point.detecting_since_s = None
        if car.mode:
            set_mode(point, MODES[car.mode])


def refresh(point: Loadpoint) -> None:
    """Copy what the regulator needs of the vehicle's settings."""
    car = point.vehicle
    point.knows_vehicle = car is not None
    point.vehicle_phases = car.spec.phases if car is not None and car.spec.phases < 3 else 0
    point.vehicle_max_a = inf
    if car is not None and car.spec.tells_current and car.spec.max_current_a < 16:
        point.vehicle_max_a = car.spec.max_current_a
    point.vehicle_capacity_kwh = car.spec.capacity_kwh if car is not None else 0.0
    point.vehicle_tells_soc = car is not None and car.spec.api
    point.vehicle_limit_soc = car.limit_soc if car is not None else 0
    point.vehicle_min_soc = car.min_soc if car is not None else 0


def make_guest(home: Home, point: Loadpoint) -> None:
    """Nobody known: mode and limits stay."""
    point.detecting_since_s = None
    assign(home, point, None)


def detect_again(home: Home, point: Loadpoint, at_s: float) -> None:
    """Look for the vehicle anew; a box's id that did not change is not looked up again."""
    assign(home, point, None)
    point.detecting_since_s = at_s


def follow(home: Home, point: Loadpoint, events: int, at_s: float) -> None:
    """What connecting and leaving mean beyond the regulator's numbers."""
    if events & CONNECTED:
        point.session_sun_kwh = point.session_eur = point.session_s = 0.0
        point.plan_from_kwh = 0.0
        if any(not car.spec.guest for car in home.cars.values()):
            point.detecting_since_s = at_s
    if events & LEFT:
        point.changed = True
        point.plan_lock, point.box_id = None, ""
        assign(home, point, None)
        point.detecting_since_s = None


def identify(home: Home, point: Loadpoint, at_s: float) -> None:
    """The box reads the car's id; only a changed one acts."""
    since = point.detecting_since_s
    if since is not None and at_s - since >= DETECTION_S:
        make_guest(home, point)
    car = home.plugged[point.index]
    if car is None or car.spec.name == point.box_id:
        return
    point.box_id = car.spec.name
    if not car.spec.guest:
        point.detecting_since_s = None
        if point.vehicle is not car:
            assign(home, point, car)


def ask(point: Loadpoint, at: datetime) -> None:
    """evcc asks the car when it came, starts, stops and while it charges (§12).

    A failed answer counts as asked.
    """
    car = point.vehicle
    if car is None or not (point.ask_soc or point.status == C):
        return
    point.ask_soc = False
    if not car.cloud_answers(at):
        return
    if point.estimate is None:
        point.estimate = Estimate(car.spec.capacity_kwh * WH_PER_PCT)
    point.vehicle_own_limit_soc = car.own_limit_pct if car.spec.tells_limit else 0.0
    told = float(int(car.soc_pct)) if car.spec.whole_percent else car.soc_pct
    point.soc = point.estimate.heard(told, point.session_kwh * 1000.0)
    missing_pct = max(0.0, limit_soc(point) - point.soc)
    point.charge_remaining_wh = missing_pct * car.spec.capacity_kwh * WH_PER_PCT
