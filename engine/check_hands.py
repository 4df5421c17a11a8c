"""Hands on evcc for `smartload check --write`: whatever they change they owe, and give back.

The external battery mode is posted by the rules of its 60 s watchdog (evcc-api.md §4): renewed each
20 s, never continued later than 50 s after the last POST answered 200, and after a release one
whole cycle and 15 s pass before anything else is posted.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from engine.clock import Clock
from engine.evcc_fields import EvccUnreadable
from engine.evcc_json import DEFAULT_INTERVAL_S, refusal, site_from
from engine.evcc_writes import (
    RELEASE_PATH,
    OrderError,
    battery_echo_matches,
    battery_path,
    echo_matches,
    echo_of,
    path_for,
)
from engine.messages import Order
from engine.transport import Answer, Transport, TransportError
from engine.values import BatteryMode, Loadpoint, Site, Why, find

RENEW_S, CHAIN_S, LATE_S, SETTLE_S = 20.0, 50.0, 55.0, 15.0
STEP_S = 1.0
"""So often somebody's Ctrl-C is looked for."""
RETRY_S = 5.0
PATIENCE_S = 600.0
"""So long each thing is tried to be given back: longer than a restart of evcc takes."""
READ_WITHIN_S = 40.0
Setting = str | float


class SilentError(Exception):
    """evcc does not answer. Says why."""


class StoppedError(Exception):
    """The user wants it to end."""


class Debt(NamedTuple):
    """A loadpoint's setting that is to be given back while it shows `ours`."""

    loadpoint: str
    setting: str
    ours: Setting
    theirs: Setting


def value_of(loadpoint: Loadpoint, setting: str) -> Setting:
    """What stands there, as it is written: 0 is no limit."""
    match setting:
        case "mode":
            return loadpoint.mode.value
        case "limit_soc":
            return loadpoint.limit_soc_pct or 0.0
        case "limit_energy":
            return loadpoint.limit_energy_kwh or 0.0
        case _:
            raise ValueError(f"unknown setting {setting!r}")


