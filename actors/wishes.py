"""What is wanted of the battery and of each loadpoint, and why: the plan's line through the gates.

Pure. A gate only ever takes away: it releases the battery and leaves a car to the sun, it never
makes anything charge.
"""

from datetime import datetime
from math import ceil

from msgspec.structs import replace

from actors.fuse import (
    BATTERY,
    Fuse,
    Limit,
    Load,
    battery_load,
    car_load,
    limits_of,
    refusal_of,
    weighed,
)
from actors.orders import CHARGING, Desk, Wish
from actors.proof import Proofs, Verdict, battery_says, loadpoint_says
from actors.script import PATIENCE, CarLine, Line, Script
from engine.settings import Settings
from engine.values import (
    BatteryMode,
    ChargeMode,
    Loadpoint,
    Site,
    Turn,
    Utc,
    Value,
    Why,
    find,
)

NOTHING_LEFT_KWH = 0.0
ENERGY_STEP_KWH = 0.5
ENERGY_LAG_H = 0.25
"""A goal in kWh adds the session (each reading) to the need (each slot): it is set anew only
beyond this step and what was charged meanwhile."""
SUN_CODES = ("car_sun", "battery_takes_sun")
EVCC, SMARTLOAD, HUMAN, OPTIMIZER = "evcc", "smartload", "human", "evcc_optimizer"


class BatteryWish(Value, frozen=True):
    """The external battery mode that is to stand (None: released), whose it is, and why."""

    owner: str
    mode: BatteryMode | None
    why: Why
    until: Utc | None = None


class Situation(Value, frozen=True):
    """All that a decision rests on. `no_line` says why the plan of `made_at` asks for nothing.

    `blind`: nothing new may be decided (INV-110, INV-112). `idle`: somebody else is in control.
    `back_at`: when evcc was last seen again after silence. `proofs`: what power has shown. `fuse`:
    what is granted; `circuits`: evcc's own limits that all power flows through.
    """

    now: Utc
    settings: Settings
    site: Site | None
    turns: tuple[Turn, ...] = ()
    made_at: Utc | None = None
    back_at: Utc | None = None
    line: Line | None = None
    no_line: Why = Why("no_plan")
    blind: Why | None = None
    idle: Why | None = None
    import_eur_kwh: float | None = None
    grid_failed: bool = False
    proofs: Proofs = Proofs()
    fuse: Fuse = Fuse()
    circuits: tuple[Limit, ...] = ()


def line_of(script: Script | None, now: datetime) -> tuple[Line | None, Why]:
    """The line of the plan to act on; without one, why there is none (INV-185)."""
    if script is None:
        return None, Why("no_plan")
    if script.rung == "evcc":
        return None, Why("evcc_alone")
    line = script.line_at(now)
    if line is None or script.too_old(now):
        age_min = round(script.age(now).total_seconds() / 60)
        return None, Why("plan_too_old", (("age_min", age_min),))
    return line, line.why


def blind_of(settings: Settings, measured_at: datetime | None, now: datetime) -> Why | None:
    """Why nothing may be decided on the newest reading (INV-110, INV-112), or None."""
    if measured_at is None:
        return Why("no_reading")
    age = now - measured_at
    if age > settings.oldest_reading:
        return Why("reading_too_old", (("age_s", round(age.total_seconds())),))
    return None


# --- the battery ---------------------------------------------------------------------------------


def battery_wish(view: Situation) -> BatteryWish:
    """The external battery mode that is to stand. Serving is evcc's own `normal`: released."""
    released = view.idle or view.blind or _no_battery(view.site)
    if released is not None:
        owner = OPTIMIZER if released.code == "evcc_optimizer" else EVCC
        return BatteryWish(owner, None, released)
    return _proven_battery(view, _planned_battery(view))


