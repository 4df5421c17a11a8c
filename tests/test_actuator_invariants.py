"""The actuator's invariants: writes and their ledger, who owns what, age of what is known."""

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator
from engine.messages import (
    BatteryModeStands,
    Order,
    OrderConfirmed,
    OwnershipChanged,
    StopAsked,
    Tick,
    TurnsGiven,
    WillMade,
)
from engine.values import (
    BatteryMode,
    Why,
)
from tests.make_actuator import (
    IN_NOW,
    MINPV,
    NOW,
    OFF,
    PV,
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


def test_inv_13_sun_never_gives_permission_to_charge_from_the_grid() -> None:
    sunny = plan([plan_slot(T0, cars=(car(NOW, Why("car_sun")),))])
    assert orders(tell(actuator(), sunny)) == []
    sun = plan([plan_slot(T0, BatteryMode.CHARGE, why=Why("battery_takes_sun"))])
    assert stands(tell(actuator(), sun, Tick(after(10))))[-1].mode is None


@pytest.mark.parametrize("price", [-0.05, 0.0])
def test_inv_14_a_negative_price_really_charges(price: float) -> None:
    actor = actuator(rates(price=price))
    why = Why("battery_buys", (("price_eur_kwh", price),))
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
    assert Actuator.says == (Order, BatteryModeStands, OwnershipChanged, WillMade)


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
    runs = replace(IN_NOW, enabled=True, charging=True, charge_w=7000.0)
    said = []
    for k in range(3, 80):
        said += tell(actor, Tick(after(10 * k)), state(after(10 * k), site(runs)))
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
