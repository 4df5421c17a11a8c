"""Seeded days behind a small connection, and whether their judge sees what goes wrong."""

import json

import pytest

import actors.actuator
from actors.fuse import Fuse
from engine.evcc_circuits import grid_currents_from
from sim import fuse_days
from sim.fuse_days import Flow, breaches_of, lived, main, stretches
from sim.fuse_homes import PeakyWorld, fuse_home
from sim.fuse_phases import phased_home, phases_w, with_currents

LIMIT_W = 17_250.0
EVENING = 0.45
"""From the afternoon until the cheap hours after midnight."""


def flow(at_s: float, grid_w: float, **ours: float) -> Flow:
    return Flow(
        at_s,
        grid_w,
        ours.get("battery_w", 0.0),
        ours.get("cars_w", 0.0),
        ours.get("tail_w", 0.0),
        bool(ours.get("held")),
    )


@pytest.mark.parametrize(("seed", "amps"), [(5, 25.0), (9, 25.0), (8, 35.0)])
def test_the_limit_is_kept_by_all_that_is_ours(seed: int, amps: float) -> None:
    one = lived(seed, amps, EVENING)
    assert breaches_of(one) == []
    assert one.planned_over == 0
    drawn_kwh = one.evcc.home.house.charged_kwh + sum(b.charged_kwh for b in one.evcc.home.boxes)
    assert drawn_kwh > 5.0  # something was granted


def test_each_phase_keeps_its_limit() -> None:
    one = lived(9, 25.0, 0.45, phases=True)
    assert breaches_of(one) == []
    assert one.evcc.home.scenario.settings.site.grid_import_limit_kw is None
    assert one.evcc.home.house.charged_kwh > 1.0
    drawn_w = phases_w(one.evcc.home, one.evcc.home.scenario.settings)
    assert sum(drawn_w) == pytest.approx(one.evcc.home.house.grid_w)
    shown = one.evcc.state()["grid"]
    assert isinstance(shown, dict)
    assert len(shown["currents"]) == 3


def test_one_phase_may_be_over_where_the_sum_is_not() -> None:
    one = lived(5, 25.0, 0.001, phases=True)
    home = one.evcc.home
    home.boxes[0].phases, home.boxes[0].charge_w = 1, 7360.0
    drawn_w = phases_w(home, phased_home(5, 25.0, 1.0).settings)
    assert max(drawn_w) > 5750.0 > sum(drawn_w) / 3
    state = with_currents({"grid": {"power": 1.0}}, drawn_w)
    assert grid_currents_from(state) == pytest.approx(
        tuple(watts / 230 for watts in drawn_w), abs=1e-3
    )


def test_without_a_fuse_the_judge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.actuator, "fuse_of", lambda view, desks: Fuse())
    found = breaches_of(lived(5, 25.0, EVENING))
    assert found
    assert max(one.seconds for one in found) > 300.0
    assert found[0].command == "python -m sim.fuse_days --amps 25 --seed 5 --days 0.45"


def test_a_stretch_lasts_as_long_as_ours_takes_part() -> None:
    flows = [
        flow(0.0, 9000.0, cars_w=7000.0),
        flow(100.0, 18_000.0, cars_w=7000.0),
        flow(140.0, 18_000.0),  # the house alone
        flow(400.0, 9000.0),
        flow(500.0, 20_000.0, battery_w=5000.0),
    ]
    found = stretches(flows, LIMIT_W, 600.0)
    assert [(one.at_s, one.ours_s) for one in found] == [(100.0, 40.0), (500.0, 100.0)]


def test_what_comes_late_into_a_stretch_counts_from_its_beginning() -> None:
    flows = [flow(0.0, 18_000.0), flow(500.0, 22_000.0, cars_w=4000.0), flow(510.0, 100.0)]
    assert [one.ours_s for one in stretches(flows, LIMIT_W, 600.0)] == [510.0]


def test_a_held_battery_is_ours_and_a_tail_is_told_apart() -> None:
    held = stretches([flow(0.0, 18_000.0, held=True)], LIMIT_W, 90.0)
    assert [(one.ours_s, one.tail_s) for one in held] == [(90.0, 0.0)]
    tail = stretches([flow(0.0, 18_000.0, tail_w=4140.0)], LIMIT_W, 90.0)
    assert [(one.ours_s, one.tail_s) for one in tail] == [(0.0, 90.0)]
    house = stretches([flow(0.0, 30_000.0, tail_w=4140.0)], LIMIT_W, 90.0)
    assert [(one.ours_s, one.tail_s) for one in house] == [(0.0, 0.0)]
    assert stretches([flow(0.0, LIMIT_W)], LIMIT_W, 90.0) == []


def test_a_home_depends_on_its_seed_alone() -> None:
    assert fuse_home(3, 25.0, 1.0) == fuse_home(3, 25.0, 1.0)
    wide = fuse_home(3, 35.0, 1.0)
    assert wide.sim == fuse_home(3, 25.0, 1.0).sim
    assert wide.settings.site.grid_import_limit_kw == pytest.approx(24.15)
    start = wide.sim.start
    worlds = [PeakyWorld(wide, 3, 0.1) for _ in range(2)]
    assert worlds[0].minute(start) == worlds[1].minute(start)


def test_the_command_says_json_and_1_on_a_breach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--seed", "4", "--homes", "1", "--days", "0.02", "--json"]
    assert main(asked) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["days"], said["amps"], said["breaches"]) == (0.02, 25.0, [])
    breach = fuse_days.Breach(4, fuse_home(4, 25.0, 1.0).sim.start, 90.0, 18.0, 5.0, 0.0, "x")
    monkeypatch.setattr(fuse_days, "breaches_of", lambda one: [breach])
    assert main(asked) == 1
