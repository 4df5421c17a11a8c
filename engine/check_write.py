"""`smartload check --write`: try each setting that SmartLoad owns on the real evcc, and learn.

Everything is given back on every way out: done, Ctrl-C, SIGTERM, a terminal that closes, evcc that
dies. After a kill -9 evcc's own 60 s watchdog ends the battery mode; a loadpoint's setting differs
for a moment only, and never where that could start a car.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TypeAlias

import msgspec

from engine.check_battery import (
    Outcome,
    Sample,
    Verdict,
    full_charge_kw,
    hold_charges_from_pv,
    judge,
    stuck,
)
from engine.check_hands import SETTLE_S, Hands, Setting, SilentError, StoppedError, value_of
from engine.check_may import (
    AFTER,
    BEFORE,
    DURING,
    MODES,
    SETTINGS,
    battery_unfit,
    mode_unfit,
    other_value,
)
from engine.clock import Clock, WallClock
from engine.settings import BatterySettings, Settings
from engine.transport import Transport
from engine.values import BatteryMode

SHOWN_WITHIN_S = 10.0
POWER_DIFFERS = 0.05
Say: TypeAlias = Callable[[str], None]


class Tried(msgspec.Struct, frozen=True):
    """One setting and what came of it. `loadpoint` is empty for the battery's modes."""

    setting: str
    outcome: Outcome
    why: str
    loadpoint: str = ""

    def line(self) -> str:
        """The same for people."""
        of = f" of {self.loadpoint}" if self.loadpoint else ""
        return f"{self.setting}{of}: {self.outcome.value} ({self.why})"


class Report(msgspec.Struct, frozen=True):
    """All that was tried and learnt. `problems`: what could not be given back, and what to do."""

    tried: tuple[Tried, ...] = ()
    hold_charges_from_pv: bool | None = None
    charge_power_kw: float | None = None
    problems: tuple[str, ...] = ()
    stopped: bool = False

    def outcome(self, setting: str) -> Outcome:
        """What came of a battery mode."""
        found = (one.outcome for one in self.tried if one.setting == setting)
        return next(found, Outcome.NOT_TRIED)

    def changes(self, settings: Settings) -> Mapping[str, bool | float]:
        """What of it differs from `battery:` in the settings."""
        now = settings.battery or BatterySettings()
        changes: dict[str, bool | float] = {}
        if self.hold_charges_from_pv not in (None, now.hold_charges_from_pv):
            changes["hold_charges_from_pv"] = bool(self.hold_charges_from_pv)
        power_kw = self.charge_power_kw
        if power_kw and abs(power_kw - now.charge_power_kw) > POWER_DIFFERS * now.charge_power_kw:
            changes["charge_power_kw"] = power_kw
        return changes


def try_out(
    transport: Transport,
    clock: Clock,
    settings: Settings,
    *,
    wait_until: Callable[[datetime], None],
    stopped: Callable[[], bool] = lambda: False,
    say: Say = lambda _: None,
) -> Report:
    """Try every owned setting and give it back; `say` hears each result as it comes.

    Never raises for what evcc does: it is in the report.
    """
    trial = _Trial(Hands(transport, clock, wait_until, stopped), settings, say)
    ended = ""
    was_stopped = False
    try:
        trial.loadpoints()
        trial.battery()
    except SilentError as silent:
        ended = f"evcc fell silent ({silent}): try again when it runs"
    except EndedError as error:
        ended = f"{error}"
    except (StoppedError, KeyboardInterrupt):
        was_stopped = True
    finally:
        say("giving back what is owed")
        problems = trial.hands.give_back()
    return Report(
        tuple(trial.tried),
        trial.from_pv(),
        trial.charge_kw,
        (*trial.problems, *problems, *([ended] if ended else [])),
        was_stopped or stopped(),
    )


