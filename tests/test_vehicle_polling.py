"""The vehicle monitor's polling: intervals, backoff, plugging in."""

from datetime import timedelta
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.messages import (
    CarAnswered,
    CarPollDue,
    CarSilent,
    Message,
    Tick,
    VehiclePlugged,
    VehicleUnplugged,
)
from engine.settings import CarSettings
from engine.values import EvccVehicle
from tests.make_senses import NOON, after, box, free, measured
from tests.make_vehicle_monitor import HOUR, ORA, ZOE, Watched, answered


def test_inv_81_attempt_success_and_measurement_have_their_own_times() -> None:
    home = Watched(ZOE)
    assert home.polls(Tick(NOON)) == ["Zoë"]
    assert home.cars["Zoë"].polled_at == NOON
    home.hear(CarSilent(after(seconds=10), "Zoë", "timed out"))
    assert home.cars["Zoë"].answered_at is None
    assert home.polls(Tick(after(120))) == ["Zoë"]
    home.hear(answered(after(121), 40.0, after(100)))
    car = home.cars["Zoë"]
    assert (car.polled_at, car.answered_at, car.measured_at) == (after(120), after(121), after(100))
    assert home.polls(Tick(after(180))) == ["Zoë"]
    home.hear(CarSilent(after(181), "Zoë", "timed out"))
    car = home.cars["Zoë"]
    assert (car.polled_at, car.answered_at, car.measured_at) == (after(180), after(121), after(100))


def test_each_car_is_polled_at_its_own_interval_and_evccs_cars_are_not() -> None:
    slow = CarSettings("slow", source="http", poll_interval_min=120)
    home = Watched(ZOE, slow, ORA)
    asked: list[tuple[int, str]] = []
    for minute in range(0, 181, 10):
        for name in home.polls(Tick(after(minute))):
            asked.append((minute, name))
            home.hear(CarAnswered(after(minute), name, 40.0, after(minute)))
    assert asked == [
        (0, "Zoë"),
        (0, "slow"),
        (60, "Zoë"),
        (120, "Zoë"),
        (120, "slow"),
        (180, "Zoë"),
    ]


def test_an_owners_entry_is_looked_for_every_five_minutes_without_backoff() -> None:
    home = Watched(CarSettings("zoe", source="manual"))
    asked = home.polls_until(NOON, after(20), timedelta(minutes=1))
    assert asked == [after(minute) for minute in (0, 5, 10, 15, 20)]


def test_no_polling_at_the_wallbox_while_evcc_reports() -> None:
    home = Watched(ZOE)
    home.hear(measured(NOON, box("Zoë", 40.0)))
    assert home.polls(Tick(NOON)) == []
    assert home.polls(Tick(NOON + 5 * HOUR)) == []
    home.hear(measured(NOON + 5 * HOUR, box("Zoë", None)))
    assert home.polls(Tick(NOON + 5 * HOUR)) == ["Zoë"]


def test_backoff_grows_and_is_capped() -> None:
    home = Watched(ZOE)
    asked = home.polls_until(NOON, NOON + timedelta(days=6), timedelta(minutes=30))
    gaps = [(late - early) / HOUR for early, late in pairwise(asked)]
    assert gaps[:6] == [2, 4, 8, 16, 24, 24]
    # one success ends it
    at = asked[-1] + 24 * HOUR
    assert home.polls(Tick(at)) == ["Zoë"]
    home.hear(answered(at, 40.0))
    assert home.polls(Tick(at + HOUR)) == ["Zoë"]


def test_a_poll_that_nobody_answers_is_given_up() -> None:
    home = Watched(ZOE)
    assert home.polls(Tick(NOON)) == ["Zoë"]
    assert home.polls(Tick(after(4))) == []
    assert home.polls(Tick(after(5))) == []  # counts as silence: two hours
    assert home.polls(Tick(after(119))) == []
    assert home.polls(Tick(after(120))) == ["Zoë"]


