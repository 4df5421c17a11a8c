"""Carries out the last will: everything of ours is given back to evcc, and stays so (design §7).

Decides nothing: the will is the actuator's. Used by the guard process, and by the runtime itself.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from engine.clock import Clock
from engine.estate import Bequest, Written
from engine.evcc_fields import EvccUnreadable
from engine.evcc_json import refusal, site_from
from engine.evcc_writes import (
    PLAN_ENERGY_PATH,
    PLAN_SOC_PATH,
    PLANS,
    RELEASE_PATH,
    OrderError,
    battery_echo_matches,
    battery_path,
    decimal,
    echo_of,
    path_for,
)
from engine.ledger import Ledger, LedgerError
from engine.messages import Order
from engine.transport import Answer, Transport, TransportError
from engine.values import BatteryMode, Site, Utc, find

log = logging.getLogger("smartload.will")

AGAIN_S, LOOK_S, RARELY_S = 10.0, 2.0, 300.0
"""A request that does not show is repeated after this; a sent one is looked for after that; what
evcc refuses is tried ever more rarely."""
SURE = timedelta(seconds=70)
"""A kill of evcc loses settings younger than a minute (evcc-api.md §3.4)."""
SAVED = timedelta(seconds=80)
"""A write older than this when we were last alive was saved, or seen to be lost and repeated."""
CYCLE_GRACE_S = 15.0
PATIENCE = timedelta(hours=24)

_Shown = str | float | None


def carry_out(
    bequests: Iterable[Bequest],
    transport: Transport,
    clock: Clock,
    ledger: Ledger,
    stop: Callable[[], bool],
    *,
    patience: timedelta = PATIENCE,
    sure: timedelta = SURE,
    alive_at: datetime | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> bool:
    """Give back in order; True once evcc's state showed each line, and still does after `sure`.

    Across outages and restarts of evcc. A setting that was not ours any more is left alone: one
    that differs from what the ledger says we had there when we were last alive, `alive_at`, or
    that somebody changed after us. False: `stop()`, or not done within `patience`.
    """
    executor = _Executor(
        bequests, transport, clock, ledger, stop, sure=sure, alive_at=alive_at or clock.now()
    )
    deadline = clock.now() + patience
    while not stop():
        wait_s = executor.step()
        if stop():
            break
        if wait_s is None:
            while not executor.note(lambda: ledger.carried_out(clock.now())):
                if stop() or clock.now() >= deadline:
                    break
                wait(AGAIN_S)  # a hung controller may hold the lock until it lives or dies
            return True
        if clock.now() >= deadline:
            break
        wait(wait_s)
    return False


@dataclass
class _Line:
    """Where one line of the will stands."""

    bequest: Bequest
    looked: bool = False
    before: _Shown = None
    sent: bool = False
    due_at: Utc | None = None
    delay_s: float = AGAIN_S
    shown_at: Utc | None = None
    settled: bool = False


class _Executor:
    def __init__(
        self,
        bequests: Iterable[Bequest],
        transport: Transport,
        clock: Clock,
        ledger: Ledger,
        stop: Callable[[], bool],
        *,
        sure: timedelta,
        alive_at: datetime,
    ) -> None:
        self._lines = [_Line(one) for one in bequests]
        self._transport = transport
        self._clock = clock
        self._ledger = ledger
        self._stop = stop
        self._sure = sure
        self._alive_at = alive_at
        self._mute_until: Utc | None = None
        self._ours = self._written()

    def _written(self) -> tuple[Written, ...]:
        with suppress(LedgerError):
            return self._ledger.read().written
        return ()

    def step(self) -> float | None:
        """Look, and send what is due; seconds until the next look, None when all is done."""
        try:
            site = self._site()
            for line in self._lines:
                if self._stop():
                    return 0.0
                if not line.settled:
                    self._tend(line, site)
        except (TransportError, EvccUnreadable) as error:
            log.info("evcc is silent: %s", error)
            return AGAIN_S
        if all(line.settled for line in self._lines):
            return None
        shown = [line.shown_at for line in self._lines if not line.settled]
        if not all(shown):
            return LOOK_S
        left = max(at for at in shown if at) + self._sure - self._clock.now()
        return min(AGAIN_S, max(0.1, left.total_seconds()))

    def note(self, write: Callable[[], object]) -> bool:
        """Write to the ledger. What is given back is sent whether that works or not.

        After a failure nothing is tried for a while: a lock would hold up each line.
        """
        now = self._clock.now()
        if self._mute_until is not None and now < self._mute_until:
            return False
        try:
            write()
        except LedgerError as error:
            log.warning("the ledger could not be written: %s", error)
            self._mute_until = now + timedelta(seconds=AGAIN_S)
            return False
        return True

    def _site(self) -> Site:
        answer = self._transport.request("GET", "/api/state")
        if answer.status != 200:
            raise EvccUnreadable(refusal(answer.status, answer.body))
        return site_from(answer.body)

    # --- one line ---------------------------------------------------------------------------------

    def _tend(self, line: _Line, site: Site) -> None:
        one, now = line.bequest, self._clock.now()
        if one.due is not None and one.due <= now:
            line.settled = True  # evcc takes no plan for a time that is past
            return
        value = _shown(one, site)
        if not line.looked:
            line.looked, line.before = True, value
            line.settled = self._somebody_elses(one, value)
        elif line.shown_at is not None and not self._stands(line, site):
            # a value that is neither ours nor what a kill of evcc would bring back
            line.settled = value is not None and value != line.before
            line.shown_at = line.due_at = None
        if line.settled:
            log.info("%s is somebody else's now", _name(one))
        elif self._stands(line, site):
            line.shown_at = line.shown_at or now
            line.settled = now - line.shown_at >= self._sure
            if line.settled and one.setting == "battery_mode" and self._sure >= SURE:
                # a cycle of evcc has told the inverter
                self.note(lambda: self._ledger.confirm("battery_mode", "", "", now))
        elif line.due_at is None or now >= line.due_at:
            self._send(line, site)

    def _somebody_elses(self, one: Bequest, value: _Shown) -> bool:
        """Whether it changed after we had it for so long that evcc cannot have lost that."""
        if one.setting == "battery_mode" or one.setting in PLANS or value is None:
            return False
        ours = [
            written
            for written in self._ours
            if written.setting == one.setting
            and written.loadpoint.casefold() == one.loadpoint.casefold()
        ]
        if not ours or not ours[-1].confirmed or ours[-1].at > self._alive_at - SAVED:
            return False
        return value not in [_plain(one.setting, known) for known in (ours[-1].value, one.value)]

    def _stands(self, line: _Line, site: Site) -> bool:
        one = line.bequest
        if one.setting == "battery_mode":
            battery = site.battery
            # unknown: an evcc that was started anew, whose inverter was told nothing yet
            return (
                line.sent
                and battery is not None
                and battery.external_mode is None
                and battery.mode is not BatteryMode.UNKNOWN
            )
        if one.setting in PLANS:
            car, loadpoint = find(site.vehicles, one.vehicle), find(site.loadpoints, one.loadpoint)
            shown = loadpoint if one.setting == "plan_energy" else car
            if shown is None or shown.plan_at is None or one.due is None:
                return False
            if abs((shown.plan_at - one.due).total_seconds()) >= 1:
                return False
        return _shown(one, site) == _plain(one.setting, one.value)

    def _send(self, line: _Line, site: Site) -> None:
        one, now = line.bequest, self._clock.now()
        delay_s = line.delay_s
        line.due_at = now + timedelta(seconds=AGAIN_S)
        if one.setting == "battery_mode":
            trouble, delay_s = self._release(line), site.interval_s + CYCLE_GRACE_S
        else:
            trouble = self._post(one, site)
            line.sent = True
        if trouble:
            log.warning("%s: %s", _name(one), trouble)
            delay_s, line.delay_s = line.delay_s, min(2 * line.delay_s, RARELY_S)
        line.due_at = now + timedelta(seconds=delay_s)

    def _post(self, one: Bequest, site: Site) -> str:
        """Send it; what evcc has against it, or nothing. Raises TransportError."""
        try:
            path = _path(one, site, self._clock.now())
        except OrderError as error:
            return str(error)
        ours = one.setting not in PLANS
        if not ours:
            self.note(lambda: self._ledger.plan_set(one, self._clock.now()))
        else:
            self.note(lambda: self._ledger.intend(one.setting, one.loadpoint, one.value,
                                                  self._clock.now()))  # fmt: skip
        answer = self._transport.request("POST", path)
        if answer.status != 200:
            return refusal(answer.status, answer.body)
        if ours:
            self.note(lambda: self._ledger.confirm(one.setting, one.loadpoint, one.value,
                                                   self._clock.now()))  # fmt: skip
        return ""

    def _release(self, line: _Line) -> str:
        """POST `normal`, then DELETE: both count, and the DELETE is sent in any case."""
        normal = self._transport.request("POST", battery_path(BatteryMode.NORMAL))
        gone = self._transport.request("DELETE", RELEASE_PATH)
        if gone.status != 200:
            return refusal(gone.status, gone.body)
        if normal.status == 200 and echo_of(normal) == 0:
            line.settled = True  # there is no battery to control
        elif not battery_echo_matches(BatteryMode.NORMAL, normal):
            return _against(normal)
        line.sent = True
        self.note(lambda: self._ledger.intend("battery_mode", "", "", self._clock.now()))
        return ""


def _against(answer: Answer) -> str:
    if answer.status != 200:
        return refusal(answer.status, answer.body)
    return f"evcc answered {echo_of(answer)!r}"[:200]


def _name(one: Bequest) -> str:
    return " ".join(part for part in (one.loadpoint or one.vehicle, one.setting) if part)


def _plain(setting: str, value: str | float) -> str | float:
    """As `_shown` has it: mode names, whole percents, kWh to the Wh."""
    if setting == "mode" or isinstance(value, str):
        return str(value)
    return round(value) if setting.endswith("_soc") else round(value, 3)


def _shown(one: Bequest, site: Site) -> _Shown:
    """What evcc's state shows of this setting; None: there is no such loadpoint or car."""
    if one.setting == "battery_mode":
        battery = site.battery
        return battery.external_mode.value if battery and battery.external_mode else None
    if one.setting == "plan_soc":
        vehicle = find(site.vehicles, one.vehicle)
        return None if vehicle is None else _plain(one.setting, vehicle.plan_soc_pct or 0.0)
    loadpoint = find(site.loadpoints, one.loadpoint)
    if loadpoint is None:
        return None
    if one.setting == "mode":
        return loadpoint.mode.value
    quantities = {
        "limit_soc": loadpoint.limit_soc_pct,
        "limit_energy": loadpoint.limit_energy_kwh,
        "plan_energy": loadpoint.plan_energy_kwh,
    }
    return _plain(one.setting, quantities.get(one.setting) or 0.0)


def _path(one: Bequest, site: Site, at: datetime) -> str:
    """Where to POST it, names resolved in `site` each time. Raises OrderError."""
    if one.setting not in PLANS:
        return path_for(Order(at, 0, one.loadpoint, one.setting, one.value, one.why), site)
    if one.due is None or isinstance(one.value, str):
        raise OrderError(f"{one.setting} {one.value!r} needs a number and a time")
    due = quote(one.due.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), safe=":")
    if one.setting == "plan_soc":
        vehicle = find(site.vehicles, one.vehicle)
        if vehicle is None:
            raise OrderError(f"evcc has no vehicle {one.vehicle!r}")
        return PLAN_SOC_PATH.format(
            name=quote(vehicle.name, safe=""), int=round(one.value), time=due
        )
    loadpoint = find(site.loadpoints, one.loadpoint)
    if loadpoint is None:
        raise OrderError(f"evcc has no loadpoint {one.loadpoint!r}")
    return PLAN_ENERGY_PATH.format(id=loadpoint.id, n=decimal(one.value), time=due)
