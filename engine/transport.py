"""The lowest seam to evcc: a request in, evcc's own bytes out (design §10).

Over HTTP live (`engine/evcc_http.py`), in process in simulation (`sim/evcc.py`): parsing, units and
missing fields are under test either way.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What evcc answered.

    `connection` counts the connections that were made so far. It stays while one is kept alive: an
    end of evcc's process closes it, so another number says that evcc may have been started anew.
    """

    status: int
    body: bytes
    connection: int = field(default=0, compare=False)


class TransportError(Exception):
    """evcc was not reached: refused, timed out, or the connection broke. Says why."""


class Transport(Protocol):
    """One way to reach evcc."""

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request, for instance `POST /api/batterymode/hold`.

        Raises TransportError when no answer came.
        """

    def close(self) -> None:
        """Release the connection."""
