"""The command line as its users meet it: help, exit codes, messages, JSON, signals."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from engine.__main__ import main
from tests.make_live import (
    SMARTLOAD,
    Program,
    config_text,
    environment,
    free_port,
    serving,
    until,
    writes_of,
)

COMMANDS = ("bench", "check", "demo", "export", "replay", "run", "simulate", "soc", "why")
RESULT_KEYS = [
    "scenario", "days", "seed", "cost_eur", "wear_eur", "import_kwh", "export_kwh",
    "shortfall_kwh", "plans", "ticks", "mode_changes", "solver_s", "wall_s", "journal_sha256",
]  # fmt: skip
BAD_CONFIG = """
control: perhaps
site: {zone: Europe/Berlinn}
evcc: {url: "URL"}
cars:
  - {name: compact, target_soc_pct: 180}
  - {nam: family}
"""


def smartload(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="smartload")


def last_json(output: str) -> Any:
    """The last line, which has to be the only JSON object."""
    *before, last = output.strip().split("\n")
    assert not any(line.startswith("{") for line in before)
    return json.loads(last)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of some simulated hours."""
    file = tmp_path_factory.mktemp("journal") / "day.db"
    result = smartload("simulate", "winter-week", "--days", "0.1", "--journal", f"{file}")
    assert result.exit_code == 0, result.output
    return file


# --- help -----------------------------------------------------------------------------------------


def test_help_names_every_command_in_one_whole_line() -> None:
    result = smartload("--help")
    assert result.exit_code == 0
    lines = result.output.partition("Commands:")[2].strip().split("\n")
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(line.endswith(".") and "..." not in line for line in lines)
    assert "130 interrupted" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_what_never_and_shows_an_example(command: str) -> None:
    result = smartload(command, "--help")
    assert result.exit_code == 0
    what = result.output.split("\n\n")[1].strip()
    assert what.endswith(".")
    text = " ".join(result.output.split())
    assert "Never " in text or "never " in text
    assert f"Example: smartload {command}" in text


def test_a_misspelt_command_is_wrong_use() -> None:
    result = smartload("simulat")
    assert result.exit_code == 2
    assert "simulat" in result.stderr


# --- simulate -------------------------------------------------------------------------------------


def test_simulate_prints_one_json_object_with_the_agreed_keys() -> None:
    result = smartload("simulate", "winter-week", "--days", "0.05", "--seed", "3", "--json")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    found = last_json(result.stdout)
    assert list(found) == RESULT_KEYS
    assert (found["scenario"], found["days"], found["seed"]) == ("winter-week", 0.05, 3)
    assert found["ticks"] == 15
    assert len(found["journal_sha256"]) == 64


def test_simulate_for_people_names_every_quantity_with_its_unit() -> None:
    result = smartload("simulate", "winter-week", "--days", "0.01")
    assert [line.split()[0] for line in result.stdout.strip().split("\n")] == RESULT_KEYS


def test_an_unknown_scenario_is_wrong_use_and_the_right_one_is_suggested() -> None:
    result = smartload("simulate", "winterweek", "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "did you mean winter-week?" in result.stderr
    assert "summer-week" in result.stderr


def test_a_bad_scenario_file_is_told_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "story.yaml"
    file.write_text("title: A story\nsim:\n  start: 2026-01-01T00:00:00Z\n  pv_kwp: 1000\n")
    result = smartload("simulate", f"{file}")
    assert result.exit_code == 2
    assert f"{file}:4: critical: sim.pv_kwp" in result.stderr
    assert "1000" in result.stderr


def test_a_journal_that_cannot_be_written_is_wrong_use() -> None:
    result = smartload("simulate", "winter-week", "--days", "0.01", "--journal", "/proc/a.db")
    assert result.exit_code == 2
    assert "/proc/a.db cannot be used" in result.stderr


def test_ctrl_c_ends_a_simulation_with_130_and_the_result_so_far(tmp_path: Path) -> None:
    file = tmp_path / "part.db"
    command = [*SMARTLOAD, "simulate", "winter-week", "--days", "60", "--json",
               "--journal", f"{file}"]  # fmt: skip
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
        cwd=tmp_path,
    ) as process:
        until(lambda: file.is_file() and file.stat().st_size > 300_000)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    found = last_json(stdout)
    assert list(found) == RESULT_KEYS
    assert 0 < found["days"] < 60
    assert found["days"] == pytest.approx(found["ticks"] * 300 / 86_400)
    assert stderr.startswith("interrupted after")
    assert "Traceback" not in stderr
    again = smartload("replay", f"{file}", "--json")  # whole, and it ends in order
    assert last_json(again.stdout)["diverged"] == 0


