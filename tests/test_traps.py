"""Traps that a real evcc was seen to set, each set by the pretend one, and how our ports pass.

Each trap is shown twice: what it does to a careless client, and that it does nothing to us
(evcc-api.md §3.4, §4, §7, §10; evcc-recorded/README.md).
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.clock import VirtualClock
from engine.estate import Written
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.evcc_json import site_from
from engine.home import CHARGE, HOLD, NORMAL
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    ConfigRead,
    EstateRead,
    EvccRead,
    EvccReadDue,
    EvccSilent,
    Message,
    Order,
    OrderConfirmed,
    OrderFailed,
)
from engine.settings import Settings
from engine.transport import Answer, TransportError
from engine.values import BatteryMode, Why
from sim.evcc import PretendEvcc
from tests.make_evcc import BATTERY, START, ScriptedWorld, scenario

WHY = Why("test")
INTERVAL_S = 30.0
RELEASED_S = 3 * INTERVAL_S + 25
"""A chain of POSTs that is broken is deleted first; then an interval and 15 s, a tick, a cycle."""


class Line:
    """The way to the pretend evcc. `faults`: what becomes of the next writes, in order.

    `refused`: at once; `lost`: never arrives, known after 10 s; a number: arrives so late.
    """

    def __init__(self, clock: VirtualClock, **changes: object) -> None:
        self.clock = clock
        self.evcc = PretendEvcc(scenario(**changes), ScriptedWorld(), clock)
        self.faults: Iterator[str | float] = iter(())
        self.asked: list[str] = []

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        self.asked.append(f"{method} {path}")
        fault = next(self.faults, 0.0) if method != "GET" else 0.0
        if fault == "refused":
            raise TransportError("connection refused")
        if fault == "lost":
            self.clock.move_to(self.clock.now() + timedelta(seconds=10))
            raise TransportError("no answer within 10 s")
        assert isinstance(fault, float)
        self.clock.move_to(self.clock.now() + timedelta(seconds=fault))
        return self.evcc.request(method, path, body)

    def close(self) -> None:
        """Nothing is open."""

    def sent(self) -> list[tuple[float, str]]:
        """What arrived at the battery mode: seconds, and the mode."""
        return [
            ((one.at - START).total_seconds(), one.path.rsplit("/", 1)[-1])
            for one in self.evcc.writes
            if "batterymode" in one.path
        ]


class Home:
    """A battery keeper before the pretend evcc, in virtual time."""

    def __init__(self, **changes: object) -> None:
        self.clock = VirtualClock(START)
        self.line = Line(self.clock, **changes)
        self.evcc = self.line.evcc
        self.said: list[Message] = []
        self.keeper = BatteryKeeper(self.line, self.clock)
        self.said += self.keeper.on(ConfigRead(START, Settings(tick_s=10.0)))
        self.read()

    def read(self) -> None:
        site = site_from(self.evcc.request("GET", "/api/state").body)
        self.said += self.keeper.on(EvccRead(self.clock.now(), site))

    def stand(self, mode: str | None, until_s: float) -> None:
        """From now to `until_s` the actuator says at each tick that this mode is to stand."""
        wanted = BatteryMode(mode) if mode else None
        while self.seconds() < until_s:
            self.said += self.keeper.on(BatteryModeStands(self.clock.now(), wanted, WHY))
            self._wait(min(until_s, self.seconds() + 10))

    def _wait(self, until_s: float) -> None:
        until = START + timedelta(seconds=until_s)
        while (due := self.keeper.next_wake()) is not None and due <= until:
            self.clock.move_to(due)
            self.said += self.keeper.wake(due)
        self.clock.move_to(max(until, self.clock.now()))

    def alone(self, seconds: float) -> None:
        """The controller is dead; evcc lives on."""
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        self.evcc.advance(self.clock.now())

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.evcc.request("GET", "/api/state").body)
        return shown

    def seconds(self) -> float:
        return (self.clock.now() - START).total_seconds()

    @property
    def inverter(self) -> int:
        self.evcc.advance(self.clock.now())
        return self.evcc.home.house.mode


def careless(*requests: tuple[float, str]) -> int:
    """What the inverter does ten minutes after these requests were the last ones."""
    home = Home()
    for at_s, request in requests:
        home.clock.move_to(START + timedelta(seconds=at_s))
        home.evcc.request(*request.split())  # type: ignore[arg-type]
    home.alone(600)
    return home.inverter


POST, DELETE = "POST /api/batterymode/hold", "DELETE /api/batterymode"


# --- the hole in the watchdog ---------------------------------------------------------------------


def test_a_late_renewal_would_stand_for_ever() -> None:
    assert careless((0, POST)) == NORMAL
    assert careless((0, POST), (62, POST)) == HOLD


@pytest.mark.parametrize(
    ("faults", "cleared_s"),
    [
        ([0.0, "lost", "lost"], 60.0),
        ([0.0, "lost", "lost", 9.0], 69.0),
        ([0.0, "refused", "lost", 9.0], 59.0),
        ([0.0, "lost", "refused", 6.0], 56.0),
    ],
    ids=["two lost", "and the release late", "the third late", "lost, refused, late"],
)
def test_after_lost_renewals_the_mode_is_let_go_and_begun_anew(
    faults: list[str | float], cleared_s: float
) -> None:
    home = Home()
    home.line.faults = iter(faults)
    home.stand("hold", 200)
    anew_s = cleared_s + INTERVAL_S + 15
    assert home.line.sent()[:3] == [(0, "hold"), (cleared_s, "batterymode"), (anew_s, "hold")]
    assert home.inverter == HOLD
    home.alone(60 + INTERVAL_S + 5)
    assert home.inverter == NORMAL


def test_a_third_renewal_that_comes_in_time_keeps_the_mode_and_its_watchdog() -> None:
    home = Home()
    home.line.faults = iter([0.0, "refused", "refused", 9.0])
    home.stand("hold", 200)
    assert [mode for _, mode in home.line.sent()] == ["hold"] * len(home.line.sent())
    home.alone(60 + INTERVAL_S + 5)
    assert home.inverter == NORMAL


def test_a_release_and_a_new_mode_too_soon_would_stand_for_ever() -> None:
    assert careless((0, POST), (61, DELETE), (65, POST)) == HOLD
    assert careless((0, POST), (61, DELETE), (61 + INTERVAL_S + 15, POST)) == NORMAL


@pytest.mark.parametrize("gap_s", [1, 5, 20, 40])
def test_a_mode_that_is_wanted_again_at_once_waits_for_a_whole_interval(gap_s: int) -> None:
    home = Home()
    home.stand("hold", 60)
    home.stand(None, 60 + gap_s)
    home.stand("hold", 300)
    sent = home.line.sent()
    deleted_s = max(at_s for at_s, mode in sent if mode == "batterymode")
    began_s = min(at_s for at_s, mode in sent if mode == "hold" and at_s > deleted_s)
    assert began_s - deleted_s >= INTERVAL_S + 15
    home.alone(60 + INTERVAL_S + 5)
    assert home.inverter == NORMAL


# --- what the inverter was told, and keeps --------------------------------------------------------


@pytest.mark.parametrize("mode", ["hold", "charge"])
def test_a_killed_evcc_leaves_the_inverter_as_it_was_told_and_we_release_it(mode: str) -> None:
    home = Home()
    home.stand(mode, 100)
    told = home.inverter
    home.evcc.kill()
    home.alone(30)
    home.evcc.start()
    home.alone(60)
    home.evcc.request("DELETE", "/api/batterymode")
    home.alone(600)
    assert home.inverter == told != NORMAL  # the trap: nothing but `normal` reaches it
    home.read()
    home.stand(None, home.seconds() + RELEASED_S)
    assert [mode for _, mode in home.line.sent()[-2:]] == ["normal", "batterymode"]
    assert home.inverter == NORMAL


def test_a_new_controller_releases_what_a_killed_evcc_left_in_the_inverter() -> None:
    home = Home()
    home.stand("charge", 100)
    home.evcc.kill()
    home.alone(600)
    home.evcc.start()
    home.alone(60)
    assert home.inverter == CHARGE
    home.keeper = BatteryKeeper(home.line, home.clock)  # the controller was killed, too
    home.said += home.keeper.on(ConfigRead(home.clock.now(), Settings(tick_s=10.0)))
    written = Written("battery_mode", "charge", START, confirmed=True)
    home.said += home.keeper.on(EstateRead(home.clock.now(), (written,)))
    home.read()
    home.stand(None, home.seconds() + RELEASED_S)
    assert home.inverter == NORMAL


def test_a_release_is_repeated_until_a_killed_evcc_is_back() -> None:
    home = Home()
    home.stand("charge", 50)
    home.evcc.kill()
    home.stand(None, 100)
    assert home.inverter == CHARGE
    assert isinstance(home.said[-1], BatteryModeFailed)
    home.evcc.start()
    home.stand(None, 100 + RELEASED_S)
    assert home.inverter == NORMAL
    last = home.said[-1]
    assert isinstance(last, BatteryModeConfirmed)
    assert last.mode is None


def test_a_full_battery_forgets_charge_and_leaving_and_entering_brings_it_back() -> None:
    full = replace(BATTERY, soc_pct=100.0, evcc_max_soc_pct=95.0)
    home = Home(battery=full)
    home.stand("charge", 60)
    assert home.inverter == HOLD  # evcc's way to stop at its maximum
    home.evcc.device("battery.soc_pct", 60)
    home.stand("charge", 300)
    assert home.inverter == HOLD  # the trap: it stays so, and evcc shows `charge`
    assert home.shown()["batteryMode"] == "charge"
    home.stand(None, 310)
    home.stand("charge", 420)
    assert home.inverter == CHARGE


def test_a_swallowed_error_of_the_inverter_ends_by_leaving_and_entering() -> None:
    home = Home()
    home.stand("charge", 60)
    home.evcc.device("battery_write_error", True)
    home.stand("hold", 100)
    home.evcc.device("battery_write_error", False)
    home.stand("hold", 400)
    assert home.shown()["batteryMode"] == "hold"
    assert home.inverter == CHARGE  # the trap: it charges from the grid for ever
    home.stand(None, 410)
    home.stand("hold", 520)
    assert home.inverter == HOLD


# --- a start of evcc ------------------------------------------------------------------------------


def test_while_evcc_starts_every_route_is_404_and_nobody_takes_that_for_an_answer() -> None:
    home = Home()
    reader, writer = EvccReader(home.line, home.clock), EvccWriter(home.line, home.clock)
    (read,) = reader.on(EvccReadDue(START, ("grid",)))
    assert isinstance(read, EvccRead)
    assert list(writer.on(read)) == []
    home.stand("hold", 20)
    home.evcc.kill()
    home.evcc.start(first_cycle_s=10.0)
    home.clock.move_to(home.clock.now() + timedelta(seconds=9.9))
    assert home.evcc.catch_up() is False
    assert home.evcc.request("GET", "/api/state").status == 404
    (silent,) = reader.on(EvccReadDue(home.clock.now(), ("grid", "solar")))
    assert isinstance(silent, EvccSilent)
    order = Order(home.clock.now(), 1, "lp-1", "mode", "now", WHY)
    (failed,) = writer.on(order)
    assert isinstance(failed, OrderFailed)
    home.said += home.keeper.wake(home.clock.now())
    home.said += home.keeper.on(BatteryModeStands(home.clock.now(), BatteryMode.CHARGE, WHY))
    assert isinstance(home.said[-1], BatteryModeFailed)
    home.stand("charge", 120)
    assert isinstance(home.said[-1], BatteryModeConfirmed)
    (confirmed,) = writer.on(order)
    assert isinstance(confirmed, OrderConfirmed)
    (back,) = reader.on(EvccReadDue(home.clock.now(), ("grid",)))
    assert isinstance(back, EvccRead)
