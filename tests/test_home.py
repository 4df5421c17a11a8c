"""The physics of a home: it balances, stays within its bounds, and modes mean what evcc means."""

from math import inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import home
from engine.home import (
    CHARGE,
    HOLD,
    HOLDCHARGE,
    MINPV,
    NORMAL,
    NOW,
    OFF,
    PV,
    UNKNOWN,
    Battery,
    Box,
    Controls,
    Exogenous,
    State,
    step,
)

BATTERY = Battery(
    capacity_kwh=10.0,
    charge_w=5000.0,
    discharge_w=5000.0,
    charge_efficiency=0.95,
    discharge_efficiency=0.9,
    floor_kwh=0.5,
    max_kwh=9.5,
)
SWITCHING = Box(mode=PV, connected=True, can_switch=True, full_kwh=50.0)
FIXED = Box(mode=PV, connected=True, full_kwh=50.0)

steady = settings(derandomize=True, deadline=None)

powers = st.floats(0, 20_000)
batteries = st.builds(
    Battery,
    capacity_kwh=st.sampled_from([0.0, 5.0, 10.0]),
    charge_w=st.floats(0, 8000),
    discharge_w=st.floats(0, 8000),
    charge_efficiency=st.floats(0.5, 1),
    discharge_efficiency=st.floats(0.5, 1),
    floor_kwh=st.floats(0, 2),
    max_kwh=st.floats(3, 5),
    hold_charges_from_pv=st.booleans(),
)
boxes = st.builds(
    Box,
    mode=st.sampled_from([OFF, PV, MINPV, NOW]),
    connected=st.booleans(),
    min_a=st.floats(0, 16),
    max_a=st.floats(6, 32),
    phases=st.sampled_from([1, 2, 3]),
    can_switch=st.booleans(),
    car_phases=st.sampled_from([1, 2, 3]),
    car_max_a=st.floats(6, 32),
    priority=st.integers(0, 3),
    plan_active=st.booleans(),
    smart_cost_active=st.booleans(),
    feed_in_priority_active=st.booleans(),
    min_kwh=st.floats(0, 30),
    limit_kwh=st.one_of(st.just(inf), st.floats(0, 60)),
    full_kwh=st.floats(30, 60),
    charge_efficiency=st.floats(0.5, 1),
)


@st.composite
def homes(draw: st.DrawFn) -> tuple[State, Controls, Exogenous]:
    """Any home: odd settings, any battery, up to three boxes."""
    made = tuple(draw(st.lists(boxes, max_size=3)))
    battery = draw(batteries)
    controls = Controls(
        boxes=made,
        battery_mode=draw(st.sampled_from([UNKNOWN, NORMAL, HOLD, CHARGE, HOLDCHARGE])),
        priority_soc_pct=draw(st.sampled_from([0.0, 50.0, 100.0])),
        buffer_soc_pct=draw(st.sampled_from([0.0, 60.0])),
        buffer_start_soc_pct=draw(st.sampled_from([0.0, 80.0])),
        residual_w=draw(st.floats(-500, 500)),
        battery=battery,
    )
    state = State(
        draw(st.floats(0, battery.capacity_kwh)),
        tuple(draw(st.floats(0, box.full_kwh)) for box in made),
        tuple(draw(st.booleans()) for _ in made),
    )
    return state, controls, Exogenous(draw(powers), draw(powers))


FULL_CAR = (
    State(9.5, (30.0,), (True,)),
    Controls((Box(mode=NOW, connected=True, full_kwh=30.0),), NORMAL, battery=BATTERY),
    Exogenous(300.0, 9000.0),
)


