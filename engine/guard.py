"""The guard: a process that carries out the will when the controller dies or hangs (design §7).

The controller starts it before anything is written and sends it a byte per tick through a pipe.
Everything secret goes through that pipe. `python -m engine.guard --data DIR` is never run by hand.
"""

import fcntl
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from engine.clock import WallClock
from engine.evcc_http import HttpTransport
from engine.ledger import Ledger, LedgerError
from engine.logs import set_up
from engine.will import PATIENCE, SURE, carry_out

log = logging.getLogger("smartload.guard")

SILENCE_S = 90.0
LEDGER, LOCK = "ledger.db", "guard.lock"
ALIVE, HANDS_OFF, DONE = b".", b"h", b"!"
AGAIN_S = 10.0
PATIENT_S = 30.0
"""So long a controller waits for a guard that is in the middle of a request."""


class Task(msgspec.Struct, frozen=True):
    """What the guard has to know, its first line on the pipe."""

    folder: str
    controller: str
    url: str
    password: str | None = None
    timeout_s: float = 10.0
    headers: dict[str, str] = {}
    silence_s: float = SILENCE_S
    sure_s: float = SURE.total_seconds()
    log_level: str = "info"


@contextmanager
def alone(folder: Path, within_s: float = PATIENT_S) -> Iterator[bool]:
    """Nobody else acts as a guard in `folder` meanwhile; False: somebody still does."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline_s = time.monotonic() + within_s
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline_s:
                    yield False
                    return
                time.sleep(0.05)
            else:
                yield True
                return
    finally:
        os.close(lock)


# --- the process ----------------------------------------------------------------------------------


class Pipe:
    """The guard's end of the pipe: when the controller was heard last, and what it said."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.heard_s = time.monotonic()
        self.heard_at = datetime.now(UTC)
        self.beats = 0
        self.closed = self.done = self.hands_off = False

    def first_line(self) -> bytes:
        """What the controller says first. Blocks."""
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(self._descriptor, 1)
            if not byte:
                break
            line += byte
        return bytes(line)

    def wait(self, seconds: float) -> None:
        """Listen for so long, or until something was said."""
        if self.closed:
            time.sleep(seconds)
            return
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return
        said = os.read(self._descriptor, 4096)
        if not said:
            self.closed = True
            return
        self.done = self.done or DONE in said
        self.hands_off = self.hands_off or HANDS_OFF in said
        self.beats += 1
        self.heard_s, self.heard_at = time.monotonic(), datetime.now(UTC)

    def linger(self, seconds: float) -> None:
        """Listen for so long, whatever is said."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and not self.done:
            beats, was_closed = self.beats, self.closed
            self.wait(min(left_s, 1.0))
            if self.closed != was_closed or (self.beats != beats and not self.hands_off):
                return


class Watch:
    """Listens to the controller and carries out the will when it has to."""

    def __init__(self, task: Task, pipe: Pipe) -> None:
        self._task = task
        self._pipe = pipe
        self._folder = Path(task.folder)
        self._handed = False
        self._acted_for = -1  # the silence after so many beats was acted on

    def run(self) -> None:
        """Until the controller has stopped in order, or its will is carried out."""
        while not self._pipe.done:
            self._pipe.wait(1.0)
            pipe = self._pipe
            silent = time.monotonic() - pipe.heard_s > self._task.silence_s
            if pipe.done:
                return
            if pipe.closed:
                self._act("the controller is gone")
                return
            if pipe.hands_off and not self._handed:
                self._handed = True
                self._act("the controller has given up")
            elif silent and not self._handed and self._acted_for != pipe.beats:
                self._acted_for = pipe.beats
                self._act(f"the controller was silent for {self._task.silence_s:g} s")

    def _act(self, why: str) -> None:
        heard = self._pipe.beats
        while not self._stop(heard):
            try:
                with alone(self._folder, AGAIN_S) as free:
                    if free:
                        self._carry_out(why, heard)
                        return
            except (LedgerError, OSError) as error:
                log.warning("the will cannot be read, trying again: %s", error)
                self._pipe.linger(AGAIN_S)

    def _carry_out(self, why: str, heard: int) -> None:
        task = self._task
        ledger = Ledger(self._folder / LEDGER)
        transport = HttpTransport(task.url, task.password, task.timeout_s, task.headers)
        try:
            if ledger.controller() != task.controller:
                return
            estate = ledger.read()
            if not estate.bequests or estate.carried_out_at is not None:
                return
            log.warning("%s: giving back what is ours at evcc", why)
            done = carry_out(
                estate.bequests,
                transport,
                WallClock(),
                ledger,
                lambda: self._stop(heard) or ledger.controller() != task.controller,
                patience=PATIENCE,
                sure=timedelta(seconds=task.sure_s),
                alive_at=self._pipe.heard_at,
                wait=self._pipe.linger,
            )
            log.warning("everything was given back" if done else "not finished: somebody took over")
        finally:
            transport.close()
            ledger.close()

    def _stop(self, heard: int) -> bool:
        """Whether the controller is back; one that gave up may tick as it likes."""
        if not self._pipe.closed:
            self._pipe.wait(0)
        back = self._pipe.beats != heard and not self._pipe.hands_off
        return self._pipe.done or back


def main() -> None:
    """The process: waits on standard input, ends when nothing is left to do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it has to outlive what ends the controller
    pipe = Pipe(sys.stdin.fileno())
    line = pipe.first_line()
    if not line.endswith(b"\n"):
        return  # the controller died before it had said, and written, anything
    task = msgspec.json.decode(line, type=Task)
    set_up(task.log_level)
    Watch(task, pipe).run()


if __name__ == "__main__":
    main()