def test_inv_83_plugging_in_refreshes_in_the_same_step_backoff_or_not() -> None:
    home = Watched(ZOE)
    home.polls_until(NOON, NOON + 20 * HOUR, timedelta(minutes=30))
    at = NOON + 21 * HOUR
    home.hear(measured(at, box("Zoë", None)))
    assert home.polls(VehiclePlugged(at, "carport", "zoË")) == ["Zoë"]
    home.hear(answered(at, 40.0))
    assert home.polls(VehiclePlugged(at + HOUR, "carport", "zoë")) == ["Zoë"]


def test_inv_83_also_while_evcc_reports() -> None:
    home = Watched(ZOE)
    home.hear(measured(NOON, box("Zoë", 40.0)))
    assert home.polls(VehiclePlugged(NOON, "carport", "Zoë")) == ["Zoë"]


def test_inv_83_a_poll_under_way_is_the_refresh_unless_it_fails() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    assert home.polls(VehiclePlugged(after(1), "carport", "Zoë")) == []
    assert home.polls(CarSilent(after(1.5), "Zoë", "timed out")) == ["Zoë"]
    home.hear(answered(after(2), 40.0))
    assert home.polls(Tick(after(3))) == []


def test_inv_83_a_poll_under_way_that_is_answered_was_the_refresh() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    home.hear(VehiclePlugged(after(seconds=5), "carport", "Zoë"))
    home.hear(answered(after(seconds=6), 40.0))
    assert home.polls(Tick(after(5))) == []


def test_inv_83_a_loose_plug_polls_every_30_s_at_most() -> None:
    home = Watched(ZOE)
    home.hear(Tick(after(-10)))
    home.hear(answered(after(-10), 40.0))
    asked = []
    for second in range(0, 61, 5):
        at = after(seconds=second)
        messages = (
            measured(at, box("Zoë", None)),
            VehiclePlugged(at, "carport", "Zoë"),
            Tick(at),
        )
        for message in messages:
            for _ in home.polls(message):
                asked.append(second)
                home.hear(answered(at, 40.0))
    assert asked == [0, 30, 60]


def test_a_guest_or_an_unknown_car_is_nobodys() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    home.hear(answered(NOON, 40.0))
    known = home.mind.memory.records
    for name in (None, "", "guest"):
        assert home.hear(VehiclePlugged(after(1), "carport", name)) == []
        assert home.hear(measured(after(1), box(name, 50.0))) == []
    assert home.hear(CarAnswered(after(1), "guest", 50.0, NOON)) == []
    assert home.hear(CarSilent(after(1), "guest", "?")) == []
    assert home.hear(VehicleUnplugged(after(1), "elsewhere", None)) == []
    assert home.mind.memory.records == known


names = st.sampled_from(
    ["Zoë", "zoë", "ZOË", "ora_03", "ORA_03", "Straße", "STRASSE", "guest", None]
)
percents = st.none() | st.floats(-10, 120)


@given(st.lists(st.tuples(st.integers(0, 6), names, percents, st.integers(0, 900)), max_size=40))
def test_inv_116_inv_117_total_bounded_and_aware_whatever_happens(
    story: list[tuple[int, str | None, float | None, int]],
) -> None:
    home = Watched(ZOE, ORA, CarSettings("Straße", source="manual"))
    at = NOON
    for kind, name, soc_pct, seconds in story:
        at += timedelta(seconds=seconds)
        known = name or "nobody"
        messages: list[Message] = [
            Tick(at),
            measured(at, box(name, soc_pct), vehicles=(EvccVehicle(known, ""),)),
            VehiclePlugged(at, "carport", name),
            VehicleUnplugged(at, "carport", name),
            CarAnswered(at, known, soc_pct or 0.0, at - timedelta(hours=seconds)),
            CarSilent(at, known, "no"),
            measured(at, free()),
        ]
        said = home.hear(messages[kind])
        polled = [one.vehicle for one in said if isinstance(one, CarPollDue)]
        assert len(polled) == len(set(polled))
        for one in said:
            assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) == one
        memory = home.mind.memory
        home.mind.restore(home.mind.snapshot())
        assert home.mind.memory == memory
    folded = [record.vehicle.name.casefold() for record in home.mind.memory.records]
    assert len(folded) == len(set(folded)) <= 5
    for record in home.mind.memory.records:
        soc = record.vehicle.soc_pct
        assert soc is None or 0 <= soc <= 100
