"""Our side against a recording: agreement second by second, edges, energies, the worst moment."""

from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from sim.twin_series import (
    NO_STATE,
    Edge,
    by_second,
    changes,
    compared_keys,
    edges_of,
    energies_kwh,
    is_critical,
    requests_of,
    tolerance_s,
)
from sim.twin_trace import Trace

CRITICAL_SHARE, TIMED_SHARE = 0.99, 0.97
ENERGY_SHARE, ENERGY_KWH = 0.02, 0.02
ACCEPTED_SHARE = 0.02
"""Of the recorded edges, at most so many may be accepted exceptions."""


class Accepted(NamedTuple):
    """An edge that may differ, and why."""

    trace: str
    key: str
    t: float
    why: str


ACCEPTED: tuple[Accepted, ...] = ()


class Edges(msgspec.Struct, frozen=True):
    """Changes of compared keys: all recorded ones, those that we lack, those that only we have."""

    recorded: int
    missing: int
    extra: int
    accepted: int = 0


class Energy(msgspec.Struct, frozen=True):
    """Energy of a car (AC) or through the battery."""

    recorded_kwh: float
    ours_kwh: float

    def good(self) -> bool:
        """Within 2 % or 0.02 kWh."""
        allowed = max(ENERGY_SHARE * abs(self.recorded_kwh), ENERGY_KWH)
        return abs(self.ours_kwh - self.recorded_kwh) <= allowed


class Moment(msgspec.Struct, frozen=True):
    """A stretch of `seconds` from `t` in which the sides differ (None: the key is not there).

    `excused`: each side has the other's value within one period of the loadpoint.
    """

    t: int
    key: str
    recorded: Any
    ours: Any
    seconds: int
    excused: bool


class OddEdge(msgspec.Struct, frozen=True):
    """A change without a counterpart; `side`: who has it."""

    t: float
    key: str
    value: Any
    side: str


class OddAnswer(msgspec.Struct, frozen=True):
    """A request that was answered with another status."""

    t: float
    request: str
    recorded: int | str
    ours: int | str


class Requests(msgspec.Struct, frozen=True):
    """All requests, and those answered with another status. No bar stands on them."""

    recorded: int
    different: tuple[OddAnswer, ...]


class Comparison(msgspec.Struct, frozen=True):
    """One recording against our side. Shares are of the seconds; `strict` excuses nothing."""

    agree: dict[str, float]
    strict: dict[str, float]
    edges: Edges
    energy: dict[str, Energy]
    worst: Moment | None
    requests: Requests
    differences: tuple[Moment, ...]
    odd_edges: tuple[OddEdge, ...]
    below: tuple[str, ...]
    seconds: int

    @property
    def rank(self) -> tuple[int, int]:
        """Smaller is better: bars missed, then seconds that disagree."""
        return len(self.below), sum(one.seconds for one in self.differences)


def bar_of(key: str) -> float:
    """The share of seconds in which a key has to agree."""
    return CRITICAL_SHARE if is_critical(key) else TIMED_SHARE


def compare(recorded: Trace, ours: Trace, accepted: tuple[Accepted, ...] = ACCEPTED) -> Comparison:
    """Hold our side against the recording (`evcc-regulator.md` §15)."""
    keys = compared_keys(recorded, ours)
    theirs, mine = changes(recorded, keys), changes(ours, keys)
    moments: list[Moment] = []
    agree, strict = {}, {}
    seconds = max(1, int(recorded.end_s))
    for key in keys:
        left, right = by_second(recorded, theirs[key]), by_second(recorded, mine[key])
        found = _moments(key, left, right, tolerance_s(recorded, key))
        moments += found
        unexcused = sum(one.seconds for one in found if not one.excused)
        agree[key] = round(1 - unexcused / seconds, 5)
        strict[key] = round(1 - sum(one.seconds for one in found) / seconds, 5)
    odd = [
        one
        for key in keys
        for one in _odd_edges(recorded, key, edges_of(theirs[key]), edges_of(mine[key]))
    ]
    edges, odd = _counted(recorded, sum(len(edges_of(theirs[key])) for key in keys), odd, accepted)
    had, have = energies_kwh(recorded), energies_kwh(ours)
    energy = {name: Energy(round(had[name], 4), round(have[name], 4)) for name in had}
    below = [key for key in keys if agree[key] < bar_of(key)]
    below += ["edges"] * bool(odd)
    below += [name for name, one in energy.items() if not one.good()]
    return Comparison(
        agree=agree,
        strict=strict,
        edges=edges,
        energy=energy,
        worst=max(moments, key=lambda one: (not one.excused, one.seconds), default=None),
        requests=_requests(recorded, ours),
        differences=tuple(
            sorted((one for one in moments if not one.excused), key=lambda one: (one.t, one.key))
        ),
        odd_edges=tuple(sorted(odd, key=lambda one: (one.t, one.key))),
        below=tuple(below),
        seconds=seconds,
    )


