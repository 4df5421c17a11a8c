"""Pretend vehicle clouds: a car tells its true SoC when asked, unless its cloud is down."""

from collections.abc import Iterator

from engine.actor import Port
from engine.clock import Clock
from engine.messages import CarAnswered, CarPollDue, CarSilent
from sim.evcc import PretendEvcc


class PretendCloud(Port[CarPollDue, CarAnswered | CarSilent]):
    """The cloud of one car with `source: http` or `manual` in the settings."""

    def __init__(self, vehicle: str, pretend: PretendEvcc, clock: Clock) -> None:
        self._vehicle = vehicle
        self._pretend = pretend
        self._clock = clock

    @property
    def name(self) -> str:
        """One port per car."""
        return f"PretendCloud:{self._vehicle}"

    def on(self, message: CarPollDue) -> Iterator[CarAnswered | CarSilent]:
        """Answer for this car alone."""
        if message.vehicle.casefold() != self._vehicle.casefold():
            return
        now = self._clock.now()
        soc_pct = self._pretend.cloud_soc_pct(self._vehicle)
        if soc_pct is None:
            yield CarSilent(at=now, vehicle=self._vehicle, reason="the cloud does not answer")
        else:
            yield CarAnswered(
                at=now, vehicle=self._vehicle, soc_pct=round(soc_pct, 1), measured_at=now
            )
