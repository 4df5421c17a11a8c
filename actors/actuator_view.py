"""All that the actuator's decisions rest on at a moment, out of its memory."""

from datetime import datetime

from actors.actuator_memory import ActuatorMemory
from actors.meters import blind_by_meters
from actors.wishes import Situation, blind_of, line_of
from engine.values import Why


def view_of(known: ActuatorMemory, now: datetime, idle: Why | None) -> Situation:
    """The situation of now. `idle`: why nothing is ours to decide."""
    site, prices, script = known.site, known.import_eur_kwh, known.script
    if idle is None and site is not None and site.optimizer_controls:
        idle = Why("evcc_optimizer")
    line, no_line = line_of(script, now)
    blind = blind_of(known.settings, known.measured_at, now)
    return Situation(
        now=now,
        settings=known.settings,
        site=site,
        turns=known.turns,
        made_at=script.made_at if script else None,
        back_at=known.back_at,
        line=line,
        no_line=no_line,
        blind=blind or blind_by_meters(known.failed_meters, now),
        idle=idle,
        import_eur_kwh=prices.at(now) if prices else None,
        grid_failed=known.grid_failed,
        proofs=known.proofs,
        fuse=known.fuse,
    )
