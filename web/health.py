"""Health of construction and of run time (INV-155): who is alive, how old is what we act on."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.settings import Settings
from engine.values import Control, HomeState
from web.snapshot import Snapshot

PLAN_AGE_MAX = timedelta(minutes=31)
"""A plan is made each quarter hour; one missed is seen before it is too old to act on twice."""
WAITING_MAX = 1000
TICKS_MISSED = 3
TICK_GRACE_S = 60.0
FAILED_WITHIN = timedelta(minutes=10)


Vitals = Callable[[], Mapping[str, Any]]
"""What the runtime knows of itself (`engine.live.Live.health`): `actors`, `waiting` per actor,
`ticked_at`, `failures`, `hands_off`, `journal` and `ledger` (what is wrong with them); any of these
may be missing."""


def no_vitals() -> Mapping[str, Any]:
    """For a window without a runtime."""
    return {}


def age_s(now: datetime, at: datetime | None) -> float | None:
    """Seconds since `at`; None when it never happened."""
    return None if at is None else round((now - at).total_seconds(), 3)


def problems(snapshot: Snapshot, now: datetime, vitals: Mapping[str, Any]) -> list[str]:
    """What is wrong, as codes with a name where one helps: `failed:Optimizer`."""
    settings, state = snapshot.settings or Settings(), snapshot.state
    waiting: Mapping[str, int] = vitals.get("waiting") or {}
    found = [f"behind:{name}" for name, count in waiting.items() if count > WAITING_MAX]
    ticked_s = age_s(now, vitals.get("ticked_at"))
    if ticked_s is not None and ticked_s > TICKS_MISSED * settings.tick_s + TICK_GRACE_S:
        found.append("clock_stands")
    recent = {one.actor for one in snapshot.failures if now - one.at < FAILED_WITHIN}
    found += [f"failed:{name}" for name in sorted(recent)]
    if snapshot.hands_off or vitals.get("hands_off"):
        found.append("hands_off")
    if snapshot.evcc_silent:
        found.append("evcc_silent")
    read_age_s = age_s(now, snapshot.evcc_read_at)
    if read_age_s is not None and read_age_s > settings.oldest_reading.total_seconds():
        found.append("reading_too_old")
    if snapshot.plan and now - snapshot.plan.plan.made_at > PLAN_AGE_MAX:
        found.append("plan_too_old")
    if snapshot.rates and snapshot.rates.grid_failed_since:
        found.append("tariff_failed")
    guard: Mapping[str, Any] = vitals.get("guard") or {}
    if guard.get("needed") and guard.get("problem"):
        found.append("guard_troubled")
    if vitals.get("ledger"):
        found.append("ledger_troubled")
    if vitals.get("journal"):
        found.append("journal_troubled")
    if state is not None:
        found += [f"meter_failed:{one.name}" for one in state.failed_meters]
    if snapshot.writes and not snapshot.writes[-1].confirmed and acts(state):
        found.append("write_failed")
    return found


def acts(state: HomeState | None) -> bool:
    """Whether orders are given at present."""
    return state is not None and state.control == Control.ON


def missing(snapshot: Snapshot) -> list[str]:
    """Which parts of a running ring have not been heard since the start."""
    parts = {
        "settings": snapshot.settings,
        "evcc": snapshot.evcc_read_at,
        "state": snapshot.state,
        "rates": snapshot.rates,
        "forecast": snapshot.forecast,
        "plan": snapshot.plan,
    }
    return [name for name, part in parts.items() if part is None]


def health(snapshot: Snapshot, now: datetime, vitals: Mapping[str, Any]) -> dict[str, Any]:
    """`ok`, `starting` (parts not heard yet, nothing wrong) or `degraded`, and what it rests on."""
    found, absent = problems(snapshot, now, vitals), missing(snapshot)
    plan = snapshot.plan.plan if snapshot.plan else None
    silent = snapshot.evcc_silent
    return {
        "status": "degraded" if found else "starting" if absent else "ok",
        "now": now,
        "problems": found,
        "missing": absent,
        "runtime": dict(vitals),
        "evcc": {
            "read_at": snapshot.evcc_read_at,
            "read_age_s": age_s(now, snapshot.evcc_read_at),
            "silent_at": silent.at if silent else None,
            "reason": silent.reason if silent else None,
        },
        "failed_meters": [
            {"name": one.name, "since": one.since, "code": one.why.code}
            for one in (snapshot.state.failed_meters if snapshot.state else ())
        ],
        "plan": {
            "revision": plan.revision if plan else None,
            "made_at": plan.made_at if plan else None,
            "age_s": age_s(now, plan.made_at if plan else None),
            "rung": plan.rung if plan else None,
        },
        "last_write": {
            "at": snapshot.last_write_at,
            "age_s": age_s(now, snapshot.last_write_at),
        },
        "failures": [
            {"at": one.at, "actor": one.actor, "heard": one.heard, "error": one.error}
            for one in snapshot.failures
        ],
    }
