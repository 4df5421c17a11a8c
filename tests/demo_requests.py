"""Plays the recorded requests of evcc's demo to the pretend evcc and compares what both said.

`python -m tests.demo_requests` prints where they agree and where not.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.evcc_json import tariff_from
from engine.values import Rate
from sim.evcc import PHASE, PretendEvcc
from sim.evcc_routes import Response
from sim.scenario import Scenario
from tests.make_evcc import ScriptedWorld, demo

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "reference" / "evcc-recorded"

STREAM_BEGAN = datetime(2026, 11, 22, 6, 27, 14, 530_000, tzinfo=UTC)
"""Second 0 of the recorded stream: its session's end is in the list of sessions."""
BEFORE_S = 3.532 + 3.0 * PHASE
"""The first loadpoint had a cycle 3.532 s before: the first one of the play."""
PACE_S = 0.17
"""Between requests that the stream does not show."""
LOOK_S = 0.01
"""The state is looked at so long before the next request."""
CLOSE = timedelta(seconds=2)
"""Times in plans depend on what the demo's heat pump used meanwhile."""

MEASURED = ("pvAction", "residualPower")
"""`pvAction` follows the demo's sun; the recording leaves out every key that ends in Power."""


EXCEPTIONS = {
    "GET /api/sessions": "no charging log is kept; the answer is an empty list",
    "POST /api/batterymode/charge": (
        "the plan had been deleted: the recorded stream, too, shows it gone in this cycle, but the"
        " list of changes misses it"
    ),
}
"""Requests that may go another way, each with its reason."""

Stream = Sequence[tuple[float, dict[str, Any]]]
"""Seconds and messages."""


class Difference(NamedTuple):
    """One thing in which a request went another way."""

    request: str
    what: str
    recorded: Any
    ours: Any


class Outcome(NamedTuple):
    """All requests, and those that differ."""

    requests: int
    settings: int
    differences: tuple[Difference, ...]
    told: Stream = ()
    """What the pretend evcc told meanwhile on its own stream, in the stream's seconds."""

    def table(self) -> str:
        """For people: how much agrees, then each difference."""
        different = {one.request for one in self.differences}
        excused = {name for name in different if name in EXCEPTIONS}
        share = 100.0 * (self.requests - len(different)) / self.requests
        lines = [
            f"requests             {self.requests}",
            f"answered as recorded {self.requests - len(different)} ({share:.1f} %)",
            f"excepted             {len(excused)}",
            f"differ               {len(different - excused)}",
            f"settings compared    {self.settings}",
        ]
        for one in self.differences:
            lines += [
                "",
                f"{one.request}: {one.what}",
                f"  recorded {_short(one.recorded)}",
                f"  ours     {_short(one.ours)}",
            ]
            if one.request in EXCEPTIONS:
                lines.append(f"  excepted: {EXCEPTIONS[one.request]}")
        return "\n".join(lines)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 300 else f"{text[:300]} ..."


# --- what was recorded ----------------------------------------------------------------------------


