"""evcc's optimizer protocol over HTTP: passes questions to the mind that answers them, and waits.

Nothing of a request's headers is read, kept or passed on: evcc sends its sponsor token along.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from engine.actor import Port
from engine.clock import Clock
from engine.messages import Message, OptimizationAnswered, OptimizationAsked

AT_ONCE = 4
BODY_MOST = 4_000_000
PATIENCE_S = 85.0
"""evcc gives up after 90 s."""
RETRY_AFTER_S = 5
SCHEDULE, HEALTH = "/optimize/charge-schedule", "/optimize/health"
HEALTHY = b'{"status":"healthy","message":"SmartLoad answers evcc\'s optimizer protocol"}'
CODES = {"answered": 200, "refused": 400, "failed": 500}
WARM_UP = """{"batteries": [{"s_min": 0, "s_max": 5000, "s_initial": 2500, "c_min": 0,
"c_max": 3000, "d_max": 3000, "p_a": 0.0002}], "time_series": {"dt": [900], "gt": [100],
"ft": [0], "p_N": [0.0003], "p_E": [0.0001]}}"""


class BusyError(Exception):
    """As many questions as are taken at once wait already."""


class OptimizerDesk(Port[OptimizationAnswered, OptimizationAsked]):
    """Where questions are handed in and answers called out. `tell` publishes; set before use."""

    tell: Callable[[Message], None]

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._places = threading.Semaphore(AT_ONCE)
        self._numbers = count(1)
        self._waiting: dict[int, Future[OptimizationAnswered]] = {}

    def on(self, message: OptimizationAnswered) -> Iterator[OptimizationAsked]:
        waiting = self._waiting.pop(message.id, None)
        if waiting is not None:
            waiting.set_result(message)
        yield from ()

    def ask(self, body: str, patience_s: float = PATIENCE_S) -> OptimizationAnswered:
        """The answer to `body`. Raises BusyError, and TimeoutError without an answer in time."""
        if not self._places.acquire(blocking=False):
            raise BusyError(f"{AT_ONCE} requests wait already")
        number = next(self._numbers)
        try:
            waiting = self._waiting[number] = Future()
            self.tell(OptimizationAsked(at=self._clock.now(), id=number, body=body))
            return waiting.result(patience_s)
        finally:
            self._waiting.pop(number, None)
            self._places.release()

    def warm_up(self) -> None:
        """Ask something small, so that the first one who asks waits for no import."""
        self.ask(WARM_UP)


def _json(body: bytes, code: int) -> Response:
    response = Response(body, code, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def answer_optimizer(app: Flask, desk: OptimizerDesk) -> None:
    """Let `app` answer the protocol's two paths."""
    app.extensions["calculates"] = (SCHEDULE,)

    @app.post(SCHEDULE)
    def charge_schedule() -> Response:
        request.max_content_length = BODY_MOST
        try:
            body = request.get_data().decode("utf-8", "replace")
        except RequestEntityTooLarge:
            return _json(b'{"message":"The request is too large"}', 413)
        try:
            answer = desk.ask(body)
        except BusyError:
            response = _json(b'{"message":"Too many requests at once"}', 503)
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        except TimeoutError:
            return _json(b'{"message":"Optimization failed: no answer in time"}', 500)
        return _json(answer.body.encode(), CODES[answer.outcome])

    @app.get(HEALTH)
    def optimizer_health() -> Response:
        return _json(HEALTHY, 200)


def create_optimizer_app(desk: OptimizerDesk) -> Flask:
    """The protocol and nothing else."""
    from web.app import hardened

    app = Flask(__name__)
    answer_optimizer(app, desk)
    return hardened(app)
