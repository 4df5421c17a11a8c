"""Turns at the wallboxes: what is said and when, names, memory, order of delivery."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.departures import is_quiet, next_departure, zone_of
from actors.sequencer import Sequencer
from engine.messages import (
    ConfigRead,
    StateChanged,
    TurnsChecked,
    TurnsGiven,
    VehiclePlugged,
)
from engine.settings import CarSettings, SequencerSettings, Settings
from engine.steps import StepSystem
from engine.values import (
    HomeState,
    Loadpoint,
    Turn,
    Vehicle,
    Why,
)
from tests.make_sequencer import (
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
