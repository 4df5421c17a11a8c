"""How the pretend evcc finds and checks a request (evcc-api.md §3). The handlers stand beside it.

A path that matches no pattern, or the wrong verb, is 404; a bad value is 400 with evcc's own words.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from sim.evcc_home import Car, Home, Loadpoint
from sim.evcc_tariffs import Tariffs


class Refused(Exception):  # noqa: N818 - a fact about the request
    """evcc says no: 400 with this text."""


class NotFound(Exception):  # noqa: N818 - a fact about the request
    """No such route: 404 as text."""


class Missing(Exception):  # noqa: N818 - a fact about the request
    """A tariff that is not there: 404 with this text as JSON."""


class Call(NamedTuple):
    """What a handler gets: the home, the time, the path's values and the body."""

    site: Home
    tariffs: Tariffs
    at: datetime
    values: tuple[str, ...]
    body: bytes

    @property
    def point(self) -> Loadpoint:
        """The loadpoint that the path names, 1-based."""
        k = int(self.values[0])
        if not 1 <= k <= len(self.site.loadpoints):
            raise NotFound
        return self.site.loadpoints[k - 1]

    @property
    def car(self) -> Car:
        """The vehicle that the path names."""
        car = self.site.find_car(self.values[0])
        if car is None:
            raise Refused(f"not found: {self.values[0]}")
        return car

    @property
    def last(self) -> str:
        """The last value of the path."""
        return self.values[-1]


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


def answer(method: str, call: Call, path: str) -> Any:
    """What evcc answers to `path` below /api. Raises Refused or NotFound."""
    first = path.split("/", 2)[1] if "/" in path else ""
    for pattern, handler in ROUTES.get((method, first), ()):
        if found := pattern.fullmatch(path):
            return handler(call._replace(values=found.groups()))
    raise NotFound


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
