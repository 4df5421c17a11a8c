"""Answers evcc's optimizer protocol; on a seat of its own, so that it never delays the home's plan.

It remembers nothing: an answer depends on its question alone. What fails is answered as a failure
and never raised, because a stranger's question must not cost the home its controller.
"""

from collections.abc import Iterator

import msgspec

from actors.charge_request import BadRequestError, read_request
from actors.charge_schedule import Scheduler
from actors.planner_solver import SolveFailedError
from engine.actor import Actor
from engine.messages import OptimizationAnswered, OptimizationAsked
from engine.values import Value


class ScheduleServerMemory(Value, frozen=True):
    """Nothing: every question is a whole problem."""


class ScheduleServer(Actor[OptimizationAsked, OptimizationAnswered]):
    """Makes a schedule of each request. `scheduler` is a cache of compiled programs."""

    memory: ScheduleServerMemory

    def __init__(self) -> None:
        self.memory = ScheduleServerMemory()
        self.scheduler = Scheduler()

    def on(self, message: OptimizationAsked) -> Iterator[OptimizationAnswered]:
        outcome, answer = "answered", b""
        try:
            solved = self.scheduler.solve(read_request(message.body))
            answer = msgspec.json.encode(solved.answer)
        except BadRequestError as error:
            outcome = "refused"
            answer = msgspec.json.encode({"message": error.message, "details": error.details})
        except (SolveFailedError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            outcome = "failed"
            answer = msgspec.json.encode({"message": f"Optimization failed: {error}"})
        body = answer.decode()
        yield OptimizationAnswered(message.at, id=message.id, outcome=outcome, body=body)
