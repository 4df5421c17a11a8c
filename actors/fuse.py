"""The fuse: what may draw from the grid now, so that the house's connection is not overloaded.

`charge` and `now` are granted only if the measured import and what they would add stay within the
limit, in order of need: a car that has to leave soon, the house battery, other cars. evcc's own
load management does not see the battery's charging (evcc-api.md §4, §10). An overshoot takes away
the least needed at the next decision. Pure; powers in W.

A limit per phase is kept on its most loaded phase, which is where a load on fewer than three is
assumed to be: its numbers count three times that phase, so that all limits can be compared.
"""

from datetime import datetime, timedelta
from math import ceil
from typing import Any

from msgspec.structs import replace

from engine.home import VOLTAGE_V
from engine.settings import BatterySettings, Settings
from engine.values import ChargeMode, Loadpoint, Site, Turn, Utc, Value, Why, find

BATTERY = "battery_mode"
PHASES = 3
ONE_PHASE_KW = 4.6
"""A battery that charges with more has three phases, if nobody says otherwise."""
BAR = timedelta(minutes=5)
"""What was taken away stays so for a while: evcc lets a car run on for up to three minutes."""
MARGIN_W = 200.0
MARGIN_SHARE = 0.02
"""So much has to be free beyond what is needed, before something new is granted."""
SLACK = 0.1
"""So many phases more than evcc shows are noise of the voltage."""
RAMPED_SHARE = 0.5
"""What draws this much of its full power has started up: it counts as it is measured."""
NEAR = timedelta(hours=1)
DEPARTS_SOON, HOUSE_BATTERY, OTHER_CAR = range(3)


class Limit(Value, frozen=True):
    """One connection: what flows in now (None: not measured), and the most that may.

    `per_phase`: both are three times the most loaded phase. `evcc_keeps`: a circuit, on which evcc
    itself cuts what cars draw, so that of them only the least current has to fit.
    """

    drawn_w: float | None
    limit_w: float
    per_phase: bool = False
    evcc_keeps: bool = False


class Load(Value, frozen=True):
    """Something that is wished. `drawn_w` is its part of what is measured now.

    `residue_w`: what it goes on drawing for a while after it was taken away. `phases`: on how many
    it will be, `drawn_phases`: on how many it is now. `settles`: it comes down to `full_w`, though
    it draws more now.
    """

    name: str
    full_w: float
    drawn_w: float = 0.0
    residue_w: float = 0.0
    need: int = OTHER_CAR
    departure: Utc | None = None
    priority: int = 0
    phases: int = PHASES
    drawn_phases: int = PHASES
    settles: bool = False


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
    """The connections that everything flows through; an unknown limit is none.

    Where nobody measures the phases, the import counts as spread evenly over all three.
    """
    own = settings.site
    limits: tuple[Limit, ...] = ()
    if own.grid_import_limit_kw is not None:
        limits = (Limit(site.grid_import_w, own.grid_import_limit_kw * 1000.0),)
    if own.grid_import_limit_a is not None:
        drawn_w = site.grid_import_w
        if site.grid_currents_a is not None and drawn_w is not None:
            drawn_w = all_phases_w(max(site.grid_currents_a))
        limits += (Limit(drawn_w, all_phases_w(own.grid_import_limit_a), per_phase=True),)
    return (*limits, *circuits)


def all_phases_w(current_a: float) -> float:
    """So much current on each phase."""
    return VOLTAGE_V * PHASES * current_a


def circuit_limits(site: Site) -> tuple[Limit, ...]:
    """The limits of evcc's circuits that hold for the whole home.

    Those are the circuits without a parent; evcc keeps the branches itself, and what it does not
    see, the battery, hangs on none of them. Older versions name no parents: then every circuit is
    taken for the whole home's, which may refuse too much and never too little.
    """
    limits: list[Limit] = []
    for one in site.circuits:
        if one.parent is not None:
            continue
        if one.max_power_w is not None:
            limits.append(Limit(one.power_w, one.max_power_w, evcc_keeps=True))
        if one.max_current_a is not None:
            drawn_w = None if one.current_a is None else all_phases_w(one.current_a)
            most_w = all_phases_w(one.max_current_a)
            limits.append(Limit(drawn_w, most_w, per_phase=True, evcc_keeps=True))
    return tuple(limits)


def import_limit_kw(settings: Settings, site: Site | None) -> float | None:
    """The most that the whole house may import by any of its limits; None: there is none."""
    circuits = circuit_limits(site) if site is not None else ()
    known = [settings.site.import_limit_kw, *(limit.limit_w / 1000.0 for limit in circuits)]
    return min((one for one in known if one is not None), default=None)


def battery_phases(settings: Settings) -> int:
    """On how many phases the house battery charges and serves."""
    told = settings.battery or BatterySettings()
    return told.phases or (1 if told.charge_power_kw <= ONE_PHASE_KW else PHASES)


