"""Do the powers of one reading fit together? What is off, and which meter is to blame.

evcc's home power is what is left of grid, PV and battery after the loadpoints, never below 0
(evcc-api.md §1.2). So a sum that is not what its parts say is a meter that was not read, a sum
below 0 a source that is missing, and a part that fell to 0 while the sum fell with it was lost, not
switched off. Tolerance: 100 W + 3 % of the largest part.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from engine.values import Battery, BatteryMode, FailedMeter, Site, Utc, Value

TOLERANCE_W, TOLERANCE_SHARE = 100.0, 0.03
LOST_W = 300.0
"""A part of less is not missed: the house's consumption moves by as much."""
LOST_SHARE, LOST_WITHIN_W = 0.1, 30.0
CLOSE_S = 90.0
"""Two readings that are further apart do not tell what moved together."""
PROOF = timedelta(minutes=15)
"""So long a battery that fell to 0 W is suspected without its SoC moving."""
SOC_MOVED_PCT, SOC_STEPS = 2.0, 3
SOC_STUCK_SHARE = 0.05
"""A SoC that stands while so much of the capacity flows in or out is not read any more."""
IDLE_MODES = (BatteryMode.HOLD, BatteryMode.HOLDCHARGE)


class Found(NamedTuple):
    """Something wrong with one meter. `since` None: as of this reading."""

    name: str
    code: str
    since: datetime | None = None


class Around(NamedTuple):
    """What is known beside the meters. `gap_s`: since the last reading; `sun_w`: the forecast."""

    now: datetime
    gap_s: float
    sun_w: float | None
    soc_range_pct: tuple[float, float]


class Parts(Value, frozen=True):
    """The powers of one reading as evcc adds them up: sources positive. None: unknown."""

    grid_w: float | None
    pv_w: float
    battery_w: float | None
    """Positive while discharging; 0 in a home without one."""
    boxes_w: tuple[tuple[str, float], ...]
    home_w: float | None
    mode: BatteryMode | None = None
    soc_pct: float | None = None

    @property
    def sum_w(self) -> float | None:
        """What the house takes by its parts; None where one is unknown."""
        if self.grid_w is None or self.battery_w is None:
            return None
        return self.grid_w + max(0.0, self.pv_w) + self.battery_w - self.cars_w

    @property
    def cars_w(self) -> float:
        """What all loadpoints take."""
        return sum((power_w for _, power_w in self.boxes_w), 0.0)

    @property
    def tolerance_w(self) -> float:
        """How far off a sum may be."""
        largest = max(abs(self.grid_w or 0.0), abs(self.pv_w), abs(self.battery_w or 0.0))
        return TOLERANCE_W + TOLERANCE_SHARE * max(largest, self.cars_w)


class Cell(Value, frozen=True):
    """The battery's SoC against its power, since either of them began to stand still."""

    soc_pct: float | None = None
    power_w: float | None = None
    stuck_kwh: float = 0.0
    """What has flowed since the SoC moved; charging positive."""
    share: float = 0.0
    """The same as a share of the capacity."""
    zero_moved_pct: float = 0.0
    """How far the SoC has moved while the power read exactly 0."""
    zero_steps: int = 0
    moved_at: Utc | None = None


def parts_of(site: Site) -> Parts:
    """The powers of a reading. evcc leaves out PV and battery of a home that has none."""
    battery = site.battery
    battery_w: float | None = 0.0
    if battery is not None:
        battery_w = None if battery.charge_w is None else 0.0 - battery.charge_w
    return Parts(
        grid_w=site.grid_import_w,
        pv_w=site.pv_w or 0.0,
        battery_w=battery_w,
        boxes_w=tuple((f"loadpoint:{one.name}", one.charge_w) for one in site.loadpoints),
        home_w=site.home_w,
        mode=battery.mode if battery else None,
        soc_pct=battery.soc_pct if battery else None,
    )


def not_balanced(parts: Parts, grid_stands: bool) -> list[Found]:
    """What the sum of one reading gives away. `grid_stands`: grid and home as in the last sum."""
    sum_w, home_w = parts.sum_w, parts.home_w
    if sum_w is None:
        return []
    tolerance_w = parts.tolerance_w
    off_w = 0.0
    if home_w is not None:
        off_w = home_w - (sum_w if home_w > 0 else max(0.0, sum_w))  # cut off at 0 by evcc
    if abs(off_w) > tolerance_w:
        return [Found(name, "meter_unbalanced") for name in _to_blame(parts, off_w, grid_stands)]
    if sum_w < -tolerance_w:
        return [Found("grid" if grid_stands else _lost_source(parts), "meter_unbalanced")]
    return []