class Hands:
    """Reads and writes at evcc; `wait_until` lets time pass, `stopped` says that it is to end.

    Every way out has to end with `give_back`.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        wait_until: Callable[[datetime], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._wait_until = wait_until
        self._stopped = stopped
        self._giving = False
        self._debts: list[Debt] = []
        self._paid: list[Debt] = []
        self._mode: BatteryMode | None = None
        self._battery_owed = False
        self._sent_at = clock.now()
        self.interval_s = DEFAULT_INTERVAL_S

    # --- reading and time -------------------------------------------------------------------------

    def read(self) -> Site:
        """evcc's state now. Raises SilentError."""
        answer = self._request("GET", "/api/state")
        if answer.status != 200:
            raise SilentError(refusal(answer.status, answer.body))
        try:
            site = site_from(answer.body)
        except EvccUnreadable as unreadable:
            raise SilentError(unreadable.reason) from unreadable
        self.interval_s = site.interval_s
        return site

    def read_patiently(self) -> Site:
        """The same, asked again for a while; the battery mode stays. Raises SilentError."""
        until = self._clock.now() + timedelta(seconds=READ_WITHIN_S)
        while True:
            try:
                return self.read()
            except SilentError:
                if self._clock.now() >= until:
                    raise
            self.stay(RETRY_S)

    def stay(self, seconds: float) -> None:
        """Let time pass and keep what was posted to the battery. Raises Silent-, StoppedError."""
        until = self._clock.now() + timedelta(seconds=seconds)
        while (now := self._clock.now()) < until:
            if self._stopped() and not self._giving:
                raise StoppedError
            age_s = (now - self._sent_at).total_seconds()
            if self._mode is not None and age_s >= RENEW_S:
                self._renew(self._mode, age_s)
            self._wait_until(min(until, self._clock.now() + timedelta(seconds=STEP_S)))

    def _renew(self, mode: BatteryMode, age_s: float) -> None:
        """A renewal that fails is repeated a moment later, until evcc's timer may run out."""
        if age_s >= CHAIN_S:
            raise SilentError("evcc did not take a renewal of the battery mode in time")
        last_at = self._sent_at
        try:
            trouble = self._post(mode)
        except SilentError:
            return
        if (self._clock.now() - last_at).total_seconds() > LATE_S:
            raise SilentError("evcc answered too late")
        if trouble:
            raise SilentError(trouble)

    def _request(self, method: str, path: str) -> Answer:
        try:
            return self._transport.request(method, path)
        except TransportError as error:
            raise SilentError(f"{error}") from error

    # --- the battery ------------------------------------------------------------------------------

    def enter(self, mode: BatteryMode) -> str:
        """POST a battery mode that stands until `release`. What evcc refused, or empty.

        Raises SilentError; it may have been taken then, and is owed.
        """
        self._battery_owed = True
        trouble = self._post(mode)
        self._mode = None if trouble else mode
        return trouble

    def _post(self, mode: BatteryMode) -> str:
        sent_at = self._clock.now()
        answer = self._request("POST", battery_path(mode))
        if answer.status != 200:
            return refusal(answer.status, answer.body)
        if not battery_echo_matches(mode, answer):
            return f"asked {mode.value}, evcc answered {echo_of(answer)!r}"
        self._sent_at = sent_at
        return ""

    def release(self) -> str:
        """Give the battery back, across a restart of evcc too. What could not be done, or empty."""
        ours, self._mode = self._mode, None
        return self._insist(lambda: self._release(ours), self._pay_battery)

    def _pay_battery(self) -> None:
        self._battery_owed = False

    def _release(self, ours: BatteryMode | None) -> str:
        """POST `normal` reaches the inverter even where a new evcc knows of nothing to end."""
        for method, path in (("POST", battery_path(BatteryMode.NORMAL)), ("DELETE", RELEASE_PATH)):
            answer = self._request(method, path)
            if answer.status != 200:
                return refusal(answer.status, answer.body)
        self.stay(self.interval_s + SETTLE_S)
        site = self.read()
        battery = site.battery
        if battery is None:
            return "evcc shows no battery"
        if battery.external_mode is not None:
            # not ours: somebody else has taken it in the meantime
            others = battery.external_mode not in (ours, BatteryMode.NORMAL)
            return "" if others else f"the external mode is still {battery.external_mode.value}"
        own = {
            BatteryMode.HOLD: site.discharge_control,
            BatteryMode.CHARGE: site.grid_charge_limit_eur_kwh is not None,
        }
        if battery.mode is BatteryMode.NORMAL or own.get(battery.mode, False):
            return ""
        return f"batteryMode is still {battery.mode.value}"

    # --- loadpoints -------------------------------------------------------------------------------

    def change(self, site: Site, loadpoint: Loadpoint, setting: str, value: Setting) -> str:
        """Write one setting, owed from now on. What evcc refused, or empty. Raises SilentError."""
        debt = Debt(loadpoint.name, setting, value, value_of(loadpoint, setting))
        self._debts.append(debt)
        return self._write(site, debt.loadpoint, setting, value)

    def shows(self, debtor: str, setting: str, value: Setting) -> bool:
        """Whether evcc's state shows that value. Raises SilentError."""
        loadpoint = find(self.read().loadpoints, debtor)
        return loadpoint is not None and value_of(loadpoint, setting) == value

    def return_settings(self) -> list[str]:
        """Give every loadpoint's setting back; what could not be done."""
        problems = []
        for debt in list(self._debts):
            trouble = self._insist(partial(self._settle, debt), lambda: None)
            self._debts.remove(debt)
            self._paid.append(debt)
            if trouble:
                problems.append(
                    f"{debt.setting} of {debt.loadpoint} could not be given back ({trouble}): set "
                    f"it to {debt.theirs} in evcc"
                )
        return problems

    def _settle(self, debt: Debt) -> str:
        site = self.read()
        loadpoint = find(site.loadpoints, debt.loadpoint)
        if loadpoint is None:
            return "evcc does not have it any more"
        if value_of(loadpoint, debt.setting) != debt.ours:
            return ""  # given back, or a human's by now
        refused = self._write(site, debt.loadpoint, debt.setting, debt.theirs)
        if refused:
            return refused
        still = self.shows(debt.loadpoint, debt.setting, debt.ours)
        return f"it still shows {debt.ours}" if still else ""

    def _write(self, site: Site, loadpoint: str, setting: str, value: Setting) -> str:
        at = self._clock.now()
        order = Order(at, 0, loadpoint, setting, value, Why("trial"))
        try:
            answer = self._request("POST", path_for(order, site))
        except OrderError as error:
            return f"{error}"
        if echo_matches(order, answer):
            return ""
        if answer.status != 200:
            return refusal(answer.status, answer.body)
        return f"asked {value}, evcc answered {echo_of(answer)!r}"

    # --- the way out ------------------------------------------------------------------------------

    def give_back(self) -> list[str]:
        """Everything that is owed, the battery first; what could not be given back.

        Settings that were given back before are looked at once more: an evcc that was killed
        meanwhile may have come back with ours. A Ctrl-C ends it: the rest is said to be open.
        """
        problems = []
        self._giving = True
        try:
            if self._battery_owed and (trouble := self.release()):
                problems.append(
                    f"the battery mode could not be given back ({trouble}): see that evcc "
                    "runs and shows the battery in normal mode; where it does not run, the inverter"
                    " keeps its mode"
                )
            self._debts = list(dict.fromkeys([*self._debts, *self._paid]))
            self._paid = []
            problems += self.return_settings()
        except KeyboardInterrupt:
            left = [f"{one.setting} of {one.loadpoint} ({one.theirs})" for one in self._debts]
            left += ["the battery mode"] if self._battery_owed else []
            problems.append(f"interrupted before evcc confirmed: look at {', '.join(left)}")
        finally:
            self._giving = False
        return problems

    def _insist(self, attempt: Callable[[], str], done: Callable[[], None]) -> str:
        """Try until it is done or patience ends; the last trouble, or empty. Nobody stops it."""
        giving, self._giving = self._giving, True
        until = self._clock.now() + timedelta(seconds=PATIENCE_S)
        try:
            while True:
                try:
                    trouble = attempt()
                except SilentError as silent:
                    trouble = f"{silent}" or "evcc does not answer"
                if not trouble:
                    done()
                    return ""
                if self._clock.now() >= until:
                    return trouble
                self.stay(RETRY_S)
        finally:
            self._giving = giving