@steady
@given(homes(), st.floats(0.5, 1800))
@example(FULL_CAR, 900.0)
def test_inv_08_house_load_is_in_the_balance_of_every_step(
    given_home: tuple[State, Controls, Exogenous], dt_s: float
) -> None:
    state, controls, exogenous = given_home
    after, flows = step(state, controls, exogenous, dt_s)
    sources = flows.pv_kwh + flows.grid_import_kwh + flows.battery_discharge_kwh
    sinks = flows.load_kwh + sum(flows.cars_kwh) + flows.grid_export_kwh + flows.battery_charge_kwh
    assert sources == pytest.approx(sinks, abs=1e-9)
    assert flows.load_kwh == pytest.approx(exogenous.load_w * dt_s / 3.6e6, abs=1e-9)
    assert flows.pv_kwh == pytest.approx(exogenous.pv_w * dt_s / 3.6e6, abs=1e-9)
    for box, before, kwh, drawn in zip(
        controls.boxes, state.cars_kwh, after.cars_kwh, flows.cars_kwh, strict=True
    ):
        assert kwh - before == pytest.approx(drawn * box.charge_efficiency, abs=1e-9)
    battery = controls.battery
    stored = flows.battery_charge_kwh * battery.charge_efficiency
    taken = flows.battery_discharge_kwh / battery.discharge_efficiency
    assert after.battery_kwh - state.battery_kwh == pytest.approx(stored - taken, abs=1e-9)


@steady
@given(homes(), st.floats(0.5, 60))
def test_nothing_is_bought_and_sold_or_charged_and_discharged_at_once(
    given_home: tuple[State, Controls, Exogenous], dt_s: float
) -> None:
    state, controls, exogenous = given_home
    _, flows = step(state, controls, exogenous, dt_s)
    assert min(flows[:6]) >= 0
    assert min(flows.grid_import_kwh, flows.grid_export_kwh) == 0
    assert min(flows.battery_charge_kwh, flows.battery_discharge_kwh) == 0
    assert min(flows.battery_discharge_kwh, flows.grid_export_kwh) <= 1e-12  # never to the grid


@steady
@given(homes(), st.floats(0.5, 7200))
def test_energy_stays_within_battery_and_car(
    given_home: tuple[State, Controls, Exogenous], dt_s: float
) -> None:
    state, controls, exogenous = given_home
    after, _ = step(state, controls, exogenous, dt_s)
    battery = controls.battery
    assert after.battery_kwh <= max(state.battery_kwh, battery.max_kwh)
    assert after.battery_kwh >= min(state.battery_kwh, battery.floor_kwh)
    for box, before, kwh in zip(controls.boxes, state.cars_kwh, after.cars_kwh, strict=True):
        assert before <= kwh <= max(before, box.full_kwh)


@steady
@given(homes())
def test_a_car_gets_nothing_that_it_may_not_have(
    given_home: tuple[State, Controls, Exogenous],
) -> None:
    state, controls, exogenous = given_home
    _, flows = step(state, controls, exogenous, 60.0)
    for box, kwh, drawn, (amps, phases) in zip(
        controls.boxes, state.cars_kwh, flows.cars_kwh, flows.set_to, strict=True
    ):
        if not box.connected or box.mode == OFF:
            assert drawn == 0
        assert amps == int(amps)  # whole amperes
        assert amps == 0 or box.min_a <= amps <= box.max_a + 1e-9
        most_w = min(amps, box.car_max_a) * 230.0 * min(phases, box.car_phases)
        assert drawn <= most_w / 60_000.0 + 1e-12
        if drawn and not (box.plan_active or kwh < box.min_kwh):
            assert kwh + drawn * box.charge_efficiency <= max(box.limit_kwh, box.min_kwh) + 1e-9


def _drawn_w(
    box: Box,
    pv_w: float,
    *,
    load_w: float = 0.0,
    kwh: float = 10.0,
    controls: Controls | None = None,
    battery_kwh: float = 0.0,
    charging: bool = False,
) -> float:
    controls = (controls or Controls())._replace(boxes=(box,))
    state = State(battery_kwh, (kwh,), (charging,))
    _, flows = step(state, controls, Exogenous(load_w, pv_w), 60.0)
    return round(flows.cars_kwh[0] * 60_000.0, 6)


