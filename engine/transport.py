"""The lowest seam to evcc: a request in, evcc's own bytes out (design §10).

Over HTTP live (`engine/evcc_http.py`), in process in simulation (`sim/evcc.py`): parsing, units and
missing fields are under test either way.
"""

from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """What evcc answered."""

    status: int
    body: bytes


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
