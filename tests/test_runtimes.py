"""The same small story on both runtimes; Pykka's private hooks; supervision."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

import msgspec
import pykka
import pytest

from engine.actor import Actor, Port
from engine.clock import Clock, VirtualClock, WallClock
from engine.messages import (
    ActorFailed,
    CarAnswered,
    CarPollDue,
    CarSilent,
    ConfigRead,
    EvccReadDue,
    EvccSilent,
    HandsOff,
    Message,
    Tick,
)
from engine.settings import Settings
from engine.steps import StepSystem
from engine.threads import ThreadSystem

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class PollerMemory(msgspec.Struct, frozen=True):
    ticks: int = 0
    answers: tuple[float, ...] = ()


class Poller(Actor[Tick | CarAnswered, CarPollDue]):
    """Asks for a car at each tick and remembers the answers."""

    def __init__(self) -> None:
        self.memory = PollerMemory()

    def on(self, message: Tick | CarAnswered) -> Iterator[CarPollDue]:
        memory = self.memory
        match message:
            case Tick():
                self.memory = msgspec.structs.replace(memory, ticks=memory.ticks + 1)
                yield CarPollDue(at=message.at, vehicle="zoe")
            case CarAnswered(soc_pct=soc_pct):
                answers = (*memory.answers, soc_pct)
                self.memory = msgspec.structs.replace(memory, answers=answers)
            case _:
                assert_never(message)


class Cloud(Port[CarPollDue, CarAnswered]):
    """Answers with a counter; its timer says one more every 20 s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = clock.now() + timedelta(seconds=20)
        self.count = 0
        self.closed = False

    def on(self, message: CarPollDue) -> Iterator[CarAnswered]:
        self.count += 1
        yield CarAnswered(self._clock.now(), message.vehicle, float(self.count), message.at)

    def next_wake(self) -> datetime:
        return self._due

    def wake(self, at: datetime) -> Iterator[CarAnswered]:
        self._due = at + timedelta(seconds=20)
        yield CarAnswered(self._clock.now(), "timer", -1.0, at)

    def close(self) -> None:
        self.closed = True


class Recorded:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, tuple[str, ...]]] = []
        self._lock = threading.Lock()

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        with self._lock:
            names = tuple(type(one).__name__ for one in said)
            self.lines.append((actor, type(heard).__name__, names))


def run(runtime: str) -> tuple[Any, Recorded]:
    recorded = Recorded()
    if runtime == "steps":
        system: Any = StepSystem(T0, recorded)
    else:
        system = ThreadSystem(VirtualClock(T0), recorded)
    cloud = Cloud(system.clock)
    system.enter([Poller(), cloud])
    for k in range(1, 6):
        system.tick(Tick(at=T0 + timedelta(seconds=30 * k)))
    memory = msgspec.json.decode(system.memories()["Poller"], type=PollerMemory)
    system.stop()
    assert cloud.closed
    return memory, recorded


def test_same_story_on_both_runtimes() -> None:
    steps, step_lines = run("steps")
    threads, thread_lines = run("threads")
    assert steps == threads
    assert steps.ticks == 5
    assert steps.answers.count(-1.0) == 7  # the timer rings every 20 s of 150 s
    assert step_lines.lines == thread_lines.lines


class Shy(Actor[Tick, CarPollDue]):
    def __init__(self) -> None:
        self.memory = PollerMemory()

    def on(self, message: Tick) -> Iterator[CarPollDue]:
        self.memory = PollerMemory(ticks=self.memory.ticks + 1)
        yield CarPollDue(at=message.at, vehicle="said before the failure")
        if message.at.minute % 2:
            raise ValueError("odd minute")


class Ear(Actor[CarPollDue | ActorFailed | HandsOff, EvccReadDue]):
    def __init__(self) -> None:
        self.memory = PollerMemory()
        self.heard: list[Message] = []

    def on(self, message: CarPollDue | ActorFailed | HandsOff) -> Iterator[EvccReadDue]:
        self.heard.append(message)
        yield from ()


def test_a_failure_raises_at_once_in_steps_and_nothing_was_said_or_remembered() -> None:
    system = StepSystem(T0)
    shy, ear = Shy(), Ear()
    system.enter([shy, ear])
    with pytest.raises(ValueError, match="odd minute"):
        system.tick(Tick(at=T0 + timedelta(minutes=1)))
    assert ear.heard == []
    assert shy.memory == PollerMemory()
    system.stop()


def test_inv_111_a_failing_actor_is_respawned_with_its_memory_then_hands_off() -> None:
    system = ThreadSystem(VirtualClock(T0))
    ear = Ear()
    system.enter([Shy(), ear])
    for minute in range(6):
        system.tick(Tick(at=T0 + timedelta(minutes=minute)))
    assert [type(one).__name__ for one in ear.heard] == ["CarPollDue", "ActorFailed"] * 3
    ticks = msgspec.json.decode(system.memories()["Shy"], type=PollerMemory).ticks
    assert ticks == 3  # what the failing handlers had remembered is gone
    system.tick(Tick(at=T0 + timedelta(minutes=7)))
    assert any(isinstance(one, HandsOff) for one in ear.heard)
    assert system.hands_off
    system.stop()


class Liar(Actor[Tick, CarPollDue]):
    def __init__(self) -> None:
        self.memory = PollerMemory()

    def on(self, message: Tick) -> Iterator[Any]:
        yield CarSilent(at=message.at, vehicle="x", reason="not in the header")


