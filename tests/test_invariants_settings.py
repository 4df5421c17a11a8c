"""Invariants of evcc's settings: each does in the pretend home what it says."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.actor import Port
from engine.clock import VirtualClock
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.messages import (
    BatteryModeStands,
    EvccReadDue,
    Order,
)
from engine.values import BatteryMode, Why
from sim.evcc import PretendEvcc
from sim.scenario import SimBattery, SimCar
from sim.world import SeededWorld
from tests.make_ring import home, local


@pytest.fixture
def garage() -> tuple[PretendEvcc, VirtualClock, EvccReader, EvccWriter, BatteryKeeper]:
    """A home at night with a half-full battery and a plugged-in car, and our ports to its evcc."""
    scenario = home(
        local("2026-01-13", "20:00"),
        battery=SimBattery(capacity_kwh=10, soc_pct=50),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=40, loadpoint="carport"),),
    )
    clock = VirtualClock(scenario.sim.start)
    pretend = PretendEvcc(scenario, SeededWorld(scenario, 1, 1), clock)
    return (
        pretend,
        clock,
        EvccReader(pretend, clock),
        EvccWriter(pretend, clock),
        BatteryKeeper(pretend, clock),
    )


def live_on(
    pretend: PretendEvcc, clock: VirtualClock, port: Port[Any, Any], says: Any, minutes: int
) -> None:
    """Let time pass; `says(at)` is said to the port every 10 s."""
    for _ in range(minutes * 6):
        clock.move_to(clock.now() + timedelta(seconds=10))
        wake = port.next_wake()
        if wake is not None and wake <= clock.now():
            list(port.wake(clock.now()))
        if says is not None:
            list(port.on(says(clock.now())))
    pretend.advance(clock.now())


@pytest.mark.parametrize(
    ("mode", "low_kwh", "high_kwh"),
    [
        (BatteryMode.HOLD, -0.01, 0.01),
        (BatteryMode.CHARGE, 1.0, 3.0),
        (BatteryMode.NORMAL, -3.0, -0.05),
        (None, -3.0, -0.05),
    ],
)
def test_inv_52_battery_modes_do_what_they_say_and_a_release_lets_it_serve(
    garage: Any, mode: BatteryMode | None, low_kwh: float, high_kwh: float
) -> None:
    pretend, clock, reader, _, keeper = garage
    (read,) = reader.on(EvccReadDue(clock.now()))
    list(keeper.on(read))

    def held(at: datetime) -> BatteryModeStands:
        return BatteryModeStands(at, BatteryMode.HOLD, Why("battery_keeps"))

    live_on(pretend, clock, keeper, held, 5)
    before_kwh = pretend.battery_kwh
    live_on(pretend, clock, keeper, lambda at: BatteryModeStands(at, mode, Why("x")), 30)
    assert low_kwh <= pretend.battery_kwh - before_kwh <= high_kwh
    # what is no longer said is let go: the battery serves the house again
    live_on(pretend, clock, keeper, None, 3)
    before_kwh = pretend.battery_kwh
    live_on(pretend, clock, keeper, None, 20)
    assert pretend.battery_kwh < before_kwh - 0.03


@pytest.mark.parametrize(
    ("orders", "gained_pct"),
    [
        ([("mode", "off")], 0.0),
        ([("mode", "pv")], 0.0),
        ([("mode", "now")], 100 * 0.9 * 11 * 0.5 / 50),
        ([("limit_soc", 45.0), ("mode", "now")], 5.0),
        ([("limit_soc", 45.0), ("limit_soc", 0.0), ("mode", "now")], 100 * 0.9 * 11 * 0.5 / 50),
    ],
)
def test_inv_52_charge_modes_and_limits_do_what_they_say(
    garage: Any, orders: list[tuple[str, str | float]], gained_pct: float
) -> None:
    pretend, clock, reader, writer, _ = garage
    (read,) = reader.on(EvccReadDue(clock.now()))
    list(writer.on(read))
    for number, (setting, value) in enumerate(orders):
        said = list(writer.on(Order(clock.now(), number, "carport", setting, value, Why("x"))))
        assert [type(one).__name__ for one in said] == ["OrderConfirmed"]
    live_on(pretend, clock, writer, None, 30)
    assert pretend.car_soc_pct("compact") - 40 == pytest.approx(gained_pct, abs=0.6)
