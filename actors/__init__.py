"""The minds: one file, one mind, and beside each the pure mathematics that it owns. No I/O.

`cast` is who lives here, in the order of the ring: sense, remember, think, act.
"""

from typing import Any

from actors.actuator import Actuator
from actors.collector import Collector
from actors.forecaster import Forecaster
from actors.optimizer import Optimizer
from actors.schedule_server import ScheduleServer
from actors.sequencer import Sequencer
from actors.state_store import StateStore
from actors.vehicle_monitor import VehicleMonitor
from engine.actor import Actor

CAST: tuple[type[Actor[Any, Any]], ...] = (
    Collector,
    VehicleMonitor,
    StateStore,
    Forecaster,
    Sequencer,
    Optimizer,
    Actuator,
    ScheduleServer,
)


def cast() -> list[Actor[Any, Any]]:
    """One of each, newly born."""
    return [mind() for mind in CAST]
