"""The last will: what is to be given back when we are gone, and what a new life makes of it.

Pure. evcc's modes and limits outlive a dead controller (design §7), so the will holds what the
user had, and for a car with a departure evcc's own plan in place of ours.
"""

from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from msgspec.structs import replace

from actors.left_plans import LeftPlan, are_ours
from actors.orders import (
    LIMITS,
    RESTORE,
    SETTINGS,
    Desk,
    Held,
    Human,
    Setting,
    same,
)
from engine.estate import Bequest, Written
from engine.home import VOLTAGE_V
from engine.messages import EstateRead
from engine.settings import CarSettings, Settings
from engine.values import ChargeMode, EvccVehicle, Loadpoint, Site, Turn, Why, find

HAD = "had"
"""The number of a bequest's reason that names what the user had, where that is not given back."""
WAS = "was"
"""The number of a bequest's reason that names what of ours a crash of evcc would bring back."""
SURE = timedelta(seconds=80)
"""A crash of evcc loses settings younger than a minute (evcc-regulator.md §14), with some slack:
so long what was given back stays in the will."""
SHORTEST_PLAN = timedelta(minutes=15)
"""A plan of evcc's that needs less never starts (evcc-regulator.md §13: 14 minutes)."""
ENERGY_STEP_KWH = 0.5
"""An energy goal is said anew in such steps, rounded up: a plan ends by itself when it is met."""
NOTHING_LEFT_KWH = 0.01


# --- the will ------------------------------------------------------------------------------------


def will_of(
    *,
    desks: tuple[Desk, ...],
    site: Site,
    turns: tuple[Turn, ...],
    settings: Settings,
    battery: bool,
    plans: bool,
    now: datetime,
    left: tuple[LeftPlan, ...] = (),
) -> tuple[Bequest, ...]:
    """The will, in the order in which it is carried out.

    `battery`: something of ours stands there or is about to. `plans`: departures are our business
    (control is `on`, and nobody else's optimizer is in control). `left`: plans of evcc's that an
    earlier will has set: what they do stays in the will, whether they are deleted or not.
    """
    lines: list[Bequest] = [Bequest("battery_mode", RESTORE)] if battery else []
    for desk in desks:
        lp = find(site.loadpoints, desk.name)
        if lp is None:
            continue
        folded = desk.name.casefold()
        turn = next((one for one in turns if one.loadpoint.casefold() == folded), None)
        ahead = turn if plans and _is_ahead(turn, desk, lp, now) else None
        if ahead is not None and not are_ours(left, lp, site) and _evcc_plans(lp, site, ahead):
            ahead = None
        lines += _of_loadpoint(desk, lp, site, ahead, settings, now=now)
    return tuple(lines)


def _is_ahead(turn: Turn | None, desk: Desk, lp: Loadpoint, now: datetime) -> bool:
    """Whether a departure is ahead for which energy is missing. A human's mode is their word."""
    return (
        turn is not None
        and lp.connected
        and desk.human is None
        and turn.departure is not None
        and turn.departure > now
        and turn.need_kwh > NOTHING_LEFT_KWH
    )


def _of_loadpoint(
    desk: Desk, lp: Loadpoint, site: Site, turn: Turn | None, settings: Settings, *, now: datetime
) -> list[Bequest]:
    """What one loadpoint is given; a limit comes before a `now` that it is to end."""
    given = {} if desk.human is not None else _given(desk, "mode", now)
    for setting in LIMITS:
        if not desk.held(setting).human:
            given |= _given(desk, setting, now)
    plan: list[Bequest] = []
    if turn is not None and turn.departure is not None:
        why = Why("will_departure", (("departure_at", turn.departure.isoformat()),))
        vehicle = find(site.vehicles, lp.vehicle) if lp.vehicle else None
        goal = _goal(desk, lp, vehicle, turn, settings)
        if goal is not None and _is_short(lp, turn, settings) and _obeys_limits(lp, vehicle):
            given |= _charge_now(desk, lp, goal, why)
            order = (*LIMITS, "mode")
            return [given[setting] for setting in order if setting in given]
        if goal is not None:
            plan = [replace(goal, why=why, due=turn.departure)]
            given |= _not_off(desk, given.get("mode"), why)
    return [given[setting] for setting in SETTINGS if setting in given] + plan


def _given(desk: Desk, setting: str, now: datetime) -> dict[str, Bequest]:
    """What the user had, where it is not back yet, or so lately that evcc may lose it."""
    held = desk.held(setting)
    back = held.seen if held.user is None else held.user
    lately = held.given_at is None or now - held.given_at <= SURE
    on_its_way = held.order is not None and same(held.order.value, back)
    was = held.was if held.was is not None and not same(held.was, back) else None
    if held.user is None and (was is None or not lately):
        return {}
    why = RESTORE
    if was is not None and (lately or on_its_way):
        why = replace(RESTORE, numbers=((WAS, was),))
    return {setting: Bequest(setting, why, desk.name, value=back)}


