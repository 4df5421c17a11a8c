"""The comparison: what agrees, what is excused, which edges and energies are apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sim.twin_compare import Accepted, Comparison, compare
from sim.twin_series import Edge as Step
from sim.twin_series import changes, compared_keys, edges_of, energies_kwh
from sim.twin_trace import Line, Trace, read_trace
from tests.make_twin import at, each_recording, trace_of

ONE_BOX = [{"car": "id3", "mode": "off"}]


def changed(trace: Trace, change: Callable[[Line], Line | None]) -> Trace:
    """A copy with other lines; None drops one."""
    lines = [one for line in trace.lines if (one := change(line)) is not None]
    return msgspec.structs.replace(trace, lines=tuple(sorted(lines, key=lambda line: line.t)))


def later(seconds: float) -> Callable[[Line], Line]:
    def shift(line: Line) -> Line:
        moved = line.state is not None and line.t > 1.5
        return msgspec.structs.replace(line, t=line.t + seconds) if moved else line

    return shift


def without(key: str) -> Callable[[Line], Line]:
    """The key stays what it was at the first answer."""

    def drop(line: Line) -> Line:
        if line.state is None or line.t < 1.5:
            return line
        state = {name: value for name, value in line.state.items() if name != key}
        gone = tuple(name for name in line.gone if name != key)
        return msgspec.structs.replace(line, state=state, gone=gone)

    return drop


def one_box(tmp_path: Path, *lines: Any, end: float = 60) -> Trace:
    return trace_of(tmp_path, *lines, loadpoints=ONE_BOX, end=end)


@each_recording
def test_a_recording_agrees_with_itself(path: Path) -> None:
    trace = read_trace(path)
    found = compare(trace, trace)
    assert set(found.agree.values()) == set(found.strict.values()) == {1.0}
    assert (found.below, found.worst, found.odd_edges, found.requests.different) == (
        (),
        None,
        (),
        (),
    )
    assert all(one.recorded_kwh == one.ours_kwh for one in found.energy.values())


@each_recording
def test_three_seconds_later_are_excused_and_seen_by_the_strict_measure(path: Path) -> None:
    trace = read_trace(path)
    found = compare(trace, changed(trace, later(3)))
    if path.stem != "restart":  # a state that is read in the midst of a start lasts one second
        assert set(found.agree.values()) == {1.0}
        assert found.odd_edges == ()
    assert (min(found.strict.values()) < 1) == (found.edges.recorded > 0)
    assert found.worst is None or found.worst.seconds <= 4


@each_recording
def test_a_key_that_never_changes_is_noticed(path: Path) -> None:
    trace = read_trace(path)
    keys = compared_keys(trace)
    steps = changes(trace, keys)
    for key in keys:
        found = compare(trace, changed(trace, without(key)))
        assert found.edges.missing == len(edges_of(steps[key])), key
        assert found.edges.extra == 0


def test_seconds_are_counted_and_excused_within_one_period(tmp_path: Path) -> None:
    recording = one_box(tmp_path, at(20.0, lp1_mode="now"))
    near = compare(recording, one_box(tmp_path, at(30.0, lp1_mode="now")))
    assert near.agree["lp1.mode"] == 1
    assert near.strict["lp1.mode"] == pytest.approx(50 / 60, abs=1e-4)
    assert near.edges.missing == near.edges.extra == 0
    assert near.worst is not None
    assert (near.worst.t, near.worst.seconds, near.worst.excused) == (20, 10, True)
    far = compare(recording, one_box(tmp_path, at(50.0, lp1_mode="now")))
    # 12 s around the edges are excused where each side shows the other's value
    assert far.agree["lp1.mode"] == pytest.approx(30 / 60, abs=1e-4)
    assert (far.edges.recorded, far.edges.missing, far.edges.extra) == (1, 1, 1)
    assert far.below == ("lp1.mode", "edges")
    assert far.worst is not None
    assert (far.worst.t, far.worst.key) == (20, "lp1.mode")
    assert (far.worst.recorded, far.worst.ours, far.worst.excused) == ("now", "off", False)


def test_two_loadpoints_have_twice_the_period_the_site_has_not(tmp_path: Path) -> None:
    change = {"lp1_mode": "now", "batteryMode": "hold"}
    found = compare(trace_of(tmp_path, at(20, **change)), trace_of(tmp_path, at(41, **change)))
    assert found.agree["lp1.mode"] == 1
    assert found.agree["batteryMode"] < 1
    assert {edge.key for edge in found.odd_edges} == {"batteryMode"}


@pytest.mark.parametrize(("seconds", "good"), [(5, True), (6, True), (7, False)])
def test_group_one_has_to_agree_in_99_percent(tmp_path: Path, seconds: int, good: bool) -> None:
    calm = one_box(tmp_path, end=600)
    blip = one_box(
        tmp_path, at(100, lp1_mode="now"), at(100 + seconds, lp1_mode="off"), end=600
    )  # fmt: skip
    found = compare(calm, blip)
    assert found.agree["lp1.mode"] == pytest.approx(1 - seconds / 600, abs=1e-4)
    assert ("lp1.mode" not in found.below) == good
    assert found.edges.extra == 2  # and so it is below in any case
    assert "edges" in found.below


def test_group_two_has_to_agree_in_97_percent(tmp_path: Path) -> None:
    calm = one_box(tmp_path, end=600)
    for seconds, good in ((18, True), (19, False)):
        switched = at(100, lp1_enabled=True), at(100 + seconds, lp1_enabled=False)
        assert (
            "lp1.enabled" not in compare(calm, one_box(tmp_path, *switched, end=600)).below
        ) == good


def test_one_edge_too_many_does_not_shift_the_others(tmp_path: Path) -> None:
    def pulses(*times: float) -> Trace:
        lines = [at(t, lp1_enabled=k % 2 == 0) for k, t in enumerate(times)]
        return one_box(tmp_path, *lines, end=300)

    many = compare(pulses(20, 40, 100, 120, 200, 220), pulses(20, 40, 60, 80, 100, 120, 200, 220))
    assert [(edge.t, edge.side) for edge in many.odd_edges] == [(60, "ours"), (80, "ours")]
    few = compare(pulses(20, 40, 100, 120, 200, 220), pulses(20, 40, 200, 220))
    assert [(edge.t, edge.side) for edge in few.odd_edges] == [(100, "recorded"), (120, "recorded")]
    assert (few.edges.recorded, few.edges.missing, few.edges.extra) == (6, 2, 0)


def test_a_state_that_cannot_be_read_is_no_state(tmp_path: Path) -> None:
    silent = one_box(tmp_path, at(20, _http="ConnectError"), at(40, _http=200, lp1_mode="now"))
    found = compare(silent, silent)
    assert found.agree["lp1.mode"] == 1
    assert [edge.recorded for edge in [found.edges]] == [1]  # off before the gap, now after it
    talking = compare(silent, one_box(tmp_path, at(40, lp1_mode="now")))
    assert talking.agree["lp1.mode"] < 0.75
    assert talking.worst is not None
    assert (talking.worst.recorded, talking.worst.ours) == ("no state", "off")
    assert talking.edges.missing == talking.edges.extra == 0


def test_a_key_that_is_gone_is_a_difference(tmp_path: Path) -> None:
    there = one_box(tmp_path, at(10, batteryModeExternal="hold"), at(30, lp1_mode="pv"))
    gone = one_box(
        tmp_path, at(10, batteryModeExternal="hold"),
        at(30, gone=("batteryModeExternal",), lp1_mode="pv"),
    )  # fmt: skip
    found = compare(there, gone)
    assert found.edges.extra == 1
    assert found.worst is not None
    assert (found.worst.key, found.worst.recorded, found.worst.ours) == (
        "batteryModeExternal", "hold", None
    )  # fmt: skip


def test_what_is_read_in_the_midst_of_a_start_is_no_edge() -> None:
    steps = [Step(1, True), Step(20, "no state"), Step(40, None), Step(41, True), Step(60, False)]
    assert edges_of(steps) == [Step(60, False)]
    assert edges_of([Step(1, True), Step(40, None), Step(41, True)]) == [
        Step(40, None),
        Step(41, True),
    ]


def test_energies_follow_the_car_and_the_battery(tmp_path: Path) -> None:
    recording = trace_of(
        tmp_path,
        at(10, dev_lp1_w=3600, dev_battery_w=-1800),
        at(20, dev_lp1_w=7200, dev_battery_w=900, dev_lp1_car="guest"),
        at(40, dev_lp1_w=0, dev_battery_w=0),
    )
    found = energies_kwh(recording)
    assert found["car.id3"] == pytest.approx(0.01)
    assert found["car.guest"] == pytest.approx(0.04)
    assert found["battery.charged"] == pytest.approx(0.005)
    assert found["battery.discharged"] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("recorded_w", "ours_w", "good"),
    [(7200, 8600, True), (7200, 8700, False), (72_000, 73_400, True), (72_000, 73_600, False)],
)
def test_energies_may_differ_by_2_percent_or_20_wh(
    tmp_path: Path, recorded_w: float, ours_w: float, good: bool
) -> None:
    def charged(power_w: float) -> Trace:
        return one_box(tmp_path, at(10, dev_lp1_w=power_w))  # 50 s: 7200 W are 0.1 kWh

    found = compare(charged(recorded_w), charged(ours_w))
    assert ("car.id3" not in found.below) == good


def test_answers_with_another_status_are_listed(tmp_path: Path) -> None:
    def asked(*statuses: int) -> Trace:
        one = {"method": "POST", "path": "/a", "answer": ""}
        lines = [{"t": 10.0 + k, "request": one | {"status": s}} for k, s in enumerate(statuses)]
        return one_box(tmp_path, *lines)

    found = compare(asked(200, 400), asked(200, 200)).requests
    assert (found.recorded, len(found.different)) == (2, 1)
    assert (found.different[0].t, found.different[0].recorded, found.different[0].ours) == (
        11,
        400,
        200,
    )
    assert compare(asked(200, 400), asked(200)).requests.different[0].ours == "not asked"


def test_accepted_exceptions_are_few_or_none(tmp_path: Path) -> None:
    def switching(*skipped: int) -> Trace:
        times = [k for k in range(10, 1010, 10) if k not in skipped]
        return one_box(tmp_path, *(at(t, lp1_limitSoc=t) for t in times), end=1200)

    def held(accepted: tuple[Accepted, ...]) -> Comparison:
        return compare(switching(), switching(500, 700, 900), accepted)

    known = [Accepted("story", "lp1.limitSoc", t, "a coin") for t in (500.0, 700.0, 900.0)]
    two = held(tuple(known[:2]))
    assert (two.edges.recorded, two.edges.missing, two.edges.accepted) == (100, 1, 2)
    assert held(tuple(known)).edges.missing == 3
    elsewhere = held((Accepted("other", "lp1.limitSoc", 500.0, "a coin"),))
    assert elsewhere.edges.missing == 3
