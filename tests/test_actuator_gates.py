"""The actuator's gates: the battery's modes, control, and giving everything back."""

import pytest
from msgspec.structs import replace

from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    HandsOff,
    Order,
    OrderConfirmed,
    StopAsked,
    Tick,
    WillMade,
)
from engine.settings import BatterySettings
from engine.values import (
    Battery,
    BatteryMode,
    Control,
    Why,
)
from tests.make_actuator import (
    CHEAP,
    HOLDS,
    IN_NOW,
    MINPV,
    NOW,
    PV,
    RESTORE,
    T0,
    actuator,
    after,
    charging,
    config,
    confirm,
    fail,
    loadpoint,
    orders,
    owned,
    owners,
    plan,
    plan_of,
    plan_slot,
    site,
    stands,
    state,
    tell,
    whole_orders,
)

# --- the battery ---------------------------------------------------------------------------------


def test_the_battery_mode_is_said_at_every_tick() -> None:
    actor = actuator()
    assert [one.mode for one in stands(tell(actor, Tick(after(10))))] == [None]
    made = plan_of(PV, battery=BatteryMode.HOLD)
    hold = BatteryModeStands(T0, BatteryMode.HOLD, HOLDS, after(7200), 7)
    assert stands(tell(actor, replace(made))) == [replace(hold, at=after(10))]
    assert tell(actor, Tick(after(20))) == [replace(hold, at=after(20))]


@pytest.mark.parametrize(
    ("mode", "stood"),
    [
        (None, None),
        (BatteryMode.UNKNOWN, None),
        (BatteryMode.NORMAL, None),
        (BatteryMode.HOLD, BatteryMode.HOLD),
        (BatteryMode.CHARGE, BatteryMode.CHARGE),
        (BatteryMode.HOLDCHARGE, BatteryMode.HOLDCHARGE),
    ],
)
def test_serving_is_a_released_battery(mode: BatteryMode | None, stood: BatteryMode | None) -> None:
    actor = actuator(plan_of(PV, battery=mode))
    assert [one.mode for one in stands(tell(actor, Tick(after(10))))] == [stood]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"battery": None}, "no_battery"),
        ({"battery": Battery(50.0, 0.0, 10.0)}, "battery_not_controllable"),
        ({"dimmed": True}, "dimmed"),
        ({"optimizer_controls": True}, "evcc_optimizer"),
    ],
)
def test_gates_that_release_the_battery(changes: dict[str, object], code: str) -> None:
    actor = actuator(plan_of(PV, battery=BatteryMode.CHARGE), home=site(**changes))
    (said,) = stands(tell(actor, Tick(after(10))))
    assert (said.mode, said.why.code) == (None, code)


def test_a_battery_that_may_not_charge_from_the_grid_does_not() -> None:
    made = plan_of(PV, battery=BatteryMode.CHARGE)
    actor = actuator(made, battery=BatterySettings(grid_charging=False))
    assert stands(tell(actor, Tick(after(10))))[0].why == Why("grid_charging_off")


def test_normal_stands_only_where_evcc_would_do_otherwise() -> None:
    serving = plan([plan_slot(T0, BatteryMode.NORMAL, discharge_kw=0.5)])
    locked = site(loadpoint(mode=NOW, charging=True), discharge_control=True)
    charged = site(grid_charge_limit_eur_kwh=0.35)
    for home, mode in [
        (site(discharge_control=True), None),
        (locked, BatteryMode.NORMAL),
        (charged, BatteryMode.NORMAL),
    ]:
        assert stands(tell(actuator(serving, home=home), Tick(after(10))))[0].mode is mode


def test_a_refused_battery_mode_is_not_shown_as_ours() -> None:
    actor = actuator()
    said = tell(actor, plan_of(PV, battery=BatteryMode.HOLD))
    assert owners(said)["battery_mode"].owner == "smartload"
    said = tell(actor, BatteryModeFailed(after(5), BatteryMode.HOLD, "evcc answered 0"))
    numbers = (("mode", "hold"), ("reason", "evcc answered 0"))
    shown = owners(said)["battery_mode"]
    assert (shown.owner, shown.why) == ("evcc", Why("battery_refused", numbers))
    said = tell(actor, BatteryModeConfirmed(after(9), BatteryMode.HOLD))
    assert owners(said)["battery_mode"].owner == "smartload"


# --- control and release -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "code"), [(Control.WATCH, "watching"), (Control.OFF, "switched_off")]
)
def test_unless_control_is_on_nothing_is_written_but_everything_said(
    control: Control, code: str
) -> None:
    actor = actuator(control=control)
    said = tell(actor, plan_of(NOW, battery=BatteryMode.HOLD), Tick(after(10)))
    said += tell(actor, StopAsked(after(20)))
    assert orders(said) == []
    assert {one.mode for one in stands(said)} == {None}
    assert stands(said)[0].why == Why(code, (("would", "battery_keeps"),))
    assert owners(said[:2])["loadpoint:garage:mode"] == owned(
        "evcc", Why(code, (("would", "car_cheap"), *CHEAP.numbers)), after(900)
    )


