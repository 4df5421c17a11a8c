"""Two ports to evcc: one reads, one writes to the loadpoints. The third: `evcc_battery.py`.

Each has a transport, and live a thread, of its own, so a slow read delays no write and no renewal
(INV-186). What the ports say is fact; deciding is the actors' business (design §3, §10).
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from engine.actor import Port
from engine.clock import Clock
from engine.evcc_battery import BatteryKeeper
from engine.evcc_fields import EvccUnreadable
from engine.evcc_json import refusal, site_from, tariff_from
from engine.evcc_writes import PLANS, OrderError, echo_matches, echo_of, path_for, verb_of
from engine.ledger import Ledger, LedgerError
from engine.messages import (
    ActorFailed,
    EvccRead,
    EvccReadDue,
    EvccSilent,
    HandsOff,
    Order,
    OrderConfirmed,
    OrderFailed,
    WillMade,
)
from engine.transport import Answer, Transport, TransportError
from engine.values import Site, Tariff, Why, find

log = logging.getLogger("smartload.evcc")

__all__ = ["BatteryKeeper", "EvccReader", "EvccWriter"]

IN_FULL = timedelta(hours=1)
RETRY = timedelta(seconds=10)
STALE_READ = timedelta(seconds=30)
"""A reading that arrives after a write may have been made before it; not for longer than this."""


class _Told(NamedTuple):
    """The last answer for a tariff, what it says, and when that was said in full."""

    answer: Answer
    tariff: Tariff
    in_full_at: datetime


class EvccReader(Port[EvccReadDue | ActorFailed, EvccRead | EvccSilent]):
    """Reads the state and the tariffs asked for.

    A tariff that is byte for byte the last one is said to be unchanged, without its some 300
    entries, but once an hour in full. A read that was not answered is tried once more (INV-61); of
    the tariffs only the first silence is waited for, so all takes at most three timeouts. After an
    actor's failure all is said in full again: what it last heard may be lost.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._last: dict[str, _Told] = {}

    def on(self, message: EvccReadDue | ActorFailed) -> Iterator[EvccRead | EvccSilent]:
        match message:
            case ActorFailed():
                self._last.clear()
            case EvccReadDue(tariffs=usages):
                yield self._read(usages)
            case _:
                assert_never(message)

    def _read(self, usages: tuple[str, ...]) -> EvccRead | EvccSilent:
        try:
            answer = self._state()
            at = self._clock.now()
            if answer.status != 200:
                raise EvccUnreadable(refusal(answer.status, answer.body))
            site = site_from(answer.body)
        except TransportError as error:
            return EvccSilent(self._clock.now(), str(error))
        except EvccUnreadable as unreadable:
            return EvccSilent(self._clock.now(), unreadable.reason)
        return EvccRead(at, site, self._tariffs(usages), answer.connection)

    def _state(self) -> Answer:
        try:
            return self._transport.request("GET", "/api/state")
        except TransportError:
            return self._transport.request("GET", "/api/state")

    def _tariffs(self, usages: tuple[str, ...]) -> tuple[Tariff, ...]:
        tariffs: list[Tariff] = []
        silence = ""
        for usage in usages:
            if not silence:
                try:
                    answer = self._transport.request("GET", f"/api/tariff/{usage}")
                except TransportError as error:
                    silence = str(error) or "no answer"
                else:
                    tariffs.append(self._tariff(usage, answer))
                    continue
            tariffs.append(Tariff(usage, None, silence))
        return tuple(tariffs)

    def _tariff(self, usage: str, answer: Answer) -> Tariff:
        now = self._clock.now()
        last = self._last.get(usage)
        if last is None or last.answer != answer:
            last = _Told(answer, tariff_from(usage, answer.status, answer.body), now)
        elif last.tariff.rates is not None and now - last.in_full_at < IN_FULL:
            return Tariff(usage, None, unchanged=True)
        self._last[usage] = last._replace(in_full_at=now)
        return last.tariff

    def close(self) -> None:
        self._transport.close()


class _Written(NamedTuple):
    """A mode that the writer set, or may have set, at a loadpoint."""

    mode: str
    at: datetime


