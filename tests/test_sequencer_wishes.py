"""What a car at a wallbox wishes: guests, targets, the plans of evcc."""

from engine.settings import CarSettings, GuestSettings
from engine.values import (
    Control,
    EvccVehicle,
    Ownership,
    RepeatingPlan,
    Why,
)
from tests.make_sequencer import NOON, berlin, box, car, make, state, turn_of


def test_a_guest_gets_energy_less_what_the_session_has() -> None:
    actor = make(guests=GuestSettings(energy_kwh=12, departure="18:00"))
    guest = box(connected=True, session_kwh=4.5)
    turn = turn_of(actor, NOON, state([guest]))
    assert (turn.vehicle, turn.target_soc_pct, turn.energy_kwh) == (None, None, 12.0)
    assert turn.need_kwh == 7.5
    assert turn.departure == berlin(2026, 1, 14, 18)
    done = turn_of(actor, NOON, state([box(connected=True, session_kwh=11.9)]))
    assert (done.need_kwh, done.why.code) == (0.0, "turn_complete_energy")


def test_inv_80_a_car_without_soc_is_asked_in_kwh_and_does_not_wait() -> None:
    actor = make(CarSettings(name="zoe", departure="06:30"), guests=GuestSettings(energy_kwh=8))
    turn = turn_of(actor, NOON, state([box("zoe")], [car("zoe")]))
    assert (turn.vehicle, turn.soc_pct, turn.target_soc_pct) == ("zoe", None, None)
    assert (turn.energy_kwh, turn.need_kwh) == (8.0, 8.0)
    assert turn.departure == berlin(2026, 1, 15, 6, 30)
    assert turn_of(actor, NOON, state([box()], [car("zoe")])).waiting == ()


def test_a_car_without_capacity_is_asked_in_kwh_until_its_soc_is_there() -> None:
    actor = make(guests=GuestSettings(energy_kwh=8))
    known = [car("zoe", 50, capacity_kwh=None)]
    turn = turn_of(actor, NOON, state([box("zoe", session_kwh=3.0)], known))
    assert (turn.energy_kwh, turn.target_soc_pct, turn.need_kwh) == (8.0, None, 5.0)
    full = [car("zoe", 80, capacity_kwh=None)]
    turn = turn_of(actor, NOON, state([box("zoe", session_kwh=3.0)], full))
    assert (turn.need_kwh, turn.why.code) == (0.0, "turn_complete")


def test_exactly_one_goal_is_set() -> None:
    for soc_pct in (None, 10.0, 80.0):
        for capacity in (None, 50.0):
            for vehicle in (None, "zoe"):
                actor = make()
                one = box(vehicle, connected=True)
                turn = turn_of(
                    actor, NOON, state([one], [car("zoe", soc_pct, capacity_kwh=capacity)])
                )
                assert (turn.target_soc_pct is None) != (turn.energy_kwh is None)


def test_a_stricter_plan_of_evcc_counts() -> None:
    actor = make(CarSettings(name="kia", target_soc_pct=70, departure="07:00"))
    plan_at = berlin(2026, 1, 14, 20)
    evcc = EvccVehicle("kia", "", plan_soc_pct=90.0, plan_at=plan_at)
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 50)], [evcc]))
    assert (turn.target_soc_pct, turn.departure) == (90.0, plan_at)
    later = EvccVehicle("kia", "", plan_soc_pct=60.0, plan_at=berlin(2026, 1, 16, 20))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 50)], [later]))
    assert (turn.target_soc_pct, turn.departure) == (70.0, berlin(2026, 1, 15, 7))


def test_the_earliest_latest_start_counts_as_in_evcc() -> None:
    # 55 % at 06:00 needs half an hour, 100 % at 07:00 needs more than two: the second is planned
    actor = make(CarSettings(name="kia", target_soc_pct=55, departure="06:00"))
    evcc = EvccVehicle("kia", "", plan_soc_pct=100.0, plan_at=berlin(2026, 1, 15, 7))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 50)], [evcc]))
    assert (turn.target_soc_pct, turn.departure) == (100.0, berlin(2026, 1, 15, 7))


def test_a_met_plan_gives_way_to_the_next_one() -> None:
    actor = make(CarSettings(name="kia", target_soc_pct=90))
    evcc = EvccVehicle("kia", "", plan_soc_pct=50.0, plan_at=berlin(2026, 1, 14, 20))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 30)], [evcc]))
    assert (turn.target_soc_pct, turn.departure) == (50.0, berlin(2026, 1, 14, 20))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 50)], [evcc]))
    assert (turn.target_soc_pct, turn.departure) == (90.0, None)


def test_repeating_plans_have_their_own_zone_and_evccs_weekdays() -> None:
    # Sunday is 0 at evcc; 07:00 in Helsinki is 06:00 in Berlin
    plans = (
        RepeatingPlan((0,), "07:00", "Europe/Helsinki", 95.0, True),
        RepeatingPlan((3, 4), "05:00", "", 99.0, False),
        RepeatingPlan((4,), "nonsense", "No/Where", 99.0, True),
    )
    evcc = EvccVehicle("kia", "", repeating=plans)
    actor = make(CarSettings(name="kia", target_soc_pct=40))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 50)], [evcc]))
    assert (turn.target_soc_pct, turn.departure) == (95.0, berlin(2026, 1, 18, 6))
    odd = EvccVehicle("kia", "", repeating=(RepeatingPlan((4,), "05:00", "No/Where", 95.0, True),))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 50)], [odd]))
    assert turn.departure == berlin(2026, 1, 15, 5)


def test_plans_at_the_loadpoint_count_in_percent_and_in_kwh() -> None:
    plan_at = berlin(2026, 1, 14, 15)
    actor = make(CarSettings(name="kia", target_soc_pct=40), guests=GuestSettings(energy_kwh=5))
    planned = box("kia", plan_soc_pct=70.0, plan_at=plan_at)
    turn = turn_of(actor, NOON, state([planned], [car("kia", 50)]))
    assert (turn.target_soc_pct, turn.departure) == (70.0, plan_at)
    guest = box(connected=True, plan_energy_kwh=20.0, plan_at=plan_at)
    turn = turn_of(actor, NOON, state([guest]))
    assert (turn.energy_kwh, turn.need_kwh, turn.departure) == (20.0, 20.0, plan_at)


def test_the_default_target_stays_below_a_humans_limit_and_ignores_our_own() -> None:
    actor = make(CarSettings(name="kia", target_soc_pct=80))
    limited = EvccVehicle("kia", "", limit_soc_pct=60.0)
    home = state([box("kia")], [car("kia", 40)], [limited])
    assert turn_of(actor, NOON, home).target_soc_pct == 60.0
    ours = box("kia", limit_soc_pct=55.0)
    home = state([ours], [car("kia", 40)], control=Control.ON)
    assert turn_of(actor, NOON, home).target_soc_pct == 80.0
    owned = Ownership("loadpoint:garage:limit_soc", "human", NOON, None, Why("human_mode"))
    home = state([ours], [car("kia", 40)], control=Control.ON, in_control=(owned,))
    assert turn_of(actor, NOON, home).target_soc_pct == 55.0
    home = state([ours], [car("kia", 40)], control=Control.WATCH)
    assert turn_of(actor, NOON, home).target_soc_pct == 55.0