def _evcc_plans(lp: Loadpoint, site: Site, turn: Turn) -> bool:
    """Whether evcc has a plan of its own that would be overwritten, or does what is needed."""
    vehicle = find(site.vehicles, lp.vehicle) if lp.vehicle else None
    if (vehicle is not None and vehicle.plan_at is not None) or lp.plan_energy_kwh is not None:
        return True
    return lp.plan_at is not None and turn.departure is not None and lp.plan_at <= turn.departure


def _goal(
    desk: Desk, lp: Loadpoint, vehicle: EvccVehicle | None, turn: Turn, settings: Settings
) -> Bequest | None:
    """evcc's plan for this car: in percent where evcc plans so (§13), otherwise in kWh."""
    if lp.vehicle is not None and (lp.vehicle_soc_pct is not None or _has_api(vehicle)):
        target = turn.target_soc_pct
        if target is None:
            target = _car(settings, lp.vehicle).target_soc_pct
        held = desk.limit_soc
        user = held.seen if held.user is None or held.human else held.user
        caps = [float(cap) for cap in (user, vehicle.limit_soc_pct if vehicle else None) if cap]
        aim = min([float(ceil(round(target, 6))), *caps])
        if lp.vehicle_soc_pct is not None and lp.vehicle_soc_pct >= aim:
            return None
        return Bequest("plan_soc", RESTORE, desk.name, lp.vehicle, aim)
    need_kwh = ceil(round(_ac_kwh(turn, settings) / ENERGY_STEP_KWH, 4)) * ENERGY_STEP_KWH
    return Bequest("plan_energy", RESTORE, desk.name, lp.vehicle or "", need_kwh)


def _has_api(vehicle: EvccVehicle | None) -> bool:
    return vehicle is not None and vehicle.capacity_kwh is not None and not vehicle.offline


def _obeys_limits(lp: Loadpoint, vehicle: EvccVehicle | None) -> bool:
    """A car with capacity and API whose SoC is unknown obeys neither limit (design §7)."""
    return lp.vehicle_soc_pct is not None or not _has_api(vehicle)


def _car(settings: Settings, name: str | None) -> CarSettings:
    return (find_car(settings, name) if name else None) or CarSettings(name or "guest")


def find_car(settings: Settings, name: str) -> CarSettings | None:
    """The car of that name in the settings, case-insensitive (INV-78), or None."""
    folded = name.casefold()
    return next((car for car in settings.cars if car.name.casefold() == folded), None)


def _ac_kwh(turn: Turn, settings: Settings) -> float:
    """What is missing, at the wallbox."""
    if turn.energy_kwh is not None:
        return turn.need_kwh
    return turn.need_kwh / _car(settings, turn.vehicle).charge_efficiency


def _is_short(lp: Loadpoint, turn: Turn, settings: Settings) -> bool:
    """Whether evcc would need too little time for a plan to start, by its own maximum power."""
    phases = 3 if lp.can_switch_phases else lp.phases_active or 3
    power_kw = lp.effective_max_current_a * VOLTAGE_V * phases / 1000
    hours = SHORTEST_PLAN.total_seconds() / 3600
    return power_kw > 0 and _ac_kwh(turn, settings) / power_kw < hours


def _charge_now(desk: Desk, lp: Loadpoint, goal: Bequest, why: Why) -> dict[str, Bequest]:
    """`now`, ended by a limit; the reasons keep what the user had."""
    if goal.setting == "plan_soc":
        setting, value = "limit_soc", float(goal.value)
    else:
        setting, value = "limit_energy", round(lp.session_kwh + float(goal.value), 1)
    lines = {"mode": _instead(desk, "mode", ChargeMode.NOW.value, why)}
    if not desk.held(setting).human:
        lines[setting] = _instead(desk, setting, value, why)
    return lines


def _not_off(desk: Desk, given: Bequest | None, why: Why) -> dict[str, Bequest]:
    """`pv` in place of an `off` that no human said since: in `off` no plan charges."""
    had = given.value if given is not None else desk.mode.seen
    return {"mode": _instead(desk, "mode", ChargeMode.PV.value, why)} if had == "off" else {}


def _instead(desk: Desk, setting: str, value: Setting, why: Why) -> Bequest:
    held = desk.held(setting)
    had = held.seen if held.user is None else held.user
    why = replace(why, numbers=(*why.numbers, (HAD, had)))
    return Bequest(setting, why, desk.name, value=value)


def had_of(line: Bequest) -> Setting | None:
    """What the user had where the will sets something else; None: it sets what they had."""
    return _number(line, HAD)


def _number(line: Bequest, wanted: str) -> Setting | None:
    return next((value for name, value in line.why.numbers if name == wanted), None)


# --- a new life ----------------------------------------------------------------------------------


