"""Plans are the best there are: every way of small homes, and one whole MILP for real ones."""

from datetime import timedelta
from functools import cache
from pathlib import Path

import highspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.planner import BUDGET, CENT
from actors.planner_calm import ALLOWED, calmed
from actors.planner_case import Case, case_of, structure_of
from actors.planner_milp import EXACT, largest, monolith, rows_of, solve_monolith, write_mps
from actors.planner_model import MONEY_SCALE, Structure, write_model
from actors.planner_problem import CarNeed, Problem, grid_of, prices_of
from actors.planner_rules import PlanRules
from actors.planner_search import Searched, search
from actors.planner_solver import FastProgram, Meter
from sim.plan_problems import drawn
from tests.make_planner import NOON, battery, car, home
from tests.planner_oracle import Flow, Oracle

NEAR_EUR = 0.001
"""0.1 ct."""
TIES_EUR = 0.002
PROOF_GAP = 1e-6 * MONEY_SCALE
OURS = {
    "bought": "grid_import", "bought_over": "import_over", "sold": "grid_export",
    "sold_over": "export_over", "in": "charge", "out": "discharge",
}  # fmt: skip


@cache
def program_of(shape: Structure) -> FastProgram:
    return FastProgram(write_model(shape), Meter())


def loaded(problem: Problem) -> tuple[Case, FastProgram, PlanRules]:
    grid = grid_of(problem)
    case = case_of(problem, grid, prices_of(problem, grid))
    program = program_of(structure_of(problem))
    program.load(case.data)
    return case, program, PlanRules(case, program.columns)


def flows_of(oracle: Oracle, program: FastProgram, found: Searched) -> dict[Flow, float]:
    """A solution by the oracle's names; what is not in our model does not flow."""
    flows = {}
    for kind, t in oracle.names:
        at = program.columns.get(OURS.get(kind, kind))
        flows[kind, t] = float(found.x[at][t]) if at is not None else 0.0
    return flows


# --- small homes: every way -----------------------------------------------------------------------

money = st.integers(-25, 60).map(lambda one: one / 100)


