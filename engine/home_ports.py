"""The ports of one live home, from its configuration: each with a connection of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.cars import HttpCar, ManualCar
from engine.clock import Clock
from engine.evcc import BatteryKeeper, EvccReader, EvccWriter
from engine.evcc_http import EvccPush, HttpTransport
from engine.guard import SILENCE_S, Task
from engine.ledger import Ledger
from engine.live import Source
from engine.messages import Message
from engine.settings import Settings
from engine.system import AnyEndpoint
from engine.transport import Transport

if TYPE_CHECKING:
    from engine.config import CarConnection, Config


@dataclass(frozen=True)
class Reach:
    """How the outside is reached. `transport` makes a new connection to evcc at each call."""

    transport: Callable[[], Transport]
    push_url: str | None = None
    push_headers: Mapping[str, str] = field(default_factory=dict)
    cars: Mapping[str, "CarConnection"] = field(default_factory=dict)
    password: str | None = None
    timeout_s: float = 10.0

    @classmethod
    def of(cls, config: "Config") -> Self:
        """As the configuration says."""
        evcc = config.evcc
        return cls(
            lambda: HttpTransport(evcc.url, evcc.password, evcc.timeout_s, evcc.headers),
            evcc.url,
            evcc.headers,
            config.cars_http,
            evcc.password,
            evcc.timeout_s,
        )

    def task(
        self, folder: Path, controller: str, settings: Settings, silence_s: float = SILENCE_S
    ) -> Task | None:
        """What a guard process needs to know; None where it could not reach this evcc."""
        if self.push_url is None:
            return None
        return Task(
            folder=f"{folder.resolve()}",
            controller=controller,
            url=self.push_url,
            password=self.password,
            timeout_s=self.timeout_s,
            headers=dict(self.push_headers),
            silence_s=max(silence_s, 3 * settings.tick_s),
        )

    def sources(self, publish: Callable[[Message], None], clock: Clock) -> list[Source]:
        """What publishes by itself: evcc's push."""
        if self.push_url is None:
            return []
        return [EvccPush(self.push_url, publish, clock, dict(self.push_headers))]


def ports_of(
    reach: Reach, settings: Settings, clock: Clock, folder: Path, ledger: Ledger | None = None
) -> list[AnyEndpoint]:
    """Reader, writer and battery keeper apart (a slow read delays no renewal); one port per car.

    Writer and keeper have a connection of their own to the `ledger`.
    """
    ports: list[AnyEndpoint] = [
        EvccReader(reach.transport(), clock),
        EvccWriter(reach.transport(), clock, ledger and ledger.again()),
        BatteryKeeper(reach.transport(), clock, ledger and ledger.again()),
    ]
    for car in settings.cars:
        if car.disabled:
            continue
        if car.source == "http" and car.name in reach.cars:
            connection = reach.cars[car.name]
            ports.append(
                HttpCar(
                    vehicle=car.name,
                    url=connection.url,
                    soc_path=connection.soc_path,
                    soc_regex=connection.soc_regex,
                    measured_path=connection.measured_path,
                    headers=connection.headers,
                    timeout_s=connection.timeout_s,
                    clock=clock,
                )
            )
        elif car.source == "manual":
            ports.append(ManualCar(car.name, folder / "manual_soc.json", clock))
    return ports
