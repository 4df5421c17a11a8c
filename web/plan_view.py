"""The plan as the page shows it: slots in numbers, and calm blocks with their reasons."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from engine.messages import PlanMade
from engine.slots import slot_of
from engine.values import BatteryMode, ChargeMode, Plan, PlanSlot, Shortfall, Value, Why
from web.sentences import why_view

MOVES_KW = 0.05
"""Below this a battery or a car is at rest, for display."""
MOSTLY = 0.5
"""A car that buys more than this share of what it takes charges from the grid."""


class Part(Value, frozen=True):
    """What one lane (the battery, or one car) does in one slot."""

    kind: str
    """`grid`, `sun`, `serve`, `hold` or `idle`."""
    mode: str | None
    power_kw: float
    soc_pct: float | None
    why: Why


def battery_part(slot: PlanSlot) -> Part:
    """What the battery does in `slot`; `power_kw` is negative while discharging."""
    mode, power_kw = slot.battery_mode, slot.battery_charge_kw - slot.battery_discharge_kw
    if mode == BatteryMode.CHARGE and power_kw > MOVES_KW:
        kind = "grid"
    elif power_kw > MOVES_KW and slot.pv_kw > slot.load_kw:  # without sun its mode takes nothing
        kind = "sun"
    elif power_kw < -MOVES_KW:
        kind = "serve"
    elif mode in (BatteryMode.HOLD, BatteryMode.HOLDCHARGE):
        kind = "hold"
    else:
        kind = "idle"
    return Part(kind, mode, power_kw, slot.battery_soc_pct, slot.why)


def car_part(slot: PlanSlot, vehicle: str) -> Part | None:
    """What one car does in `slot`; None when the plan does not hold it there."""
    own = [car for car in slot.cars if car.vehicle == vehicle]
    if not own:
        return None
    car = max(own, key=lambda one: one.charge_kw)  # it may wait at several wallboxes
    kind = "idle"
    if car.charge_kw > MOVES_KW:
        bought = slot.grid_import_kw > MOSTLY * car.charge_kw
        kind = "grid" if car.mode == ChargeMode.NOW or bought else "sun"
    return Part(kind, car.mode, car.charge_kw, car.soc_pct, car.why)


def lanes_of(plan: Plan) -> dict[str | None, list[Part | None]]:
    """Per lane what it does in each slot of the plan; the battery's lane is None, and comes first.

    Without a battery in the plan its lane is missing.
    """
    lanes: dict[str | None, list[Part | None]] = {}
    if any(slot.battery_mode is not None for slot in plan.slots):
        lanes[None] = [battery_part(slot) for slot in plan.slots]
    names = dict.fromkeys(car.vehicle for slot in plan.slots for car in slot.cars)
    for name in names:
        lanes[name] = [car_part(slot, name) for slot in plan.slots]
    return lanes


def runs(parts: list[Part | None]) -> Iterator[tuple[int, int]]:
    """The longest runs `(first, last + 1)` of slots with one meaning (kind and mode)."""
    keys = [(part.kind, part.mode) if part else None for part in parts]
    edges = [0, *(k for k, (a, b) in enumerate(pairwise(keys), 1) if a != b), len(parts)]
    for first, end in pairwise(edges):
        if end > first and keys[first] is not None:
            yield first, end


def charges(part: Part | None) -> bool:
    """Whether energy goes in."""
    return part is not None and part.kind in ("grid", "sun")


def end_of(slot: PlanSlot) -> datetime:
    """When `slot` ends (the first one of a plan is the rest of its quarter hour)."""
    return slot.start + timedelta(seconds=slot.duration_s)


def block_view(
    plan: Plan, lane: str | None, parts: list[Part | None], run: tuple[int, int], zone: str
) -> dict[str, Any]:
    """One block of one lane: what, from when to when, how much, at what mean price, why."""
    first, end = run
    slots = plan.slots[first:end]
    powers = [part.power_kw if part else 0.0 for part in parts[first:end]]
    kwh = [kw * slot.duration_s / 3600 for kw, slot in zip(powers, slots, strict=True)]
    moved = sum(abs(one) for one in kwh)
    paid = sum(abs(one) * slot.import_eur_kwh for one, slot in zip(kwh, slots, strict=True))
    begun, ended = parts[first], parts[end - 1]
    assert begun is not None  # a run has no gaps
    assert ended is not None
    peak_kw = max(powers) if begun.power_kw >= 0 else min(powers)
    return {
        "lane": "car" if lane else "battery",
        "name": lane,
        "kind": begun.kind,
        "mode": begun.mode,
        "start": slots[0].start,
        "end": end_of(slots[-1]),
        "energy_kwh": round(sum(kwh), 3),
        "power_max_kw": round(peak_kw, 3),
        "price_eur_kwh": round(paid / moved, 5) if moved else None,
        "soc_pct": ended.soc_pct,
        "why": why_view(begun.why, zone),
    }


def slot_view(slot: PlanSlot) -> dict[str, Any]:
    """One slot in numbers; its reasons stand in the blocks."""
    view = msgspec.structs.asdict(slot)
    del view["why"]
    cars = slot.cars
    if len({car.vehicle for car in cars}) < len(cars):  # one that waits at several wallboxes
        cars = tuple(sorted(cars, key=lambda car: -car.charge_kw))
    view["cars"] = [
        {name: value for name, value in msgspec.structs.asdict(car).items() if name != "why"}
        for car in cars
    ]
    return view


def shortfall_view(shortfall: Shortfall) -> dict[str, Any]:
    """A goal that will be missed, and by how much."""
    return msgspec.structs.asdict(shortfall)


def plan_view(made: PlanMade | None, zone: str) -> dict[str, Any] | None:
    """The plan for `/status`; None while there is none."""
    if made is None:
        return None
    plan = made.plan
    blocks = [
        block_view(plan, lane, parts, run, zone)
        for lane, parts in lanes_of(plan).items()
        for run in runs(parts)
    ]
    return {
        "revision": plan.revision,
        "made_at": plan.made_at,
        "rung": plan.rung,
        "cost_eur": plan.cost_eur,
        "wear_eur": plan.wear_eur,
        "objective_eur": plan.objective_eur,
        "gap_eur": plan.gap_eur,
        "end_value_eur_kwh": plan.end_value_eur_kwh,
        "why": why_view(plan.why, zone),
        "news": why_view(made.news, zone),
        "shortfalls": [shortfall_view(one) for one in plan.shortfalls],
        "blocks": blocks,
        "slots": [slot_view(slot) for slot in plan.slots],
    }


def doing_view(made: PlanMade | None, at: datetime, zone: str) -> list[dict[str, Any]]:
    """What the plan wants at `at`, per lane, until when, why, and when it next charges."""
    if made is None:
        return []
    plan = made.plan
    now = next((k for k, s in enumerate(plan.slots) if slot_of(s.start) == slot_of(at)), None)
    if now is None:
        return []
    doing = []
    for lane, parts in lanes_of(plan).items():
        blocks = list(runs(parts))
        here = next(((a, b) for a, b in blocks if a <= now < b), None)
        if here is None:
            continue
        view = block_view(plan, lane, parts, here, zone)
        ahead = next((a for a, _ in blocks if a >= here[1] and charges(parts[a])), None)
        part = parts[now]
        assert part is not None
        doing.append(
            {
                "lane": view["lane"],
                "name": lane,
                "kind": part.kind,
                "mode": part.mode,
                "power_kw": part.power_kw,
                "until": view["end"],
                "next_charge_at": plan.slots[ahead].start if ahead is not None else None,
                "why": why_view(part.why, zone),
            }
        )
    return doing
