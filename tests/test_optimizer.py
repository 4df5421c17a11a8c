"""The optimizer: when it plans, which rung of the ladder holds, and its memory."""

import itertools
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.optimizer import Optimizer
from actors.planner import Planner
from actors.planner_problem import Problem
from actors.planner_solver import SolveFailedError
from engine.messages import (
    Message,
    StateChanged,
    Tick,
    TurnsChecked,
    TurnsGiven,
)
from engine.values import (
    Battery,
    BatteryMode,
    Plan,
    Quantiles,
    Series,
    Why,
)
from tests.make_optimizer import (
    PLANNER,
    SLOTS,
    complete,
    forecast,
    hear,
    home_state,
    loadpoint,
    optimizer,
    rates,
    state,
    turn,
    turns,
)
from tests.make_planner import NOON, hours


def planned(actor: Optimizer, at: datetime = NOON) -> Plan:
    (said,) = hear(actor, complete(at))
    return said.plan


# --- when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_it_plans_once_when_all_is_there_in_any_order(order: tuple[int, ...]) -> None:
    messages, actor = complete(NOON), optimizer()
    said = [hear(actor, [messages[k]]) for k in order]
    assert [len(one) for one in said] == [0, 0, 0, 1]
    made = said[-1][0]
    assert made.plan == planned(optimizer())
    assert (made.plan.rung, made.plan.revision, made.news) == ("lp", 1, Why("plan_first"))
    assert len(made.plan.slots) == SLOTS


def test_once_per_slot_and_revisions_grow() -> None:
    actor = optimizer()
    made = []
    for k in range(6):
        at = NOON + timedelta(minutes=5 * k)
        made += hear(actor, [Tick(at), state(at, k, battery=None), Tick(at)])
        if k % 3 == 0:
            made += hear(actor, [rates(NOON), forecast(at), turns(at)])
    assert [one.plan.revision for one in made] == [1, 2]
    assert [one.at for one in made] == [NOON, NOON + timedelta(minutes=15)]
    assert [one.news.code for one in made] == ["plan_first", "plan_new_slot"]


def test_inv_112_it_never_plans_on_an_old_reading() -> None:
    actor = optimizer()
    old = home_state(NOON - timedelta(seconds=121))
    assert hear(actor, [StateChanged(NOON, old), rates(NOON), forecast(NOON), turns(NOON)]) == []
    assert hear(actor, [Tick(NOON + timedelta(seconds=s)) for s in range(0, 600, 10)]) == []
    assert len(hear(actor, [state(NOON + timedelta(seconds=600), 2)])) == 1


def test_a_reading_of_the_last_slot_is_not_this_slots() -> None:
    actor = optimizer()
    before = home_state(NOON - timedelta(seconds=5))
    assert hear(actor, [StateChanged(NOON, before), rates(NOON), forecast(NOON), turns(NOON)]) == []
    assert len(hear(actor, [state(NOON + timedelta(seconds=5), 2)])) == 1


def test_it_waits_for_prices_that_are_known_elsewhere() -> None:
    actor = optimizer()
    known = state(NOON, rates_revision=2)
    early = forecast(NOON, rates_revision=1)
    assert hear(actor, [known, rates(NOON, 1), early, turns(NOON)]) == []
    assert hear(actor, [rates(NOON, 2)]) == []  # a forecast with their sun is on its way
    assert len(hear(actor, [forecast(NOON, rates_revision=2)])) == 1


def test_it_waits_for_turns_that_hold_for_its_reading() -> None:
    actor = optimizer()
    before = TurnsChecked(NOON - timedelta(seconds=10))
    assert hear(actor, [before, state(NOON), rates(NOON), forecast(NOON), turns(NOON)]) == []
    assert len(hear(actor, [TurnsChecked(NOON)])) == 1


def test_it_does_not_wait_for_ever() -> None:
    actor = optimizer()
    assert hear(actor, [state(NOON), rates(NOON), forecast(NOON), turns(NOON)])
    later = NOON + timedelta(minutes=15)
    assert hear(actor, [state(later, 2)]) == []
    (said,) = hear(actor, [Tick(later + timedelta(seconds=20))])
    assert said.plan.rung == "lp"
    assert said.plan.slots[0].start == later + timedelta(seconds=20)
    assert len(said.plan.slots) == SLOTS


def test_inv_25_without_any_forecast_evcc_is_alone_and_that_is_said() -> None:
    actor = optimizer()
    assert hear(actor, [state(NOON), Tick(NOON + timedelta(seconds=50))]) == []
    (said,) = hear(actor, [Tick(NOON + timedelta(seconds=60))])
    assert (said.plan.rung, said.plan.slots) == ("evcc", ())
    assert said.plan.why == Why("plan_evcc_alone", (("missing", "forecast"),))
    assert hear(actor, [Tick(NOON + timedelta(seconds=70))]) == []


NEWS = {
    "plan_prices_changed": lambda at: [rates(at, 2, 0.25)],
    "plan_turns_changed": lambda at: [turns(at, turn(target_soc_pct=90.0, need_kwh=12.8))],
    "plan_forecast_changed": lambda at: [forecast(at)],
    "plan_soc_off": lambda at: [state(at, 2, battery=Battery(60, 0, 10, controllable=True))],
}


@pytest.mark.parametrize("code", NEWS)
def test_news_makes_a_new_plan_at_most_every_10_s(code: str) -> None:
    actor = optimizer()
    planned(actor)
    soon, later = NOON + timedelta(seconds=6), NOON + timedelta(seconds=12)
    assert hear(actor, NEWS[code](soon)) == []
    (said,) = hear(actor, [Tick(later)])
    assert (said.news.code, said.plan.revision) == (code, 2)
    assert hear(actor, [Tick(later + timedelta(seconds=s)) for s in range(0, 60, 10)]) == []


