"""The actuator's orders: what a planned block, its goal and its end become in evcc."""

import pytest
from msgspec.structs import replace

from engine.estate import Bequest
from engine.messages import (
    Order,
    OrderConfirmed,
    OwnershipChanged,
    StopAsked,
    Tick,
    WillMade,
)
from engine.settings import CarSettings
from engine.values import (
    ChargeMode,
    Control,
    EvccVehicle,
    Ownership,
    Why,
)
from tests.make_actuator import (
    CHEAP,
    IN_NOW,
    LATER,
    LIMIT_80,
    MINPV,
    NOW,
    OFF,
    PV,
    RESTORE,
    SERVES,
    T0,
    actuator,
    after,
    confirm,
    fail,
    loadpoint,
    orders,
    owned,
    owners,
    plan_of,
    site,
    state,
    tell,
    turns,
    whole_orders,
)

BLOCK_END = after(1800)


def test_a_block_of_now_begins_with_its_goal_as_limit() -> None:
    actor = actuator()
    made = plan_of(NOW, NOW, PV)
    limit = Order(T0, 1, "garage", "limit_soc", 80.0, LIMIT_80, BLOCK_END, 7)
    mode = Order(T0, 2, "garage", "mode", "now", CHEAP, BLOCK_END, 7)
    battery = Ownership("battery_mode", "evcc", T0, after(7200), SERVES)
    ours = owned("smartload", CHEAP, BLOCK_END)
    our_limit = owned("smartload", LIMIT_80, BLOCK_END, "limit_soc")
    limit_back = Bequest("limit_soc", RESTORE, "garage", value=0.0)
    mode_back = Bequest("mode", RESTORE, "garage", value="pv")
    assert list(actor.on(made)) == [
        WillMade(T0, (limit_back,)),
        limit,
        OwnershipChanged(T0, Control.ON, (battery, ours)),
    ]
    assert list(actor.on(OrderConfirmed(T0, limit))) == [
        WillMade(T0, (mode_back, limit_back)),
        mode,
        OwnershipChanged(T0, Control.ON, (battery, ours, our_limit)),
    ]
    assert list(actor.on(OrderConfirmed(T0, mode))) == []


def test_at_the_end_of_the_block_the_mode_is_pv_and_the_limit_the_users_own() -> None:
    actor = actuator(home=site(loadpoint(limit_soc_pct=95.0)))
    confirm(actor, tell(actor, plan_of(NOW, NOW, PV)), T0)
    end = plan_of(PV, PV, made_at=after(900), revision=8)
    said = tell(actor, Tick(after(900)), state(after(900), site(IN_NOW)), end)
    (mode,) = whole_orders(said)
    assert (mode.setting, mode.value, mode.why, mode.plan_revision) == ("mode", "pv", LATER, 8)
    (limit,) = whole_orders(tell(actor, OrderConfirmed(after(901), mode)))
    assert (limit.setting, limit.value, limit.why) == ("limit_soc", 95.0, RESTORE)
    assert confirm(actor, [limit], after(902))[0] is not None
    assert orders(tell(actor, Tick(after(910)), state(after(930), site()))) == []


@pytest.mark.parametrize(
    ("planned", "mode"), [(NOW, "now"), (MINPV, "minpv"), (PV, None), (OFF, None)]
)
def test_each_planned_mode_becomes_evccs_mode_and_off_is_never_ours(
    planned: ChargeMode, mode: str | None
) -> None:
    actor = actuator()
    said = tell(actor, plan_of(planned))
    said += confirm(actor, said, T0)
    assert [value for setting, value in orders(said) if setting == "mode"] == (
        [mode] if mode else []
    )


def test_not_now_is_pv_whatever_the_user_had() -> None:
    actor = actuator(home=site(loadpoint(mode=MINPV)))
    assert orders(tell(actor, plan_of(PV))) == [("mode", "pv")]


