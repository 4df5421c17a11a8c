"""Logs with date, level and car: what happened outside, at the default level (INV-180)."""

import logging
import sys
from collections.abc import Iterator
from typing import Never

from engine.actor import Port
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    CarSilent,
    EvccLost,
    HandsOff,
    OrderConfirmed,
    OrderFailed,
    PlanMade,
)
from engine.words import render

log = logging.getLogger("smartload")

_Heard = (
    ActorFailed
    | BatteryModeConfirmed
    | BatteryModeFailed
    | CarSilent
    | EvccLost
    | HandsOff
    | OrderConfirmed
    | OrderFailed
    | PlanMade
)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        car = getattr(record, "car", None)
        record.car = f"[{car}] " if car else ""
        return super().format(record)


def set_up(level: str) -> None:
    """Log to standard error from `level` on (debug, info, warning, error), with dates."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Formatter("%(asctime)s %(levelname)-7s %(name)s: %(car)s%(message)s", "%Y-%m-%d %H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "websockets", "werkzeug", "waitress", "pykka"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class Log(Port[_Heard, Never]):
    """Writes down what a person would want to read tomorrow; repeats nothing."""

    def __init__(self) -> None:
        self._silent_evcc = False

    def on(self, message: _Heard) -> Iterator[Never]:
        """Log one message."""
        match message:
            case CarSilent(vehicle=vehicle, reason=reason):
                log.warning("no answer: %s", reason, extra={"car": vehicle})
            case EvccLost(reason=reason):
                level = logging.DEBUG if self._silent_evcc else logging.WARNING
                log.log(level, "evcc is silent: %s", reason)
            case OrderConfirmed(order=order):
                log.info("%s: %s = %s", order.loadpoint, order.setting, order.value)
            case OrderFailed(order=order, reason=reason):
                log.warning("%s: %s = %s failed: %s", order.loadpoint, order.setting, order.value,
                            reason)  # fmt: skip
            case BatteryModeConfirmed(mode=mode):
                log.info("battery: %s", mode or "released to evcc")
            case BatteryModeFailed(mode=mode, reason=reason):
                log.warning("battery: %s failed: %s", mode or "release", reason)
            case PlanMade(plan=plan, news=news):
                log.info("plan %d (%s), bill %.2f: %s", plan.revision, plan.rung, plan.cost_eur,
                         render(news, "en", "UTC"))  # fmt: skip
            case ActorFailed() | HandsOff():
                pass  # the runtime has logged these with their traceback
        self._silent_evcc = isinstance(message, EvccLost)
        yield from ()