def test_what_creeps_is_no_news() -> None:
    actor = optimizer()
    planned(actor)
    at = NOON + timedelta(seconds=60)
    creeps = turns(at, turn(soc_pct=51.5, need_kwh=9.1))
    assert hear(actor, [creeps, state(at, 2, battery=Battery(51, 0, 10, controllable=True))]) == []


def test_unplugging_is_news() -> None:
    actor = optimizer()
    planned(actor)
    at = NOON + timedelta(seconds=30)
    (said,) = hear(actor, [state(at, 2, loadpoints=(loadpoint(connected=False),))])
    assert said.news.code == "plan_turns_changed"
    assert said.plan.slots[0].cars == ()


# --- the ladder ----------------------------------------------------------------------------------


class Broken(Planner):
    """A solver that ends with anything but `optimal` after some plans."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    def make_plan(self, problem: Problem) -> Plan:
        self.good -= 1
        if self.good < 0:
            raise SolveFailedError("kUnknown")
        return PLANNER.make_plan(problem)


def test_the_ladder_lp_then_last_then_rules() -> None:
    actor = optimizer(planner=Broken(1))
    first = planned(actor)
    at = NOON + timedelta(minutes=10)
    (second,) = hear(actor, [state(at, 2), rates(at, 2)])
    assert (second.plan.rung, second.plan.revision) == ("last", 2)
    assert (second.plan.made_at, second.plan.slots) == (first.made_at, first.slots)
    at = NOON + timedelta(minutes=15)
    (third,) = hear(actor, [state(at, 3), forecast(at), turns(at)])
    assert (third.plan.rung, third.plan.revision) == ("rules", 3)


@pytest.mark.parametrize("known", [False, True])
def test_inv_18_without_prices_only_deadlines_charge(known: bool) -> None:
    actor = optimizer()
    told = [rates(NOON, price=None)] if known else []
    heard = [state(NOON), *told, forecast(NOON), turns(NOON), Tick(NOON + timedelta(seconds=20))]
    (said,) = hear(actor, heard)
    assert said.plan.rung == "rules"
    assert all(slot.assumed_price for slot in said.plan.slots)
    assert {slot.battery_mode for slot in said.plan.slots} == {BatteryMode.NORMAL}
    charged = sum(s.cars[0].charge_kw * s.duration_s / 3600 for s in said.plan.slots)
    assert charged == pytest.approx(9.6 / 0.9, abs=1e-4)


def test_inv_18_while_the_tariff_fails_only_the_rules_hold_and_recovery_is_news() -> None:
    actor = optimizer()
    assert planned(actor).rung == "lp"
    at = NOON + timedelta(minutes=5)
    failed = replace(rates(NOON, 2), at=at, grid_failed_since=at)
    (during,) = hear(actor, [failed, state(at, 2, rates_revision=2)])
    assert (during.plan.rung, during.news.code) == ("rules", "plan_prices_changed")
    assert during.plan.why.code == "plan_by_rules_no_prices"
    assert {slot.battery_mode for slot in during.plan.slots} == {BatteryMode.NORMAL}
    at = NOON + timedelta(minutes=11)
    (after,) = hear(actor, [replace(rates(NOON, 3), at=at), state(at, 3, rates_revision=3)])
    assert (after.plan.rung, after.news.code) == ("lp", "plan_prices_changed")


# --- memory --------------------------------------------------------------------------------------


def test_memory_survives_json_and_a_cold_solver_says_the_same() -> None:
    actor = optimizer()
    planned(actor)
    cold = Optimizer(Planner())
    cold.restore(actor.snapshot())
    assert cold.memory == actor.memory
    later = NOON + timedelta(minutes=15)
    messages = complete(later, 2)
    assert hear(cold, messages) == hear(actor, messages)


ODD = st.sampled_from(
    [
        TurnsGiven(NOON, ()),
        turns(NOON, turn(vehicle=None), turn(loadpoint="nowhere"), turn(), turn()),
        turns(NOON, turn(departure=NOON), turn(soc_pct=None, capacity_kwh=None)),
        state(NOON, 2, site=None),
        state(NOON, 3, measured_at=None),
        state(NOON, 4, battery=Battery(0, None, 0)),
        state(NOON, 5, loadpoints=()),
        state(NOON, 6, loadpoints=(loadpoint(effective_max_current_a=0, phases_active=0),)),
        state(NOON, 7),
        rates(NOON),
        replace(rates(NOON, 3), import_eur_kwh=Series(NOON), export_eur_kwh=Series(NOON)),
        replace(rates(NOON, 4), import_eur_kwh=Series(hours(-200), (0.1, None))),
        forecast(NOON),
        replace(forecast(NOON), load=Quantiles(NOON, (), (), ())),
        Tick(NOON + timedelta(seconds=30)),
        Tick(NOON + timedelta(seconds=90)),
    ]
)


@given(st.lists(ODD, max_size=12))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_handlers_are_total_whatever_comes(messages: list[Message]) -> None:
    actor = optimizer()
    said = hear(actor, messages)
    assert [one.plan.revision for one in said] == list(range(1, len(said) + 1))
    again = optimizer()
    assert hear(again, messages) == said
    assert msgspec.json.decode(again.snapshot()) == msgspec.json.decode(actor.snapshot())
