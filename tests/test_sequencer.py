"""Turns at the wallboxes: wishes, hand-over, quiet hours, departures in local time."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.departures import clock_time, is_quiet, next_departure, zone_of
from actors.sequencer import Sequencer
from engine.messages import (
    ConfigRead,
    DriverAsked,
    Message,
    RatesChanged,
    StateChanged,
    TurnsChecked,
    TurnsGiven,
    VehiclePlugged,
)
from engine.settings import CarSettings, GuestSettings, SequencerSettings, Settings, SiteSettings
from engine.steps import StepSystem
from engine.values import (
    ChargeMode,
    Control,
    EvccVehicle,
    HomeState,
    Loadpoint,
    Ownership,
    RepeatingPlan,
    Site,
    SocSource,
    Turn,
    Vehicle,
    Why,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)  # a Wednesday, 12:00 in Berlin
SLOT = timedelta(minutes=15)


def berlin(*when: int) -> datetime:
    return datetime(*when, tzinfo=BERLIN).astimezone(UTC)  # type: ignore[arg-type,misc]


def box(vehicle: str | None = None, **more: Any) -> Loadpoint:
    fields: dict[str, Any] = {
        "id": 1,
        "name": "garage",
        "title": "Garage",
        "mode": ChargeMode.PV,
        "connected": vehicle is not None,
        "charging": False,
        "enabled": False,
        "charge_w": 0.0,
        "vehicle": vehicle,
    }
    return Loadpoint(**{**fields, **more})


def car(name: str, soc_pct: float | None = None, **more: Any) -> Vehicle:
    return Vehicle(**{"name": name, "title": "", "capacity_kwh": 50.0, "soc_pct": soc_pct, **more})


def state(
    boxes: Sequence[Loadpoint], cars: Sequence[Vehicle] = (), known: Sequence[EvccVehicle] = (),
    **more: Any,
) -> HomeState:  # fmt: skip
    site = Site(
        version="0.300",
        title="Home",
        currency="EUR",
        interval_s=30.0,
        grid_import_w=0.0,
        pv_w=0.0,
        home_w=300.0,
        battery=None,
        loadpoints=tuple(boxes),
        vehicles=tuple(known),
    )
    fields: dict[str, Any] = {"revision": 1, "at": NOON, "site": site, "evcc_reachable": True}
    return HomeState(**{**fields, "vehicles": tuple(cars), **more})


def make(*cars: CarSettings, **more: Any) -> Sequencer:
    actor = Sequencer()
    assert not list(actor.on(ConfigRead(NOON, Settings(cars=cars, **more))))
    return actor


def hear(actor: Sequencer, at: datetime, home: HomeState) -> list[Message]:
    said = list(actor.on(StateChanged(at, home)))
    return [one for one in said if not isinstance(one, TurnsChecked)]


def turn_of(actor: Sequencer, at: datetime, home: HomeState) -> Turn:
    """The first turn of what is known after this state, said or not."""
    hear(actor, at, home)
    return actor.memory.given.turns[0]


def arrive(actor: Sequencer, home: HomeState, at: datetime = NOON) -> None:
    """The cars of `home` have stood there for a while at `at`."""
    hear(actor, at - timedelta(minutes=10), home)
    actor.memory = msgspec.structs.replace(actor.memory, asked=())


def asked(said: list[Message]) -> list[tuple[str, str]]:
    return [(one.loadpoint, one.vehicle) for one in said if isinstance(one, DriverAsked)]


# --- what is said, and when ----------------------------------------------------------------------


def test_the_plugged_in_car_has_the_turn_and_its_defaults_count() -> None:
    actor = make(CarSettings(name="Kia", target_soc_pct=80, departure="07:00"))
    home = state([box("kia")], [car("Kia", 40, title="The Kia")])
    assert hear(actor, NOON, home) == [
        TurnsGiven(
            NOON,
            (
                Turn(
                    loadpoint="garage",
                    vehicle="Kia",
                    why=Why("turn_connected", (("vehicle", "The Kia"),)),
                    target_soc_pct=80.0,
                    departure=berlin(2026, 1, 15, 7),
                    soc_pct=40.0,
                    capacity_kwh=50.0,
                    need_kwh=20.0,
                ),
            ),
        )
    ]


def test_turns_are_said_once_per_slot_and_at_each_change_that_matters() -> None:
    actor = make(CarSettings(name="kia"))
    assert hear(actor, NOON, state([box("kia")], [car("kia", 40)]))
    for minute, soc_pct in ((1, 40.4), (2, 41.0), (3, 41.9)):
        creeping = state([box("kia")], [car("kia", soc_pct)])
        assert not hear(actor, NOON + timedelta(minutes=minute), creeping)
    jumped = state([box("kia")], [car("kia", 60.0)])
    (said,) = hear(actor, NOON + timedelta(minutes=4), jumped)
    assert isinstance(said, TurnsGiven)
    assert said.turns[0].soc_pct == 60.0
    assert not hear(actor, NOON + timedelta(minutes=14), jumped)
    assert len(hear(actor, NOON + SLOT, jumped)) == 1
    (gone,) = hear(actor, NOON + SLOT + timedelta(minutes=1), state([box()], [car("kia", 60.0)]))
    assert isinstance(gone, TurnsGiven)
    assert gone.turns[0].vehicle is None
    assert gone.turns[0].need_kwh == 0


def test_each_reading_is_answered_once_after_its_turns() -> None:
    actor = make()
    at = NOON + timedelta(seconds=5)
    first = msgspec.structs.replace(home_of_two(40.0), measured_at=at)
    said = [type(one) for one in actor.on(StateChanged(at, first))]
    assert said == [TurnsGiven, TurnsChecked]
    assert list(actor.on(StateChanged(at, first))) == []  # the same reading again
    again = msgspec.structs.replace(first, measured_at=at + timedelta(seconds=5))
    assert list(actor.on(StateChanged(at, again))) == [TurnsChecked(at + timedelta(seconds=5))]


def test_before_the_first_reading_nothing_is_said_of_turns() -> None:
    actor = make()
    assert hear(actor, NOON, HomeState(1, NOON)) == []
    assert hear(actor, NOON + timedelta(seconds=10), HomeState(2, NOON)) == []


def test_heating_is_no_wallbox_and_each_wallbox_has_its_own_turn() -> None:
    actor = make()
    boxes = [
        box("a", id=1, name="left"),
        box("b", id=2, name="right"),
        box("c", id=3, name="boiler", charger=False),
    ]
    (said,) = hear(actor, NOON, state(boxes, [car("a", 30), car("b", 50)]))
    assert isinstance(said, TurnsGiven)
    assert [(turn.loadpoint, turn.vehicle, turn.need_kwh) for turn in said.turns] == [
        ("left", "a", 25.0),
        ("right", "b", 15.0),
    ]


def test_a_disabled_car_has_no_turn_and_does_not_wait() -> None:
    actor = make(CarSettings(name="Old", disabled=True))
    turn = turn_of(actor, NOON, state([box("old")], [car("old", 10)]))
    assert (turn.vehicle, turn.need_kwh, turn.waiting) == (None, 0.0, ())
    turn = turn_of(actor, NOON, state([box()], [car("OLD", 10)]))
    assert turn.waiting == ()


# --- wishes --------------------------------------------------------------------------------------


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


# --- completion and hand-over --------------------------------------------------------------------


def home_of_two(first_pct: float, second_pct: float = 30.0, **more: Any) -> HomeState:
    return state([box("one")], [car("one", first_pct), car("two", second_pct)], **more)


def test_inv_86_at_its_target_the_next_car_has_its_turn_in_the_same_cycle() -> None:
    actor = make(CarSettings(name="two", departure="07:00"))
    first = hear(actor, NOON, home_of_two(78.0))
    assert asked(first) == []
    at = NOON + timedelta(minutes=5)
    (given_, question) = hear(actor, at, home_of_two(79.6))
    assert isinstance(given_, TurnsGiven)
    assert given_.turns[0].need_kwh == 0
    assert given_.turns[0].waiting == ("two",)
    assert given_.turns[0].why == Why("turn_complete", (("vehicle", "one"), ("soc_pct", 79.6)))
    numbers = (("vehicle", "two"), ("loadpoint", "garage"), ("need_kwh", 25.0))
    departs = ("departure_at", berlin(2026, 1, 15, 7).isoformat())
    assert question == DriverAsked(at, "garage", "two", Why("swap_asked", (*numbers, departs)))
    # asked once; and the car that is plugged in then has the turn at once
    assert hear(actor, at + timedelta(minutes=1), home_of_two(79.7)) == []
    swapped = state([box("two")], [car("one", 79.6), car("two", 30)])
    (given_,) = hear(actor, at + timedelta(minutes=2), swapped)
    assert isinstance(given_, TurnsGiven)
    assert (given_.turns[0].vehicle, given_.turns[0].need_kwh) == ("two", 25.0)


def test_inv_87_after_the_hand_over_only_a_near_deadline_makes_it_immediate() -> None:
    actor = make(CarSettings(name="two", departure="07:00"))
    swapped = state([box("two")], [car("one", 80), car("two", 30)])
    assert not turn_of(actor, NOON, swapped).immediate
    # 25 kWh at 9.9 kW take two and a half hours
    assert not turn_of(actor, berlin(2026, 1, 15, 4, 0), swapped).immediate
    assert turn_of(actor, berlin(2026, 1, 15, 4, 15), swapped).immediate
    # begun with little room it goes on, though half a point more came in than needed
    better = state([box("two")], [car("one", 80), car("two", 34.0)])
    assert turn_of(actor, berlin(2026, 1, 15, 4, 20), better).immediate


def test_inv_88_the_sequencer_does_not_hear_prices() -> None:
    assert RatesChanged not in Sequencer.hears
    actor = make()
    hear(actor, NOON, home_of_two(70.0, rates_revision=0))
    assert asked(hear(actor, NOON + SLOT, home_of_two(80.0, rates_revision=0)))


def test_inv_183_jitter_around_the_target_does_not_toggle() -> None:
    actor = make()
    needs = []
    for k, soc_pct in enumerate((78.0, 79.5, 78.0, 80.0, 78.5, 82.0, 78.0, 77.9)):
        turn = turn_of(
            actor, NOON + timedelta(minutes=k), state([box("kia")], [car("kia", soc_pct)])
        )
        needs.append(turn.need_kwh > 0)
    assert needs == [True] + [False] * 7
    fell = state([box("kia")], [car("kia", 76.0)])
    assert turn_of(actor, NOON + SLOT, fell).need_kwh == 2.0


def test_inv_183_holds_for_a_small_battery_too() -> None:
    actor = make()
    for k, soc_pct in enumerate((75.5, 74.0, 76.0, 73.5)):
        one = state([box("phev")], [car("phev", soc_pct, capacity_kwh=10.0)])
        assert turn_of(actor, NOON + timedelta(minutes=k), one).need_kwh == 0


def test_what_charges_is_charged_to_the_end_and_what_stopped_a_little_early_is_ready() -> None:
    actor = make()
    codes = []
    for k, (soc_pct, charging) in enumerate(((79.2, True), (79.9, True), (79.9, False))):
        home = state([box("kia", charging=charging)], [car("kia", soc_pct)])
        codes.append(turn_of(actor, NOON + timedelta(minutes=k), home).why.code)
    assert codes == ["turn_connected", "turn_connected", "turn_complete"]
    full = state([box("kia", charging=True)], [car("kia", 79.96)])
    assert turn_of(make(), NOON, full).why.code == "turn_complete"
    guest = state([box(connected=True, charging=True, session_kwh=9.8)])
    assert turn_of(make(), NOON, guest).need_kwh == pytest.approx(0.2)


def test_a_higher_target_opens_the_turn_again() -> None:
    actor = make()
    assert turn_of(actor, NOON, state([box("kia")], [car("kia", 80)])).need_kwh == 0
    evcc = EvccVehicle("kia", "", plan_soc_pct=81.5, plan_at=berlin(2026, 1, 15, 7))
    again = state([box("kia")], [car("kia", 80)], [evcc])
    assert turn_of(actor, NOON, again).need_kwh == 0.75


def test_inv_96_the_order_of_waiting_follows_what_is_missing() -> None:
    actor = make(CarSettings(name="a", departure="07:00"), CarSettings(name="b", departure="07:00"))
    home = state([box("x")], [car("x", 20), car("a", 50), car("b", 40)])
    assert turn_of(actor, NOON, home).waiting == ("b", "a")
    home = state([box("x")], [car("x", 20), car("a", 50), car("b", 70)])
    assert turn_of(actor, NOON, home).waiting == ("a", "b")
    early = make(CarSettings(name="a", departure="14:00"), CarSettings(name="b", departure="07:00"))
    assert turn_of(early, NOON, home).waiting == ("a", "b")


def test_nobody_waits_for_a_soc_of_last_week() -> None:
    actor = make()
    old = car("two", 30, measured_at=NOON - timedelta(days=7))
    assert turn_of(actor, NOON, state([box("one")], [car("one", 80), old])).waiting == ()


def test_with_a_free_wallbox_nobody_is_asked_to_swap() -> None:
    actor = make()
    boxes = [box("one", name="left"), box(None, id=2, name="right")]
    arrive(actor, state(boxes, [car("one", 70)]))
    assert asked(hear(actor, NOON, state(boxes, [car("one", 80), car("two", 30)]))) == []
    third = [car("one", 80), car("two", 30), car("three", 35)]
    assert asked(hear(actor, NOON + SLOT, state(boxes, third))) == [("left", "three")]


def test_two_full_cars_two_questions_and_none_twice() -> None:
    actor = make()
    boxes = [box("a", name="left"), box("b", id=2, name="right")]
    cars = [car("a", 80), car("b", 80), car("c", 20), car("d", 30)]
    arrive(actor, state(boxes, cars[:2]))
    assert asked(hear(actor, NOON, state(boxes, cars))) == [("left", "c"), ("right", "d")]
    # d is more urgent now; but nobody is confused with a second question
    cars = [car("a", 80), car("b", 80), car("c", 40), car("d", 10)]
    assert asked(hear(actor, NOON + SLOT, state(boxes, cars))) == []


def test_switched_off_it_still_gives_goals_but_asks_nobody() -> None:
    actor = make(sequencer=SequencerSettings(enabled=False))
    said = hear(actor, NOON, home_of_two(80.0))
    assert [type(one) for one in said] == [TurnsGiven]
    assert actor.memory.said[0].waiting == ()
    assert actor.memory.said[0].target_soc_pct == 80.0


def test_nobody_is_asked_while_evcc_is_silent() -> None:
    actor = make()
    arrive(actor, home_of_two(70.0))
    assert asked(hear(actor, NOON, home_of_two(80.0, evcc_reachable=False))) == []
    assert asked(hear(actor, NOON + SLOT, home_of_two(80.0))) == [("garage", "two")]


def test_a_car_that_has_just_come_is_not_taken_for_full_because_of_an_old_record() -> None:
    actor = make(CarSettings(name="one", source="http"))
    old = car("one", 80, source=SocSource.HTTP)
    hear(actor, NOON - SLOT, state([box()], [old, car("two", 30)]))
    # evcc knows better, or else the car is asked first
    (said,) = hear(actor, NOON, state([box("one", vehicle_soc_pct=55.0)], [old, car("two", 30)]))
    assert isinstance(said, TurnsGiven)
    assert (said.turns[0].soc_pct, said.turns[0].need_kwh) == (55.0, 12.5)
    other = make()
    home = state([box("one")], [old, car("two", 30)])
    assert asked(hear(other, NOON, home)) == []
    fresh = state([box("one")], [car("one", 60, loadpoint="garage"), car("two", 30)])
    assert asked(hear(other, NOON + timedelta(seconds=30), fresh)) == []
    assert asked(hear(other, NOON + timedelta(minutes=5), fresh)) == []
    assert asked(hear(other, NOON + timedelta(minutes=6), home)) == [("garage", "two")]


def test_a_cloud_that_knows_the_car_here_counts_before_evccs_number() -> None:
    actor = make()
    known = car("one", 66, source=SocSource.HTTP, loadpoint="Garage")
    turn = turn_of(actor, NOON, state([box("one", vehicle_soc_pct=40.0)], [known]))
    assert turn.soc_pct == 66.0


# --- quiet hours ---------------------------------------------------------------------------------


def test_acceptance_8_no_swap_is_asked_at_night_and_in_the_morning_it_takes_one_cycle() -> None:
    actor = make(*(CarSettings(name=name, departure="09:00") for name in ("one", "two", "three")))
    at = berlin(2026, 1, 14, 20, 30)
    end = berlin(2026, 1, 15, 8, 0)
    questions: list[datetime] = []
    while at < end:
        first_pct = 60.0 if at < berlin(2026, 1, 15, 1, 0) else 80.0
        cars = [car("one", first_pct), car("two", 40), car("three", 80)]
        said = hear(actor, at, state([box("one")], cars))
        questions += [at for one in said if isinstance(one, DriverAsked)]
        at += timedelta(minutes=5)
    assert questions == [berlin(2026, 1, 15, 6, 0)]


def test_inv_93_asked_in_the_evening_and_not_obeyed_it_is_asked_again_in_the_morning() -> None:
    actor = make()
    at, end = berlin(2026, 1, 14, 20, 0), berlin(2026, 1, 15, 20, 0)
    arrive(actor, home_of_two(70.0), at)
    questions = []
    while at < end:
        if asked(hear(actor, at, home_of_two(80.0))):
            questions.append(at)
        at += SLOT
    assert questions == [berlin(2026, 1, 14, 20, 0), berlin(2026, 1, 15, 6, 0)]


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1)])
def test_inv_92_quiet_hours_are_local_on_every_day(day: date) -> None:
    quiet = SequencerSettings(quiet_start="21:00", quiet_end="06:00")
    at = datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)
    while at.astimezone(BERLIN).date() == day:
        local = at.astimezone(BERLIN)
        assert is_quiet(at, quiet, "Europe/Berlin") == (local.hour >= 21 or local.hour < 6)
        at += SLOT


def test_quiet_hours_may_lie_within_a_day_or_be_none() -> None:
    nap = SequencerSettings(quiet_start="13:00", quiet_end="15:00")
    assert is_quiet(berlin(2026, 1, 14, 13, 0), nap, "Europe/Berlin")
    assert not is_quiet(berlin(2026, 1, 14, 15, 0), nap, "Europe/Berlin")
    none = SequencerSettings(quiet_start="13:00", quiet_end="13:00")
    assert not is_quiet(berlin(2026, 1, 14, 13, 0), none, "Europe/Berlin")


# --- departures ----------------------------------------------------------------------------------


def test_inv_98_a_departure_at_14_30_is_14_30_on_the_wall() -> None:
    summer = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)
    found = next_departure(summer, "14:30", "Europe/Berlin")
    assert found == datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


def test_inv_99_the_default_deadline_is_local_to_the_configured_zone() -> None:
    actor = make(
        CarSettings(name="kia", departure="06:00"), site=SiteSettings(zone="America/New_York")
    )
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 40)]))
    # it is exactly 06:00 in New York: the next one is tomorrow's
    assert turn.departure == datetime(2026, 1, 15, 11, 0, tzinfo=UTC)


def test_acceptance_10_departures_around_the_changes_of_clocks() -> None:
    for day in (date(2026, 3, 28), date(2026, 10, 24)):
        at = datetime(day.year, day.month, day.day, 20, 0, tzinfo=BERLIN).astimezone(UTC)
        actor = make(CarSettings(name="kia", departure="06:30"))
        turn = turn_of(actor, at, state([box("kia")], [car("kia", 40)]))
        assert turn.departure is not None
        local = turn.departure.astimezone(BERLIN)
        assert (local.date(), local.hour, local.minute) == (day + timedelta(days=1), 6, 30)
        hours = (turn.departure - at) / timedelta(hours=1)
        assert hours == (9.5 if day.month == 3 else 11.5)


def test_a_time_that_is_left_out_or_comes_twice() -> None:
    before = berlin(2026, 3, 29, 0, 30)
    assert next_departure(before, "02:30", "Europe/Berlin") == berlin(2026, 3, 29, 3, 30)
    autumn = berlin(2026, 10, 25, 0, 30)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert next_departure(autumn, "02:30", "Europe/Berlin") == first
    following = next_departure(first, "02:30", "Europe/Berlin")
    assert following == berlin(2026, 10, 26, 2, 30)


def test_weekdays_are_local_and_iso() -> None:
    friday_night = berlin(2026, 1, 16, 23, 30)
    assert next_departure(friday_night, "07:00", "Europe/Berlin", (1, 2, 3, 4, 5)) == berlin(
        2026, 1, 19, 7
    )
    assert next_departure(friday_night, "07:00", "Europe/Berlin", ()) is None
    assert next_departure(friday_night, "", "Europe/Berlin") is None
    assert clock_time("7:05") is not None
    assert clock_time("25:00") is None


def test_inv_89_a_given_departure_is_never_past_and_late_is_better_than_never() -> None:
    actor = make(CarSettings(name="kia", departure="06:00"))
    plugged = berlin(2026, 1, 15, 5, 40)
    home = state([box("kia")], [car("kia", 20)])
    turn = turn_of(actor, plugged, home)
    assert (turn.departure, turn.immediate) == (berlin(2026, 1, 15, 6, 0), True)
    said = hear(actor, berlin(2026, 1, 15, 6, 0), home)
    late = actor.memory.said[0]
    assert len(said) == 1
    assert (late.why.code, late.immediate) == ("turn_late", True)
    assert (late.target_soc_pct, late.departure) == (80.0, berlin(2026, 1, 16, 6, 0))
    assert turn_of(actor, berlin(2026, 1, 15, 9, 0), home).immediate
    # ready at last; or it stands there so long that tomorrow counts
    copy = Sequencer()
    copy.restore(actor.snapshot())
    ready = state([box("kia")], [car("kia", 80)])
    assert turn_of(copy, berlin(2026, 1, 15, 9, 15), ready).why.code == "turn_complete"
    turn = turn_of(actor, berlin(2026, 1, 15, 12, 0), home)
    assert (turn.why.code, turn.immediate) == ("turn_connected", False)


def test_inv_16_the_target_of_a_plan_that_expired_stays_until_the_car_leaves() -> None:
    actor = make(CarSettings(name="kia", target_soc_pct=50))
    evcc = EvccVehicle("kia", "", plan_soc_pct=100.0, plan_at=NOON + timedelta(minutes=10))
    turn = turn_of(actor, NOON, state([box("kia")], [car("kia", 60)], [evcc]))
    assert (turn.target_soc_pct, turn.immediate) == (100.0, True)
    # evcc deletes a static plan whose time has come
    bare = state([box("kia")], [car("kia", 62)], [EvccVehicle("kia", "")])
    turn = turn_of(actor, NOON + timedelta(minutes=10), bare)
    assert (turn.target_soc_pct, turn.departure, turn.immediate) == (100.0, None, True)
    copy = Sequencer()
    copy.restore(actor.snapshot())
    turn_of(actor, NOON + SLOT, state([box()], [car("kia", 65)]))
    turn = turn_of(actor, NOON + 2 * SLOT, bare)
    assert turn.need_kwh == 0
    # a plug that was too short to be seen in a state ends it as well
    assert not list(copy.on(VehiclePlugged(NOON + SLOT, "garage", "kia")))
    assert turn_of(copy, NOON + SLOT, bare).need_kwh == 0


def test_a_late_guest_is_charged_on() -> None:
    actor = make(guests=GuestSettings(energy_kwh=10, departure="12:10"))
    guest = state([box(connected=True, session_kwh=2.0)])
    assert turn_of(actor, NOON, guest).immediate
    turn = turn_of(actor, NOON + SLOT, guest)
    assert (turn.immediate, turn.need_kwh) == (True, 8.0)
    assert turn.departure == berlin(2026, 1, 15, 12, 10)


# --- names, memory, order ------------------------------------------------------------------------

legal_names = st.text(
    st.characters(categories=["L", "N"], include_characters=" _-."), min_size=1, max_size=60
).filter(lambda name: name.strip() != "")


@given(name=legal_names, upper=st.booleans())
def test_inv_78_names_are_equal_whatever_their_case(name: str, upper: bool) -> None:
    other = name.upper() if upper else name.lower()
    if other.casefold() != name.casefold():  # not every letter comes back from upper case
        other = name
    actor = make(CarSettings(name=name, target_soc_pct=66))
    turn = turn_of(actor, NOON, state([box(other)], [car(name, 33)]))
    assert (turn.vehicle, turn.target_soc_pct) == (name, 66.0)


zones = st.sampled_from(
    ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu", "UTC",
     "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo"]
)  # fmt: skip
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=UTC)
)
clocks = st.times().map(lambda time: f"{time:%H:%M}")


@given(at=moments, clock=clocks, zone=zones, days=st.sets(st.integers(1, 7), min_size=1))
def test_the_next_departure_is_ahead_within_8_days_and_shows_its_time(
    at: datetime, clock: str, zone: str, days: set[int]
) -> None:
    found = next_departure(at, clock, zone, tuple(days))
    assert found is not None
    assert at < found <= at + timedelta(days=8)
    local = found.astimezone(ZoneInfo(zone))
    if f"{local:%H:%M}" != clock:  # left out by a change of clocks
        wall = local.replace(hour=int(clock[:2]), minute=int(clock[3:]))
        assert wall.astimezone(UTC).astimezone(ZoneInfo(zone)).time() != wall.time()
    else:
        assert local.isoweekday() in days
    if days == {1, 2, 3, 4, 5, 6, 7}:
        assert found <= at + timedelta(hours=26)


def test_an_unknown_zone_is_utc() -> None:
    assert zone_of("No/Where").key == "UTC"
    assert zone_of("../etc", "Europe/Berlin").key == "Europe/Berlin"


optional_pct = st.none() | st.floats(0, 100, allow_nan=False)
boxes = st.builds(
    box,
    vehicle=st.sampled_from([None, "a", "B", "ghost", "off"]),
    connected=st.booleans(),
    session_kwh=st.floats(0, 50),
    plan_at=st.none() | st.integers(-100, 100).map(lambda h: NOON + timedelta(hours=h)),
    plan_soc_pct=optional_pct,
    plan_energy_kwh=st.none() | st.floats(0, 50),
    limit_soc_pct=optional_pct,
    phases_configured=st.integers(0, 3),
    effective_max_current_a=st.floats(0, 32),
    vehicle_soc_pct=optional_pct,
    detecting=st.booleans(),
    charging=st.booleans(),
)
cars = st.builds(
    car,
    st.sampled_from(["A", "b", "off", "other"]),
    optional_pct,
    capacity_kwh=st.none() | st.floats(0, 150),
)


@settings(max_examples=60, deadline=None)
@given(
    heard=st.lists(st.tuples(boxes, st.lists(cars, max_size=4), st.integers(0, 400)), max_size=12)
)
def test_any_sequence_is_answered_and_memory_stays_small(
    heard: list[tuple[Loadpoint, list[Vehicle], int]],
) -> None:
    actor = make(CarSettings(name="a", departure="07:00"), CarSettings(name="OFF", disabled=True))
    at = NOON
    for one, known, minutes in heard:
        at += timedelta(minutes=minutes)
        before = actor.snapshot()
        said = hear(actor, at, state([one], known))
        twin = Sequencer()
        twin.restore(before)
        assert hear(twin, at, state([one], known)) == said
        assert twin.memory == actor.memory
        for turn in actor.memory.given.turns:
            assert turn.departure is None or turn.departure > at
            assert turn.need_kwh >= 0
            assert (turn.target_soc_pct is None) != (turn.energy_kwh is None)
            assert "off" not in {turn.vehicle, *turn.waiting}
        if is_quiet(at, SequencerSettings(), "Europe/Berlin"):
            assert not asked(said)
    assert len(actor.snapshot()) < 6000


def test_any_order_of_delivery_gives_the_same_turns() -> None:
    rng = random.Random(4)
    results = []
    for seed in range(4):
        system = StepSystem(NOON, shuffle=seed > 0, seed=seed)
        actor = Sequencer()
        system.enter([actor])
        system.publish(ConfigRead(NOON, Settings()))
        system.settle()
        plug = VehiclePlugged(NOON, "garage", "one")
        change = StateChanged(NOON, home_of_two(80.0))
        both = [plug, change]
        rng.shuffle(both)
        for message in both:
            system.publish(message)
        system.settle()
        results.append(msgspec.json.encode(actor.memory))
        system.stop()
    assert len(set(results)) == 1
