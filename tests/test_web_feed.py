"""The window's port: one self-consistent snapshot, whatever the order of delivery."""

import random
import threading
from datetime import timedelta

import msgspec
import pytest

from engine.clock import VirtualClock
from engine.messages import (
    ActorFailed,
    DriverAsked,
    EvccRead,
    EvccSilent,
    HandsOff,
    Message,
    OrderFailed,
    PlanMade,
    StateChanged,
)
from engine.values import HomeState, Why
from tests.make_status import (
    NOW,
    make_messages,
    make_plan,
    make_rates,
    make_site,
    make_state,
)
from web.feed import HELD, QUEUE_MAX, STREAMS_MAX, TooManyStreamsError, Window
from web.snapshot import FAILURES_MAX, WRITES_MAX

SMALL_PLAN = msgspec.structs.replace(make_plan().plan, slots=())


def plan(revision: int) -> PlanMade:
    return PlanMade(
        NOW, msgspec.structs.replace(SMALL_PLAN, revision=revision), Why("plan_new_slot")
    )


def hear(window: Window, *messages: Message) -> None:
    for message in messages:
        assert list(window.on(message)) == []  # type: ignore[arg-type]


def state(revision: int, rates: int = 0, plan: int = 0) -> StateChanged:
    made = make_state(revision, rates_revision=rates, plan_revision=plan)
    return StateChanged(NOW, made)


def shown(window: Window) -> tuple[int | None, int | None, int | None]:
    one = window.snapshot
    return (
        one.state.revision if one.state else None,
        one.rates.revision if one.rates else None,
        one.plan.plan.revision if one.plan else None,
    )


def test_a_state_waits_for_the_plan_and_the_rates_that_it_names() -> None:
    window = Window(VirtualClock(NOW))
    hear(window, state(5, rates=1, plan=1))
    assert shown(window) == (None, None, None)
    hear(window, make_rates(1))
    assert shown(window) == (None, None, None)
    hear(window, plan(1))
    assert shown(window) == (5, 1, 1)


def test_a_plan_waits_for_the_state_that_names_it() -> None:
    window = Window(VirtualClock(NOW))
    hear(window, plan(1), state(1, plan=1), plan(2))
    assert shown(window) == (1, None, 1)
    hear(window, state(2, plan=2))
    assert shown(window) == (2, None, 2)


def test_revisions_never_go_back() -> None:
    window = Window(VirtualClock(NOW))
    hear(window, state(5), state(4), state(5))
    assert shown(window)[0] == 5
    assert window.snapshot.version == 1
    hear(window, state(9, plan=3), state(8, plan=3))
    hear(window, plan(3))
    assert shown(window) == (9, None, 3)


def test_a_plan_that_never_comes_holds_the_state_back_only_for_a_while() -> None:
    clock = VirtualClock(NOW)
    window = Window(clock)
    hear(window, state(1, plan=7))
    assert window.next_wake() == NOW + HELD
    clock.move_to(NOW + HELD)
    list(window.wake(clock.now()))
    assert shown(window) == (1, None, None)
    assert window.next_wake() is None
    hear(window, state(2, plan=7))  # not waited for again
    assert shown(window) == (2, None, None)
    hear(window, plan(7))
    assert shown(window) == (2, None, 7)
    hear(window, state(3, plan=8))
    assert shown(window) == (2, None, 7)


def test_a_newer_state_does_not_prolong_the_wait() -> None:
    clock = VirtualClock(NOW)
    window = Window(clock)
    hear(window, state(1, plan=7))
    clock.move_to(NOW + HELD / 2)
    hear(window, state(2, plan=8))
    assert window.next_wake() == NOW + HELD