@pytest.mark.parametrize(
    ("box", "pv_w", "drawn_w"),
    [
        (FIXED, 4139.0, 0.0),  # 6 A on 3 phases are 4140 W
        (FIXED, 4140.0, 4140.0),
        (FIXED, 5500.0, 4830.0),  # 7.97 A: whole amperes, rounded down
        (FIXED, 20_000.0, 11_040.0),  # 16 A
        (SWITCHING, 1379.0, 0.0),
        (SWITCHING, 1380.0, 1380.0),
        (SWITCHING, 4139.0, 3680.0),  # the gap: 16 A on 1 phase, below 6 A on 3
        (SWITCHING, 4140.0, 4140.0),
        (SWITCHING._replace(max_a=20.0), 4500.0, 4370.0),  # 1 phase as long as it can take it
        (SWITCHING._replace(max_a=20.0), 4601.0, 4140.0),
        (FIXED._replace(mode=MINPV), 0.0, 4140.0),
        (SWITCHING._replace(mode=MINPV), 0.0, 1380.0),
        (SWITCHING._replace(mode=MINPV), 5000.0, 4830.0),
        (SWITCHING._replace(mode=NOW), 0.0, 11_040.0),
        (FIXED._replace(mode=NOW, car_phases=1, phases=1), 0.0, 3680.0),
        (FIXED._replace(car_phases=1), 4140.0, 3680.0),  # a 1p guest: evcc reckons with 3 phases
        (FIXED._replace(mode=NOW, car_max_a=10.0), 0.0, 6900.0),
        (FIXED._replace(mode=OFF), 20_000.0, 0.0),
        (FIXED._replace(connected=False), 20_000.0, 0.0),
    ],
)
def test_modes_and_currents(box: Box, pv_w: float, drawn_w: float) -> None:
    assert _drawn_w(box, pv_w) == drawn_w


@pytest.mark.parametrize(
    ("box", "drawn_w"),
    [
        (FIXED._replace(mode=OFF, plan_active=True, min_kwh=20.0), 0.0),  # off beats everything
        (FIXED._replace(plan_active=True, limit_kwh=5.0), 11_040.0),  # a plan ignores limits
        (FIXED._replace(min_kwh=20.0, limit_kwh=5.0), 11_040.0),  # so does minSoc
        (FIXED._replace(mode=NOW, limit_kwh=10.0), 0.0),
        (FIXED._replace(mode=MINPV, limit_kwh=10.0), 0.0),
        (FIXED._replace(smart_cost_active=True, limit_kwh=10.0), 0.0),
        (FIXED._replace(smart_cost_active=True), 11_040.0),
        (FIXED._replace(smart_cost_active=True, feed_in_priority_active=True), 11_040.0),
        (FIXED._replace(feed_in_priority_active=True), 0.0),
        (SWITCHING._replace(mode=MINPV, feed_in_priority_active=True), 1380.0),
        (FIXED._replace(mode=NOW, feed_in_priority_active=True), 11_040.0),
    ],
)
def test_order_of_precedence(box: Box, drawn_w: float) -> None:
    assert _drawn_w(box, 9000.0) == drawn_w


def test_a_limit_is_met_inside_a_step_exactly() -> None:
    box = FIXED._replace(mode=NOW, limit_kwh=10.05)
    after, flows = step(State(0.0, (10.0,), (False,)), Controls((box,)), Exogenous(0, 0), 60.0)
    assert after.cars_kwh[0] == pytest.approx(10.05, abs=1e-12)
    assert flows.cars_kwh[0] == pytest.approx(0.05 / 0.9)
    again, _ = step(after, Controls((box,)), Exogenous(0, 0), 60.0)
    assert again.cars_kwh == after.cars_kwh
    assert again.charging == (False,)


