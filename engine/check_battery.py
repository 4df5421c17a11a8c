"""What a battery's power says about a battery mode: obeyed, not obeyed, or nothing (design §7).

Pure. evcc shows a mode that the inverter never got as if it stood (evcc-api.md §4), so the only
proof is the measured power, and only where the mode makes a difference: a battery that has nothing
to do looks the same in `hold` and in `normal`.
"""

from collections.abc import Sequence
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from engine.settings import BatterySettings
from engine.values import BatteryMode

IDLE_W = 75.0
"""Up to this an inverter at rest may show."""
SHOWS_W = 150.0
"""From here on a power means something."""
IN_A_ROW = 3
"""So many cycles have to agree."""
SOC_SLACK_PCT = 1.5
"""A SoC in whole percents may move that much without meaning."""
FULL_PCT = 95.0
"""From here on a battery may refuse to charge of its own accord."""
TAPERS_PCT = 90.0
"""From here on its charge power is not its full power."""
STEADY = 0.1


class Outcome(StrEnum):
    """What came of trying a setting."""

    WORKS = "works"
    NOT_OBEYED = "not obeyed"
    UNCLEAR = "could not tell"
    NOT_TRIED = "not tried"


class Verdict(NamedTuple):
    """An outcome, and why."""

    outcome: Outcome
    why: str


class Sample(NamedTuple):
    """One cycle's readings; `charge_w` is negative while discharging."""

    soc_pct: float | None
    charge_w: float
    grid_import_w: float

    @property
    def spare_w(self) -> float:
        """What the sun leaves after all loads; negative: what the house needs."""
        return self.charge_w - self.grid_import_w

    @property
    def idle(self) -> bool:
        """The battery does nothing."""
        return abs(self.charge_w) <= IDLE_W

    @property
    def serves(self) -> bool:
        """The battery gives."""
        return self.charge_w < -SHOWS_W

    @property
    def charges(self) -> bool:
        """The battery takes."""
        return self.charge_w > SHOWS_W

    @property
    def needy(self) -> bool:
        """The house needs more than the sun gives."""
        return self.spare_w < -SHOWS_W

    @property
    def sunny(self) -> bool:
        """The sun gives more than the house needs."""
        return self.spare_w > SHOWS_W

    @property
    def from_grid(self) -> bool:
        """The battery takes more than the sun leaves."""
        return self.charge_w > max(0.0, self.spare_w) + SHOWS_W


def judge(
    mode: BatteryMode,
    before: Sequence[Sample],
    during: Sequence[Sample],
    battery: BatterySettings,
) -> Verdict:
    """What the last three of `during` say about `hold`, `charge` or `holdcharge`.

    `before` was read in `normal` just before: only what changed is a proof.
    """
    last = during[-IN_A_ROW:]
    if len(last) < IN_A_ROW or not before:
        return Verdict(Outcome.UNCLEAR, "evcc showed too few powers of battery and grid")
    rules = {BatteryMode.CHARGE: _charge, BatteryMode.HOLDCHARGE: _holdcharge}
    verdict = rules.get(mode, _hold)(before, last, battery)
    if verdict.outcome is Outcome.WORKS and (contrary := _soc_contradicts(mode, during)):
        return Verdict(Outcome.UNCLEAR, contrary)
    return verdict


def _hold(before: Sequence[Sample], last: Sequence[Sample], _: BatterySettings) -> Verdict:
    if all(one.serves or one.from_grid for one in last):
        does = "charged from the grid with" if last[-1].from_grid else "still gave"
        return Verdict(Outcome.NOT_OBEYED, f"the battery {does} {_watts(last)}")
    if any(one.serves or one.from_grid for one in last):
        return Verdict(Outcome.UNCLEAR, "its power did not settle")
    if _all_idle(last) and _needs_on(before, last):
        return Verdict(Outcome.WORKS, "the house drew power and the battery gave none")
    if _all_idle(last) and _sun_on(before, last):
        return Verdict(Outcome.WORKS, "the sun had power to spare and the battery took none")
    if all(one.sunny and one.charges for one in last):
        return Verdict(
            Outcome.UNCLEAR,
            "the sun charged it as in `normal`; try again while the battery serves the house",
        )
    return Verdict(
        Outcome.UNCLEAR,
        "it neither served the house nor took from the sun all the time, so holding looks the "
        "same; try again when it does",
    )


