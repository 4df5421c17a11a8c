"""A bench for `smartload check --write`: a pretend evcc whose inverter the tests know.

The home has one cycle each 10 s, a battery of 10 kWh at 50 %, and 500 W of load.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine.check_battery import Outcome
from engine.check_write import Report, try_out
from engine.clock import VirtualClock
from engine.home import NORMAL, UNKNOWN
from engine.settings import Settings
from engine.transport import Answer
from sim.evcc import PretendEvcc
from sim.scenario import SimLoadpoint
from tests.make_evcc import START, ScriptedWorld, scenario, state

WORKS, NOT_OBEYED = Outcome.WORKS, Outcome.NOT_OBEYED
UNCLEAR, NOT_TRIED = Outcome.UNCLEAR, Outcome.NOT_TRIED
NIGHT, NOON = 0.0, 3000.0
NOBODY = {"loadpoints": (SimLoadpoint("lp-1", title="Carport", mode="pv"),), "cars": ()}


class Bench:
    """A pretend evcc under virtual time, and what may happen at each request."""

    def __init__(self, pv_w: float = NIGHT, happenings: Any = (), **changes: Any) -> None:
        self.clock = VirtualClock(START)
        world = ScriptedWorld(pv_w=pv_w, happenings=happenings)
        changes = {"evcc_interval_s": 10.0, **changes}
        self.evcc = PretendEvcc(scenario(**changes), world, self.clock)
        self.settings = Settings()
        self.stop_at = START + timedelta(days=1)
        self.seen: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self.said: list[str] = []

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        if method != "GET":
            self.seen.append(f"{method} {path}")
        self.before(f"{method} {path}")
        return self.evcc.request(method, path, body)

    def close(self) -> None:
        """Nothing to release."""

    def try_out(self) -> Report:
        return try_out(
            self,
            self.clock,
            self.settings,
            wait_until=self.clock.move_to,
            stopped=lambda: self.clock.now() >= self.stop_at,
            say=self.said.append,
        )

    def inverter(self) -> int:
        """What it was told last, a minute later."""
        self.evcc.advance(self.clock.now() + timedelta(seconds=60))
        return self.evcc.home.house.mode


def outcomes(report: Report) -> dict[str, Outcome]:
    return {one.setting: one.outcome for one in report.tried}


def battery_of(report: Report) -> tuple[Outcome, ...]:
    return tuple(report.outcome(mode) for mode in ("hold", "charge", "holdcharge"))


def all_given_back(bench: Bench, loadpoints: Any) -> None:
    now = state(bench.evcc)
    kept = ("mode", "limitSoc", "limitEnergy")
    assert [[lp[key] for key in kept] for lp in now["loadpoints"]] == loadpoints
    assert now.get("batteryModeExternal", "unknown") in ("", "unknown")
    assert bench.inverter() in (NORMAL, UNKNOWN)


FRESH = [["pv", 0, 0]]


def swallow(bench: Bench, path: str, times: int) -> None:
    """The inverter answers 500 to what evcc tells it after the first `times` such requests."""
    left = [times]

    def before(request: str) -> None:
        if request.startswith("POST /api/batterymode"):
            hit = request == path and left[0] > 0
            left[0] -= hit
            bench.evcc.device("battery_write_error", hit)

    bench.before = before
