"""What the ledger's word changes in all that the actuator knows. Pure."""

from datetime import datetime

from msgspec.structs import replace

from actors.actuator_memory import ActuatorMemory
from actors.left_plans import left_by
from actors.orders import SETTINGS, Desk
from actors.overrides import rules_of
from actors.will import carried_out, inherited, standing
from engine.messages import EstateRead
from engine.values import Control, Site, find


def heard(known: ActuatorMemory, estate: EstateRead, now: datetime) -> ActuatorMemory:
    """At a start: what an earlier life left. Later: whether the will was carried out since."""
    first, site = not known.settled, known.site
    left = left_by(known.left_plans, estate, now)
    known = replace(known, settled=True, left_plans=left)
    if any(one.setting == "battery_mode" and one.value for one in estate.written):
        known = replace(known, battery_out=estate.carried_out_at is None or known.battery_out)
    if not first:
        if estate.carried_out_at is None:
            return known
        desks = tuple(carried_out(desk, estate, now) for desk in known.desks)
        return replace(known, desks=desks, will=(), battery_out=known.stands is not None)
    if site is None or known.measured_at is None:
        return replace(known, estate=estate)
    acts = known.settings.control is Control.ON and known.stopped is None
    desks = tuple(_inherit(desk, estate, site, now, acts) for desk in known.desks)
    return replace(known, desks=desks, will=standing(estate), back_at=now)


def _inherit(desk: Desk, estate: EstateRead, site: Site, now: datetime, acts: bool) -> Desk:
    """A desk of a first reading that came before the estate."""
    lp = find(site.loadpoints, desk.name)
    if lp is None or any(desk.held(setting).user is not None for setting in SETTINGS):
        return desk
    return inherited(desk, estate, now, acts, rules_of(site, None, lp, now).vehicle_mode)
