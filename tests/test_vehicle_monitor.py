"""The vehicle monitor: who there is, evcc's own number, merging, ages."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.vehicle_monitor import VehicleMonitor
from engine.messages import (
    CarAnswered,
    Tick,
    VehicleMeasured,
    VehiclePlugged,
    VehicleUnplugged,
)
from engine.settings import CarSettings
from engine.values import EvccVehicle, SocSource, Vehicle
from tests.make_senses import NOON, after, box, config, free, measured
from tests.make_vehicle_monitor import HOUR, ORA, ZOE, Watched, answered

# --- who there is ---------------------------------------------------------------------------------


def test_inv_84_configured_cars_exist_before_anything_is_polled() -> None:
    mind = VehicleMonitor()
    assert list(mind.on(config(ZOE, ORA))) == [
        VehicleMeasured(NOON, Vehicle("Zoë", "Die Kleine", None, stale=True)),
        VehicleMeasured(NOON, Vehicle("ora_03", "ora_03", 48.0, stale=True)),
    ]


def test_inv_78_evccs_and_the_configurations_car_are_one_whatever_the_case() -> None:
    home = Watched(CarSettings("ZOË", source="http"), ORA)
    vehicles = (EvccVehicle("zoë", "Renault", 41.0), EvccVehicle("ORA_03", "Katze", 45.0))
    home.hear(measured(NOON, box("Zoë", 40.0), vehicles=vehicles))
    assert len(home.mind.memory.records) == 2
    zoe, ora = home.cars["zoë"], home.cars["ORA_03"]
    assert (zoe.title, zoe.capacity_kwh, zoe.loadpoint, zoe.soc_pct) == (
        "Renault",
        41.0,
        "carport",
        40.0,
    )
    assert (ora.title, ora.capacity_kwh) == ("Katze", 48.0)  # the configuration knows better
    assert home.polls(Tick(after(120))) == []
    home.hear(CarAnswered(after(121), "zOË", 50.0, after(120)))
    assert home.cars["zoë"].soc_pct == 50.0


def test_inv_85_a_disabled_car_is_absent_everywhere() -> None:
    home = Watched(CarSettings("zoe", source="http", disabled=True))
    vehicles = (EvccVehicle("Zoe", "Renault"),)
    assert home.hear(Tick(NOON)) == []
    assert home.hear(measured(NOON, box("ZOE", 40.0), vehicles=vehicles)) == []
    assert home.hear(VehiclePlugged(NOON, "carport", "zoe")) == []
    assert home.hear(CarAnswered(NOON, "zoe", 40.0, NOON)) == []
    assert home.mind.memory.records == ()


def test_inv_85_disabling_later_ends_polling_and_record() -> None:
    home = Watched(ZOE)
    home.hear(config(msgspec.structs.replace(ZOE, disabled=True)))
    assert home.hear(Tick(NOON)) == []
    assert home.mind.memory.records == ()


def test_a_car_that_evcc_forgets_for_a_while_is_kept() -> None:
    home = Watched()
    home.hear(measured(NOON, box("zoe", 40.0), vehicles=(EvccVehicle("zoe", "Renault", 41.0),)))
    home.hear(measured(after(1)))
    assert home.cars["zoe"].soc_pct == 40.0
    assert home.cars["zoe"].loadpoint is None


def test_a_capacity_that_evcc_forgets_for_a_while_is_kept() -> None:
    home = Watched()
    home.hear(measured(NOON, vehicles=(EvccVehicle("zoe", "Renault", 41.0),)))
    home.hear(measured(after(1), vehicles=(EvccVehicle("zoe", "Renault"),)))
    assert home.cars["zoe"].capacity_kwh == 41.0


# --- evcc's own number ----------------------------------------------------------------------------


def test_inv_80_unknown_stays_unknown() -> None:
    home = Watched(ORA)
    for soc_pct in (None, 0.0, float("nan"), 101.0):
        home.hear(measured(NOON, box("ora_03", soc_pct)))
        assert home.cars["ora_03"].soc_pct is None
        assert home.cars["ora_03"].source is None
    home.hear(CarAnswered(NOON, "ora_03", float("nan"), NOON))
    home.hear(CarAnswered(NOON, "ora_03", 130.0, NOON))
    assert home.cars["ora_03"].soc_pct is None


def test_evccs_number_is_as_old_as_its_last_movement() -> None:
    home = Watched(ORA)
    home.hear(measured(NOON, box("ora_03", 40.0)))
    assert home.cars["ora_03"].measured_at == NOON  # just plugged in
    for minute in range(1, 30):
        assert home.hear(measured(after(minute), box("ora_03", 40.0))) == []
    home.hear(measured(after(30), box("ora_03", 39.0)))
    assert home.cars["ora_03"].measured_at == after(30)
    home.hear(measured(after(31), box("ora_03", 39.0, charging=True)))
    assert home.cars["ora_03"].measured_at == after(31)  # evcc interpolates while charging


def test_inv_82_a_number_that_is_missing_once_changes_nothing() -> None:
    home = Watched(ORA)
    home.hear(measured(NOON, box("ora_03", 40.0)))
    assert home.hear(measured(after(1), box("ora_03", None))) == []
    assert home.hear(measured(after(2), box("ora_03", 40.0))) == []
    assert home.cars["ora_03"].measured_at == NOON


def test_a_charging_car_is_said_once_a_minute_while_only_its_time_moves() -> None:
    home = Watched(ORA)
    said = []
    for second in range(0, 301, 10):
        message = measured(after(seconds=second), box("ora_03", 40.0, charging=True))
        said += [second] * len(home.hear(message))
    assert said == [0, 60, 120, 180, 240, 300]


def test_plugging_in_again_is_a_new_measurement() -> None:
    home = Watched(ORA)
    home.hear(measured(NOON, box("ora_03", 40.0)))
    home.hear(measured(after(60), free()))
    assert home.cars["ora_03"].loadpoint is None
    home.hear(measured(after(600), box("ora_03", 40.0)))
    assert home.cars["ora_03"].measured_at == after(600)


def test_unplugging_is_told_at_once() -> None:
    home = Watched(ORA)
    home.hear(measured(NOON, box("ora_03", 40.0)))
    (said,) = home.hear(VehicleUnplugged(after(1), "carport", "ora_03"))
    assert isinstance(said, VehicleMeasured)
    assert said.vehicle.loadpoint is None
    assert said.vehicle.soc_pct == 40.0


def test_inv_112_an_older_reading_is_ignored() -> None:
    home = Watched(ORA)
    home.hear(measured(after(1), box("ora_03", 40.0)))
    assert home.hear(measured(NOON, free())) == []


# --- merging --------------------------------------------------------------------------------------


def test_inv_63_an_answer_merges_and_the_connection_survives() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    home.hear(measured(NOON, box("Zoë", None)))
    home.hear(answered(after(seconds=5), 44.0, after(-10)))
    assert home.cars["Zoë"] == Vehicle(
        name="Zoë",
        title="Die Kleine",
        capacity_kwh=None,
        soc_pct=44.0,
        source=SocSource.HTTP,
        measured_at=after(-10),
        polled_at=NOON,
        answered_at=after(seconds=5),
        loadpoint="carport",
        stale=False,
        range_km=100.0,
    )
    # a new configuration takes nothing of it away
    home.hear(config(msgspec.structs.replace(ZOE, title="Neu")))
    assert home.cars["Zoë"].title == "Neu"
    assert home.cars["Zoë"].soc_pct == 44.0
    assert home.cars["Zoë"].polled_at == NOON


def test_inv_64_three_days_old_cloud_data_stays_old() -> None:
    home = Watched(ZOE)
    old = NOON - timedelta(days=3)
    home.hear(answered(NOON, 80.0, old))
    car = home.cars["Zoë"]
    assert (car.measured_at, car.answered_at, car.stale) == (old, NOON, True)


def test_inv_64_a_vendors_clock_ahead_of_ours_is_cut() -> None:
    home = Watched(ZOE)
    home.hear(answered(NOON, 80.0, NOON + timedelta(days=400)))
    assert home.cars["Zoë"].measured_at == NOON


def test_inv_68_the_newer_measurement_wins_whatever_its_source() -> None:
    home = Watched(ZOE)
    home.hear(measured(after(10), box("Zoë", 50.0)))
    home.hear(answered(after(11), 80.0, after(5)))
    assert (home.cars["Zoë"].soc_pct, home.cars["Zoë"].source) == (50.0, SocSource.EVCC)
    home.hear(answered(after(20), 48.0, after(15)))
    assert (home.cars["Zoë"].soc_pct, home.cars["Zoë"].source) == (48.0, SocSource.HTTP)
    # evcc repeats its old number: no newer measurement
    home.hear(measured(after(21), box("Zoë", 50.0)))
    assert home.cars["Zoë"].soc_pct == 48.0
    home.hear(measured(after(22), box("Zoë", 51.0)))
    assert (home.cars["Zoë"].soc_pct, home.cars["Zoë"].source) == (51.0, SocSource.EVCC)


@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.integers(1, 100), st.booleans()),
        min_size=1,
        max_size=12,
        unique_by=lambda one: one[0],
    )
)
def test_inv_68_the_newest_measurement_wins_in_any_order(
    measurements: list[tuple[int, int, bool]],
) -> None:
    """Cloud answers may come in any order; evcc's readings do not."""
    home = Watched(ZOE)
    home.hear(measured(after(-1), box("Zoë", None)))
    last_evcc = max((minute for minute, _, by_evcc in measurements if by_evcc), default=-1)
    for minute, soc_pct, by_evcc in measurements:
        if not by_evcc:
            home.hear(answered(after(601), float(soc_pct), after(minute)))
        elif minute == last_evcc:
            home.hear(measured(after(minute), box("Zoë", float(soc_pct))))
    counted = [one for one in measurements if not one[2] or one[0] == last_evcc]
    minute, soc_pct, _ = max(counted)
    assert home.cars["Zoë"].soc_pct == soc_pct
    assert home.cars["Zoë"].measured_at == after(minute)


