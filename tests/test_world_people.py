"""The people of the pretend world: trips, happenings, who plugs in where."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.scenario import (
    Happening,
    Scenario,
    SimCar,
    SimEvent,
    SimLoadpoint,
    SimTrip,
)
from sim.world import SeededWorld
from tests.make_world import BERLIN, DAY, HOUR, local, scenario


def trips_of(world: SeededWorld, story: Scenario, car: str) -> list[Happening]:
    end = story.sim.start + timedelta(days=story.sim.days)
    return [one for one in world.happenings(story.sim.start, end) if one.car == car]


@given(
    st.integers(0, 50),
    st.lists(
        st.tuples(
            st.integers(0, 23),
            st.integers(0, 23),
            st.sets(st.integers(1, 7), min_size=1),
            st.floats(0, 180),
        ),
        max_size=4,
    ),
    st.sampled_from(["2026-03-27T00:00", "2026-10-24T09:30", "2026-07-01T13:00"]),
    st.sampled_from([None, "box"]),
)
@settings(max_examples=60, deadline=None)
def test_cars_leave_and_return_in_turn(
    seed: int,
    habits: list[tuple[int, int, set[int], float]],
    start: str,
    at: str | None,
) -> None:
    trips = tuple(
        SimTrip("a", f"{leaves}:30", f"{back}:10", tuple(days), 5, "box", jitter)
        for leaves, back, days, jitter in habits
    )
    story = scenario(
        start,
        4,
        cars=(SimCar("a", loadpoint=at),),
        loadpoints=(SimLoadpoint("box"),),
        trips=trips,
    )
    found = trips_of(SeededWorld(story, seed), story, "a")
    kinds = [one.kind for one in found]
    assert all(a != b for a, b in pairwise(kinds))
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert all(one.at > story.sim.start for one in found)
    if at and kinds:
        assert kinds[0] == "leave"


def test_trips_keep_local_time_over_the_change_of_clocks() -> None:
    story = scenario(
        "2026-03-27T00:00",
        5,
        cars=(SimCar("a", loadpoint="box"),),
        loadpoints=(SimLoadpoint("box"),),
        trips=(SimTrip("a", "6:30", "15:00", (1, 2, 3, 4, 5, 6, 7), 9, "box", 0),),
    )
    found = trips_of(SeededWorld(story, 1), story, "a")
    clocks = [one.at.astimezone(BERLIN).strftime("%H:%M") for one in found]
    assert clocks == ["06:30", "15:00"] * 5
    assert found[0] == Happening(local("2026-03-27T06:30"), "leave", "a", "box")
    assert found[1] == Happening(local("2026-03-27T15:00"), "arrive", "a", "box", used_kwh=9)


def test_a_night_shift_comes_home_in_the_morning() -> None:
    trip = SimTrip("a", "21:00", "06:30", (1,), 7, "box", 0)
    story = scenario(
        "2026-07-06T00:00", 3, cars=(SimCar("a"),), loadpoints=(SimLoadpoint("box"),), trips=(trip,)
    )
    found = trips_of(SeededWorld(story, 1), story, "a")
    assert [one.at for one in found] == [local("2026-07-06T21:00"), local("2026-07-07T06:30")]


def test_nobody_plugs_in_where_another_car_stands() -> None:
    story = scenario(
        "2026-07-06T00:00",
        2,
        cars=(SimCar("a", loadpoint="box"), SimCar("b")),
        loadpoints=(SimLoadpoint("box"),),
        trips=(
            SimTrip("a", "12:00", "14:00", (1,), 7, "box", 0),
            SimTrip("b", "8:00", "10:00", (1,), 7, "box", 0),
            SimTrip("b", "12:30", "13:00", (1,), 7, "box", 0),
        ),
    )
    found = SeededWorld(story, 1).happenings(story.sim.start, story.sim.start + DAY)
    assert [(one.kind, one.car, one.loadpoint) for one in found] == [
        ("leave", "b", None),
        ("arrive", "b", None),
        ("leave", "a", "box"),
        ("leave", "b", None),
        ("arrive", "b", "box"),
        ("arrive", "a", None),
    ]


def test_happenings_are_after_since_and_up_to_until() -> None:
    story = scenario(
        events=(SimEvent(1, "evcc_outage", hours=1), SimEvent(2, "tariff_hole", hours=1))
    )
    world, start = SeededWorld(story, 1), story.sim.start
    kinds = [one.kind for one in world.happenings(start + HOUR, start + 2 * HOUR)]
    assert kinds == ["tariff_hole"]
    steps = [world.happenings(start + k * HOUR, start + (k + 1) * HOUR) for k in range(-1, 4)]
    assert [one.kind for step in steps for one in step] == ["evcc_outage", "tariff_hole"]
