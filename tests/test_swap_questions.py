"""People are asked to swap when the plan needs it: early enough, once, never in quiet hours."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actors.sequencer import TRUSTED, Sequencer
from actors.swap_questions import dues_of
from engine.messages import DriverAsked, Message, PlanMade, TurnsGiven
from engine.settings import CarSettings, Settings
from engine.values import ChargeMode, HomeState, Plan, PlanCar, PlanSlot, Why
from tests.make_sequencer import NOON, SLOT, asked, berlin, box, car, hear, make, state

NAMES = "one", "two", "three"


def plan_at(at: datetime, charges: dict[str, tuple[int, ...]], slots: int = 60) -> Plan:
    """`one` is plugged in at the garage, the others of `charges` wait; the slots they charge in."""
    found = []
    for k in range(slots):
        cars = tuple(
            PlanCar(name, "garage", 11.0 if k in on else 0.0, None, ChargeMode.PV, Why("car_waits"))
            for name, on in charges.items()
        )
        found.append(_slot(at + k * SLOT, cars))
    return Plan(1, at, "lp", tuple(found), 0.0, 0.0, 0.0, 0.0, Why("plan_optimal"))


def _slot(start: datetime, cars: tuple[PlanCar, ...]) -> PlanSlot:
    numbers = (900.0, 0.3, 0.08, False, 0.3, 0.0, 0.3, 0.0, 0.0, 0.0, None, None, None)
    return PlanSlot(start, *numbers, cars, Why("battery_serves"))  # type: ignore[arg-type]


def home_(at: datetime, plugged: str = "one", **more: Any) -> HomeState:
    """All three need energy; the first one is plugged in."""
    cars = [car("one", 50.0), car("two", 30.0), car("three", 40.0)]
    return state([box(plugged)], cars, at=at, **more)


def sequencer(at: datetime) -> Sequencer:
    """Who is plugged in has been there for a while."""
    actor = make(*(CarSettings(name=name, departure="07:00") for name in NAMES))
    hear(actor, at - timedelta(minutes=30), home_(at))
    return actor


def tell(actor: Sequencer, plan: Plan) -> None:
    assert list(actor.on(PlanMade(plan.made_at, plan, Why("plan_new_slot")))) == []


def ask(actor: Sequencer, at: datetime, **more: Any) -> list[tuple[str, str]]:
    return asked(hear(actor, at, home_(at, **more)))


def given(said: list[Message]) -> TurnsGiven:
    (one,) = (one for one in said if isinstance(one, TurnsGiven))
    return one


def test_a_swap_that_is_due_is_asked_for_a_slot_ahead_and_once() -> None:
    actor = sequencer(NOON)
    two = {"one": (0, 1, 2, 3), "two": (4, 5), "three": ()}
    tell(actor, plan_at(NOON, two))
    assert ask(actor, NOON) == []
    assert ask(actor, NOON + timedelta(minutes=44)) == []  # made in vain if the plan changes
    at = NOON + timedelta(minutes=45)
    tell(actor, plan_at(at, {"one": (0,), "two": (1, 2), "three": ()}))
    said = hear(actor, at, home_(at))
    (question,) = (one for one in said if isinstance(one, DriverAsked))
    numbers = dict(question.why.numbers)
    assert (question.loadpoint, question.vehicle) == ("garage", "two")
    assert question.why.code == "swap_planned"
    assert numbers["swap_at"] == (NOON + 4 * SLOT).isoformat()
    assert numbers["departure_at"] == berlin(2026, 1, 15, 7).isoformat()
    assert numbers["need_kwh"] == 25.0
    for k in range(1, 4):
        tell(actor, plan_at(at + k * SLOT, {"one": (0,), "two": (1, 2), "three": ()}))
        assert ask(actor, at + k * SLOT) == []


def test_inv_93_what_charges_at_night_is_asked_for_before_the_quiet_hours() -> None:
    night = {"one": (0, 1, 2), "two": (30, 31), "three": ()}
    start = berlin(2026, 1, 14, 20, 0)
    actor = sequencer(start)
    questions = []
    for k in range(48):
        at = start + k * SLOT
        shifted = {name: tuple(t - k for t in on if t >= k) for name, on in night.items()}
        tell(actor, plan_at(at, shifted))
        questions += [at] if ask(actor, at) else []
    # by 20:45, the last slot's start before they begin; nobody came, so anew after them
    assert questions == [berlin(2026, 1, 14, 20, 30)]


def test_inv_93_no_plan_makes_it_ask_in_quiet_hours() -> None:
    late = berlin(2026, 1, 14, 21, 0)
    actor = sequencer(late)
    for k in range(36):  # until 06:00
        at = late + k * SLOT
        tell(actor, plan_at(at, {"one": (0,), "two": (1, 2)}))
        assert ask(actor, at) == []
    morning = berlin(2026, 1, 15, 6, 0)
    tell(actor, plan_at(morning, {"one": (), "two": (1, 2)}))
    assert ask(actor, morning) == [("garage", "two")]


def test_the_swap_is_as_late_as_the_car_that_comes_allows() -> None:
    settings = Settings()
    (due,) = dues_of(plan_at(NOON, {"one": (0,), "two": (9,), "three": (5, 6)}), settings)
    assert (due.vehicle, due.instead_of, due.at) == ("three", "one", NOON + 5 * SLOT)
    assert dues_of(plan_at(NOON, {"one": (0, 1)}), settings) == ()
    assert dues_of(plan_at(NOON, {"one": (), "two": ()}), settings) == ()
    # from 21:00 to 06:00 nobody swaps, and the plan's own slot has begun
    eve = berlin(2026, 1, 14, 20, 30)
    (due,) = dues_of(plan_at(eve, {"one": (0,), "two": (20,)}), settings)
    assert due.at == eve + SLOT
    assert dues_of(plan_at(eve + SLOT, {"one": (0,), "two": (20,)}), settings) == ()
    assert dues_of(replace(plan_at(NOON, {"one": ()}), slots=()), settings) == ()


def test_only_for_the_car_that_is_there_and_one_that_still_waits() -> None:
    due = {"one": (0,), "two": (1, 2)}
    other = sequencer(NOON)
    tell(other, plan_at(NOON, due))
    hear(other, NOON - timedelta(minutes=5), home_(NOON, plugged="three"))
    assert ask(other, NOON, plugged="three") == []
    old = sequencer(NOON)
    tell(old, plan_at(NOON - 3 * SLOT, {"one": (0,), "two": (4,)}))
    assert ask(old, NOON) == []
    there = sequencer(NOON)
    tell(there, plan_at(NOON, {"one": (0,), "gone": (1, 2)}))
    assert ask(there, NOON) == []


def test_who_does_not_come_is_not_counted_on_until_asked_anew() -> None:
    actor = sequencer(NOON)
    tell(actor, plan_at(NOON, {"one": (0,), "two": (1, 2)}))
    assert ask(actor, NOON) == [("garage", "two")]
    before = given(hear(actor, NOON + 2 * SLOT, home_(NOON)))
    assert [one.vehicle for one in before.waiting] == ["two", "three"]
    after = given(hear(actor, NOON + TRUSTED, home_(NOON)))
    assert [one.vehicle for one in after.waiting] == ["three"]
    assert after.turns[0].waiting == ("two", "three")
    night = given(hear(actor, berlin(2026, 1, 14, 21, 0), home_(NOON)))
    assert [one.vehicle for one in night.waiting] == ["three"]
    later = given(hear(actor, berlin(2026, 1, 14, 21, 15), home_(NOON)))
    assert [one.vehicle for one in later.waiting] == ["two", "three"]


def test_who_is_off_is_neither_counted_on_nor_asked() -> None:
    actor = sequencer(NOON)
    off = replace(actor.memory.settings.sequencer, enabled=False)
    settings = replace(actor.memory.settings, sequencer=off)
    actor.memory = replace(actor.memory, settings=settings)
    tell(actor, plan_at(NOON, {"one": (0,), "two": (1, 2)}))
    said = hear(actor, NOON, home_(NOON))
    assert asked(said) == []
    assert given(said).waiting == ()
