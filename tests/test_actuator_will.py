"""The will: what is to be given back when we are gone, and when it is said."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Said
from engine.estate import Bequest
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeStands,
    Order,
    StopAsked,
    Tick,
    WillMade,
)
from engine.values import BatteryMode, Control, EvccVehicle, Loadpoint, Why
from tests.make_actuator import (
    MINPV,
    NOW,
    OFF,
    PV,
    RESTORE,
    T0,
    actuator,
    after,
    charging,
    config,
    confirm,
    loadpoint,
    orders,
    plan_of,
    site,
    state,
    tell,
    turns,
)

SIX = after(5 * 3600)
KIA = EvccVehicle("kia", "Kia", capacity_kwh=60.0)
DEADLINE = Why("will_departure", (("departure_at", SIX.isoformat()),))
RELEASE = Bequest("battery_mode", RESTORE)
PLAN = Bequest("plan_soc", DEADLINE, "garage", "kia", 80.0, SIX)


def back(setting: str, value: str | float) -> Bequest:
    return Bequest(setting, RESTORE, "garage", value=value)


def given(setting: str, value: str | float, was: str | float) -> Bequest:
    return replace(back(setting, value), why=replace(RESTORE, numbers=(("was", was),)))


def instead(setting: str, value: str | float, had: str | float) -> Bequest:
    why = replace(DEADLINE, numbers=(*DEADLINE.numbers, ("had", had)))
    return Bequest(setting, why, "garage", value=value)


def wills(said: list[Said]) -> list[tuple[Bequest, ...]]:
    return [one.bequests for one in said if isinstance(one, WillMade)]


def waiting(lp: Loadpoint | None = None, car: EvccVehicle | None = KIA, **turn: Any) -> Actuator:
    """One whose car waits for a cheap slot, with a departure at six."""
    vehicles = (car,) if car is not None else ()
    actor = actuator(home=site(lp or loadpoint(), vehicles=vehicles))
    tell(actor, turns(departure=SIX, **turn), plan_of(PV, PV, PV))
    return actor


def test_what_the_user_had_is_willed_before_the_first_order_and_till_it_is_back() -> None:
    actor = actuator(home=site(loadpoint(mode=MINPV, limit_soc_pct=95.0)))
    said = tell(actor, plan_of(NOW, NOW))
    assert [type(one) for one in said][:2] == [WillMade, Order]
    assert wills(said + confirm(actor, said, T0)) == [
        (back("limit_soc", 95.0),),
        (back("mode", "minpv"), back("limit_soc", 95.0)),
    ]
    said = tell(actor, StopAsked(after(60)))
    assert wills(said) == [(given("mode", "minpv", "now"), given("limit_soc", 95.0, 80.0))]
    confirm(actor, said, after(61))
    # a crash of evcc loses what is younger than a minute: so long it may have to be said again
    assert actor.memory.will == (given("mode", "minpv", "now"), given("limit_soc", 95.0, 80.0))
    assert wills(tell(actor, Tick(after(140)))) == []
    assert wills(tell(actor, Tick(after(150)))) == [()]


def test_the_battery_is_released_first_and_until_that_is_confirmed() -> None:
    actor = actuator()
    said = tell(actor, plan_of(PV, battery=BatteryMode.HOLD))
    assert [type(one) for one in said][:2] == [WillMade, BatteryModeStands]
    assert wills(said) == [(RELEASE,)]
    tell(actor, BatteryModeConfirmed(after(1), BatteryMode.HOLD))
    made = plan_of(NOW, battery=BatteryMode.HOLD, made_at=after(2), revision=8)
    assert wills(tell(actor, made)) == [(RELEASE, back("limit_soc", 0.0))]
    over = plan_of(PV, made_at=after(3), revision=9)
    assert all(RELEASE in will for will in wills(tell(actor, over)))
    assert RELEASE in actor.memory.will
    (will,) = wills(tell(actor, BatteryModeConfirmed(after(4), None)))
    assert RELEASE not in will


def test_it_is_said_only_when_it_changed_and_not_at_all_where_nothing_is_ours() -> None:
    assert wills(tell(actuator(), plan_of(PV), Tick(after(10)), state(after(11)))) == []
    actor = charging()
    assert wills(tell(actor, Tick(after(30)), Tick(after(40)), turns(after(41)))) == []


@pytest.mark.parametrize("control", [Control.WATCH, Control.OFF])
def test_without_control_there_is_no_will(control: Control) -> None:
    actor = actuator(turns(departure=SIX), control=control, home=site(vehicles=(KIA,)))
    assert wills(tell(actor, plan_of(NOW), Tick(after(10)))) == []
    acting = waiting()
    assert acting.memory.will == (PLAN,)
    assert wills(tell(acting, config(control))) == [()]


def test_a_car_that_waits_for_its_departure_gets_evccs_own_plan() -> None:
    actor = waiting()
    assert actor.memory.will == (PLAN,)
    assert wills(tell(actor, turns(after(30), departure=SIX, need_kwh=0.0))) == [()]
    assert wills(tell(actor, turns(after(40)))) == []  # no departure: nothing to keep


def test_while_we_charge_the_will_has_the_users_settings_and_the_plan() -> None:
    actor = charging()
    tell(actor, turns(after(21), departure=SIX))
    assert actor.memory.will == (
        back("mode", "pv"),
        back("limit_soc", 0.0),
        replace(PLAN, vehicle="kia"),
    )


def test_a_stop_in_order_leaves_the_departure_in_the_will() -> None:
    actor = waiting()
    tell(actor, StopAsked(after(60)))
    assert actor.memory.will == (PLAN,)


def test_a_departure_that_is_over_is_no_longer_willed() -> None:
    actor = waiting()
    at = after(5 * 3600 + 1)
    assert wills(tell(actor, Tick(at))) == [()]


@pytest.mark.parametrize(
    ("lp", "car"),
    [
        (loadpoint(vehicle=None, vehicle_soc_pct=None, session_kwh=3.0), None),
        (
            loadpoint(vehicle_soc_pct=None, session_kwh=3.0),
            replace(KIA, offline=True),
        ),
    ],
    ids=["guest", "offline"],
)
def test_where_evcc_knows_no_soc_the_plan_is_in_kwh(lp: Loadpoint, car: EvccVehicle | None) -> None:
    name = lp.vehicle or ""
    turn: dict[str, Any] = {"target_soc_pct": None, "energy_kwh": 7.2, "need_kwh": 7.2}
    actor = waiting(lp, car, vehicle=lp.vehicle, **turn)
    assert actor.memory.will == (Bequest("plan_energy", DEADLINE, "garage", name, 7.5, SIX),)


def test_a_car_with_an_api_is_planned_in_percent_though_its_soc_is_unknown_and_never_now() -> None:
    actor = waiting(loadpoint(vehicle_soc_pct=None), need_kwh=1.0)
    assert actor.memory.will == (PLAN,)


def test_less_than_a_quarter_of_an_hour_is_charged_at_once_up_to_a_limit() -> None:
    short = waiting(loadpoint(vehicle_soc_pct=77.0), need_kwh=2.4)  # 2.7 kWh of 11 kW
    assert short.memory.will == (instead("limit_soc", 80.0, 0.0), instead("mode", "now", "pv"))
    longer = waiting(loadpoint(vehicle_soc_pct=77.0), need_kwh=2.6)
    assert longer.memory.will == (PLAN,)
    guest = loadpoint(vehicle=None, vehicle_soc_pct=None, session_kwh=3.0)
    need: dict[str, Any] = {"target_soc_pct": None, "energy_kwh": 1.5, "need_kwh": 1.5}
    assert waiting(guest, None, vehicle=None, **need).memory.will == (
        instead("limit_energy", 4.5, 0.0),
        instead("mode", "now", "pv"),
    )


def test_a_single_phase_box_needs_longer_for_the_same_energy() -> None:
    slow = loadpoint(vehicle_soc_pct=77.0, phases_active=1)
    assert waiting(slow, need_kwh=2.4).memory.will == (PLAN,)


def test_an_off_that_no_human_said_is_pv_for_the_plan() -> None:
    """Plugged in while the loadpoint's default is `off`: a plan does not charge in `off`."""
    gone = site(loadpoint(mode=OFF, connected=False, vehicle=None), vehicles=(KIA,))
    actor = actuator(home=gone)
    came = site(loadpoint(mode=OFF), vehicles=(KIA,))
    said = tell(actor, state(after(20), came), turns(after(21), departure=SIX), plan_of(PV))
    assert orders(said) == [("mode", "pv")]
    assert actor.memory.will == (instead("mode", "pv", "off"), PLAN)


