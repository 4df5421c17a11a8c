"""What evcc's answers change in all that the actuator knows. Pure."""

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from actors.actuator_memory import ActuatorMemory
from actors.orders import Desk, confirmed, refused
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    Order,
    OrderConfirmed,
    OrderFailed,
)
from engine.values import BatteryMode, Why


def answered(
    known: ActuatorMemory,
    answer: OrderConfirmed | OrderFailed | BatteryModeConfirmed | BatteryModeFailed,
    now: datetime,
) -> ActuatorMemory:
    """Only what is confirmed is in force (INV-62)."""
    match answer:
        case OrderConfirmed(order=order):
            return _at(known, order, [confirmed(one, order, now) for one in known.desks])
        case OrderFailed(order=order, reason=reason):
            return _at(known, order, [refused(one, order, reason) for one in known.desks])
        case BatteryModeConfirmed(mode=in_force):
            out = known.battery_out and (known.stands is not None or in_force is not None)
            return replace(known, battery_refused=None, battery_out=out, in_force=in_force)
        case BatteryModeFailed():
            mode = answer.mode.value if answer.mode else BatteryMode.NORMAL.value
            numbers = (("mode", mode), ("reason", answer.reason))
            return replace(known, battery_refused=Why("battery_refused", numbers))
        case _:
            assert_never(answer)


def _at(known: ActuatorMemory, order: Order, changed: list[Desk]) -> ActuatorMemory:
    """With the changed desk of the order's loadpoint."""
    folded = order.loadpoint.casefold()
    desks = tuple(
        new if old.name.casefold() == folded else old
        for old, new in zip(known.desks, changed, strict=True)
    )
    return replace(known, desks=desks)
