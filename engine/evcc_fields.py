"""Reading evcc's JSON field by field: whatever is missing, null or odd is None, never an error.

evcc promises nothing about its API (evcc-api.md §0), keys appear when first published, and nested
values are not guarded against NaN (§1).
"""

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec


class EvccUnreadable(Exception):  # noqa: N818 - it is a fact about evcc, named like one
    """evcc answered, but not with a state of the home. `reason` says what was wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


NUMBERS = (int, float)
UNREAD = frozenset({"forecast", "statistics", "evopt", "evopt-batteries"})
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decoded(body: bytes) -> Any:
    """The JSON in `body`. Raises EvccUnreadable.

    An empty body is what evcc sends with 200 when a nested value is NaN (evcc-api.md §1); a proxy
    that writes NaN itself is understood.
    """
    if not body.strip():
        raise EvccUnreadable("empty answer")
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EvccUnreadable(f"no JSON: {str(error)[:80]}") from error


def decoded_state(body: bytes) -> Any:
    """A state without the long parts that nobody here reads. Raises EvccUnreadable."""
    try:
        parts = _parts.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decoded(body)
    read = {key: part for key, part in parts.items() if key not in UNREAD}
    return decoded(msgspec.json.encode(read))


def unwrapped(payload: Any) -> Any:
    """Without the envelope `{"result": …}` of evcc before 0.207 (evcc-api.md §1.1)."""
    if isinstance(payload, dict) and "result" in payload and len(payload) == 1:
        return payload["result"]
    return payload


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """`value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def positive(value: Any) -> float | None:
    """A number above 0, else None: evcc writes 0 for "unknown" and "not set"."""
    real = number(value)
    return real if real is not None and real > 0 else None


def percent(value: Any) -> float | None:
    """A state of charge in 0 to 100 (a rounding error above is cut), else None."""
    real = number(value)
    if real is None or not 0 <= real <= 100.5:
        return None
    return min(real, 100.0)


def whole(value: Any, default: int) -> int:
    """A whole number, else `default`."""
    real = number(value)
    return int(real) if real is not None and abs(real) < 1e9 else default


def text(value: Any) -> str:
    """A string that can be written as UTF-8, else an empty one."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def truth(value: Any) -> bool:
    """True for JSON's `true` only."""
    return value is True


def moment(value: Any) -> datetime | None:
    """An RFC 3339 time with any offset, or unix seconds, as UTC.

    None for Go's zero time (`0001-01-01T00:00:00Z`) and for times without an offset.
    """
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            if at.tzinfo is None or at.year < 1970:
                return None
            return at.astimezone(UTC)
        seconds = positive(value)
        return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    except (ValueError, OverflowError, OSError):
        return None
