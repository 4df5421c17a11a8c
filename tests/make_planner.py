"""Homes to plan for: a flat house without sun, to which a test adds what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from actors.planner import Planner
from actors.planner_problem import CarNeed, Problem, Store
from engine.values import BatteryMode, Plan

NOON = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)
"""12:00 in Berlin."""
HORIZON = 193
SHORT = 97
TOLERANCE_KWH = 1e-4


def battery(**changes: Any) -> Store:
    """10 kWh, half full, 5 kW, 10 to 100 %."""
    store = Store(capacity_kwh=10, stored_kwh=5, min_kwh=1, max_kwh=10, charge_kw=5, discharge_kw=5)
    return msgspec.structs.replace(store, **changes)


def car(**changes: Any) -> CarNeed:
    """11 kW, 50 kWh, needs 20 kWh from the wall."""
    one = CarNeed(
        vehicle="eup",
        loadpoint="carport",
        need_kwh=20,
        max_kw=11,
        min_kw=4.14,
        capacity_kwh=50,
        soc_pct=30,
    )
    return msgspec.structs.replace(one, **changes)


def home(slots: int = SHORT, **changes: Any) -> Problem:
    """A house with 0.4 kW of load, 30 ct flat, 8 ct for export, no sun."""
    problem = Problem(
        at=NOON,
        zone="Europe/Berlin",
        import_eur_kwh=(0.30,) * slots,
        export_eur_kwh=(0.08,) * slots,
        load_kw=(0.4,) * slots,
        pv_kw=(0.0,) * slots,
    )
    return msgspec.structs.replace(problem, **changes)


def by_hour(values: dict[int, float], other: float, slots: int = SHORT) -> tuple[float, ...]:
    """One value per slot from NOON on: `values` by hour ahead, `other` elsewhere."""
    return tuple(values.get(k // 4, other) for k in range(slots))


def hours(count: float) -> datetime:
    """So many hours after NOON."""
    return NOON + timedelta(hours=count)


def bill(plan: Plan) -> float:
    """The cost of the slots, from nothing but what they show."""
    total = 0.0
    for slot in plan.slots:
        kwh_in = slot.grid_import_kw * slot.duration_s / 3600
        kwh_out = slot.grid_export_kw * slot.duration_s / 3600
        total += kwh_in * slot.import_eur_kwh - kwh_out * slot.export_eur_kwh
    return total


def assert_physical(problem: Problem, plan: Plan) -> None:
    """Balance, one direction at a time, SoC by its own dynamics, limits of battery and cars."""
    store = problem.store
    stored = store.stored_kwh if store else 0.0
    left = {(one.loadpoint, one.vehicle): one.need_kwh for one in problem.cars}
    limits = {one.loadpoint: one.max_kw for one in problem.cars}
    for slot in plan.slots:
        hours_ = slot.duration_s / 3600
        cars_kw = sum(one.charge_kw for one in slot.cars)
        given = slot.grid_import_kw + slot.pv_kw + slot.battery_discharge_kw
        taken = slot.grid_export_kw + slot.load_kw + slot.battery_charge_kw + cars_kw
        assert abs(given - taken) < 1e-5
        assert min(slot.grid_import_kw, slot.grid_export_kw) == 0
        charge, discharge = slot.battery_charge_kw * hours_, slot.battery_discharge_kw * hours_
        assert min(charge, discharge) < TOLERANCE_KWH
        deficit = max(0.0, slot.load_kw + cars_kw - slot.pv_kw) * hours_
        assert discharge <= deficit + TOLERANCE_KWH
        for one in slot.cars:
            assert -1e-9 <= one.charge_kw <= limits[one.loadpoint] + 1e-4
            left[one.loadpoint, one.vehicle] -= one.charge_kw * hours_
        if store is not None:
            stored += store.charge_efficiency * charge - discharge / store.discharge_efficiency
            assert slot.battery_soc_pct is not None
            assert abs(slot.battery_soc_pct - 100 * stored / store.capacity_kwh) < 0.01
            assert charge <= store.charge_kw * hours_ + TOLERANCE_KWH
            assert discharge <= store.discharge_kw * hours_ + TOLERANCE_KWH
            assert -0.01 <= slot.battery_soc_pct <= 100.01
    assert all(one > -TOLERANCE_KWH for one in left.values())


PLANNER = Planner()


def plan(problem: Problem) -> Plan:
    found = PLANNER.make_plan(problem)
    assert_physical(problem, found)
    return found


def car_kwh(found: Plan, start: float = 0, end: float = 1000, number: int = 0) -> float:
    return sum(
        slot.cars[number].charge_kw * slot.duration_s / 3600
        for slot in found.slots
        if hours(start) <= slot.start < hours(end)
    )


def modes(found: Plan, start: float, end: float) -> set[BatteryMode | None]:
    return {slot.battery_mode for slot in found.slots if hours(start) <= slot.start < hours(end)}


def valley_and_peak(**changes: Any) -> Problem:
    """8 ct in hours 10 to 14, 45 ct in hours 18 to 22, else 30 ct; load in the peak; no sun."""
    values = dict.fromkeys(range(10, 14), 0.08) | dict.fromkeys(range(18, 22), 0.45)
    given_ = {
        "import_eur_kwh": by_hour(values, 0.30),
        "load_kw": by_hour(dict.fromkeys(range(18, 22), 1.5), 0.3),
        "store": battery(stored_kwh=1.0),
    }
    return home(**(given_ | changes))