# --- export and replay ----------------------------------------------------------------------------


def test_export_writes_a_header_and_every_handled_message(journal: Path, tmp_path: Path) -> None:
    target = tmp_path / "day.jsonl"
    result = smartload("export", f"{journal}", "--jsonl", f"{target}")
    assert result.exit_code == 0
    header, *lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert header["kind"] == "simulation"
    assert result.stdout.startswith(f"{len(lines)} handled messages")
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    assert list(lines[0]) == ["n", "at", "actor", "heard", "said"]


def test_replay_of_a_faithful_journal_ends_with_0(journal: Path) -> None:
    result = smartload("replay", f"{journal}", "--json")
    assert result.exit_code == 0, result.output
    found = last_json(result.stdout)
    assert list(found) == ["heard", "said", "diverged", "first_divergence", "speed_x"]
    assert found["heard"] > 100
    assert (found["diverged"], found["first_divergence"]) == (0, None)


def altered(journal: Path, target: Path) -> dict[str, Any]:
    """An export whose last plan costs something else; returns the altered line."""
    smartload("export", f"{journal}", "--jsonl", f"{target}")
    lines = target.read_text().splitlines()
    number = max(n for n, line in enumerate(lines) if '"said":[{"type":"PlanMade"' in line)
    line: dict[str, Any] = json.loads(lines[number])
    line["said"][0]["plan"]["cost_eur"] += 1.0
    lines[number] = json.dumps(line)
    target.write_text("\n".join(lines) + "\n")
    return line


def test_replay_of_an_altered_export_ends_with_1_and_names_the_divergence(
    journal: Path, tmp_path: Path
) -> None:
    target = tmp_path / "altered.jsonl"
    line = altered(journal, target)
    result = smartload("replay", f"{target}", "--json")
    assert result.exit_code == 1
    found = last_json(result.stdout)
    assert found["diverged"] == 1
    first = found["first_divergence"]
    assert (first["n"], first["actor"], first["at"]) == (line["n"], "Optimizer", line["at"])
    assert first["recorded"] == line["said"]
    plans = first["replayed"][0]["plan"], first["recorded"][0]["plan"]
    assert plans[1]["cost_eur"] - plans[0]["cost_eur"] == pytest.approx(1.0)
    shown = smartload("replay", f"{target}")
    assert shown.exit_code == 1
    assert f"first: n={line['n']}" in shown.stdout
    assert smartload("replay", f"{target}", "--to", "2000-01-01").exit_code == 0
    assert smartload("replay", f"{target}", "--actor", "Forecaster").exit_code == 0


