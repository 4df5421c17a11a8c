"""Schedules by evcc's protocol, beside PuLP and CBC on the very same requests in the same run."""

import json
from statistics import median
from time import perf_counter
from typing import Any

from actors.charge_request import read_request
from actors.charge_schedule import Scheduler
from sim.schedule_requests import home_request
from sim.schedule_yardstick import INF, Rows, written

CBC_LIMIT_S = 10.0
"""evcc's own limit."""
KINDS = ((96, 2, "dynamic"), (96, 2, "flat"), (192, 2, "dynamic"), (192, 1, "flat"))


def solve_by_cbc(request: dict[str, Any], limit_s: float = CBC_LIMIT_S) -> float:
    """The value that PuLP and CBC come to, in currency. Raises ImportError without PuLP."""
    import pulp

    m: Rows = written(request)
    problem = pulp.LpProblem("schedule", pulp.LpMaximize)
    x = [
        pulp.LpVariable(
            f"x{k}", low, None if high == INF else high, "Integer" if whole else "Continuous"
        )
        for k, (low, high, whole) in enumerate(zip(m.lower, m.upper, m.whole, strict=True))
    ]
    scale = 1e6 / max(1e-12, *map(abs, m.gain))
    gains = ((x[k], gain * scale) for k, gain in enumerate(m.gain) if gain)
    problem += pulp.LpAffineExpression(gains)
    for terms, least, most in zip(m.rows, m.at_least, m.at_most, strict=True):
        row = pulp.LpAffineExpression((x[k], value) for k, value in terms.items())
        if least == most:
            problem += row == least
        elif least > -INF:
            problem += row >= least
        else:
            problem += row <= most
    problem.solve(pulp.PULP_CBC_CMD(msg=0, threads=1, timeLimit=limit_s))
    return float(pulp.value(problem.objective)) / scale


def bench_schedule(count: int = 8) -> dict[str, Any]:
    """Milliseconds per request, ours and CBC's, and how far the values are apart.

    Ours is timed from the text of a request to its answer, with programs compiled before (a new
    shape takes `compile_ms` once); CBC with the building of its model, as in evcc's service.
    """
    import pulp  # noqa: F401 - before anything is measured

    found: dict[str, Any] = {}
    scheduler = Scheduler()
    for slots, cars, prices in KINDS:
        ours, cbc, ahead = [], [], []
        first = 0.0
        for seed in range(count):
            request = home_request(seed, slots, cars, prices=prices)
            text = json.dumps(request)
            began = perf_counter()
            scheduler.solve(read_request(text))
            middle = perf_counter()
            solved = scheduler.solve(read_request(text))
            done = perf_counter()
            value = solve_by_cbc(request)
            ours.append(done - middle)
            cbc.append(perf_counter() - done)
            ahead.append(solved.value - value)
            first = max(first, (middle - began) - (done - middle))
        found[f"{slots}_{cars}_{prices}"] = {
            "ours_ms": round(1e3 * median(ours), 1),
            "ours_ms_most": round(1e3 * max(ours), 1),
            "cbc_ms": round(1e3 * median(cbc), 1),
            "times_faster": round(median(cbc) / median(ours), 1),
            "times_faster_each": round(median(b / a for a, b in zip(ours, cbc, strict=True)), 1),
            "ahead_ct_least": round(100 * min(ahead), 4),
            "ahead_ct_most": round(100 * max(ahead), 4),
            "compile_ms": round(1e3 * first),
        }
    return found