def recorded_requests() -> list[dict[str, Any]]:
    lines = (RECORDED / "requests-demo.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def recorded_stream() -> Stream:
    """Seconds and messages of the demo's WebSocket."""
    lines = (RECORDED / "websocket-demo.jsonl").read_text().splitlines()
    return [(line[0], line[1]) for line in map(json.loads, lines)]


class DemoWorld(ScriptedWorld):
    """The demo's prices; its sun as the stream told it."""

    def __init__(self) -> None:
        super().__init__(load_w=500.0, pv_w=8208.0)
        self._recorded = {usage: _rates(usage) for usage in ("grid", "feedin", "solar")}

    def rates(self, usage: str, now: datetime) -> tuple[Rate, ...] | None:
        return self._recorded[usage]


def _rates(usage: str) -> tuple[Rate, ...] | None:
    return tariff_from(usage, 200, (RECORDED / f"tariff-{usage}.json").read_bytes()).rates


def times_of(asked: list[dict[str, Any]], stream: Stream) -> list[float]:
    """When each request came: as the stream shows it, the others evenly in between."""
    known: dict[int, float] = {}
    after = 0
    for k, one in enumerate(asked):
        for j in range(after, len(stream)):
            t, message = stream[j]
            if len(message) == 1 and _shows(one["state_after"], message):
                known[k], after = t, j + 1
                break
    last = max(known)
    known |= {-1: 0.0} if 0 not in known else {}
    known[len(asked)] = known[last] + PACE_S * (len(asked) - last)
    times = dict(known)
    for (k, t), (other, end) in pairwise(sorted(known.items())):
        for between in range(k + 1, other):
            times[between] = t + (end - t) * (between - k) / (other - k)
    return [times[k] for k in range(len(asked) + 1)]


def _shows(changes: dict[str, list[Any]], message: dict[str, Any]) -> bool:
    """Whether this message is the first sign of those changes."""
    ((key, value),) = message.items()
    for name, (_, new) in changes.items():
        path = name.replace("[", ".").replace("]", "")
        if path.endswith((".enabled", ".charging")) or not f"{path}.".startswith(f"{key}."):
            continue
        found: Any = value
        for part in path[len(key) + 1 :].split(".") if path != key else ():
            found = found.get(part, "<absent>")
        if found == new:
            return True
    return False


# --- the play -------------------------------------------------------------------------------------


def play() -> Outcome:
    """Everything in order under virtual time, and what differs."""
    asked, stream = recorded_requests(), recorded_stream()
    times = times_of(asked, stream)
    start = STREAM_BEGAN - timedelta(seconds=BEFORE_S)
    world = DemoWorld()
    evcc = PretendEvcc(_demo(start), world)
    events = sorted([*_house(stream), *[(t, k) for k, t in enumerate(times)]], key=_order)
    seen = changed = 0
    found: list[Difference] = []
    names = _settings(asked)
    state: dict[str, Any] = {}
    told: list[tuple[float, dict[str, Any]]] = []
    evcc.advance(STREAM_BEGAN)
    listener, since = evcc.publisher.listen(), 0.0
    for t, event in events:
        told += [(since, json.loads(listener.popleft())) for _ in range(len(listener))]
        since = t
        due = STREAM_BEGAN + timedelta(seconds=t)
        if isinstance(event, tuple):
            evcc.advance(due)
            _set(evcc, world, *event)
            continue
        evcc.advance(due - timedelta(seconds=LOOK_S))
        now = evcc.state()
        shown = json.loads(json.dumps(now | {"forecast": None}))
        if event > 0:
            request = asked[event - 1]
            ours = {key: both for key, both in changes(state, shown).items() if _name(key) in names}
            theirs = {key: both for key, both in request["state_after"].items()
                      if _name(key) in names}  # fmt: skip
            changed += len(theirs)
            found += _compare_settings(request, theirs, ours)
        state = shown
        if event < len(asked):
            evcc.advance(due)
            found += _ask(evcc, asked[event])
            seen += 1
    return Outcome(seen, changed, tuple(found), told)


def _demo(start: datetime) -> Scenario:
    """The demo's home; what its cars hold is said by its script, not by what they charge."""
    home = demo(start=start, evcc_interval_s=3.0)
    cars = tuple(replace(car, charge_efficiency=0.01) for car in home.sim.cars)
    return replace(home, sim=replace(home.sim, cars=cars))


def _order(event: tuple[float, Any]) -> tuple[float, bool]:
    return event[0], not isinstance(event[1], tuple)


def _house(stream: Stream) -> list[tuple[float, Any]]:
    """The demo's sun and the SoC of its cars, set shortly before the cycle that read them."""
    keys = {"pvPower": "pv_w", "loadpoints.0.vehicleSoc": "car.vehicle_1.soc_pct",
            "loadpoints.1.vehicleSoc": "car.vehicle_2.soc_pct"}  # fmt: skip
    found: list[tuple[float, Any]] = []
    for t, message in stream:
        for key, value in message.items():
            if key in keys and value:
                found.append((max(0.0, t - 0.01), (keys[key], value)))
    return found


def _set(evcc: PretendEvcc, world: DemoWorld, key: str, value: float) -> None:
    if key == "pv_w":
        world.pv_w = value
    else:
        evcc.device(key, value)


def _ask(evcc: PretendEvcc, one: dict[str, Any]) -> list[Difference]:
    """The request's own answer."""
    body = one.get("body", "")
    content = body if isinstance(body, str) else json.dumps(body)
    said = evcc.respond(one["method"], one["path"], content.encode())
    name = name_of(one)
    found = []
    for what, recorded, ours in (
        ("status", one["status"], said.status),
        ("type", one["type"], said.content_type),
        ("location", one.get("location", ""), said.location),
    ):
        if recorded != ours:
            found.append(Difference(name, what, recorded, ours))
    ours = _content(said)
    recorded = one["answer"]
    if one["type"].startswith("application/json") and recorded:
        try:
            recorded = json.loads(recorded)
        except ValueError:  # the recording cuts long answers
            ours = json.dumps(ours)[: len(recorded)]
    if not same(recorded, ours):
        found.append(Difference(name, "answer", recorded, ours))
    return found


def _content(said: Response) -> Any:
    text = said.body.decode()
    return json.loads(text) if said.content_type.startswith("application/json") and text else text


def name_of(one: dict[str, Any]) -> str:
    """`POST /api/...`."""
    return f"{one['method']} {one['path']}"


# --- comparing ------------------------------------------------------------------------------------


def _settings(asked: list[dict[str, Any]]) -> set[str]:
    """Every setting that any request of the recording changed."""
    names = {_name(key) for one in asked for key in one["state_after"]}
    return names - set(MEASURED)


def _name(key: str) -> str:
    return key.rpartition(".")[2]


def _compare_settings(
    request: dict[str, Any], theirs: dict[str, Any], ours: dict[str, Any]
) -> list[Difference]:
    found = []
    for key in sorted(set(theirs) | set(ours)):
        recorded, mine = theirs.get(key, "unchanged"), ours.get(key, "unchanged")
        if not same(recorded, mine):
            found.append(Difference(name_of(request), key, recorded, mine))
    return found


def changes(before: Any, after: Any, path: str = "") -> dict[str, list[Any]]:
    """Key by key what is not the same any more, as the recording writes it."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = {
            f"{path}.{key}" if path else key: (
                before.get(key, "<absent>"),
                after.get(key, "<absent>"),
            )
            for key in {**before, **after}
        }
    elif path == "loadpoints":
        pairs = {f"{path}[{k}]": both for k, both in enumerate(zip(before, after, strict=True))}
    else:
        return {} if before == after else {path: [before, after]}
    found: dict[str, list[Any]] = {}
    for key, (old, new) in pairs.items():
        found |= changes(old, new, key)
    return found


def same(one: Any, other: Any) -> bool:
    """Equal, times within two seconds."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, str) and isinstance(other, str) and one != other:
        a, b = _time(one), _time(other)
        return a is not None and b is not None and abs(a - b) <= CLOSE
    return bool(one == other)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


if __name__ == "__main__":
    print(play().table())
