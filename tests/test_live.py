"""The live side: `run` and `demo` as processes, against a pretend evcc on a port."""

import fcntl
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.loadpoint import PV
from sim.evcc_server import EvccServer
from tests.make_live import (
    Program,
    config_text,
    free_port,
    serving,
    writes_of,
)

PLAN_SLOTS = 193


@pytest.fixture
def config(tmp_path: Path) -> Iterator[tuple[EvccServer, tuple[str, ...]]]:
    """A pretend evcc, and the arguments of `run` for it."""
    with serving() as server:
        file = tmp_path / "smartload.yaml"
        file.write_text(config_text(server.url))
        yield server, ("--config", f"{file}", "--data", f"{tmp_path / 'data'}")


def lock_is_free(folder: Path) -> bool:
    with (folder / "smartload.lock").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


# --- smartload run --------------------------------------------------------------------------------


def test_run_watches_first_shows_what_it_would_do_and_writes_nothing(
    config: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = config
    with Program("run", *arguments, "--port", f"{free_port()}", cwd=tmp_path) as program:
        first = program.status(lambda status: status.get("plan") and status.get("in_control"))
        program.status(lambda status: status["revision"] > first["revision"] + 3)
        status = program.get("/status")
        assert status["control"] == "watch"
        would = {one["setting"]: one for one in status["in_control"]}
        for setting, code in (("battery_mode", "battery_buys"),
                              ("loadpoint:carport:mode", "car_deadline")):  # fmt: skip
            assert would[setting]["owner"] == "evcc"
            assert would[setting]["why"]["numbers"]["would"] == code
        assert status["loadpoints"][0]["mode"] == "pv"
        assert program.get("/health")["status"] == "ok"
        assert program.end() == 0
        assert "(watch)" in program.said
        assert "Traceback" not in program.said
    assert writes_of(server) == []


def test_run_in_control_acts_and_gives_everything_back_when_it_is_ended(
    config: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = config
    port = free_port()
    on = ("run", *arguments, "--control", "on", "--port")
    acts = {"POST /api/loadpoints/1/mode/now", "POST /api/batterymode/charge"}
    with Program(*on, f"{port}", cwd=tmp_path) as program:
        program.until(lambda: acts <= set(writes_of(server)))
        status = program.status(lambda status: status["loadpoints"][0]["mode"] == "now")
        assert status["control"] == "on"
        with Program(*on, f"{free_port()}", cwd=tmp_path) as second:
            assert second.process.wait(20) == 2
            assert "another SmartLoad runs with this data folder" in second.said
            assert f"{tmp_path / 'data'}" in second.said
        with Program("run", *arguments[:2], "--data", f"{tmp_path / 'other'}", "--port", f"{port}",
                     cwd=tmp_path) as third:  # fmt: skip
            assert third.process.wait(20) == 2
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in third.said
            assert "--port" in third.said
        assert not lock_is_free(tmp_path / "data")
        done = len(writes_of(server))
        began_s = time.monotonic()
        assert program.end() == 0
        assert time.monotonic() - began_s < 15
        for logged in ("plan 1 (lp), bill ", "carport: mode = now", "battery: charge",
                       "carport: mode = pv", "battery: released to evcc"):  # fmt: skip
            (line,) = [one for one in program.said.split("\n") if logged in one]
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    smartload: ", line)
    given_back = writes_of(server)[done:]
    assert given_back.index("POST /api/batterymode/normal") < given_back.index(
        "DELETE /api/batterymode"
    )
    assert "POST /api/loadpoints/1/mode/pv" in given_back
    with server.lock:
        carport = server.pretend.home.loadpoints[0]
        assert (carport.mode, carport.limit_soc) == (PV, 0)
        assert server.pretend.state()["batteryModeExternal"] in ("", "unknown")
    assert lock_is_free(tmp_path / "data")


def test_ctrl_c_gives_back_as_well(
    config: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, arguments = config
    with Program("run", *arguments, "--control", "on", "--port", f"{free_port()}",
                 cwd=tmp_path) as program:  # fmt: skip
        program.until(lambda: "POST /api/batterymode/charge" in writes_of(server))
        assert program.end(signal.SIGINT) == 0
    assert writes_of(server).index("DELETE /api/batterymode") > 0


def test_ending_while_it_is_still_starting_is_in_order_too(
    config: tuple[EvccServer, tuple[str, ...]], tmp_path: Path
) -> None:
    _, arguments = config
    with Program("run", *arguments, "--port", f"{free_port()}", cwd=tmp_path) as program:
        program.until((tmp_path / "data" / "smartload.lock").exists)
        assert program.end() == 0
        assert "Traceback" not in program.said


# --- smartload demo -------------------------------------------------------------------------------


def test_the_demo_shows_48_hours_soon_explains_itself_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    port, evcc_port = free_port(), free_port()
    with Program("demo", "--port", f"{port}", "--evcc-port", f"{evcc_port}", cwd=tmp_path,
                 temporary=temporary) as program:  # fmt: skip
        status = program.status(lambda status: status.get("plan"))
        slots = status["plan"]["slots"]
        assert len(slots) == PLAN_SLOTS
        assert sum(slot["duration_s"] for slot in slots) / 3600 >= 48
        assert status["control"] == "on"
        assert list(temporary.iterdir())
        page = httpx.get(program.page)
        assert page.status_code == 200
        with Program("why", "--url", program.page, cwd=tmp_path) as why:
            assert why.process.wait(20) == 0, why.said
            assert "ct/kWh" in why.said
            assert "house battery: " in why.said
        with Program("why", "--url", program.page, "--car", "compact", "--language", "de",
                     cwd=tmp_path) as why:  # fmt: skip
            assert why.process.wait(20) == 0, why.said
            assert "Compact: " in why.said
        assert program.end() == 0
        assert "Traceback" not in program.said
    assert list(temporary.iterdir()) == []
    for one in (port, evcc_port):
        with socket.create_server(("127.0.0.1", one)):
            pass


@pytest.mark.parametrize("option", ["--port", "--evcc-port"])
def test_a_taken_port_of_the_demo_is_told(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--port": f"{free_port()}", "--evcc-port": f"{free_port()}"}
        ports[option] = f"{taken.getsockname()[1]}"
        arguments = [word for pair in ports.items() for word in pair]
        with Program("demo", *arguments, cwd=tmp_path) as program:
            assert program.process.wait(20) == 2
            assert ports[option] in program.said
            assert f"with {option}" in program.said
            assert "Traceback" not in program.said
