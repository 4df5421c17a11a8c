"""A wallbox that does not obey: shown, planned around for an hour, and tried again."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Said
from actors.planner_inputs import car_of, drawn_anyway_kw
from actors.planner_problem import grid_of, open_hours
from actors.proof import TRY_AGAIN, Proof, Proofs
from actors.rules import plan_by_rules
from engine.messages import PlanMade
from engine.settings import CarSettings, SiteSettings
from engine.slots import SLOT
from engine.values import ChargeMode, HomeState, Loadpoint, Ownership, Why
from sim import evcc_cycle
from sim.scenario import SimCar
from tests import make_optimizer as opt
from tests.make_actuator import (
    LATER,
    NOW,
    PV,
    T0,
    actuator,
    after,
    charging,
    confirm,
    loadpoint,
    orders,
    plan_of,
    site,
    state,
    tell,
    turns,
)
from tests.make_planner import NOON, car, car_kwh, home, hours, plan
from tests.make_ring import home as ring_home
from tests.make_ring import local, told

SIX = after(5 * 3600)
KIA = ("vehicle", "kia")
DEAF = loadpoint(mode=NOW, limit_soc_pct=80.0, enabled=True, charging=True, charge_w=50.0)
RESTING = loadpoint(mode=PV)
DEAF_WHY = Why("car_not_obeyed", (KIA,))


def owner_of(actor: Actuator) -> Ownership:
    (mode,) = [one for one in actor.memory.in_control if one.setting.endswith(":mode")]
    return mode


def watch(actor: Actuator, since_s: int, until_s: int, *others: Any) -> list[Said]:
    """A reading each 30 s; evcc shows our mode, the car takes nothing. New plans come each slot."""
    said: list[Said] = []
    for second in range(since_s, until_s + 1, 30):
        at = after(second)
        (desk,) = actor.memory.desks
        shown = DEAF if desk.mode.present == "now" else RESTING
        shown = site(replace(shown, limit_soc_pct=float(desk.limit_soc.present) or None))
        if second % 900 == 0:
            said += _settled(actor, at, plan_of(*others or (NOW, NOW), made_at=at))
        said += _settled(actor, at, state(at, shown))
    return said


def _settled(actor: Actuator, at: datetime, message: Any) -> list[Said]:
    said = tell(actor, message)
    return said + confirm(actor, said, at)


# --- the actuator ---------------------------------------------------------------------------------


def test_it_is_left_and_entered_once_then_it_is_shown_with_the_hour() -> None:
    actor = charging()
    said = watch(actor, 30, 900)
    assert [one for one in orders(said) if one[0] == "mode"] == [("mode", "pv"), ("mode", "now")]
    shown = owner_of(actor)
    assert (shown.owner, shown.why) == ("smartload", DEAF_WHY)
    refused = [one.refused_at for one in actor.memory.proofs.known if one.refused_at]
    assert shown.until == refused[0] + TRY_AGAIN


def test_while_the_plan_leaves_it_out_it_stays_shown_and_after_the_hour_it_is_tried() -> None:
    actor = charging()
    watch(actor, 30, 930)
    until = owner_of(actor).until
    assert until is not None
    said = tell(actor, plan_of(PV, PV, made_at=after(931)))
    assert ("mode", "pv") in orders(said)
    confirm(actor, said, after(931))
    left = watch(actor, 960, int((until - T0).total_seconds()) - 30, PV)
    assert orders(left) == []
    assert (owner_of(actor).why, owner_of(actor).until) == (DEAF_WHY, until)
    over_s = int((until - T0).total_seconds())
    watch(actor, over_s + 30, over_s + 60, PV)
    assert owner_of(actor).why == LATER
    again = tell(actor, plan_of(NOW, NOW, made_at=until + timedelta(seconds=100)))
    assert ("limit_soc", 80.0) in orders(again)
    assert owner_of(actor).why != DEAF_WHY


@pytest.mark.parametrize(
    ("departure_h", "mode"),
    # 24 kWh through 90 % at 11 kW and half an hour: 2:55; in an hour it is tried again
    [(4.5, None), (3.6, "now"), (None, None)],
)
def test_where_the_hour_would_cost_the_departure_it_may_come_when_it_can(
    departure_h: float | None, mode: str | None
) -> None:
    proof = Proof("loadpoint:garage:mode", "now", refused_at=T0)
    actor = actuator(cars=(CarSettings("kia", phases=3, max_power_kw=11.0),))
    departure = after(departure_h * 3600) if departure_h else None
    tell(actor, turns(departure=departure))
    actor._note(proofs=Proofs((proof,)))
    said = tell(actor, plan_of(PV, PV))
    said += confirm(actor, said, T0)
    assert dict(orders(said)).get("mode") == mode
    assert dict(orders(said)).get("limit_soc") == (80.0 if mode else None)
    assert (owner_of(actor).why, owner_of(actor).until) == (DEAF_WHY, T0 + TRY_AGAIN)


@pytest.mark.parametrize(("limit_kw", "mode"), [(8.0, "minpv"), (3.0, None)])
def test_the_fuse_still_refuses_it_and_the_plan_still_knows(
    limit_kw: float, mode: str | None
) -> None:
    proof = Proof("loadpoint:garage:mode", "now", refused_at=T0)
    actor = actuator(site=SiteSettings(grid_import_limit_kw=limit_kw))
    actor._note(proofs=Proofs((proof,)))
    said = tell(actor, plan_of(NOW, NOW))
    said += confirm(actor, said, T0)
    assert dict(orders(said)).get("mode") == mode
    assert owner_of(actor).why == DEAF_WHY


def test_one_that_draws_in_pv_is_shown_and_stays_in_pv() -> None:
    proof = Proof("loadpoint:garage:mode", "pv", refused_at=T0)
    actor = actuator()
    actor._note(proofs=Proofs((proof,)))
    assert orders(tell(actor, plan_of(PV, PV), turns(departure=after(3600)))) == []
    assert owner_of(actor).why == Why("car_draw_not_obeyed", (KIA,))


def test_a_car_that_has_all_it_needs_is_not_complained_of() -> None:
    actor = actuator()
    actor._note(proofs=Proofs((Proof("loadpoint:garage:mode", "now", refused_at=T0),)))
    tell(actor, plan_of(PV, PV), turns(need_kwh=0.0))
    assert owner_of(actor).why == LATER


def test_who_takes_power_again_obeys() -> None:
    actor = charging()
    watch(actor, 30, 900)
    at = after(930)
    tell(actor, state(at, site(replace(DEAF, charge_w=7000.0))))
    assert owner_of(actor).why != DEAF_WHY


# --- the plan -------------------------------------------------------------------------------------


def owned(code: str = "car_not_obeyed", until: datetime | None = None) -> tuple[Ownership, ...]:
    until = until or hours(1)
    return (Ownership("loadpoint:carport:mode", "smartload", NOON, until, Why(code)),)


def known(lp: Loadpoint | None = None, **changes: Any) -> HomeState:
    return opt.home_state(NOON, loadpoints=(lp or opt.loadpoint(),), in_control=owned(**changes))


@pytest.mark.parametrize("code", ["car_not_obeyed", "car_draw_not_obeyed"])
def test_nothing_is_planned_for_it_until_the_hour_is_over(code: str) -> None:
    found = car_of(known(code=code), opt.SETTINGS, opt.turn(), NOON)
    assert found is not None
    assert (found[0].from_at, found[1].from_at) == (hours(1), hours(1))
    over = car_of(known(code=code), opt.SETTINGS, opt.turn(), hours(1))
    assert over is not None
    assert (over[0].from_at, over[1].from_at) == (None, None)
    obeys = car_of(known(code="car_cheap"), opt.SETTINGS, opt.turn(), NOON)
    assert obeys is not None
    assert obeys[0].from_at is None


def test_the_plan_is_made_anew_when_it_is_found_and_has_its_energy_later() -> None:
    actor = opt.optimizer()
    (first,) = opt.hear(actor, opt.complete(NOON))
    soon = NOON + timedelta(seconds=30)
    (made,) = opt.hear(actor, [opt.state(soon, 2, in_control=owned())])
    assert made.news.code == "plan_turns_changed"
    need = 9.6 / 0.9
    assert car_kwh(first.plan, 0, 5) == pytest.approx(need, abs=0.01)
    assert car_kwh(made.plan, 0, 1) == 0
    assert car_kwh(made.plan, 1, 5) == pytest.approx(need, abs=0.01)
    assert {one.mode for slot in made.plan.slots[:4] for one in slot.cars} == {ChargeMode.PV}
    # and once more only when something changes
    assert opt.hear(actor, [opt.state(NOON + timedelta(seconds=60), 3, in_control=owned())]) == []


def test_a_departure_that_cannot_be_kept_is_said() -> None:
    actor = opt.optimizer()
    messages = opt.complete(NOON)
    messages[0] = opt.state(NOON, in_control=owned(until=hours(4.5)))
    (made,) = opt.hear(actor, messages)
    assert made.plan.rung == "lp"
    (missed,) = made.plan.shortfalls
    # half an hour at 7.36 kW is left
    assert missed.missing_kwh == pytest.approx(9.6 - 0.9 * 0.5 * 0.23 * 32, abs=0.01)
    assert (missed.goal, missed.name, missed.by) == ("departure", "EUP", hours(5))


def test_what_it_draws_regardless_is_load_until_then() -> None:
    drawing = opt.loadpoint(charge_w=2000.0)
    at = NOON + timedelta(minutes=5)
    until = NOON + timedelta(minutes=25)
    drawn = drawn_anyway_kw(known(drawing, code="car_draw_not_obeyed", until=until), at, NOON, 4)
    assert drawn == pytest.approx([2.0, 2.0 * 10 / 15, 0.0, 0.0])
    assert drawn_anyway_kw(known(drawing, code="car_cheap"), at, NOON, 4) == [0.0] * 4
    actor = opt.optimizer()
    messages = opt.complete(NOON)
    messages[0] = opt.state(NOON, loadpoints=(drawing,), in_control=owned(until=until))
    (made,) = opt.hear(actor, messages)
    assert [slot.load_kw for slot in made.plan.slots[:3]] == pytest.approx(
        [2.4, 0.4 + 2.0 * 10 / 15, 0.4]
    )


def test_an_hour_that_ends_within_a_slot_leaves_the_rest_of_it() -> None:
    one, problem = car(from_at=NOON + 1.5 * SLOT), home(8)
    opened = open_hours(one, grid_of(problem))
    assert opened.tolist() == pytest.approx([0, 0.125, *[0.25] * 6])


@pytest.mark.parametrize("asap", [False, True])
@pytest.mark.parametrize("make", [plan, plan_by_rules])
def test_every_rung_leaves_it_out_for_so_long(make: Any, asap: bool) -> None:
    cheap = (0.10,) * 8 + (0.30,) * 89  # the cheap hours are those in which it does not come
    one = car(from_at=hours(1.9), departure=hours(8), asap=asap)
    found = make(home(cars=(one,), import_eur_kwh=cheap))
    assert car_kwh(found, 0, 1.75) == 0
    assert car_kwh(found, 1.75, 2) <= 11 * 0.1 + 1e-6
    assert car_kwh(found, 0, 8) == pytest.approx(20, abs=0.01)
    assert found.shortfalls == ()


# --- the whole ring -------------------------------------------------------------------------------

DEAD = (local("2026-01-14", "00:30"), local("2026-01-14", "01:40"))


def break_cable(monkeypatch: pytest.MonkeyPatch) -> None:
    """In that time the car takes 69 W whatever it is offered."""
    real = evcc_cycle.regulator.read

    def read(site: Any, points: Any, house: Any, boxes: Any) -> None:
        dead = site.priced_at is not None and DEAD[0] <= site.priced_at < DEAD[1]
        boxes[0].car_max_a = 0.1 if dead else 16.0
        real(site, points, house, boxes)

    monkeypatch.setattr(evcc_cycle.regulator, "read", read)


@pytest.mark.parametrize("runtime", ["steps", "threads"])
def test_a_cable_that_was_dead_in_the_cheapest_hour_is_planned_around(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_cable(monkeypatch)
    scenario = ring_home(
        local("2026-01-13", "23:30"),
        hourly=(0.30, 0.05, 0.30, 0.30, 0.10, *[0.30] * 19),
        wishes=(CarSettings(name="compact", target_soc_pct=80, departure="06:00"),),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=64, loadpoint="carport"),),
        tick_s=60.0,
    )
    story = told(scenario, runtime, 7 / 24)
    shown = {}
    for frame in story.frames:
        assert frame.page.state is not None
        for one in frame.page.state.in_control:
            if one.why.code == "car_not_obeyed":
                shown[frame.at] = one.until
    since, (until,) = min(shown), set(shown.values())
    assert local("2026-01-14", "01:10") <= since <= local("2026-01-14", "01:20")
    assert until is not None
    assert timedelta(minutes=58) <= until - since <= TRY_AGAIN
    around = [one for one in story.told.said(PlanMade) if since <= one.at < until]
    assert around
    for made in around:
        for slot in made.plan.slots:
            if slot.start + SLOT <= until:
                assert [one.charge_kw for one in slot.cars] == [0.0], (made.at, slot.start)
    assert story.frame(local("2026-01-14", "04:00")).cars_pct["compact"] < 65
    assert story.frame(local("2026-01-14", "05:00")).cars_pct["compact"] >= 79
    assert story.frame(local("2026-01-14", "06:00")).cars_pct["compact"] >= 79.5
