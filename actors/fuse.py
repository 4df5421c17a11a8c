"""The fuse: what may draw from the grid now, so that the house's connection is not overloaded.

`charge` and `now` are granted only if the measured import and what they would add stay within the
limit, in order of need: a car that has to leave soon, the house battery, other cars. evcc's own
load management does not see the battery's charging (evcc-api.md §4, §10). An overshoot takes away
the least needed at the next decision. Pure; powers in W.
"""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from engine.home import VOLTAGE_V
from engine.settings import BatterySettings, Settings
from engine.values import ChargeMode, Loadpoint, Site, Turn, Utc, Value, Why, find

BATTERY = "battery_mode"
BAR = timedelta(minutes=5)
"""What was taken away stays so for a while: evcc lets a car run on for up to three minutes."""
MARGIN_W = 200.0
MARGIN_SHARE = 0.02
"""So much has to be free beyond what is needed, before something new is granted."""
RAMPED_SHARE = 0.5
"""What draws this much of its full power has started up: it counts as it is measured."""
NEAR = timedelta(hours=1)
DEPARTS_SOON, HOUSE_BATTERY, OTHER_CAR = range(3)


class Limit(Value, frozen=True):
    """One connection: what flows in now (None: not measured), and the most that may."""

    drawn_w: float | None
    limit_w: float


class Load(Value, frozen=True):
    """Something that is wished. `drawn_w` is its part of what is measured now.

    `residue_w`: what it goes on drawing for a while after it was taken away.
    """

    name: str
    full_w: float
    drawn_w: float = 0.0
    residue_w: float = 0.0
    need: int = OTHER_CAR
    departure: Utc | None = None
    priority: int = 0


class Refusal(Value, frozen=True):
    """What is not granted, why, and before when it is not asked for again."""

    name: str
    until: Utc
    why: Why


class Fuse(Value, frozen=True):
    """What is granted and what is not."""

    granted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()


def refusal_of(fuse: Fuse, name: str) -> Why | None:
    """Why `name` may not draw from the grid now, or None."""
    return next((one.why for one in fuse.refused if one.name == name), None)


# --- what there is -------------------------------------------------------------------------------


def limits_of(
    settings: Settings, site: Site, circuits: tuple[Limit, ...] = ()
) -> tuple[Limit, ...]:
    """The connections that everything flows through; an unknown limit is none."""
    limit_kw = settings.site.grid_import_limit_kw
    if limit_kw is None:
        return circuits
    return (Limit(site.grid_import_w, limit_kw * 1000.0), *circuits)


def battery_load(settings: Settings, site: Site) -> Load:
    """The house battery on `charge`. While it discharges, that ends too."""
    told = settings.battery or BatterySettings()
    charge_w = site.battery.charge_w if site.battery is not None else None
    return Load(BATTERY, told.charge_power_kw * 1000.0, charge_w or 0.0, need=HOUSE_BATTERY)


def car_load(
    settings: Settings,
    site: Site,
    lp: Loadpoint,
    *,
    mode: ChargeMode,
    turn: Turn | None,
    at: datetime,
) -> Load:
    """A car on `now` (all phases at the highest current) or `minpv` (the least that it takes)."""
    phases, least_phases = _phases(site, lp)
    least_w = VOLTAGE_V * lp.effective_min_current_a * least_phases
    full_w = VOLTAGE_V * lp.effective_max_current_a * phases
    if mode is not ChargeMode.NOW:
        full_w = least_w
    named = lp.vehicle.casefold() if lp.vehicle else None
    for car in settings.cars:
        if car.name.casefold() == named:
            full_w = min(full_w, car.max_power_kw * 1000.0)
    return Load(
        lp.name,
        full_w,
        lp.charge_w,
        least_w,
        DEPARTS_SOON if _departs_soon(turn, full_w, at) else OTHER_CAR,
        turn.departure if turn is not None else None,
        lp.priority,
    )


def _phases(site: Site, lp: Loadpoint) -> tuple[int, int]:
    """On how many phases the car draws at most and at least."""
    most = least = lp.phases_active or 3
    if lp.can_switch_phases:
        most, least = lp.phases_configured or 3, lp.phases_configured or 1
    vehicle = find(site.vehicles, lp.vehicle) if lp.vehicle else None
    if vehicle is not None and vehicle.phases:
        most, least = min(most, vehicle.phases), min(least, vehicle.phases)
    return most, least


