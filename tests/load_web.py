"""Load on the window: streams and pollers while the home changes at 20 Hz.

python -m tests.load_web            # 50 streams, 4 pollers, 20 s; prints one JSON object
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import msgspec

from engine.clock import WallClock
from engine.messages import OrderConfirmed, PlanMade, RatesChanged, StateChanged
from tests.make_status import make_messages, make_site, make_state, make_vehicles
from tests.make_web import Stream, balances, served
from web.feed import Window

CHANGES_HZ = 20
PLANS_HZ = 1


@dataclass
class Result:
    """What was seen. `faults` names every snapshot that was inconsistent or went back."""

    requests_s: list[float] = field(default_factory=list)
    events: int = 0
    faults: list[str] = field(default_factory=list)
    streams_left: int = 0
    threads_left: int = 0

    @property
    def p99_ms(self) -> float:
        """99th percentile of a request."""
        ordered = sorted(self.requests_s)
        return 1000 * ordered[int(len(ordered) * 0.99)] if ordered else 0.0


def check(result: Result, last: int, found: dict[str, Any], who: str) -> int:
    """The revision that was seen; faults are noted."""
    if found["revision"] < last:
        result.faults.append(f"{who}: revision {found['revision']} after {last}")
    if not balances(found):
        result.faults.append(f"{who}: revision {found['revision']} is not consistent")
    return int(found["revision"])


def watch(port: int, result: Result, who: str, until: threading.Event) -> None:
    """One stream: reads until the end, then vanishes."""
    stream, last = Stream(port, timeout_s=10), 0
    try:
        for name, data in stream.events():
            if name == "state":
                result.events += 1
                last = check(result, last, data, who)
            if until.is_set():
                return
    except (OSError, ValueError) as error:
        if not until.is_set():
            result.faults.append(f"{who}: {error!r}")
    finally:
        stream.close()


def poll(url: str, result: Result, who: str, until: threading.Event) -> None:
    """One poller: ten requests a second."""
    last = 0
    with httpx.Client(timeout=10) as client:
        while not until.wait(0.1):
            began = time.perf_counter()
            answer = client.get(f"{url}/status")
            result.requests_s.append(time.perf_counter() - began)
            last = check(result, last, msgspec.json.decode(answer.content), who)


def change(window: Window, clock: WallClock, until: threading.Event) -> None:
    """The home: a reading and a car 20 times a second, a plan, rates and an order each second."""
    first = make_messages(clock.now())
    plan = next(m for m in first if isinstance(m, PlanMade))
    rates = next(m for m in first if isinstance(m, RatesChanged))
    order = next(m for m in first if isinstance(m, OrderConfirmed))
    revision, named, count = 10, 1, 0
    while not until.wait(1 / CHANGES_HZ):
        count, now, revision = count + 1, clock.now(), revision + 1
        replace = msgspec.structs.replace
        news = count % (CHANGES_HZ // PLANS_HZ) == 0
        named += news
        state = make_state(
            revision,
            now,
            site=make_site(grid_import_w=float(count)),
            vehicles=make_vehicles(now - timedelta(seconds=count % 5)),
            plan_revision=named,
            rates_revision=named,
        )
        messages = [StateChanged(now, state)]
        if news:  # the state first: the window has to hold it back until the rest is there
            made = replace(plan, at=now, plan=replace(plan.plan, revision=named, made_at=now))
            messages += [made, replace(rates, at=now, revision=named), replace(order, at=now)]
        for message in messages:
            list(window.on(message))


def run(streams: int, pollers: int, seconds: float, threads: int) -> Result:
    """Let them all loose for `seconds`, then vanish and look what is left after 2 s."""
    result, until, clock = Result(), threading.Event(), WallClock()
    with served(clock, threads=threads) as (window, server):
        before = threading.active_count()
        jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (watch, (server.port, result, f"stream {k}", until)) for k in range(streams)
        ]
        jobs += [(poll, (server.url, result, f"poller {k}", until)) for k in range(pollers)]
        jobs.append((change, (window, clock, until)))
        people = [threading.Thread(target=job, args=args) for job, args in jobs]
        for one in people:
            one.start()
        time.sleep(seconds)
        until.set()
        for one in people:
            one.join(10)
        deadline = time.monotonic() + 2
        while window.streams and time.monotonic() < deadline:
            time.sleep(0.05)
        result.streams_left = window.streams
        result.threads_left = threading.active_count() - before
    return result


def main() -> int:
    """The larger version, for the issue's bar."""
    result = run(streams=50, pollers=4, seconds=20, threads=64)
    report = {
        "requests": len(result.requests_s),
        "p99_ms": round(result.p99_ms, 1),
        "max_ms": round(1000 * max(result.requests_s), 1),
        "events": result.events,
        "faults": result.faults[:5],
        "streams_left": result.streams_left,
        "threads_left": result.threads_left,
    }
    print(msgspec.json.encode(report).decode())
    return int(bool(result.faults or result.streams_left or result.threads_left))


if __name__ == "__main__":
    sys.exit(main())
