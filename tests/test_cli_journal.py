"""The command line and journals: export, and replay with its divergences."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.make_cli import last_json, smartload


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of some simulated hours."""
    file = tmp_path_factory.mktemp("journal") / "day.db"
    result = smartload("simulate", "winter-week", "--days", "0.1", "--journal", f"{file}")
    assert result.exit_code == 0, result.output
    return file


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
