"""A vehicle monitor under watch, for its tests."""

from datetime import datetime, timedelta
from typing import Any

from actors.vehicle_monitor import VehicleMonitor
from engine.messages import (
    CarAnswered,
    CarPollDue,
    CarSilent,
    Message,
    SiteMeasured,
    Tick,
    VehicleMeasured,
    VehiclesChecked,
)
from engine.settings import CarSettings
from engine.values import Vehicle
from tests.make_senses import config

ZOE = CarSettings("Zoë", title="Die Kleine", source="http")
ORA = CarSettings("ora_03", source="evcc", capacity_kwh=48.0)
HOUR = timedelta(hours=1)


class Watched:
    """A monitor, and what it said last of each car."""

    def __init__(self, *cars: CarSettings) -> None:
        self.mind = VehicleMonitor()
        self.cars: dict[str, Vehicle] = {}
        self.hear(config(*cars))

    def hear(self, message: Any) -> list[Message]:
        said: list[Message] = list(self.mind.on(message))
        checked = [one for one in said if isinstance(one, VehiclesChecked)]
        assert len(checked) <= isinstance(message, SiteMeasured)  # the last word on a reading
        assert said[len(said) - len(checked) :] == checked
        said = said[: len(said) - len(checked)]
        for one in said:
            if isinstance(one, VehicleMeasured):
                self.cars[one.vehicle.name] = one.vehicle
        return said

    def polls(self, message: Any) -> list[str]:
        return [one.vehicle for one in self.hear(message) if isinstance(one, CarPollDue)]

    def polls_until(self, start: datetime, end: datetime, step: timedelta) -> list[datetime]:
        """When the one car was asked, with a tick each `step`; nobody answers but with silence."""
        asked = []
        at = start
        while at <= end:
            for name in self.polls(Tick(at)):
                asked.append(at)
                self.hear(CarSilent(at, name, "no answer"))
            at += step
        return asked


def answered(at: datetime, soc_pct: float, measured_at: datetime | None = None) -> CarAnswered:
    return CarAnswered(at, "Zoë", soc_pct, measured_at or at, range_km=100.0)
