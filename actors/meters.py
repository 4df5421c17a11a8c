"""Watches the home's meters: which of them cannot be believed at present, since when and why.

A failed meter looks well in evcc's state (evcc-api.md §10.22): the grid's keeps its last value and
the house's consumption with it; PV and battery read 0; a wallbox keeps its last values and turns up
as consumption. What gives them away: a value that stands although it used to move, a sum that is
not what its parts say, a 0 that does not fit. Pure: `watched` is a function of watch and reading.

A meter's usual update interval is learnt: the longest pause between two changes of late. Until a
meter has moved ten times, and in the first ten minutes, nothing counts as standing: a home whose
weather is constant has no failed meters. At rest (a sun of less than 200 W, a battery or wallbox at
0 W) nothing has to move.
"""

from datetime import datetime, timedelta

import msgspec

from actors.meter_balance import (
    Around,
    Cell,
    Found,
    Parts,
    battery_cell,
    gone,
    not_balanced,
    parts_of,
)
from engine.values import FailedMeter, Loadpoint, Site, Utc, Value, Why

FAILED_AFTER = 3.0
"""So many of its usual update intervals a meter may stand."""
FIRST = timedelta(minutes=10)
CHANGES = 10
DECIDED_FOR = timedelta(minutes=2)
"""So long after a meter failed there may still be decisions on readings."""
FORGOTTEN = timedelta(days=1)
"""A meter that evcc does not show for so long is none of this home's any more."""
FADES = 0.05
PV_RESTS_W, BATTERY_RESTS_W, BOX_RESTS_W = 200.0, 50.0, 100.0
SUN_STANDS_S = 900.0
"""A clear sun changes so little at noon that its meter may stand for so long."""
SOC_STEP_PCT = 1.5
"""A battery stands only when its SoC should have moved by so much: most show whole percents."""
PLANNED_ON = ("grid", "pv", "battery", "home")


class Track(Value, frozen=True):
    """When one meter moved last, and how long its pauses usually are."""

    name: str
    reading: tuple[float, ...]
    moved_at: Utc
    working: bool
    """Not at rest: it has to move."""
    usual_s: float = 0.0
    changes: int = 0


class MeterWatch(Value, frozen=True):
    """All that is remembered of the meters: a few numbers for each."""

    since: Utc | None = None
    at: Utc | None = None
    tracks: tuple[Track, ...] = ()
    known: tuple[str, ...] = ()
    """Meters that evcc has shown."""
    parts: Parts | None = None
    """The last reading's powers."""
    balanced_at: Utc | None = None
    cell: Cell = Cell()
    suspects: tuple[FailedMeter, ...] = ()
    """What was found in the last reading, failed or not yet."""
    failed: tuple[FailedMeter, ...] = ()


def watched(
    watch: MeterWatch,
    site: Site,
    now: datetime,
    *,
    tick_s: float = 10.0,
    sun_w: float | None = None,
    soc_range_pct: tuple[float, float] = (0.0, 100.0),
) -> tuple[MeterWatch, tuple[FailedMeter, ...]]:
    """The watch after the reading `site` of `now`, and the meters that have failed, by name.

    Names: `grid`, `pv`, `battery`, `home` (the parts do not add up and none is to blame for sure)
    and `loadpoint:NAME`. What does not balance or is missing has failed when it lasts for more than
    a cycle of evcc. `sun_w`: evcc's solar forecast of now; `soc_range_pct`: where the battery rests
    by itself. A reading that is not newer changes nothing. After a pause in the readings the watch
    begins afresh but for what it has learnt.
    """
    if watch.at is not None and now <= watch.at:
        return watch, watch.failed
    step_s = max(site.interval_s, tick_s)
    gap_s = (now - watch.at).total_seconds() if watch.at else 0.0
    if gap_s > 3 * step_s + 60.0:
        watch = _after_a_pause(watch, now)
    watch = msgspec.structs.replace(watch, since=watch.since or now)
    tracks, parts = _moved(watch.tracks, site, now), parts_of(site)
    cell = battery_cell(watch.cell, site.battery, now, gap_s if watch.parts else 0.0)
    young = now - (watch.since or now) < FIRST
    stands = [] if young else _standing(tracks, site, now, step_s)
    off = not_balanced(parts, _grid_stands(tracks, watch.balanced_at))
    around = Around(now, gap_s, sun_w, soc_range_pct)
    found = [
        *_missing(watch.known, site),
        *stands,
        *off,
        *gone(watch.parts, parts, cell, watch.suspects, around),
    ]
    suspects = _since(watch.suspects, found, now)
    sure = {one.name for one in stands}
    sure |= {
        one.name for one in watch.suspects if (now - one.since).total_seconds() > site.interval_s
    }
    failed = tuple(sorted((one for one in suspects if one.name in sure), key=lambda one: one.name))
    watch = MeterWatch(
        since=watch.since,
        at=now,
        tracks=tracks,
        known=_known(watch, suspects, site, now),
        parts=parts,
        balanced_at=watch.balanced_at if off else now,
        cell=cell,
        suspects=suspects,
        failed=failed,
    )
    return watch, failed


