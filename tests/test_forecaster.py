"""Forecasts of load and PV: what is said and when, what is measured, and readiness."""

import random
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.forecaster import Forecaster
from actors.slot_meter import Meter, Past, read
from engine.messages import ConfigRead, Forecasted, Message, StateChanged
from engine.settings import PlannerSettings, Settings
from engine.slots import SLOT
from engine.steps import StepSystem
from engine.values import ChargeMode, HomeState, Loadpoint, Quantiles, Series
from tests.make_forecaster import MONDAY, NOON, constant, days, feed, make, reading, sun

# --- what is said, and when ----------------------------------------------------------------------


def test_the_first_forecast_needs_no_rates_and_is_honest_about_it() -> None:
    actor = make(planner=PlannerSettings(horizon_h=6, default_load_w=400))
    (said,) = list(actor.on(reading(NOON, 350.0, None)))
    count = 25
    assert said == Forecasted(
        at=NOON,
        load=Quantiles(NOON, (120.0,) * count, (400.0,) * count, (1000.0,) * count),
        pv=Quantiles(NOON, (0.0,) * count, (0.0,) * count, (0.0,) * count),
        load_days=0.0,
        pv_ratio=1.0,
        pv_known=False,
    )


def test_it_is_said_once_per_slot_also_while_evcc_is_silent() -> None:
    actor = make(tick_s=10)
    said: list[Message] = []
    for k in range(200):
        at = NOON + timedelta(seconds=10 * k)
        message = reading(at, 300.0)
        if k > 60:  # no new reading any more
            lost = HomeState(2, at, measured_at=NOON, evcc_silent_since=NOON)
            message = StateChanged(at, lost)
        said += list(actor.on(message))
    assert [one.at for one in said] == [NOON, NOON + SLOT, NOON + 2 * SLOT]


def test_inv_37_it_begins_with_the_present_slot_and_ends_with_the_horizon() -> None:
    actor = make()
    at = NOON + timedelta(minutes=7)
    list(actor.on(sun(at, Series(MONDAY, tuple(float(k) for k in range(200))))))
    (said,) = list(actor.on(reading(at, 300.0)))
    for series in (said.load, said.pv):
        assert series.start == NOON
        assert {len(series.q10_w), len(series.q50_w), len(series.q90_w)} == {193}
    assert said.pv.q50_w[:3] == (48.0, 49.0, 50.0)  # the 48th quarter hour of the day


def test_new_sun_within_the_slot_is_said_again_old_sun_is_not() -> None:
    actor = make()
    first = Series(MONDAY, (1000.0,) * 300)
    assert not list(actor.on(sun(NOON, first)))  # no state was heard yet
    assert len(list(actor.on(reading(NOON, 300.0)))) == 1
    at = NOON + timedelta(minutes=1)
    assert not list(actor.on(sun(at, first)))
    (again,) = list(actor.on(sun(at, Series(MONDAY, (2000.0,) * 300))))
    assert again.pv.q50_w[0] == 2000.0
    assert not list(actor.on(sun(at, Series(NOON, (2000.0,) * 256))))  # only the past was dropped
    assert not list(actor.on(sun(at + SLOT, Series(MONDAY, (1000.0,) * 300))))  # waits for state


def test_any_order_of_delivery_ends_with_the_same_forecast() -> None:
    results = []
    for seed in range(4):
        system = StepSystem(NOON, shuffle=seed > 0, seed=seed)
        actor = Forecaster()
        system.enter([actor])
        system.publish(ConfigRead(NOON, Settings()))
        system.settle()
        both: list[Message] = [sun(NOON, Series(MONDAY, (1000.0,) * 300)), reading(NOON, 300.0)]
        random.Random(seed).shuffle(both)
        for message in both:
            system.publish(message)
        system.settle()
        results.append(actor.snapshot())
        system.stop()
    assert len(set(results)) == 1


# --- measuring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tick_s", [10, 30, 60, 300, 900])
def test_inv_28_the_mean_of_a_slot_does_not_depend_on_how_often_it_is_read(tick_s: int) -> None:
    actor = make(tick_s=tick_s)

    # a straight line: its mean over the slot is the value in its middle
    def line(at: datetime) -> float:
        return 1000 + (at - NOON) / timedelta(hours=1) * 400

    feed(actor, NOON, NOON + timedelta(hours=1), line, line, step=timedelta(seconds=tick_s))
    recent = [(past.load_w, past.pv_w) for past in actor.memory.recent]
    expected = [1350.0, 1250.0, 1150.0, 1050.0]
    assert recent == [(pytest.approx(w), pytest.approx(w)) for w in expected]