@pytest.mark.parametrize(
    ("bye", "code"),
    [(StopAsked(after(60)), "stopping"), (HandsOff(after(60), Why("x")), "hands_off")],
)
def test_at_the_end_the_battery_is_released_first_and_then_all_given_back(
    bye: StopAsked | HandsOff, code: str
) -> None:
    actor = actuator(home=site(loadpoint(mode=MINPV, limit_soc_pct=95.0)))
    confirm(actor, tell(actor, plan_of(NOW, battery=BatteryMode.HOLD)), T0)
    will, *said = actor.on(bye)
    assert isinstance(will, WillMade)
    assert said[0] == BatteryModeStands(after(60), None, Why(code), None, 7)
    assert said[1:3] == [
        Order(after(60), 3, "garage", "mode", "minpv", RESTORE, None, 7),
        Order(after(60), 4, "garage", "limit_soc", 95.0, RESTORE, None, 7),
    ]
    fail(actor, said[1:2], after(61))
    confirm(actor, said[2:3], after(61))
    assert orders(tell(actor, Tick(after(70)))) == [("mode", "minpv")]
    assert {one.owner for one in actor.memory.in_control} == {"evcc"}


def test_after_hands_off_a_writer_that_refuses_is_not_asked_for_ever() -> None:
    actor = charging()
    said = list(actor.on(HandsOff(after(60), Why("x"))))
    tries = 0
    for k in range(1, 40):
        tries += len([one for one in whole_orders(said) if one.setting == "mode"])
        fail(actor, said, after(60 + 10 * k))
        said = tell(actor, Tick(after(60 + 10 * k)))
        assert stands(said)[0].mode is None
    assert tries == 3


def test_what_the_writer_gave_back_itself_at_hands_off_is_believed() -> None:
    actor = charging()
    fail(actor, list(actor.on(HandsOff(after(60), Why("x")))), after(60))
    tell(actor, OrderConfirmed(after(61), Order(after(61), 0, "GARAGE", "mode", "pv", Why("x"))))
    assert actor.memory.desks[0].mode.present == "pv"
    assert ("mode", "pv") not in orders(tell(actor, Tick(after(70))))


def test_an_order_in_flight_at_the_end_is_taken_back_too() -> None:
    actor = actuator()
    said = confirm(actor, tell(actor, plan_of(NOW))[:0], T0)
    limit = actor.memory.desks[0].limit_soc.order
    assert limit is not None
    said = tell(actor, OrderConfirmed(T0, limit))
    assert orders(said) == [("mode", "now")]
    assert orders(tell(actor, StopAsked(after(1)))) == [("mode", "pv"), ("limit_soc", 0.0)]


def test_taking_control_away_gives_everything_back() -> None:
    actor = charging()
    said = tell(actor, replace(config(Control.WATCH), at=after(60)))
    assert stands(said)[0].mode is None
    assert orders(said) == [("mode", "pv"), ("limit_soc", 0.0)]
    fail(actor, said, after(61))
    home = site(IN_NOW)
    said = tell(actor, state(after(70), home), Tick(after(75)))
    assert orders(said) == [("mode", "pv")]
    confirm(actor, said, after(76))
    assert orders(tell(actor, Tick(after(85)))) == [("limit_soc", 0.0)]
    assert orders(tell(actor, plan_of(NOW, made_at=after(86), revision=9))) == []


def test_evccs_own_optimizer_is_never_fought() -> None:
    actor = charging()
    home = site(IN_NOW, optimizer_controls=True)
    said = tell(actor, state(after(60), home))
    assert orders(said + confirm(actor, said, after(61))) == [("mode", "pv"), ("limit_soc", 0.0)]
    assert owners(said)["loadpoint:garage:mode"].owner == "evcc_optimizer"
    assert owners(said)["battery_mode"].owner == "evcc_optimizer"
    assert orders(tell(actor, plan_of(NOW, made_at=after(62), revision=8))) == []


def test_an_active_plan_of_evcc_is_left_alone() -> None:
    actor = actuator(home=site(loadpoint(mode=MINPV, plan_active=True)))
    said = tell(actor, plan_of(NOW))
    assert orders(said) == []
    assert owners(said)["loadpoint:garage:mode"].why == Why("evcc_plan")


def test_evcc_alone_gets_everything_back() -> None:
    actor = charging()
    said = tell(actor, plan([], made_at=after(60), revision=8, rung="evcc"))
    assert orders(said + confirm(actor, said, after(61))) == [("mode", "pv"), ("limit_soc", 0.0)]


def test_an_empty_wallbox_gets_its_users_settings_back() -> None:
    actor = actuator(home=site(loadpoint(mode=MINPV)))
    confirm(actor, tell(actor, plan_of(PV)), T0)
    gone = site(loadpoint(connected=False, vehicle=None, vehicle_soc_pct=None))
    assert orders(tell(actor, state(after(300), gone))) == [("mode", "minpv")]


def test_a_car_that_has_just_come_waits_for_its_plan() -> None:
    actor = actuator(home=site(loadpoint(connected=False, vehicle=None, vehicle_soc_pct=None)))
    tell(actor, plan([plan_slot(T0)]))
    came = site(loadpoint(mode=NOW))
    assert orders(tell(actor, state(after(20), came), Tick(after(30)))) == []
    assert orders(tell(actor, state(after(90), came))) == [("mode", "pv")]
