"""A recording as step functions: what each key was in each second, its edges, its energies."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from sim.twin_trace import Request, Trace

NO_STATE = "no state"
"""evcc did not answer, or not with its state."""
STARTING_S = 2.0
"""What changes so soon after evcc's first answer was read in the midst of its first cycle."""
CRITICAL_KEYS = (
    "mode", "connected", "vehicleName", "limitSoc", "limitEnergy", "planActive", "smartCostActive",
)  # fmt: skip
CRITICAL_SITE_KEYS = ("batteryMode", "batteryModeExternal", "dev.battery_mode")
TIMED_KEYS = ("enabled", "charging", "phasesActive", "pvAction")
J_PER_KWH = 3_600_000.0


class Edge(NamedTuple):
    """A key became something else."""

    t: float
    value: Any


def is_critical(key: str) -> bool:
    """Whether a key is of the group that has to agree almost always."""
    return key in CRITICAL_SITE_KEYS or key.partition(".")[2] in CRITICAL_KEYS


def compared_keys(*traces: Trace) -> tuple[str, ...]:
    """The keys that are compared, of all loadpoints, as far as one of the traces has them."""
    boxes = len(traces[0].setup.loadpoints)
    wanted = [f"lp{n + 1}.{key}" for n in range(boxes) for key in (*CRITICAL_KEYS, *TIMED_KEYS)]
    seen = {key for trace in traces for line in trace.lines for key in line.state or ()}
    return tuple(key for key in (*wanted, *CRITICAL_SITE_KEYS) if key in seen)


def tolerance_s(trace: Trace, key: str) -> float:
    """How far apart the same change may be: one period of the loadpoint, and a sample or two."""
    boxes = len(trace.setup.loadpoints) if key.startswith("lp") else 1
    return trace.setup.interval_s * boxes + 2.0


def _walk(trace: Trace) -> Iterator[tuple[float, dict[str, Any]]]:
    """The state after each sample, up to the end of the recording; one dict, changed in place."""
    now: dict[str, Any] = {}
    for line in trace.lines:
        if line.state is None or line.t > trace.end_s:
            continue
        for key in line.gone:
            now.pop(key, None)
        now.update(line.state)
        yield line.t, now


def _value(now: dict[str, Any], key: str) -> Any:
    """The value of a key; None where evcc's state has none."""
    if not key.startswith("dev.") and now.get("_http") != 200:
        return NO_STATE
    return now.get(key)


def changes(trace: Trace, keys: tuple[str, ...]) -> dict[str, list[Edge]]:
    """Each key's values in order, `NO_STATE` among them; the first entry is how it began."""
    found: dict[str, list[Edge]] = {key: [] for key in keys}
    for t, now in _walk(trace):
        for key, edges in found.items():
            value = _value(now, key)
            if not edges or edges[-1].value != value:
                edges.append(Edge(t, value))
    return found


def by_second(trace: Trace, steps: list[Edge]) -> list[Any]:
    """The values at 1, 2, ... s after the start, up to the end."""
    values: list[Any] = []
    last: Any = NO_STATE
    rest = iter([*steps, Edge(math.inf, None)])
    upcoming = next(rest)
    for second in range(1, math.floor(trace.end_s) + 1):
        while upcoming.t <= second:
            last, upcoming = upcoming.value, next(rest)
        values.append(last)
    return values


def edges_of(steps: list[Edge]) -> list[Edge]:
    """The changes of a key while evcc answers, and over the gap while it does not."""
    steady: list[Edge] = []
    came_back = -math.inf
    for before, edge in pairwise([Edge(0.0, NO_STATE), *steps]):
        if edge.value == NO_STATE:
            continue
        if before.value == NO_STATE:
            came_back = edge.t
        elif edge.t - came_back < STARTING_S:
            steady.pop()
        steady.append(edge)
    return [after for before, after in pairwise(steady) if after.value != before.value]


def energies_kwh(trace: Trace) -> dict[str, float]:
    """What each car of the setup was charged with (AC), and what went through the battery."""
    found = {f"car.{name}": 0.0 for name in trace.setup.cars}
    if trace.setup.battery is not None:
        found |= {"battery.charged": 0.0, "battery.discharged": 0.0}
    for t, until, now in _lasting(trace):
        for n in range(1, len(trace.setup.loadpoints) + 1):
            car = f"car.{now.get(f'dev.lp{n}_car')}"
            if car in found:
                found[car] += now.get(f"dev.lp{n}_w", 0.0) * (until - t) / J_PER_KWH
        battery_w = now.get("dev.battery_w") or 0.0
        if battery_w and trace.setup.battery is not None:
            way = "battery.discharged" if battery_w > 0 else "battery.charged"
            found[way] += abs(battery_w) * (until - t) / J_PER_KWH
    return found


def _lasting(trace: Trace) -> Iterator[tuple[float, float, dict[str, Any]]]:
    """Each state with the time until the next one."""
    before: tuple[float, dict[str, Any]] | None = None
    for t, now in _walk(trace):
        if before is not None:
            yield before[0], t, before[1]
        before = t, dict(now)
    if before is not None and trace.end_s > before[0]:
        yield before[0], trace.end_s, before[1]


def requests_of(trace: Trace) -> list[tuple[float, Request]]:
    """The requests up to the end, in order."""
    return [
        (line.t, line.request)
        for line in trace.lines
        if line.request is not None and line.t <= trace.end_s
    ]