def test_a_long_step_is_settled_on_minutes() -> None:
    box = FIXED._replace(mode=NOW, limit_kwh=11.0)
    after, flows = step(State(0.0, (10.0,), (False,)), Controls((box,)), Exogenous(0, 0), 3600.0)
    assert after.cars_kwh[0] == pytest.approx(11.0, abs=1e-9)
    assert flows.grid_import_kwh == pytest.approx(1.0 / 0.9)
    assert flows.set_to == ((0.0, 3),)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="back"):
        step(State(), Controls(), Exogenous(0, 0), -1.0)


@pytest.mark.parametrize(
    ("mode", "pv_w", "load_w", "charge_w", "discharge_w"),
    [
        (NORMAL, 3000.0, 1000.0, 2000.0, 0.0),
        (NORMAL, 9000.0, 1000.0, 5000.0, 0.0),
        (NORMAL, 0.0, 1000.0, 0.0, 1000.0),
        (NORMAL, 0.0, 7000.0, 0.0, 5000.0),
        (UNKNOWN, 0.0, 1000.0, 0.0, 1000.0),
        (HOLD, 0.0, 1000.0, 0.0, 0.0),
        (HOLD, 3000.0, 1000.0, 2000.0, 0.0),
        (CHARGE, 0.0, 1000.0, 5000.0, 0.0),
        (CHARGE, 9000.0, 0.0, 5000.0, 0.0),
        (HOLDCHARGE, 3000.0, 1000.0, 0.0, 0.0),
        (HOLDCHARGE, 0.0, 1000.0, 0.0, 1000.0),
    ],
)
def test_battery_modes(
    mode: int, pv_w: float, load_w: float, charge_w: float, discharge_w: float
) -> None:
    controls = Controls(battery_mode=mode, battery=BATTERY)
    _, flows = step(State(5.0), controls, Exogenous(load_w, pv_w), 60.0)
    assert flows.battery_charge_kwh * 60_000 == pytest.approx(charge_w)
    assert flows.battery_discharge_kwh * 60_000 == pytest.approx(discharge_w)


def test_whether_hold_charges_from_the_sun_is_the_inverters_affair() -> None:
    battery = BATTERY._replace(hold_charges_from_pv=False)
    controls = Controls(battery_mode=HOLD, battery=battery)
    _, flows = step(State(5.0), controls, Exogenous(0, 3000.0), 60.0)
    assert flows.battery_charge_kwh == 0
    assert flows.grid_export_kwh == pytest.approx(0.05)


def test_floor_and_maximum_cut_the_step() -> None:
    controls = Controls(battery=BATTERY)
    low, flows = step(State(0.51), controls, Exogenous(5000.0, 0), 60.0)
    assert low.battery_kwh == pytest.approx(0.5)
    assert flows.battery_discharge_kwh == pytest.approx(0.01 * 0.9)
    full, flows = step(State(9.49), controls, Exogenous(0, 5000.0), 60.0)
    assert full.battery_kwh == pytest.approx(9.5)
    assert flows.battery_charge_kwh == pytest.approx(0.01 / 0.95)


def test_above_priority_soc_the_car_takes_the_sun_from_the_battery() -> None:
    controls = Controls(battery=BATTERY, priority_soc_pct=50.0)
    assert _drawn_w(FIXED, 9000.0, controls=controls, battery_kwh=6.0) == 8970.0


def test_below_priority_soc_the_battery_goes_first_and_100_w_are_left() -> None:
    controls = Controls(battery=BATTERY, priority_soc_pct=50.0)
    assert _drawn_w(FIXED, 9000.0, controls=controls, battery_kwh=4.0) == 0.0
    assert _drawn_w(FIXED, 9239.0, controls=controls, battery_kwh=4.0) == 0.0
    assert _drawn_w(FIXED, 9240.0, controls=controls, battery_kwh=4.0) == 4140.0