def without(limit: Limit, watts: float, phases: int) -> Limit:
    """The same limit once something that gives so much gives no more."""
    if limit.drawn_w is None:
        return limit
    return replace(limit, drawn_w=limit.drawn_w + _on(limit, watts, phases))


def battery_load(settings: Settings, site: Site) -> Load:
    """The house battery on `charge`. While it discharges, that ends too."""
    told = settings.battery or BatterySettings()
    charge_w = site.battery.charge_w if site.battery is not None else None
    phases = battery_phases(settings)
    return Load(
        BATTERY,
        told.charge_power_kw * 1000.0,
        charge_w or 0.0,
        need=HOUSE_BATTERY,
        phases=phases,
        drawn_phases=phases,
    )


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
            phases = min(phases, car.phases)
    return Load(
        lp.name,
        full_w,
        lp.charge_w,
        least_w,
        DEPARTS_SOON if _departs_soon(turn, full_w, at) else OTHER_CAR,
        turn.departure if turn is not None else None,
        lp.priority,
        phases if mode is ChargeMode.NOW else least_phases,
        _drawn_phases(lp, phases),
    )


def _drawn_phases(lp: Loadpoint, phases: int) -> int:
    """On how many phases it draws now: those that evcc shows may be assumed (evcc-api.md §1.4)."""
    needed = ceil(lp.charge_w / (VOLTAGE_V * lp.effective_max_current_a) - SLACK)
    return min(PHASES, max(min(lp.phases_active or PHASES, phases), needed))


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
    while kept and room_w(limits, kept, lost) < 0:
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
    while room_w(limits, [*rest, new], gone, residues=False) < margin_w:
        if len(rest) == len(more_needed):
            return kept, lost
        gone.append(rest.pop())
    if room_w(limits, [*rest, new], gone) >= margin_w:
        rest.append(new)
    return sorted(rest, key=_by_need), gone


def room_w(
    limits: tuple[Limit, ...], kept: list[Load], lost: list[Load], residues: bool = True
) -> float:
    """What is still free where it is tightest, once `kept` draw what they will and `lost` do not.

    The rest of the house, cars that others let charge included, is in what is measured.
    """
    return min(
        limit.limit_w
        - (limit.drawn_w or 0.0)
        - sum(_more_w(limit, one) for one in kept)
        - sum(_less_w(limit, one, residues) for one in lost)
        for limit in limits
    )


def _on(limit: Limit, watts: float, phases: int) -> float:
    """What a load of so many watts is to this limit."""
    return watts * PHASES / phases if limit.per_phase else watts


def _more_w(limit: Limit, load: Load) -> float:
    """What a load that is granted adds to what is measured, once it has started up."""
    full_w = load.full_w
    if limit.evcc_keeps and load.name != BATTERY:
        full_w = min(full_w, load.residue_w)
    if not load.settles and load.drawn_w >= RAMPED_SHARE * full_w:
        return 0.0
    return _on(limit, full_w, load.phases) - _on(limit, load.drawn_w, load.drawn_phases)


def _less_w(limit: Limit, load: Load, residues: bool) -> float:
    left_w = min(load.drawn_w, load.residue_w) if residues else 0.0
    return _on(limit, left_w - load.drawn_w, load.drawn_phases)


def _refusal(
    fuse: Fuse, load: Load, limits: tuple[Limit, ...], at: datetime, until: datetime
) -> Refusal:
    """Its numbers stay those of the moment in which it was refused, so that it is told once."""
    battery = load.name == BATTERY
    if any(limit.drawn_w is None for limit in limits):
        why = Why("battery_unmeasured" if battery else "car_unmeasured")
    else:
        tightest = min(limits, key=lambda limit: room_w((limit,), [load], []))
        why = _why(tightest, load, battery)
    for one in fuse.refused:
        if one.name == load.name:
            same = one.why if one.why.code == why.code else why
            return replace(one, until=until if until > at else one.until, why=same)
    return Refusal(load.name, until, why)


def _why(limit: Limit, load: Load, battery: bool) -> Why:
    drawn_w = limit.drawn_w or 0.0
    adds_w = max(0.0, load.full_w - load.drawn_w)
    if not limit.per_phase:
        numbers = (
            ("limit_kw", round(limit.limit_w / 1000, 1)),
            ("import_kw", round(drawn_w / 1000, 1)),
            ("adds_kw", round(adds_w / 1000, 1)),
        )
        return Why("battery_fuse" if battery else "car_fuse", numbers)
    full_a = all_phases_w(1.0)
    numbers = (
        ("limit_a", round(limit.limit_w / full_a, 1)),
        ("import_a", round(drawn_w / full_a, 1)),
        ("adds_a", round(_on(limit, adds_w, load.phases) / full_a, 1)),
    )
    return Why("battery_fuse_phase" if battery else "car_fuse_phase", numbers)
