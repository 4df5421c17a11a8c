"""The fuse: what is granted, in which order, how long not again, and that limits are kept."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from actors.fuse import (
    BAR,
    BATTERY,
    DEPARTS_SOON,
    HOUSE_BATTERY,
    OTHER_CAR,
    Fuse,
    Limit,
    Load,
    car_load,
    limits_of,
    refusal_of,
    weighed,
)
from actors.orders import Desk, Held
from actors.planner_inputs import cars_of, problem_of
from actors.script import script_of
from actors.situation import Situation, line_of
from actors.wishes import battery_wish, car_wish, fuse_of
from engine.evcc_json import site_from
from engine.settings import BatterySettings, Settings, SiteSettings
from engine.values import (
    Battery,
    BatteryMode,
    ChargeMode,
    EvccVehicle,
    Loadpoint,
    Series,
    Site,
    Turn,
    Why,
)
from sim.evcc import PretendEvcc
from sim.scenario import SimCar, SimLoadpoint
from tests.make_actuator import NOW, PV, T0, after, car, loadpoint, plan, plan_slot, site, turns
from tests.make_evcc import ScriptedWorld, post, scenario, state
from tests.make_optimizer import PLANNER, SETTINGS, forecast, home_state, rates, turn
from tests.make_planner import NOON, hours

HOUSE_25_A = Settings(site=SiteSettings(grid_import_limit_kw=17.25), battery=BatterySettings())
SOON = Load("soon", 11040.0, residue_w=4140.0, need=DEPARTS_SOON, departure=after(7200))
STORE = Load(BATTERY, 5000.0, need=HOUSE_BATTERY)
LATER = Load("later", 11040.0, residue_w=4140.0, departure=after(40000))
ANY_DAY = Load("any day", 11040.0, residue_w=4140.0)


def grid(drawn_w: float | None, limit_w: float = 17250.0) -> tuple[Limit, ...]:
    return (Limit(drawn_w, limit_w),)


def given_to(limit: tuple[Limit, ...], *loads: Load, fuse: Fuse | None = None) -> tuple[str, ...]:
    return weighed(fuse or Fuse(), limit, loads, T0).granted


# --- order of need --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawn_w", "granted"),
    [
        (500.0, ("soon", BATTERY)),
        (1500.0, ("soon",)),
        (7000.0, (BATTERY,)),
        (12_500.0, ()),
    ],
)
def test_what_fits_is_granted_in_order_of_need(drawn_w: float, granted: tuple[str, ...]) -> None:
    loads = (ANY_DAY, LATER, STORE, SOON)
    assert given_to(grid(drawn_w), *loads) == granted


def test_without_a_limit_everything_is_granted() -> None:
    fuse = weighed(Fuse(), (), (SOON, STORE, ANY_DAY), T0)
    assert [refusal_of(fuse, one) for one in ("soon", BATTERY, "any day")] == [None, None, None]
    assert limits_of(Settings(), site()) == ()


def test_an_unmeasured_import_grants_nothing() -> None:
    fuse = weighed(Fuse(("soon",)), grid(None), (SOON, STORE), T0)
    assert refusal_of(fuse, "soon") == Why("car_unmeasured")
    assert refusal_of(fuse, BATTERY) == Why("battery_unmeasured")


def test_the_tightest_of_several_connections_counts() -> None:
    limits = (Limit(500.0, 17_250.0), Limit(9000.0, 11_000.0))
    fuse = weighed(Fuse(), limits, (STORE,), T0)
    numbers = (("limit_kw", 11.0), ("import_kw", 9.0), ("adds_kw", 5.0))
    assert refusal_of(fuse, BATTERY) == Why("battery_fuse", numbers)


# --- overshoot, and not again at once -------------------------------------------------------------


def test_an_overshoot_takes_away_the_least_needed_at_once() -> None:
    running = (replace(SOON, drawn_w=11_000.0), replace(STORE, drawn_w=5000.0))
    before = Fuse(("soon", BATTERY))
    assert given_to(grid(17_200.0), *running, fuse=before) == ("soon", BATTERY)
    over = weighed(before, grid(17_300.0), running, T0)
    assert over.granted == ("soon",)
    numbers = (("limit_kw", 17.2), ("import_kw", 17.3), ("adds_kw", 0.0))
    assert refusal_of(over, BATTERY) == Why("battery_fuse", numbers)


def test_what_a_car_still_draws_after_it_was_taken_away_counts() -> None:
    """evcc lets a car run on at its least current: here that alone is too much for the battery."""
    running = (replace(STORE, drawn_w=5000.0), replace(ANY_DAY, drawn_w=11_000.0))
    before = Fuse((BATTERY, "any day"))
    assert given_to(grid(20_000.0), *running, fuse=before) == (BATTERY,)
    assert given_to(grid(25_000.0), *running, fuse=before) == ()


def test_what_was_taken_away_stays_so_for_a_while_and_is_told_once() -> None:
    fuse = weighed(Fuse((BATTERY,)), grid(18_000.0), (replace(STORE, drawn_w=5000.0),), T0)
    told = refusal_of(fuse, BATTERY)
    for second in (10, 150, 299):
        fuse = weighed(fuse, grid(1000.0), (STORE,), after(second))
        assert (fuse.granted, refusal_of(fuse, BATTERY)) == ((), told)
    assert weighed(fuse, grid(1000.0), (STORE,), T0 + BAR).granted == (BATTERY,)


def test_a_bar_outlives_a_wish_that_comes_and_goes() -> None:
    fuse = weighed(Fuse((BATTERY,)), grid(18_000.0), (replace(STORE, drawn_w=5000.0),), T0)
    fuse = weighed(fuse, grid(1000.0), (), after(10))
    assert weighed(fuse, grid(1000.0), (STORE,), after(20)).granted == ()


def test_something_new_needs_a_little_more_room_than_what_runs() -> None:
    just = grid(17_250.0 - 5000.0 - 100.0)
    assert given_to(just, STORE) == ()
    assert given_to(just, STORE, fuse=Fuse((BATTERY,))) == (BATTERY,)


def test_a_car_that_has_to_leave_gets_what_the_battery_has() -> None:
    charging = replace(STORE, drawn_w=5000.0)
    fuse = weighed(Fuse((BATTERY,)), grid(6500.0), (charging, SOON), T0)
    assert fuse.granted == ("soon",)
    # a car makes way too, but draws its least for minutes: the other one waits for that
    slow = replace(ANY_DAY, drawn_w=11_000.0)
    fuse = weighed(Fuse(("any day",)), grid(14_000.0), (slow, SOON), T0)
    assert fuse.granted == ()
    fuse = weighed(fuse, grid(3000.0), (replace(slow, drawn_w=0.0), SOON), after(200))
    assert fuse.granted == ("soon",)


LOADS = some.lists(
    some.builds(
        Load,
        name=some.sampled_from(("a", "b", "c", BATTERY)),
        full_w=some.floats(1000, 22_000),
        drawn_w=some.floats(-5000, 22_000),
        residue_w=some.just(0.0),
        need=some.sampled_from((DEPARTS_SOON, HOUSE_BATTERY, OTHER_CAR)),
        priority=some.integers(0, 3),
    ),
    max_size=4,
    unique_by=lambda one: one.name,
)


@given(
    LOADS,
    some.floats(-10_000, 40_000),
    some.floats(3000, 40_000),
    some.sets(some.sampled_from("abc")),
)
def test_what_is_granted_always_fits(
    loads: list[Load], drawn_w: float, limit_w: float, before: set[str]
) -> None:
    fuse = weighed(Fuse(tuple(before)), grid(drawn_w, limit_w), tuple(loads), T0)
    then_w = drawn_w
    for one in loads:
        lost = one.name in before and one.name not in fuse.granted
        if one.name in fuse.granted:
            expected_w = one.drawn_w if one.drawn_w >= one.full_w / 2 else one.full_w
            then_w += expected_w - one.drawn_w
        elif lost:
            then_w -= one.drawn_w
    assert not fuse.granted or then_w <= limit_w + 1e-6
    assert {one.name for one in loads} == {*fuse.granted, *(one.name for one in fuse.refused)}
    # the same reading once more changes nothing
    still = tuple(replace(one, drawn_w=0.0) for one in loads)
    first = weighed(Fuse(), grid(drawn_w, limit_w), still, T0)
    assert weighed(first, grid(drawn_w, limit_w), still, after(1)) == first


# --- what a car adds ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "phases", "full_w"),
    [
        ({}, None, 11_040.0),
        ({"phases_active": 1}, None, 3680.0),
        ({"phases_active": 1, "phases_configured": 0, "can_switch_phases": True}, None, 11_040.0),
        ({"effective_max_current_a": 32.0}, 2, 14_720.0),
    ],
)
def test_a_car_in_now_takes_all_it_can(
    changes: dict[str, Any], phases: int | None, full_w: float
) -> None:
    lp = loadpoint(**changes)
    known = site(lp, vehicles=(EvccVehicle("kia", "Kia", phases=phases),))
    load = car_load(HOUSE_25_A, known, lp, mode=NOW, turn=None, at=T0)
    assert load.full_w == pytest.approx(full_w)


@pytest.mark.parametrize(
    ("hours", "immediate", "need"),
    [(2.0, False, DEPARTS_SOON), (12.0, False, OTHER_CAR), (12.0, True, DEPARTS_SOON)],
)
def test_a_car_with_little_time_left_comes_first(hours: float, immediate: bool, need: int) -> None:
    turn = Turn(
        "garage",
        "kia",
        Why("turn_connected"),
        departure=T0 + timedelta(hours=hours),
        need_kwh=20.0,
        immediate=immediate,
    )
    load = car_load(HOUSE_25_A, site(), loadpoint(), mode=NOW, turn=turn, at=T0)
    assert load.need == need


# --- the gates ------------------------------------------------------------------------------------


def view_of(home: Site, now: datetime, config: Settings = HOUSE_25_A, **more: Any) -> Situation:
    """A plan that wants `charge` of the battery and `now` of each car, whatever the house draws."""
    fast = tuple(
        replace(car(NOW), loadpoint=lp.name, vehicle=lp.vehicle or "") for lp in home.loadpoints
    )
    made = plan([plan_slot(now, BatteryMode.CHARGE, fast, Why("battery_buys"))], now)
    line, no_line = line_of(script_of(made.plan), now)
    asked = turns().turns[0]
    return Situation(
        now=now,
        settings=config,
        site=home,
        turns=tuple(
            replace(asked, loadpoint=lp.name, vehicle=lp.vehicle) for lp in home.loadpoints
        ),
        made_at=now,
        line=line,
        no_line=no_line,
        import_eur_kwh=0.3,
        **more,
    )


def desk_of(lp: Loadpoint) -> Desk:
    held = Held(seen=lp.mode.value), Held(seen=0.0), Held(seen=0.0)
    return Desk(lp.name, lp.connected, lp.vehicle, *held)


def fused(view: Situation) -> Situation:
    desks = tuple(desk_of(lp) for lp in view.site.loadpoints) if view.site else ()
    return replace(view, fuse=fuse_of(view, desks))


def modes_of(view: Situation) -> tuple[BatteryMode | None, ChargeMode | None]:
    assert view.site is not None
    lp = view.site.loadpoints[0]
    return battery_wish(view).mode, car_wish(view, desk_of(lp), lp).mode


def test_a_plan_that_fits_passes_and_one_that_does_not_loses_the_car() -> None:
    assert modes_of(fused(view_of(site(), T0))) == (BatteryMode.CHARGE, NOW)
    full = fused(view_of(site(grid_import_w=9000.0), T0))
    assert modes_of(full) == (BatteryMode.CHARGE, PV)
    lp = loadpoint()
    wish = car_wish(full, desk_of(lp), lp)
    assert wish.why.code == "car_fuse"
    numbers = {"vehicle": "kia", "limit_kw": 17.2, "import_kw": 9.0, "adds_kw": 11.0}
    assert dict(wish.why.numbers) == numbers
    # of the two the battery goes first where the car has to leave
    soon = view_of(site(grid_import_w=5000.0), T0)
    late = replace(soon, turns=(replace(soon.turns[0], immediate=True),))
    assert modes_of(fused(late)) == (None, NOW)
    assert battery_wish(fused(late)).why.code == "battery_fuse"


def test_a_dim_signal_turns_charging_off() -> None:
    view = fused(view_of(site(dimmed=True), T0))
    assert (battery_wish(view).mode, battery_wish(view).why) == (None, Why("dimmed"))


def test_a_battery_that_evcc_will_hold_gives_nothing_more() -> None:
    """evcc holds the battery while a car charges fast: what it gives now comes from the grid."""
    giving = Battery(50.0, -4000.0, 10.0, controllable=True)
    cases = ((3000.0, False, NOW), (3000.0, True, ChargeMode.MINPV), (10_000.0, True, PV))
    for drawn_w, control, mode in cases:
        home = site(battery=giving, grid_import_w=drawn_w, discharge_control=control)
        view = replace(view_of(home, T0), import_eur_kwh=None)  # no prices: no charging
        assert modes_of(fused(view)) == (None, mode)


# --- over the pretend evcc ------------------------------------------------------------------------


TWO_CARS = (SimCar("zoe", loadpoint="lp-1"), SimCar("ioniq", loadpoint="lp-2"))


class Hand:
    """Plan, fuse and a hand that writes, without the actuator: it acts on a reading each 10 s."""

    def __init__(self, evcc: PretendEvcc, world: ScriptedWorld, config: Settings) -> None:
        self.evcc, self.world, self.config = evcc, world, config
        self.fuse = Fuse()
        self.charges = False
        self.import_w: list[float] = []

    def drive(self, load_w: float) -> None:
        """A minute in which the house draws so much."""
        self.world.load_w = load_w
        for _ in range(6):
            self.evcc.advance(self.evcc.now + timedelta(seconds=10))
            self.import_w.append(float(str(self.evcc.device_state()["grid_w"])))
            known = site_from(state(self.evcc))
            view = fused(view_of(known, self.evcc.now, self.config, fuse=self.fuse))
            self.fuse = view.fuse
            self._write(view, known)

    def _write(self, view: Situation, known: Site) -> None:
        charges = battery_wish(view).mode is BatteryMode.CHARGE
        if charges:
            post(self.evcc, "batterymode/charge")
        elif self.charges:
            post(self.evcc, "batterymode/normal")
            post(self.evcc, "batterymode", method="DELETE")
        self.charges = charges
        for lp in known.loadpoints:
            mode = car_wish(view, desk_of(lp), lp).mode
            if mode is not None and lp.mode is not mode:
                post(self.evcc, f"loadpoints/{lp.id}/mode/{mode.value}")


@given(
    some.lists(some.sampled_from((300.0, 2500.0, 5000.0, 8000.0)), min_size=4, max_size=12),
    some.sampled_from((25, 35)),
    some.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_the_limit_is_never_exceeded_for_longer_than_two_cycles(
    loads_w: list[float], amps: int, two_cars: bool
) -> None:
    limit_kw = 0.69 * amps
    world = ScriptedWorld(load_w=300.0)
    cars = TWO_CARS if two_cars else TWO_CARS[:1]
    boxes = tuple(SimLoadpoint(f"lp-{k}") for k in range(1, len(cars) + 1))
    evcc = PretendEvcc(scenario(loadpoints=boxes, cars=cars), world)
    config = Settings(site=SiteSettings(grid_import_limit_kw=limit_kw), battery=BatterySettings())
    hand = Hand(evcc, world, config)
    over_s = worst_s = 0
    for load_w in loads_w:
        hand.drive(load_w)
    for drawn_w in hand.import_w:
        over_s = over_s + 10 if drawn_w > 1000 * limit_kw + 1 else 0
        worst_s = max(worst_s, over_s)
    assert worst_s <= 60
    assert max(hand.import_w) > 7000.0  # something was granted


# --- the plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit_kw", [8.0, 17.25])
def test_the_plan_keeps_the_limit_beforehand(limit_kw: float) -> None:
    """A flat night and a car and a battery that want it all: what is planned fits together."""
    config = replace(SETTINGS, site=SiteSettings(grid_import_limit_kw=limit_kw))
    known = home_state(NOON)
    cars, _ = cars_of(known, config, (turn(departure=hours(3), need_kwh=14.0),), NOON)
    cheap = (0.05,) * 12 + (0.60,) * 38
    prices = rates(NOON)
    prices = replace(prices, import_eur_kwh=Series(prices.import_eur_kwh.start, cheap))
    question = problem_of(
        at=NOON,
        revision=1,
        settings=config,
        state=known,
        cars=cars,
        rates=prices,
        forecast=forecast(NOON),
        usual=(),
    )
    found = PLANNER.make_plan(question)
    most_kw = max(slot.grid_import_kw for slot in found.slots)
    assert 5.0 < most_kw <= limit_kw + 1e-6
    assert found.shortfalls == ()