def _planned_battery(view: Situation) -> BatteryWish:
    line = view.line
    if line is None:
        return BatteryWish(EVCC, None, view.no_line)
    if line.battery is BatteryMode.NORMAL:
        if view.site is not None and line.battery_discharges and _evcc_would_not(view):
            return BatteryWish(SMARTLOAD, BatteryMode.NORMAL, line.why, line.until)
        return BatteryWish(EVCC, None, line.why, line.until)
    if line.battery is BatteryMode.CHARGE and (closed := _no_charging(view, line)) is not None:
        return BatteryWish(EVCC, None, closed)
    return BatteryWish(SMARTLOAD, line.battery, line.why, line.until)


def _no_battery(site: Site | None) -> Why | None:
    if site is None:
        return Why("no_reading")
    if site.battery is None:
        return Why("no_battery")
    return None if site.battery.controllable else Why("battery_not_controllable")


def _no_charging(view: Situation, line: Line) -> Why | None:
    """Why the battery must not charge from the grid now, though the plan says so."""
    if view.import_eur_kwh is None or view.grid_failed:
        return Why("no_prices")  # INV-18
    if view.site is not None and view.site.dimmed:
        return Why("dimmed")
    if view.settings.battery is not None and not view.settings.battery.grid_charging:
        return Why("grid_charging_off")
    if line.why.code in SUN_CODES:
        return line.why  # sun needs no permission to charge from the grid (INV-13)
    return refusal_of(view.fuse, BATTERY)


def _proven_battery(view: Situation, wish: BatteryWish) -> BatteryWish:
    """A mode that power contradicts is left for a while, then entered again; or given up."""
    says = battery_says(view.proofs, wish.mode)
    mode = wish.mode or BatteryMode.NORMAL
    if says.verdict is Verdict.REASSERT:
        # what was released is left by a posted `normal`: releasing that tells the inverter again
        away = BatteryMode.NORMAL if wish.mode is None else None
        return BatteryWish(SMARTLOAD, away, Why("battery_again", (("mode", mode.value),)))
    if says.verdict is Verdict.NOT_OBEYED:
        return BatteryWish(EVCC, None, Why("battery_not_obeyed", (("mode", mode.value),)))
    return wish


def _evcc_would_not(view: Situation) -> bool:
    """Whether evcc, left alone, would now charge or lock the battery (evcc-api.md §4)."""
    site, price = view.site, view.import_eur_kwh
    if site is None:
        return False
    limit = site.grid_charge_limit_eur_kwh
    if limit is not None and price is not None and price <= limit:
        return True
    return site.discharge_control and any(
        lp.charging
        and (
            lp.mode is ChargeMode.NOW
            or lp.plan_active
            or lp.min_soc_not_reached
            or lp.smart_cost_active
        )
        for lp in site.loadpoints
    )


# --- the cars ------------------------------------------------------------------------------------


def needs_energy(view: Situation, lp: Loadpoint) -> bool | None:
    """Whether the turn at this loadpoint is unmet; None when nobody has a turn there."""
    turn = _turn(view, lp)
    return None if turn is None else turn.need_kwh > NOTHING_LEFT_KWH


def car_wish(view: Situation, desk: Desk, lp: Loadpoint) -> Wish:
    """What is wanted of one loadpoint with a charger."""
    others = _others(view, desk, lp)
    if others is not None:
        return others
    if view.line is None:
        return _without_plan(view, desk)
    return _proven_car(view, lp, _fused_car(view, lp, _planned(view, desk, lp, view.line)))


def _fused_car(view: Situation, lp: Loadpoint, wish: Wish) -> Wish:
    """A car that would overload the connection is left to the sun."""
    refusal = refusal_of(view.fuse, lp.name) if wish.mode in CHARGING else None
    if refusal is None:
        return wish
    why = Why(refusal.code, (*_named(wish), *refusal.numbers))
    return Wish(SMARTLOAD, why, ChargeMode.PV, until=wish.until)