@st.composite
def small_cars(draw: st.DrawFn, k: int, slots: int) -> CarNeed:
    least, most = draw(
        st.sampled_from(((1.38, 11.04), (4.14, 11.04), (4.14, 4.6), (1.38, 3.68), (0.0, 7.4)))
    )
    leaves = draw(st.one_of(st.none(), st.integers(-1, 20 * slots)))
    opens = draw(st.sampled_from((None, None, None, 10, 20)))
    return car(
        vehicle=f"car{k}",
        loadpoint=f"point{k}",
        min_kw=least,
        max_kw=most,
        need_kwh=draw(st.sampled_from((0.4, 1.1, 2.3, 5.0))),
        departure=None if leaves is None else NOON + timedelta(minutes=leaves),
        from_at=None if opens is None else NOON + timedelta(minutes=opens),
        asap=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def small_homes(draw: st.DrawFn) -> Problem:
    """3 to 6 slots, battery, 1 or 2 cars, feed-in above and below import, negative prices."""
    slots = draw(st.sampled_from((3, 4, 6)))

    def series(of: st.SearchStrategy[float]) -> tuple[float, ...]:
        return tuple(draw(st.lists(of, min_size=slots, max_size=slots)))

    feed_in = st.just(0.08) if draw(st.booleans()) else money
    store = battery(
        capacity_kwh=4,
        stored_kwh=draw(st.sampled_from((0.2, 0.4, 0.9, 2.0, 3.3, 3.9))),
        min_kwh=0.4,
        max_kwh=draw(st.sampled_from((3.6, 4.0))),
        grid_charging=draw(st.booleans()),
    )
    return home(
        slots,
        at=NOON + timedelta(seconds=draw(st.sampled_from((0, 450)))),
        import_eur_kwh=series(money),
        export_eur_kwh=series(feed_in),
        load_kw=series(st.integers(0, 30).map(lambda one: one / 10)),
        pv_kw=series(st.one_of(st.just(0.0), st.integers(0, 90).map(lambda one: one / 10))),
        store=store,
        cars=tuple(draw(small_cars(k, slots)) for k in range(draw(st.integers(1, 2)))),
        import_limit_kw=draw(st.sampled_from((None, None, 6.0))),
    )


@given(small_homes())
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_inv_09_inv_11_inv_13_no_way_is_cheaper(problem: Problem) -> None:
    """The search within 0.1 ct of the best of all ways; with ties broken within 0.2 ct more."""
    oracle = Oracle(problem)
    best = oracle.best()
    case, program, rules = loaded(problem)
    root = (program.lower.copy(), program.upper.copy())
    found = search(program, rules, BUDGET)
    calm = calmed(case, program, rules, found, root)
    for one, more_eur in ((found, 0.0), (calm, ALLOWED / MONEY_SCALE)):
        flows = flows_of(oracle, program, one)
        assert oracle.wrong_kwh(flows) < 1e-5
        assert next(oracle.broken(flows), None) is None
        assert best.eur - 1e-5 <= oracle.eur(flows) <= best.eur + NEAR_EUR + more_eur
        # nothing is cheaper than the certificate says; what breaks ties is in it
        assert one.value - one.gap <= MONEY_SCALE * (best.eur + NEAR_EUR + TIES_EUR)


# --- real homes: one whole MILP -------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 6, 9, 13])
def test_a_real_home_is_planned_as_well_as_by_one_whole_milp(seed: int) -> None:
    """12 hours, so that the MILP is solved to the end in a moment."""
    name, problem = drawn(seed, 48)
    _, program, rules = loaded(problem)
    milp = monolith(program, rules)
    found = search(program, rules, BUDGET)
    exact = solve_monolith(milp, PROOF_GAP, 60.0, EXACT)
    assert exact.value - exact.bound <= 2 * PROOF_GAP, name
    assert -0.01 * CENT <= found.value - exact.value <= 0.5 * CENT, name
    assert exact.value >= found.value - found.gap - 0.01 * CENT, name
    # each obeys the rules of the other
    assert rules.broken(exact.x[: len(found.x)], found.lower, found.upper, 0) is None


def test_the_milp_pays_for_what_the_program_cannot_say() -> None:
    """A car that needs 4.14 kW beside 3 kW of sun: the program alone takes crumbs."""
    problem = home(
        4,
        pv_kw=(3.0, 3.4, 3.0, 3.0),
        export_eur_kwh=(0.2,) * 4,
        load_kw=(0.0,) * 4,
        cars=(car(need_kwh=1.5, departure=NOON + timedelta(hours=1), max_kw=11.04),),
    )
    _, program, rules = loaded(problem)
    alone = program.run()
    assert alone is not None
    milp = monolith(program, rules)
    exact = solve_monolith(milp, PROOF_GAP, 60.0, EXACT)
    assert exact.value > alone + 0.1
    drawn_kwh = exact.x[program.columns["car0"]]
    assert all(kwh < 1e-6 or kwh >= 4.14 / 4 - 1e-6 for kwh in drawn_kwh)


def test_the_milps_flows_are_bounded_by_what_can_flow() -> None:
    """Grid import has no bound of its own: load, car and battery together are its most."""
    problem = home(4, store=battery(), cars=(car(max_kw=11.0, need_kwh=20.0, asap=True),))
    _, program, _ = loaded(problem)
    lp = program.loaded()
    most = largest(lp, rows_of(lp))[program.columns["grid_import"]]
    assert most.tolist() == pytest.approx([(0.4 + 5 + 11) / 4] * 4)


def test_a_dumped_program_is_the_same_problem(tmp_path: Path) -> None:
    _, problem = drawn(1, 48)
    _, program, rules = loaded(problem)
    milp = monolith(program, rules)
    write_mps(milp, f"{tmp_path / 'one.mps'}")
    text = (tmp_path / "one.mps").read_text(encoding="utf-8")
    assert "grid_import_47" in text
    assert "on_car0_" in text
    read = highspy.Highs()
    read.setOptionValue("output_flag", False)
    read.readModel(f"{tmp_path / 'one.mps'}")
    again = solve_monolith(read.getLp(), PROOF_GAP, 60.0, EXACT)
    exact = solve_monolith(milp, PROOF_GAP, 60.0, EXACT)
    assert again.value == pytest.approx(exact.value, abs=0.01)
