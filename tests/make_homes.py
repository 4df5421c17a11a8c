"""Small homes for tests of physics, regulator and static map."""

from dataclasses import fields, replace
from math import inf
from typing import Any, TypeVar

from hypothesis import strategies as st

from engine.home import CHARGE, HOLD, HOLDCHARGE, NORMAL, UNKNOWN, Box, House
from engine.loadpoint import ELAPSED, MINPV, NOW, OFF, PV, UNSET, B, C, Loadpoint, Site

Kind = TypeVar("Kind")
Home = tuple[Site, list[Loadpoint], House, list[Box]]

TIMERS = {UNSET: "unset", ELAPSED: "elapsed"}


def timer(value: float) -> float | str:
    """A timer in words, its start time while it runs."""
    return TIMERS.get(value, value)


def copy_of(one: Kind) -> Kind:
    """The same, another object."""
    return replace(one)  # type: ignore[type-var]


def copies(home: Home) -> Home:
    """The same home, other objects."""
    site, points, house, boxes = home
    return copy_of(site), [*map(copy_of, points)], copy_of(house), [*map(copy_of, boxes)]


def a_site(**changes: Any) -> Site:
    """A site without a battery, or with `has_battery` and 50 % in it."""
    return Site(**{"battery_soc": 50.0, **changes})


def a_point(**changes: Any) -> Loadpoint:
    """A fixed 3-phase loadpoint in pv that knows its car (50 kWh, 20 % in it)."""
    usual = {
        "mode": PV,
        "status": B,
        "knows_vehicle": True,
        "vehicle_capacity_kwh": 50.0,
        "vehicle_tells_soc": True,
        "soc": 20.0,
    }
    return Loadpoint(**{**usual, **changes})


def switching(**changes: Any) -> Loadpoint:
    """The same with a box that switches phases by itself, on 3 phases."""
    return a_point(**{"can_switch": True, "phases_configured": 0, **changes})


def charging_point(amps: float = 10.0, **changes: Any) -> Loadpoint:
    """A loadpoint that charges at `amps`."""
    phases = changes.get("phases", 3)
    usual = {
        "status": C,
        "enabled": True,
        "offered_a": amps,
        "charge_w": amps * 230.0 * phases,
    }
    return a_point(**{**usual, **changes})


def a_box(**changes: Any) -> Box:
    """A box with a car that has 10 of 50 kWh."""
    return Box(**{"plugged": True, "car_kwh": 10.0, "full_kwh": 50.0, "car_max_a": 32.0, **changes})


def changed(one: Kind, before: Kind) -> dict[str, Any]:
    """The fields that are not what they were."""
    return {
        field.name: getattr(one, field.name)
        for field in fields(one)  # type: ignore[arg-type]
        if getattr(one, field.name) != getattr(before, field.name)
    }


# --- any home -------------------------------------------------------------------------------------

houses = st.builds(
    House,
    capacity_kwh=st.sampled_from([0.0, 5.0, 10.0]),
    charge_w=st.floats(0, 8000),
    discharge_w=st.floats(0, 8000),
    charge_efficiency=st.floats(0.5, 1),
    discharge_efficiency=st.floats(0.5, 1),
    floor_kwh=st.floats(0, 2),
    max_kwh=st.floats(3, 5),
    hold_charges_from_pv=st.booleans(),
    battery_kwh=st.floats(0, 5),
    mode=st.sampled_from([UNKNOWN, NORMAL, HOLD, CHARGE, HOLDCHARGE]),
)
boxes = st.builds(
    Box,
    phases=st.sampled_from([1, 2, 3]),
    enabled=st.booleans(),
    current_a=st.floats(0, 32),
    plugged=st.booleans(),
    refuses=st.booleans(),
    car_kwh=st.floats(0, 40),
    full_kwh=st.one_of(st.just(inf), st.floats(30, 60)),
    car_phases=st.sampled_from([1, 2, 3]),
    car_max_a=st.floats(6, 32),
    charge_efficiency=st.floats(0.5, 1),
)
points = st.builds(
    Loadpoint,
    mode=st.sampled_from([OFF, PV, MINPV, NOW]),
    min_a=st.floats(1, 6),
    max_a=st.floats(6, 32),
    can_switch=st.booleans(),
    has_currents=st.booleans(),
    phases_configured=st.sampled_from([0, 1, 3]),
    priority=st.integers(0, 3),
    limit_soc=st.sampled_from([0, 50, 80, 100]),
    limit_energy=st.sampled_from([0.0, 5.0]),
    min_soc=st.sampled_from([0, 30, 60]),
    knows_vehicle=st.booleans(),
    vehicle_phases=st.sampled_from([0, 1, 2, 3]),
    vehicle_capacity_kwh=st.floats(20, 80),
    vehicle_tells_soc=st.booleans(),
    plan_active=st.booleans(),
    within_cost=st.booleans(),
    within_feed_in=st.booleans(),
    boost=st.sampled_from([0, 1, 2, 3]),
)
sites = st.builds(
    Site,
    residual_w=st.floats(-500, 500),
    priority_soc=st.sampled_from([0.0, 50.0, 100.0]),
    buffer_soc=st.sampled_from([0.0, 60.0]),
    buffer_start_soc=st.sampled_from([0.0, 80.0]),
    discharge_control=st.booleans(),
    grid_charge_active=st.booleans(),
)


@st.composite
def homes(draw: st.DrawFn) -> Home:
    """Any home: odd settings, any battery, up to three boxes."""
    site, house = copy_of(draw(sites)), copy_of(draw(houses))
    site.has_battery = house.capacity_kwh > 0
    pairs = draw(st.lists(st.tuples(points, boxes), max_size=3))
    return site, [copy_of(one) for one, _ in pairs], house, [copy_of(one) for _, one in pairs]
