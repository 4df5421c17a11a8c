"""Invariants of the running ring: one story from several sides, failures, what is kept."""

import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from actors import cast
from engine.actor import Actor, Port
from engine.clock import VirtualClock
from engine.messages import (
    CarPollDue,
    DriverAsked,
    EvccNudged,
    EvccRead,
    Message,
    Order,
    PlanMade,
    RatesChanged,
    StateChanged,
    Tick,
    TurnsGiven,
    VehiclePlugged,
)
from engine.settings import CarSettings
from engine.slots import slot_of
from engine.steps import StepSystem
from engine.system import routes_of
from engine.threads import ThreadSystem
from sim.run import play, pretend_home
from sim.scenario import Scenario, SimBattery, SimCar, SimEvent
from tests.make_ring import Story, Told, home, hours, local, one_at_a_time, told
from web.feed import Window

CHEAP_NIGHT = (*[0.08] * 7, *[0.30] * 17)

# --- one story of the ring, seen from several sides -----------------------------------------------


ARRIVES = local("2026-01-13", "12:00")


def swap_scenario() -> Scenario:
    """A car comes to the only wallbox at noon and is done soon; another one waits for its turn.

    The tariff has a hole of an hour around the hand-over.
    """
    return home(
        local("2026-01-13", "11:45"),
        tick_s=60,
        battery=SimBattery(capacity_kwh=10, soc_pct=60),
        wishes=(
            CarSettings(name="compact", target_soc_pct=80, departure="12:45", source="http"),
            CarSettings(name="family", target_soc_pct=80, departure="18:00", source="http"),
        ),
        cars=(
            SimCar(name="compact", capacity_kwh=50, soc_pct=77),
            SimCar(name="family", capacity_kwh=70, soc_pct=40),
        ),
        events=(
            SimEvent(at_h=0.25, kind="arrive", car="compact", loadpoint="carport"),
            SimEvent(at_h=0.25, kind="tariff_hole", hours=1),
        ),
    )


@pytest.fixture(scope="module")
def swap() -> Story:
    return told(swap_scenario(), "steps", 1 / 24)


def test_inv_22_every_plan_is_what_evcc_does_in_the_same_cycle(swap: Story) -> None:
    """Also those made within a slot, on news: nothing is planned in vain."""
    on_news = 0
    for made in swap.told.said(PlanMade):
        slot = made.plan.slot_at(made.at)
        assert slot is not None
        frame = swap.frame(made.at)
        newest = [one for one in swap.told.said(PlanMade) if one.at == made.at][-1]
        if made is newest and slot.cars:
            assert frame.modes["carport"] == slot.cars[0].mode.value, made.at
        on_news += made.at != slot_of(made.at)
    assert on_news
    modes = [frame.modes["carport"] for frame in swap.frames]
    assert len(set(modes)) > 1  # it did change what is done


def test_inv_110_the_first_reading_is_before_the_first_decision(swap: Story) -> None:
    lines = swap.told.lines
    read = next(k for k, (_, heard, _) in enumerate(lines) if isinstance(heard, EvccRead))
    decided = next(
        k
        for k, (_, _, said) in enumerate(lines)
        if any(isinstance(one, PlanMade | Order) for one in said)
    )
    assert read < decided


def test_inv_82_a_plugged_in_car_is_never_seen_as_gone(swap: Story) -> None:
    """Whatever is under way (polls, readings, a new plan): no state says `disconnected`."""
    states = [one.state for one in swap.told.said(StateChanged)]
    boxes = [box for state in states if state.site for box in state.site.loadpoints]
    first = next(k for k, box in enumerate(boxes) if box.connected)
    assert 0 < first < len(boxes) - 50
    assert all(box.connected for box in boxes[first:])
    known = [state.vehicle("compact") for state in states]
    places = [car.loadpoint for car in known if car is not None]
    assert set(places[places.index("carport") :]) == {"carport"}
    assert len(swap.told.said(CarPollDue)) > 2  # and there were updates under way


