"""What is possible where the fuse refuses: the least current, and a battery that serves. Pure."""

from datetime import datetime

from msgspec.structs import replace

from actors.fuse import BAR, PHASES, Fuse, Limit, Load, Refusal, all_phases_w, room_w, weighed
from engine.home import VOLTAGE_V
from engine.values import Loadpoint, Why

HOLDING = "battery_hold"


def least_name(lp: Loadpoint) -> str:
    """The name under which a car's least current is granted."""
    return _least(lp.name)


def _least(name: str) -> str:
    return f"{name}:least"


def least_load(load: Load, lp: Loadpoint, settles: bool) -> Load:
    """A car's `minpv` where `now` is too much. `settles`: what it draws now comes from `now`.

    On all phases where evcc can switch them, which takes it minutes.
    """
    if lp.can_switch_phases:
        least_w = VOLTAGE_V * PHASES * lp.effective_min_current_a
        load = replace(load, full_w=least_w, residue_w=least_w, phases=PHASES)
    return replace(load, name=least_name(lp), settles=settles)


def with_least(
    before: Fuse,
    fuse: Fuse,
    limits: tuple[Limit, ...],
    loads: tuple[Load, ...],
    leasts: tuple[Load, ...],
    *,
    at: datetime,
) -> Fuse:
    """`fuse`, and the `leasts` of cars whose `now` it refused, as far as they fit too.

    evcc would let a car whose `now` is taken away run on so for minutes anyhow, and a wallbox that
    is stronger than the connection could never charge.
    """
    if not leasts:
        return fuse
    kept = tuple(one for one in loads if one.name in fuse.granted)
    both = weighed(before, limits, (*kept, *leasts), at)
    known = {one.name for one in fuse.refused}
    more = tuple(one for one in both.refused if one.name not in known)
    return Fuse(both.granted, (*fuse.refused, *more))


def serving(
    before: Fuse, fuse: Fuse, limits: tuple[Limit, ...], loads: tuple[Load, ...], at: datetime
) -> Fuse:
    """`fuse`, and the battery's `hold` refused where the house alone is too much for a limit.

    `limits` are those without what the battery gives now. Once refused it serves for a while.
    """
    if any(limit.drawn_w is None for limit in limits):
        return fuse
    kept = [one for one in loads if one.name in fuse.granted]
    gone = [one for one in loads if one.name in before.granted and one not in kept]
    lost = [one for one in gone if _least(one.name) not in fuse.granted]  # that one comes down
    over = [limit for limit in limits if room_w((limit,), kept, lost) < 0]
    if not over:
        return fuse
    others = tuple(one for one in fuse.refused if one.name != HOLDING)
    known = next((one.why for one in fuse.refused if one.name == HOLDING), None)
    refusal = Refusal(HOLDING, at + BAR, known or _serves_why(over[0]))
    return replace(fuse, refused=(*others, refusal))


def _serves_why(limit: Limit) -> Why:
    unit, one_w = ("a", all_phases_w(1.0)) if limit.per_phase else ("kw", 1000.0)
    drawn_w = limit.drawn_w or 0.0
    numbers = (
        (f"limit_{unit}", round(limit.limit_w / one_w, 1)),
        (f"import_{unit}", round(drawn_w / one_w, 1)),
    )
    return Why("battery_serves_fuse", numbers)
