"""Who is in control of which setting, since when, until when and why."""

from datetime import datetime

from msgspec.structs import replace

from actors.orders import LIMITS, Desk, Held, Wish, limit_why, same
from actors.situation import EVCC, HUMAN, SMARTLOAD
from actors.wishes import BatteryWish
from engine.settings import Settings
from engine.values import Control, Ownership, Why

BATTERY = "battery_mode"
GROWING = ("age_s", "age_min")
"""Numbers that grow with time alone: they do not make a new ownership (INV-48)."""


def watched(why: Why, control: Control) -> Why:
    """The reason while we do not act, with what we would have done and its numbers."""
    code = "watching" if control is Control.WATCH else "switched_off"
    return Why(code, (("would", why.code), *why.numbers))


def ownerships(
    *,
    control: Control,
    battery: BatteryWish | None,
    battery_refused: Why | None,
    cars: tuple[tuple[Desk, Wish], ...],
    known: tuple[Ownership, ...],
    now: datetime,
) -> tuple[Ownership, ...]:
    """One owner per setting. `known` gives `since` where the owner is still the same."""
    found: list[Ownership] = []
    if battery is not None:
        mode = battery.mode.value if battery.mode else ""
        refused = battery_refused is not None and ("mode", mode) in battery_refused.numbers
        failed = battery_refused if refused and battery.owner == SMARTLOAD else None
        owner = EVCC if failed else battery.owner
        found.append(Ownership(BATTERY, owner, now, battery.until, failed or battery.why))
    for desk, wish in cars:
        found.append(_mode(desk, wish, now))
        found.extend(_limits(desk, wish, now))
    if control is not Control.ON:
        found = [_unowned(one, control) for one in found]
    before = {one.setting: one for one in known}
    return tuple(_since(one, before.get(one.setting)) for one in found)


def _mode(desk: Desk, wish: Wish, now: datetime) -> Ownership:
    held = desk.mode
    owner, why = wish.owner, wish.why
    wanted = held.order is not None and wish.mode is not None and held.order.value == wish.mode
    if owner == SMARTLOAD and held.failed and wanted:
        numbers = (("setting", "mode"), ("reason", held.reason))
        owner, why = EVCC, Why("order_failed", numbers)
    return Ownership(f"loadpoint:{desk.name}:mode", owner, now, wish.until, why)


def _limits(desk: Desk, wish: Wish, now: datetime) -> list[Ownership]:
    """Limits have an owner worth showing only while they are not as the user left them."""
    found = []
    for setting in LIMITS:
        held: Held = desk.held(setting)
        name = f"loadpoint:{desk.name}:{setting}"
        if held.human:
            unit = "limit_pct" if setting == "limit_soc" else "limit_kwh"
            why = Why(f"human_{setting}", ((unit, held.present),))
            found.append(Ownership(name, HUMAN, now, None, why))
        elif held.ours is not None and held.user is not None and not same(held.ours, held.user):
            why = limit_why(setting, held.ours)
            found.append(Ownership(name, SMARTLOAD, now, wish.until, why))
    return found


def _unowned(one: Ownership, control: Control) -> Ownership:
    owner = EVCC if one.owner in (SMARTLOAD, HUMAN) else one.owner
    return replace(one, owner=owner, why=watched(one.why, control))


def _since(new: Ownership, old: Ownership | None) -> Ownership:
    if old is None or old.owner != new.owner:
        return new
    new = replace(new, since=old.since)
    return old if new == old or _aged(new) == _aged(old) else new


def _aged(one: Ownership) -> Ownership:
    numbers = tuple(pair for pair in one.why.numbers if pair[0] not in GROWING)
    return replace(one, why=Why(one.why.code, numbers))


def given_back(settings: Settings) -> Wish:
    """What is wanted of a loadpoint once we do not act: everything as the user had it."""
    code = "watching" if settings.control is Control.WATCH else "switched_off"
    return Wish(EVCC, Why(code), give_back=True)
