"""The guard as a real process: what it does when the controller dies, hangs, stops or is back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.clock import WallClock
from engine.estate import Bequest
from engine.guard import LEDGER, Task, alone
from engine.guarding import Guarding
from engine.heirs import Heirs
from engine.ledger import Ledger
from engine.transport import Answer
from engine.values import Why
from sim.evcc_server import EvccServer
from tests.make_live import serving, until, writes_of

WHY = Why("restore_user")
WILL = (Bequest("battery_mode", WHY), Bequest("mode", WHY, "carport", value="off"))
GIVEN_BACK = {
    "POST /api/batterymode/normal",
    "DELETE /api/batterymode",
    "POST /api/loadpoints/1/mode/off",
}


class Home:
    """A data folder with a will in it, its evcc, and a guard for the controller `c1`."""

    def __init__(self, folder: Path, server: EvccServer) -> None:
        self.folder, self.server = folder, server
        self.ledger = Ledger(folder / LEDGER)
        self.ledger.begin("c1")
        self.ledger.will(WILL, datetime.now(UTC))
        self.guards: list[Guarding] = []
        self.pids: list[int] = []

    def guard(self, silence_s: float = 90.0, url: str = "") -> Guarding:
        """A started one that is listening already."""
        guard = Guarding(
            Task(f"{self.folder}", "c1", url or self.server.url, silence_s=silence_s, sure_s=0.5)
        )
        guard.start()
        assert guard.pid is not None
        self.guards.append(guard)
        self.pids.append(guard.pid)
        return guard

    def writes(self) -> list[str]:
        return writes_of(self.server)

    def given_back(self) -> bool:
        return set(self.writes()) >= GIVEN_BACK and self.ledger.read().carried_out_at is not None


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with serving() as server:
        home = Home(tmp_path, server)
        yield home
        for guard in home.guards:
            guard.done()
        for pid in home.pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
            until(lambda pid=pid: gone(pid))  # type: ignore[misc]


def gone(pid: int) -> bool:
    """Whether the process has ended (and is nobody's child any more)."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()


def test_the_end_of_the_pipe_is_the_controllers_death(home: Home) -> None:
    guard = home.guard()
    guard.beat()
    assert guard.trouble == ""
    guard.abandon()
    until(home.given_back)
    assert set(home.writes()) == GIVEN_BACK


def test_a_controller_that_stops_in_order_is_no_dead_one(home: Home) -> None:
    guard = home.guard()
    pid = home.pids[0]
    guard.beat()
    guard.done()
    assert gone(pid)
    assert home.writes() == []


def test_a_silence_is_acted_on_once_and_the_next_one_again(home: Home) -> None:
    guard = home.guard(silence_s=1.0)
    until(home.given_back)
    # the controller is back: it beats, writes, and falls silent again
    guard.beat()
    done = len(home.writes())
    home.ledger.intend("mode", "carport", "now", datetime.now(UTC))
    with home.server.lock:
        home.server.pretend.request("POST", "/api/loadpoints/1/mode/now")
    until(lambda: home.ledger.read().carried_out_at is not None)
    assert "POST /api/loadpoints/1/mode/off" in home.writes()[done + 1 :]


def test_beats_keep_it_quiet(home: Home) -> None:
    guard = home.guard(silence_s=2.0)
    for _ in range(30):
        guard.beat()
        with pytest.raises(AssertionError):
            until(home.writes, 0.1)
    assert home.ledger.read().carried_out_at is None


def test_hands_off_is_carried_out_although_the_controller_ticks_on(home: Home) -> None:
    guard = home.guard()
    guard.beat()
    guard.hands_off()

    def beaten() -> bool:
        guard.beat()
        return home.given_back()

    until(beaten)
    done = home.writes()
    guard.abandon()
    until(lambda: gone(home.pids[0]))
    assert home.writes() == done


def test_a_controller_that_comes_back_meanwhile_ends_it(home: Home) -> None:
    """evcc is away, so the guard goes on trying; then the controller is there again."""
    with home.server.lock:
        home.server.pretend.kill()
    guard = home.guard(silence_s=1.0)
    until(lambda: not free(home.folder))
    guard.beat()
    until(lambda: free(home.folder))
    with home.server.lock:
        home.server.pretend.start()
    guard.done()
    assert home.writes() == []


def test_a_new_controller_takes_over_from_the_guard_of_a_dead_one(home: Home) -> None:
    with home.server.lock:
        home.server.pretend.kill()
    guard = home.guard()
    until(lambda: guard.pid is not None)
    guard.abandon()
    until(lambda: not free(home.folder))
    heirs = Heirs(home.ledger.again(), Unreached, WallClock(), controller="c2")
    heirs.start()  # returns when it does not act any more
    assert free(home.folder)
    until(lambda: gone(home.pids[0]))
    assert home.ledger.read().carried_out_at is None
    assert heirs.estate(datetime.now(UTC)).bequests == WILL
    heirs.ledger.close()


def free(folder: Path) -> bool:
    """Whether no guard acts."""
    with alone(folder, 0) as nobody:
        return nobody


class Unreached:
    """An evcc that nobody is meant to ask."""

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        raise AssertionError(path)

    def close(self) -> None:
        """Nothing is open."""


def test_it_outlives_the_signals_that_end_the_controller(home: Home) -> None:
    guard = home.guard()
    guard.beat()
    until(lambda: ignores_sigterm(home.pids[0]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(home.pids[0], number)
    guard.abandon()
    until(home.given_back)


def ignores_sigterm(pid: int) -> bool:
    """Whether it has begun."""
    (line,) = [
        one for one in Path(f"/proc/{pid}/status").read_text().split("\n") if "SigIgn" in one
    ]
    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_guard_that_was_killed_is_replaced(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.guarding.AGAIN_S", 0.0)
    guard = home.guard()
    first = guard.pid
    os.kill(home.pids[0], signal.SIGKILL)
    until(lambda: guard.pid is None)
    guard.beat()
    assert guard.pid not in (first, None)
    home.pids.append(guard.pid or 0)
    guard.abandon()
    until(home.given_back)


def test_a_guard_that_cannot_be_started_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    guard = Guarding(Task(f"{home.folder}", "c1", home.server.url))
    guard.start()
    assert guard.pid is None
    assert "no guard process can be started" in guard.trouble
    heirs = Heirs(home.ledger, Unreached, WallClock(), guard=guard)
    assert heirs.health()["guard"] == {
        "needed": True,
        "pid": None,
        "problem": guard.trouble,
    }
    assert heirs.health()["will"] == ["battery_mode", "carport mode off"]
    guard.done()


def test_secrets_are_not_in_its_arguments(home: Home) -> None:
    guard = Guarding(Task(f"{home.folder}", "c1", "http://me:hunter2@x", "geheim"))
    guard.start()
    try:
        cmdline = Path(f"/proc/{guard.pid}/cmdline")
        until(lambda: b"engine.guard" in cmdline.read_bytes())  # empty until it was executed
        arguments = cmdline.read_bytes()
        assert b"hunter2" not in arguments
        assert b"geheim" not in arguments
    finally:
        guard.done()


def test_a_guard_that_was_told_nothing_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "engine.guard"], stdin=subprocess.DEVNULL, timeout=20, check=False
    )
    assert ended.returncode == 0
