"""When things happen in a recording: its grid of samples, and the phase of evcc's cycles."""

from itertools import pairwise

from sim.twin_trace import Line, Trace

AFTER_REQUEST_S = 0.3
"""A write so soon after a request comes from the extra cycle of that request."""
STARTING_S = 0.3
"""Writes so soon after the usual first cycle belong to the start."""
USUAL_FIRST_CYCLES_S = (0.55, 10.5)
ANSWERS_S = 0.03
"""So long before an answer the first cycle has begun at least."""
SAMPLE_TAKES_S = 0.01


def agenda(trace: Trace) -> list[tuple[float, Line | None]]:
    """What to do when, in the order of the recording: one of its lines, or None for a sample.

    Only changes were recorded; the samples between them are filled in at equal distances.
    """
    step_s = trace.setup.sample + SAMPLE_TAKES_S
    seen = [line.t for line in trace.lines if line.state is not None and line.t <= trace.end_s]
    between = [
        round(since + k * (until - since) / count, 2)
        for since, until in pairwise([*seen, trace.end_s])
        for count in [max(1, round((until - since) / step_s))]
        for k in range(1, count)
    ]
    told: list[tuple[float, Line | None]] = []
    due_s = 0.0  # the order of the file counts where two times are swapped by a rounding
    for line in trace.lines:
        if line.t <= trace.end_s:
            due_s = max(due_s, line.t)
            told.append((due_s, line))
    return sorted([*told, *((t, None) for t in between)], key=lambda one: one[0])


def first_cycles_s(trace: Trace) -> list[float]:
    """For each start of evcc, how many seconds after it the first cycle came.

    The writes of the cycles tell evcc's phase; without any, the first answer tells it roughly.
    """
    starts = [0.0, *(line.t for line in trace.lines if line.evcc == "started")]
    ends = [*starts[1:], trace.end_s]
    return [_first_cycle_s(trace, since, until) for since, until in zip(starts, ends, strict=True)]


def _first_cycle_s(trace: Trace, since: float, until: float) -> float:
    """The first cycle after the start at `since`, from what was seen until `until`."""
    lines = [line for line in trace.lines if since < line.t <= until]
    answered = [line.t - since for line in lines if (line.state or {}).get("_http") == 200]
    ready_s = answered[0] if answered else USUAL_FIRST_CYCLES_S[0]
    usual_s = max(
        (t for t in USUAL_FIRST_CYCLES_S if t <= ready_s), default=USUAL_FIRST_CYCLES_S[0]
    )
    period_s = trace.setup.interval_s
    stopped = [line.t for line in lines if line.evcc in ("kill", "term")]
    asked = [line.t for line in lines if line.request is not None]
    phases = [
        (line.t - since) % period_s
        for line in lines
        if line.evcc_write is not None
        and line.t - since > usual_s + STARTING_S
        and not any(0 <= line.t - t <= AFTER_REQUEST_S for t in asked)
        and not any(line.t > t - AFTER_REQUEST_S for t in stopped)
    ]
    if not phases:  # the last write of the start, if any, comes from its first cycle
        early = [line.t - since for line in lines if line.evcc_write is not None]
        first_s = max((t for t in early if t <= usual_s + STARTING_S), default=usual_s)
        return min(first_s, ready_s - ANSWERS_S) if first_s <= ready_s else first_s
    # how the cycles lie from the start on; the first ones lag least
    middle = min(phases, key=lambda p: sum(_apart(p, other, period_s) for other in phases))
    earliest = min(phases[:5], key=lambda p: (_apart(p, middle, period_s) > 0.1, p))
    back_s = round(ready_s - earliest, 2) % period_s
    return min(ready_s - back_s, ready_s - ANSWERS_S) if ready_s >= back_s else earliest


def _apart(one: float, other: float, period: float) -> float:
    """Distance on the circle."""
    gap = abs(one - other) % period
    return min(gap, period - gap)