def test_replay_from_a_time_in_any_zone_compares_what_comes_after(journal: Path) -> None:
    whole = last_json(smartload("replay", f"{journal}", "--json").stdout)
    late = [last_json(smartload("replay", f"{journal}", "--json", "--from", since).stdout)["heard"]
            for since in ("2026-01-12T00:00:00Z", "2026-01-12T01:00+01:00")]  # fmt: skip
    assert late[0] == late[1]
    assert 0 < late[0] < whole["heard"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "nothing.db"), "nothing.db: no such file"),
        (("replay", "FOREIGN"), "FOREIGN: the first line is not a journal header"),
        (("replay", "JOURNAL", "--from", "yesterday"), "'yesterday' is no time"),
        (("replay", "JOURNAL", "--actor", "Optimist"), "there are Collector,"),
        (("export", "nothing.db", "--jsonl", "TARGET"), "nothing.db: no such file"),
        (("export", "FOREIGN", "--jsonl", "TARGET"), "FOREIGN: the first line is not a journal"),
        (("export", "JOURNAL", "--jsonl", "/proc/x.jsonl"), "/proc/x.jsonl cannot be used"),
    ],
)
def test_what_cannot_be_read_or_written_is_wrong_use_and_spoils_nothing(
    journal: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    files = {"JOURNAL": f"{journal}", "FOREIGN": f"{tmp_path / 'notes.md'}",
             "TARGET": f"{tmp_path / 'kept.jsonl'}"}  # fmt: skip
    Path(files["FOREIGN"]).write_text("# Notes\n")
    Path(files["TARGET"]).write_text("kept")
    result = smartload(*(files.get(one, one) for one in arguments))
    assert result.exit_code == 2
    for name, file in files.items():
        said = said.replace(name, file)
    assert said in result.stderr
    assert result.stdout == ""
    assert Path(files["TARGET"]).read_text() == "kept"


# --- configuration --------------------------------------------------------------------------------


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


# --- check, why, soc ------------------------------------------------------------------------------


def test_check_finds_all_of_a_running_evcc_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "smartload.yaml"
    with serving() as server:
        file.write_text(config_text(server.url))
        result = smartload("check", "--config", f"{file}", "--json")
        assert result.exit_code == 0, result.output
        found = last_json(result.stdout)
        assert found["evcc"] == {"url": server.url, "reachable": True, "version": "0.314.0",
                                 "reason": None}  # fmt: skip
        assert found["loadpoints"] == ["carport (Carport)", "garage (Garage)"]
        assert found["vehicles"] == ["compact", "family"]
        assert "10 kWh, SoC 40 %, controllable" in found["battery"]
        assert found["tariffs"]["grid"] > 24
        assert found["problems"] == []
        shown = smartload("check", "--config", f"{file}")
        assert "no problems found" in shown.stdout
        assert writes_of(server) == []


def test_check_names_a_car_that_evcc_does_not_have_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "smartload.yaml"
    with serving() as server:
        file.write_text(config_text(server.url, more="  - {name: zoe}"))
        result = smartload("check", "--config", f"{file}", "--json")
    assert result.exit_code == 1
    (problem,) = last_json(result.stdout)["problems"]
    assert "'zoe'" in problem
    assert "compact, family" in problem


def test_check_of_a_dead_address_ends_with_3(tmp_path: Path) -> None:
    file = tmp_path / "smartload.yaml"
    url = f"http://127.0.0.1:{free_port()}"
    file.write_text(config_text(url))
    result = smartload("check", "--config", f"{file}", "--json")
    assert result.exit_code == 3
    found = last_json(result.stdout)
    assert found["evcc"]["reachable"] is False
    assert any(url in one and "correct evcc.url" in one for one in found["problems"])
    assert smartload("check", "--config", f"{file}").exit_code == 3


def test_why_without_a_controller_ends_with_3_and_says_what_to_start() -> None:
    for url in (f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"):
        result = smartload("why", "--url", url)
        assert result.exit_code == 3
        assert url in result.stderr
        assert "smartload run" in result.stderr


def test_soc_notes_what_a_manual_car_then_answers(tmp_path: Path) -> None:
    result = smartload("soc", "Zoe", "55", "--data", f"{tmp_path}")
    assert result.exit_code == 0
    assert "55 %" in result.stdout
    entry = json.loads((tmp_path / "manual_soc.json").read_text())["Zoe"]
    assert entry["soc_pct"] == 55.0
    assert smartload("soc", "Zoe", "155", "--data", f"{tmp_path}").exit_code == 2
    unusable = smartload("soc", "Zoe", "55", "--data", "/proc/nowhere")
    assert unusable.exit_code == 2
    assert "cannot be used" in unusable.stderr


def test_bench_messages_prints_its_one_figure() -> None:
    result = smartload("bench", "messages", "--json")
    assert result.exit_code == 0
    assert last_json(result.stdout)["deliveries_per_s"] > 0
