"""Several cars, one wallbox: who is plugged in when is part of the best plan there is."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.departures import is_quiet
from actors.planner import BUDGET, CENT, Planner
from actors.planner_calm import ALLOWED, calmed
from actors.planner_milp import EXACT, monolith, solve_monolith
from actors.planner_model import MONEY_SCALE
from actors.planner_problem import CarNeed, Problem, grid_of
from actors.planner_search import search
from engine.settings import SequencerSettings
from sim.plan_problems import drawn
from tests.make_planner import NOON, battery, home
from tests.planner_oracle import Oracle
from tests.test_planner_optimal import (
    NEAR_EUR,
    PROOF_GAP,
    TIES_EUR,
    flows_of,
    loaded,
    money,
    small_cars,
)

# --- small homes: every way to plug in ------------------------------------------------------------


@st.composite
def shared_homes(draw: st.DrawFn) -> Problem:
    """3 to 5 slots; one or two cars wait at one wallbox, or one at two; quiet slots; swap cost."""
    slots = draw(st.sampled_from((3, 4, 4, 5)))

    def series(of: st.SearchStrategy[float]) -> tuple[float, ...]:
        return tuple(draw(st.lists(of, min_size=slots, max_size=slots)))

    plugged = draw(small_cars(0, slots))
    others: list[CarNeed] = []
    kind = draw(st.sampled_from(("one", "one", "two", "elsewhere")))
    for k in (1, 2) if kind == "two" else (1,):
        one = draw(small_cars(k, slots))
        others.append(replace(one, loadpoint=plugged.loadpoint, waiting=True, asap=False))
    if kind == "elsewhere":  # it may be plugged in at either wallbox
        beside = draw(small_cars(3, slots))
        others += [beside, replace(others[0], loadpoint=beside.loadpoint)]
    return home(
        slots,
        at=NOON + timedelta(seconds=draw(st.sampled_from((0, 450)))),
        import_eur_kwh=series(money),
        export_eur_kwh=series(st.just(0.08) if draw(st.booleans()) else money),
        load_kw=series(st.integers(0, 30).map(lambda one: one / 10)),
        pv_kw=series(st.one_of(st.just(0.0), st.integers(0, 90).map(lambda one: one / 10))),
        store=battery(capacity_kwh=4, stored_kwh=2.0, min_kwh=0.4, max_kwh=4.0)
        if kind == "one" and draw(st.booleans())
        else None,
        cars=(plugged, *others),
        swap_cost_eur=draw(st.sampled_from((0.0, 0.05, 0.3, 1.0))),
        quiet=tuple(draw(st.sampled_from((False, False, True))) for _ in range(slots)),
    )


@st.composite
def busy_homes(draw: st.DrawFn) -> Problem:
    """4 to 6 slots; two cars wait, mostly both leave soon: people swap twice, in either order."""
    slots = draw(st.sampled_from((4, 5, 6)))
    prices = draw(st.lists(money, min_size=slots, max_size=slots))
    cars = [draw(small_cars(k, slots)) for k in range(3)]
    waiting = [
        replace(
            one,
            loadpoint=cars[0].loadpoint,
            waiting=True,
            asap=False,
            from_at=None,
            departure=NOON + timedelta(minutes=15 * draw(st.integers(1, slots))),
        )
        for one in cars[1:]
    ]
    return home(
        slots,
        import_eur_kwh=tuple(prices),
        export_eur_kwh=(0.08,) * slots,
        load_kw=(0.4,) * slots,
        pv_kw=(0.0,) * slots,
        cars=(replace(cars[0], need_kwh=draw(st.sampled_from((0.0, 0.4, 2.3)))), *waiting),
        swap_cost_eur=draw(st.sampled_from((0.0, 0.05, 1.0))),
        quiet=tuple(draw(st.sampled_from((False, False, False, True))) for _ in range(slots)),
    )


EXAMPLES = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@given(shared_homes())
@EXAMPLES
def test_inv_93_no_assignment_of_cars_is_cheaper(problem: Problem) -> None:
    assert_best(problem)


@given(busy_homes())
@EXAMPLES
def test_inv_93_no_order_of_two_waiting_cars_is_cheaper(problem: Problem) -> None:
    assert_best(problem)


def assert_best(problem: Problem) -> None:
    """The search within 0.1 ct of the best of all assignments, modes and directions."""
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
        swaps = oracle.swaps_for(flows)
        assert swaps is not None
        eur = oracle.eur(flows) + swaps * problem.swap_cost_eur
        assert best.eur - 1e-5 <= eur <= best.eur + NEAR_EUR + more_eur
        assert one.value - one.gap <= MONEY_SCALE * (best.eur + NEAR_EUR + TIES_EUR)


# --- real homes: one whole MILP -------------------------------------------------------------------


def shared_home(seed: int, slots: int, count: int = 2) -> Problem:
    """A real home whose first wallbox has cars waiting; quiet from the local evening on."""
    _, problem = drawn(seed, slots)
    first = problem.cars[0]
    night = SequencerSettings()
    waiting = tuple(
        replace(
            first,
            vehicle=f"waits{k}",
            waiting=True,
            need_kwh=8.0 + 5 * k,
            min_kw=(4.14, 1.38)[k],
            departure=problem.at + timedelta(hours=(7, 30)[k]) if (seed + k) % 4 else None,
        )
        for k in range(count)
    )
    quiet = tuple(is_quiet(start, night, problem.zone) for start in grid_of(problem).starts)
    return replace(problem, cars=(*problem.cars, *waiting), quiet=quiet)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shared_wallbox_is_planned_as_well_as_by_one_whole_milp(seed: int) -> None:
    """Eight hours; the certificate holds against the proven best."""
    problem = shared_home(seed, 32)
    _, program, rules = loaded(problem)
    milp = monolith(program, rules)
    found = search(program, rules, BUDGET)
    exact = solve_monolith(milp, PROOF_GAP, 60.0, EXACT)
    assert exact.value - exact.bound <= 2 * PROOF_GAP
    assert -0.01 * CENT <= found.value - exact.value <= found.gap + 0.01 * CENT
    assert found.gap <= BUDGET.enough
    # each obeys the rules of the other
    assert rules.broken(exact.x[: len(found.x)], found.lower, found.upper, 0) is None


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5])
def test_two_days_with_two_waiting_cars_are_planned_within_the_budget(seed: int) -> None:
    problem = shared_home(seed, 193)
    case, program, rules = loaded(problem)
    found = search(program, rules, BUDGET)
    assert found.gap <= BUDGET.enough
    assert program.work <= BUDGET.most_work + 40 * 25
    made = Planner().make_plan(problem)
    assert made.rung == "lp"
    at_box = [k for k, one in enumerate(problem.cars) if one.loadpoint == problem.cars[0].loadpoint]
    for slot in made.slots:
        assert sum(slot.cars[k].charge_kw > 0.01 for k in at_box) <= 1
    assert case.problem is problem


def test_the_public_path_plans_the_same() -> None:
    problem = shared_home(2, 32)
    one, other = Planner().make_plan(problem), Planner(public=True).make_plan(problem)
    assert one.objective_eur == pytest.approx(other.objective_eur, abs=0.005)
    assert [k.name for k in one.shortfalls] == [k.name for k in other.shortfalls]
