"""What the optimizer plans on: cars, battery, prices of its state and slot."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.planner_inputs import car_of, store_of
from engine.messages import (
    RatesChanged,
)
from engine.settings import BatterySettings, Settings
from engine.values import (
    Battery,
    ChargeMode,
    EvccVehicle,
    Loadpoint,
    Ownership,
    Plan,
    Series,
    Turn,
    Why,
)
from tests.make_optimizer import (
    SETTINGS,
    SLOTS,
    complete,
    forecast,
    hear,
    home_state,
    loadpoint,
    optimizer,
    rates,
    state,
    turn,
    turns,
)
from tests.make_planner import NOON, hours


def need_of(turn_: Turn, lp: Loadpoint, config: Settings = SETTINGS, **changes: Any) -> Any:
    found = car_of(home_state(NOON, loadpoints=(lp,), **changes), config, turn_, NOON)
    return found[0] if found else None


def test_inv_19_power_and_capacity_are_those_of_the_plugged_car_at_this_loadpoint() -> None:
    two_phases = need_of(turn(), loadpoint())
    assert two_phases.max_kw == pytest.approx(0.23 * 16 * 2)
    assert two_phases.min_kw == pytest.approx(0.23 * 6 * 2)
    assert (two_phases.capacity_kwh, two_phases.efficiency) == (32.0, 0.9)
    assert two_phases.need_kwh == pytest.approx(9.6 / 0.9)
    one_phase = need_of(turn(), loadpoint(phases_configured=1, effective_max_current_a=32))
    assert one_phase.max_kw == pytest.approx(0.23 * 32)
    automatic = need_of(turn(), loadpoint(phases_configured=0, can_switch_phases=True))
    assert automatic.min_kw == pytest.approx(0.23 * 6)
    other = need_of(
        turn(vehicle="Zoe"),
        loadpoint(vehicle="Zoe"),
        vehicles=(EvccVehicle("zoe", "Zoe", phases=1, max_current_a=10),),
    )
    assert other.max_kw == pytest.approx(0.23 * 10)


def test_what_is_no_car_to_plan_for_is_left_out() -> None:
    assert need_of(turn(), loadpoint(connected=False)) is None
    assert need_of(turn(), loadpoint(charger=False)) is None
    assert need_of(turn(loadpoint="garage"), loadpoint()) is None
    disabled = replace(SETTINGS, cars=(replace(SETTINGS.cars[0], disabled=True),))
    assert need_of(turn(), loadpoint(), disabled) is None


def test_guests_are_asked_in_kwh_from_the_wall() -> None:
    guest = turn(vehicle=None, target_soc_pct=None, energy_kwh=10.0, need_kwh=6.0, soc_pct=None)
    assert need_of(guest, loadpoint(vehicle=None)).need_kwh == 6.0


@pytest.mark.parametrize(("mode", "planned_for"), [("off", False), ("pv", False), ("now", True)])
def test_a_humans_mode_is_a_constraint(mode: str, planned_for: bool) -> None:
    owned = Ownership("loadpoint:Carport:mode", "human", NOON, None, Why("override"))
    found = need_of(turn(), loadpoint(mode=ChargeMode(mode)), in_control=(owned,))
    assert (found is not None) is planned_for
    assert found is None or found.asap


def test_inv_16_a_past_departure_is_unknown() -> None:
    assert need_of(turn(departure=hours(-1)), loadpoint()).departure is None
    assert need_of(turn(departure=hours(1)), loadpoint()).departure == hours(1)


def test_a_home_without_battery_or_with_unknown_soc_is_planned() -> None:
    for battery in (None, Battery(None, None, 10), Battery(50, 0, None)):
        actor = optimizer(replace(SETTINGS, battery=None))
        made = hear(actor, [state(NOON, battery=battery), *complete(NOON)[1:]])
        assert made[0].plan.slots[0].battery_mode is None
        assert made[0].plan.slots[0].battery_soc_pct is None


@pytest.mark.parametrize(
    ("mode", "charges", "holds"),
    [("charge", False, True), ("hold", True, False), (None, True, True)],
)
def test_a_battery_mode_that_is_not_obeyed_is_planned_around(
    mode: str | None, charges: bool, holds: bool
) -> None:
    why = Why("battery_not_obeyed", (("mode", mode),)) if mode else Why("battery_keeps")
    stuck = Ownership("battery_mode", "evcc", NOON, None, why)
    store = store_of(replace(home_state(NOON), in_control=(stuck,)), SETTINGS)
    assert store is not None
    assert (store.grid_charging, store.controllable) == (charges, holds)


def test_inv_15_the_soc_of_the_state_is_the_soc_of_the_plan() -> None:
    actor = optimizer(replace(SETTINGS, battery=BatterySettings(capacity_kwh=10, max_soc_pct=90)))
    full = state(NOON, battery=Battery(96, 0, 10, controllable=True))
    (said,) = hear(actor, [full, *complete(NOON)[1:]])
    first = said.plan.slots[0]
    served = first.battery_discharge_kw * 0.25 / 0.95 / 10 * 100
    assert first.battery_soc_pct == pytest.approx(96 - served, abs=1e-4)


def test_inv_04_elapsed_prices_do_not_influence_the_plan() -> None:
    def plan_with(elapsed: float | None) -> Plan:
        series = Series(hours(-6), (elapsed,) * 24 + (0.2, 0.3) * SLOTS)
        told = replace(rates(NOON), import_eur_kwh=series)
        (said,) = hear(optimizer(), [state(NOON), told, forecast(NOON), turns(NOON)])
        return said.plan

    assert plan_with(0.01) == plan_with(9.0) == plan_with(None)
    assert plan_with(9.0).slots[0].import_eur_kwh == 0.2


def test_the_learnt_shape_stands_in_for_prices_not_yet_published() -> None:
    actor = optimizer()
    day = tuple(0.1 if k < 48 else 0.4 for k in range(96))
    yesterday = NOON - timedelta(hours=24)
    told = RatesChanged(yesterday, 1, Series(yesterday, day), Series(yesterday), Series(yesterday))
    hear(actor, [told])
    few = Series(NOON, (0.25,))
    (said,) = hear(
        actor,
        [state(NOON), replace(rates(NOON, 2), import_eur_kwh=few), forecast(NOON), turns(NOON)],
    )
    assert [slot.import_eur_kwh for slot in said.plan.slots[:3]] == [0.25, 0.1, 0.1]
    assert [slot.assumed_price for slot in said.plan.slots[:2]] == [False, True]
