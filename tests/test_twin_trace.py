"""Recordings are read as they are, and what is not understood is refused and named."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sim.evcc_luck import Luck
from sim.twin_house import ScriptedWorld, first_values, scenario_of
from sim.twin_play import play
from sim.twin_times import agenda, first_cycles_s
from sim.twin_trace import TraceError, read_trace, write_trace
from tests.make_twin import (
    DOWN,
    RECORDINGS,
    SETUP,
    UP,
    at,
    each_recording,
    file_of,
    recorded,
    text_of,
    trace_of,
)


def as_objects(file: Path) -> list[str]:
    lines = file.read_text().splitlines()
    return sorted(json.dumps(json.loads(line), sort_keys=True) for line in lines)


@each_recording
def test_a_recording_is_read_and_written_again_line_by_line(path: Path, tmp_path: Path) -> None:
    trace = read_trace(path)
    write_trace(trace, tmp_path / path.name)
    assert as_objects(tmp_path / path.name) == as_objects(path)
    assert (tmp_path / path.name).read_text().split("\n")[0] == path.read_text().split("\n")[0]
    assert len(trace.lines) == len(path.read_text().splitlines()) - 1


def refused(folder: Path, text: str) -> str:
    file = folder / "broken.jsonl"
    file.write_text(text)
    with pytest.raises(TraceError) as error:
        read_trace(file)
    assert str(error.value).startswith(f"{file}:")
    return str(error.value).removeprefix(f"{file}:")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"t": 2', "4: is not JSON"),
        ('{"t": 2, "weather": {}}', "4: Object contains unknown field `weather`"),
        ('{"t": 2}', "4: has none of the kinds; a line has t and one of start, world"),
        ('{"t": 2, "note": "a", "evcc": "kill"}', "4: has evcc and note"),
        ('{"t": 2, "evcc": "restart"}', "4: Invalid enum value 'restart'"),
        ('{"t": 0.5, "note": "late"}', "4: t goes back from 1.1 to 0.5 s"),
        ('{"t": 2, "world": {"lp3.car": null}}', "4: world: lp3.car: the setup has 2 loadpoints"),
        ('{"t": 2, "world": {"lp1.car": "zoe"}}', "4: world: lp1.car: car 'zoe' is not one of"),
        ('{"t": 2, "world": {"car.zoe.soc_pct": 3}}', "4: world: car.zoe.soc_pct: car 'zoe' is"),
        ('{"t": 2, "world": {"pv_w": "much"}}', "4: world: pv_w: 'much' is not a number"),
        ('{"t": 2, "note": "a", "gone": ["lp1.mode"]}', "4: has gone and note"),
    ],
)
def test_a_line_that_is_not_understood_is_refused(tmp_path: Path, line: str, said: str) -> None:
    head = text_of().split("\n")[0]
    assert refused(tmp_path, f"{head}\n{json.dumps(UP)}\n\n{line}\n").startswith(said)


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ({"cars": {"id3": {"capacity_kwh": 0, "soc_pct": 1}}}, "`float` > 0.0"),
        ({"loadpoints": [{"car": "zoe", "mode": "pv"}]}, "loadpoint 1: car 'zoe' is not one of"),
        ({"loadpoints": [{"car": "id3"}]}, "loadpoint 1 has to have either `mode` or `no_mode`"),
        ({"interval": "1m"}, "- at `$.setup.interval`"),
        ({"interval": "120s"}, "interval 120s: 5s to 60s are understood"),
        ({"devices": {"battery.soc_pct": 3}, "battery": None}, "battery.soc_pct: the setup has no"),
        (
            {"evcc": {"interval": "20s", "site": {"title": "a", "meters": {"grid": "grid"}}}},
            "interval 10s is not evcc.interval 20s",
        ),
    ],
)  # fmt: skip
def test_a_setup_that_cannot_be_is_refused(
    tmp_path: Path, setup: dict[str, Any], said: str
) -> None:
    text = refused(tmp_path, text_of(UP, setup=SETUP | setup))
    assert text.startswith("1: ")
    assert said in text


def test_keys_that_are_not_understood_are_named(tmp_path: Path) -> None:
    file = tmp_path / "new.jsonl"
    setup = SETUP | {
        "wallbox": 1,
        "cars": {"id3": {"capacity_kwh": 1, "soc_pct": 1, "colour": "red"}},
        "devices": {"wind_w": 3},
    }
    wind = {"t": 2, "world": {"wind_w": 3, "car.id3.colour": "blue", "pv_w": 10}}
    file.write_text(text_of(UP, wind, setup=setup))
    assert set(read_trace(file).ignored) == {
        "setup.wallbox", "setup.cars.id3.colour", "setup.devices.wind_w", "world.wind_w",
        "world.car.id3.colour",
    }  # fmt: skip
    play(read_trace(file), Luck([(0.0, 0)]))  # goes on without them


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no such file"):
        read_trace(tmp_path / "a")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)
    for text in ("", '{"t": 0.0, "start": true}'):
        assert refused(tmp_path, text).startswith("1: the first line has to be the header")
    assert "holds no `state` line" in refused(tmp_path, text_of())


def test_lines_swapped_by_a_rounding_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    trace = trace_of(tmp_path, {"t": 5.03, "note": "b"}, {"t": 5.02, "note": "a"})
    due = [(t, line.note) for t, line in agenda(trace) if line is not None and line.note]
    assert due == [(5.03, "b"), (5.03, "a")]


def write_line(t: float, **what: Any) -> dict[str, Any]:
    return {"t": t, "evcc_write": {"lp": 1} | what}


def test_the_phase_of_the_cycles_is_read_from_the_writes(tmp_path: Path) -> None:
    asked = {"t": 13.0, "request": {"method": "POST", "path": "/a", "status": 200, "answer": ""}}
    early = trace_of(
        tmp_path, asked, write_line(13.02, enable=True), write_line(20.61, enable=False)
    )
    assert first_cycles_s(early) == [pytest.approx(0.61)]
    late = [DOWN, UP | {"t": 11.2}, write_line(20.41, enable=True), write_line(30.44, current_a=8)]
    assert first_cycles_s(read_trace(file_of(tmp_path, *late))) == [pytest.approx(10.41)]
    unseen = read_trace(file_of(tmp_path, DOWN, UP | {"t": 11.2}))
    assert first_cycles_s(unseen) == [10.5]
    assert first_cycles_s(trace_of(tmp_path)) == [0.55]


def test_each_start_has_its_own_first_cycle(tmp_path: Path) -> None:
    again = [
        write_line(10.58, enable=True), {"t": 20.0, "evcc": "kill"}, at(20.3, _http="ConnectError"),
        {"t": 25.0, "evcc": "started"}, write_line(25.47, current_a=6),
        write_line(25.52, enable=True), at(26.4, _http=200),
    ]  # fmt: skip
    assert first_cycles_s(trace_of(tmp_path, *again)) == [pytest.approx(0.58), pytest.approx(0.52)]


@recorded
def test_first_cycles_of_the_recordings_are_the_known_ones() -> None:
    for path in RECORDINGS:
        for found_s in first_cycles_s(read_trace(path)):
            assert 0.5 <= found_s <= 0.67 or 10.35 <= found_s <= 10.6, path.name


def test_samples_are_filled_in_where_nothing_changed(tmp_path: Path) -> None:
    trace = trace_of(
        tmp_path, {"t": 5.0, "note": "a"}, at(11.2, lp1_mode="pv"), {"t": 61, "note": "x"}
    )
    due = agenda(trace)
    samples = [t for t, line in due if line is None or line.state]
    assert {0.1, 1.1, 11.2} <= set(samples)
    gaps = [b - a for a, b in pairwise(samples)]
    assert max(gaps) < 1.1
    assert min(gaps) > 0.9
    assert samples[-1] < 60 < samples[-1] + 1.5
    assert [line.note for _, line in due if line and line.note] == ["a"]  # not after the end
    finer = trace_of(tmp_path, sample=0.5)
    assert len(agenda(finer)) == pytest.approx(2 * len(samples), rel=0.05)


def test_the_house_is_what_the_setup_says(tmp_path: Path) -> None:
    cars = {
        "id3": {"capacity_kwh": 3, "soc_pct": 30, "refuses": 1, "int_soc": 1},
        "bike": {"capacity_kwh": 1, "soc_pct": 50, "phases": 1, "offline": True, "max_a": 10},
        "guest": {"capacity_kwh": 5, "soc_pct": 40, "own_limit_pct": 80},
    }
    trace = trace_of(tmp_path, cars=cars, devices={"load_w": 900, "grid_error": 1})
    sim = scenario_of(trace).sim
    id3, bike, guest = sim.cars
    assert (id3.loadpoint, id3.whole_percent, id3.api, id3.guest) == ("lp1", True, True, False)
    assert (bike.loadpoint, bike.phases, bike.max_current_a, bike.api) == (None, 1, 10, False)
    assert (guest.guest, guest.own_limit_pct) == (True, 80)
    assert [(p.mode, p.can_switch_phases) for p in sim.loadpoints] == [
        ("off", False),
        ("none", True),
    ]
    assert sim.battery is not None
    assert (sim.battery.charge_efficiency, sim.battery.evcc_max_soc_pct) == (1.0, 95.0)
    assert first_values(trace.setup) == {"car.id3.refuses": 1, "grid_error": 1}
    world = ScriptedWorld(trace)
    assert world.minute(sim.start).load_w == 900
    assert world.minute(sim.start).pv_w == 0


def test_prices_are_hourly_from_the_full_hour_and_cut_in_quarters(tmp_path: Path) -> None:
    world = ScriptedWorld(trace_of(tmp_path))
    rates = world.rates("grid", datetime(2026, 11, 22, 6, 36, 13, tzinfo=UTC))
    assert rates is not None
    assert [rate.value for rate in rates] == [0.31] * 4 + [0.25] * 4
    assert rates[0].start == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert rates[0].end == rates[1].start == datetime(2026, 11, 22, 6, 15, tzinfo=UTC)
    later = world.rates("feedin", datetime(2026, 11, 22, 7, 0, 1, tzinfo=UTC))
    assert later is not None
    assert [rate.value for rate in later] == [0.08] * 47 * 4  # a fixed price, for two days
    assert world.rates("solar", rates[0].start) is None
