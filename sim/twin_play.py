"""Plays a recording to the pretend evcc: the same lines at the same times, our side recorded."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.transport import TransportError
from sim.evcc import PretendEvcc
from sim.evcc_luck import Luck
from sim.twin_house import ScriptedWorld, first_values, number, scenario_of
from sim.twin_times import agenda, first_cycles_s
from sim.twin_trace import Line, Request, Trace, TraceError, Write, is_known

NOT_REACHED = "ConnectError"

SITE_KEYS = (
    "batteryMode", "batteryModeExternal", "batteryGridChargeActive", "batteryGridChargeLimit",
    "batteryDischargeControl", "prioritySoc", "bufferSoc", "bufferStartSoc", "homePower",
    "pvPower", "residualPower", "tariffGrid", "tariffSolar", "apiReady", "startupCompleted",
    "greenShareLoadpoints",
)  # fmt: skip
NESTED_KEYS = (("grid", "power"), ("battery", "power"), ("battery", "soc"))
LOADPOINT_KEYS = (
    "mode", "enabled", "connected", "charging", "chargePower", "offeredCurrent", "phasesActive",
    "phasesConfigured", "pvAction", "pvRemaining", "phaseAction", "phaseRemaining", "planActive",
    "planProjectedStart", "planProjectedEnd", "planOverrun", "smartCostActive", "smartCostLimit",
    "limitSoc", "limitEnergy", "effectiveLimitSoc", "effectiveMinSoc", "minSocNotReached",
    "vehicleName", "vehicleSoc", "vehicleDetectionActive", "vehicleLimitSoc", "chargedEnergy",
    "sessionEnergy", "effectivePlanTime", "effectivePlanSoc", "effectiveMinCurrent",
    "effectiveMaxCurrent", "batteryBoost", "priority", "effectivePriority", "chargerStatusReason",
    "chargeRemainingDuration",
)  # fmt: skip


def play(trace: Trace, luck: Luck) -> Trace:
    """Our side of a recording, with one draw of the ties. Raises TraceError.

    Its lines are what the recording's would be: world, requests (with our answers), the process,
    writes to devices, and the state on the recording's own grid of samples.
    """
    player = _Player(trace, luck)
    for due_s, line in agenda(trace):
        player.take(due_s, line)
    return msgspec.structs.replace(trace, lines=player.told())


class _Player:
    """One run: the pretend evcc, what was told to it and what it said."""

    def __init__(self, trace: Trace, luck: Luck) -> None:
        self._trace = trace
        self._starts = iter(first_cycles_s(trace))
        self._world = ScriptedWorld(trace)
        self._evcc = PretendEvcc(
            scenario_of(trace), self._world, luck=luck, first_cycle_s=next(self._starts)
        )
        self._known: dict[str, Any] = {}
        self._lines: list[tuple[float, Line]] = []
        for key, value in first_values(trace.setup).items():
            self._evcc.device(key, value)

    def _at(self, t: float) -> datetime:
        return self._trace.header.started_at + timedelta(seconds=t)

    def take(self, due_s: float, line: Line | None) -> None:
        """Live until `due_s`, then do what the line says, or look."""
        self._evcc.advance(self._at(due_s))
        t = due_s if line is None else line.t
        if line is None or line.state is not None:
            self._look(due_s, t)
        elif line.request is not None:
            self._tell(due_s, Line(t=t, request=self._ask(line.request, t)))
        elif line.evcc_write is None and line.evcc_write_failed is None:
            for key, value in (line.world or {}).items():
                if is_known(self._trace.setup, key):
                    self._set(t, key, value)
            self._process(line)
            self._tell(due_s, line)

    def _tell(self, due_s: float, line: Line) -> None:
        self._lines.append((due_s, line))

    def _set(self, t: float, key: str, value: Any) -> None:
        """One device is set; weather and load are ours."""
        if key == "pv_w":
            self._world.pv_w = number(value)
            return
        if key == "load_w":
            self._world.load_w = number(value)
            return
        try:
            self._evcc.device(key, value)
        except ValueError as error:
            raise TraceError(self._trace.path, 0, f"t = {t:g} s: world: {error}") from None

    def _process(self, line: Line) -> None:
        """evcc is killed, stopped or started."""
        if line.evcc == "kill":
            self._evcc.kill()
        elif line.evcc == "term":
            self._evcc.term()
        elif line.evcc == "started":
            self._evcc.start(first_cycle_s=next(self._starts))

    def _ask(self, request: Request, t: float) -> Request:
        """The same request, with our status and answer."""
        path = re.sub(r"\{T(\d+)\}", lambda m: self._later(t, int(m[1])), request.path)
        body = b"" if request.body is None else msgspec.json.encode(request.body)
        if request.body is None and path.endswith("/plan/strategy"):
            body = request.answer.encode()  # not recorded; evcc repeats this one
        try:
            said = self._evcc.respond(request.method, path, body)
        except TransportError:
            return msgspec.structs.replace(request, status=NOT_REACHED, answer="")
        text = said.body.decode("utf-8", "replace").strip()
        return msgspec.structs.replace(request, status=said.status, answer=text)

    def _later(self, t: float, seconds: int) -> str:
        at = self._at(t + seconds).replace(microsecond=0, tzinfo=None)
        return f"{at.isoformat()}Z"

    def _look(self, due_s: float, t: float) -> None:
        """One sample: what changed since the last one, and which keys disappeared."""
        now = self._sample()
        gone: tuple[str, ...] = ()
        if now["_http"] == 200:
            gone = tuple(
                key for key in self._known if key not in now and not key.startswith(("_", "dev."))
            )
        for key in gone:
            del self._known[key]
        missing = object()
        changed = {k: v for k, v in now.items() if self._known.get(k, missing) != v}
        self._known |= changed
        if changed or gone:
            self._tell(due_s, Line(t=t, state=changed, gone=gone))

    def _sample(self) -> dict[str, Any]:
        """evcc's state, if it answers, and the truth of the devices."""
        found: dict[str, Any] = {"_http": NOT_REACHED}
        try:
            said = self._evcc.respond("GET", "/api/state")
        except TransportError:
            pass
        else:
            found["_http"] = said.status
            if said.status == 200:
                found["_bytes"] = "json" if said.body else "empty"
                found.update(flat(msgspec.json.decode(said.body or b"{}")))
        found.update(devices(self._evcc.device_state()))
        return found

    def told(self) -> tuple[Line, ...]:
        """All lines of our side in order of time, writes to devices among them."""
        writes = []
        for order in self._evcc.orders:
            t = round((order.at - self._trace.header.started_at).total_seconds(), 2)
            said = {"lp": order.loadpoint, order.key: order.value}
            write = msgspec.convert(said, Write)
            one = Line(t=t, evcc_write=write)
            if order.failed:
                one = Line(t=t, evcc_write_failed=write)
            if t <= self._trace.end_s:
                writes.append((t, one))
        merged = sorted([*self._lines, *writes], key=lambda entry: entry[0])
        return tuple(line for _, line in merged)


def flat(state: dict[str, Any]) -> dict[str, Any]:
    """The keys of `/api/state` that recordings hold, as they name them."""
    return dict(_flat(state))


def _flat(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((key, state[key]) for key in SITE_KEYS if key in state)
    for n, point in enumerate(state.get("loadpoints", ()), start=1):
        yield from ((f"lp{n}.{key}", point[key]) for key in LOADPOINT_KEYS if key in point)
    for group, key in NESTED_KEYS:
        if key in (state.get(group) or {}):
            yield f"{group}.{key}", state[group][key]


def devices(truth: dict[str, Any]) -> dict[str, Any]:
    """The truth of the devices, rounded as in recordings: whole watts, tenths of percent."""
    found: dict[str, Any] = {}
    for key, value in truth.items():
        if key.endswith("_pct") and value is not None:
            found[f"dev.{key}"] = round(value, 1)
        elif key.endswith("_w") and key not in ("pv_w", "load_w") and value is not None:
            found[f"dev.{key}"] = round(value)
        elif value is not None or key.endswith("_car"):
            found[f"dev.{key}"] = value
    return found