def test_residual_power_is_kept_as_export() -> None:
    controls = Controls(residual_w=500.0)
    assert _drawn_w(FIXED, 4600.0, controls=controls) == 0.0
    assert _drawn_w(FIXED, 4640.0, controls=controls) == 4140.0


@pytest.mark.parametrize(
    ("battery_kwh", "charging", "drawn_w"),
    [(6.0, True, 0.0), (8.0, False, 0.0), (8.0, True, 4140.0), (9.0, False, 4140.0)],
)
def test_buffer_soc_keeps_a_charge_and_buffer_start_soc_begins_one(
    battery_kwh: float, charging: bool, drawn_w: float
) -> None:
    controls = Controls(battery=BATTERY, buffer_soc_pct=70.0, buffer_start_soc_pct=90.0)
    drawn = _drawn_w(FIXED, 1000.0, controls=controls, battery_kwh=battery_kwh, charging=charging)
    assert drawn == drawn_w


@pytest.mark.parametrize(("pv_w", "drawn_w"), [(0.0, 4140.0), (2000.0, 0.0)])
def test_below_priority_soc_a_battery_that_charges_starts_no_car(
    pv_w: float, drawn_w: float
) -> None:
    controls = Controls(battery=BATTERY, priority_soc_pct=80.0, buffer_start_soc_pct=50.0)
    assert _drawn_w(FIXED, pv_w, controls=controls, battery_kwh=6.0) == drawn_w


def test_the_loadpoint_of_higher_priority_has_the_sun() -> None:
    low, high = FIXED, FIXED._replace(priority=1)
    state = State(0.0, (10.0, 10.0), (False, False))
    for order, winner in (((low, high), 1), ((high, low), 0), ((low, low), 0)):
        _, flows = step(state, Controls(order), Exogenous(0, 6000.0), 60.0)
        assert flows.cars_kwh[winner] * 60_000 == pytest.approx(5520.0)
        assert flows.cars_kwh[1 - winner] == 0
    _, flows = step(state, Controls((low, high)), Exogenous(0, 16_000.0), 60.0)
    assert [round(kwh * 60_000) for kwh in flows.cars_kwh] == [4830, 11_040]


def test_what_charges_anyway_is_no_surplus_for_the_others() -> None:
    now, least = FIXED._replace(mode=NOW), FIXED._replace(mode=MINPV)
    state = State(0.0, (10.0, 10.0), (False, False))
    _, flows = step(state, Controls((FIXED, now)), Exogenous(0, 12_000.0), 60.0)
    assert flows.cars_kwh[0] == 0
    _, flows = step(state, Controls((FIXED, least)), Exogenous(0, 9_000.0), 60.0)
    assert [round(kwh * 60_000) for kwh in flows.cars_kwh] == [4830, 4140]


@pytest.mark.parametrize(
    ("current", "external", "leaving", "grid_charge", "hold", "wanted"),
    [
        (CHARGE, UNKNOWN, True, True, True, NORMAL),  # leaving: one cycle of normal
        (NORMAL, HOLD, True, True, True, HOLD),  # the external mode outranks evcc's own wishes
        (HOLD, HOLD, True, False, False, UNKNOWN),  # written once
        (UNKNOWN, NORMAL, True, True, True, NORMAL),
        (NORMAL, UNKNOWN, False, True, True, CHARGE),
        (NORMAL, UNKNOWN, False, False, True, HOLD),
        (HOLD, UNKNOWN, False, False, False, NORMAL),
        (NORMAL, UNKNOWN, False, False, False, UNKNOWN),
        (UNKNOWN, UNKNOWN, False, False, False, UNKNOWN),
    ],
)
def test_whose_battery_mode_counts(
    *, current: int, external: int, leaving: bool, grid_charge: bool, hold: bool, wanted: int
) -> None:
    got = home.battery_mode_wanted(
        current, external, leaving=leaving, grid_charge=grid_charge, hold=hold
    )
    assert got == wanted
