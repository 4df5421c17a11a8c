"""The controller's side of the guard process: starts it, keeps it alive, speaks to it."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from engine.guard import ALIVE, DONE, HANDS_OFF, Task

log = logging.getLogger("smartload.guard")

AGAIN_S = 10.0
LINGER_S = 5.0
ROOT = Path(__file__).resolve().parent.parent


class Guarding:
    """A guard for this controller; a new one where it died, at most each 10 s."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.trouble = "not started yet"
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0

    @property
    def pid(self) -> int | None:
        """The guard's process id; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it. Where that fails `trouble` says why, and `beat` tries again."""
        self._started_s = time.monotonic()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine.guard", "--data", self.task.folder],
                stdin=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
                env=os.environ | {"PYTHONPATH": _path()},
            )
        except OSError as error:
            self.trouble = f"no guard process can be started: {error}"
            log.error("%s", self.trouble)
            return
        self.trouble = ""
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._say(msgspec.json.encode(self.task) + b"\n")

    def beat(self) -> None:
        """Say that the controller lives; begin anew with a guard that died."""
        if self.pid is not None:
            self._say(ALIVE)
        elif time.monotonic() - self._started_s >= AGAIN_S:
            if self._process is not None:
                log.warning("the guard process is gone (%s), starting another",
                            self._process.returncode)  # fmt: skip
                self._release()
            self.start()

    def hands_off(self) -> None:
        """Let it carry out the will although the controller lives."""
        self._say(HANDS_OFF)

    def done(self) -> None:
        """Everything was given back: it may end. Returns when it has, or after 5 s."""
        self._say(DONE)
        self._release()

    def abandon(self) -> None:
        """The controller ends with something left to give back: the guard sees to it."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.returncode = process.poll() or 0  # nobody waits for it any more

    def _say(self, what: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            os.write(process.stdin.fileno(), what)
        except BlockingIOError:
            pass  # it does not listen at present, and has enough to hear
        except (OSError, ValueError) as error:
            self.trouble = f"the guard process does not listen: {error}"

    def _release(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(LINGER_S)
        except subprocess.TimeoutExpired:
            log.warning("the guard process %d did not end", process.pid)


def _path() -> str:
    """Where Python finds us, whatever the working directory holds."""
    given = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([f"{ROOT}", given] if given else [f"{ROOT}"])
