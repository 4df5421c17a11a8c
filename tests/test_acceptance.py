"""Acceptance scenarios of `smartload-behaviour.md` §7.5, as stories of the whole ring.

Each is played on both runtimes and judged from outside: what was written to evcc, the bill, what
batteries and cars really hold, what the state, the plan and the page say.
"""

from datetime import datetime, timedelta
from functools import cache

import msgspec
import pytest
from msgspec.structs import replace

from engine.clock import VirtualClock
from engine.messages import (
    DriverAsked,
    EvccLost,
    Order,
    PlanMade,
    StateChanged,
)
from engine.settings import BatterySettings, CarSettings
from engine.values import BatteryMode, Plan
from sim.evcc import PretendEvcc
from sim.scenario import (
    Scenario,
    SimBattery,
    SimCar,
    SimEvent,
    SimLoadpoint,
)
from sim.world import SeededWorld
from tests.make_ring import BERLIN, home, hours, local, told
from web.app import create_app

RUNTIMES = pytest.mark.parametrize("runtime", ["steps", "threads"])


def local_days(plan: Plan) -> dict[str, int]:
    """How many slots of each local day the plan has."""
    days = [f"{slot.start.astimezone(BERLIN):%Y-%m-%d}" for slot in plan.slots]
    return {day: days.count(day) for day in days}


# --- 1: a battery above its ceiling -----------------------------------------------------------


@RUNTIMES
def test_acceptance_1_above_the_ceiling_there_is_a_plan_and_no_grid_charging(runtime: str) -> None:
    """Sunny day, battery 96 %, ceiling 90 %, and a price that would tempt anyone to charge."""
    start = local("2026-06-16", "10:00")
    scenario = home(
        start,
        hourly=(*[0.30] * 10, *[0.05] * 4, *[0.30] * 3, *[0.45] * 5, *[0.30] * 2),
        battery=SimBattery(capacity_kwh=10, soc_pct=96),
        battery_settings=BatterySettings(max_soc_pct=90),
        pv_kwp=8,
        sunny=1.0,
    )
    story = told(scenario, runtime, 6 / 24)
    first = story.frames[0].page
    assert first.state is not None
    assert first.state.site is not None
    assert first.state.site.battery is not None
    assert first.state.site.battery.soc_pct == 96
    plan = story.plans()[0]
    assert plan.rung == "lp"
    assert plan.slots[0].battery_soc_pct == pytest.approx(96, abs=0.5)
    assert story.writes("batterymode/charge") == []
    assert story.pretend.bill().import_kwh < 0.1


# --- 2: a cheap night before a dear evening ---------------------------------------------------


@cache
def bill_on_hold_eur(scenario: Scenario) -> float:
    """What the same day costs with the battery locked from the first minute to the last."""
    start, end = scenario.sim.start, scenario.sim.start + timedelta(days=1)
    pretend = PretendEvcc(scenario, SeededWorld(scenario, 1, 1))
    at = start
    while at < end:
        pretend.advance(at)
        assert pretend.request("POST", "/api/batterymode/hold").status == 200
        at += timedelta(seconds=30)
    pretend.advance(end)
    assert pretend.bill().battery_discharged_kwh < 0.05
    return pretend.bill().cost_eur


@RUNTIMES
def test_acceptance_2_the_battery_fills_in_the_cheap_night_for_the_evening(runtime: str) -> None:
    start = local("2026-01-13", "00:00")
    battery = SimBattery(capacity_kwh=10, soc_pct=10)
    scenario = home(start, battery=battery)
    story = told(scenario, runtime, 1)
    dear = (local("2026-01-13", "17:00"), local("2026-01-13", "22:00"))
    world = SeededWorld(scenario, 1, 1)
    evening_kwh = sum(
        world.minute(dear[0] + timedelta(minutes=k)).load_w / 60_000 for k in range(300)
    )
    assert evening_kwh > 2
    left_kwh = story.frame(dear[0]).battery_kwh - 0.1 * battery.capacity_kwh
    assert left_kwh * battery.discharge_efficiency >= evening_kwh
    bought = [slot for slot in story.pretend.bill().slots if dear[0] <= slot.start < dear[1]]
    assert sum(slot.import_kwh for slot in bought) < 0.05 * evening_kwh
    # what an evening's kWh costs from the night, through the losses
    stored_eur_kwh = 0.08 / (battery.charge_efficiency * battery.discharge_efficiency)
    saved_eur = bill_on_hold_eur(scenario) - story.pretend.bill().cost_eur
    assert saved_eur >= evening_kwh * (0.45 - stored_eur_kwh)


