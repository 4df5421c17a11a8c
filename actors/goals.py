"""The goal of a block, as a session limit that ends a forgotten `now` by itself. Pure."""

from math import ceil

from actors.orders import Desk
from actors.script import CarLine
from actors.situation import Situation, turn_of
from engine.settings import Settings
from engine.values import Loadpoint, Site, Turn, find

NOTHING_LEFT_KWH = 0.0
ENERGY_STEP_KWH = 0.5
ENERGY_LAG_H = 0.25
"""A goal in kWh adds the session (each reading) to the need (each slot): it is set anew only
beyond this step and what was charged meanwhile."""


def goal_of(
    view: Situation, desk: Desk, lp: Loadpoint, car: CarLine | None
) -> tuple[float | None, float | None]:
    """Percent where evcc knows the SoC, otherwise kWh; `car`: what the plan says of it.

    The user's own lower limit is kept.
    """
    site, settings, turn = view.site, view.settings, turn_of(view, lp)
    in_kwh = turn is not None and turn.energy_kwh is not None
    if lp.vehicle_soc_pct is not None and not in_kwh:
        return _goal_pct(site, desk, lp, car, turn), None
    return None, _goal_kwh(settings, desk, lp, car, turn)


def _goal_pct(
    site: Site | None, desk: Desk, lp: Loadpoint, car: CarLine | None, turn: Turn | None
) -> float | None:
    target = turn.target_soc_pct if turn is not None else None
    aim = float(ceil(round(target, 6))) if target is not None else 0.0
    soc_pct = car.soc_pct if car is not None else None
    if soc_pct is not None and soc_pct > aim + 1:
        aim = min(100.0, float(ceil(soc_pct / 5) * 5))  # in steps: plans differ by a little
    if aim <= 0:
        return None
    held = desk.limit_soc
    user = held.user if held.user is not None else held.seen
    known = find(site.vehicles, lp.vehicle) if site and lp.vehicle else None
    in_car = known.limit_soc_pct if known is not None else None
    caps = [float(cap) for cap in (user, in_car) if cap]
    return min([aim, *caps])


def _goal_kwh(
    settings: Settings, desk: Desk, lp: Loadpoint, car: CarLine | None, turn: Turn | None
) -> float | None:
    vehicle = car.vehicle if car is not None else None
    left = ac_kwh(turn, settings, vehicle) if turn is not None else 0.0
    left = left if left > NOTHING_LEFT_KWH or car is None else car.block_kwh
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


def ac_kwh(turn: Turn, settings: Settings, vehicle: str | None = None) -> float:
    """What is missing, at the wallbox."""
    if turn.energy_kwh is not None:
        return turn.need_kwh
    return turn.need_kwh / _efficiency(settings, vehicle or turn.vehicle or "")


def _efficiency(settings: Settings, vehicle: str) -> float:
    folded = vehicle.casefold()
    return next(
        (car.charge_efficiency for car in settings.cars if car.name.casefold() == folded), 0.9
    )
