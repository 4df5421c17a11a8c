"""Power is the proof: whether battery and loadpoints do what evcc says that it told them.

Recorded (evcc-api.md §4): one swallowed inverter error, and evcc shows `hold` while the battery
charges from the grid for ever; after a kill of evcc the inverter keeps its mode; a battery that was
full does not charge again by itself. So each reading is held against the mode in force. What
contradicts it for long enough is left and entered once, then shown as not obeyed for an hour.

Pure: no clock, all state in `Proofs`. Powers in W, SoC in percent; None is unknown, and unknown is
no evidence.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec.structs import replace

from actors.contradictions import (
    CHARGING,
    SET_MODES,
    at_maximum,
    battery_contradicts,
    charges,
    loadpoint_contradicts,
)
from actors.orders import Desk
from engine.settings import Settings
from engine.values import Battery, BatteryMode, ChargeMode, HomeState, Site, Utc, Value

BATTERY = "battery_mode"
RELEASED = ""
"""The mode of a battery that is left to evcc."""
CYCLES = 3
SETTLE = timedelta(seconds=15)
"""What a failing meter can add to an evcc cycle."""
CAR_PATIENCE = timedelta(minutes=5)
TRUSTED_AGAIN = timedelta(minutes=15)
"""Who has obeyed for so long is left and entered once more at the next contradiction."""
TRY_AGAIN = timedelta(hours=1)
"""So long a mode that is not obeyed is left alone."""
OWN_MAX_FROM_PCT = 80.0
"""A battery that stops charging above this has a maximum of its own; below it fails."""
FORGOTTEN_PCT = 1.0
"""A maximum that it charges beyond by so much is none."""


class Verdict(StrEnum):
    """What is to be thought of one setting in one mode."""

    OBEYS = "obeys"
    SUSPECTED = "suspected"
    REASSERT = "reassert"
    """It is to be left now; once it was away for long enough, it is to be entered again."""
    NOT_OBEYED = "not_obeyed"


class Says(Value, frozen=True):
    """A verdict, and since when it holds."""

    verdict: Verdict = Verdict.OBEYS
    since: Utc | None = None


class Proof(Value, frozen=True):
    """What power has shown of one setting in one mode.

    `shown_at`: the first reading in which evcc shows the mode. `worked`: it did what the mode
    asks since then. `leaving_at`, `away_at`: it is being left, and evcc no longer has it.
    """

    setting: str
    mode: str
    entered_at: Utc | None = None
    shown_at: Utc | None = None
    worked: bool = False
    good_at: Utc | None = None
    against_at: Utc | None = None
    leaving_at: Utc | None = None
    away_at: Utc | None = None
    reasserted_at: Utc | None = None
    refused_at: Utc | None = None
    phases: int = 0

    @property
    def says(self) -> Says:
        """The verdict of this proof."""
        if self.refused_at is not None:
            return Says(Verdict.NOT_OBEYED, self.refused_at)
        if self.leaving_at is not None:
            return Says(Verdict.REASSERT, self.leaving_at)
        if self.against_at is not None:
            return Says(Verdict.SUSPECTED, self.against_at)
        return Says()


class Proofs(Value, frozen=True):
    """All that power has shown. `full_pct`: where the battery was seen to stop charging."""

    known: tuple[Proof, ...] = ()
    full_pct: float | None = None

    def of(self, setting: str, mode: str) -> Proof:
        """The proof of one setting in one mode; an empty one where nothing was seen."""
        for one in self.known:
            if one.mode == mode and one.setting == setting:
                return one
        return Proof(setting, mode)

    def holding(self, new: Proof) -> "Proofs":
        """These with one proof replaced."""
        others = [one for one in self.known if (one.setting, one.mode) != (new.setting, new.mode)]
        return replace(self, known=(*others, new))


class Reading(Value, frozen=True):
    """One reading of evcc's state, and the modes of ours that evcc has confirmed.

    `battery`: the external mode in force, None: released. `modes`: the charge mode in force by
    loadpoint, only where it is ours. `restarted`: evcc was away before this reading.
    """

    at: Utc
    site: Site
    settings: Settings
    battery: BatteryMode | None = None
    modes: tuple[tuple[str, ChargeMode], ...] = ()
    battery_failed: bool = False
    grid_failed: bool = False
    restarted: bool = False

    @property
    def cycle(self) -> timedelta:
        """evcc's interval."""
        return timedelta(seconds=self.site.interval_s)