def _proven_car(view: Situation, lp: Loadpoint, wish: Wish) -> Wish:
    """A loadpoint that does not obey is left and entered once; then it may come when it can."""
    if wish.mode is None or wish.mode not in CHARGING:
        return wish
    says = loadpoint_says(view.proofs, lp.name, wish.mode)
    if says.verdict is Verdict.REASSERT:
        return Wish(SMARTLOAD, Why("car_again", _named(wish)), ChargeMode.PV, until=wish.until)
    if says.verdict is Verdict.NOT_OBEYED:
        return replace(wish, why=Why("car_not_obeyed", _named(wish)))
    return wish


def _named(wish: Wish) -> tuple[tuple[str, float | str], ...]:
    return tuple(pair for pair in wish.why.numbers if pair[0] == "vehicle")


def _others(view: Situation, desk: Desk, lp: Loadpoint) -> Wish | None:
    """The wish where somebody else is in control of the loadpoint, or nothing can be decided."""
    if view.idle is not None:
        owner = OPTIMIZER if view.idle.code == "evcc_optimizer" else EVCC
        return Wish(owner, view.idle, give_back=True)
    if view.blind is not None:
        return Wish(EVCC, view.blind)
    if desk.human is not None:
        return Wish(HUMAN, Why("human_mode", (("mode", desk.human.mode.value),)))
    if not lp.connected:
        return Wish(EVCC, Why("turn_none"), give_back=True)
    return Wish(EVCC, Why("evcc_plan")) if lp.plan_active else None


def _without_plan(view: Situation, desk: Desk) -> Wish:
    """No plan to act on: what we had started ends in `pv`; what we never touched stays."""
    expected = view.back_at is not None and view.now - view.back_at < PATIENCE
    if expected:  # after an outage the new plan may take a minute
        return Wish(EVCC, view.no_line)
    if view.no_line.code == "evcc_alone":
        return Wish(EVCC, view.no_line, give_back=True)
    if desk.mode.user is None:
        return Wish(EVCC, view.no_line)
    return Wish(EVCC, view.no_line, ChargeMode.PV)


def _planned(view: Situation, desk: Desk, lp: Loadpoint, line: Line) -> Wish:
    turn = _turn(view, lp)
    car = next((car for car in line.cars if car.loadpoint.casefold() == lp.name.casefold()), None)
    if car is None or _another_car(view, lp, car):
        if turn is None:
            return Wish(EVCC, Why("turn_none"), give_back=True)
        if _plan_under_way(view, desk):
            return Wish(EVCC, turn.why)
        return Wish(SMARTLOAD, turn.why, ChargeMode.PV)
    mode = car.mode
    if mode is ChargeMode.OFF or (mode is ChargeMode.NOW and car.why.code in SUN_CODES):
        mode = ChargeMode.PV  # never `off` by us; sun is no permission for the grid (INV-13)
    if mode is ChargeMode.PV:
        return Wish(SMARTLOAD, car.why, mode, until=car.until)
    soc_pct, energy_kwh = _goal(view, desk, lp, car, turn)
    return Wish(
        SMARTLOAD,
        car.why,
        mode,
        until=car.until,
        limit_soc_pct=soc_pct,
        limit_energy_kwh=energy_kwh,
    )


def _plan_under_way(view: Situation, desk: Desk) -> bool:
    """Whether the car has just come and its plan is still being made."""
    if desk.edge_at is None or view.now - desk.edge_at > PATIENCE:
        return False
    return view.made_at is None or view.made_at < desk.edge_at


def _turn(view: Situation, lp: Loadpoint) -> Turn | None:
    name = lp.name.casefold()
    return next((turn for turn in view.turns if turn.loadpoint.casefold() == name), None)


def _another_car(view: Situation, lp: Loadpoint, car: CarLine) -> bool:
    """Whether another car stands there than the one the plan was made for."""
    if lp.vehicle is None or view.site is None or find(view.site.vehicles, car.vehicle) is None:
        return False
    return lp.vehicle.casefold() != car.vehicle.casefold()


