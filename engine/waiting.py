"""A car that waits for a wallbox."""

from engine.values import Utc, Value


class Waiting(Value, frozen=True):
    """A car that is not plugged in and needs energy; `need_kwh` is what its battery lacks."""

    vehicle: str
    title: str
    need_kwh: float
    departure: Utc | None
    urgency_kw: float
    soc_pct: float | None = None
    capacity_kwh: float | None = None
