"""What is wanted of the battery and of each loadpoint, and why: the plan's line through the gates.

Pure. A gate only ever takes away: it releases the battery and leaves a car to the sun, it never
makes anything charge.
"""

from msgspec.structs import replace

from actors.battery_gates import held_back, too_dear
from actors.departure_wishes import cannot_wait, charging, least_is_safe, unmetered_wish
from actors.fuse import (
    BATTERY,
    Fuse,
    Load,
    battery_load,
    battery_phases,
    car_load,
    limits_of,
    refusal_of,
    weighed,
    without,
)
from actors.fuse_fallbacks import HOLDING, least_load, least_name, serving, with_least
from actors.goals import NOTHING_LEFT_KWH, goal_of
from actors.orders import CHARGING, Desk, Wish
from actors.planner_inputs import CAR_NOT_OBEYED
from actors.proof import (
    TRY_AGAIN,
    Verdict,
    battery_says,
    loadpoint_says,
    refused_of,
)
from actors.script import PATIENCE, CarLine, Line
from actors.situation import EVCC, HUMAN, OPTIMIZER, SMARTLOAD, Situation, turn_of
from engine.values import (
    BatteryMode,
    ChargeMode,
    Loadpoint,
    Site,
    Utc,
    Value,
    Why,
    find,
)

LEAST = {"car_fuse": "car_fuse_least", "car_fuse_phase": "car_fuse_phase_least"}
HOLDS = (BatteryMode.HOLD, BatteryMode.HOLDCHARGE)
SUN_CODES = ("car_sun", "battery_takes_sun")


class BatteryWish(Value, frozen=True):
    """The external battery mode that is to stand (None: released), whose it is, and why."""

    owner: str
    mode: BatteryMode | None
    why: Why
    until: Utc | None = None


# --- the battery ---------------------------------------------------------------------------------


def battery_wish(view: Situation) -> BatteryWish:
    """The external battery mode that is to stand. Serving is evcc's own `normal`: released."""
    unmetered = view.unmetered.why if view.unmetered is not None else None
    released = view.idle or view.blind or unmetered or _no_battery(view.site)
    if released is not None:
        owner = OPTIMIZER if released.code == "evcc_optimizer" else EVCC
        return BatteryWish(owner, None, released)
    return _proven_battery(view, _planned_battery(view))


def _planned_battery(view: Situation) -> BatteryWish:
    line = view.line
    if line is None:
        return BatteryWish(EVCC, None, view.no_line)
    mode, why = line.battery, line.why
    kept = held_back(view) if mode is BatteryMode.NORMAL else None
    if kept is not None:
        mode, why = BatteryMode.HOLD, kept
    if mode is BatteryMode.NORMAL:
        if view.site is not None and line.battery_discharges and _evcc_would_not(view):
            return BatteryWish(SMARTLOAD, BatteryMode.NORMAL, line.why, line.until)
        return BatteryWish(EVCC, None, line.why, line.until)
    if mode is BatteryMode.CHARGE and (closed := _no_charging(view, line)) is not None:
        return BatteryWish(EVCC, None, closed)
    if mode in HOLDS and (serves := refusal_of(view.fuse, HOLDING)) is not None:
        return BatteryWish(EVCC, None, serves)
    return BatteryWish(SMARTLOAD, mode, why, line.until)


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
    if (dear := too_dear(view.settings.battery, view.import_eur_kwh)) is not None:
        return dear
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
    turn = turn_of(view, lp)
    return None if turn is None else turn.need_kwh > NOTHING_LEFT_KWH


def car_wish(view: Situation, desk: Desk, lp: Loadpoint) -> Wish:
    """What is wanted of one loadpoint with a charger."""
    others = _others(view, desk, lp)
    if others is not None:
        return others
    if view.unmetered is not None:
        wish = unmetered_wish(view, desk, lp, view.unmetered)
    elif view.line is None:
        return _without_plan(view, desk)
    else:
        wish = _planned(view, desk, lp, view.line)
    return _fused_car(view, lp, _proven_car(view, desk, lp, wish))


def _fused_car(view: Situation, lp: Loadpoint, wish: Wish) -> Wish:
    """A car that would overload the connection is left to the sun, or gets the least power."""
    refusal = refusal_of(view.fuse, lp.name) if wish.mode in CHARGING else None
    if refusal is None:
        return wish
    unmetered = view.unmetered if refusal.code == "car_unmeasured" else None
    code, mode = refusal.code, ChargeMode.PV
    if unmetered is not None and least_is_safe(view, unmetered):
        code, mode = "car_unmeasured_least", ChargeMode.MINPV
    elif wish.mode is ChargeMode.NOW and least_name(lp) in view.fuse.granted:
        code, mode = LEAST[refusal.code], ChargeMode.MINPV
    why = Why(code, (*_named(wish), *refusal.numbers))
    if wish.why.code in CAR_NOT_OBEYED:
        why = wish.why  # the plan has to know
    if mode is ChargeMode.MINPV:
        return replace(wish, mode=mode, why=why)
    return Wish(SMARTLOAD, why, mode, until=wish.until)


