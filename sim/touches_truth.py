"""What really became of each loadpoint's settings, and by whom: people, our writes, or evcc."""

from datetime import datetime
from typing import Any, NamedTuple

from engine.loadpoint import KEEP, B
from engine.transport import Answer
from sim.evcc import PretendEvcc
from sim.evcc_home import MODE_NAMES
from sim.evcc_routes import Response

Value = str | float | bool
HUMAN, OURS, EVCC = "human", "smartload", "evcc"
ASSIGNED = "assigned"
"""A mode that came with the vehicle that a human assigned: evcc's rule on a human's word.

Also where it is the mode that stood: whoever had set that has replaced it. So it is of the mode
that a car brings when it comes.
"""
SETTINGS = ("mode", "limit_soc", "limit_energy")
CONNECTED = "connected"
WORDS = {"mode": "/mode/", "limit_soc": "/limitsoc/", "limit_energy": "/limitenergy/"}


class Change(NamedTuple):
    """A setting got another value. `setting` is also `connected` and `vehicle`."""

    at: datetime
    loadpoint: str
    setting: str
    before: Value
    value: Value
    who: str


class Read(NamedTuple):
    """Our reading of the state; it shows the first `seen` changes."""

    at: datetime
    seen: int


class WatchedEvcc(PretendEvcc):
    """The pretend evcc; keeps all changes of what stands at its loadpoints, in order."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.changes: list[Change] = []
        self.reads: list[Read] = []
        self.starts: list[datetime] = []
        self._stood: dict[str, dict[str, Value]] = {}
        self._meeting = False
        super().__init__(*args, **more)
        self._look(EVCC)
        self.changes.clear()  # what stood at the beginning

    def start(self, first_cycle_s: float = 0.55) -> None:
        self.starts.append(self.now)
        super().start(first_cycle_s)
        self._look(EVCC)
        self._note_defaults()

    def _note_defaults(self) -> None:
        """A start sets the configured mode again, also where it stood."""
        known = {(one.loadpoint, one.setting) for one in self.changes if one.at == self.now}
        for point in self.home.loadpoints:
            name, mode = point.spec.name, MODE_NAMES[point.mode]
            if point.default_mode != KEEP and (name, "mode") not in known:
                self.changes.append(Change(self.now, name, "mode", mode, mode, EVCC))

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        answer = super().request(method, path, body)
        if method == "GET" and path == "/api/state" and answer.status == 200:
            self.reads.append(Read(self.now, len(self.changes)))
        return answer

    def connected(self) -> frozenset[str]:
        """The loadpoints at which evcc sees a car now."""
        return frozenset(name for name, now in self._stood.items() if now[CONNECTED])

    def _meet(self, at: datetime) -> None:
        self._meeting = True
        super()._meet(at)
        self._meeting = False
        self._look(EVCC)

    def _happen(self) -> None:
        super()._happen()
        self._look(EVCC)

    def _answer(self, method: str, path: str, body: bytes) -> Response:
        if method == "GET":
            return super()._answer(method, path, body)
        self._look(EVCC)
        response = super()._answer(method, path, body)
        self._look(HUMAN if self._meeting else OURS, path)
        return response

    def _look(self, who: str, path: str = "") -> None:
        """Note what is not as it was. A vehicle that came or was assigned brings its mode."""
        for point in self.home.loadpoints:
            name = point.spec.name
            stood = self._stood.get(name, {})
            # a start of evcc unplugs nobody: before its first cycle it only does not know yet
            known = point.seen or CONNECTED not in stood
            now: dict[str, Value] = {
                "mode": MODE_NAMES[point.mode],
                "limit_soc": float(point.limit_soc),
                "limit_energy": float(point.limit_energy),
                CONNECTED: point.status >= B if known else stood[CONNECTED],
                "vehicle": "" if point.vehicle is None else point.vehicle.spec.name,
            }
            another = bool(stood) and stood["vehicle"] != now["vehicle"]
            given = another or (bool(stood) and bool(now[CONNECTED]) and not stood[CONNECTED])
            brings = point.vehicle.spec.mode if given and point.vehicle is not None else None
            for setting, value in now.items():
                again = setting == "mode" and brings is not None and brings == value
                if stood and (stood[setting] != value or again):
                    asked = WORDS.get(setting, "/vehicle") in path
                    by = who if asked else ASSIGNED if "/vehicle" in path else EVCC
                    change = Change(self.now, name, setting, stood[setting], value, by)
                    self.changes.append(change)
            self._stood[name] = now