class _Trail(NamedTuple):
    """What the ledger knows of one setting, oldest first, and what its user had."""

    line: Bequest | None
    sent: list[Written]
    user: Setting | None
    carried_out: bool

    def matching(self, seen: Setting) -> Written | None:
        """What we sent last that is in force."""
        return next((one for one in reversed(self.sent) if same(one.value, seen)), None)

    def explains(self, seen: Setting) -> bool:
        """Whether the value is what the user had, what we gave back, or what the will set."""
        known = [] if self.carried_out and self.line else [one.value for one in self.sent]
        known += [self.line.value] if self.line is not None else []
        known += [self.user] if self.user is not None else []
        return any(same(value, seen) for value in known)

    def stale(self, seen: Setting) -> Setting | None:
        """What we sent where the user's own stands all the same, or None."""
        if self.user is None or not same(seen, self.user):
            return None
        return next((one.value for one in self.sent if not same(one.value, seen)), None)

    def before(self) -> Setting:
        """What was there before a human's change: ours, or what the user had."""
        if self.sent and not (self.carried_out and self.line):
            return self.sent[-1].value
        return ChargeMode.PV.value if self.user is None else self.user


def _trail(estate: EstateRead, loadpoint: str, setting: str) -> _Trail:
    folded = loadpoint.casefold()

    def meant(one: Bequest | Written) -> bool:
        return one.setting == setting and one.loadpoint.casefold() == folded

    line = next((one for one in estate.bequests if meant(one)), None)
    sent = sorted((one for one in estate.written if meant(one)), key=lambda one: one.at)
    user = None if line is None else had_of(line)
    if line is not None and user is None:
        user = line.value
    return _Trail(line, sent, user, estate.carried_out_at is not None)


def inherited(
    desk: Desk, estate: EstateRead, at: datetime, acting: bool, vehicle_mode: str | None
) -> Desk:
    """The desk of a first reading, with what the ledger knows of a life before.

    What is as we last sent it is ours, anything else a human's (INV-40, 41, 43), except what evcc
    does by itself: the car's own mode, limits cleared at unplugging, settings younger than a minute
    lost in a crash (they are as the user had them, and that is nobody's override).
    """
    for setting in SETTINGS:
        trail = _trail(estate, desk.name, setting)
        held, seen = desk.held(setting), desk.held(setting).seen
        ours = _ours(trail, held)
        if ours is not None:
            desk = desk.holding(setting, ours)
            if setting == "mode" and seen != ChargeMode.OFF.value:
                desk = replace(desk, human=None)
        elif (stale := trail.stale(seen)) is not None:
            # never landed, or lost: the ledger still has it, so the will says whose it was
            desk = desk.holding(setting, replace(held, was=stale))
        elif trail.explains(seen) or not (acting and desk.connected):
            continue
        elif setting == "mode":
            # `pv` that we never changed says nothing, nor does the car's own mode
            if seen != vehicle_mode and (trail.sent or seen != ChargeMode.PV.value):
                human = desk.human or Human(ChargeMode(str(seen)), trail.before(), at)
                desk = replace(desk, human=human, mode=replace(held, user=trail.user))
        elif trail.line is not None and seen:
            desk = desk.holding(setting, replace(held, user=trail.user, human=True))
    return desk


def _ours(trail: _Trail, held: Held) -> Held | None:
    """The setting where its value is ours and was not given back, or None."""
    seen, user = held.seen, trail.user
    if user is not None and same(seen, user):
        return None
    if trail.carried_out and trail.line is not None:
        willed = had_of(trail.line) is not None and same(seen, trail.line.value)
        return replace(held, ours=seen, user=user) if willed else None
    was = None if trail.line is None else _number(trail.line, WAS)
    if was is not None and same(seen, was):
        # given back, and lost in a crash of evcc: said on, as no write of this ledger explains it
        return replace(held, ours=seen, user=user, was=seen)
    match = trail.matching(seen)
    if match is None:
        return None
    if user is None and match is not trail.sent[-1]:
        user = trail.sent[-1].value  # it was given back, and evcc lost that in a crash
    return None if user is None else replace(held, ours=seen, ours_at=match.at, user=user)


def standing(estate: EstateRead) -> tuple[Bequest, ...]:
    """The will that holds. One that was carried out does not: the same again is a new one."""
    return estate.bequests if estate.carried_out_at is None else ()


def carried_out(desk: Desk, estate: EstateRead, at: datetime) -> Desk:
    """The desk after the will was carried out behind our back: nothing of ours stands (design §7).

    Readings that were under way then say nothing.
    """
    done_at = estate.carried_out_at
    for setting in SETTINGS:
        line = _trail(estate, desk.name, setting).line
        if line is None or done_at is None:
            continue
        held, had = desk.held(setting), had_of(line)
        given = Held(line.value, ours_at=at, confirmed_id=held.confirmed_id)
        if had is not None:
            given = replace(given, ours=line.value, user=had)
        desk = desk.holding(setting, given)
        human = desk.human
        if setting == "mode" and human is not None and human.since >= done_at:
            # what a reading showed before we knew was the will's doing
            desk = replace(desk, human=None) if human.mode == line.value else desk
    return desk