def blind_by_meters(failed: tuple[FailedMeter, ...], now: datetime) -> Why | None:
    """Why nothing may be decided on readings with these failed meters, or None.

    Grid, PV, battery or the balance has failed.

    None while all is well, and in the first two minutes. The fuse and the plan ask this; a wallbox
    that failed blinds nobody to the rest of the home.
    """
    for one in failed:
        if one.name in PLANNED_ON and now - one.since > DECIDED_FOR:
            numbers = (("meter", f"{one.name}_meter"), ("since_at", one.since.isoformat()))
            return Why("meters_failed", numbers)
    return None


# --- movement -------------------------------------------------------------------------------------


def _after_a_pause(watch: MeterWatch, now: datetime) -> MeterWatch:
    """Nobody knows what happened meanwhile: all pauses begin now, and nothing is suspected."""
    return MeterWatch(
        since=watch.since,
        tracks=tuple(
            msgspec.structs.replace(one, moved_at=now, working=False) for one in watch.tracks
        ),
        known=watch.known,
    )


def _grid_stands(tracks: tuple[Track, ...], balanced_at: datetime | None) -> bool:
    """Whether grid and home are still as they were when the parts last added up."""
    if balanced_at is None:
        return False
    return any(one.name == "grid" and one.moved_at <= balanced_at for one in tracks)


def _readings(site: Site) -> list[tuple[str, tuple[float, ...], bool]]:
    """What stands while a meter fails, by meter, and whether it has to move at present.

    While the battery balances the grid to 0 W the house's consumption moves; only both together
    tell that the grid's meter stands. A battery's SoC moves, too; and a wallbox's session.
    """
    found: list[tuple[str, tuple[float, ...], bool]] = []
    if site.grid_import_w is not None and site.home_w is not None:
        found.append(("grid", (site.grid_import_w, site.home_w), True))
    if site.grid_import_w is not None:
        regulated = site.battery is not None and site.battery.charge_w != 0
        found.append(("grid zero", (site.grid_import_w,), not regulated))
    if site.pv_w is not None:
        found.append(("pv", (site.pv_w,), site.pv_w >= PV_RESTS_W))
    battery = site.battery
    if battery is not None and battery.charge_w is not None:
        works = abs(battery.charge_w) >= BATTERY_RESTS_W
        found.append(("battery", (battery.charge_w, battery.soc_pct or 0.0), works))
    for point in site.loadpoints:
        if point.charger:
            works = point.charging and point.charge_w >= BOX_RESTS_W
            found.append((_name(point), (point.charge_w, point.session_kwh), works))
    return found


def _name(point: Loadpoint) -> str:
    return f"loadpoint:{point.name}"