@pytest.mark.parametrize("seed", range(20))
def test_inv_108_every_snapshot_is_of_one_revision_in_any_order_of_senders(seed: int) -> None:
    rng = random.Random(seed)
    senders: list[list[Message]] = [
        [state(n, rates=1 + n // 7, plan=n // 3) for n in range(1, 40)],
        [plan(n) for n in range(1, 14)],
        [make_rates(n) for n in range(1, 7)],
    ]
    # what a state names was published before it: the runtime may swap, but only so far
    window, seen = Window(VirtualClock(NOW)), []
    while any(senders):
        queue = rng.choice([one for one in senders if one])
        first = queue[0]
        if isinstance(first, PlanMade) and first.plan.revision > window_ahead(senders[0]):
            continue
        hear(window, queue.pop(0))
        one = window.snapshot
        if one.state is not None:
            assert (one.plan.plan.revision if one.plan else 0) == one.state.plan_revision
            assert (one.rates.revision if one.rates else 0) == one.state.rates_revision
            seen.append(one.state.revision)
    assert seen == sorted(seen)
    assert seen[-1] == 39


def window_ahead(states: list[Message]) -> int:
    """How far a plan may run ahead of the next state: less than the window keeps."""
    first = states[0] if states else None
    return first.state.plan_revision + 5 if isinstance(first, StateChanged) else 99


def test_inv_108_a_snapshot_that_a_reader_holds_never_changes() -> None:
    window = Window(VirtualClock(NOW))
    hear(window, *make_messages())
    held = window.snapshot
    before = msgspec.json.encode(held)
    hear(window, plan(2), state(99, rates=1, plan=2), HandsOff(NOW, Why("hands_off")))
    assert msgspec.json.encode(held) == before
    assert window.snapshot is not held


def test_inv_116_what_the_window_remembers_is_bounded() -> None:
    window = Window(VirtualClock(NOW))
    hear(window, *make_messages())
    order = next(m.order for m in make_messages() if hasattr(m, "order"))
    for k in range(200):
        hear(window, ActorFailed(NOW, "Optimizer", "Tick", f"{k}"), OrderFailed(NOW, order, "no"))
        hear(window, DriverAsked(NOW, f"lp-{k}", "ev9", Why("swap_asked")))
    assert len(window.snapshot.failures) == FAILURES_MAX
    assert window.snapshot.failures[-1].error == "199"
    assert len(window.snapshot.writes) == WRITES_MAX
    assert len(window.snapshot.asked) == 20


def test_evcc_silence_ends_with_the_next_reading() -> None:
    window = Window(VirtualClock(NOW))
    hear(window, EvccSilent(NOW, "refused"))
    assert window.snapshot.evcc_silent == EvccSilent(NOW, "refused")
    hear(window, EvccRead(NOW + timedelta(seconds=10), make_site()))
    assert window.snapshot.evcc_silent is None
    assert window.snapshot.evcc_read_at == NOW + timedelta(seconds=10)


def test_what_changes_nothing_is_not_sent() -> None:
    window = Window(VirtualClock(NOW))
    client = window.subscribe()
    hear(window, make_rates(1), plan(1))  # no state names them yet
    assert len(client) == 0


def test_a_slow_client_loses_the_oldest_and_harms_nobody() -> None:
    window = Window(VirtualClock(NOW))
    slow, quick = window.subscribe(), window.subscribe()
    for revision in range(1, 31):
        hear(window, state(revision))
        newest = quick.newest(0)
        assert newest is not None
        assert newest.state is not None
        assert newest.state.revision == revision
    assert len(slow) == QUEUE_MAX
    newest = slow.newest(0)
    assert newest is window.snapshot
    assert slow.newest(0) is None


def test_streams_are_capped_and_unsubscribing_is_clean() -> None:
    window = Window(VirtualClock(NOW))
    clients = [window.subscribe() for _ in range(STREAMS_MAX)]
    with pytest.raises(TooManyStreamsError, match="232"):
        window.subscribe()
    for client in clients * 2:
        window.unsubscribe(client)
    assert window.streams == 0


def test_clients_may_come_and_go_while_the_window_hears() -> None:
    window, failed = Window(VirtualClock(NOW)), []

    def come_and_go() -> None:
        for _ in range(300):
            client = window.subscribe()
            newest = client.newest(0)
            if newest is not None and not isinstance(newest.state, HomeState):
                failed.append(newest)
            window.unsubscribe(client)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for revision in range(1, 400):
        hear(window, state(revision))
    for thread in threads:
        thread.join()
    assert not failed
    assert window.streams == 0