def test_inv_83_a_plug_in_is_a_poll_in_the_cycle_that_sees_the_car(swap: Story) -> None:
    seen = [one.at for one in swap.told.said(VehiclePlugged) if one.vehicle == "compact"]
    polled = [one.at for one in swap.told.said(CarPollDue) if one.vehicle == "compact"]
    assert seen
    assert seen[0] in polled
    assert seen[0] <= ARRIVES + timedelta(seconds=60 + 30)


def test_inv_86_inv_88_a_tariff_gap_does_not_delay_the_hand_over(swap: Story) -> None:
    rates = swap.told.said(RatesChanged)
    now = ARRIVES + timedelta(minutes=15)
    assert rates[-1].import_eur_kwh.at(now) is None  # the gap is there
    assert rates[-1].import_eur_kwh.at(now + hours(2)) is not None
    asked = [one for one in swap.told.said(DriverAsked) if one.vehicle == "family"]
    assert asked
    complete = [
        one.at
        for one in swap.told.said(TurnsGiven)
        if [turn.why.code for turn in one.turns] == ["turn_complete"]
    ]
    assert asked[0].at == complete[0]
    full_pct = swap.frames[-1].cars_pct["compact"]
    assert full_pct >= 79.5
    charging = [frame.at for frame in swap.frames if frame.cars_pct["compact"] < full_pct]
    assert complete[0] - charging[-1] <= timedelta(minutes=2)  # evcc is read once a minute
    assert slot_of(complete[0]) < ARRIVES + hours(1)  # within the gap


@pytest.mark.parametrize("runtime", ["steps", "threads"])
def test_inv_48_inv_54_a_release_is_sent_once_and_idle_hours_cause_no_writes(runtime: str) -> None:
    start, dear = local("2026-01-13", "05:30"), local("2026-01-13", "07:00")
    scenario = home(
        start, hourly=CHEAP_NIGHT, battery=SimBattery(capacity_kwh=10, soc_pct=80), pv_kwp=0
    )
    story = told(scenario, runtime, 4 / 24)
    end = start + hours(4)
    night = [w for w in story.writes() if w.at < dear]
    assert {w.path for w in night} <= {"/api/batterymode/charge", "/api/batterymode/hold"}
    at_seven = [(w.method, w.path) for w in story.writes() if w.at == dear]
    assert at_seven[-2:] == [("POST", "/api/batterymode/normal"), ("DELETE", "/api/batterymode")]
    assert [w for w in story.writes() if dear < w.at < end] == []


# --- a component that fails -----------------------------------------------------------------------


def failing_once(kind: type[Actor[Any, Any]], times: list[int]) -> Actor[Any, Any]:
    """That actor, but its third message makes it raise. It keeps its name in the routes."""

    class Shaky(kind):  # type: ignore[valid-type, misc]
        name = kind.__name__

        def on(self, message: Message) -> Iterator[Message]:
            times.append(1)
            if len(times) == 3:
                raise RuntimeError("it fell over")
            yield from super().on(message)

    Shaky.hears, Shaky.says = kind.hears, kind.says
    return Shaky()