# --- 3: plugged in twenty minutes before the departure ----------------------------------------


@RUNTIMES
def test_acceptance_3_a_late_plug_in_charges_at_full_power_and_says_what_is_missing(
    runtime: str,
) -> None:
    start, plugged, departure = (local("2026-01-13", at) for at in ("05:00", "05:40", "06:00"))
    alone = home(start, battery=SimBattery(capacity_kwh=10, soc_pct=40), tick_s=60)
    scenario = replace(
        alone,
        settings=replace(
            alone.settings,
            cars=(CarSettings(name="compact", target_soc_pct=80, departure="06:00"),),
        ),
        sim=replace(
            alone.sim,
            cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=20),),
            events=(SimEvent(at_h=40 / 60, kind="arrive", car="compact", loadpoint="carport"),),
        ),
    )
    story, without = told(scenario, runtime, 1 / 24), told(alone, runtime, 1 / 24)
    modes = [w for w in story.writes("loadpoints/1/mode/") if w.at < departure]
    assert [(w.path, w.status) for w in modes] == [("/api/loadpoints/1/mode/now", 200)]
    (begin,) = modes
    assert plugged <= begin.at <= plugged + timedelta(seconds=60)
    end_kwh = story.pretend.bill().cars_kwh["compact"]
    assert end_kwh == pytest.approx(11 * (departure - begin.at) / timedelta(hours=1), rel=0.02)
    # the shortfall, in kWh and percent, in plan, state and sentence
    page = story.frame(plugged + timedelta(minutes=2)).page
    assert page.plan is not None
    assert page.state is not None
    (missing,) = page.plan.plan.shortfalls
    truth_kwh = 0.6 * 50 - 0.9 * 11 / 3
    assert missing.missing_kwh == pytest.approx(truth_kwh, abs=0.5)
    assert missing.missing_pct == pytest.approx(100 * truth_kwh / 50, abs=1)
    assert [why.code for why in page.state.troubles] == ["goal_at_risk"]
    # the battery does what it would have done without the car
    for with_car, alone_frame in zip(story.frames, without.frames, strict=True):
        assert with_car.battery_kwh == pytest.approx(alone_frame.battery_kwh, abs=0.05)
    assert page.plan.plan.rung == "lp"
    before = [slot for slot in page.plan.plan.slots if slot.start < departure]
    assert [slot.battery_mode for slot in before] == [BatteryMode.CHARGE] * len(before)


# --- 6: no prices for seven hours --------------------------------------------------------------


def tariff_outage() -> Scenario:
    """23:30 to 06:30 without prices, over the cheap hours and a departure at 06:00."""
    return home(
        local("2026-01-13", "22:00"),
        hourly=(*[0.08] * 9, *[0.30] * 8, *[0.45] * 5, *[0.30] * 2),
        battery=SimBattery(capacity_kwh=10, soc_pct=40),
        wishes=(
            CarSettings(name="compact", target_soc_pct=80, departure="06:00"),
            CarSettings(name="family", target_soc_pct=80),
        ),
        cars=(
            SimCar(name="compact", capacity_kwh=50, soc_pct=37, loadpoint="carport"),
            SimCar(name="family", capacity_kwh=70, soc_pct=40, loadpoint="garage"),
        ),
        boxes=(SimLoadpoint(name="carport"), SimLoadpoint(name="garage")),
        events=(SimEvent(at_h=1.5, kind="tariff_outage", hours=7),),
    )