def try_out_live(transport: Transport, clock: WallClock, settings: Settings, say: Say) -> Report:
    """The same with real time. The first Ctrl-C, SIGTERM or SIGHUP ends it in good order."""
    with _ending_noted() as stopped:
        return try_out(
            transport,
            clock,
            settings,
            wait_until=sleeper(clock),
            stopped=stopped,
            say=say,
        )


def sleeper(clock: WallClock) -> Callable[[datetime], None]:
    """How real time passes."""
    return lambda at: time.sleep(clock.real_s_until(at) or 0.0)


@contextmanager
def _ending_noted() -> Iterator[Callable[[], bool]]:
    """As `interruptible`, for a closing terminal and SIGTERM too."""
    from engine.progress import interruptible

    others = (signal.SIGTERM, signal.SIGHUP)
    with interruptible() as stopped:
        before = [signal.signal(one, lambda *_: signal.raise_signal(signal.SIGINT))
                  for one in others]  # fmt: skip
        try:
            yield stopped
        finally:
            for one, handler in zip(others, before, strict=True):
                signal.signal(one, handler)


class EndedError(Exception):
    """Nothing more can be tried. Says why, and what to do."""


class _Trial:
    """What is tried, in order, and what was found."""

    def __init__(self, hands: Hands, settings: Settings, say: Say) -> None:
        self.hands = hands
        self.settings = settings
        self.tried: list[Tried] = []
        self.problems: list[str] = []
        self.charge_kw: float | None = None
        self._own = settings.battery or BatterySettings()
        self._from_pv: bool | None = None
        self._say = say

    def _note(self, setting: str, verdict: Verdict, loadpoint: str = "") -> None:
        tried = Tried(setting, verdict.outcome, verdict.why, loadpoint)
        self.tried.append(tried)
        self._say(tried.line())

    # --- loadpoints -------------------------------------------------------------------------------

    def loadpoints(self) -> None:
        """Mode and limits of each charging loadpoint, one after the other. Raises SilentError."""
        for name in [one.name for one in self.hands.read_patiently().loadpoints if one.charger]:
            for setting in SETTINGS:
                self._note(setting, self._loadpoint(name, setting), name)

    def _loadpoint(self, name: str, setting: str) -> Verdict:
        site = self.hands.read_patiently()  # a car may have come this very second
        found = [one for one in site.loadpoints if one.name == name]
        if not found:
            return Verdict(Outcome.NOT_TRIED, "evcc does not have this loadpoint any more")
        other = other_value(found[0], setting)
        if isinstance(other, Verdict):
            return other
        refused = self.hands.change(site, found[0], setting, other)
        shown = not refused and self._shown(name, setting, other)
        self.problems += self.hands.return_settings()
        if refused:
            return Verdict(Outcome.NOT_OBEYED, refused)
        if not shown:
            return Verdict(Outcome.NOT_OBEYED, f"evcc's state never showed {other}")
        return Verdict(Outcome.WORKS, f"{value_of(found[0], setting)} to {other} and back")

    def _shown(self, name: str, setting: str, value: Setting) -> bool:
        for _ in range(int(SHOWN_WITHIN_S)):
            with suppress(SilentError):
                if self.hands.shows(name, setting, value):
                    return True
            self.hands.stay(1.0)
        return False

    # --- the battery ------------------------------------------------------------------------------

    def battery(self) -> None:
        """The three modes in turn. Raises SilentError, StoppedError."""
        for mode in MODES:
            site = self.hands.read_patiently()
            why_not = battery_unfit(site) or mode_unfit(mode, site, self.settings)
            if why_not:
                self._note(mode.value, Verdict(Outcome.NOT_TRIED, why_not))
                continue
            self._say(f"trying {mode.value}")
            verdict, again = self._mode(mode)
            if verdict.outcome is Outcome.NOT_OBEYED and again:
                first = verdict
                verdict, _ = self._mode(mode)
                if verdict.outcome is Outcome.WORKS:
                    why = f"{verdict.why}; only when asked again: at first {first.why}"
                    verdict = Verdict(Outcome.WORKS, why)
            self._note(mode.value, verdict)

    def _mode(self, mode: BatteryMode) -> tuple[Verdict, bool]:
        """Enter, watch, leave, and see that it left. Whether to ask again comes with it."""
        before = [one for _ in range(BEFORE) for one in self._sample()]
        refused = self.hands.enter(mode)
        if refused:
            self._leave(before)
            return Verdict(Outcome.NOT_OBEYED, f"evcc refused it: {refused}"), False
        if not self._stands(mode):
            self._leave(before)
            why = "evcc took it, but batteryMode never showed it: its log says why"
            return Verdict(Outcome.NOT_OBEYED, why), False
        verdict = self._watch(mode, before)
        self._leave(before)
        return verdict, True

    def _watch(self, mode: BatteryMode, before: list[Sample]) -> Verdict:
        during: list[Sample] = []
        limit_kw = self.settings.site.import_limit_kw
        verdict = judge(mode, before, during, self._own)
        for _ in range(DURING):
            during += self._sample()
            if limit_kw is not None and during and during[-1].grid_import_w > limit_kw * 1000:
                why = "the house came above the limit of its connection, so it was ended at once"
                return Verdict(Outcome.UNCLEAR, why)
            verdict = judge(mode, before, during, self._own)
            if verdict.outcome is Outcome.WORKS:
                break
        if mode is BatteryMode.HOLD and verdict.outcome is not Outcome.NOT_OBEYED:
            self._from_pv = hold_charges_from_pv(before, during)
        if mode is BatteryMode.CHARGE and verdict.outcome is Outcome.WORKS:
            self.charge_kw = full_charge_kw(during)
        return verdict

    def from_pv(self) -> bool | None:
        """What `hold` does in the sun. "It charges" counts only where the battery obeys at all:

        a swallowed `hold` looks the same.
        """
        obeys = any(one.outcome is Outcome.WORKS and one.setting in MODES for one in self.tried)
        return self._from_pv if obeys or self._from_pv is False else None

    def _sample(self) -> list[Sample]:
        """One cycle later: its reading, or nothing where evcc knows no power."""
        self.hands.stay(self.hands.interval_s)
        site = self.hands.read_patiently()
        battery = site.battery
        if battery is None or battery.charge_w is None or site.grid_import_w is None:
            return []
        return [Sample(battery.soc_pct, battery.charge_w, site.grid_import_w)]

    def _stands(self, mode: BatteryMode) -> bool:
        """Whether evcc's next cycles put the mode in force."""
        left_s = 2 * self.hands.interval_s + SETTLE_S
        while left_s > 0:
            battery = self.hands.read_patiently().battery
            if battery is not None and battery.mode is mode:
                return True
            self.hands.stay(min(5.0, left_s))
            left_s -= 5.0
        return False

    def _leave(self, before: list[Sample]) -> None:
        """Release, and see by the power that the inverter was told; if not, enter and leave once.

        evcc takes a failed write to the inverter for done (evcc-api.md §4), a release too.
        """
        does = self._left(before)
        if does:
            self._say(f"released, but {does}: once more")
            refused = self.hands.enter(BatteryMode.HOLD)
            if not refused:
                self._stands(BatteryMode.HOLD)
            does = self._left(before)
        if does:
            raise EndedError(
                f"the battery is released and evcc shows it so, but {does}: restart evcc or set "
                "the inverter back itself"
            )

    def _left(self, before: list[Sample]) -> str:
        if trouble := self.hands.release():
            raise EndedError(f"the battery could not be released for long ({trouble})")
        after: list[Sample] = []
        for _ in range(AFTER):
            after += self._sample()
            if not stuck(before[-1:], after[-1:] * AFTER, self._own):
                return ""
        return stuck(before, after, self._own)