@pytest.mark.parametrize(
    "name", ["VehicleMonitor", "Forecaster", "Sequencer", "Optimizer", "Actuator"]
)
def test_inv_111_when_one_falls_the_others_go_on_and_it_comes_back(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = home(
        local("2026-01-13", "02:00"),
        hourly=CHEAP_NIGHT,
        battery=SimBattery(capacity_kwh=10, soc_pct=30),
    )
    days, recorder = 0.75 / 24, Told()
    system = ThreadSystem(VirtualClock(scenario.sim.start), recorder)
    ring = pretend_home(scenario, 1, days, system.clock)
    one_at_a_time(ring.pretend)
    window = Window(system.clock)
    ring.ports.append(window)
    minds = [failing_once(type(mind), []) if mind.name == name else mind for mind in cast()]
    ticks = play(system, scenario, days, ring, minds)
    assert not system.hands_off
    assert system.failures() == {name: 1}
    system.stop()
    # each tick was read and became a state; plans and battery modes came in the slots after it
    assert len(recorder.heard(EvccRead, "Collector")) == ticks
    last = scenario.sim.start + hours(0.5)
    assert any(one.at >= last for one in recorder.said(PlanMade))
    assert any(w.at >= last and "batterymode/charge" in w.path for w in ring.pretend.writes)
    shown = [why for one in recorder.said(StateChanged) for why in one.state.troubles]
    assert {dict(why.numbers)["actor"] for why in shown if why.code == "actor_failed"} == {name}
    assert f"{name} failed" in caplog.text


# --- nothing is shared, nothing is addressed by name ----------------------------------------------


MUTABLE = (list, dict, set, bytearray)


def inside(value: object) -> Iterator[object]:
    """The value and everything in it."""
    yield value
    if isinstance(value, msgspec.Struct):
        assert value.__struct_config__.frozen, type(value)
        for field in value.__struct_fields__:
            yield from inside(getattr(value, field))
    elif isinstance(value, tuple):
        for one in value:
            yield from inside(one)


def test_inv_109_nothing_that_can_change_is_shared_between_actors(swap: Story) -> None:
    """What no one can change needs no lock: whatever was said, heard or remembered is frozen."""
    kinds: set[type[Message]] = set()
    for _, heard, said in swap.told.lines:
        for message in (heard, *said):
            if type(message) in kinds and not isinstance(message, StateChanged):
                continue
            kinds.add(type(message))
            for one in inside(message):
                assert not isinstance(one, MUTABLE), (type(message), one)
    assert len(kinds) > 15
    for one in inside(swap.window.snapshot):
        assert not isinstance(one, MUTABLE)


class Listener(Port[EvccNudged | Tick, typing.Never]):
    """Has methods that nobody outside may reach."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def on(self, message: EvccNudged | Tick) -> Iterator[typing.Never]:
        self.heard.append(message)
        yield from ()


class _Twin(Message, frozen=True, tag="Tick"):
    """Has the tag of a message, and is none."""


def test_inv_175_messages_are_routed_by_type_alone() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    system, listener = StepSystem(start), Listener()
    system.enter([listener])
    system.publish(_Twin(start))
    system.publish(EvccNudged(start, key="close"))
    system.publish(EvccNudged(start, key="__init__"))
    system.settle()
    assert listener.heard == [EvccNudged(start, "close"), EvccNudged(start, "__init__")]
    assert all(isinstance(kind, type) for kind in routes_of([listener, *cast()]))
    system.stop()
    decoder = msgspec.json.Decoder(typing.Union[tuple(routes_of(cast()))])  # noqa: UP007
    for text in (b'{"type":"on","at":"2026-01-01T00:00:00Z"}', b'{"type":"__class__"}', b"{}"):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(text)


# --- what is kept ---------------------------------------------------------------------------------


def types_of(value: object) -> object:
    """The shape of a value: its types to the bottom."""
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return type(value), tuple(types_of(getattr(value, field)) for field in fields)
    if isinstance(value, tuple):
        return tuple(types_of(one) for one in value)
    # whole numbers are numbers: a hand-made 80 comes back as 80.0
    return float if type(value) is int else type(value)


def test_inv_115_memories_reload_as_what_they_were_and_can_be_used(swap: Story) -> None:
    """Every actor, saved and loaded in the middle of a story, goes on as if nothing had been."""
    lines = swap.told.lines
    middle = len(lines) // 2
    seats = {mind.name: mind for mind in cast()}
    for actor, heard, _ in lines[:middle]:
        list(seats[actor].on(heard))
    loaded = {mind.name: mind for mind in cast()}
    for name, mind in loaded.items():
        mind.restore(seats[name].snapshot())
        assert mind.memory == seats[name].memory, name
        assert types_of(mind.memory) == types_of(seats[name].memory), name
        kept = mind.snapshot()
        mind.restore(kept)
        assert mind.snapshot() == kept, name
    for actor, heard, said in lines[middle:]:
        again = tuple(loaded[actor].on(heard))
        assert again == said, (actor, heard)


def test_inv_115_messages_reload_as_what_they_were(swap: Story) -> None:
    kinds = {type(one) for _, heard, said in swap.told.lines for one in (heard, *said)}
    decoder = msgspec.json.Decoder(typing.Union[tuple(kinds)])  # noqa: UP007
    for _, heard, said in swap.told.lines[::7]:
        for message in (heard, *said):
            again = decoder.decode(msgspec.json.encode(message))
            assert again == message
            assert types_of(again) == types_of(message)
