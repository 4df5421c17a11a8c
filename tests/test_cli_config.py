"""The command line and a bad configuration: told before any network access."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.make_cli import smartload
from tests.make_live import (
    SMARTLOAD,
    Program,
    environment,
    free_port,
    until,
)

BAD_CONFIG = """
control: perhaps
site: {zone: Europe/Berlinn}
evcc: {url: "URL"}
cars:
  - {name: compact, target_soc_pct: 180}
  - {nam: family}
"""


class Trap:
    """An address that notes whether anybody came."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def sprung(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    one = Trap()
    yield one
    one.close()


def check_findings(stderr: str, file: Path) -> None:
    """All findings of BAD_CONFIG: place, what was found, what is allowed, what to do."""
    for field, found, allowed in (
        ("control", "perhaps", "watch"),
        ("site.zone", "Europe/Berlinn", "Europe/Berlin"),
        ("cars[0].target_soc_pct", "180", "100"),
        ("cars[1].nam", "", "name"),
    ):
        (paragraph,) = [
            one for one in f"\n{stderr}".split(f"\n{file}:") if f" {field}:" in one.split("\n")[0]
        ]
        assert paragraph.split(":")[0].isdecimal()
        assert found in paragraph
        assert allowed in paragraph
        assert "do: " in paragraph


def test_inv_146_bad_configuration_ends_before_any_network_access(
    tmp_path: Path, trap: Trap
) -> None:
    file = tmp_path / "smartload.yaml"
    file.write_text(BAD_CONFIG.replace("URL", trap.url))
    for command in ("check", "run"):
        done = subprocess.run(
            [*SMARTLOAD, command, "--config", f"{file}"],
            capture_output=True,
            text=True,
            timeout=20,
            env=environment(tmp_path),
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        check_findings(done.stderr, file)
    assert not trap.sprung()


def test_inv_146_where_a_page_was_asked_for_it_names_the_errors_and_nothing_else_runs(
    tmp_path: Path, trap: Trap
) -> None:
    file = tmp_path / "smartload.yaml"
    file.write_text(BAD_CONFIG.replace("URL", trap.url))
    port = free_port()
    with Program("run", "--config", f"{file}", "--port", f"{port}", cwd=tmp_path) as program:
        health = until(lambda: program.get("/health"))
        assert health["status"] == "misconfigured"
        named = {one["field"] for one in health["findings"]}
        assert {"control", "site.zone", "cars[0].target_soc_pct"} <= named
        page = httpx.get(program.page)
        assert page.status_code == 503
        assert "180" in page.text
        assert "cars[0].target_soc_pct" in page.text
        assert httpx.get(f"{program.page}/status").status_code == 503
        assert program.end() == 2
        check_findings(program.said.partition("the same on")[0], file)
    assert not trap.sprung()


def test_the_error_page_on_a_taken_port_is_told(tmp_path: Path) -> None:
    file = tmp_path / "smartload.yaml"
    file.write_text("control: perhaps\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"{taken.getsockname()[1]}"
        with Program("run", "--config", f"{file}", "--port", port, cwd=tmp_path) as program:
            assert program.process.wait(20) == 2
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in program.said
            assert "Traceback" not in program.said


def test_without_any_configuration_the_ways_out_are_told(tmp_path: Path) -> None:
    with Program("run", cwd=tmp_path) as program:
        assert program.process.wait(20) == 2
        assert "--config" in program.said
        assert "smartload demo" in program.said


def test_a_port_out_of_range_is_wrong_use() -> None:
    for arguments in (("run", "--port", "0"), ("demo", "--evcc-port", "99999")):
        result = smartload(*arguments)
        assert result.exit_code == 2
        assert "1<=x<=65535" in result.stderr