def _charge(_: Sequence[Sample], last: Sequence[Sample], battery: BatterySettings) -> Verdict:
    if all(one.from_grid for one in last):
        return Verdict(Outcome.WORKS, f"it charged with {_watts(last)}")
    if any(one.from_grid for one in last):
        return Verdict(Outcome.UNCLEAR, "its power did not settle")
    soc_pct = last[-1].soc_pct
    if soc_pct is None or soc_pct >= min(battery.max_soc_pct, FULL_PCT):
        at = "its SoC is unknown" if soc_pct is None else f"its SoC is {soc_pct:.0f} %"
        return Verdict(Outcome.UNCLEAR, f"{at}: it may be full; try again when it is not")
    if all(one.charges for one in last):
        return Verdict(Outcome.UNCLEAR, "the sun alone explains what it took; try again without")
    return Verdict(
        Outcome.NOT_OBEYED,
        f"it did not charge from the grid at a SoC of {soc_pct:.0f} % (unless evcc's `maxsoc` of "
        "this battery is reached)",
    )


def _holdcharge(before: Sequence[Sample], last: Sequence[Sample], _: BatterySettings) -> Verdict:
    if all(one.charges for one in last):
        return Verdict(Outcome.NOT_OBEYED, f"it charged with {_watts(last)}")
    if any(one.charges for one in last):
        return Verdict(Outcome.UNCLEAR, "its power did not settle")
    if _all_idle(last) and _needs_on(before, last):
        return Verdict(Outcome.NOT_OBEYED, "it gave nothing to the house, as in `hold`")
    if _all_idle(last) and _sun_on(before, last):
        return Verdict(Outcome.WORKS, "the sun had power to spare and the battery took none")
    return Verdict(
        Outcome.UNCLEAR,
        "no sun charged it all the time, so not charging looks the same; try again in the sun",
    )


def stuck(before: Sequence[Sample], after: Sequence[Sample], battery: BatterySettings) -> str:
    """What a released battery does that `normal` does not explain; empty: nothing."""
    last = after[-IN_A_ROW:]
    if len(last) < IN_A_ROW:
        return ""
    if all(one.from_grid for one in last):
        return f"it goes on charging {_watts(last)} from the grid"
    socs = [one.soc_pct for one in last if one.soc_pct is not None]
    if not _all_idle(last) or not socs:
        return ""
    if _needs_on(before, last) and min(socs) > battery.min_soc_pct:
        return "it gives nothing to the house any more"
    if _sun_on(before, last) and max(socs) < min(battery.max_soc_pct, FULL_PCT):
        return "it takes nothing from the sun any more"
    return ""


def hold_charges_from_pv(before: Sequence[Sample], during: Sequence[Sample]) -> bool | None:
    """Whether the battery charged from the sun in `hold`; None where no sun could show it."""
    last = during[-IN_A_ROW:]
    if len(last) < IN_A_ROW or not _sun_on(before, last):
        return None
    if all(one.charges and not one.from_grid for one in last):
        return True
    return False if _all_idle(last) else None


def full_charge_kw(during: Sequence[Sample]) -> float | None:
    """The battery's charge power, to 0.1 kW; None while it wavers or tapers off."""
    last = during[-IN_A_ROW:]
    if any(one.soc_pct is None or one.soc_pct >= TAPERS_PCT for one in last):
        return None
    powers = [one.charge_w for one in last]
    middle_w = median(powers)
    if any(abs(one - middle_w) > STEADY * middle_w for one in powers):
        return None
    return round(middle_w / 1000.0, 1)


def _needs_on(before: Sequence[Sample], last: Sequence[Sample]) -> bool:
    """The battery served the house before, and the house still needs it."""
    return before[-1].serves and all(one.needy for one in last)


def _sun_on(before: Sequence[Sample], last: Sequence[Sample]) -> bool:
    """The sun charged the battery before, and still has power to spare."""
    first = before[-1]
    return first.charges and not first.from_grid and all(one.sunny for one in last)


def _all_idle(last: Sequence[Sample]) -> bool:
    return all(one.idle for one in last)


def _watts(last: Sequence[Sample]) -> str:
    return f"{abs(median(one.charge_w for one in last)):.0f} W"


def _soc_contradicts(mode: BatteryMode, during: Sequence[Sample]) -> str:
    """The SoC moved against what the power says; empty: it did not."""
    known = [one.soc_pct for one in during if one.soc_pct is not None]
    if len(known) < 2:
        return ""
    rise_pct = known[-1] - known[0]
    falls = mode is not BatteryMode.HOLDCHARGE and rise_pct < -SOC_SLACK_PCT
    rises = mode is BatteryMode.HOLDCHARGE and rise_pct > SOC_SLACK_PCT
    if not falls and not rises:
        return ""
    return f"power and SoC contradict each other ({known[0]:.0f} % to {known[-1]:.0f} %)"
