"""Ceilings, targets, reserve, a battery that feeds no car: no way of small homes is cheaper."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.planner import BUDGET
from actors.planner_calm import ALLOWED, calmed
from actors.planner_goals import goals_of
from actors.planner_milp import EXACT, monolith, solve_monolith
from actors.planner_model import MONEY_SCALE
from actors.planner_problem import Problem, Target
from actors.planner_search import search
from actors.rules import plan_by_rules
from engine.values import BatteryMode, ChargeMode
from sim.plan_problems import drawn
from tests.make_planner import NOON, PLANNER, assert_physical, bill
from tests.planner_oracle import Flow, Oracle
from tests.test_planner_optimal import (
    NEAR_EUR,
    OURS,
    PROOF_GAP,
    TIES_EUR,
    loaded,
    money,
    small_homes,
)

EVERY = settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def wishes(draw: st.DrawFn) -> Problem:
    """A small home that wishes for at least one more thing."""
    problem = draw(small_homes())
    slots, store = len(problem.load_kw), problem.store
    assert store is not None
    ceilings = draw(st.sampled_from(("none", "car", "both")))
    if ceilings != "none":
        cars = tuple(replace(car, max_eur_kwh=draw(money)) for car in problem.cars)
        problem = replace(problem, cars=cars)
    if ceilings == "both":
        store = replace(store, max_eur_kwh=draw(money))
    store = replace(store, feeds_cars=draw(st.booleans()))
    targets = tuple(
        Target(draw(st.sampled_from((1.0, 2.5, 3.6, 4.0))), NOON + timedelta(minutes=minutes))
        for minutes in draw(st.lists(st.integers(-5, 15 * slots + 20), max_size=2, unique=True))
    )
    doubts = st.lists(st.integers(0, 20).map(lambda one: one / 10), min_size=slots, max_size=slots)
    beyond: tuple[float, ...] = ()
    short: tuple[float, ...] = ()
    if draw(st.booleans()):
        beyond, short = tuple(draw(doubts)), tuple(draw(doubts))
    return replace(problem, store=store, targets=targets, load_beyond_kw=beyond, pv_short_kw=short)


def reserve_of(problem: Problem, end_value: float) -> dict[int, tuple[float, float]]:
    """The reserve, added up anew from each slot forward: level and price by slot."""
    store = problem.store
    if store is None or not problem.load_beyond_kw:
        return {}
    oracle = Oracle(replace(problem, targets=()))
    n, hours = oracle.n, oracle.hours
    refills = [
        oracle.sun[t] > 1e-6
        or (not oracle.barred(t) and oracle.buy[t] <= end_value * store.charge_efficiency)
        for t in range(n)
    ]
    found = {}
    for t in range(n):
        after = []
        for s in range(t + 1, n):
            if refills[s]:
                break
            after.append(s)
        total = 0.0
        for doubts, block in ((problem.load_beyond_kw, 4), (problem.pv_short_kw, 24)):
            sums: dict[int, float] = {}
            for s in after:
                sums[s // block] = sums.get(s // block, 0.0) + doubts[s] * hours[s]
            total += sum(one * one for one in sums.values())
        extra = total**0.5 / store.discharge_efficiency
        extra = min(extra, 0.3 * (store.max_kwh - store.min_kwh))
        kwh = int(extra / 0.001 + 1e-9) * 0.001
        price = _price(oracle, refills, t)
        if kwh > 0 and price > 0:
            found[t] = store.min_kwh + kwh, price
    return found


def _price(oracle: Oracle, refills: list[bool], t: int) -> float:
    """Of the stretch without sun or cheap power that begins with the slot after `t`, or goes on."""
    store = oracle.problem.store
    assert store is not None
    inside = t + 1 if refills[t] else t
    if inside >= oracle.n or refills[inside]:
        return 0.0
    begin = end = inside
    while begin > 0 and not refills[begin - 1]:
        begin -= 1
    while end < oracle.n and not refills[end]:
        end += 1
    stretch = oracle.buy[begin:end]
    return 0.3 * store.discharge_efficiency * (max(stretch) - min(stretch)) / (end - begin)


@given(wishes())
@EVERY
def test_inv_11_inv_13_inv_24_no_way_is_cheaper_with_wishes(problem: Problem) -> None:
    case, program, rules = loaded(problem)
    oracle = Oracle(problem, reserve_of(problem, case.end_value))
    best = oracle.best()
    root = (program.lower.copy(), program.upper.copy())
    found = search(program, rules, BUDGET)
    calm = calmed(case, program, rules, found, root)
    for one, more_eur in ((found, 0.0), (calm, ALLOWED / MONEY_SCALE)):
        flows: dict[Flow, float] = {}
        for kind, t in oracle.names:
            at = program.columns.get(OURS.get(kind, kind))
            flows[kind, t] = float(one.x[at][t]) if at is not None else 0.0
        assert oracle.wrong_kwh(flows) < 1e-5
        assert next(oracle.broken(flows), None) is None
        assert best.eur - 1e-5 <= oracle.eur(flows) <= best.eur + NEAR_EUR + more_eur
        assert one.value - one.gap <= MONEY_SCALE * (best.eur + NEAR_EUR + TIES_EUR)


@given(wishes())
@EVERY
def test_inv_190_a_reserve_is_never_above_what_it_rests_on(problem: Problem) -> None:
    case, _, _ = loaded(problem)
    store = problem.store
    assert store is not None
    goals = goals_of(replace(problem, targets=()), case.grid, case.prices, case.end_value)
    again = reserve_of(problem, case.end_value)
    most_kwh = 0.3 * (store.max_kwh - store.min_kwh)
    for t, kwh in enumerate(goals.stored_kwh.tolist()):
        assert kwh == pytest.approx(again.get(t, (0.0, 0.0))[0], abs=0.00101)
        errors = zip(problem.load_beyond_kw, problem.pv_short_kw, case.grid.hours, strict=False)
        whole = sum((load + sun) * hours for load, sun, hours in list(errors)[t + 1 :])
        assert kwh <= max(0.0, store.min_kwh + min(whole / store.discharge_efficiency, most_kwh))


def real(seed: int) -> Problem:
    """A real home of 12 hours with every wish."""
    _, problem = drawn(seed, 48)
    store = problem.store
    assert store is not None
    known = sorted(one for one in problem.import_eur_kwh if one is not None)
    return replace(
        problem,
        store=replace(store, feeds_cars=seed % 2 == 0, max_eur_kwh=known[len(known) // 2]),
        cars=tuple(replace(car, max_eur_kwh=known[len(known) // 3]) for car in problem.cars),
        targets=(Target(8.0, problem.at + timedelta(hours=6)),),
        load_beyond_kw=(0.4,) * 48,
        pv_short_kw=tuple(0.5 * one for one in problem.pv_kw),
    )


@pytest.mark.parametrize("seed", [0, 1, 2, 5, 6, 9])
def test_a_real_home_with_wishes_is_planned_as_well_as_by_one_whole_milp(seed: int) -> None:
    problem = real(seed)
    _, program, rules = loaded(problem)
    milp = monolith(program, rules)
    found = search(program, rules, BUDGET)
    exact = solve_monolith(milp, PROOF_GAP, 60.0, EXACT)
    assert exact.value - exact.bound <= 2 * PROOF_GAP
    assert -0.01 * 10 <= found.value - exact.value <= 0.5 * 10
    assert exact.value >= found.value - found.gap - 0.01 * 10


extreme = st.one_of(st.none(), st.sampled_from((-5.0, -0.1, 0.0, 0.3, 5.0)))
amount = st.sampled_from((0.0, 1e-9, 0.3, 4.0, 150.0, 1e4))


@given(wishes(), st.data())
@EVERY
def test_inv_01_inv_10_inv_11_inv_12_extreme_wishes_have_a_true_plan(
    problem: Problem, data: st.DataObject
) -> None:
    store, slots, doubt = problem.store, len(problem.load_kw), data.draw(amount)
    assert store is not None
    problem = replace(
        problem,
        store=replace(store, max_eur_kwh=data.draw(extreme), controllable=data.draw(st.booleans())),
        cars=tuple(replace(car, max_eur_kwh=data.draw(extreme)) for car in problem.cars),
        unmet_eur_kwh=data.draw(st.sampled_from((0.0, 0.1, 5.0, 100.0))),
        targets=tuple(
            Target(data.draw(amount), NOON + k * timedelta(minutes=16)) for k in range(2)
        ),
        load_beyond_kw=(doubt,) * slots,
        pv_short_kw=(data.draw(amount),) * slots,
    )
    plan = PLANNER.make_plan(problem)
    assert plan.rung == "lp"
    assert_physical(problem, plan)
    assert plan.cost_eur == pytest.approx(bill(plan), abs=1e-6)


@given(wishes(), st.booleans())
@EVERY
def test_inv_17_inv_10_inv_11_inv_12_the_rules_buy_nothing_for_the_suns_sake(
    problem: Problem, failed: bool
) -> None:
    """The rung below: sun is no permission, wishes are no reason to buy for the battery."""
    problem = replace(problem, prices_failed=failed)
    store = problem.store
    assert store is not None
    plan = plan_by_rules(problem)
    assert plan.cost_eur == pytest.approx(bill(plan), abs=1e-6)
    for slot in plan.slots:
        spare_kw = max(0.0, slot.pv_kw - slot.load_kw)
        cars_kw = sum(one.charge_kw for one in slot.cars)
        assert slot.battery_mode is not BatteryMode.CHARGE
        assert slot.battery_charge_kw <= spare_kw + 1e-6
        assert min(slot.battery_charge_kw, slot.battery_discharge_kw) < 1e-6
        assert slot.battery_discharge_kw <= max(0.0, slot.load_kw + cars_kw - slot.pv_kw) + 1e-6
        if not store.feeds_cars and cars_kw > spare_kw + 1e-3:
            assert slot.battery_discharge_kw == 0
        for one, car in zip(slot.cars, problem.cars, strict=True):
            if one.why.code == "car_sun":
                assert one.mode is ChargeMode.PV
            if not car.asap and (car.departure is None or slot.start >= car.departure):
                assert one.mode is ChargeMode.PV
