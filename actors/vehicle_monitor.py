"""Knows each car's SoC, plugged in or not: merges what evcc, clouds and owners say, polls politely.

The rules of merging, age and polling are in `actors/vehicle_records.py`.
"""

from collections.abc import Generator, Iterator
from datetime import datetime
from functools import partial
from typing import TypeAlias, assert_never

from actors import vehicle_records as cars
from actors.vehicle_records import Record, Records
from engine.actor import Actor
from engine.messages import (
    CarAnswered,
    CarPollDue,
    CarSilent,
    ConfigRead,
    SiteMeasured,
    Tick,
    VehicleMeasured,
    VehiclePlugged,
    VehiclesChecked,
    VehicleUnplugged,
)
from engine.settings import Settings
from engine.values import Utc, Value

Hears: TypeAlias = (
    ConfigRead | Tick | SiteMeasured | VehiclePlugged | VehicleUnplugged | CarAnswered | CarSilent
)
Says: TypeAlias = CarPollDue | VehicleMeasured | VehiclesChecked


class VehicleMonitorMemory(Value, frozen=True):
    """All that the vehicle monitor remembers."""

    settings: Settings = Settings()
    measured_at: Utc | None = None
    records: tuple[Record, ...] = ()


class VehicleMonitor(Actor[Hears, Says]):
    """One record per car, known to evcc or configured; a disabled one does not exist (INV-85)."""

    memory: VehicleMonitorMemory

    def __init__(self) -> None:
        self.memory = VehicleMonitorMemory()

    def on(self, message: Hears) -> Iterator[Says]:
        at, records = message.at, self.memory.records
        settings, measured_at = self.memory.settings, self.memory.measured_at
        match message:
            case ConfigRead():
                settings = message.settings
                records = cars.configured(records, settings)
            case Tick():
                records = tuple(cars.given_up(record, at) for record in records)
                records = yield from _polled(records, at)
            case SiteMeasured(site=site):
                if measured_at is not None and at < measured_at:
                    return
                measured_at = at
                records = cars.registered(records, site, settings)
                records = tuple(cars.seen(record, site, at) for record in records)
            case VehiclePlugged(loadpoint=loadpoint, vehicle=vehicle):
                plugged = partial(cars.plugged, loadpoint=loadpoint, at=at)
                records = cars.changed(records, vehicle, plugged)
                records = yield from _polled(records, at)
            case VehicleUnplugged(loadpoint=loadpoint):
                records = tuple(cars.unplugged(record, loadpoint, at) for record in records)
            case CarAnswered(vehicle=vehicle):
                records = cars.changed(records, vehicle, partial(cars.answered, answer=message))
            case CarSilent(vehicle=vehicle):
                records = cars.changed(records, vehicle, cars.silent)
                records = yield from _polled(records, at)
            case _:
                assert_never(message)
        records = tuple(cars.judged(record, at) for record in records)
        news = tuple(record.vehicle for record in records if cars.worth_saying(record))
        if news:
            records = tuple(
                cars.told(record) if cars.worth_saying(record) else record for record in records
            )
        self.memory = VehicleMonitorMemory(settings, measured_at, records)
        for one in news:
            yield VehicleMeasured(at, one)
        if isinstance(message, SiteMeasured):
            yield VehiclesChecked(at)


def _polled(records: Records, at: datetime) -> Generator[CarPollDue, None, Records]:
    """Ask for every car that is due; a poll is asked for before its attempt is told."""
    asked = []
    for record in records:
        if cars.poll_due(record, at):
            yield CarPollDue(at, record.vehicle.name)
            asked.append(cars.asked(record, at))
        else:
            asked.append(record)
    return tuple(asked)
