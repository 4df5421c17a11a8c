"""Turns readings into means of slots: time-weighted, without counting what was not seen."""

from engine.slots import SLOT_S
from engine.values import Value

COVERED_S = SLOT_S / 2
"""A slot of which less was seen teaches nothing."""


class Sum(Value, frozen=True):
    """Energy (Ws) and seconds seen in the present slot; the newest power, None if unknown."""

    last_w: float | None = None
    energy_ws: float = 0.0
    seen_s: float = 0.0

    @property
    def mean_w(self) -> float | None:
        """The mean of the slot, if at least half of it was seen."""
        return self.energy_ws / self.seen_s if self.seen_s >= COVERED_S else None


class Meter(Value, frozen=True):
    """The present slot, number `slot`, up to the reading at `at_s` (seconds since 1970)."""

    slot: int = 0
    at_s: float | None = None
    load: Sum = Sum()
    pv: Sum = Sum()


class Past(Value, frozen=True):
    """A slot that is over; None where too little was seen."""

    slot: int
    load_w: float | None
    pv_w: float | None


def _added(total: Sum, power_w: float | None, seconds: float) -> Sum:
    """`seconds` more at the mean of the last and the new power; nothing where one is unknown."""
    if power_w is None or total.last_w is None:
        return total
    mean_w = (total.last_w + power_w) / 2
    return Sum(total.last_w, total.energy_ws + mean_w * seconds, total.seen_s + seconds)


def _over(meter: Meter) -> Past:
    return Past(meter.slot, meter.load.mean_w, meter.pv.mean_w)


def read(
    meter: Meter, at_s: float, load_w: float | None, pv_w: float | None, gap_s: float
) -> tuple[Meter, tuple[Past, ...]]:
    """The meter after a reading, and the slots that are over since the one before.

    Longer than `gap_s` between two readings nothing is known of the time between. A reading that
    is not newer changes nothing.
    """
    slot = int(at_s // SLOT_S)
    fresh = Meter(slot, at_s, Sum(load_w), Sum(pv_w))
    if meter.at_s is None:
        return fresh, ()
    if at_s <= meter.at_s:
        return meter, ()
    if at_s - meter.at_s > gap_s:
        if slot == meter.slot:
            load, pv = meter.load, meter.pv
            return Meter(
                slot,
                at_s,
                Sum(load_w, load.energy_ws, load.seen_s),
                Sum(pv_w, pv.energy_ws, pv.seen_s),
            ), ()
        return fresh, (_over(meter),)
    done: list[Past] = []
    load, pv, since_s = meter.load, meter.pv, meter.at_s
    for number in range(meter.slot, slot + 1):
        until_s = min(at_s, float((number + 1) * SLOT_S))
        load, pv = _added(load, load_w, until_s - since_s), _added(pv, pv_w, until_s - since_s)
        since_s = until_s
        if number < slot:
            done.append(Past(number, load.mean_w, pv.mean_w))
            load, pv = Sum(load.last_w), Sum(pv.last_w)
    return Meter(
        slot,
        at_s,
        Sum(load_w, load.energy_ws, load.seen_s),
        Sum(pv_w, pv.energy_ws, pv.seen_s),
    ), tuple(done)
