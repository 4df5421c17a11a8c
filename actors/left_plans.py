"""evcc's own plans that a will of ours has set, and that are ours to take back (design §7). Pure.

While we live such a plan would charge beside our own. It stays until the first plan of this life
covers its car, so that a death before that leaves it standing; and while evcc charges by it. A plan
that differs in goal or time is a human's, and a constraint of ours.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from actors.orders import IN_FLIGHT, Desk
from engine.estate import Bequest
from engine.messages import EstateRead
from engine.values import Loadpoint, Site, Utc, Value, Why, find

SURE = timedelta(seconds=80)
"""A crash of evcc loses what is younger than a minute: so long a plan that is gone may be back."""


class LeftPlan(Value, frozen=True):
    """One plan, as the will has it. `since`: when we heard of it; `gone_at`: evcc shows it no more.

    `asked_at`: when it was last ordered to go.
    """

    line: Bequest
    since: Utc
    asked_at: Utc | None = None
    gone_at: Utc | None = None


class Going(NamedTuple):
    """A plan that is to be deleted now, and where its car stands."""

    plan: LeftPlan
    loadpoint: str
    why: Why


def left_by(known: tuple[LeftPlan, ...], estate: EstateRead, at: datetime) -> tuple[LeftPlan, ...]:
    """The plans that the ledger tells of; those that are known already go on as they are."""
    before = {one.line: one for one in known}
    lines = [line for line in estate.plans if line.due is not None and line.due > at]
    return tuple(before.get(line) or LeftPlan(line, at) for line in lines)


def shows(plan: LeftPlan, site: Site) -> bool:
    """Whether evcc still has exactly this plan."""
    line = plan.line
    if line.setting == "plan_soc":
        car = find(site.vehicles, line.vehicle)
        goal, due = (car.plan_soc_pct, car.plan_at) if car else (None, None)
    else:
        lp = find(site.loadpoints, line.loadpoint)
        goal, due = (lp.plan_energy_kwh, lp.plan_at) if lp else (None, None)
    if goal is None or due is None or line.due is None:
        return False
    return abs(goal - float(line.value)) < 0.05 and abs((due - line.due).total_seconds()) < 1


def seen(plans: tuple[LeftPlan, ...], site: Site, at: datetime) -> tuple[LeftPlan, ...]:
    """The plans after a reading of `at`: what is over, gone or changed for sure is forgotten."""
    kept = []
    for one in plans:
        gone_at = None if shows(one, site) else one.gone_at or at
        over = one.line.due is None or one.line.due <= at
        if not over and (gone_at is None or at - gone_at < SURE):
            kept.append(one if gone_at == one.gone_at else replace(one, gone_at=gone_at))
    return tuple(kept)


def are_ours(plans: tuple[LeftPlan, ...], lp: Loadpoint, site: Site) -> bool:
    """Whether the plan that evcc has for the car at `lp` is one that we left."""
    return any(shows(one, site) and _is_at(one, lp) for one in plans)


def _is_at(plan: LeftPlan, lp: Loadpoint) -> bool:
    line = plan.line
    mine, here = (
        (line.vehicle, lp.vehicle or "")
        if line.setting == "plan_soc"
        else (line.loadpoint, lp.name)
    )
    return mine.casefold() == here.casefold()


def going(
    plans: tuple[LeftPlan, ...],
    site: Site,
    desks: tuple[Desk, ...],
    *,
    covered: tuple[str, ...],
    made_at: datetime,
    read_at: datetime,
    tick_at: datetime,
) -> tuple[Going, ...]:
    """The plans that are to go now.

    `covered`: the loadpoints (case-folded) for which our plan of `made_at` speaks. A car that is
    away keeps its plan, and so does one whose charging a human has taken over.
    """
    found = []
    for one in plans:
        lp = next((lp for lp in site.loadpoints if lp.connected and _is_at(one, lp)), None)
        if lp is None or lp.plan_active or not shows(one, site) or made_at < one.since:
            continue
        desk = next((desk for desk in desks if desk.name.casefold() == lp.name.casefold()), None)
        if desk is None or desk.human is not None or lp.name.casefold() not in covered:
            continue
        waited = one.asked_at is None or tick_at - one.asked_at >= IN_FLIGHT
        if waited and (one.asked_at is None or read_at > one.asked_at):
            vehicle = (("vehicle", one.line.vehicle),) if one.line.vehicle else ()
            found.append(Going(one, lp.name, Why("will_plan_over", vehicle)))
    return tuple(found)
