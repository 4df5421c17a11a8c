"""evcc's own charging plans: which slots, and whether one is due (evcc-regulator.md §13)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from engine.values import Rate

SHORTEST = timedelta(minutes=14)


class Part(NamedTuple):
    """A piece of a plan; `value` is the price, 0 where none is known."""

    start: datetime
    end: datetime
    value: float


def needed(soc: float, goal: float, cells_kwh: float, power_w: float) -> timedelta:
    """How long evcc thinks that a car needs: slower near full, in whole seconds.

    `cells_kwh`: the capacity with the losses on the way there (85 % efficiency until learnt).
    """
    full = 100.0 - (power_w - 1000.0) / 980.0
    hours = 0.0
    if soc < full:
        hours += (min(goal, full) - soc) / 100.0 * cells_kwh / (power_w / 1000.0)
    if goal > full:
        slow_kw = (power_w / 1000.0 + 1.0) / 2.0
        hours += (goal - max(soc, full)) / 100.0 * cells_kwh / slow_kw
    return timedelta(seconds=round(max(0.0, hours) * 3600.0))


def _cheapest(parts: list[Part], need: timedelta) -> list[Part]:
    """The cheapest parts, the later of equal ones; the one not needed whole is cut."""
    chosen: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.value, -part.start.timestamp())):
        length = part.end - part.start
        if length >= need:
            first = chosen and part.start < min(other.start for other in chosen)
            cut = part._replace(start=part.end - need) if first else None
            chosen.append(cut or part._replace(end=part.start + need))
            break
        chosen.append(part)
        need -= length
    return sorted(chosen)


def _block(parts: list[Part], need: timedelta) -> list[Part]:
    """The cheapest window of that length in one piece, the latest of equal ones."""
    best: tuple[float, list[Part]] | None = None
    for k, first in enumerate(parts):
        left, cost, window = need, 0.0, []
        for part in parts[k:]:
            end = min(part.end, part.start + left)
            window.append(part._replace(end=end))
            cost += part.value * (end - part.start).total_seconds()
            left -= end - part.start
            if left <= timedelta(0):
                break
        if left > timedelta(0) or first.start != window[0].start:
            break
        if best is None or cost <= best[0]:
            best = cost, window
    return best[1] if best else []


def plan_parts(
    rates: Sequence[Rate] | None,
    now: datetime,
    target: datetime,
    need: timedelta,
    strategy: dict[str, Any],
) -> tuple[Part, ...]:
    """The parts in which evcc would charge, in order; empty: no plan yet."""
    if need <= timedelta(0):
        return ()
    if target - need <= now:
        return (Part(now, now + need, 0.0),)
    if not rates:
        return (Part(target - need, target, 0.0),)
    horizon = rates[-1].end
    if horizon < target:
        need -= target - horizon
        target = horizon
        if need <= timedelta(0):
            return ()
    parts = [
        Part(max(rate.start, now), min(rate.end, target), rate.value)
        for rate in rates
        if rate.end > now and rate.start < target
    ]
    if sum((part.end - part.start for part in parts), timedelta(0)) < need:
        return (Part(now, now + need, parts[0].value if parts else 0.0),)
    kept: list[Part] = []
    late = min(timedelta(seconds=strategy.get("precondition", 0)), need)
    if late > timedelta(0):
        edge = target - late
        kept = [part._replace(start=max(part.start, edge)) for part in parts if part.end > edge]
        parts = [part._replace(end=min(part.end, edge)) for part in parts if part.start < edge]
        need -= late
    chosen: list[Part] = []
    if need > timedelta(0):
        chosen = _block(parts, need) if strategy.get("continuous") else _cheapest(parts, need)
    return tuple(chosen + kept)


def is_due(
    parts: tuple[Part, ...],
    now: datetime,
    *,
    active: bool,
    part_end: datetime | None,
    late: bool,
    need: timedelta,
    strategy: dict[str, Any],
) -> tuple[bool, datetime | None]:
    """Whether the plan charges now, and the end of its part (rules 3 and 4 of §13).

    A plan in one piece of less than 14 min never starts by itself. `late`: past its time.
    """
    for k, part in enumerate(parts):
        if part.start <= now < part.end:
            follows = k + 1 < len(parts) and parts[k + 1].start == part.end
            if not active and part.end - now < SHORTEST and not follows:
                return False, None
            return True, part.end
    if not active:
        return False, None
    soon = any(now < part.start <= now + SHORTEST for part in parts)
    more = need > timedelta(seconds=strategy.get("precondition", 0))
    in_part = part_end is not None and now < part_end
    rest = need < timedelta(minutes=15) or bool(strategy.get("continuous"))
    return late or soon or (more and (in_part or rest)), part_end


def next_occurrence(plan: dict[str, Any], now: datetime) -> datetime | None:
    """When a repeating plan is due next; weekdays as evcc counts them (0 = Sunday)."""
    if not plan.get("active") or not plan.get("weekdays"):
        return None
    zone = ZoneInfo(plan["tz"])
    hour, minute = (int(part) for part in plan["time"].split(":"))
    local = now.astimezone(zone)
    for days in range(9):
        day = local + timedelta(days=days)
        due = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if due > now and due.isoweekday() % 7 in plan["weekdays"]:
            return due
    return None