@pytest.mark.parametrize("mode", [OFF, PV])
def test_a_humans_mode_is_left_as_it_is_and_no_plan_is_made_behind_it(mode: Any) -> None:
    actor = charging()
    tell(actor, turns(after(21), departure=SIX))
    tell(actor, state(after(60), site(loadpoint(mode=mode, limit_soc_pct=80.0))))
    assert {one.setting for one in actor.memory.will} == {"limit_soc"}


def test_a_humans_limit_is_left_as_it_is() -> None:
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=NOW, limit_soc_pct=55.0))))
    assert actor.memory.will == (back("mode", "pv"),)


@pytest.mark.parametrize(
    ("lp", "car"),
    [
        (loadpoint(), replace(KIA, plan_soc_pct=70.0, plan_at=after(9 * 3600))),
        (loadpoint(plan_at=after(3600), plan_soc_pct=80.0), KIA),
        (loadpoint(plan_energy_kwh=5.0, plan_at=after(9 * 3600)), KIA),
    ],
    ids=["the car's", "a repeating one", "in kWh"],
)
def test_a_plan_that_evcc_has_is_not_overwritten(lp: Loadpoint, car: EvccVehicle) -> None:
    assert waiting(lp, car).memory.will == ()


def test_a_repeating_plan_for_later_does_not_stand_for_this_departure() -> None:
    assert waiting(loadpoint(plan_at=after(9 * 3600), plan_soc_pct=80.0)).memory.will == (PLAN,)


def test_the_users_own_limits_cap_the_plan() -> None:
    assert waiting(loadpoint(limit_soc_pct=60.0)).memory.will == (replace(PLAN, value=60.0),)
    assert waiting(car=replace(KIA, limit_soc_pct=55.0)).memory.will == (replace(PLAN, value=55.0),)
    assert waiting(loadpoint(limit_soc_pct=40.0)).memory.will == ()


def test_where_evccs_own_optimizer_is_in_control_no_plan_is_willed() -> None:
    actor = waiting()
    home = site(vehicles=(KIA,), optimizer_controls=True)
    assert wills(tell(actor, state(after(30), home))) == [()]
