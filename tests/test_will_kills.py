"""Killed between ledger and write, between write and confirmation: the end is always the same."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import home as physics
from engine.estate import Bequest
from engine.evcc import BatteryKeeper, EvccWriter
from engine.evcc_json import site_from
from engine.messages import BatteryModeStands, EstateRead, EvccRead, Order, WillMade
from engine.transport import Answer
from engine.values import BatteryMode, ChargeMode
from tests.make_will import RELEASE, WHY, Deathbed, bequest

WILL = (RELEASE, bequest("limit_soc", 0.0), bequest("mode", "pv"))


class Killed(BaseException):
    """As kill -9: nothing after it happens."""


class Scythe:
    """Counts the instants at which a controller can die: before and after each step outside."""

    def __init__(self, after_steps: int) -> None:
        self.left = after_steps

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class Mortal:
    """Calls of `inner` pass the scythe before they are done and after."""

    def __init__(self, inner: Any, scythe: Scythe) -> None:
        self._inner, self._scythe = inner, scythe

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def called(*arguments: Any, **more: Any) -> Any:
            self._scythe.step()
            answer = method(*arguments, **more)
            self._scythe.step()
            return answer

        return called


def live(home: Deathbed, scythe: Scythe, waits: list[float]) -> None:
    """A controller holds the battery and lets the car charge up to a goal, then ends both."""
    evcc: Any = Mortal(home.evcc, scythe)
    ledger: Any = Mortal(home.ledger, scythe)
    writer = EvccWriter(evcc, home.clock, ledger)
    keeper = BatteryKeeper(evcc, home.clock, ledger)
    read = EvccRead(home.clock.now(), home.site())
    list(writer.on(read))
    list(keeper.on(read))
    story: list[tuple[Any, Any]] = [
        (keeper, BatteryMode.HOLD),
        (writer, ("limit_soc", 60.0)),
        (writer, ("mode", "now")),
        (keeper, BatteryMode.CHARGE),
        (writer, ("mode", "pv")),
        (keeper, None),
        (writer, ("mode", "now")),
    ]
    for (port, wish), wait_s in zip(story, waits, strict=True):
        now = home.clock.now()
        list(port.on(WillMade(now, WILL)))
        if port is keeper:
            list(keeper.on(BatteryModeStands(now, wish, WHY)))
        else:
            list(writer.on(Order(now, 1, "carport", wish[0], wish[1], WHY)))
        home.wait(wait_s)


def end_state(home: Deathbed) -> tuple[Any, ...]:
    """What there is at evcc, and at the inverter, a good while later."""
    home.wait(200)
    carport, battery = home.carport(), home.site().battery
    assert battery is not None
    limit = carport.limit_soc_pct or 0.0
    return carport.mode, limit, battery.external_mode, home.evcc.home.house.mode


GIVEN_BACK = (ChargeMode.PV, 0.0, None)
QUIET = (physics.NORMAL, physics.UNKNOWN)
"""The inverter was told `normal`, or never anything."""


@given(
    st.integers(0, 80),
    st.lists(st.floats(0, 45), min_size=7, max_size=7),
    st.sampled_from(["no", "kill", "kill later"]),
    st.floats(0, 60),
)
@settings(max_examples=500, deadline=None)
def test_inv_49_killed_at_any_instant_the_guard_gives_everything_back(
    steps: int, waits: list[float], evcc_dies: str, wait_s: float
) -> None:
    home = Deathbed()
    with suppress(Killed):
        live(home, Scythe(steps), waits)
    if evcc_dies == "kill":  # both at once
        home.evcc.kill()
        home.evcc.start()
    home.wait(wait_s)
    estate = home.ledger.read()
    if evcc_dies == "kill later":
        at_s = home.seconds() + 20
        home.events = [(at_s, lambda e: e.kill()), (at_s + 5, lambda e: e.start())]
    if estate.bequests:
        assert home.carry_out(*estate.bequests)
    *shown, inverter = end_state(home)
    assert tuple(shown) == GIVEN_BACK
    assert inverter in QUIET


@given(st.integers(0, 80), st.lists(st.floats(0, 45), min_size=7, max_size=7), st.booleans())
@settings(max_examples=100, deadline=None)
def test_inv_49_and_without_the_guard_the_next_keeper_releases_the_battery(
    steps: int, waits: list[float], evcc_dies: bool
) -> None:
    home = Deathbed()
    with suppress(Killed):
        live(home, Scythe(steps), waits)
    if evcc_dies:
        home.evcc.kill()
        home.evcc.start()
    home.wait(5)
    keeper = BatteryKeeper(home.evcc, home.clock, home.ledger)
    list(keeper.on(EstateRead(home.clock.now(), *home.ledger.read())))
    for _ in range(12):
        now = home.clock.now()
        answer: Answer = home.evcc.request("GET", "/api/state")
        list(keeper.on(EvccRead(now, site_from(answer.body))))
        list(keeper.on(BatteryModeStands(now, None, WHY)))
        home.wait(10)
        due = keeper.next_wake()
        if due is not None and due <= home.clock.now():
            list(keeper.wake(due))
    _, _, external, inverter = end_state(home)
    assert external is None
    assert inverter in QUIET
    assert all(one.value == "" for one in home.ledger.read().written
               if one.setting == "battery_mode")  # fmt: skip


def test_the_scythe_reaches_every_step() -> None:
    """The story has fewer steps than the scythe can wait for, and many of each kind."""
    scythe = Scythe(10_000)
    home = Deathbed()
    live(home, scythe, [1.0] * 7)
    assert 30 <= 10_000 - scythe.left <= 80
    assert Bequest("mode", WHY, "CARPORT", value="pv") in home.ledger.read().bequests
    assert home.clock.now() - timedelta(seconds=7) == home.evcc.home.scenario.sim.start
