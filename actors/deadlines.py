"""When a car with a departure has to start, where no plan says so. Pure."""

from datetime import datetime, timedelta

from actors.goals import NOTHING_LEFT_KWH, ac_kwh
from actors.rules import SPARE_SLOTS
from engine.settings import Settings
from engine.slots import SLOT, slot_of
from engine.values import Turn

SPARE = SPARE_SLOTS * SLOT
"""So much earlier than needed, as the rules do."""


def is_open(turn: Turn, now: datetime) -> bool:
    """Whether energy is missing for a departure ahead, or at once."""
    ahead = turn.departure is not None and turn.departure > now
    return turn.need_kwh > NOTHING_LEFT_KWH and (ahead or turn.immediate)


def latest_start(turn: Turn, settings: Settings, power_kw: float, now: datetime) -> datetime:
    """The slot in which the car has to start to be ready with time to spare, at this power."""
    if turn.immediate or turn.departure is None or power_kw <= 0:
        return now
    needed = timedelta(hours=ac_kwh(turn, settings) / power_kw)
    return slot_of(turn.departure - needed - SPARE)
