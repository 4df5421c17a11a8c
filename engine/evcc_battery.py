"""The port that keeps evcc's external battery mode standing, and lets it go (design §7).

evcc drops the mode 60 s after its last POST, and that watchdog has a hole (recorded, evcc-api.md
§4): a POST that arrives after the expiry but before the cycle that resets it stands for ever. So a
POST is sent only where the hole cannot be: on a living chain of POSTs, or after a DELETE and one
whole evcc cycle.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, assert_never

from engine.actor import Port
from engine.clock import Clock
from engine.evcc_json import DEFAULT_INTERVAL_S, refusal
from engine.evcc_writes import RELEASE_PATH, battery_echo_matches, battery_path, echo_of
from engine.ledger import Ledger, LedgerError
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    ConfigRead,
    EstateRead,
    EvccRead,
    HandsOff,
    StopAsked,
    WillMade,
)
from engine.transport import Answer, Transport, TransportError
from engine.values import Battery, BatteryMode

RENEW = timedelta(seconds=20)
RETRY = timedelta(seconds=10)
CHAIN = timedelta(seconds=50)
"""A POST continues the chain only this soon after the sending of the last one answered 200."""
LATE_ANSWER = timedelta(seconds=55)
SETTLE = timedelta(seconds=15)
"""What a failing meter can add to an evcc cycle."""
PATIENCE = timedelta(seconds=20)
ASKED_WITHIN = timedelta(seconds=5)
"""So long what was left standing waits for somebody to ask for the same again."""
STALE_READ = timedelta(seconds=10)
"""A reading that comes so soon after a POST may have been made before it."""
AT_ONCE = datetime.min.replace(tzinfo=UTC)

log = logging.getLogger("smartload.evcc")

Heard: TypeAlias = (
    BatteryModeStands | ConfigRead | EstateRead | EvccRead | HandsOff | StopAsked | WillMade
)
Said: TypeAlias = BatteryModeConfirmed | BatteryModeFailed


class BatteryKeeper(
    Port[
        BatteryModeStands | ConfigRead | EstateRead | EvccRead | HandsOff | StopAsked | WillMade,
        BatteryModeConfirmed | BatteryModeFailed,
    ]
):
    """Posts the mode that stands at once when new, renews it every 20 s, releases it in order.

    Released means POST `normal`, then DELETE, both answered 200; sent only when something was
    posted, repeated every 10 s until confirmed. Says Confirmed when the mode in force changed, or
    works again after a failure; Failed on every failure.

    With a `ledger` a mode is on disk before it is posted, or it is not posted. What an earlier
    controller left at the inverter is released first of all, and what stands there is released (or
    posted) again when evcc was started anew: a killed evcc leaves the inverter as it was.
    """

    def __init__(self, transport: Transport, clock: Clock, ledger: Ledger | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._notes = _Notes(ledger)
        self._tick = timedelta(seconds=10)
        self._interval = timedelta(seconds=DEFAULT_INTERVAL_S)
        self._seen: Battery | None = None
        self._wanted: BatteryMode | None = None
        self._heard_at = AT_ONCE
        self._over = self._off = False
        # what we did to evcc
        self._dirty = False  # something of ours may stand there, or in the inverter
        self._stands: BatteryMode | None = None  # taken since the last DELETE
        self._chain_at: datetime | None = None  # sending of the last POST answered 200
        self._clearing = False  # a DELETE has to come first
        self._clear_at: datetime | None = None  # after a DELETE: no POST before
        self._renew_at = AT_ONCE
        self._retry_at: datetime | None = None
        self._owed: frozenset[str] = frozenset()  # what an earlier controller posted
        self._owed_at = AT_ONCE
        self._told_at: datetime | None = None  # the inverter may have something of ours since
        # what we said
        self._in_force: BatteryMode | None = None
        self._failed = False

    def on(self, message: Heard) -> Iterator[Said]:
        match message:
            case ConfigRead():
                self._tick = timedelta(seconds=message.settings.tick_s)
            case EvccRead():
                self._interval = timedelta(seconds=message.site.interval_s)
                self._seen = message.site.battery
                yield from self._look(message)
            case EstateRead():
                self._inherit(message)
            case WillMade():
                if not self._off:
                    self._notes.will(message)
            case BatteryModeStands():
                if not self._over:
                    self._heard_at = self._clock.now()
                    self._meet_debt(message.mode)
                    yield from self._want(message.mode)
            case HandsOff() | StopAsked():
                self._over, self._owed_at = True, AT_ONCE
                self._off = self._off or isinstance(message, HandsOff)
                yield from self._want(None)
            case _:
                assert_never(message)

    def next_wake(self) -> datetime | None:
        due_at = self._due_at()
        if self._wanted is None or due_at is None:
            return due_at
        return min(due_at, self._let_go_at())

    def wake(self, at: datetime) -> Iterator[Said]:
        gone = self._wanted is not None and self._clock.now() >= self._let_go_at()
        yield from self._want(None if gone else self._wanted)

    def close(self) -> None:
        self._transport.close()
        self._notes.close()

    def _inherit(self, estate: EstateRead) -> None:
        """What an earlier controller, or we before a long silence, left at the inverter."""
        self._notes.forget()
        rows = [one for one in estate.written if one.setting == "battery_mode"]
        self._owed = frozenset(str(one.value) for one in rows if one.value)
        if self._owed:
            self._dirty, self._told_at = True, self._told_at or rows[0].at
            self._owed_at = self._clock.now() + ASKED_WITHIN
            self._in_force = BatteryMode([str(one.value) for one in rows if one.value][-1])

    def _meet_debt(self, mode: BatteryMode | None) -> None:
        """A mode that is asked for again at once need not be released before."""
        if mode is not None and self._owed == {mode.value}:
            self._owed = frozenset()
        self._owed_at = AT_ONCE

    def _look(self, read: EvccRead) -> Iterator[Said]:
        """Find out whether evcc was started anew: it has forgotten the mode, the inverter not."""
        seen = read.site.battery
        if self._told_at is None or seen is None or seen.external_mode is not None:
            return
        settled = read.at - self._told_at >= self._interval + SETTLE
        if self._wanted is not None:
            chain_at = self._chain_at
            if self._stands is not None and chain_at and read.at - chain_at >= STALE_READ:
                self._renew_at = AT_ONCE
                yield from self._want(self._wanted)
        elif seen.mode is BatteryMode.UNKNOWN and settled:
            self._dirty = True
            yield from self._want(None)
        elif settled and not self._dirty:
            self._told_at = None
            self._notes.confirm("", read.at)

    def _let_go_at(self) -> datetime:
        return self._heard_at + self._tick + PATIENCE

    def _want(self, mode: BatteryMode | None) -> Iterator[Said]:
        """Do what is due now; afterwards `next_wake` lies ahead."""
        if mode != self._wanted:
            self._wanted, self._retry_at = mode, None
        now, due_at = self._clock.now(), self._due_at()
        if due_at is None or now < due_at:
            return
        if self._owed:
            yield from self._release(now)
        elif self._must_clear(now):
            yield from self._clear()
        elif mode is None:
            yield from self._release(now)
        else:
            yield from self._post(mode, now)

    def _due_at(self) -> datetime | None:
        """When something is to be sent, what that is shows then."""
        if self._wanted is None and not self._dirty:
            return None
        if self._owed:
            due_at = self._owed_at
        elif self._clearing:
            due_at = AT_ONCE
        elif self._clear_at is not None:
            due_at = self._clear_at
        else:
            renewal = self._wanted is not None and self._wanted == self._stands
            due_at = self._renew_at if renewal else AT_ONCE
        return due_at if self._retry_at is None else max(due_at, self._retry_at)

    def _must_clear(self, now: datetime) -> bool:
        """Whether evcc's timer may have run out, or be somebody else's."""
        if self._clearing:
            return True
        if self._chain_at is not None:
            return now - self._chain_at >= CHAIN
        if self._clear_at is not None:
            return False
        seen = self._seen
        return seen is None or not (
            seen.external_mode is None and seen.mode in (BatteryMode.UNKNOWN, BatteryMode.NORMAL)
        )

    def _post(self, mode: BatteryMode, sent_at: datetime) -> Iterator[Said]:
        chain_at = self._chain_at
        if (trouble := self._notes.intend(mode, sent_at)) is not None:
            yield self._fail(trouble)
            return
        was_dirty, self._dirty = self._dirty, True
        told_at, self._told_at = self._told_at, sent_at
        try:
            answer = self._transport.request("POST", battery_path(mode))
        except TransportError as error:
            self._doubt(sent_at)
            yield self._fail(str(error))
            return
        if battery_echo_matches(mode, answer):
            self._chain_at, self._clear_at, self._retry_at = sent_at, None, None
            self._stands, self._renew_at = mode, sent_at + RENEW
            self._notes.confirm(mode.value, sent_at)
            if chain_at is not None and self._clock.now() - chain_at > LATE_ANSWER:
                yield from self._clear()
            else:
                yield from self._confirm(mode)
            return
        if 400 <= answer.status < 500 or echo_of(answer) == 0:
            self._dirty, self._told_at = was_dirty, told_at  # refused: nothing of it stands
            self._notes.refused(mode)
        else:
            self._doubt(sent_at)
        yield self._fail(_trouble(mode, answer))

    def _doubt(self, sent_at: datetime) -> None:
        """A POST may have been taken: the chain counts from the first that may have been."""
        self._chain_at, self._clear_at = self._chain_at or sent_at, None

    def _clear(self) -> Iterator[Said]:
        """DELETE, so that after one whole cycle a POST starts a new watchdog."""
        self._clearing = True
        if (trouble := self._delete()) is not None:
            yield self._fail(trouble)
        elif self._wanted is not None:
            yield from self._confirm(None)

    def _release(self, sent_at: datetime) -> Iterator[Said]:
        """POST `normal` reaches the inverter even where evcc has forgotten (evcc-api.md §4)."""
        self._stands = None
        trouble: str | None
        try:
            answer = self._transport.request("POST", battery_path(BatteryMode.NORMAL))
        except TransportError as error:
            self._doubt(sent_at)
            trouble = str(error)
        else:
            refused = None
            if answer.status == 200:
                self._chain_at, self._clear_at = sent_at, None
            else:
                self._doubt(sent_at)
                refused = refusal(answer.status, answer.body)
            trouble = self._delete() or refused
        if trouble is not None:
            yield self._fail(trouble)
        else:
            self._dirty, self._owed = False, frozenset()
            self._told_at = self._told_at and sent_at
            self._notes.released(sent_at)
            yield from self._confirm(None)

    def _delete(self) -> str | None:
        """Send the DELETE; what went wrong, or None."""
        try:
            answer = self._transport.request("DELETE", RELEASE_PATH)
        except TransportError as error:
            return str(error)
        if answer.status != 200:
            return refusal(answer.status, answer.body)
        self._stands = self._chain_at = self._retry_at = None
        self._clearing = False
        self._clear_at = self._clock.now() + self._interval + SETTLE
        return None

    def _confirm(self, mode: BatteryMode | None) -> Iterator[Said]:
        if mode != self._in_force or self._failed:
            self._in_force, self._failed = mode, False
            yield BatteryModeConfirmed(self._clock.now(), mode)

    def _fail(self, reason: str) -> Said:
        self._failed = True
        self._retry_at = self._clock.now() + RETRY
        return BatteryModeFailed(self._clock.now(), self._wanted, reason)


def _trouble(mode: BatteryMode, answer: Answer) -> str:
    if answer.status != 200:
        return refusal(answer.status, answer.body)
    if echo_of(answer) == 0:
        return "evcc has no controllable battery"
    return f"asked {mode.value}, evcc answered {echo_of(answer)!r}"[:200]


class _Notes:
    """The ledger as the keeper needs it: nothing is written for a renewal."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._trouble = ""  # why the will is not on disk
        self._intended = self._confirmed = "-"

    def forget(self) -> None:
        """Somebody else has written to the ledger."""
        self._intended = self._confirmed = "-"

    def will(self, made: WillMade) -> None:
        """Put the will on disk; where that fails nothing is posted until it works."""
        if self._ledger is None:
            return
        try:
            self._ledger.will(made.bequests, made.at)
            self._trouble = ""
        except LedgerError as error:
            self._trouble = str(error)

    def intend(self, mode: BatteryMode, at: datetime) -> str | None:
        """Note what is about to be posted; why it must not be, or None."""
        if self._ledger is None or self._intended == mode.value == self._confirmed:
            return None
        if self._trouble:
            return f"not sent, the will is not on disk: {self._trouble}"
        try:
            if self._intended != mode.value:
                self._ledger.intend("battery_mode", "", mode.value, at)
        except LedgerError as error:
            return f"not sent, not on disk: {error}"
        self._intended = mode.value
        return None

    def confirm(self, value: str, at: datetime) -> None:
        """Note what stands now."""
        if self._ledger is None or self._confirmed == value:
            return
        try:
            self._ledger.confirm("battery_mode", "", value, at)
        except LedgerError as error:  # what was intended is on disk: it is taken for ours
            log.warning("not noted as confirmed: %s", error)
        else:
            self._intended = self._confirmed = value

    def released(self, at: datetime) -> None:
        """evcc took the release; that its next cycle told the inverter is yet to be seen."""
        if self._ledger is None:
            return
        try:
            self._ledger.intend("battery_mode", "", "", at)
        except LedgerError as error:
            log.warning("released without a note: %s", error)
        self._intended, self._confirmed = "", "-"

    def refused(self, mode: BatteryMode) -> None:
        """Note that evcc did not take it."""
        self._intended = "-"
        if self._ledger is None:
            return
        try:
            self._ledger.refused("battery_mode", "", mode.value)
        except LedgerError as error:
            log.warning("not noted as refused: %s", error)

    def close(self) -> None:
        """Close the ledger's file."""
        if self._ledger is not None:
            self._ledger.close()
