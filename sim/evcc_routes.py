"""How the pretend evcc finds and checks a request (evcc-api.md §3). The handlers stand beside it.

A path that matches no pattern, or the wrong verb, is 404; a bad value is 400 with evcc's own words.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from sim.evcc_home import Car, Home, Loadpoint, Site
from sim.evcc_tariffs import Tariffs


class Refused(Exception):  # noqa: N818 - a fact about the request
    """evcc says no: 400 with this text as JSON."""

    status = 400


class Missing(Refused):
    """A tariff that is not there."""

    status = 404


class Failed(Refused):
    """evcc blames itself for it."""

    status = 500


class Plain(Exception):  # noqa: N818 - a fact about the request
    """An answer of this status as plain text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class NotFound(Plain):
    """No such route."""

    def __init__(self) -> None:
        super().__init__(404, "404 page not found")


LOCKED = {
    "auth": (403, "Forbidden in demo mode"),
    "config": (401, "Unauthorized"),
    "system": (401, "Unauthorized"),
}
"""By the first part of the path; locked as in evcc's own demo."""


class Call(NamedTuple):
    """What a handler gets: the home, the time, the path's values and the body.

    `runs` collects the loadpoints for which the change asks for a cycle at once (§3).
    """

    home: Home
    tariffs: Tariffs
    at: datetime
    at_s: float
    values: tuple[str, ...]
    body: bytes
    runs: list[int]
    query: dict[str, list[str]]

    @property
    def site(self) -> Site:
        """What evcc knows of the site."""
        return self.home.site

    @property
    def point(self) -> Loadpoint:
        """The loadpoint that the path names, 1-based."""
        k = int(self.values[0])
        if not 1 <= k <= len(self.home.loadpoints):
            raise NotFound
        return self.home.loadpoints[k - 1]

    def run(self) -> None:
        """A setting of this loadpoint has changed: it is regulated at once."""
        self.runs.append(self.point.index)

    @property
    def car(self) -> Car:
        """The vehicle that the path names."""
        car = self.home.find_car(self.values[0])
        if car is None:
            raise Refused(f"not found: {self.values[0]}")
        return car

    @property
    def last(self) -> str:
        """The last value of the path."""
        return self.values[-1]


class Response(NamedTuple):
    """An answer with what HTTP needs around it."""

    status: int
    body: bytes
    content_type: str
    location: str = ""


JSON_TYPE = "application/json"
ERROR_TYPE = "application/json; charset=UTF-8"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
PAGE = b"<!doctype html><title>pretend evcc</title><p>A pretend evcc; its API is below /api."
NO_ROUTE = Response(404, b"404 page not found", TEXT_TYPE)

Handler = Callable[[Call], Any]
ROUTES: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = {}
"""By verb and first part of the path, in the order of registration."""

PATTERNS = {
    "id": r"([0-9]+)",
    "int": r"([0-9]+)",
    "n": r"([0-9]+(?:\.[0-9]+)?)",
    "v": r"(-?[0-9]+(?:\.[0-9]+)?)",
    "word": r"([a-z_]+)",
    "bool": r"(true|false)",
    "name": r"([^/]+)",
    "time": r"([^/]+)",
}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register a handler for `method` and `path` below /api."""
    pattern = re.sub(r"\{(\w+)\}", lambda found: PATTERNS[found[1]], path)

    def keep(handler: Handler) -> Handler:
        first = path.split("/")[1]
        ROUTES.setdefault((method, first), []).append((re.compile(pattern), handler))
        return handler

    return keep


def respond(method: str, path: str, call: Call, state: Callable[[], Any]) -> Response:
    """The whole answer; `/` is a page, all else stands below `/api/`."""
    if path == "/" and method == "GET":
        return Response(200, PAGE, HTML_TYPE)
    if not path.startswith("/api/"):
        return NO_ROUTE
    if path.endswith("/"):
        return Response(301, b"", ERROR_TYPE, path.rstrip("/"))
    try:
        if (method, path) == ("GET", "/api/state"):
            content = msgspec.json.encode(state())
            for expression in call.query.get("jq", ()):
                found = follow(msgspec.json.decode(content), expression)
                content = msgspec.json.encode(found)
        else:
            content = msgspec.json.encode(answer(method, call, path.removeprefix("/api")))
    except Plain as error:
        return Response(error.status, str(error).encode(), TEXT_TYPE)
    except Refused as error:
        return Response(error.status, msgspec.json.encode({"error": str(error)}), ERROR_TYPE)
    return Response(200, content, JSON_TYPE)


def answer(method: str, call: Call, path: str) -> Any:
    """What evcc answers to `path` below /api. Raises Refused or Plain."""
    first = path.split("/", 2)[1] if "/" in path else ""
    if first in LOCKED:
        raise Plain(*LOCKED[first])
    for pattern, handler in ROUTES.get((method, first), ()):
        if found := pattern.fullmatch(path):
            return handler(call._replace(values=found.groups()))
    raise NotFound


def follow(value: Any, expression: str) -> Any:
    """What a jq path (`.loadpoints[0].mode`) finds; other expressions are refused."""
    steps = re.findall(r"\.(\w+)|\[(\d+)\]", expression)
    told = "".join(f".{name}" if name else f"[{number}]" for name, number in steps)
    if told != expression.strip() and expression.strip() != ".":
        unfinished = re.search(r"[|,.+*/-]\s*$", expression)
        raise Refused("unexpected EOF" if unfinished else f"only paths, not {expression}")
    for name, number in steps:
        try:
            value = value[name] if name else value[int(number)]
        except (KeyError, IndexError):
            value = None
        except TypeError as error:
            raise Refused(f"cannot follow {expression}") from error
        if value is None:
            return None
    return value


def decoded(body: bytes) -> Any:
    """The JSON in a request's body. Raises Refused with the text of evcc's own decoder."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(_go_error(body, error)) from error


def _go_error(body: bytes, error: msgspec.DecodeError) -> str:
    """As Go's decoder would complain, for the usual case."""
    text = body.decode(errors="replace")
    if len(text) > 1 and text[0] == "{" and text[1] not in '"}':
        return f"invalid character '{text[1]}' looking for beginning of object key string"
    return "unexpected EOF" if "truncated" in str(error) else str(error)


def future(text: str, at: datetime) -> str:
    """The time of a plan, `%2B` understood; a past one is refused."""
    text = text.replace("%2B", "+").replace("%2b", "+").replace("%3A", ":").replace("%3a", ":")
    try:
        due = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f'parsing time "{text}"') from error
    if due.tzinfo is None:
        raise Refused(f'parsing time "{text}"')
    if due < at:
        raise Refused("timestamp is in the past")
    return text


def strategy_from(body: bytes) -> dict[str, Any]:
    """A plan strategy as it was posted. Raises Refused."""
    given = decoded(body)
    if not isinstance(given, dict):
        raise Refused("cannot unmarshal into plan strategy")
    return {
        "continuous": bool(given.get("continuous", False)),
        "precondition": int(given.get("precondition", 0)),
    }
