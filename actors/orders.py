"""The ledger of one loadpoint: what its user had, what we wrote, what evcc made of it, what is due.

A setting is ours from the first write until it is given back. Only a confirmed write counts
(INV-62). What a reading says of it is judged in `overrides.py`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from engine.messages import Order
from engine.values import ChargeMode, Utc, Value, Why

Setting = str | float
"""A mode's name, percent or kWh; 0 means no limit, as in evcc."""

RETRY = timedelta(seconds=10)
IN_FLIGHT = timedelta(seconds=30)
"""An order without an answer is not repeated for so long."""
FRESH = timedelta(seconds=30)
"""So old may a reading be on which a tick writes; an older one waits for its own."""
TRIES_OF_LIMIT = 3
"""A limit that evcc refuses so often no longer keeps a car from charging."""
CHARGING = (ChargeMode.NOW, ChargeMode.MINPV)
LIMITS = ("limit_soc", "limit_energy")
SETTINGS = ("mode", *LIMITS)
RESTORE = Why("restore_user")


class Past(Value, frozen=True):
    """What a setting was, and until when: the first reading that showed something else."""

    value: Setting
    until: Utc


class Held(Value, frozen=True):
    """One setting. `user` is what was there before our first write, `ours` what we got confirmed.

    `order` is the last one that was not confirmed; `failed` once evcc refused it.
    """

    seen: Setting
    user: Setting | None = None
    ours: Setting | None = None
    ours_at: Utc | None = None
    confirmed_id: int = 0
    order: Order | None = None
    asked_at: Utc | None = None
    failed: bool = False
    failures: int = 0
    reason: str = ""
    human: bool = False
    was: Setting | None = None
    """Ours before our last order: evcc comes back with it where a crash lost that order."""
    given_at: Utc | None = None
    """When it was given back; None: never, or in an earlier life."""
    past: tuple[Past, ...] = ()
    """What readings showed before, as far back as evcc may come back with it (`RECALLS`)."""

    @property
    def present(self) -> Setting:
        """The value in force, as far as we know."""
        return self.seen if self.ours is None else self.ours

    def waits(self, now: datetime) -> bool:
        """Whether an order is on its way."""
        return (
            self.order is not None
            and not self.failed
            and self.asked_at is not None
            and now - self.asked_at < IN_FLIGHT
        )

    def settled(self, value: Setting, now: datetime) -> bool:
        """Whether `value` is in force and nothing else is on its way."""
        on_its_way = self.waits(now) and self.order is not None
        return same(self.present, value) and not (
            on_its_way and self.order is not None and not same(self.order.value, value)
        )


class Human(Value, frozen=True):
    """A mode that a human chose, what was there before, and whether the car needed energy since."""

    mode: ChargeMode
    before: Setting
    since: Utc
    needed: bool = False


class Desk(Value, frozen=True):
    """Everything we know of one loadpoint's settings."""

    name: str
    connected: bool
    vehicle: str | None
    mode: Held
    limit_soc: Held
    limit_energy: Held
    edge_at: Utc | None = None
    edge_mode: Setting | None = None
    """The mode that the reading of `edge_at`, or a later one after a restart of evcc, showed."""
    human: Human | None = None
    returns_to: str | None = None
    """The mode that evcc gave the loadpoint at the last unplugging."""

    def held(self, setting: str) -> Held:
        """The setting of that name."""
        if setting == "mode":
            return self.mode
        return self.limit_soc if setting == "limit_soc" else self.limit_energy

    def holding(self, setting: str, held: Held) -> "Desk":
        """This desk with one setting replaced."""
        return replace(self, **{setting: held})


class Wish(Value, frozen=True):
    """What is wanted of a loadpoint. `mode` None: `give_back` what the user had, or hands off.

    `as_is`: nothing is written, limits of ours included: what is wanted will be known in a moment.
    """

    owner: str
    why: Why
    mode: ChargeMode | None = None
    give_back: bool = False
    as_is: bool = False
    until: Utc | None = None
    limit_soc_pct: float | None = None
    limit_energy_kwh: float | None = None

    def limit(self, setting: str) -> float | None:
        """The goal for `limit_soc` or `limit_energy`."""
        return self.limit_soc_pct if setting == "limit_soc" else self.limit_energy_kwh


class Draft(NamedTuple):
    """One write that is wanted."""

    setting: str
    value: Setting
    why: Why


