"""When people are asked to swap cars because the plan says so. Pure.

The plan names the slots in which a waiting car charges; people are asked a slot before they have to
have swapped, so before quiet hours begin where the car charges in them (INV-93).
"""

from datetime import datetime

from actors.departures import is_quiet
from engine.settings import Settings
from engine.slots import SLOT
from engine.values import Plan, Utc, Value, Why
from engine.waiting import Waiting

YOUNG = 2 * SLOT
"""An older plan asks nobody for anything."""


class Due(Value, frozen=True):
    """By the plan of `made_at`, `vehicle` is to be plugged in at `at` instead of `instead_of`."""

    loadpoint: str
    vehicle: str
    instead_of: str
    at: Utc
    made_at: Utc

    def is_near(self, now: datetime) -> bool:
        """Whether people have to be asked now."""
        return now >= self.at - SLOT and now - self.made_at <= YOUNG


def dues_of(plan: Plan, settings: Settings) -> tuple[Due, ...]:
    """The next swap at each wallbox: as late as the car that comes allows, never in quiet hours."""
    known: dict[str, list[str]] = {}
    for car in plan.slots[0].cars if plan.slots else ():
        known.setdefault(car.loadpoint, []).append(car.vehicle)
    found: list[Due] = []
    for loadpoint, vehicles in known.items():
        begins = {name: _first_slot(plan, loadpoint, name) for name in vehicles[1:]}
        first = min(((k, name) for name, k in begins.items() if k is not None), default=None)
        at = None if first is None else _swap_at(plan, first[0], settings)
        if first is not None and at is not None:
            found.append(Due(loadpoint, first[1], vehicles[0], at, plan.made_at))
    return tuple(found)


def _first_slot(plan: Plan, loadpoint: str, vehicle: str) -> int | None:
    for k, slot in enumerate(plan.slots):
        for car in slot.cars:
            if car.loadpoint == loadpoint and car.vehicle == vehicle and car.charge_kw > 0:
                return k
    return None


def _swap_at(plan: Plan, last: int, settings: Settings) -> datetime | None:
    """The last slot up to this one at whose start people may swap; not the plan's own."""
    for slot in reversed(plan.slots[1 : last + 1]):
        if not is_quiet(slot.start, settings.sequencer, settings.site.zone):
            return slot.start
    return None


def why_due(due: Due, waits: Waiting) -> Why:
    """The question, with the numbers that make it plain."""
    numbers: tuple[tuple[str, float | str], ...] = (
        ("vehicle", waits.title),
        ("loadpoint", due.loadpoint),
        ("swap_at", due.at.isoformat()),
        ("need_kwh", round(waits.need_kwh, 1)),
    )
    if waits.departure is not None:
        numbers = (*numbers, ("departure_at", waits.departure.isoformat()))
    return Why("swap_planned", numbers)
