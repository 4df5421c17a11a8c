"""All that the actuator's decisions rest on at a moment, out of its memory."""

from datetime import datetime

from msgspec.structs import replace

from actors.actuator_memory import ActuatorMemory
from actors.fuse import circuit_limits
from actors.meters import blind_by_meters
from actors.situation import Situation, Unmetered, blind_of, line_of
from engine.values import HomeState, Why

IMPORT = frozenset({"grid", "home"})
"""While one of these has failed nobody knows what the house draws."""


def mended(known: ActuatorMemory, state: HomeState, now: datetime) -> bool:
    """Whether a failed meter is sound again in this reading: a plan will come soon."""
    before, after = known.failed_meters, state.failed_meters
    return blind_by_meters(before, now) is not None and blind_by_meters(after, now) is None


def view_of(known: ActuatorMemory, now: datetime, idle: Why | None) -> Situation:
    """The situation of now. `idle`: why nothing is ours to decide."""
    site, prices, script = known.site, known.import_eur_kwh, known.script
    if idle is None and site is not None and site.optimizer_controls:
        idle = Why("evcc_optimizer")
    line, no_line = line_of(script, now)
    blind = blind_of(known.settings, known.measured_at, now)
    circuits = circuit_limits(site) if site is not None else ()
    unmetered = None
    failed = blind_by_meters(known.failed_meters, now)
    if failed is not None:
        unmetered = Unmetered(failed)
        if site is not None and {one.name for one in known.failed_meters} & IMPORT:
            unmetered = Unmetered(failed, exports=(site.grid_import_w or 0.0) < 0)
            site = replace(site, grid_import_w=None)
            circuits = tuple(replace(one, drawn_w=None) for one in circuits)
    return Situation(
        now=now,
        settings=known.settings,
        site=site,
        turns=known.turns,
        made_at=script.made_at if script else None,
        back_at=known.back_at,
        line=line,
        no_line=no_line,
        blind=blind,
        unmetered=unmetered,
        idle=idle,
        import_eur_kwh=prices.at(now) if prices else None,
        grid_failed=known.grid_failed,
        proofs=known.proofs,
        fuse=known.fuse,
        circuits=circuits,
    )