def _moved(tracks: tuple[Track, ...], site: Site, now: datetime) -> tuple[Track, ...]:
    """The tracks after a reading. Meters that are not in it keep theirs."""
    kept = {one.name: one for one in tracks}
    for name, reading, working in _readings(site):
        old = kept.get(name)
        if old is None:
            kept[name] = Track(name, reading, now, working)
        elif reading != old.reading:
            kept[name] = _learnt(old, reading, working, now)
        elif working != old.working:
            kept[name] = msgspec.structs.replace(old, moved_at=now, working=working)
    return tuple(kept.values())


def _learnt(old: Track, reading: tuple[float, ...], working: bool, now: datetime) -> Track:
    """Longer pauses count at once but at most double what is usual; shorter ones little by little.

    What stood at rest teaches nothing.
    """
    usual_s, changes = old.usual_s, old.changes
    if old.working:
        pause_s = (now - old.moved_at).total_seconds()
        known = min(pause_s, 2 * usual_s) if usual_s else pause_s
        usual_s = known if known > usual_s else usual_s + FADES * (known - usual_s)
        changes += 1
    return Track(old.name, reading, now, working, usual_s, min(changes, CHANGES))


def _standing(tracks: tuple[Track, ...], site: Site, now: datetime, step_s: float) -> list[Found]:
    """Meters that have to move and have not for three times their usual interval."""
    found = []
    for one in tracks:
        stood_s = (now - one.moved_at).total_seconds()
        allowed_s = FAILED_AFTER * max(one.usual_s, step_s)
        if one.name == "pv":
            allowed_s = max(allowed_s, SUN_STANDS_S)
        if not one.working or one.changes < CHANGES or stood_s <= allowed_s:
            continue
        if one.name == "battery" and not _soc_is_due(site, stood_s):
            continue
        if one.name == "grid zero" and one.reading != (0.0,):
            continue
        name = "grid" if one.name == "grid zero" else one.name
        found.append(Found(name, "meter_frozen", one.moved_at))
    return found


def _soc_is_due(site: Site, stood_s: float) -> bool:
    battery = site.battery
    if battery is None or battery.charge_w is None or not battery.capacity_kwh:
        return False
    kwh = abs(battery.charge_w) * stood_s / 3.6e6
    return 100.0 * kwh / battery.capacity_kwh >= SOC_STEP_PCT


# --- presence -------------------------------------------------------------------------------------


def _shown(site: Site) -> dict[str, None]:
    """The meters that evcc shows now."""
    battery = site.battery
    values = {
        "grid": site.grid_import_w,
        "pv": site.pv_w,
        "battery": battery.charge_w if battery else None,
        "home": site.home_w,
    }
    return dict.fromkeys(name for name, value in values.items() if value is not None)


def _known(
    watch: MeterWatch, suspects: tuple[FailedMeter, ...], site: Site, now: datetime
) -> tuple[str, ...]:
    """The meters of this home: those shown, and those that have not been missing for a day."""
    old = {one.name for one in suspects if now - one.since > FORGOTTEN}
    shown = _shown(site)
    return tuple(
        name for name in {**dict.fromkeys(watch.known), **shown} if name in shown or name not in old
    )


def _missing(known: tuple[str, ...], site: Site) -> list[Found]:
    shown = _shown(site)
    return [Found(name, "meter_missing") for name in known if name not in shown]


# --- the outcome ----------------------------------------------------------------------------------


def _since(
    before: tuple[FailedMeter, ...], found: list[Found], now: datetime
) -> tuple[FailedMeter, ...]:
    """Each meter once, the first finding counts. What lasts keeps its beginning and its reason."""
    old = {one.name: one for one in before}
    new: dict[str, FailedMeter] = {}
    for one in found:
        if one.name not in new:
            why = Why(one.code, _numbers(one.name))
            new[one.name] = old.get(one.name) or FailedMeter(one.name, one.since or now, why)
    return tuple(new.values())


def _numbers(name: str) -> tuple[tuple[str, float | str], ...]:
    kind, _, point = name.partition(":")
    meter = ("meter", f"{kind}_meter")
    return (meter, ("loadpoint", point)) if point else (meter,)
