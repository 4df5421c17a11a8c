"""What the runtime does with the ledger: estate at the start, the guard, the will at the end."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from engine.clock import Clock
from engine.estate import Bequest
from engine.guard import LEDGER, alone
from engine.guarding import Guarding
from engine.ledger import Estate, Ledger, LedgerError
from engine.messages import EstateRead
from engine.settings import Settings
from engine.transport import Transport
from engine.will import carry_out

if TYPE_CHECKING:
    from engine.home_ports import Reach

log = logging.getLogger("smartload.live")

LAST_WORDS = timedelta(seconds=10)
"""So long an orderly stop tries to give back what is left; then it is the guard's."""


class Heirs:
    """The ledger and the guard of one live controller.

    Without a `guard` (a pretend evcc in this process) the will is carried out here.
    """

    def __init__(
        self,
        ledger: Ledger,
        transport: Callable[[], Transport],
        clock: Clock,
        *,
        controller: str = "",
        guard: Guarding | None = None,
        trouble: str = "",
    ) -> None:
        self.ledger = ledger
        self._transport = transport
        self._clock = clock
        self._controller = controller
        self._guard = guard
        self._trouble = trouble
        self._handed_to: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def in_memory(cls, transport: Callable[[], Transport], clock: Clock) -> Self:
        """With a ledger that ends with this process, as its evcc does."""
        return cls(Ledger(), transport, clock)

    @classmethod
    def guarded(
        cls, reach: "Reach", settings: Settings, clock: Clock, folder: Path, silence_s: float
    ) -> Self:
        """With the ledger in `folder` and a guard that acts after `silence_s`.

        A ledger that cannot be used is kept aside, and that is said.
        """
        ledger, trouble = Ledger.opened(folder / LEDGER)
        if trouble:
            log.error("%s", trouble)
        controller = uuid4().hex
        task = reach.task(folder, controller, settings, silence_s)
        return cls(
            ledger,
            reach.transport,
            clock,
            controller=controller,
            guard=Guarding(task) if task else None,
            trouble=trouble,
        )

    @property
    def silence(self) -> timedelta:
        """After so long a silence of ours a guard may have acted: well before it does."""
        seconds = self._guard.task.silence_s if self._guard else 90.0
        return timedelta(seconds=seconds) * 2 / 3

    def start(self) -> None:
        """Take over from the guard of an earlier controller, and start our own."""
        self._note(lambda: self.ledger.begin(self._controller))
        self.wait_for_guard()
        if self._guard is not None:
            self._guard.start()

    def wait_for_guard(self) -> None:
        """Return when no guard acts any more."""
        if self.ledger.path is None:
            return
        with alone(self.ledger.path.parent) as free:
            if not free:
                log.warning("a guard process still acts; going on beside it")

    def estate(self, at: datetime) -> EstateRead:
        """What the ledger holds, to be said."""
        kept = self._read()
        return EstateRead(at, *kept)

    def beat(self) -> None:
        """The controller lives."""
        if self._guard is not None:
            self._guard.beat()

    def hands_off(self) -> None:
        """The controller has given up: the will is carried out now. Every guard hears it once."""
        if self._guard is not None and self._guard.pid is not None:
            if self._handed_to != self._guard.pid:
                self._handed_to = self._guard.pid
                self._guard.hands_off()
        elif self._thread is None:
            self._thread = threading.Thread(
                target=self._carry_out, name="smartload-will", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """The end: give back what is left, leave to the guard what cannot be given back now."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LAST_WORDS.total_seconds())
        given_back = self._last_words()
        if self._guard is not None:
            if given_back:
                self._guard.done()
            else:
                log.warning("not everything was given back: the guard process goes on trying")
                self._guard.abandon()
        self.ledger.close()

    def health(self) -> dict[str, Any]:
        """For `/health`: the guard, the will, what is wrong with either."""
        trouble, kept = self._trouble, Estate()
        try:
            kept = self.ledger.read()
        except LedgerError as error:
            trouble = str(error)
        guard = self._guard
        return {
            "guard": {
                "needed": guard is not None,
                "pid": guard.pid if guard else None,
                "problem": guard.trouble if guard else "none needed: evcc is in this process",
            },
            "will": [_line(one) for one in kept.bequests],
            "carried_out_at": kept.carried_out_at,
            "ledger": trouble,
        }

    # --- the will, here ---------------------------------------------------------------------------

    def _carry_out(self) -> None:
        transport = self._transport()
        try:
            carry_out(
                self._read().bequests,
                transport,
                self._clock,
                self.ledger,
                self._stop.is_set,
                wait=self._stop.wait,
            )
        finally:
            transport.close()

    def _last_words(self) -> bool:
        try:
            kept = self.ledger.read()
        except LedgerError as error:
            log.error("%s", error)
            return False
        if not kept.bequests or kept.carried_out_at is not None:
            return True
        transport = self._transport()
        try:
            return carry_out(
                kept.bequests,
                transport,
                self._clock,
                self.ledger,
                bool,
                patience=LAST_WORDS,
                sure=timedelta(),
            )
        finally:
            transport.close()

    def _read(self) -> Estate:
        try:
            return self.ledger.read()
        except LedgerError as error:
            self._trouble = str(error)
            log.error("%s", error)
            return Estate()

    def _note(self, write: Callable[[], None]) -> None:
        try:
            write()
        except LedgerError as error:
            self._trouble = str(error)
            log.error("%s", error)


def _line(one: Bequest) -> str:
    parts = (one.loadpoint or one.vehicle, one.setting, one.value)
    return " ".join(f"{part}" for part in parts if part != "")
