"""The twin: recordings of a real evcc, played to the pretend one; and its command."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.evcc_luck import Luck
from sim.twin import best_of
from sim.twin_compare import compare
from sim.twin_play import devices, flat, play
from sim.twin_trace import Trace, read_trace, write_trace
from tests.make_cli import last_json, smartload
from tests.make_twin import RECORDINGS, TRACES, at, each_recording, file_of, recorded, trace_of

REPORT_KEYS = {"passed", "agree", "strict", "edges", "energy", "ignored", "worst", "draws", "seeds",
               "seconds", "below", "requests", "differences", "odd_edges"}  # fmt: skip
POST = {"method": "POST", "path": "/api/loadpoints/1/mode/now", "status": 200, "answer": '"now"'}
ENERGETIC = {"capacity_kwh": 30, "soc_pct": 20}


def play_once(trace: Trace) -> Trace:
    """Our side, with one draw of the ties."""
    return play(trace, Luck([(0.0, 0)]))


def story(folder: Path, *lines: Any, **more: Any) -> Trace:
    """A house whose car is told to charge after 5 s; only what is played matters."""
    return trace_of(folder, {"t": 5.0, "request": POST}, *lines, **more)


def true_story(folder: Path, *lines: Any, **more: Any) -> Path:
    """A recording that the pretend evcc made of itself."""
    file = folder / "true.jsonl"
    write_trace(play_once(story(folder, *lines, **more)), file)
    return file


# --- against the real one -------------------------------------------------------------------------


@each_recording
def test_the_pretend_evcc_is_a_twin_of_the_real_one(path: Path) -> None:
    report, _ = best_of(read_trace(path))
    assert report.passed, "\n".join([report.line(), *report.details(verbose=True)])
    # a real evcc goes on for a while with the prices it has; how long is not modelled
    assert not report.found.requests.different or path.stem == "tariff-outage"


# --- how a recording is played --------------------------------------------------------------------


def test_our_side_has_the_lines_and_the_format_of_a_recording(tmp_path: Path) -> None:
    trace = story(tmp_path, {"t": 8.0, "world": {"lp2.car": "guest", "load_w": 900}})
    ours = play_once(trace)
    write_trace(ours, tmp_path / "ours.jsonl")
    again = read_trace(tmp_path / "ours.jsonl")
    assert again.head == trace.head
    assert compare(ours, again).below == ()
    kinds = {kind for line in again.lines for kind in ("start", "world", "request", "evcc_write",
             "state") if getattr(line, kind) is not None}  # fmt: skip
    assert kinds == {"start", "world", "request", "evcc_write", "state"}
    states = [line.state for line in again.lines if line.state is not None]
    assert states[0]["_http"] == "ConnectError"
    assert states[0]["dev.lp1_car"] == "id3"
    assert states[1]["_http"] == 200
    assert {"lp1.mode", "lp1.chargePower", "lp1.vehicleSoc", "grid.power"} <= set(states[1])
    assert all(state for state in states), "a sample without a change is not written"
    assert any(state.get("dev.load_w") == 900 for state in states)
    first = next(line for line in again.lines if line.evcc_write is not None)
    assert first.t == pytest.approx(5.0, abs=0.1)


def test_the_process_is_killed_and_started_again(tmp_path: Path) -> None:
    ours = play_once(story(tmp_path, {"t": 20.0, "evcc": "kill"}, {"t": 30.0, "evcc": "started"}))
    http = [(line.t, line.state["_http"]) for line in ours.lines if "_http" in (line.state or {})]
    assert [status for _, status in http] == ["ConnectError", 200, "ConnectError", 200]
    assert http[2][0] == pytest.approx(20.5, abs=0.6)
    assert http[3][0] == pytest.approx(31.1, abs=1.1)


def test_a_request_to_an_evcc_that_is_down_is_told_as_such(tmp_path: Path) -> None:
    ours = play_once(story(tmp_path, {"t": 20.0, "evcc": "kill"}, {"t": 22.0, "request": POST}))
    asked = [line.request for line in ours.lines if line.request is not None]
    assert [one.status for one in asked] == [200, "ConnectError"]


def test_times_in_paths_count_from_the_request(tmp_path: Path) -> None:
    planned = POST | {"path": "/api/vehicles/id3/plan/soc/90/{T7200}"}
    ours = play_once(trace_of(tmp_path, {"t": 5.0, "request": planned}))
    (asked,) = (line.request for line in ours.lines if line.request is not None)
    assert asked.path.endswith("{T7200}")
    assert json.loads(asked.answer) == {"soc": 90, "time": "2026-11-22T08:36:18Z"}


def test_samples_hold_the_keys_of_recordings_only() -> None:
    state = {
        "batteryMode": "hold", "version": "0.1", "grid": {"power": 5, "currents": [1]},
        "loadpoints": [{"mode": "pv", "title": "A"}, {"mode": "off", "enabled": None}],
    }  # fmt: skip
    assert flat(state) == {
        "batteryMode": "hold", "lp1.mode": "pv", "lp2.mode": "off", "lp2.enabled": None,
        "grid.power": 5,
    }  # fmt: skip
    truth = {"grid_w": 12.6, "pv_w": 8000.5, "lp1_car": None, "car.id3_pct": 20.04,
             "battery_w": None, "battery_mode": None}  # fmt: skip
    assert devices(truth) == {
        "dev.grid_w": 13, "dev.pv_w": 8000.5, "dev.lp1_car": None, "dev.car.id3_pct": 20.0
    }  # fmt: skip


# --- draws ----------------------------------------------------------------------------------------


def test_a_story_of_its_own_is_met_by_the_first_draw(tmp_path: Path) -> None:
    report, ours = best_of(read_trace(true_story(tmp_path)))
    assert (report.passed, report.draws, report.seeds) == (True, 1, ((0.0, 0),))
    assert report.found.edges.recorded > 0
    assert report.found.energy["car.id3"].ours_kwh > 0.1
    assert ours.header.scenario == "story"


def test_all_draws_are_tried_before_a_recording_is_given_up(tmp_path: Path) -> None:
    file = true_story(tmp_path)
    spoilt(file, at(30.0, lp1_mode="pv"))
    report, _ = best_of(read_trace(file), draws=3)
    assert (report.passed, report.draws, report.seeds[0]) == (False, 3, (0.0, 0))
    assert "lp1.mode" in report.found.below


# --- the command ----------------------------------------------------------------------------------


def spoilt(file: Path, *lines: Any) -> Path:
    """A recording with lines that its evcc never said."""
    head, *rest = file.read_text().splitlines()
    told = [json.loads(line) for line in rest] + list(lines)
    told.sort(key=lambda line: float(line["t"]))
    file.write_text("\n".join([head, *map(json.dumps, told)]) + "\n")
    return file


def test_twin_says_what_agrees_and_writes_our_side(tmp_path: Path) -> None:
    file = true_story(tmp_path)
    result = smartload("twin", f"{file}", "--out", f"{tmp_path / 'out'}", "--json")
    assert result.exit_code == 0, result.output
    found = last_json(result.stdout)
    assert found["passed"] is True
    one = found["traces"]["true"]
    assert set(one) == REPORT_KEYS
    assert set(one["edges"]) >= {"recorded", "missing", "extra"}
    assert one["energy"]["car.id3"]["recorded_kwh"] == one["energy"]["car.id3"]["ours_kwh"] > 0.1
    assert one["agree"]["lp1.mode"] == one["agree"]["dev.battery_mode"] == 1
    assert one["worst"] is None
    ours = read_trace(tmp_path / "out" / "true.jsonl")
    assert ours.head == read_trace(file).head
    for recording in (ours, read_trace(file)):
        assert set(compare(recording, ours).strict.values()) == {1.0}


def test_twin_below_a_bar_ends_with_1_and_shows_both_sides(tmp_path: Path) -> None:
    file = spoilt(true_story(tmp_path), at(30.0, lp1_mode="pv"))
    result = smartload("twin", f"{file}")
    assert result.exit_code == 1
    first, *rest = result.stdout.strip().split("\n")
    assert first.startswith("true")
    assert "lp1.mode" in first
    assert "below: lp1.mode, edges" in first
    assert any('lp1.mode: "pv" recorded, "now" ours' in line for line in rest)
    assert any("edge at 30.00 s only recorded: lp1.mode" in line for line in rest)
    assert any("car.id3:" in line for line in smartload("twin", "-v", f"{file}").stdout.split("\n"))


def test_twin_of_what_is_no_recording_is_wrong_use(tmp_path: Path) -> None:
    file = file_of(tmp_path, {"t": 2.0, "weather": "fine"})
    result = smartload("twin", f"{file}", "--json")
    assert result.exit_code == 2
    assert f"{file}:3: Object contains unknown field `weather`" in result.stderr
    assert result.stdout == ""
    assert smartload("twin").exit_code == 2
    assert smartload("twin", f"{tmp_path / 'nowhere.jsonl'}").exit_code == 2


def test_what_does_not_go_together_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = f"{file_of(tmp_path, at(1.0, _http=200))}"
    other = f"{file_of(tmp_path / 'other', at(1.0, _http=200))}"
    third = f"{file_of(tmp_path, at(1.0, _http=200), name='third.jsonl')}"
    for arguments, said in (
        ((one, other), "2 recordings are called story"),
        ((one, third, "--plot", f"{tmp_path}/a.svg"), "--plot draws one recording, not 2"),
        ((one, "--plot", f"{tmp_path}/a.pdf"), "a picture ends in .svg or .png"),
        ((one, "--out", f"{tmp_path}"), "holds the recording story.jsonl"),
    ):
        result = smartload("twin", *arguments)
        assert (result.exit_code, said in result.stderr) == (2, True), result.output


# --- the picture ----------------------------------------------------------------------------------


def test_the_picture_shows_every_strip_and_is_the_same_each_time(tmp_path: Path) -> None:
    file, picture = true_story(tmp_path), tmp_path / "a.svg"
    seen = []
    for _ in range(2):
        assert smartload("twin", f"{file}", "--plot", f"{picture}").exit_code == 0
        seen.append(picture.read_text())
    assert seen[0] == seen[1]
    for text in ("kW", "lp1 A, phases", "lp2 A, phases", "battery mode", "car %", "requests"):
        assert f"<!-- {text} -->" in seen[0]
    assert smartload("twin", f"{file}", "--plot", f"{tmp_path / 'a.png'}").exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = smartload("twin", f"{true_story(tmp_path)}", "--plot", f"{tmp_path / 'a.svg'}")
    assert result.exit_code == 2
    assert "pip install 'smartload[lab]'" in result.stderr


@recorded
def test_all_recordings_go_in_one_call(tmp_path: Path) -> None:
    few = [f"{TRACES / name}.jsonl" for name in ("battery-late", "y-soc")]
    result = smartload("twin", *few, "--json")
    assert result.exit_code == 0, result.output
    assert list(last_json(result.stdout)["traces"]) == ["battery-late", "y-soc"]
    assert len(RECORDINGS) >= 27