def test_saying_what_the_header_does_not_name_is_an_error() -> None:
    system = StepSystem(T0)
    system.enter([Liar()])
    with pytest.raises(TypeError, match="CarSilent, not in its header"):
        system.tick(Tick(at=T0))
    system.stop()


def test_shuffle_depends_on_the_seed_alone() -> None:
    def order(seed: int) -> list[tuple[str, str, tuple[str, ...]]]:
        recorded = Recorded()
        system = StepSystem(T0, recorded, shuffle=True, seed=seed)
        system.enter([Poller(), Shy(), Ear(), Cloud(system.clock)])
        for k in range(0, 20, 2):
            system.publish(Tick(at=T0 + timedelta(minutes=k)))
        system.settle()
        system.stop()
        return recorded.lines

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_late_answers_come_at_their_virtual_time() -> None:
    system = StepSystem(T0, latency_s={"Cloud": 12.0})
    poller = Poller()
    cloud = Cloud(system.clock)
    system.enter([poller, cloud])
    system.tick(Tick(at=T0))
    assert poller.memory.answers == ()
    system.advance(T0 + timedelta(seconds=11))
    assert poller.memory.answers == ()
    system.advance(T0 + timedelta(seconds=13))
    assert poller.memory.answers == (1.0,)
    system.stop()


class Slow(Port[Tick, EvccSilent]):
    """Blocks until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.heard = 0

    def on(self, message: Tick) -> Iterator[EvccSilent]:
        self.heard += 1
        self.gate.wait(10)
        yield from ()


def test_ticks_coalesce_while_a_port_is_busy_and_nobody_else_waits() -> None:
    system = ThreadSystem(WallClock())
    slow, poller = Slow(), Poller()
    cloud = Cloud(system.clock)
    system.enter([slow, poller, cloud])
    for k in range(50):
        system.publish(Tick(at=T0 + timedelta(seconds=k)))
        threading.Event().wait(0.001)
    for _ in range(400):
        if cloud.count >= 10:
            break
        threading.Event().wait(0.005)
    assert cloud.count >= 10  # the poller went on although `slow` hangs in its first tick
    assert slow.heard == 1
    assert system.waiting()["Slow"] <= 1  # newest wins
    slow.gate.set()
    assert system.settle(5)
    assert slow.heard <= 3
    system.stop()


def test_an_inbox_that_overflows_is_a_failure_and_hands_off() -> None:
    class Jam(Port[CarSilent, EvccSilent]):
        def __init__(self) -> None:
            self.gate = threading.Event()

        def on(self, message: CarSilent) -> Iterator[EvccSilent]:
            self.gate.wait(10)
            yield from ()

    system = ThreadSystem(WallClock())
    jam, ear = Jam(), Ear()
    system.enter([jam, ear])
    for _ in range(10_010):
        system.publish(CarSilent(at=T0, vehicle="x", reason="y"))
    threading.Event().wait(0.05)
    assert [type(one).__name__ for one in ear.heard] == ["ActorFailed", "HandsOff"]
    jam.gate.set()
    system.settle(10)
    system.stop()


def test_canary_pykka_still_has_the_hooks_we_stand_on() -> None:
    for hook in (
        "_create_actor_inbox",
        "_create_future",
        "_start_actor_loop",
        "_actor_loop_setup",
        "_actor_loop_running",
        "_actor_loop_teardown",
        "_handle_failure",
        "_handle_receive",
    ):
        assert callable(getattr(pykka.Actor, hook)), hook
    assert pykka.ThreadingActor.use_daemon_thread is False

    got: list[object] = []

    class Gives(pykka.ThreadingActor):
        def on_receive(self, message: object) -> None:
            got.append(message)

    ref = Gives.start()
    ref.actor_inbox.put(type("E", (), {"message": "m", "reply_to": None})())
    ref.stop()
    assert got == ["m"]


def test_inside_nobody_may_ask() -> None:
    system = StepSystem(T0)
    system.enter([Poller()])
    seat = system.seats["Poller"]
    with pytest.raises(RuntimeError, match="they do not ask"):
        seat.actor_ref.ask(Tick(at=T0))
    system.stop()


def test_no_actor_is_left_in_pykkas_registry() -> None:
    for _ in range(3):
        system = StepSystem(T0)
        system.enter([Poller()])
        system.stop()
    assert pykka.ActorRegistry.get_all() == []


class Newborn(Actor[ConfigRead, CarPollDue]):
    """Falls on its first configuration."""

    falls = 1

    def __init__(self) -> None:
        self.memory = PollerMemory()

    def on(self, message: ConfigRead) -> Iterator[CarPollDue]:
        if Newborn.falls:
            Newborn.falls -= 1
            raise ValueError("not yet")
        self.memory = PollerMemory(ticks=1)
        yield CarPollDue(at=message.at, vehicle="configured")


def test_who_falls_on_the_configuration_hears_it_again() -> None:
    Newborn.falls = 1
    system = ThreadSystem(VirtualClock(T0))
    ear = Ear()
    system.enter([Newborn(), ear])
    system.tick(ConfigRead(at=T0, settings=Settings()))
    assert [type(one).__name__ for one in ear.heard] == ["ActorFailed", "CarPollDue"]
    system.stop()