def _departs_soon(turn: Turn | None, full_w: float, at: datetime) -> bool:
    """Whether not much more time is left than the car needs."""
    if turn is None:
        return False
    if turn.immediate or turn.departure is None or full_w <= 0:
        return turn.immediate
    needed = timedelta(hours=turn.need_kwh / (full_w / 1000.0))
    return turn.need_kwh > 0 and turn.departure - at <= 2 * needed + NEAR


# --- what is granted ------------------------------------------------------------------------------


def weighed(fuse: Fuse, limits: tuple[Limit, ...], loads: tuple[Load, ...], at: datetime) -> Fuse:
    """What is granted of `loads` now. `fuse` is what was granted before; without limits all is."""
    if not limits:
        return Fuse()
    if any(limit.drawn_w is None for limit in limits):
        return Fuse(refused=tuple(_refusal(fuse, one, limits, at, at) for one in loads))
    order = sorted(loads, key=_by_need)
    kept = [one for one in order if one.name in fuse.granted]
    lost: list[Load] = []
    while kept and _room_w(limits, kept, lost) < 0:
        lost.append(kept.pop())
    barred = {one.name for one in fuse.refused if one.until > at}
    for one in order:
        if one not in kept and one not in lost and one.name not in barred:
            kept, lost = _admitted(one, limits, kept, lost)
    granted = {one.name for one in kept}
    refused = [
        _refusal(fuse, one, limits, at, at + BAR if one in lost else at)
        for one in order
        if one.name not in granted
    ]
    known = granted | {one.name for one in refused}
    waiting = [one for one in fuse.refused if one.until > at and one.name not in known]
    return Fuse(tuple(one.name for one in kept), (*refused, *waiting))


def _by_need(load: Load) -> tuple[Any, ...]:
    never = load.departure is None
    departure_s = 0.0 if load.departure is None else load.departure.timestamp()
    return load.need, never, departure_s, -load.priority, load.name


def _admitted(
    new: Load, limits: tuple[Limit, ...], kept: list[Load], lost: list[Load]
) -> tuple[list[Load], list[Load]]:
    """What is kept and what is lost once `new` has been weighed against what it needs less than."""
    margin_w = max(MARGIN_W, MARGIN_SHARE * min(limit.limit_w for limit in limits))
    rest = sorted(kept, key=_by_need)
    gone = list(lost)
    more_needed = [one for one in rest if _by_need(one) < _by_need(new)]
    # it comes in only once what makes way for it draws no more
    while _room_w(limits, [*rest, new], gone, residues=False) < margin_w:
        if len(rest) == len(more_needed):
            return kept, lost
        gone.append(rest.pop())
    if _room_w(limits, [*rest, new], gone) >= margin_w:
        rest.append(new)
    return sorted(rest, key=_by_need), gone


def _room_w(
    limits: tuple[Limit, ...], kept: list[Load], lost: list[Load], residues: bool = True
) -> float:
    """What is still free where it is tightest, once `kept` draw what they will and `lost` do not.

    The rest of the house, cars that others let charge included, is in what is measured.
    """
    more_w = sum(_expected_w(one) - one.drawn_w for one in kept)
    more_w += sum(
        (min(one.drawn_w, one.residue_w) if residues else 0.0) - one.drawn_w for one in lost
    )
    return min(limit.limit_w - (limit.drawn_w or 0.0) - more_w for limit in limits)


def _expected_w(load: Load) -> float:
    return load.drawn_w if load.drawn_w >= RAMPED_SHARE * load.full_w else load.full_w


def _refusal(
    fuse: Fuse, load: Load, limits: tuple[Limit, ...], at: datetime, until: datetime
) -> Refusal:
    """Its numbers stay those of the moment in which it was refused, so that it is told once."""
    battery = load.name == BATTERY
    measured = [limit for limit in limits if limit.drawn_w is not None]
    if len(measured) < len(limits):
        why = Why("battery_unmeasured" if battery else "car_unmeasured")
    else:
        tightest = min(measured, key=lambda limit: limit.limit_w - (limit.drawn_w or 0.0))
        numbers = (
            ("limit_kw", round(tightest.limit_w / 1000, 1)),
            ("import_kw", round((tightest.drawn_w or 0.0) / 1000, 1)),
            ("adds_kw", round(max(0.0, load.full_w - load.drawn_w) / 1000, 1)),
        )
        why = Why("battery_fuse" if battery else "car_fuse", numbers)
    for one in fuse.refused:
        if one.name == load.name:
            same = one.why if one.why.code == why.code else why
            return replace(one, until=until if until > at else one.until, why=same)
    return Refusal(load.name, until, why)
