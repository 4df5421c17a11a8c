"""The command line as its users meet it: help, exit codes, messages, JSON, signals."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.make_cli import last_json, smartload
from tests.make_live import (
    SMARTLOAD,
    config_text,
    environment,
    free_port,
    serving,
    until,
    writes_of,
)

COMMANDS = ("bench", "check", "demo", "export", "replay", "run",
            "serve-optimizer", "simulate", "soc", "twin", "why")  # fmt: skip
RESULT_KEYS = [
    "scenario", "days", "seed", "cost_eur", "wear_eur", "import_kwh", "export_kwh",
    "shortfall_kwh", "plans", "ticks", "mode_changes", "solver_s", "wall_s", "journal_sha256",
]  # fmt: skip

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
        assert "10 kWh, SoC 40 %, controllable" in found["battery"]["text"]
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
