"""What the pretend home has cost: energies of the truth, settled slot by slot."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from engine.home import House
from engine.slots import slot_of
from sim.evcc_home import Home

Settlement = Callable[[datetime], tuple[float, float]]
"""Import and feed-in price of the slot."""


class Slot(NamedTuple):
    """One slot of the bill; energies in kWh, prices per kWh."""

    start: datetime
    import_kwh: float
    export_kwh: float
    import_eur_kwh: float
    export_eur_kwh: float


class Bill(NamedTuple):
    """What the home has cost since the start. `shortfall_kwh`: missing in cars at departures."""

    cost_eur: float
    wear_eur: float
    import_kwh: float
    export_kwh: float
    battery_discharged_kwh: float
    cars_kwh: dict[str, float]
    shortfall_kwh: float
    mode_changes: int
    slots: tuple[Slot, ...]


class Books:
    """Keeps the slots; `book` at each edge of one, or whenever the bill is wanted."""

    def __init__(self, house: House, settlement: Settlement, start: datetime) -> None:
        self._house = house
        self._settlement = settlement
        self._slot = slot_of(start)
        self._import_kwh = self._export_kwh = 0.0
        self._closed: list[Slot] = []
        self._closed_eur = 0.0
        self._cars_kwh: dict[str, float] = {}
        self._at_box: dict[int, float] = {}

    def _open(self) -> Slot:
        price, fed = self._settlement(self._slot)
        house = self._house
        imported, exported = house.import_kwh, house.export_kwh
        return Slot(
            self._slot, imported - self._import_kwh, exported - self._export_kwh, price, fed
        )

    def turn(self, at: datetime) -> None:
        """A slot is over."""
        slot = self._open()
        self._closed.append(slot)
        self._closed_eur += _cost(slot)
        self._import_kwh, self._export_kwh = self._house.import_kwh, self._house.export_kwh
        self._slot = slot_of(at)

    def cars(self, home: Home) -> dict[str, float]:
        """AC energy by car. Has to be called before a car leaves its box, too."""
        for k, (car, box) in enumerate(zip(home.plugged, home.boxes, strict=True)):
            kwh = box.charged_kwh - self._at_box.get(k, 0.0)
            self._at_box[k] = box.charged_kwh
            if car is not None and kwh > 0:
                name = car.spec.name
                self._cars_kwh[name] = self._cars_kwh.get(name, 0.0) + kwh
        return dict(self._cars_kwh)

    def slots(self, at: datetime) -> tuple[Slot, ...]:
        """All slots that have begun before `at`."""
        open_too = at > self._slot
        return (*self._closed, self._open()) if open_too else tuple(self._closed)

    def cost_eur(self) -> float:
        """Import minus feed-in since the start."""
        return self._closed_eur + _cost(self._open())


def _cost(slot: Slot) -> float:
    imported_eur = slot.import_kwh * slot.import_eur_kwh
    return imported_eur - slot.export_kwh * slot.export_eur_kwh
