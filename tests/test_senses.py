"""The senses together, on the stepped runtime."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from actors.collector import Collector
from actors.state_store import StateStore
from actors.vehicle_monitor import VehicleMonitor
from engine.actor import Port
from engine.clock import Clock
from engine.messages import (
    CarAnswered,
    CarPollDue,
    CarSilent,
    EvccRead,
    EvccReadDue,
    EvccSilent,
    StateChanged,
    Tick,
)
from engine.settings import CarSettings
from engine.steps import StepSystem
from engine.system import AnyEndpoint
from engine.values import (
    EvccVehicle,
    HomeState,
    Tariff,
)
from tests.make_senses import MIDNIGHT, NOON, after, box, config, free, rates, read, site


class ScriptedEvcc(Port[EvccReadDue, EvccRead | EvccSilent]):
    """An evcc with one wallbox and two cars; silent from minute 60 to 100."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on(self, message: EvccReadDue) -> Iterator[EvccRead | EvccSilent]:
        now = self._clock.now()
        minute = (now - NOON).total_seconds() / 60
        if 60 <= minute < 100:
            yield EvccSilent(now, "refused")
            return
        if minute < 20:
            place = free()
        elif minute < 120:
            place = box("Zoë", None if minute < 30 else 40.0 + minute // 10, charging=minute >= 30)
        else:
            place = box("ora_03", 55.0)
        cars = (EvccVehicle("Zoë", "Zoë", 41.0), EvccVehicle("ora_03", "Katze", 48.0))
        prices = rates(MIDNIGHT, [0.3 + 0.001 * k for k in range(96)])
        tariffs = tuple(
            Tariff(usage, prices if usage == "grid" and minute < 130 else None)
            for usage in message.tariffs
        )
        yield read(now, place, tariffs=tariffs, vehicles=cars, pv_w=minute)


class ScriptedCloud(Port[CarPollDue, CarAnswered | CarSilent]):
    """Zoë's cloud: its number is twenty minutes old; every third poll is lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.polled: list[datetime] = []

    def on(self, message: CarPollDue) -> Iterator[CarAnswered | CarSilent]:
        if message.vehicle.casefold() != "zoë":
            return
        now = self._clock.now()
        self.polled.append(now)
        if len(self.polled) % 3 == 0:
            yield CarSilent(now, "zoë", "timed out")
        else:
            yield CarAnswered(now, "zoë", 35.0, now - timedelta(minutes=20))


class Page(Port[StateChanged, CarSilent]):
    """Keeps every state that it hears."""

    def __init__(self) -> None:
        self.states: list[HomeState] = []

    def on(self, message: StateChanged) -> Iterator[CarSilent]:
        self.states.append(message.state)
        yield from ()


def played(latency_s: dict[str, float] | None = None, **order: Any) -> tuple[Page, ScriptedCloud]:
    """Three hours of the story, a tick each minute."""
    system = StepSystem(NOON, latency_s=latency_s, **order)
    page, cloud = Page(), ScriptedCloud(system.clock)
    cast: list[AnyEndpoint] = [
        Collector(),
        VehicleMonitor(),
        StateStore(),
        ScriptedEvcc(system.clock),
        cloud,
        page,
    ]
    system.enter(cast)
    cars = (CarSettings("ZOË", source="http", poll_interval_min=10.0), CarSettings("ora_03"))
    system.publish(config(*cars, tick_s=60.0))
    system.settle()
    for minute in range(181):
        system.tick(Tick(after(minute)))
    system.stop()
    return page, cloud


def test_a_story_of_the_senses() -> None:
    page, cloud = played()
    final = page.states[-1]
    assert [one.revision for one in page.states] == list(range(1, len(page.states) + 1))
    zoe, ora = final.vehicle("zoË"), final.vehicle("ORA_03")
    assert zoe is not None
    assert ora is not None
    assert (zoe.loadpoint, zoe.title, zoe.capacity_kwh) == (None, "Zoë", 41.0)
    assert (ora.loadpoint, ora.soc_pct, ora.measured_at) == ("carport", 55.0, after(120))
    # the story's meters are made up and do not add up: that is seen, too
    assert [one.code for one in final.troubles] == ["meter_unbalanced", "tariff_failed"]
    # INV-83: refreshed in the minute in which it was plugged in
    assert after(20) in cloud.polled
    # INV-58: from the first failed reading to the last one every state says so
    reachable = {one.at: one.evcc_reachable for one in page.states if one.site}
    lost = [at for at, good in reachable.items() if not good]
    assert (min(lost), max(lost)) == (after(60), after(99))
    # INV-112: meanwhile the last reading keeps its time
    assert {one.measured_at for one in page.states if one.at == after(80)} == {after(59)}


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_delivery_ends_in_the_same_state(seed: int) -> None:
    def ending(page: Page) -> HomeState:
        return msgspec.structs.replace(page.states[-1], revision=0)

    assert ending(played(shuffle=True, seed=seed)[0]) == ending(played()[0])


def test_slow_answers_make_the_state_late_and_nothing_else() -> None:
    page, _ = played(latency_s={"ScriptedEvcc": 10.0, "ScriptedCloud": 45.0})
    quick, _ = played()
    for late, early in zip(page.states[-1].vehicles, quick.states[-1].vehicles, strict=True):
        assert (late.name, late.soc_pct, late.loadpoint) == (
            early.name,
            early.soc_pct,
            early.loadpoint,
        )
    assert page.states[-1].measured_at == after(179)  # the last answer is still on its way


def test_a_reading_is_the_site_that_evcc_showed() -> None:
    page, _ = played()
    shown = [one.site for one in page.states if one.measured_at == after(10)]
    assert shown
    cars = (EvccVehicle("Zoë", "Zoë", 41.0), EvccVehicle("ora_03", "Katze", 48.0))
    assert set(shown) == {site(free(), vehicles=cars, pv_w=10.0)}