@RUNTIMES
def test_acceptance_6_without_prices_nothing_charges_for_a_price_and_deadlines_are_kept(
    runtime: str,
) -> None:
    scenario = tariff_outage()
    story = told(scenario, runtime, 11 / 24)
    began, ended = local("2026-01-13", "23:30"), local("2026-01-14", "06:30")
    departure = local("2026-01-14", "06:00")
    outage = list(story.between(began + timedelta(minutes=5), ended))
    # the battery does not buy, the car without a deadline waits
    assert max(frame.battery_kwh for frame in outage) <= outage[0].battery_kwh
    assert {frame.cars_pct["family"] for frame in outage} == {40.0}
    blocked = [w for w in story.writes("batterymode/charge") if began <= w.at < ended]
    assert [w for w in blocked if w.at > began + timedelta(seconds=30)] == []
    # the departure is kept, by what the plan says
    assert "charge" not in {
        slot.battery_mode
        for frame in outage
        if frame.page.plan and (slot := frame.page.plan.plan.slot_at(frame.at))
    }
    assert story.frame(departure).cars_pct["compact"] >= 79.5
    # everybody says so, and the page lives
    for frame in outage:
        assert frame.page.state is not None
        assert "tariff_failed" in [why.code for why in frame.page.state.troubles]
        assert frame.page.plan is not None
        assert frame.page.plan.plan.slots
    # and when prices are back, so is what they are for
    assert story.frame(ended + timedelta(hours=2)).cars_pct["family"] > 50
    last = story.frames[-1].page.state
    assert last is not None
    assert last.troubles == ()


def test_acceptance_6_the_page_lives_and_shows_the_outage() -> None:
    story = told(tariff_outage(), "steps", 2.5 / 24)
    at = story.frames[-1].at
    client = create_app(story.window, VirtualClock(at)).test_client()
    answer = client.get("/status")
    assert answer.status_code == 200
    status = msgspec.json.decode(answer.data)
    assert "tariff_failed" in [one["code"] for one in status["troubles"]]
    assert status["prices"]["grid_failed_since"] is not None
    assert status["health"]["problems"] == ["tariff_failed"]
    assert len(status["plan"]["slots"]) > 90
    assert status["battery"]["soc_pct"] is not None
    with client.get("/") as page:
        assert page.status_code == 200


# --- 7: forty minutes without evcc -------------------------------------------------------------


@RUNTIMES
def test_acceptance_7_inv_58_inv_112_without_evcc_nothing_is_decided_and_it_comes_back_clean(
    runtime: str,
) -> None:
    lost, back = local("2026-01-13", "02:30"), local("2026-01-13", "03:10")
    scenario = home(
        local("2026-01-13", "02:00"),
        tick_s=60,
        battery=SimBattery(capacity_kwh=10, soc_pct=30),
        wishes=(CarSettings(name="compact", target_soc_pct=80, departure="06:30"),),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=40, loadpoint="carport"),),
        events=(SimEvent(at_h=0.5, kind="evcc_outage", hours=2 / 3),),
    )
    story = told(scenario, runtime, 2.5 / 24)
    # seen by all, in the cycle of the failed read
    assert min(one.at for one in story.told.said(EvccLost)) == lost
    for actor in ("Optimizer", "Sequencer", "Actuator"):
        newest = [one for one in story.told.heard(StateChanged, actor) if one.at <= lost][-1]
        assert not newest.state.evcc_reachable, actor
    for frame in story.frames:
        assert frame.page.state is not None
        assert frame.page.state.evcc_reachable == (not lost <= frame.at < back), frame.at
        codes = [why.code for why in frame.page.state.troubles]
        assert ("evcc_silent" in codes) == (lost <= frame.at < back), frame.at
    # nothing is decided on what is too old
    blind = lost + timedelta(seconds=scenario.settings.max_age_s)
    assert [o for o in story.told.said(Order) if lost < o.at < back] == []
    assert [p for p in story.told.said(PlanMade) if blind < p.at < back] == []
    # back again: battery and car go on, nobody is taken for a human
    soon = back + timedelta(minutes=2)
    assert [made.at for made in story.told.said(PlanMade) if back <= made.at <= soon]
    again = [w for w in story.writes("batterymode/charge") if back <= w.at <= soon]
    assert again
    assert story.frame(local("2026-01-13", "04:29")).cars_pct["compact"] >= 79.5
    for frame in story.frames:
        assert frame.page.state is not None
        assert "human" not in {owned.owner for owned in frame.page.state.in_control}, frame.at
    early = [w.path for w in story.writes("1/mode/") if w.at < local("2026-01-13", "04:00")]
    assert early == ["/api/loadpoints/1/mode/now"]