def test_inv_28_an_hour_at_4_kw_in_quarter_hours_is_4_kwh() -> None:
    actor = make()
    series = Series(NOON, (4000.0,) * 4 + (0.0,) * 189)
    list(actor.on(sun(NOON, series)))
    (said,) = list(actor.on(reading(NOON, 300.0)))
    assert sum(said.pv.q50_w) * 0.25 == 4000.0


def test_inv_26_50_w_at_dusk_are_50_w() -> None:
    actor = make()
    feed(actor, NOON, NOON + SLOT, constant(300.0), constant(50.0))
    assert actor.memory.recent[0].pv_w == 50.0


def test_unknown_is_not_zero_and_old_readings_are_not_read_again() -> None:
    actor = make(tick_s=60)
    minute = timedelta(minutes=1)
    feed(actor, NOON, NOON + SLOT, lambda at: None if at.minute % 4 == 0 else 800.0, step=minute)
    assert actor.memory.recent[0].load_w is None or actor.memory.recent[0].load_w == 800.0
    before = actor.memory.meter
    list(actor.on(reading(NOON + 5 * minute, 9000.0)))
    assert actor.memory.meter == before
    nobody = make(tick_s=60)
    feed(nobody, NOON, NOON + SLOT, lambda _: None, lambda _: None, step=minute)
    assert (nobody.memory.recent[0].load_w, nobody.memory.covered_slots) == (None, 0)


def test_a_slot_of_which_less_than_half_was_seen_teaches_nothing() -> None:
    second = timedelta(seconds=1)
    for seen_s, taught in ((440, 0), (460, 1)):
        actor = make(tick_s=10)
        feed(actor, NOON, NOON + seen_s * second, constant(700.0), step=10 * second)
        list(actor.on(reading(NOON + timedelta(hours=1), 700.0)))
        assert actor.memory.covered_slots == taught


def test_what_no_wallbox_draws_is_load() -> None:
    heating = Loadpoint(
        id=1, name="heat", title="", mode=ChargeMode.PV, connected=True, charging=True,
        enabled=True, charge_w=1500.0, charger=False,
    )  # fmt: skip
    car = Loadpoint(
        id=2, name="box", title="", mode=ChargeMode.NOW, connected=True, charging=True,
        enabled=True, charge_w=11_000.0,
    )  # fmt: skip
    actor = make()
    for at in (NOON, NOON + SLOT):
        list(actor.on(reading(at, 400.0, 0.0, (heating, car))))
    assert actor.memory.recent[0].load_w == 1900.0


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 2000), st.none() | st.floats(-100, 20_000)),
        min_size=2,
        max_size=40,
    )
)
def test_energy_is_kept_whatever_the_rhythm(steps: list[tuple[int, float | None]]) -> None:
    """What the slots and the open rest hold is the trapezoid over all short enough intervals."""
    meter, total_ws, seen_s = Meter(), 0.0, 0.0
    past: list[Past] = []
    at_s, last_w = 0, None
    for k, (step_s, power_w) in enumerate(steps):
        at_s += step_s
        if k and step_s <= 600 and last_w is not None and power_w is not None:
            total_ws += (last_w + power_w) / 2 * step_s
            seen_s += step_s
        last_w = power_w
        before = meter
        meter, done = read(meter, float(at_s), power_w, None, 600.0)
        for one in done:
            past.append(one)
            if one.load_w is None:  # seen too little of it: taken off the sum below
                lost = before.load if one.slot == before.slot else None
                assert lost is None or lost.seen_s < 450 + 900
    assert [one.slot for one in past] == sorted({one.slot for one in past})
    assert all(one.pv_w is None for one in past)
    if not past:
        assert meter.load.energy_ws == pytest.approx(total_ws)
        assert meter.load.seen_s == pytest.approx(seen_s)


# --- readiness -----------------------------------------------------------------------------------


def test_inv_33_one_sample_is_no_day_and_a_restart_adds_none() -> None:
    actor = make()
    said = feed(actor, NOON, NOON + SLOT, constant(500.0))
    assert said[-1].load_days == round(1 / 96, 6)
    said = feed(actor, NOON + 2 * SLOT, NOON + days(1), constant(500.0))
    assert said[-1].load_days == 1.0
    again = Forecaster()
    again.restore(actor.snapshot())
    list(again.on(ConfigRead(NOON, Settings(tick_s=900.0))))
    (after,) = list(again.on(reading(NOON + days(1) + SLOT, 500.0)))
    assert after.load_days == round(97 / 96, 6)


def test_inv_25_the_mode_is_said_with_and_without_a_solar_tariff() -> None:
    actor = make()
    (said,) = list(actor.on(reading(NOON, 300.0)))
    assert not said.pv_known
    (said,) = list(actor.on(sun(NOON, Series(MONDAY, (700.0,) * 150))))
    assert said.pv_known
    (said,) = list(actor.on(sun(NOON, Series(MONDAY, (None,) * 150))))
    assert not said.pv_known