class EvccWriter(Port[Order | EvccRead | HandsOff | WillMade, OrderConfirmed | OrderFailed]):
    """Writes orders, each once: whether to try again is the actuator's business.

    With a `ledger` an order is on disk before it is sent, or it is not sent (giving back is, in
    any case), its confirmation after; so is the will. On HandsOff a will on disk is carried out by
    others, and nothing more is sent from here. Without one every loadpoint that stands at a `now`
    or `minpv` of ours gets `pv`, tried every 10 s until evcc confirms; from then on only what the
    user had is taken (`restore_user`).
    """

    def __init__(self, transport: Transport, clock: Clock, ledger: Ledger | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._ledger = ledger
        self._trouble = ""  # why the will is not on disk
        self._will = False
        self._site: Site | None = None
        self._written: dict[str, _Written] = {}
        self._off: Why | None = None
        self._retry_at: datetime | None = None

    def on(
        self, message: Order | EvccRead | HandsOff | WillMade
    ) -> Iterator[OrderConfirmed | OrderFailed]:
        match message:
            case EvccRead():
                self._site = message.site
                self._forget_what_others_changed(message)
            case WillMade():
                self._make_will(message)
            case Order():
                yield self._write(message)
            case HandsOff():
                self._off = message.why
                yield from self._give_back()
            case _:
                assert_never(message)

    def next_wake(self) -> datetime | None:
        return self._retry_at

    def wake(self, at: datetime) -> Iterator[OrderConfirmed | OrderFailed]:
        yield from self._give_back()

    def close(self) -> None:
        self._transport.close()
        if self._ledger is not None:
            self._ledger.close()

    def _make_will(self, message: WillMade) -> None:
        if self._ledger is None or self._off is not None:
            return
        self._will = bool(message.bequests)
        try:
            self._ledger.will(message.bequests, message.at)
            self._trouble = ""
        except LedgerError as error:
            self._trouble = str(error)

    def _write(self, order: Order) -> OrderConfirmed | OrderFailed:
        now, giving_back = self._clock.now(), order.why.code == "restore_user"
        if self._off is not None and (self._will or not giving_back):
            return OrderFailed(now, order, "hands off")
        if self._trouble and not giving_back:
            return OrderFailed(now, order, f"not sent, the will is not on disk: {self._trouble}")
        return self._send(order, giving_back)

    def _send(self, order: Order, giving_back: bool) -> OrderConfirmed | OrderFailed:
        if self._site is None:
            return OrderFailed(self._clock.now(), order, "evcc was not read yet")
        name = order.loadpoint.casefold()
        before = self._written.get(name)
        try:
            path = path_for(order, self._site)
            self._intend(order, giving_back)
            if order.setting == "mode":
                # before it is sent: an answer that gets lost does not undo the write
                self._written[name] = _Written(str(order.value), self._clock.now())
            answer = self._transport.request(verb_of(order), path)
        except (OrderError, TransportError) as error:
            return OrderFailed(self._clock.now(), order, str(error))
        except LedgerError as error:
            return OrderFailed(self._clock.now(), order, f"not sent, not on disk: {error}")
        now = self._clock.now()
        if echo_matches(order, answer):
            if order.setting == "mode":
                self._written[name] = _Written(str(order.value), now)
            self._settle(order, now)
            return OrderConfirmed(now, order)
        if answer.status != 200:
            if 400 <= answer.status < 500:
                self._settle(order, None)
                if order.setting == "mode":
                    self._restore(name, before)
            return OrderFailed(now, order, refusal(answer.status, answer.body))
        return OrderFailed(now, order, f"asked {order.value!r}, evcc has {echo_of(answer)!r}"[:200])

    def _intend(self, order: Order, giving_back: bool) -> None:
        """Raises LedgerError where it is not on disk and nothing is given back."""
        if self._ledger is None:
            return
        try:
            self._ledger.intend(order.setting, order.loadpoint, order.value, self._clock.now())
        except LedgerError as error:
            if not giving_back:
                raise
            log.warning("given back without a note: %s", error)

    def _settle(self, order: Order, confirmed_at: datetime | None) -> None:
        """Note what came of an intention; None: refused."""
        if self._ledger is None:
            return
        try:
            if confirmed_at is None:
                self._ledger.refused(order.setting, order.loadpoint, order.value)
            else:
                self._ledger.confirm(order.setting, order.loadpoint, order.value, confirmed_at)
                if order.setting in PLANS:
                    self._ledger.plan_gone(order.setting, order.loadpoint, order.vehicle)
        except LedgerError as error:  # the intention is on disk: it is taken for ours
            log.warning("not noted as confirmed: %s", error)

    def _restore(self, name: str, before: _Written | None) -> None:
        if before is None:
            self._written.pop(name, None)
        else:
            self._written[name] = before

    def _forget_what_others_changed(self, read: EvccRead) -> None:
        """A human's mode, or the one that evcc sets at unplugging, is not ours to take back."""
        for name, written in tuple(self._written.items()):
            loadpoint = find(read.site.loadpoints, name)
            if loadpoint is None or (
                loadpoint.mode != written.mode and read.at > written.at + STALE_READ
            ):
                del self._written[name]

    def _give_back(self) -> Iterator[OrderConfirmed | OrderFailed]:
        self._retry_at = None
        if self._off is None or self._will:
            return
        for name, written in tuple(self._written.items()):
            if written.mode not in ("now", "minpv"):
                continue
            said = self._send(Order(self._clock.now(), 0, name, "mode", "pv", self._off), True)
            if isinstance(said, OrderFailed):
                self._written[name] = written
                self._retry_at = self._clock.now() + RETRY
            yield said