def _goal(
    view: Situation, desk: Desk, lp: Loadpoint, car: CarLine, turn: Turn | None
) -> tuple[float | None, float | None]:
    """The goal of a block as session limit: percent where evcc knows the SoC, otherwise kWh.

    A forgotten `now` ends by itself there. The user's own lower limit is kept.
    """
    in_kwh = turn is not None and turn.energy_kwh is not None
    if lp.vehicle_soc_pct is not None and not in_kwh:
        return _goal_pct(view, desk, lp, car, turn), None
    return None, _goal_kwh(view, desk, lp, car, turn)


def _goal_pct(
    view: Situation, desk: Desk, lp: Loadpoint, car: CarLine, turn: Turn | None
) -> float | None:
    target = turn.target_soc_pct if turn is not None else None
    aim = float(ceil(round(target, 6))) if target is not None else 0.0
    if car.soc_pct is not None and car.soc_pct > aim + 1:
        aim = min(100.0, float(ceil(car.soc_pct / 5) * 5))  # in steps: plans differ by a little
    if aim <= 0:
        return None
    held = desk.limit_soc
    user = held.user if held.user is not None else held.seen
    known = find(view.site.vehicles, lp.vehicle) if view.site and lp.vehicle else None
    in_car = known.limit_soc_pct if known is not None else None
    caps = [float(cap) for cap in (user, in_car) if cap]
    return min([aim, *caps])


def _goal_kwh(
    view: Situation, desk: Desk, lp: Loadpoint, car: CarLine, turn: Turn | None
) -> float | None:
    left = 0.0
    if turn is not None and turn.energy_kwh is not None:
        left = turn.need_kwh
    elif turn is not None:
        left = turn.need_kwh / _efficiency(view.settings, car.vehicle)
    left = left if left > NOTHING_LEFT_KWH else car.block_kwh
    if left <= NOTHING_LEFT_KWH:
        return None
    goal = round(ceil(round((lp.session_kwh + left) * 10, 4)) / 10, 1)
    held = desk.limit_energy
    standing = held.order.value if held.order is not None else held.ours
    step_kwh = ENERGY_STEP_KWH + lp.charge_w / 1000 * ENERGY_LAG_H
    if isinstance(standing, float) and standing > 0 and abs(standing - goal) <= step_kwh:
        return standing
    user = held.user if held.user is not None else held.seen
    return min(goal, float(user)) if user else goal


def _efficiency(settings: Settings, vehicle: str) -> float:
    folded = vehicle.casefold()
    return next(
        (car.charge_efficiency for car in settings.cars if car.name.casefold() == folded), 0.9
    )


# --- the fuse -------------------------------------------------------------------------------------


def fuse_of(view: Situation, desks: tuple[Desk, ...]) -> Fuse:
    """What the house's connection allows of all that is wished now (`view.fuse`: before)."""
    site = view.site
    if site is None or view.idle is not None or view.blind is not None:
        return view.fuse
    free = replace(view, fuse=Fuse())
    battery = battery_wish(free).mode
    loads: list[Load] = []
    if battery is BatteryMode.CHARGE:
        loads.append(battery_load(view.settings, site))
    fast = False
    for lp in site.loadpoints:
        desk = next((one for one in desks if one.name.casefold() == lp.name.casefold()), None)
        mode = car_wish(free, desk, lp).mode if desk is not None and lp.charger else None
        if mode in CHARGING:
            loads.append(
                car_load(view.settings, site, lp, mode=mode, turn=_turn(view, lp), at=view.now)
            )
            fast = fast or mode is ChargeMode.NOW
    held = battery is BatteryMode.HOLD or (
        battery is None and site.discharge_control and fast  # evcc then holds it
    )
    gives_w = max(0.0, -(site.battery.charge_w or 0.0)) if held and site.battery else 0.0
    limits = tuple(
        replace(one, drawn_w=None if one.drawn_w is None else one.drawn_w + gives_w)
        for one in limits_of(view.settings, site, view.circuits)
    )
    return weighed(view.fuse, limits, tuple(loads), view.now)
