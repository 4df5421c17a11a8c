"""Real deaths of a real `smartload run` over HTTP: killed, hung, ended; the home is given back."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.guard import LEDGER
from engine.ledger import Estate, Ledger
from engine.loadpoint import PV
from sim.evcc_server import EvccServer
from tests.make_live import Program, config_text, free_port, serving, until, writes_of

ACTS = {"POST /api/loadpoints/1/mode/now", "POST /api/batterymode/charge"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[EvccServer, tuple[str, ...]]]:
    """A pretend evcc, and the arguments of `run` for it."""
    with serving() as server:
        file = tmp_path / "smartload.yaml"
        file.write_text(config_text(server.url))
        yield server, ("--config", f"{file}", "--data", f"{tmp_path / 'data'}", "--control", "on",
                       "--guard-silence", "10")  # fmt: skip
        for pid in guards(tmp_path / "data"):  # one that still looks whether all stays given back
            os.kill(pid, signal.SIGKILL)


def guards(folder: Path) -> list[int]:
    """The guard processes of this data folder."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"engine.guard" in words and f"{folder}".encode() in words:
            found.append(int(one.name))
    return found


def estate(folder: Path) -> Estate:
    ledger = Ledger(folder / LEDGER)
    try:
        return ledger.read()
    finally:
        ledger.close()


def run(arguments: tuple[str, ...], folder: Path) -> Program:
    return Program("run", *arguments, "--port", f"{free_port()}", cwd=folder)


def acting(program: Program, server: EvccServer, since: int = 0) -> None:
    program.until(lambda: set(writes_of(server)[since:]) >= ACTS)


def buys(server: EvccServer, since: int) -> bool:
    """Whether the battery is told to charge again. The car now has evcc's own plan."""
    return "POST /api/batterymode/charge" in writes_of(server)[since:]


def given_back(server: EvccServer) -> bool:
    """Whether evcc has everything back."""
    with server.lock:
        server.pretend.catch_up()
        external = server.pretend.state().get("batteryModeExternal", "")
        return server.pretend.home.loadpoints[0].mode == PV and external in ("", "unknown")


def test_a_controller_that_was_killed_is_followed_by_its_guard_and_then_by_another(
    home: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = home
    with run(arguments, tmp_path) as program:
        acting(program, server)
        health = program.get("/health")["runtime"]
        assert guards(tmp_path / "data") == [health["guard"]["pid"]]
        assert health["ledger"] == ""
        assert health["will"][0] == "battery_mode"
        program.process.send_signal(signal.SIGKILL)
        program.process.wait(5)
        before = len(writes_of(server))
        until(lambda: given_back(server), 40)
        assert "POST /api/batterymode/normal" in writes_of(server)[before:]
        done = len(writes_of(server))
    # its guard still looks whether that stays so; the next controller takes over at once
    with run(arguments, tmp_path) as program:
        until(lambda: buys(server, done), 90)
        assert len(guards(tmp_path / "data")) == 1
        assert program.end() == 0
        assert "Traceback" not in program.said
    assert given_back(server)


def test_a_controller_that_hangs_finds_that_its_will_was_carried_out(
    home: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = home
    with run(arguments, tmp_path) as program:
        acting(program, server)
        program.process.send_signal(signal.SIGSTOP)
        until(lambda: given_back(server), 60)
        done = len(writes_of(server))
        program.process.send_signal(signal.SIGCONT)
        until(lambda: buys(server, done), 90)  # in control again, with the same guard
        assert len(guards(tmp_path / "data")) == 1
        assert program.end() == 0
        assert "giving back what is ours" in program.said
        assert "beginning as after a restart" in program.said
    assert given_back(server)


def test_an_orderly_end_leaves_nothing_and_no_guard(
    home: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = home
    with run(arguments, tmp_path) as program:
        acting(program, server)
        assert program.end() == 0
        assert guards(tmp_path / "data") == []
    assert given_back(server)
    kept = estate(tmp_path / "data")
    assert kept.bequests == () or kept.carried_out_at is not None


def test_an_evcc_that_is_away_at_the_end_gets_it_back_later(
    home: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = home
    with run(arguments, tmp_path) as program:
        acting(program, server)
        with server.lock:
            server.pretend.term()
        program.end(timeout_s=60)
        assert len(guards(tmp_path / "data")) == 1
        assert "the guard process goes on trying" in program.said
    with server.lock:
        server.pretend.start()
    until(lambda: given_back(server), 40)
