"""The fuse: each phase of the connection, evcc's circuits, and a battery that is held."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator_memory import ActuatorMemory
from actors.actuator_view import view_of
from actors.fuse import (
    BAR,
    BATTERY,
    Fuse,
    Limit,
    Load,
    battery_load,
    battery_phases,
    car_load,
    circuit_limits,
    import_limit_kw,
    limits_of,
    refusal_of,
    weighed,
)
from actors.fuse_fallbacks import HOLDING, serving
from actors.planner_inputs import problem_of
from actors.script import script_of
from actors.situation import Situation, line_of
from actors.wishes import battery_wish, fuse_of
from engine.check_may import mode_unfit
from engine.circuits import Circuit
from engine.config import ConfigError, parse
from engine.settings import BatterySettings, CarSettings, Settings, SiteSettings
from engine.values import Battery, BatteryMode, FailedMeter, Site, Why
from engine.words import render
from tests.make_actuator import NOW, T0, after, loadpoint, plan, plan_slot, site
from tests.make_optimizer import SETTINGS, forecast, home_state, rates
from tests.make_planner import NOON

PER_PHASE = Settings(site=SiteSettings(grid_import_limit_a=25.0), battery=BatterySettings())
BOTH = Settings(site=SiteSettings(grid_import_limit_a=25.0, grid_import_limit_kw=10.0))
NOTHING = Fuse()
MAIN = Circuit("main", 9000.0, 20.0, 17_250.0, 25.0)


def now_load(phases: int, amps: float = 32.0, **home: Any) -> tuple[Site, Load]:
    lp = loadpoint(phases_active=phases, phases_configured=phases, effective_max_current_a=amps)
    known = site(lp, **home)
    return known, car_load(PER_PHASE, known, lp, mode=NOW, turn=None, at=T0)


# --- each phase -----------------------------------------------------------------------------------


def test_a_car_on_one_phase_may_be_too_much_where_the_sum_is_fine() -> None:
    known, load = now_load(1, grid_import_w=1000.0, grid_currents_a=(1.0, 2.0, 1.0))
    assert load.full_w == 7360.0  # of 17,250 W
    fuse = weighed(Fuse(), limits_of(PER_PHASE, known), (load,), T0)
    numbers = (("limit_a", 25.0), ("import_a", 2.0), ("adds_a", 32.0))
    assert refusal_of(fuse, load.name) == Why("car_fuse_phase", numbers)
    sum_only = Settings(site=SiteSettings(grid_import_limit_kw=17.25))
    assert weighed(Fuse(), limits_of(sum_only, known), (load,), T0).granted == (load.name,)


@pytest.mark.parametrize(
    ("currents", "granted"),
    [((1.0, 1.0, 1.0), True), ((1.0, 8.0, 1.0), True), ((1.0, 1.0, 10.0), False)],
)
def test_the_most_loaded_phase_counts(currents: tuple[float, float, float], granted: bool) -> None:
    for phases in (1, 2, 3):
        known, load = now_load(phases, 16.0, grid_import_w=2000.0, grid_currents_a=currents)
        fuse = weighed(Fuse(), limits_of(PER_PHASE, known), (load,), T0)
        assert (fuse.granted == (load.name,)) is granted, phases


def test_a_phase_that_overshoots_takes_away_what_draws_there() -> None:
    known, load = now_load(1, 16.0, grid_import_w=6000.0, grid_currents_a=(26.0, 0.0, 0.0))
    running = replace(load, drawn_w=3680.0)
    fuse = weighed(Fuse((load.name,)), limits_of(PER_PHASE, known), (running,), T0)
    assert fuse.granted == ()
    fine = replace(known, grid_currents_a=(24.9, 0.0, 0.0))
    fuse = weighed(Fuse((load.name,)), limits_of(PER_PHASE, fine), (running,), T0)
    assert fuse.granted == (load.name,)


def test_unknown_currents_count_as_even_and_an_unknown_import_as_unmeasured() -> None:
    known = site(grid_import_w=6900.0)
    assert limits_of(PER_PHASE, known) == (Limit(6900.0, 17_250.0, per_phase=True),)
    lost = replace(known, grid_import_w=None, grid_currents_a=(1.0, 1.0, 1.0))
    assert limits_of(PER_PHASE, lost) == (Limit(None, 17_250.0, per_phase=True),)


def test_of_two_limits_the_tighter_one_counts() -> None:
    known = site(grid_import_w=3000.0, grid_currents_a=(5.0, 5.0, 5.0))
    limits = limits_of(BOTH, known)
    assert [one.limit_w for one in limits] == [10_000.0, 17_250.0]
    numbers = (("limit_kw", 10.0), ("import_kw", 3.0), ("adds_kw", 11.0))
    load = now_load(3, 16.0)[1]
    fuse = weighed(Fuse(), limits, (load,), T0)
    assert refusal_of(fuse, load.name) == Why("car_fuse", (*numbers,))


@pytest.mark.parametrize(
    ("told", "phases"),
    [
        (BatterySettings(charge_power_kw=4.6), 1),
        (BatterySettings(charge_power_kw=5.0), 3),
        (BatterySettings(charge_power_kw=3.0, phases=3), 3),
        (None, 3),
    ],
)
def test_a_small_battery_may_be_on_one_phase(told: BatterySettings | None, phases: int) -> None:
    config = replace(PER_PHASE, battery=told)
    assert battery_phases(config) == phases
    load = battery_load(config, site())
    assert (load.phases, load.drawn_phases) == (phases, phases)


def test_a_car_of_one_phase_is_known_from_the_settings() -> None:
    config = replace(PER_PHASE, cars=(CarSettings("kia", phases=1, max_power_kw=3.7),))
    load = car_load(config, site(), loadpoint(), mode=NOW, turn=None, at=T0)
    assert (load.full_w, load.phases, load.drawn_phases) == (3700.0, 1, 1)


@pytest.mark.parametrize(
    ("charge_w", "shown", "drawn"),
    [
        (3680.0, 1, 1),
        (3750.0, 1, 1),
        (7360.0, 1, 2),
        (11_040.0, 1, 3),
        (30_000.0, 1, 3),
        (0.0, 3, 3),
    ],
)
def test_a_car_that_draws_more_is_on_more_phases_than_evcc_assumes(
    charge_w: float, shown: int, drawn: int
) -> None:
    lp = loadpoint(phases_active=shown, charge_w=charge_w)
    assert car_load(PER_PHASE, site(lp), lp, mode=NOW, turn=None, at=T0).drawn_phases == drawn


# --- circuits -------------------------------------------------------------------------------------


def test_the_circuits_without_a_parent_are_the_whole_homes() -> None:
    garage = Circuit("garage", 1000.0, 2.0, 11_000.0, 16.0, parent="main")
    limits = circuit_limits(site(circuits=(MAIN, garage)))
    assert limits == (
        Limit(9000.0, 17_250.0, evcc_keeps=True),
        Limit(13_800.0, 17_250.0, per_phase=True, evcc_keeps=True),
    )
    assert circuit_limits(site(circuits=(Circuit("free", 1000.0),))) == ()


def test_the_battery_has_to_fit_into_a_circuit_which_evcc_does_not_see_to() -> None:
    store = Load(BATTERY, 5000.0, need=1)
    roomy, full = Limit(9000.0, 17_250.0, evcc_keeps=True), Limit(13e3, 17_250.0, evcc_keeps=True)
    assert weighed(Fuse(), (roomy,), (store,), T0).granted == (BATTERY,)
    assert weighed(Fuse(), (full,), (store,), T0).granted == ()
    over = Limit(17_500.0, 17_250.0, evcc_keeps=True)
    charging = replace(store, drawn_w=5000.0)
    assert weighed(Fuse((BATTERY,)), (over,), (charging,), T0).granted == ()


def test_of_a_car_only_the_least_has_to_fit_as_evcc_cuts_the_rest() -> None:
    """A box of 16 A behind a circuit of 16 A is nothing to refuse."""
    known, load = now_load(3, 16.0, circuits=(Circuit("box", 0.0, 0.0, None, 16.0),))
    assert weighed(Fuse(), circuit_limits(known), (load,), T0).granted == (load.name,)
    busy = site(circuits=(Circuit("box", 8000.0, 12.0, None, 16.0),))
    assert weighed(Fuse(), circuit_limits(busy), (load,), T0).granted == ()


def test_a_circuit_that_is_not_measured_grants_nothing() -> None:
    lost = site(circuits=(Circuit("main", None, None, 17_250.0),))
    fuse = weighed(Fuse(), circuit_limits(lost), (Load(BATTERY, 5000.0),), T0)
    assert refusal_of(fuse, BATTERY) == Why("battery_unmeasured")


def memory(home: Site, **more: Any) -> ActuatorMemory:
    return ActuatorMemory(settings=PER_PHASE, site=home, measured_at=T0, now=T0, **more)


def test_the_actuators_view_has_the_circuits() -> None:
    home = site(circuits=(MAIN,))
    assert view_of(memory(home), T0, None).circuits == circuit_limits(home)
    failed = FailedMeter("grid", T0 - timedelta(minutes=3), Why("meter_stands"))
    blind = view_of(memory(home, failed_meters=(failed,)), T0, None)
    assert {one.drawn_w for one in blind.circuits} == {None}


@pytest.mark.parametrize(
    ("config", "circuits", "limit_kw"),
    [
        (Settings(), (), None),
        (PER_PHASE, (), 17.25),
        (BOTH, (MAIN,), 10.0),
        (PER_PHASE, (replace(MAIN, max_power_w=9000.0),), 9.0),
        (PER_PHASE, (replace(MAIN, max_current_a=10.0),), 6.9),
        (PER_PHASE, (replace(MAIN, max_power_w=4000.0, parent="x"),), 17.25),
    ],
)
def test_the_plan_keeps_the_tightest_limit(
    config: Settings, circuits: tuple[Circuit, ...], limit_kw: float | None
) -> None:
    home = home_state(NOON)
    assert home.site is not None
    home = replace(home, site=replace(home.site, circuits=circuits))
    assert import_limit_kw(config, home.site) == pytest.approx(limit_kw)
    question = problem_of(
        at=NOON,
        revision=1,
        settings=replace(SETTINGS, site=config.site),
        state=home,
        cars=(),
        rates=rates(NOON),
        forecast=forecast(NOON),
        usual=(),
    )
    assert question.import_limit_kw == pytest.approx(limit_kw)


def test_check_write_keeps_the_limit_per_phase_too() -> None:
    tight = Settings(site=SiteSettings(grid_import_limit_a=7.5), battery=BatterySettings())
    assert mode_unfit(BatteryMode.CHARGE, site(grid_import_w=500.0), tight)
    assert not mode_unfit(BatteryMode.CHARGE, site(grid_import_w=500.0), PER_PHASE)


# --- a battery that is held -----------------------------------------------------------------------


def held_view(import_w: float, at: timedelta = timedelta(), fuse: Fuse = NOTHING) -> Situation:
    """A plan that holds the battery behind a connection of 17,250 W."""
    now = T0 + at
    made = plan([plan_slot(now, BatteryMode.HOLD, (), Why("battery_keeps"))], now)
    line, no_line = line_of(script_of(made.plan), now)
    home = site(battery=Battery(50.0, 0.0, 10.0, controllable=True), grid_import_w=import_w)
    view = Situation(
        now=now,
        settings=PER_PHASE,
        site=home,
        made_at=now,
        line=line,
        no_line=no_line,
        import_eur_kwh=0.3,
        fuse=fuse,
    )
    return replace(view, fuse=fuse_of(view, ()))


def test_a_held_battery_serves_where_the_house_alone_is_too_much() -> None:
    assert battery_wish(held_view(17_000.0)).mode is BatteryMode.HOLD
    over = held_view(18_000.0)
    wish = battery_wish(over)
    numbers = (("limit_a", 25.0), ("import_a", 26.1))
    assert (wish.mode, wish.why) == (None, Why("battery_serves_fuse", numbers))
    # and does so for a while, not until the next reading
    soon = held_view(14_000.0, timedelta(seconds=30), over.fuse)
    assert battery_wish(soon) == wish
    later = held_view(14_000.0, BAR, soon.fuse)
    assert battery_wish(later).mode is BatteryMode.HOLD


def test_what_it_gives_then_does_not_make_it_hold_again() -> None:
    giving = Battery(50.0, -4000.0, 10.0, controllable=True)
    over = held_view(18_000.0)
    view = held_view(14_000.0, BAR, over.fuse)
    assert view.site is not None
    view = replace(view, site=replace(view.site, battery=giving), fuse=over.fuse)
    assert refusal_of(fuse_of(view, ()), HOLDING) is not None


def test_a_car_makes_way_before_a_held_battery_does() -> None:
    car = Load("garage", 11_040.0, drawn_w=11_000.0, residue_w=4140.0)
    before, limits = Fuse(("garage",)), (Limit(20_000.0, 17_250.0),)
    fuse = weighed(before, limits, (car,), T0)
    assert refusal_of(serving(before, fuse, limits, (car,), T0), HOLDING) is None
    unmeasured = (Limit(None, 17_250.0),)
    assert serving(before, fuse, unmeasured, (car,), after(1)) == fuse


# --- words and settings ---------------------------------------------------------------------------


def test_a_phase_is_told_in_amperes() -> None:
    numbers = (("limit_a", 25.0), ("import_a", 12.5), ("adds_a", 16.0))
    told = render(Why("battery_fuse_phase", numbers), "de", "UTC")
    assert "(16 A mehr, jetzt 12,5 A, erlaubt 25 A)" in told
    serves = render(Why("battery_serves_fuse", numbers[:2]), "en", "UTC")
    assert serves.endswith("(12.5 A now, 25 A allowed).")


@pytest.mark.parametrize(
    ("amps", "fine"), [("25", True), ("6", True), ("5", False), ("201", False)]
)
def test_the_limit_per_phase_has_bounds(amps: str, fine: bool) -> None:
    text = f"site: {{grid_import_limit_a: {amps}, grid_import_limit_kw: 24}}"
    if fine:
        assert parse(text).settings.site.grid_import_limit_a == float(amps)
        return
    with pytest.raises(ConfigError) as caught:
        parse(text)
    (finding,) = caught.value.findings
    assert (finding.field, finding.problem) == (
        "site.grid_import_limit_a",
        "this is out of bounds",
    )
    assert finding.allowed == "a number from 6 to 200 A"