def test_loadpoints_without_a_charger_are_never_touched() -> None:
    heater = loadpoint("garage", charger=False)
    actor = actuator(home=site(heater))
    said = tell(actor, plan_of(NOW), Tick(after(10)), StopAsked(after(20)))
    assert orders(said) == []
    assert not [one for one in owners(said) if one.startswith("loadpoint")]


def test_a_guest_has_its_goal_in_kwh_counted_from_the_session() -> None:
    guest = loadpoint(vehicle=None, vehicle_soc_pct=None, session_kwh=3.25)
    actor = actuator(home=site(guest))
    tell(actor, turns(vehicle=None, target_soc_pct=None, energy_kwh=7.0, need_kwh=7.0))
    said = tell(actor, plan_of(NOW))
    assert orders(said) == [("limit_energy", 10.3)]
    assert whole_orders(said)[0].why == Why("limit_of_block_kwh", (("limit_kwh", 10.3),))
    assert orders(confirm(actor, said, T0)) == [("mode", "now")]
    charged = replace(guest, mode=NOW, limit_energy_kwh=10.3, session_kwh=5.0, charge_w=11_000.0)
    left = turns(after(31), vehicle=None, target_soc_pct=None, energy_kwh=5.25, need_kwh=5.25)
    assert orders(tell(actor, state(after(30), site(charged)), left)) == []


def test_a_car_whose_soc_evcc_does_not_know_gets_the_energy_that_it_needs() -> None:
    actor = actuator(
        home=site(loadpoint(vehicle_soc_pct=None)),
        cars=(CarSettings("KIA", charge_efficiency=0.8),),
    )
    assert orders(tell(actor, plan_of(NOW))) == [("limit_energy", 30.0)]


def test_the_goal_never_exceeds_the_users_own_limits() -> None:
    capped = site(loadpoint(limit_soc_pct=70.0))
    said = confirm(actor := actuator(home=capped), tell(actor, plan_of(NOW)), T0)
    assert orders(said) == []
    assert orders(tell(actuator(home=capped), plan_of(NOW))) == [("mode", "now")]
    vehicle = EvccVehicle("Kia", "Kia", limit_soc_pct=60.0)
    assert orders(tell(actuator(home=site(vehicles=(vehicle,))), plan_of(NOW)))[0] == (
        "limit_soc",
        60.0,
    )


def test_a_fractional_target_is_rounded_up() -> None:
    actor = actuator(turns(target_soc_pct=72.2))
    assert orders(tell(actor, plan_of(NOW))) == [("limit_soc", 73.0)]


def test_a_limit_that_evcc_keeps_refusing_does_not_keep_the_car_from_charging() -> None:
    actor = actuator()
    said = tell(actor, plan_of(NOW, NOW))
    for k in (1, 2):
        fail(actor, said, after(20 * k))
        said = tell(actor, Tick(after(20 * k + 10)))
        assert orders(said) == [("limit_soc", 80.0)]
    assert orders(fail(actor, said, after(60))) == [("mode", "now")]


def test_a_plan_for_another_car_is_not_carried_out() -> None:
    known = (EvccVehicle("kia", "Kia"), EvccVehicle("ora", "Ora"))
    actor = actuator(home=site(loadpoint(vehicle="ora", mode=NOW), vehicles=known))
    assert orders(tell(actor, plan_of(NOW))) == [("mode", "pv")]


def test_names_are_compared_without_case() -> None:
    known = (EvccVehicle("KIA", "Kia"),)
    actor = actuator(home=site(loadpoint(vehicle="KIA"), vehicles=known))
    assert orders(tell(actor, plan_of(NOW))) == [("limit_soc", 80.0)]


def test_order_ids_are_unique_and_grow() -> None:
    actor = actuator()
    said = tell(actor, plan_of(NOW))
    said += confirm(actor, said, T0)
    said += tell(actor, StopAsked(after(100)))
    ids = [order.order_id for order in whole_orders(said)]
    assert ids == sorted(set(ids))
    assert len(ids) == 4