def reading_of(
    state: HomeState,
    settings: Settings,
    desks: tuple[Desk, ...],
    battery: BatteryMode | None,
    restarted: bool,
) -> Reading | None:
    """The newest reading of `state` with the modes that are ours; None: nothing was measured.

    `battery` is the external mode that evcc has confirmed. What a human chose is not ours.
    """
    if state.site is None or state.measured_at is None:
        return None
    failed = {one.name for one in state.failed_meters}
    ours = ((desk.name, desk.mode.ours) for desk in desks if desk.human is None)
    return Reading(
        at=state.measured_at,
        site=state.site,
        settings=settings,
        battery=battery,
        modes=tuple((name, ChargeMode(str(mode))) for name, mode in ours if mode is not None),
        battery_failed=bool(failed & {"battery", "home"}),
        grid_failed=bool(failed & {"grid", "home"}),
        restarted=restarted,
    )


def proved(proofs: Proofs, reading: Reading) -> Proofs:
    """The proofs after one more reading; to be called once for each."""
    if reading.restarted:  # everything is told anew
        proofs = Proofs()
    proofs = _expired(proofs, reading.at)
    proofs = _prove_battery(proofs, reading)
    return _prove_loadpoints(proofs, reading)


def battery_says(proofs: Proofs, mode: BatteryMode | None) -> Says:
    """The verdict on the battery in this external mode; None: released."""
    return proofs.of(BATTERY, mode.value if mode else RELEASED).says


def loadpoint_says(proofs: Proofs, name: str, mode: ChargeMode) -> Says:
    """The verdict on one loadpoint in this mode."""
    return proofs.of(mode_of(name), mode.value).says


def refused_of(proofs: Proofs, name: str) -> Proof | None:
    """The mode that this loadpoint does not obey at present, the newest; or None."""
    setting = mode_of(name)
    found: Proof | None = None
    for one in not_obeyed(proofs):
        since = one.refused_at if one.setting == setting else None
        if since and (found is None or found.refused_at is None or since > found.refused_at):
            found = one
    return found


def not_obeyed(proofs: Proofs) -> tuple[Proof, ...]:
    """Each setting and mode that is not obeyed at present."""
    return tuple(one for one in proofs.known if one.refused_at is not None)


def mode_of(loadpoint: str) -> str:
    """The name of a loadpoint's mode among the settings."""
    return f"loadpoint:{loadpoint}:mode"


# --- one proof ------------------------------------------------------------------------------------


def _expired(proofs: Proofs, at: datetime) -> Proofs:
    """What was not obeyed for long enough gets a new chance; what says nothing is forgotten."""
    aged = [_aged(one, at) for one in proofs.known]
    kept = [one for one in aged if one != Proof(one.setting, one.mode, phases=one.phases)]
    return replace(proofs, known=tuple(kept))


def _aged(proof: Proof, at: datetime) -> Proof:
    if proof.refused_at is not None and at - proof.refused_at >= TRY_AGAIN:
        return replace(proof, refused_at=None, reasserted_at=None, against_at=None)
    if proof.reasserted_at is not None and at - proof.reasserted_at >= TRY_AGAIN:
        return replace(proof, reasserted_at=None)
    return proof


def _entered(proof: Proof, at: datetime, shown: bool) -> Proof:
    """The proof of a mode in force; `shown`: evcc says that it has told the device."""
    entered_at = proof.entered_at or at
    return replace(
        proof,
        entered_at=entered_at,
        shown_at=(proof.shown_at or at) if shown else None,
        away_at=None,
    )


def _gone(proof: Proof, at: datetime, least: timedelta, still_shown: bool) -> Proof:
    """The proof of a mode that is not in force. Left for a whole cycle, it may be entered again."""
    proof = replace(
        proof, entered_at=None, shown_at=None, against_at=None, good_at=None, worked=False
    )
    if proof.leaving_at is None:
        return proof
    away_at = proof.away_at or at
    waited = at - away_at
    # evcc may want the same mode itself: that is no reason to wait for ever
    if waited >= least and (not still_shown or waited >= CYCLES * least):
        return replace(proof, leaving_at=None, away_at=None, reasserted_at=at)
    return replace(proof, away_at=away_at)


def _weigh(
    proof: Proof, against: bool | None, at: datetime, patience: timedelta, can_leave: bool = True
) -> Proof:
    """The proof after one finding; `against` None: this reading proves nothing."""
    if proof.leaving_at is not None:
        return proof
    if against is None:
        return replace(proof, against_at=None)
    if not against:
        good_at = proof.good_at or at
        trusted = at - good_at >= TRUSTED_AGAIN
        return replace(
            proof,
            good_at=good_at,
            against_at=None,
            refused_at=None,
            reasserted_at=None if trusted else proof.reasserted_at,
        )
    against_at = proof.against_at or at
    proof = replace(proof, good_at=None, against_at=against_at)
    if at - against_at < patience or proof.refused_at is not None:
        return proof
    if can_leave and proof.reasserted_at is None:
        return replace(proof, leaving_at=at, against_at=None)
    return replace(proof, refused_at=at)


# --- the battery ----------------------------------------------------------------------------------