# --- age ------------------------------------------------------------------------------------------


def test_inv_65_a_connected_car_without_soc_is_not_stale() -> None:
    home = Watched(ORA)
    assert home.cars["ora_03"].stale
    home.hear(measured(NOON, box("ora_03", None)))
    assert not home.cars["ora_03"].stale
    home.hear(measured(after(1), free()))
    assert home.cars["ora_03"].stale


@pytest.mark.parametrize("source", ["http", "manual", "evcc"])
def test_inv_66_one_rule_of_age_for_all_sources(source: str) -> None:
    home = Watched(CarSettings("zoe", source=source))
    if source == "evcc":
        home.hear(measured(NOON, box("zoe", 60.0)))
        home.hear(measured(NOON, free()))
    else:
        home.hear(CarAnswered(NOON, "zoe", 60.0, NOON))
    home.hear(Tick(NOON + 12 * HOUR))
    assert not home.cars["zoe"].stale
    home.hear(Tick(NOON + 12 * HOUR + timedelta(seconds=1)))
    assert home.cars["zoe"].stale
    assert home.cars["zoe"].soc_pct == 60.0


def test_inv_66_what_was_measured_at_the_wallbox_holds_until_the_car_leaves() -> None:
    """A plugged car is not driven: over a weekend its number does not become old."""
    home = Watched(ORA)
    home.hear(measured(NOON, box("ora_03", 80.0)))
    home.hear(Tick(NOON + 50 * HOUR))
    assert not home.cars["ora_03"].stale
    home.hear(measured(NOON + 50 * HOUR, free()))
    assert home.cars["ora_03"].stale


def test_inv_66_a_number_from_before_the_last_drive_is_stale_at_the_wallbox() -> None:
    home = Watched(CarSettings("zoe", source="manual"))
    home.hear(CarAnswered(NOON, "zoe", 80.0, NOON))
    home.hear(measured(after(10), box("zoe", None)))
    assert not home.cars["zoe"].stale
    home.hear(measured(after(60), free()))
    assert not home.cars["zoe"].stale  # the best that is known of a car on the road
    home.hear(measured(after(180), box("zoe", None)))
    assert home.cars["zoe"].stale
    assert home.cars["zoe"].soc_pct == 80.0
    home.hear(CarAnswered(after(181), "zoe", 50.0, after(170)))
    assert not home.cars["zoe"].stale