def _to_blame(parts: Parts, off_w: float, grid_stands: bool) -> tuple[str, ...]:
    """A grid that was not read leaves grid and home; a wallbox is missing by what it shows."""
    if grid_stands:
        return ("grid",)
    for name, power_w in parts.boxes_w:
        if power_w > 0 and abs(off_w - power_w) <= parts.tolerance_w:
            return (name,)
    if parts.cars_w > 0 and abs(off_w - parts.cars_w) <= parts.tolerance_w:
        return tuple(name for name, power_w in parts.boxes_w if power_w > 0)
    return ("home",)


def _lost_source(parts: Parts) -> str:
    """More flows than anything gives: a source that reads 0 is to blame, if there is just one."""
    dark, idle = parts.pv_w <= 0, parts.mode is not None and parts.battery_w == 0
    if dark and not idle:
        return "pv"
    return "battery" if idle and not dark else "home"


def battery_cell(cell: Cell, battery: Battery | None, now: datetime, dt_s: float) -> Cell:
    """The battery's SoC and power after one more reading, `dt_s` after the last one."""
    if battery is None or battery.soc_pct is None or battery.charge_w is None:
        return Cell()
    soc_pct, power_w = battery.soc_pct, battery.charge_w
    if cell.soc_pct is None or cell.power_w is None or not dt_s:
        return Cell(soc_pct, power_w)
    step_pct = abs(soc_pct - cell.soc_pct)
    stuck_kwh, share = 0.0, 0.0
    if not step_pct:
        stuck_kwh = cell.stuck_kwh + (cell.power_w + power_w) / 2 * dt_s / 3.6e6
        share = abs(stuck_kwh) / battery.capacity_kwh if battery.capacity_kwh else 0.0
    if power_w or cell.power_w:
        return Cell(soc_pct, power_w, stuck_kwh, share)
    moved_at = now if step_pct else cell.moved_at
    if moved_at is None or now - moved_at > PROOF:
        return Cell(soc_pct, power_w, stuck_kwh, share)
    return Cell(
        soc_pct,
        power_w,
        stuck_kwh,
        share,
        cell.zero_moved_pct + step_pct,
        cell.zero_steps + bool(step_pct),
        moved_at,
    )


def gone(
    before: Parts | None,
    parts: Parts,
    cell: Cell,
    suspects: tuple[FailedMeter, ...],
    around: Around,
) -> list[Found]:
    """PV or battery that read 0 W, or a SoC that stands, against what the rest of the home says.

    A lost PV comes back with its first watt, or is no loss any more when the sun is down; a
    battery's loss needs its SoC as a witness to last.
    """
    since = {one.name: one.since for one in suspects if one.why.code == "meter_zero"}
    found, soc_pct = [], parts.soc_pct
    if parts.pv_w == 0 and around.sun_w != 0:
        by_sun = around.sun_w is not None
        lasts = "pv" in since and (by_sun or around.now - since["pv"] < PROOF)
        fell = before is not None and _fell(before, parts, before.pv_w)
        if lasts or (fell and (by_sun or around.gap_s <= CLOSE_S)):
            found.append(Found("pv", "meter_zero"))
    if soc_pct is not None and parts.battery_w == 0:
        flows = cell.zero_moved_pct >= SOC_MOVED_PCT and cell.zero_steps >= SOC_STEPS
        witnesses = [at for at in (since.get("battery"), cell.moved_at) if at is not None]
        lasts = "battery" in since and around.now - max(witnesses) < PROOF
        fell = before is not None and _fell(before, parts, before.battery_w or 0.0)
        if around.gap_s > CLOSE_S or _rests(parts, around.soc_range_pct):
            fell = False
        if flows or lasts or fell:
            found.append(Found("battery", "meter_zero"))
    if soc_pct is not None and 2 < soc_pct < 98 and cell.share >= SOC_STUCK_SHARE:
        found.append(Found("battery", "meter_soc_stands"))
    return found


def _rests(parts: Parts, soc_range_pct: tuple[float, float]) -> bool:
    """Held, full or empty: then 0 W is what a battery does."""
    low_pct, high_pct = soc_range_pct
    soc_pct = 50.0 if parts.soc_pct is None else parts.soc_pct
    return parts.mode in IDLE_MODES or not low_pct + 1 < soc_pct < high_pct - 1


def _fell(before: Parts, parts: Parts, lost_w: float) -> bool:
    """Whether the sum has lost just what this part gave (or took): then it was not read.

    Where the part is really off, grid or battery make up for it and the sum stays.
    """
    old_w, new_w = before.sum_w, parts.sum_w
    if old_w is None or new_w is None or abs(lost_w) < LOST_W:
        return False
    return abs(new_w - old_w + lost_w) <= LOST_SHARE * abs(lost_w) + LOST_WITHIN_W
