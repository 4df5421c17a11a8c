"""The port that keeps evcc's external battery mode standing, and lets it go (design §7).

evcc drops the mode 60 s after its last POST, and that watchdog has a hole (recorded, evcc-api.md
§4): a POST that arrives after the expiry but before the cycle that resets it stands for ever. So a
POST is sent only where the hole cannot be: on a living chain of POSTs, or after a DELETE and one
whole evcc cycle.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, assert_never

from engine.actor import Port
from engine.clock import Clock
from engine.evcc_json import DEFAULT_INTERVAL_S, refusal
from engine.evcc_writes import RELEASE_PATH, battery_echo_matches, battery_path, echo_of
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    ConfigRead,
    EvccRead,
    HandsOff,
    StopAsked,
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
AT_ONCE = datetime.min.replace(tzinfo=UTC)

Heard: TypeAlias = BatteryModeStands | ConfigRead | EvccRead | HandsOff | StopAsked
Said: TypeAlias = BatteryModeConfirmed | BatteryModeFailed


class BatteryKeeper(
    Port[
        BatteryModeStands | ConfigRead | EvccRead | HandsOff | StopAsked,
        BatteryModeConfirmed | BatteryModeFailed,
    ]
):
    """Posts the mode that stands at once when new, renews it every 20 s, releases it in order.

    Released means POST `normal`, then DELETE, both answered 200; sent only when something was
    posted, repeated every 10 s until confirmed. Says Confirmed when the mode in force changed, or
    works again after a failure; Failed on every failure.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._tick = timedelta(seconds=10)
        self._interval = timedelta(seconds=DEFAULT_INTERVAL_S)
        self._seen: Battery | None = None
        self._wanted: BatteryMode | None = None
        self._heard_at = AT_ONCE
        self._over = False
        # what we did to evcc
        self._dirty = False  # something of ours may stand there, or in the inverter
        self._stands: BatteryMode | None = None  # taken since the last DELETE
        self._chain_at: datetime | None = None  # sending of the last POST answered 200
        self._clearing = False  # a DELETE has to come first
        self._clear_at: datetime | None = None  # after a DELETE: no POST before
        self._renew_at = AT_ONCE
        self._retry_at: datetime | None = None
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
            case BatteryModeStands():
                if not self._over:
                    self._heard_at = self._clock.now()
                    yield from self._want(message.mode)
            case HandsOff() | StopAsked():
                self._over = True
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

    def _let_go_at(self) -> datetime:
        return self._heard_at + self._tick + PATIENCE

    def _want(self, mode: BatteryMode | None) -> Iterator[Said]:
        """Do what is due now; afterwards `next_wake` lies ahead."""
        if mode != self._wanted:
            self._wanted, self._retry_at = mode, None
        now, due_at = self._clock.now(), self._due_at()
        if due_at is None or now < due_at:
            return
        if self._must_clear(now):
            yield from self._clear()
        elif mode is None:
            yield from self._release(now)
        else:
            yield from self._post(mode, now)

    def _due_at(self) -> datetime | None:
        """When something is to be sent, what that is shows then."""
        if self._wanted is None and not self._dirty:
            return None
        if self._clearing:
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
        was_dirty, self._dirty = self._dirty, True
        try:
            answer = self._transport.request("POST", battery_path(mode))
        except TransportError as error:
            self._doubt(sent_at)
            yield self._fail(str(error))
            return
        if battery_echo_matches(mode, answer):
            self._chain_at, self._clear_at, self._retry_at = sent_at, None, None
            self._stands, self._renew_at = mode, sent_at + RENEW
            if chain_at is not None and self._clock.now() - chain_at > LATE_ANSWER:
                yield from self._clear()
            else:
                yield from self._confirm(mode)
            return
        if 400 <= answer.status < 500 or echo_of(answer) == 0:
            self._dirty = was_dirty  # refused: nothing of it stands
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
            self._dirty = False
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
