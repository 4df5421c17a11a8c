"""The planner's bench: its questions, what it tells, and the programs it writes for others."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pytest

from sim import bench_plan
from sim.bench_plan import losses, plans, roll
from sim.plan_problems import BASES, FEED_IN_EUR_KWH, TARIFFS, Home, Kind, drawn, rolling
from tests.make_cli import last_json, smartload

BARS = {
    "lp_ratio_96", "lp_ratio_192", "milp_speedup_96", "milp_speedup_192", "loss_ct_p95",
    "loss_ct_max", "plan_ms_96", "plan_ms_192", "unanswered",
}  # fmt: skip
WINTER = Kind("winter", "dynamic", 1)


# --- its questions --------------------------------------------------------------------------------


def test_a_drawn_question_depends_on_its_seed_alone() -> None:
    assert drawn(4, 48) == drawn(4, 48)
    assert drawn(4, 48) != drawn(13, 48)


def test_drawn_questions_are_of_every_sort() -> None:
    found = [drawn(seed, 192) for seed in range(30)]
    kinds = {tuple(name.split("-")[:2]) for name, _ in found}
    assert kinds == {(season, tariff) for season in BASES for tariff in TARIFFS}
    problems = [one for _, one in found]
    assert {len(one.cars) for one in problems} == {1, 2}
    assert {one for p in problems for one in p.export_eur_kwh} == {FEED_IN_EUR_KWH}
    assert {car.min_kw for p in problems for car in p.cars} == {4.14, 1.38}
    end = timedelta(hours=48)
    leaves = [(car.departure, p.at) for p in problems for car in p.cars]
    assert any(one is None for one, _ in leaves)
    assert any(one is not None and one - at > end for one, at in leaves)
    assert any(one is not None and one - at < end for one, at in leaves)
    negative = [p for name, p in found if "negative" in name]
    below = [min(one for one in p.import_eur_kwh if one is not None) < 0 for p in negative]
    assert sum(below) >= len(below) / 3  # not every day has such a noon


def test_prices_are_known_as_far_as_they_are_published() -> None:
    home = Home(WINTER)
    _, problem = drawn(0, 192)
    morning = home.start + timedelta(days=3, hours=10)
    before = home.problem(morning, 192, problem.store, ()).import_eur_kwh  # type: ignore[arg-type]
    after = home.problem(morning + timedelta(hours=4), 192, problem.store, ()).import_eur_kwh  # type: ignore[arg-type]
    assert sum(one is not None for one in before) == 14 * 4
    assert sum(one is not None for one in after) == 34 * 4
    assert len(problem.usual_eur_kwh) == 96


def test_the_sun_of_a_day_and_the_load_are_those_of_the_season() -> None:
    sun = {}
    for seed, season in enumerate(BASES):
        _, problem = drawn(seed, 96)
        sun[season] = sum(problem.pv_kw) / 4
        assert 4 < sum(problem.load_kw) / 4 < 20
    assert sun["winter"] < 15 < sun["summer"]


def test_rolling_questions_go_on_as_planned() -> None:
    some = list(rolling(WINTER, 96, 4))
    for one, following in pairwise(some):
        assert following.at - one.at == timedelta(minutes=15)
        assert following.load_kw[:-1] == one.load_kw[1:]
        assert following.before
        assert all(b.need_kwh <= a.need_kwh for a, b in zip(one.cars, following.cars, strict=True))
    assert some[0].cars[1].departure - some[0].at > timedelta(hours=24)  # type: ignore[operator]


# --- what it tells --------------------------------------------------------------------------------


def test_rolling_measures_every_way_of_the_same_instances(tmp_path: Path) -> None:
    times = roll(WINTER, 48, 2, tmp_path)
    assert {name: len(some) for name, some in times.items()} == dict.fromkeys(
        ("lp", "raw", "cvxpy", "rebuilt", "solve", "plan", "milp"), 2
    )
    assert all(one > 0 for some in times.values() for one in some)
    assert len(list(tmp_path.glob("*.mps"))) == len(list(tmp_path.glob("*.json"))) == 2


def test_other_answers_to_the_same_data_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    right = bench_plan.RawProgram.again
    monkeypatch.setattr(
        bench_plan.RawProgram, "again", lambda self, lp: (right(self, lp)[0] + 0.01, 1.0)
    )
    with pytest.raises(ValueError, match="other answers"):
        roll(WINTER, 48, 1)


def test_losses_are_against_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_plan, "SLOTS", (32, 48))
    found = losses(4)
    assert len(found.plan) == len(found.certificate) == 4
    assert found.unproven == 0
    assert found.worst in {drawn(seed, slots)[0] for seed in range(2) for slots in (32, 48)}
    for plan, certificate in zip(found.plan, found.certificate, strict=True):
        assert -0.01 <= plan <= certificate + 0.01


def test_plans_are_counted_and_the_slowest_is_named() -> None:
    found = plans(3, 32)
    assert (len(found.seconds), found.unanswered) == (3, 0)
    assert found.slowest in {drawn(seed, 32)[0] for seed in range(3)}


def test_the_front_door_tells_the_figures_of_the_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_plan, "SLOTS", (24, 32))
    monkeypatch.setattr(bench_plan, "ROLLING", (WINTER,))
    monkeypatch.setattr(bench_plan.bench_plan, "__defaults__", (None, 2, 3, 2))
    result = smartload("bench", "plan", "--dump", f"{tmp_path / 'new'}", "--json")
    assert result.exit_code == 0, result.output
    told = last_json(result.output)
    assert {name.replace("96", "24").replace("192", "32") for name in BARS} <= told.keys()
    assert (told["cases"], told["proven_cases"], told["instances"]) == (3, 2, 2)
    assert told["plan_ms_24"].keys() == {"p50", "p95", "max"}
    assert told["plan_ms_24"]["p50"] <= told["plan_ms_24"]["max"]
    assert len(list((tmp_path / "new").glob("*.mps"))) == 2 * 2 + 2


# --- the programs it writes -----------------------------------------------------------------------


def highs_of(file: Path) -> Any:
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(f"{file}")
    return highs


def test_our_plan_is_a_solution_of_the_program_beside_it(tmp_path: Path) -> None:
    """What is told to cost so much does: our flows, fixed by name in the file, solve it so."""
    roll(Kind("summer", "dynamic", 1), 48, 1, tmp_path)
    (file,) = tmp_path.glob("*.mps")
    ours = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert ours["ours_gap"] >= 0
    assert set(ours["ours_columns"]) <= set(ours["columns"])
    highs = highs_of(file)
    names = {name: k for k, name in enumerate(highs.getLp().col_names_)}
    for name, values in ours["ours_columns"].items():
        for t, value in enumerate(values):
            near = (max(0.0, value - 1e-6), value + 1e-6)
            highs.changeColBounds(names[f"{name}_{t}"], *near)
    highs.run()
    info = highs.getInfo()
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    assert info.objective_function_value == pytest.approx(ours["ours"], abs=0.05)
    free = highs_of(file)
    free.setOptionValue("mip_rel_gap", 0.0)
    free.run()
    best = free.getInfo().objective_function_value
    assert best <= ours["ours"] + 0.01
    assert ours["ours"] - ours["ours_gap"] <= best + 0.01
    assert np.isfinite(best)
