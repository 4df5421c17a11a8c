"""The port that keeps evcc's battery mode: renewals, release, the hole of the watchdog."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actor import Actor
from engine.clock import VirtualClock
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.evcc_json import site_from
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    ConfigRead,
    EvccRead,
    HandsOff,
    StopAsked,
    Tick,
)
from engine.settings import Settings
from engine.steps import StepSystem
from engine.transport import Answer, TransportError
from engine.values import BatteryMode
from tests.make_evcc_ports import (
    SITE,
    STATE,
    T0,
    WHY,
    Fault,
    ScriptedTransport,
    WatchdogEvcc,
    after,
    ok,
)


def stands(mode: str | None) -> BatteryModeStands:
    return BatteryModeStands(T0, BatteryMode(mode) if mode else None, WHY)


class Home:
    """A keeper in virtual time, told each tick what stands."""

    def __init__(self, evcc: Any = None, tick_s: float = 10.0, read: bool = True) -> None:
        self.clock = VirtualClock(T0)
        self.evcc = evcc or WatchdogEvcc(self.clock)
        self.evcc.clock = self.clock
        self.keeper = BatteryKeeper(self.evcc, self.clock)
        self.tick_s = tick_s
        self.said: list[Any] = []
        self.hear(ConfigRead(T0, Settings(tick_s=tick_s)))
        if read:
            self.hear(EvccRead(T0, SITE))

    def hear(self, message: Any) -> None:
        self.said += self.keeper.on(message)

    def wait(self, until_s: float) -> None:
        """Let time pass without a tick."""
        wakes = 0
        while (due := self.keeper.next_wake()) is not None and due <= after(until_s):
            self.clock.move_to(due)
            self.said += self.keeper.wake(due)
            wakes += 1
            assert wakes < 1000, "it does not go on"
        self.clock.move_to(after(until_s))

    def stand(self, mode: str | None, until_s: float) -> None:
        """Tick from now on with this mode."""
        while (now_s := self.seconds()) < until_s - 0.001:  # times are whole microseconds
            self.hear(stands(mode))
            self.wait(min(until_s, max(now_s + self.tick_s, self.seconds())))

    def seconds(self) -> float:
        return (self.clock.now() - T0).total_seconds()

    def modes(self) -> list[str | None]:
        """What was said to be in force, in order."""
        return [
            one.mode.value if one.mode else None
            for one in self.said
            if isinstance(one, BatteryModeConfirmed)
        ]


def test_a_new_mode_is_posted_at_once_and_renewed_every_20_s() -> None:
    home = Home()
    home.stand("hold", 100)
    assert home.evcc.posts == [(float(s), "hold") for s in (0, 20, 40, 60, 80, 100)]
    assert home.said == [BatteryModeConfirmed(T0, BatteryMode.HOLD)]
    home.hear(stands("charge"))
    assert home.evcc.posts[-1] == (100.0, "charge")
    assert home.modes() == ["hold", "charge"]


def test_renewals_fall_between_the_ticks_of_a_simulation() -> None:
    home = Home(tick_s=300)
    home.stand("charge", 600)
    assert home.evcc.posts == [(20.0 * k, "charge") for k in range(31)]
    assert home.evcc.external == "charge"


def test_renewals_fall_between_the_ticks_of_the_stepped_runtime() -> None:
    class Steady(Actor[Tick | BatteryModeConfirmed, BatteryModeStands]):
        def __init__(self) -> None:
            self.memory = stands("hold")

        def on(self, message: Tick | BatteryModeConfirmed) -> Iterator[BatteryModeStands]:
            if isinstance(message, Tick):
                yield BatteryModeStands(message.at, BatteryMode.HOLD, WHY)

    system = StepSystem(T0)
    evcc = WatchdogEvcc(system.clock)
    keeper = BatteryKeeper(evcc, system.clock)
    system.enter([Steady(), keeper])
    system.publish(ConfigRead(T0, Settings(tick_s=300)))
    system.publish(EvccRead(T0, SITE))
    system.tick(Tick(T0))
    system.tick(Tick(after(300)))
    assert evcc.posts == [(20.0 * k, "hold") for k in range(16)]
    system.stop()


def test_release_is_normal_then_delete_and_only_after_something_was_posted() -> None:
    home = Home()
    home.stand(None, 50)
    assert home.evcc.posts == []
    home.stand("hold", 60)
    home.stand(None, 200)
    assert home.evcc.posts == [(50.0, "hold"), (60.0, "normal"), (60.0, "unknown")]
    assert home.modes() == ["hold", None]
    assert home.keeper.next_wake() is None


def test_a_release_is_repeated_until_both_are_confirmed() -> None:
    home = Home(ScriptedTransport(TransportError("refused")))
    evcc = home.evcc
    evcc.reply("POST /api/batterymode/hold", ok(2))
    evcc.reply("POST /api/batterymode/normal", TransportError("refused"), ok(1))
    evcc.reply("DELETE /api/batterymode", TransportError("refused"), Answer(500, b""), ok(0))
    home.stand("hold", 10)
    evcc.asked.clear()
    home.stand(None, 100)
    normal, delete = "POST /api/batterymode/normal", "DELETE /api/batterymode"
    assert evcc.asked == [normal, normal, delete, normal, delete, normal, delete]
    assert home.said == [
        BatteryModeConfirmed(T0, BatteryMode.HOLD),
        BatteryModeFailed(after(10), None, "refused"),
        BatteryModeFailed(after(20), None, "refused"),
        BatteryModeFailed(after(30), None, "HTTP 500"),
        BatteryModeConfirmed(after(40), None),
    ]


def test_what_is_no_longer_heard_is_let_go_after_a_tick_and_20_s() -> None:
    home = Home()
    home.stand("charge", 40)  # last heard at 30
    home.wait(59.9)
    assert home.modes() == ["charge"]
    home.wait(500)
    assert home.evcc.posts[-2:] == [(60.0, "normal"), (60.0, "unknown")]
    assert home.modes() == ["charge", None]


def test_a_mode_that_comes_back_after_a_release_waits_for_a_whole_cycle() -> None:
    home = Home()
    home.stand("hold", 10)
    home.stand(None, 20)  # released at 10
    home.stand("hold", 100)
    hold = [at for at, mode in home.evcc.posts if mode == "hold"]
    assert hold == [0.0, 55.0, 75.0, 95.0]


def test_inv_52_a_late_renewal_never_hits_the_hole_of_the_watchdog() -> None:
    """evcc hangs for 40 s: DELETE, a whole interval and 15 s, and only then POST."""
    faults = [Fault(), *[Fault("refused", 8.0)] * 3]
    home = Home(WatchdogEvcc(VirtualClock(T0), faults=iter(faults)))
    home.stand("hold", 200)
    # refused 20-28, 38-46, 56-64 (a DELETE already), then the DELETE gets through at 74
    assert home.evcc.posts[:2] == [(0.0, "hold"), (74.0, "unknown")]
    assert home.evcc.posts[2] == (74.0 + 30 + 15, "hold")
    assert home.modes() == ["hold", None, "hold"]
    failed = [one for one in home.said if isinstance(one, BatteryModeFailed)]
    assert [one.mode for one in failed] == [BatteryMode.HOLD] * 3


def test_inv_52_an_answer_that_comes_too_late_is_not_trusted() -> None:
    faults = [Fault(), Fault("refused"), Fault("refused"), Fault("refused", 5), Fault("slow", 9)]
    home = Home(WatchdogEvcc(VirtualClock(T0), faults=iter(faults)))
    # refused at 20, 30, 40; the DELETE at 55 answers at 64
    home.stand("hold", 70)
    assert [mode for _, mode in home.evcc.posts] == ["hold", "unknown"]
    faults = [Fault(), Fault("refused"), Fault("refused", 8), Fault("slow", 8)]
    home = Home(WatchdogEvcc(VirtualClock(T0), faults=iter(faults)))
    # refused at 20 and 30 (till 38), posted at 48, answered at 56: later than 55
    home.stand("hold", 130)
    assert home.evcc.posts[:3] == [(0.0, "hold"), (48.0, "hold"), (56.0, "unknown")]
    assert home.evcc.posts[3] == (56.0 + 45, "hold")


def test_a_mode_that_somebody_else_left_standing_is_cleared_first() -> None:
    home = Home(read=False)
    foreign = site_from(STATE.replace(b'"interval"', b'"batteryModeExternal":"hold","interval"'))
    home.hear(EvccRead(T0, foreign))
    home.stand("charge", 60)
    assert home.evcc.posts == [(0.0, "unknown"), (45.0, "charge")]
    assert home.modes() == ["charge"]


def test_an_evcc_that_controls_no_battery_is_a_failure_with_nothing_to_release() -> None:
    home = Home(ScriptedTransport(ok(0)))
    home.stand("hold", 15)
    assert home.said[0] == BatteryModeFailed(
        T0, BatteryMode.HOLD, "evcc has no controllable battery"
    )
    home.evcc.asked.clear()
    home.stand(None, 60)
    assert home.evcc.asked == []


def test_a_refused_mode_is_a_failure_and_tried_again_slowly() -> None:
    home = Home(ScriptedTransport(Answer(400, b'{"error":"holdcharge does not belong"}')))
    home.stand("holdcharge", 30)
    assert home.evcc.asked == ["POST /api/batterymode/holdcharge"] * 4
    assert home.said[0].reason == "HTTP 400: holdcharge does not belong"


def test_what_works_again_after_a_failure_is_said() -> None:
    home = Home(WatchdogEvcc(VirtualClock(T0), faults=iter([Fault(), Fault("refused")])))
    home.stand("hold", 60)
    assert home.said == [
        BatteryModeConfirmed(T0, BatteryMode.HOLD),
        BatteryModeFailed(after(20), BatteryMode.HOLD, "refused"),
        BatteryModeConfirmed(after(30), BatteryMode.HOLD),
    ]


def test_a_release_after_a_long_silence_goes_around_the_hole_too() -> None:
    home = Home()
    home.stand("hold", 10)
    home.clock.move_to(after(75))  # the computer slept
    home.stand(None, 200)
    assert home.evcc.posts[-3:] == [(75.0, "unknown"), (120.0, "normal"), (120.0, "unknown")]
    assert home.modes() == ["hold", None]
    assert home.evcc.holes == 0


@pytest.mark.parametrize("end", [HandsOff(T0, WHY), StopAsked(T0)])
def test_after_the_end_everything_is_released_and_nothing_posted(end: Any) -> None:
    home = Home()
    home.stand("charge", 10)
    home.hear(end)
    home.stand("charge", 300)
    assert [mode for _, mode in home.evcc.posts] == ["charge", "normal", "unknown"]
    quiet = Home()
    quiet.hear(end)
    assert quiet.evcc.posts == []


def test_ports_close_their_connections() -> None:
    for kind in (EvccReader, EvccWriter, BatteryKeeper):
        transport = ScriptedTransport()
        kind(transport, VirtualClock(T0)).close()
        assert transport.closed


def test_the_hole_is_in_the_fake_as_it_is_in_evcc() -> None:
    """`traces/battery-race.jsonl` and `battery-late.jsonl`: what the keeper must never do."""
    for with_delete in (False, True):
        clock = VirtualClock(T0)
        evcc = WatchdogEvcc(clock, phase_s=30)
        evcc.request("POST", "/api/batterymode/hold")
        clock.move_to(after(65))
        if with_delete:
            evcc.request("DELETE", "/api/batterymode")
        clock.move_to(after(70))
        evcc.request("POST", "/api/batterymode/hold")
        evcc.run(after(3600))
        assert evcc.external == "hold"  # for ever
        assert evcc.holes == 1
    clock = VirtualClock(T0)
    evcc = WatchdogEvcc(clock, phase_s=30)
    evcc.request("POST", "/api/batterymode/hold")
    evcc.run(after(3600))
    assert (evcc.external, evcc.inverter) == ("unknown", "normal")


FAULTS = st.lists(
    st.builds(
        Fault,
        st.sampled_from(["ok", "slow", "lost", "refused", "refused"]),
        st.floats(0, 9.5),
    ),
    max_size=40,
)
WISHES = st.lists(
    st.tuples(
        st.sampled_from([None, "hold", "charge", "normal"]),
        st.floats(5, 200),
        st.sampled_from(["", "", "", "asleep", "restart"]),
    ),
    min_size=1,
    max_size=8,
)


@given(FAULTS, WISHES, st.sampled_from([10.0, 60.0, 300.0]), st.floats(0, 29), st.floats(1, 90))
@settings(max_examples=150, deadline=None)
def test_inv_52_whatever_happens_a_dead_controller_leaves_no_mode_behind(
    faults: list[Fault], wishes: list[Any], tick_s: float, phase_s: float, alive_s: float
) -> None:
    evcc = WatchdogEvcc(VirtualClock(T0), phase_s=phase_s, faults=iter(faults))
    home = Home(evcc, tick_s)
    for mode, seconds, event in wishes:
        home.stand(mode, home.seconds() + seconds)
        if event == "asleep":  # the computer slept: no wake was served
            home.clock.move_to(home.clock.now() + timedelta(seconds=seconds))
        elif event == "restart":
            evcc.run(home.clock.now())
            evcc.restart()
    # it dies at a random moment: evcc's own watchdog ends whatever stands
    home.wait(home.seconds() + min(alive_s, tick_s))
    died = home.clock.now()
    evcc.run(died + timedelta(seconds=61))
    assert evcc.external == "unknown"
    assert evcc.holes == 0


@given(FAULTS, WISHES, st.sampled_from([10.0, 300.0]), st.floats(0, 29))
@settings(max_examples=100, deadline=None)
def test_once_the_faults_are_over_what_stands_is_what_was_wished(
    faults: list[Fault], wishes: list[Any], tick_s: float, phase_s: float
) -> None:
    evcc = WatchdogEvcc(VirtualClock(T0), phase_s=phase_s, faults=iter(faults))
    home = Home(evcc, tick_s)
    for mode, seconds, _ in wishes:
        home.stand(mode, home.seconds() + seconds)
    evcc.faults = iter(())
    wish = wishes[-1][0]
    home.stand(wish, home.seconds() + 600)
    evcc.run(home.clock.now())
    assert evcc.external == (wish or "unknown")
    confirmed = home.modes()
    assert (confirmed[-1] if confirmed else None) == wish