def _moments(key: str, left: list[Any], right: list[Any], within_s: float) -> list[Moment]:
    """Stretches of seconds in which two step functions differ."""
    found: list[Moment] = []
    for k, (theirs, mine) in enumerate(zip(left, right, strict=True)):
        if theirs == mine:
            continue
        since, until = max(0, k - int(within_s)), k + int(within_s) + 1
        excused = theirs in right[since:until] and mine in left[since:until]
        last = found[-1] if found else None
        if (
            last is not None
            and last.t + last.seconds == k + 1
            and (last.recorded, last.ours, last.excused) == (theirs, mine, excused)
        ):
            found[-1] = msgspec.structs.replace(last, seconds=last.seconds + 1)
        else:
            found.append(Moment(k + 1, key, theirs, mine, 1, excused))
    return found


def _odd_edges(trace: Trace, key: str, theirs: list[Edge], mine: list[Edge]) -> list[OddEdge]:
    """Edges without a counterpart, matched in order of time.

    The longest matching is taken, so that one edge too many does not shift all the others.
    """
    within_s = tolerance_s(trace, key)

    def fits(one: Edge, other: Edge) -> bool:
        return bool(one.value == other.value) and abs(one.t - other.t) <= within_s

    # length of the best matching of the rests, as for a longest common subsequence
    best = [[0] * (len(mine) + 1) for _ in range(len(theirs) + 1)]
    for i in reversed(range(len(theirs))):
        for j in reversed(range(len(mine))):
            paired = best[i + 1][j + 1] + 1 if fits(theirs[i], mine[j]) else 0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    odd, i, j = [], 0, 0
    while i < len(theirs) and j < len(mine):
        if fits(theirs[i], mine[j]) and best[i][j] == best[i + 1][j + 1] + 1:
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            odd.append(OddEdge(theirs[i].t, key, theirs[i].value, "recorded"))
            i += 1
        else:
            odd.append(OddEdge(mine[j].t, key, mine[j].value, "ours"))
            j += 1
    odd += [OddEdge(edge.t, key, edge.value, "recorded") for edge in theirs[i:]]
    return odd + [OddEdge(edge.t, key, edge.value, "ours") for edge in mine[j:]]


def _counted(
    trace: Trace, recorded: int, odd: list[OddEdge], accepted: tuple[Accepted, ...]
) -> tuple[Edges, list[OddEdge]]:
    """The edges in numbers, and the odd ones that are not accepted exceptions."""
    mine = [one for one in accepted if one.trace == trace.path.stem]
    left = [
        one
        for one in odd
        if not any(one.key == known.key and abs(one.t - known.t) <= 2.0 for known in mine)
    ]
    if len(odd) - len(left) > ACCEPTED_SHARE * recorded:
        left = odd  # too many exceptions are none
    missing = sum(one.side == "recorded" for one in left)
    return Edges(recorded, missing, len(left) - missing, len(odd) - len(left)), left


def _requests(recorded: Trace, ours: Trace) -> Requests:
    """Requests whose answer has another status."""
    asked, answered = requests_of(recorded), requests_of(ours)
    different = []
    for (t, one), (_, other) in zip_longest(asked, answered, fillvalue=(0.0, None)):
        if one is not None and (other is None or other.status != one.status):
            status = "not asked" if other is None else other.status
            different.append(OddAnswer(t, f"{one.method} {one.path}", one.status, status))
    return Requests(len(asked), tuple(different))


def shown(value: Any) -> str:
    """A value for people: as evcc writes it, `-` where the key is not there."""
    if value is None:
        return "-"
    return value if value == NO_STATE else msgspec.json.encode(value).decode()
