"""What is wanted of cars with a departure where no plan says it: a failed meter, a deaf wallbox.

Pure. While a meter has failed nothing is decided on it; departures are kept all the same.
"""

from datetime import datetime

from msgspec.structs import replace

from actors.deadlines import is_open, latest_start
from actors.fuse import limits_of
from actors.goals import goal_of
from actors.orders import CHARGING, Desk, Wish
from actors.planner_inputs import powers_kw
from actors.situation import EVCC, SMARTLOAD, Situation, Unmetered, turn_of
from engine.values import ChargeMode, Loadpoint, Turn, Why


def unmetered_wish(view: Situation, desk: Desk, lp: Loadpoint, failed: Unmetered) -> Wish:
    """Nothing is decided on the meter: only departures are kept, as late as is safe.

    It may come back before (as prices may, `rules.py`); a plan of hours ago knew less than that.
    What goes on for a departure goes on to its limit, all else that we had started ends in `pv`.
    """
    turn = turn_of(view, lp)
    if turn is None or not is_open(turn, view.now):
        mode = None if desk.mode.user is None else ChargeMode.PV
        return Wish(EVCC, failed.why, mode)
    named = ("vehicle", turn.vehicle or lp.title)
    start = latest_start(turn, view.settings, _sure_kw(view, lp, turn), view.now)
    under_way = desk.mode.user is not None and desk.mode.present in CHARGING
    if view.now < start and not under_way:
        numbers = (named, ("next_at", start.isoformat()))
        return Wish(SMARTLOAD, Why("car_waits_unmetered", numbers), ChargeMode.PV, until=start)
    by = (("departure_at", turn.departure.isoformat()),) if turn.departure else ()
    why = Why("car_deadline_unmetered", (named, *by))
    return charging(view, desk, lp, Wish(SMARTLOAD, why, until=turn.departure))


def _sure_kw(view: Situation, lp: Loadpoint, turn: Turn) -> float:
    """The power that the car is sure to get: the least where nobody measures the import."""
    least_kw, most_kw = powers_kw(view.site, view.settings, lp, turn.vehicle)
    limits = limits_of(view.settings, view.site, view.circuits) if view.site else ()
    return least_kw if any(one.drawn_w is None for one in limits) else most_kw


def least_is_safe(view: Situation, failed: Unmetered) -> bool:
    """Whether all that wait for a departure may draw their least power unmeasured.

    That is at most half of the connection, on all phases: evcc takes minutes to switch them. While
    it goes on reading a surplus, its `minpv` would follow that to full power.
    """
    if view.site is None or failed.exports:
        return False
    least_kw = sum(
        _first_kw(view, one, turn)
        for one in view.site.loadpoints
        if one.connected and (turn := turn_of(view, one)) is not None and is_open(turn, view.now)
    )
    limits = limits_of(view.settings, view.site, view.circuits)
    return all(1000 * least_kw <= one.limit_w / 2 for one in limits)


def _first_kw(view: Situation, lp: Loadpoint, turn: Turn) -> float:
    least_kw, most_kw = powers_kw(view.site, view.settings, lp, turn.vehicle)
    return min(most_kw, least_kw * (3 if lp.can_switch_phases else 1))


def cannot_wait(view: Situation, lp: Loadpoint, turn: Turn, until: datetime) -> bool:
    """Whether a car that starts no sooner than `until` may miss its departure."""
    most_kw = powers_kw(view.site, view.settings, lp, turn.vehicle)[1]
    start = latest_start(turn, view.settings, most_kw, view.now)
    return is_open(turn, view.now) and start <= until


def charging(view: Situation, desk: Desk, lp: Loadpoint, wish: Wish) -> Wish:
    """`now` to the turn's own goal, where no plan has one."""
    soc_pct, kwh = goal_of(view, desk, lp, None)
    return replace(wish, mode=ChargeMode.NOW, limit_soc_pct=soc_pct, limit_energy_kwh=kwh)
