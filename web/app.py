"""The window's Flask app: strictly read-only, one snapshot per request."""

import threading
from datetime import datetime
from typing import Any

import msgspec
from flask import Flask, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.clock import Clock
from web.feed import TooManyStreamsError, Window
from web.health import Vitals, health, no_vitals
from web.optimize import OptimizerDesk, answer_optimizer
from web.stream import Encoder, events

RETRY_AFTER_S = 15
READING = ("GET", "HEAD")
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def json_response(body: Any, code: int = 200) -> Response:
    """`body` (bytes are JSON already) that no cache may keep."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    response = Response(data, code, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def secured(response: Response) -> Response:
    """Security headers on everything; no CORS header on anything."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def json_error(error: HTTPException) -> Response:
    """Failures have their HTTP status and say in JSON what they are (INV-154)."""
    response = json_response({"error": error.name, "detail": error.description}, error.code or 500)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def read_only() -> None:
    """Refuses whatever could change something, wherever it is sent.

    What calculates from what is posted, and changes nothing, is named in the app's extensions.
    """
    calculates = request.path in current_app.extensions.get("calculates", ())
    if request.method not in READING and not (calculates and request.method == "POST"):
        raise MethodNotAllowed(READING)


def hardened(app: Flask) -> Flask:
    """What every app of the window has: read-only, JSON errors, security headers."""
    app.url_map.merge_slashes = False
    app.before_request(read_only)
    app.register_error_handler(HTTPException, json_error)
    app.after_request(secured)
    return app


def flag(name: str) -> bool:
    """A query argument that is 0 or 1. Anything else is a bad request."""
    value = request.args.get(name, "0")
    if value not in ("0", "1"):
        abort(400, f"{name} must be 0 or 1, not {value!r}")
    return value == "1"


def create_app(
    window: Window, clock: Clock, vitals: Vitals = no_vitals, desk: OptimizerDesk | None = None
) -> Flask:
    """The app over `window`; `vitals` tells what the runtime knows of itself.

    With a `desk` it answers evcc's optimizer protocol as well.
    """
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    if desk is not None:
        answer_optimizer(app, desk)
    stopping = threading.Event()
    encoder = Encoder(clock, vitals)

    @app.get("/")
    def page() -> Response:
        response = app.send_static_file("index.html")
        response.headers["Cache-Control"] = "no-cache"
        return response

    @app.get("/status")
    def current_status() -> Response:
        return json_response(encoder.status(window.snapshot))

    @app.get("/health")
    def current_health() -> Response:
        now: datetime = clock.now()
        body = health(window.snapshot, now, vitals()) | {"streams": window.streams}
        return json_response(body)

    @app.get("/events")
    def stream() -> Response:
        sparing = flag("sparing")
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(mimetype="text/event-stream", headers=headers)
        try:
            client = window.subscribe()
        except TooManyStreamsError as error:
            response = json_response({"error": "Too many streams", "detail": str(error)}, 503)
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        is_gone = request.environ.get("waitress.client_disconnected", bool)
        body = events(window, client, encoder, stopping, is_gone, sparing=sparing)
        response = Response(body, mimetype="text/event-stream", headers=headers)
        response.call_on_close(lambda: window.unsubscribe(client))
        return response

    def end_streams() -> None:
        stopping.set()
        window.nudge()

    app.extensions["end_streams"] = end_streams
    return hardened(app)
