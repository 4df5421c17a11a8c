"""What the newest plan asks for now: the few slots of it that may ever be acted on.

A plan of 193 slots is acted on for one slot at most (INV-185), so the actuator keeps three lines
of it, each with the end of its block: the run of slots that ask for the same.
"""

from datetime import datetime, timedelta
from math import isfinite

from msgspec.structs import replace

from engine.slots import SLOT, slot_of
from engine.values import BatteryMode, ChargeMode, Plan, PlanCar, PlanSlot, Utc, Value, Why

LINES = 3
"""A plan is at most one slot and `PATIENCE` old: it can be acted on in three slots."""
PATIENCE = timedelta(seconds=60)
"""So long into a new slot its plan may take to come; until then the last slot's decision stands.

Otherwise each slot would be decided twice, from the old plan and from the new one (INV-48).
"""


class CarLine(Value, frozen=True):
    """What is asked of one loadpoint. `soc_pct` and `block_kwh` are of the block's end."""

    loadpoint: str
    vehicle: str
    mode: ChargeMode
    why: Why
    until: Utc
    soc_pct: float | None
    block_kwh: float


class Line(Value, frozen=True):
    """What one slot of the plan asks for. `until` is the end of the battery's block."""

    start: Utc
    battery: BatteryMode
    battery_discharges: bool
    why: Why
    until: Utc
    cars: tuple[CarLine, ...]


class Script(Value, frozen=True):
    """The first lines of a plan."""

    revision: int
    made_at: Utc
    rung: str
    lines: tuple[Line, ...]

    def age(self, now: datetime) -> timedelta:
        """How old the plan is."""
        return now - self.made_at

    def too_old(self, now: datetime) -> bool:
        """Whether it may no longer be acted on (INV-185)."""
        return self.age(now) > SLOT + PATIENCE

    def line_at(self, now: datetime) -> Line | None:
        """The line to act on, or None when the plan says nothing about now."""
        slot = slot_of(now)
        starts = [slot_of(line.start) for line in self.lines]
        late = slot > slot_of(self.made_at) and now - slot < PATIENCE
        if late and slot - SLOT in starts:
            slot -= SLOT
        return self.lines[starts.index(slot)] if slot in starts else None


def script_of(plan: Plan) -> Script:
    """The script of a plan. Each line goes on from the next one's where both ask for the same."""
    slots = [slot for slot in plan.slots if slot.duration_s > 0]
    lines: list[Line] = []
    for k in reversed(range(min(LINES, len(slots)))):
        lines.append(_line(slots, k, lines[-1] if lines else None))
    return Script(plan.revision, plan.made_at, plan.rung, tuple(reversed(lines)))


def _line(slots: list[PlanSlot], k: int, after: Line | None) -> Line:
    slot = slots[k]
    mode = _battery(slot)
    if after is not None and after.battery is mode:
        until = after.until
    else:
        last = slot
        for later in slots[k + 1 :]:
            if _battery(later) is not mode:
                break
            last = later
        until = _end(last)
    known = {line.loadpoint: line for line in after.cars} if after else {}
    return Line(
        start=slot.start,
        battery=mode,
        battery_discharges=slot.battery_discharge_kw > 0.05,
        why=slot.why,
        until=until,
        cars=tuple(
            _car_line(slots, k, car, known.get(car.loadpoint)) for car in plugged_in(slot.cars)
        ),
    )


def plugged_in(cars: tuple[PlanCar, ...]) -> tuple[PlanCar, ...]:
    """The cars that stood at a loadpoint when the plan was made.

    Each is the first of its loadpoint; nothing can be asked of those that wait (INV-95).
    """
    return tuple({car.loadpoint: car for car in reversed(cars)}.values())[::-1]


def _car_line(slots: list[PlanSlot], k: int, car: PlanCar, after: CarLine | None) -> CarLine:
    kwh = _kwh(slots[k], car)
    if after is not None and after.mode is car.mode and after.vehicle == car.vehicle:
        kwh = round(kwh + after.block_kwh, 6)
        return replace(after, why=car.why, block_kwh=kwh)
    last, end = car, slots[k]
    for later in slots[k + 1 :]:
        same = _car_at(later, car.loadpoint)
        if same is None or same.mode is not car.mode or same.vehicle != car.vehicle:
            break
        last, end, kwh = same, later, kwh + _kwh(later, same)
    return CarLine(
        loadpoint=car.loadpoint,
        vehicle=car.vehicle,
        mode=car.mode,
        why=car.why,
        until=_end(end),
        soc_pct=last.soc_pct,
        block_kwh=round(kwh, 6),
    )


def _car_at(slot: PlanSlot, loadpoint: str) -> PlanCar | None:
    for car in slot.cars:
        if car.loadpoint == loadpoint:
            return car
    return None


def _battery(slot: PlanSlot) -> BatteryMode:
    """The battery mode of a slot; a plan that asks for none lets the battery serve."""
    mode = slot.battery_mode
    return BatteryMode.NORMAL if mode in (None, BatteryMode.UNKNOWN) else mode


def _kwh(slot: PlanSlot, car: PlanCar) -> float:
    kwh = car.charge_kw * slot.duration_s / 3600
    return kwh if isfinite(kwh) and kwh > 0 else 0.0


def _end(slot: PlanSlot) -> datetime:
    return slot.start + timedelta(seconds=slot.duration_s)