def _proven_car(view: Situation, desk: Desk, lp: Loadpoint, wish: Wish) -> Wish:
    """A loadpoint that does not obey is left and entered once; then nothing is expected of it."""
    if wish.mode is None or wish.owner != SMARTLOAD:
        return wish
    if wish.mode in CHARGING:
        says = loadpoint_says(view.proofs, lp.name, wish.mode)
        if says.verdict is Verdict.REASSERT:
            return Wish(SMARTLOAD, Why("car_again", _named(wish)), ChargeMode.PV, until=wish.until)
    refused = refused_of(view.proofs, lp.name)
    if refused is None or refused.refused_at is None:
        return wish
    until, deaf = refused.refused_at + TRY_AGAIN, refused.mode in CHARGING
    code = "car_not_obeyed" if deaf else "car_draw_not_obeyed"
    shown = replace(wish, why=Why(code, _named(wish)), until=until)
    if not deaf or wish.mode in CHARGING:
        return shown
    return _deaf_car(view, desk, lp, wish, shown)


def _deaf_car(view: Situation, desk: Desk, lp: Loadpoint, wish: Wish, shown: Wish) -> Wish:
    """For an hour its car is planned around (design §7), as long as it needs anything.

    It is told to charge all the same where that hour would cost the departure: then it may come
    when it can.
    """
    turn = turn_of(view, lp)
    if turn is None or not needs_energy(view, lp) or shown.until is None:
        return wish
    return charging(view, desk, lp, shown) if cannot_wait(view, lp, turn, shown.until) else shown


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
        return Wish(EVCC, view.no_line, as_is=True)
    if view.no_line.code == "evcc_alone":
        return Wish(EVCC, view.no_line, give_back=True)
    if desk.mode.user is None:
        return Wish(EVCC, view.no_line)
    return Wish(EVCC, view.no_line, ChargeMode.PV)


def _planned(view: Situation, desk: Desk, lp: Loadpoint, line: Line) -> Wish:
    turn = turn_of(view, lp)
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
    if mode in CHARGING and turn is not None and needs_energy(view, lp) is False:
        return Wish(SMARTLOAD, turn.why, ChargeMode.PV)  # the plan is older than that
    if mode is ChargeMode.PV:
        return Wish(SMARTLOAD, car.why, mode, until=car.until)
    soc_pct, energy_kwh = goal_of(view, desk, lp, car)
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


def _another_car(view: Situation, lp: Loadpoint, car: CarLine) -> bool:
    """Whether another car stands there than the one the plan was made for."""
    if lp.vehicle is None or view.site is None or find(view.site.vehicles, car.vehicle) is None:
        return False
    return lp.vehicle.casefold() != car.vehicle.casefold()


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
    fast: list[Loadpoint] = []
    for lp in site.loadpoints:
        desk = next((one for one in desks if one.name.casefold() == lp.name.casefold()), None)
        mode = car_wish(free, desk, lp).mode if desk is not None and lp.charger else None
        if mode in CHARGING:
            loads.append(_car_load(view, site, lp, mode))
        if mode is ChargeMode.NOW:
            fast.append(lp)
    held = battery in HOLDS or (
        battery is None and site.discharge_control and bool(fast)  # evcc then holds it
    )
    gives_w = max(0.0, -(site.battery.charge_w or 0.0)) if held and site.battery else 0.0
    phases = battery_phases(view.settings)
    limits = tuple(
        without(one, gives_w, phases) for one in limits_of(view.settings, site, view.circuits)
    )
    fuse = weighed(view.fuse, limits, tuple(loads), view.now)
    refused = [lp for lp in fast if (why := refusal_of(fuse, lp.name)) and why.code in LEAST]
    leasts = [
        least_load(_car_load(view, site, lp, ChargeMode.MINPV), lp, lp.mode is not ChargeMode.MINPV)
        for lp in refused
    ]
    fuse = with_least(view.fuse, fuse, limits, tuple(loads), tuple(leasts), at=view.now)
    if battery not in HOLDS:
        return fuse
    return serving(view.fuse, fuse, limits, (*loads, *leasts), view.now)


def _car_load(view: Situation, site: Site, lp: Loadpoint, mode: ChargeMode) -> Load:
    turn = turn_of(view, lp)
    return car_load(view.settings, site, lp, mode=mode, turn=turn, at=view.now)
