"""One reserve floor from plan to order, and what keeps the battery from cars, by the actors."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator
from engine.messages import ConfigRead, PlanMade, StateChanged, Tick
from engine.settings import BatterySettings, CarSettings, Settings
from engine.values import Battery, BatteryMode, ChargeMode, Control, Why
from tests.make_actuator import (
    NOW,
    PV,
    T0,
    actuator,
    after,
    loadpoint,
    plan_of,
    rates,
    site,
    stands,
    state,
    tell,
)
from tests.make_optimizer import SETTINGS, complete, hear, home_state, optimizer
from tests.make_optimizer import rates as known_rates
from tests.make_planner import NOON

RESERVE = BatterySettings(reserve_soc_pct=40.0, capacity_kwh=10.0)
NOT_FOR_CARS = BatterySettings(feeds_cars="never")


def battery(soc_pct: float, charge_w: float = 0.0) -> Battery:
    return Battery(soc_pct, charge_w, 10.0, controllable=True)


def asked(own: BatterySettings, **home: Any) -> tuple[BatteryMode | None, Why]:
    """What stands for a plan that lets the battery serve, on such a reading."""
    actor = actuator(plan_of(PV, battery=BatteryMode.NORMAL), home=site(**home), battery=own)
    (said,) = stands(tell(actor, Tick(after(10))))
    return said.mode, said.why


def acted(settings: Settings, soc_pct: float) -> tuple[PlanMade, BatteryMode | None, str]:
    """Optimizer and actuator in one cycle: the plan, and what the actuator lets stand for it."""
    heard = [*complete(NOON)]
    reading = StateChanged(NOON, home_state(NOON, battery=battery(soc_pct)))
    (made,) = hear(optimizer(settings), [reading, *heard[1:]])
    actor = Actuator()
    tell(actor, ConfigRead(NOON, replace(settings, control=Control.ON)), Tick(NOON))
    (said,) = stands(tell(actor, reading, known_rates(NOON), made, Tick(NOON)))[-1:]
    return made, said.mode, said.why.code


@pytest.mark.parametrize("reserve_pct", [20.0, 40.0, 65.0])
def test_inv_21_inv_55_plan_and_orders_know_one_reserve_in_the_same_cycle(
    reserve_pct: float,
) -> None:
    own = replace(RESERVE, reserve_soc_pct=reserve_pct, grid_charging=False)
    settings = replace(SETTINGS, battery=own, cars=(CarSettings(name="eUp", disabled=True),))
    made, mode, code = acted(settings, reserve_pct)
    assert min(slot.battery_soc_pct or 0 for slot in made.plan.slots) >= reserve_pct - 1e-6
    assert made.plan.slots[0].battery_mode is BatteryMode.HOLD
    assert (mode, code) == (BatteryMode.HOLD, "battery_reserve")
    made, mode, code = acted(settings, reserve_pct + 20)
    assert made.plan.slots[0].battery_mode is BatteryMode.NORMAL
    assert mode is None
    # the same value ends both: the plan stops at it, and the order within the slot
    assert min(slot.battery_soc_pct or 0 for slot in made.plan.slots) >= reserve_pct - 1e-6


def test_inv_21_the_reserve_holds_within_the_slot_that_the_plan_lets_serve() -> None:
    reserve = Why("battery_reserve", (("reserve_pct", 40.0),))
    for soc_pct, mode in ((41.0, None), (40.0, BatteryMode.HOLD), (12.0, BatteryMode.HOLD)):
        stood, why = asked(RESERVE, battery=battery(soc_pct, -500.0))
        assert stood is mode
        assert (why == reserve) is (mode is BatteryMode.HOLD)
    # while the sun feeds it nothing is held
    assert asked(RESERVE, battery=battery(30.0, 900.0), grid_import_w=-10.0)[0] is None
    # the inverter itself keeps its least charge
    assert asked(BatterySettings(), battery=battery(10.0, -500.0))[0] is None


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({"mode": NOW, "charging": True}, True),
        ({"mode": ChargeMode.MINPV, "charging": True}, True),
        ({"mode": PV, "charging": True, "plan_active": True}, True),
        ({"mode": PV, "charging": True}, False),
        ({"mode": NOW, "charging": False}, False),
        ({"mode": NOW, "charging": True, "charger": False}, False),
    ],
)
def test_a_battery_that_feeds_no_car_is_held_while_one_draws_what_it_is_told(
    changes: dict[str, Any], held: bool
) -> None:
    mode, why = asked(NOT_FOR_CARS, loadpoints=(loadpoint(**changes),))
    assert (mode is BatteryMode.HOLD) is held
    assert (why == Why("battery_not_for_cars")) is held
    assert asked(BatterySettings(), loadpoints=(loadpoint(**changes),))[0] is None
    sunny = {"grid_import_w": -300.0, "battery": battery(50.0, 400.0)}
    assert asked(NOT_FOR_CARS, loadpoints=(loadpoint(**changes),), **sunny)[0] is None


def test_inv_24_no_order_charges_the_battery_above_its_ceiling() -> None:
    """Prices may have changed since the plan."""
    own = BatterySettings(max_price_eur_kwh=0.25)
    made = plan_of(PV, battery=BatteryMode.CHARGE)
    for price, mode in ((0.25, BatteryMode.CHARGE), (0.2501, None)):
        actor = actuator(rates(T0, price), made, battery=own)
        (said,) = stands(tell(actor, Tick(after(10))))
        assert said.mode is mode
    assert said.why.code == "battery_too_dear"
    tell(actor, state(after(20)))
    assert stands(tell(actor, Tick(after(20))))[0].mode is None