def same(one: Setting, other: Setting) -> bool:
    """Whether two values of a setting are equal (evcc rounds kWh)."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) < 0.05


def limit_why(setting: str, value: Setting) -> Why:
    """Why a limit is set: it is the goal of the block."""
    code, unit = (
        ("limit_of_block", "limit_pct")
        if setting == "limit_soc"
        else ("limit_of_block_kwh", "limit_kwh")
    )
    return Why(code, ((unit, value),))


# --- answers -------------------------------------------------------------------------------------


def confirmed(desk: Desk, order: Order, at: datetime) -> Desk:
    """The desk after evcc confirmed `order`: only now is its value in force (INV-62).

    The writer's own order at hands-off has no number (0) and is as true.
    """
    if order.setting not in SETTINGS:
        return desk
    held = desk.held(order.setting)
    if 0 < order.order_id < held.confirmed_id:
        return desk
    answered = held.order is not None and held.order.order_id <= order.order_id
    held = replace(
        held,
        ours=order.value,
        ours_at=at,
        confirmed_id=max(order.order_id, held.confirmed_id),
        order=None if answered else held.order,
        failed=False,
        failures=0,
        reason="",
    )
    # a human's mode that our write has just replaced is no longer in force
    human = None if order.setting == "mode" else desk.human
    return replace(desk.holding(order.setting, held), human=human)


def refused(desk: Desk, order: Order, reason: str) -> Desk:
    """The desk after `order` failed: what we believe stays as it was."""
    if order.setting not in SETTINGS:
        return desk
    held = desk.held(order.setting)
    if held.order is None or held.order.order_id != order.order_id:
        return desk
    failures = held.failures + 1
    return desk.holding(order.setting, replace(held, failed=True, failures=failures, reason=reason))


# --- what is due ---------------------------------------------------------------------------------


def drafts(desk: Desk, wish: Wish, now: datetime, hurry: bool) -> Iterator[Draft]:
    """The writes that are wanted, in order: a limit before `now`, and after it is over.

    Each waits for the one before it to be confirmed, except in a `hurry` (we are about to stop).
    """
    if wish.as_is:
        return
    if wish.mode in CHARGING:
        goals = [(s, wish.limit(s)) for s in LIMITS if not desk.held(s).human]
        for setting, goal in goals:
            if goal is not None:
                yield Draft(setting, goal, limit_why(setting, goal))
        if all(goal is None or _limited(desk.held(s), goal, now) for s, goal in goals):
            yield Draft("mode", wish.mode.value, wish.why)
        over = [setting for setting, goal in goals if goal is None]
    else:
        # a human's mode stands when we go, too
        back = wish.give_back and desk.human is None
        target = wish.mode.value if wish.mode else desk.mode.user if back else None
        if target is not None:
            yield Draft("mode", target, wish.why if wish.mode else RESTORE)
        done = desk.mode.settled(target, now) if target is not None else not _charges(desk, now)
        over = list(LIMITS) if done or hurry else []
    for setting in over:
        user = desk.held(setting).user
        if user is not None and not desk.held(setting).human:
            yield Draft(setting, user, RESTORE)


def _limited(held: Held, goal: float, now: datetime) -> bool:
    return held.settled(goal, now) or held.failures >= TRIES_OF_LIMIT


def awaits_reading(
    measured_at: datetime | None, ticked_at: datetime | None, now: datetime, oldest: timedelta
) -> bool:
    """Whether nothing is written at this tick before its reading is heard.

    That may show that a human has just set something else. Where the last tick, at `ticked_at`,
    brought none, nobody waits; on one that is more than `oldest` old nothing is written anyway.
    """
    if measured_at is None or ticked_at is None or measured_at < ticked_at:
        return False
    return FRESH < now - measured_at <= oldest


def _charges(desk: Desk, now: datetime) -> bool:
    """Whether a `now` or `minpv` of ours is in force or on its way."""
    held = desk.mode
    on_its_way = held.order.value if held.waits(now) and held.order is not None else None
    return held.ours in CHARGING or on_its_way in CHARGING


def due(held: Held, value: Setting, now: datetime, tick_at: datetime, ticking: bool) -> bool:
    """Whether `value` is to be ordered now: once when new (INV-48), failed ones again (INV-49)."""
    if held.waits(now) and held.order is not None:
        return not same(held.order.value, value)
    if same(held.present, value):
        return False
    if held.order is None or not same(held.order.value, value) or held.asked_at is None:
        return True
    return ticking and tick_at - held.asked_at >= RETRY


def ordered(held: Held, order: Order, tick_at: datetime) -> Held:
    """The setting after `order` was said; the first one remembers what the user had."""
    again = held.order is not None and same(held.order.value, order.value)
    return replace(
        held,
        user=held.seen if held.user is None else held.user,
        was=held.was if held.ours is None else held.ours,
        order=order,
        asked_at=tick_at,
        failed=False,
        failures=held.failures if again else 0,
    )


def tidied(desk: Desk, wanted: dict[str, Setting], now: datetime) -> Desk:
    """Forget what is given back, and what we set but is as the user had it.

    `wanted`: setting -> the value that it is to have, where there is one. An order without a good
    answer is kept: it may have landed all the same.
    """
    for setting in SETTINGS:
        held = desk.held(setting)
        goal = wanted.get(setting)
        back = held.user is not None and held.settled(held.user, now) and not held.waits(now)
        if back and (goal is None or same(goal, held.present)):
            given = replace(held, seen=held.present, user=None, ours=None, given_at=now)
            desk = desk.holding(setting, given)
    return desk
