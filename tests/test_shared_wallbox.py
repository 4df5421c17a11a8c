"""Cars that wait for a wallbox: from who waits to the plan, its words, and what is done of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.planner_inputs import cars_of, problem_of
from actors.planner_problem import CarNeed, Problem
from actors.rules import plan_by_rules
from actors.script import script_of
from engine.messages import DriverAsked, PlanMade, TurnsGiven
from engine.settings import CarSettings, SequencerSettings
from engine.values import Plan
from engine.waiting import Waiting
from sim.scenario import SimCar
from tests.make_optimizer import (
    SETTINGS,
    SLOTS,
    forecast,
    hear,
    home_state,
    loadpoint,
    optimizer,
    rates,
    state,
    turn,
)
from tests.make_planner import NOON, assert_physical, by_hour, car, home, hours, plan
from tests.make_ring import home as ring_home
from tests.make_ring import local, told
from web.plan_view import car_part, doing_view, slot_view

HOURS = 24
SLOTS_24 = 4 * HOURS + 1


def waiting(**changes: Any) -> CarNeed:
    """Beside the carport; needs 10 kWh by 8 hours from noon."""
    one = car(vehicle="zoe", need_kwh=10, departure=hours(8), waiting=True)
    return replace(one, **changes)


def shared(*others: CarNeed, **changes: Any) -> Problem:
    """The eUp is plugged in and needs 8 kWh; power is cheap 4 to 6 hours from noon."""
    prices = by_hour({4: 0.10, 5: 0.10}, 0.30, SLOTS_24)
    plugged = car(need_kwh=8, departure=hours(20))
    fields = {"import_eur_kwh": prices, "cars": (plugged, *others)}
    return home(SLOTS_24, **{**fields, **changes})


def kwh_of(made: Plan, vehicle: str) -> list[float]:
    return [
        sum(one.charge_kw for one in slot.cars if one.vehicle == vehicle) * slot.duration_s / 3600
        for slot in made.slots
    ]


def charging(made: Plan, vehicle: str) -> list[int]:
    return [k for k, kwh in enumerate(kwh_of(made, vehicle)) if kwh > 1e-4]


# --- the plan ------------------------------------------------------------------------------------


def test_both_get_what_they_need_one_after_the_other() -> None:
    problem = shared(waiting())
    made = plan(problem)
    assert_physical(problem, made)
    eup, zoe = charging(made, "eup"), charging(made, "zoe")
    assert max(eup) < min(zoe)
    assert sum(kwh_of(made, "eup")) == pytest.approx(8)
    assert sum(kwh_of(made, "zoe")) == pytest.approx(10)
    assert made.shortfalls == ()
    assert made.slots[eup[0]].import_eur_kwh == made.slots[zoe[-1]].import_eur_kwh == 0.10


def test_a_swap_has_to_be_worth_its_cost() -> None:
    """Without a departure a car that waits saves only what is cheap: 25 ct for each of 3 kWh."""
    idle = waiting(departure=None, need_kwh=3)
    cheap = shared(idle, import_eur_kwh=by_hour({4: 0.05, 5: 0.05}, 0.30, SLOTS_24))
    assert charging(plan(cheap), "zoe") == []
    assert charging(plan(replace(cheap, swap_cost_eur=0.0)), "zoe") != []
    paid = plan(shared(waiting()))
    free = plan(shared(waiting(), swap_cost_eur=0.0))
    assert paid.objective_eur - free.objective_eur == pytest.approx(1.0, abs=0.005)
    assert paid.cost_eur == pytest.approx(free.cost_eur, abs=0.005)


def test_inv_93_no_plan_swaps_cars_in_quiet_hours() -> None:
    """Quiet from 3 to 7 hours ahead: only one of them gets the cheap hours in between."""
    quiet = tuple(12 <= k < 28 for k in range(SLOTS_24))
    made = plan(shared(waiting(), quiet=quiet))
    zoe, eup = charging(made, "zoe"), charging(made, "eup")
    assert any(max(eup) < t <= min(zoe) and not quiet[t] for t in range(1, SLOTS_24))
    assert made.shortfalls == ()
    loud = plan(shared(waiting()))
    assert made.cost_eur > loud.cost_eur + 0.5
    always = plan(shared(waiting(), quiet=(True,) * SLOTS_24))
    assert charging(always, "zoe") == []
    assert [one.name for one in always.shortfalls] == ["zoe"]


def test_a_car_that_waits_at_two_wallboxes_is_plugged_in_at_one() -> None:
    garage = car(vehicle="kia", loadpoint="garage", need_kwh=3, departure=hours(20))
    made = plan(shared(garage, waiting(), waiting(loadpoint="garage")))
    assert sum(kwh_of(made, "zoe")) == pytest.approx(10)
    places = {
        one.loadpoint
        for slot in made.slots
        for one in slot.cars
        if one.vehicle == "zoe" and one.charge_kw > 0
    }
    assert len(places) == 1
    missed = plan(shared(garage, waiting(), waiting(loadpoint="garage"), quiet=(True,) * SLOTS_24))
    assert [one.name for one in missed.shortfalls] == ["zoe"]


def test_it_says_who_makes_way_and_who_comes() -> None:
    made = plan(shared(waiting()))
    first = min(charging(made, "zoe"))
    numbers = (("other", "zoe"), ("next_at", made.slots[first].start.isoformat()))
    eup = [slot.cars[0].why for slot in made.slots]
    assert {(one.code, one.numbers) for one in eup[first:]} == {("car_makes_way", numbers)}
    assert "car_makes_way" not in {one.code for one in eup[:first]}
    zoe = [slot.cars[1].why for slot in made.slots[:first]]
    assert {one.code for one in zoe} == {"car_plugged_in_later"}
    never = plan(shared(waiting(need_kwh=4, departure=None)))
    assert {slot.cars[1].why.code for slot in never.slots} == {"car_not_plugged_in"}


def test_the_rules_plan_for_who_is_plugged_in() -> None:
    alone = plan_by_rules(shared())
    assert plan_by_rules(shared(waiting())) == alone


# --- from turns to the question ------------------------------------------------------------------

CONFIG = replace(
    SETTINGS,
    cars=(*SETTINGS.cars, CarSettings(name="zoe", capacity_kwh=41, charge_efficiency=0.8)),
)


def waits(name: str = "zoe", **changes: Any) -> Waiting:
    one = Waiting(name, name, 8.0, hours(4), 2.0, soc_pct=40.0, capacity_kwh=41.0)
    return replace(one, **changes)


def needs_of(*who: Waiting, **changes: Any) -> list[CarNeed]:
    cars, wanted = cars_of(home_state(NOON, **changes), CONFIG, (turn(),), NOON, who)
    assert [one.vehicle for one in wanted] == [one.vehicle for one in cars]
    return list(cars)


def test_a_car_that_waits_is_planned_for_at_the_wallbox_of_the_one_that_is_there() -> None:
    plugged, zoe = needs_of(waits())
    assert (plugged.waiting, zoe.waiting) == (False, True)
    assert (zoe.loadpoint, zoe.need_kwh, zoe.departure) == ("carport", 10.0, hours(4))
    assert (zoe.soc_pct, zoe.capacity_kwh, zoe.asap) == (40.0, 41.0, False)


def test_only_two_and_only_known_ones_and_not_those_who_find_a_free_wallbox() -> None:
    three = waits("zoe"), waits("kia"), waits("ora")
    assert [one.vehicle for one in needs_of(*three)][1:] == ["zoe", "kia"]
    assert needs_of(waits(soc_pct=None), waits(capacity_kwh=None))[1:] == []
    free = loadpoint(id=2, name="garage", connected=False, vehicle=None)
    found = needs_of(*three, loadpoints=(loadpoint(), free))
    assert [one.vehicle for one in found][1:] == ["kia", "ora"]


def test_inv_93_the_question_knows_the_quiet_hours_and_what_a_swap_costs() -> None:
    config = replace(
        CONFIG,
        sequencer=SequencerSettings(quiet_start="13:00", quiet_end="14:00", swap_cost_eur=2.5),
    )
    home_ = home_state(NOON)
    cars, _ = cars_of(home_, config, (turn(),), NOON, (waits(),))

    def asked(cars: tuple[CarNeed, ...], at: datetime = NOON) -> Problem:
        return problem_of(
            at=at, revision=1, settings=config, state=home_, cars=cars, rates=rates(NOON),
            forecast=forecast(NOON), usual=(),
        )  # fmt: skip

    problem = asked(cars)
    assert problem.swap_cost_eur == 2.5
    # 12:00 in Berlin at NOON
    assert problem.quiet == tuple(4 <= k < 8 for k in range(SLOTS))
    assert asked(cars[:1]).quiet == ()


def made_with(*who: Waiting) -> PlanMade:
    heard = [state(NOON), rates(NOON), forecast(NOON), TurnsGiven(NOON, (turn(),), who)]
    (made,) = hear(optimizer(CONFIG), heard)
    return made


def test_the_optimizer_plans_for_who_waits_and_anew_when_that_changes() -> None:
    actor = optimizer(CONFIG)
    heard = [state(NOON), rates(NOON), forecast(NOON), TurnsGiven(NOON, (turn(),))]
    (alone,) = hear(actor, heard)
    assert {one.vehicle for slot in alone.plan.slots for one in slot.cars} == {"EUP"}
    later = NOON + timedelta(seconds=30)
    (made,) = hear(actor, [TurnsGiven(later, (turn(),), (waits(),))])
    assert made.news.code == "plan_turns_changed"
    assert sum(kwh_of(made.plan, "zoe")) == pytest.approx(10.0)


# --- what is done of it ---------------------------------------------------------------------------


def test_inv_95_only_the_plugged_car_is_acted_for() -> None:
    made = made_with(waits()).plan
    assert [one.vehicle for one in made.slots[0].cars] == ["EUP", "zoe"]
    for line in script_of(made).lines:
        assert [(one.vehicle, one.loadpoint) for one in line.cars] == [("EUP", "carport")]


def test_the_page_shows_a_lane_for_each_car_and_where_it_charges() -> None:
    garage = car(vehicle="kia", loadpoint="garage", need_kwh=3, departure=hours(20))
    made = plan(shared(garage, waiting(), waiting(loadpoint="garage")))
    lanes = [one["name"] for one in doing_view(PlanMade(NOON, made, made.why), NOON, "UTC")]
    assert lanes == ["eup", "kia", "zoe"]
    shown = [part for slot in made.slots if (part := car_part(slot, "zoe")) is not None]
    assert [k for k, part in enumerate(shown) if part.kind != "idle"] == charging(made, "zoe")
    # the page looks for the first of that name
    firsts = [
        next(one for one in slot_view(slot)["cars"] if one["vehicle"] == "zoe")
        for slot in made.slots
    ]
    assert [k for k, one in enumerate(firsts) if one["charge_kw"] > 0] == charging(made, "zoe")


@pytest.mark.parametrize("runtime", ["steps", "threads"])
def test_a_car_that_leaves_today_is_asked_for_while_another_one_charges(runtime: str) -> None:
    """The whole ring: it is 13:00, the family car beside the wallbox leaves at 18:00."""
    start = local("2026-01-13", "13:00")
    scenario = ring_home(
        start,
        wishes=(
            CarSettings(name="compact", target_soc_pct=80, departure="07:30"),
            CarSettings(name="family", target_soc_pct=80, departure="18:00", source="http"),
        ),
        cars=(
            SimCar(name="compact", capacity_kwh=50, soc_pct=60, loadpoint="carport"),
            SimCar(name="family", capacity_kwh=70, soc_pct=60),
        ),
    )
    story = told(scenario, runtime, 4 / 24)
    (question,) = story.told.said(DriverAsked)
    assert (question.vehicle, question.why.code) == ("family", "swap_planned")
    swap_at = datetime.fromisoformat(str(dict(question.why.numbers)["swap_at"]))
    assert start <= question.at <= swap_at <= start + timedelta(hours=4)
    # 14 kWh at the least are to come, at 11 kW
    assert swap_at <= local("2026-01-13", "16:45")
    counted_on = [
        sum(kwh_of(made, "family")) for made in story.plans() if made.made_at >= question.at
    ]
    assert counted_on[0] > 13
    # nobody swapped: an hour later nobody counts on it, and the other car waits for the night
    assert counted_on[-1] == 0
    after = story.plans()[-1]
    assert {one.vehicle for slot in after.slots for one in slot.cars} == {"compact"}