# --- 10: the days with 23 and 25 hours ---------------------------------------------------------


@RUNTIMES
@pytest.mark.parametrize(
    ("eve", "sunday", "slots", "departure_utc"),
    [("2026-03-28", "2026-03-29", 92, 5), ("2026-10-24", "2026-10-25", 100, 6)],
)
def test_acceptance_10_when_the_clocks_change_days_deadlines_and_quiet_hours_are_local(
    runtime: str, eve: str, sunday: str, slots: int, departure_utc: int
) -> None:
    start = local(eve, "13:00")
    scenario = home(
        start,
        wishes=(
            CarSettings(name="compact", target_soc_pct=80, departure="07:30"),
            # in no hurry: for a departure people would be asked to swap on the eve
            CarSettings(name="family", target_soc_pct=80, source="http"),
        ),
        cars=(
            SimCar(name="compact", capacity_kwh=50, soc_pct=60, loadpoint="carport"),
            SimCar(name="family", capacity_kwh=70, soc_pct=40),
        ),
    )
    days = (local(sunday, "08:00") - start) / timedelta(days=1)
    story = told(scenario, runtime, days)
    before = [local_days(plan) for plan in story.plans() if plan.made_at < local(sunday, "00:00")]
    assert {days_of[sunday] for days_of in before} == {slots}
    # 07:30 on the wall
    departure = datetime.fromisoformat(f"{sunday}T{departure_utc:02}:30+00:00")
    night = story.frame(local(sunday, "00:00")).page.state
    assert night is not None
    (turn,) = night.turns
    assert (turn.vehicle, turn.departure) == ("compact", departure)
    assert story.frame(departure).cars_pct["compact"] >= 79.5
    # the cheap hours of the night were used, nothing before
    assert story.frame(local(sunday, "00:00")).cars_pct["compact"] == 60
    # the other car is asked for as soon as the quiet hours end, not before
    asked = [one.at for one in story.told.said(DriverAsked) if one.vehicle == "family"]
    assert asked
    assert asked[0] == local(sunday, "06:00")


# --- 11: paid for using energy, with a full battery --------------------------------------------


@RUNTIMES
def test_acceptance_11_negative_prices_with_a_full_battery_charge_the_car(runtime: str) -> None:
    start, paid = local("2026-05-12", "10:00"), local("2026-05-12", "11:00")
    scenario = home(
        start,
        hourly=(*[0.30] * 11, *[-0.05] * 4, *[0.25] * 9),
        battery=SimBattery(capacity_kwh=10, soc_pct=100),
        wishes=(CarSettings(name="compact", target_soc_pct=80),),
        cars=(SimCar(name="compact", capacity_kwh=80, soc_pct=30, loadpoint="carport"),),
        pv_kwp=8,
        sunny=0.7,
    )
    story = told(scenario, runtime, 5 / 24)
    for plan in story.plans():
        for slot in plan.slots:
            both = (slot.battery_charge_kw, slot.battery_discharge_kw)
            assert min(both) == 0, (plan.made_at, slot)
            assert min(slot.grid_import_kw, slot.grid_export_kw) == 0, (plan.made_at, slot)
    (begin,) = [write for write in story.writes("mode/now") if write.at < paid + hours(1)]
    assert paid <= begin.at <= paid + timedelta(minutes=5)
    gained_pct = story.frame(paid + hours(3)).cars_pct["compact"] - 30
    assert gained_pct >= 100 * 0.9 * 11 * 2.8 / 80
    # the battery is not turned over: what it gives the house is not bought back at once
    assert story.pretend.bill().battery_discharged_kwh < 0.5
    negative = [one for one in story.pretend.bill().slots if one.import_eur_kwh < 0]
    assert negative
    assert sum(one.import_kwh for one in negative) > 15