def _prove_battery(proofs: Proofs, reading: Reading) -> Proofs:
    battery, at = reading.site.battery, reading.at
    if battery is None or not battery.controllable:
        kept = tuple(one for one in proofs.known if one.setting != BATTERY)
        return replace(proofs, known=kept)
    mode = reading.battery.value if reading.battery else RELEASED
    for one in proofs.known:
        if one.setting == BATTERY and one.mode != mode:
            still = battery.mode in SET_MODES and battery.mode.value == one.mode
            proofs = proofs.holding(_gone(one, at, reading.cycle + SETTLE, still))
    proof = _entered(proofs.of(BATTERY, mode), at, _shows(battery, reading.battery))
    if reading.battery is BatteryMode.CHARGE and charges(reading.settings, battery):
        proof = replace(proof, worked=True)
    proofs = _own_maximum(proofs, proof, battery, reading)
    against = _against(proof, reading, proofs.full_pct)
    weighed = _weigh(proof, against, at, (CYCLES - 1) * reading.cycle)
    flagged = at in (weighed.leaving_at, weighed.refused_at)
    if flagged and _stopped_by_itself(proof, reading, battery, proofs.full_pct):
        proofs = replace(proofs, full_pct=battery.soc_pct)
        weighed = replace(proof, against_at=None)
    return proofs.holding(weighed)


def _against(proof: Proof, reading: Reading, full_pct: float | None) -> bool | None:
    """Whether this reading is evidence against the mode in force; None: it is none at all."""
    since = proof.shown_at or proof.entered_at
    # what evcc reads in the cycle that tells the inverter is older than that
    early = since is None or reading.at - since < reading.cycle
    if early or reading.battery_failed:
        return None
    if proof.shown_at is None:
        return None if reading.site.dimmed else True  # evcc itself says that it did not do it
    site = replace(reading.site, grid_import_w=None) if reading.grid_failed else reading.site
    return battery_contradicts(reading.battery, site, reading.settings, full_pct)


def _shows(battery: Battery, mode: BatteryMode | None) -> bool:
    """Whether evcc says that the inverter was told `mode` (`unknown`: it says nothing)."""
    return mode is None or battery.mode in (BatteryMode.UNKNOWN, mode)


def _own_maximum(proofs: Proofs, proof: Proof, battery: Battery, reading: Reading) -> Proofs:
    """Note where it stopped at its maximum, and forget a maximum that it went beyond."""
    soc_pct, full_pct = battery.soc_pct, proofs.full_pct
    if soc_pct is None or reading.battery is not BatteryMode.CHARGE or reading.battery_failed:
        return proofs
    charging = charges(reading.settings, battery)
    if charging and full_pct is not None and soc_pct > full_pct + FORGOTTEN_PCT:
        return replace(proofs, full_pct=None)
    full = proof.worked and not charging and at_maximum(reading.settings, battery)
    return replace(proofs, full_pct=soc_pct) if full and full_pct is None else proofs


def _stopped_by_itself(
    proof: Proof, reading: Reading, battery: Battery, full_pct: float | None
) -> bool:
    """Whether a battery that does not charge has reached a maximum that nobody told us."""
    if reading.battery is not BatteryMode.CHARGE or proof.shown_at is None:
        return False
    high = battery.soc_pct is not None and battery.soc_pct >= OWN_MAX_FROM_PCT
    return high and (proof.reasserted_at is not None or (proof.worked and full_pct is None))


# --- the loadpoints -------------------------------------------------------------------------------


def _prove_loadpoints(proofs: Proofs, reading: Reading) -> Proofs:
    ours = {name.casefold(): mode for name, mode in reading.modes}
    plugged = {mode_of(lp.name): lp for lp in reading.site.loadpoints if lp.connected}
    kept = tuple(one for one in proofs.known if one.setting == BATTERY or one.setting in plugged)
    proofs = replace(proofs, known=kept)
    round_ = len(reading.site.loadpoints) * reading.cycle
    for setting, lp in plugged.items():
        mode = ours.get(lp.name.casefold())
        here = mode is not None and lp.mode is mode
        for one in proofs.known:
            if one.setting == setting and not (here and one.mode == lp.mode.value):
                still = one.mode == lp.mode.value
                proofs = proofs.holding(_gone(one, reading.at, round_ + SETTLE, still))
        if mode is None or not here:
            continue
        proof = _entered(proofs.of(setting, mode.value), reading.at, shown=True)
        switched = proof.phases not in (0, lp.phases_active)
        against = None if switched else loadpoint_contradicts(reading.site, lp)
        proof = replace(proof, phases=lp.phases_active)
        patience = max(CAR_PATIENCE, CYCLES * round_)
        # `pv` is left by nothing that draws less
        proofs = proofs.holding(_weigh(proof, against, reading.at, patience, mode in CHARGING))
    return proofs
