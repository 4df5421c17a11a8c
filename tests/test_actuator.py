"""The actuator: orders, their ledger, gates, release, and who is in control."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    HandsOff,
    Order,
    OrderConfirmed,
    OwnershipChanged,
    StopAsked,
    Tick,
    TurnsGiven,
)
from engine.settings import BatterySettings, CarSettings
from engine.values import (
    Battery,
    BatteryMode,
    ChargeMode,
    Control,
    EvccVehicle,
    Ownership,
    Why,
)
from tests.make_actuator import (
    CHEAP,
    HOLDS,
    LATER,
    LIMIT_80,
    RESTORE,
    SERVES,
    T0,
    actuator,
    after,
    car,
    charging,
    config,
    confirm,
    fail,
    loadpoint,
    orders,
    owners,
    plan,
    plan_of,
    plan_slot,
    rates,
    site,
    stands,
    state,
    tell,
    turns,
    whole_orders,
)

NOW, PV, MINPV, OFF = ChargeMode.NOW, ChargeMode.PV, ChargeMode.MINPV, ChargeMode.OFF
BLOCK_END = after(1800)
IN_NOW = loadpoint(mode=NOW, limit_soc_pct=80.0)


def owned(owner: str, why: Why, until: object = None, setting: str = "mode") -> Ownership:
    return Ownership(f"loadpoint:garage:{setting}", owner, T0, until, why)  # type: ignore[arg-type]


# --- orders --------------------------------------------------------------------------------------


def test_a_block_of_now_begins_with_its_goal_as_limit() -> None:
    actor = actuator()
    made = plan_of(NOW, NOW, PV)
    limit = Order(T0, 1, "garage", "limit_soc", 80.0, LIMIT_80, BLOCK_END, 7)
    mode = Order(T0, 2, "garage", "mode", "now", CHEAP, BLOCK_END, 7)
    battery = Ownership("battery_mode", "evcc", T0, after(7200), SERVES)
    ours = owned("smartload", CHEAP, BLOCK_END)
    our_limit = owned("smartload", LIMIT_80, BLOCK_END, "limit_soc")
    assert list(actor.on(made)) == [limit, OwnershipChanged(T0, Control.ON, (battery, ours))]
    assert list(actor.on(OrderConfirmed(T0, limit))) == [
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


# --- invariants ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["car_surplus", "car_sun"])
def test_inv_13_sun_never_gives_permission_to_charge_from_the_grid(code: str) -> None:
    sunny = plan([plan_slot(T0, cars=(car(NOW, Why(code)),))])
    assert orders(tell(actuator(), sunny)) == []
    sun = plan([plan_slot(T0, BatteryMode.CHARGE, why=Why("battery_charges_sun"))])
    assert stands(tell(actuator(), sun, Tick(after(10))))[-1].mode is None


@pytest.mark.parametrize("price", [-0.05, 0.0])
def test_inv_14_a_negative_price_really_charges(price: float) -> None:
    actor = actuator(rates(price=price))
    why = Why("battery_charges_negative", (("price_eur_kwh", price),))
    slot = plan_slot(T0, BatteryMode.CHARGE, (car(NOW, Why("car_negative_price")),), why)
    said = tell(actor, plan([slot]))
    assert stands(said) == [BatteryModeStands(T0, BatteryMode.CHARGE, why, after(900), 7)]
    assert orders(said + confirm(actor, said, T0)) == [("limit_soc", 80.0), ("mode", "now")]


@pytest.mark.parametrize(
    "news",
    [rates(price=None), rates(price=0.1, grid_failed_since=T0)],
    ids=["gap", "failed"],
)
def test_inv_18_without_prices_the_battery_never_charges(news: object) -> None:
    actor = actuator(news, plan_of(PV, battery=BatteryMode.CHARGE))  # type: ignore[arg-type]
    (said,) = stands(tell(actor, Tick(after(10))))
    assert (said.mode, said.why) == (None, Why("no_prices"))


def test_inv_18_without_prices_a_deadline_still_charges() -> None:
    why = Why("car_deadline")
    actor = actuator(rates(price=None))
    said = tell(actor, plan([plan_slot(T0, cars=(car(NOW, why),))], rung="rules"))
    assert orders(said + confirm(actor, said, T0)) == [("limit_soc", 80.0), ("mode", "now")]


def test_inv_22_a_new_plan_is_carried_out_in_the_step_in_which_it_is_heard() -> None:
    actor = charging()
    said = tell(actor, plan_of(PV, battery=BatteryMode.HOLD, made_at=after(60), revision=8))
    assert orders(said) == [("mode", "pv")]
    assert stands(said)[0].mode is BatteryMode.HOLD


def test_inv_40_every_setting_has_exactly_one_owner_and_one_writer() -> None:
    said = tell(charging(), Tick(after(30)), StopAsked(after(40)))
    for told in said:
        if isinstance(told, OwnershipChanged):
            names = [one.setting for one in told.in_control]
            assert len(names) == len(set(names))
    assert Actuator.says == (Order, BatteryModeStands, OwnershipChanged)


def test_inv_41_a_late_reading_of_before_our_write_is_no_override() -> None:
    actor = actuator()
    confirm(actor, tell(actor, plan_of(NOW, NOW)), after(5))
    said = tell(actor, state(after(12), site(loadpoint(mode=PV))))
    assert orders(said) == []
    assert "human" not in {one.owner for one in owners(said).values()}
    assert actor.memory.desks[0].mode.present == "now"


def test_inv_41_a_write_whose_answer_was_lost_is_ours() -> None:
    actor = actuator()
    said = tell(actor, plan_of(NOW, NOW))
    mode = tell(actor, OrderConfirmed(T0, whole_orders(said)[0]))
    fail(actor, mode, after(10))
    tell(actor, state(after(20), site(IN_NOW)))
    desk = actor.memory.desks[0]
    assert (desk.mode.ours, desk.human) == ("now", None)


def test_inv_42_evccs_own_changes_at_plugging_are_no_override() -> None:
    actor = actuator(home=site(loadpoint(connected=False, vehicle=None, vehicle_soc_pct=None)))
    came = site(loadpoint(mode=MINPV))
    said = tell(actor, state(after(10), came), plan_of(PV, made_at=after(12)))
    assert orders(said) == [("mode", "pv")]
    gone = site(loadpoint(mode=NOW, connected=False, vehicle=None))
    confirm(actor, said, after(13))
    said = tell(actor, state(after(400), gone))
    assert orders(said) == []
    assert owners(said)["loadpoint:garage:mode"].why == Why("turn_none")


def test_inv_43_off_at_the_start_is_a_humans_word() -> None:
    actor = actuator(home=site(loadpoint(mode=OFF)))
    said = tell(actor, plan_of(NOW), Tick(after(10)), Tick(after(20)), StopAsked(after(30)))
    assert orders(said) == []


def test_inv_48_idle_periods_cause_no_writes() -> None:
    actor = charging()
    said = []
    for k in range(3, 80):
        said += tell(actor, Tick(after(10 * k)), state(after(10 * k), site(IN_NOW)))
        if k == 40:
            said += tell(actor, plan_of(NOW, NOW, made_at=after(405), revision=8))
    assert orders(said) == []
    assert len([one for one in said if isinstance(one, OwnershipChanged)]) <= 2


def test_inv_48_an_order_in_flight_is_not_repeated() -> None:
    actor = actuator()
    tell(actor, plan_of(NOW))
    assert orders(tell(actor, Tick(after(10)), state(after(11)), Tick(after(20)))) == []
    assert orders(tell(actor, Tick(after(30)))) == [("limit_soc", 80.0)]


def test_inv_49_a_failed_write_is_retried_at_a_tick_and_dropped_when_unwanted() -> None:
    actor = actuator()
    said = tell(actor, plan_of(NOW))
    assert orders(fail(actor, said, after(1))) == []
    assert orders(tell(actor, Tick(after(5)))) == []
    again = tell(actor, Tick(after(10)))
    assert orders(again) == [("limit_soc", 80.0)]
    fail(actor, again, after(11))
    tell(actor, plan_of(PV, made_at=after(12), revision=8))
    assert orders(tell(actor, Tick(after(30)), Tick(after(60)))) == []


def test_inv_49_our_setting_is_asserted_again_after_a_restart_of_evcc() -> None:
    actor = charging()
    lost = state(after(40), site(IN_NOW), measured_at=after(20), evcc_reachable=False)
    silent = replace(lost, state=replace(lost.state, evcc_silent_since=after(30)))
    assert orders(tell(actor, silent)) == []
    said = tell(actor, state(after(90), site(loadpoint(mode=PV))))
    said += confirm(actor, said, after(91))
    assert orders(said) == [("limit_soc", 80.0), ("mode", "now")]
    assert actor.memory.desks[0].mode.user == "pv"


def test_inv_49_a_new_version_of_evcc_is_a_restart() -> None:
    actor = charging()
    said = tell(actor, state(after(60), site(loadpoint(mode=PV), version="0.314.0")))
    assert orders(said) == [("limit_soc", 80.0)]


def test_inv_50_not_charging_withdraws_the_limit_that_was_set() -> None:
    actor = charging()
    said = tell(actor, plan_of(PV, made_at=after(60), revision=8))
    assert orders(said + confirm(actor, said, after(61))) == [("mode", "pv"), ("limit_soc", 0.0)]


def test_inv_54_deactivation_is_said_on_the_transition_only() -> None:
    actor = charging()
    said = tell(actor, plan_of(PV, made_at=after(60), revision=8))
    confirm(actor, said, after(61))
    home = site(loadpoint())
    later = [x for k in range(8, 80) for x in (Tick(after(10 * k)), state(after(10 * k), home))]
    assert orders(tell(actor, *later)) == []  # type: ignore[arg-type]


def test_inv_62_only_a_confirmed_write_is_believed() -> None:
    actor = actuator()
    said = tell(actor, plan_of(NOW))
    assert actor.memory.desks[0].limit_soc.present == 0.0
    fail(actor, said, after(1))
    assert actor.memory.desks[0].limit_soc.present == 0.0
    confirm(actor, tell(actor, Tick(after(10))), after(11))
    assert actor.memory.desks[0].limit_soc.present == 80.0
    assert actor.memory.desks[0].mode.present == "now"


def test_inv_62_a_late_answer_does_not_undo_a_later_one() -> None:
    actor = actuator()
    first = whole_orders(tell(actor, plan_of(NOW)))[0]
    second = replace(first, order_id=9, setting="mode", value="pv")
    tell(actor, OrderConfirmed(after(1), second), OrderConfirmed(after(2), first))
    stale = replace(first, order_id=8, setting="mode", value="now")
    tell(actor, OrderConfirmed(after(3), stale))
    assert actor.memory.desks[0].mode.present == "pv"


def test_inv_110_nothing_is_decided_before_the_first_reading() -> None:
    actor = Actuator()
    said = tell(actor, config(), rates(), turns(), plan_of(NOW, battery=BatteryMode.HOLD))
    said += tell(actor, Tick(after(10)))
    assert said == [BatteryModeStands(after(10), None, Why("no_reading"), None, 7)]


def test_inv_111_one_loadpoint_that_refuses_keeps_nothing_else_from_going_on() -> None:
    two = site(loadpoint(), loadpoint("yard", id=2, vehicle="ora"))
    both = (car(NOW), replace(car(NOW), vehicle="ora", loadpoint="yard"))
    given = turns().turns[0]
    actor = actuator(home=two)
    tell(actor, TurnsGiven(T0, (given, replace(given, loadpoint="yard", vehicle="ora"))))
    said = tell(actor, plan([plan_slot(T0, BatteryMode.HOLD, both)]))
    refused = [one for one in whole_orders(said) if one.loadpoint == "garage"]
    taken = [one for one in whole_orders(said) if one.loadpoint == "yard"]
    fail(actor, refused, after(1))
    assert orders(confirm(actor, taken, after(1))) == [("mode", "now")]
    assert stands(tell(actor, Tick(after(10))))[0].mode is BatteryMode.HOLD


def test_inv_111_without_prices_and_turns_the_rest_goes_on() -> None:
    actor = Actuator()
    tell(actor, config(), state(T0), plan_of(PV, battery=BatteryMode.HOLD))
    assert stands(tell(actor, Tick(after(10))))[0].mode is BatteryMode.HOLD


def test_inv_112_an_old_reading_decides_nothing_and_releases_the_battery() -> None:
    actor = actuator(plan_of(PV, battery=BatteryMode.HOLD), state(after(20)))
    assert stands(tell(actor, Tick(after(140))))[0].mode is BatteryMode.HOLD
    said = tell(actor, Tick(after(150)), plan_of(NOW, made_at=after(150), revision=8))
    assert orders(said) == []
    assert [(one.mode, one.why) for one in stands(said)] == [
        (None, Why("reading_too_old", (("age_s", 130),)))
    ]


def test_inv_112_with_long_ticks_a_reading_may_be_one_tick_old() -> None:
    actor = actuator(plan_of(PV, battery=BatteryMode.HOLD), tick_s=300.0)
    assert stands(tell(actor, Tick(after(300))))[0].mode is BatteryMode.HOLD
    assert stands(tell(actor, Tick(after(600))))[0].mode is None


def test_inv_185_an_old_plan_is_not_acted_on() -> None:
    actor = charging()
    home = site(IN_NOW)
    tell(actor, *(state(after(20 + 200 * k), home) for k in range(1, 5)))
    said = tell(actor, Tick(after(950)), state(after(950), home))
    assert orders(said) == []  # the new slot's plan may take a minute
    said = tell(actor, Tick(after(970)), state(after(970), home))
    assert stands(said)[0].why == Why("plan_too_old", (("age_min", 16),))
    assert orders(said) == [("mode", "pv")]
    assert orders(confirm(actor, said, after(971))) == [("limit_soc", 0.0)]


def test_inv_185_without_a_plan_what_the_user_had_stays() -> None:
    actor = actuator(home=site(loadpoint(mode=NOW)))
    assert orders(tell(actor, Tick(after(10)), Tick(after(20)))) == []


def test_an_older_plan_that_comes_late_is_ignored() -> None:
    actor = actuator(plan_of(PV, made_at=after(60), revision=8))
    assert tell(actor, plan_of(NOW, made_at=T0, revision=7)) == []


def test_within_a_minute_the_last_slot_stands_and_then_the_plans_next_one() -> None:
    actor = actuator(state(after(880)))
    confirm(actor, tell(actor, plan_of(NOW, PV, made_at=after(880))), after(881))
    home = site(IN_NOW)
    assert orders(tell(actor, Tick(after(910)), state(after(910), home))) == []
    assert orders(tell(actor, Tick(after(960)), state(after(960), home))) == [("mode", "pv")]


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
    assert stands(said)[0].why == Why(code, (("would", "battery_holds"),))
    assert owners(said[:2])["loadpoint:garage:mode"] == owned(
        "evcc", Why(code, (("would", "car_cheapest"), *CHEAP.numbers)), after(900)
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
    said = list(actor.on(bye))
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


# --- humans --------------------------------------------------------------------------------------


def test_a_mode_that_a_human_sets_is_respected_and_shown() -> None:
    actor = charging()
    said = tell(actor, state(after(60), site(loadpoint(mode=OFF, limit_soc_pct=80.0))))
    shown = owners(said)["loadpoint:garage:mode"]
    assert (shown.owner, shown.why) == ("human", Why("human_mode", (("mode", "off"),)))
    assert orders(said) == [("limit_soc", 0.0)]
    confirm(actor, said, after(61))
    off = site(loadpoint(mode=OFF))
    later = tell(actor, Tick(after(70)), state(after(80), off), plan_of(NOW, made_at=after(90)))
    assert orders(later) == []
    tell(actor, turns(after(95), need_kwh=0.0))
    assert actor.memory.desks[0].human is not None


def test_a_humans_mode_ends_with_unplugging() -> None:
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=OFF))))
    gone = site(loadpoint(mode=OFF, connected=False, vehicle=None))
    said = tell(actor, state(after(90), gone))
    assert orders(said) == [("mode", "pv")]  # what was there before us
    assert owners(said)["loadpoint:garage:mode"].owner == "evcc"


def test_a_humans_mode_ends_when_the_target_is_reached() -> None:
    actor = actuator(plan_of(PV, PV))
    fast = site(loadpoint(mode=NOW))
    assert orders(tell(actor, state(after(60), fast), Tick(after(70)))) == []
    assert orders(tell(actor, turns(after(80), need_kwh=0.0))) == [("mode", "pv")]


def test_a_humans_mode_on_a_full_car_stays() -> None:
    actor = actuator(plan_of(PV, PV), turns(need_kwh=0.0))
    said = tell(actor, state(after(60), site(loadpoint(mode=NOW))), Tick(after(70)))
    assert orders(said) == []
    assert owners(said)["loadpoint:garage:mode"].owner == "human"


def test_a_human_gives_control_back_by_undoing_the_change() -> None:
    actor = charging()
    tell(actor, state(after(60), site(loadpoint(mode=PV, limit_soc_pct=80.0))))
    said = tell(actor, state(after(90), site(IN_NOW)))
    assert owners(said)["loadpoint:garage:mode"].owner == "smartload"


def test_a_limit_that_a_human_sets_is_kept_while_we_charge() -> None:
    actor = charging()
    said = tell(actor, state(after(60), site(loadpoint(mode=NOW, limit_soc_pct=55.0))))
    assert orders(said) == []
    assert owners(said)["loadpoint:garage:limit_soc"].why == Why(
        "human_limit_soc", (("limit_pct", 55.0),)
    )
    end = tell(actor, plan_of(PV, made_at=after(70), revision=8))
    assert orders(end + confirm(actor, end, after(71))) == [("mode", "pv")]


def test_acceptance_7_an_outage_of_evcc_ends_without_decisions_or_a_false_override() -> None:
    actor = charging()
    said = tell(actor, plan_of(NOW, NOW, battery=BatteryMode.HOLD, made_at=after(30)))
    for k in range(4, 244):  # 40 minutes; plans go on as if nothing had happened
        at = after(10 * k)
        lost = state(at, site(IN_NOW), measured_at=after(20), evcc_reachable=False)
        silent = replace(lost.state, evcc_silent_since=after(40))
        said += tell(actor, Tick(at), replace(lost, state=silent))
        if k % 90 == 0:
            said += tell(actor, plan_of(PV, made_at=at, revision=8 + k))
    assert orders(said) == []
    assert stands(said)[0].mode is BatteryMode.HOLD
    assert stands(said)[-1].why.code == "reading_too_old"
    assert owners(said)["loadpoint:garage:mode"].why.code == "reading_too_old"
    home = site(loadpoint(mode=PV))  # evcc has lost what we had set
    back = tell(actor, Tick(after(2440)), state(after(2440), home))
    back += tell(actor, plan_of(NOW, made_at=after(2441), revision=999))
    back += confirm(actor, back, after(2442))
    assert orders(back) == [("limit_soc", 80.0), ("mode", "now")]
    assert "human" not in {one.owner for one in owners(back).values()}


def test_after_an_outage_what_goes_on_is_not_interrupted_before_the_new_plan() -> None:
    actor = charging()
    said = tell(actor, Tick(after(2440)), state(after(2440), site(IN_NOW)))
    said += tell(actor, plan_of(NOW, made_at=after(2441), revision=9), Tick(after(2450)))
    assert orders(said) == []


def test_after_an_outage_without_a_new_plan_the_car_goes_back_to_pv() -> None:
    actor = charging()
    said = tell(actor, state(after(2440), site(IN_NOW)), Tick(after(2490)))
    assert orders(said) == []
    assert orders(tell(actor, Tick(after(2500)))) == [("mode", "pv")]


def test_the_memory_survives_its_own_snapshot() -> None:
    actor, twin = charging(), Actuator()
    twin.restore(actor.snapshot())
    assert twin.memory == actor.memory
    end = plan_of(PV, made_at=after(60), revision=8)
    assert list(twin.on(end)) == list(actor.on(end))


def test_time_does_not_go_back() -> None:
    actor = actuator(Tick(after(100)), plan_of(PV, battery=BatteryMode.HOLD))
    assert actor.memory.now == T0 + timedelta(seconds=100)
