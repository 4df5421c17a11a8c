"""Completion and hand-over between cars, and quiet hours."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from actors.departures import is_quiet
from actors.sequencer import Sequencer
from engine.messages import (
    DriverAsked,
    RatesChanged,
    TurnsGiven,
)
from engine.settings import CarSettings, SequencerSettings
from engine.values import (
    EvccVehicle,
    HomeState,
    SocSource,
    Why,
)
from tests.make_sequencer import (
    BERLIN,
    NOON,
    SLOT,
    asked,
    berlin,
    box,
    car,
    hear,
    home_of_two,
    make,
    state,
    turn_of,
)


def arrive(actor: Sequencer, home: HomeState, at: datetime = NOON) -> None:
    """The cars of `home` have stood there for a while at `at`."""
    hear(actor, at - timedelta(minutes=10), home)
    actor.memory = msgspec.structs.replace(actor.memory, asked=())


# --- completion and hand-over --------------------------------------------------------------------


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
