"""Departures in local time: changes of clocks, weekdays, what is past."""

from datetime import UTC, date, datetime, timedelta

from actors.departures import clock_time, next_departure
from actors.sequencer import Sequencer
from engine.messages import (
    VehiclePlugged,
)
from engine.settings import CarSettings, GuestSettings, SiteSettings
from engine.values import (
    EvccVehicle,
)
from tests.make_sequencer import BERLIN, NOON, SLOT, berlin, box, car, hear, make, state, turn_of


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
