"""The vehicle monitor: merging, ages, polling."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.vehicle_monitor import VehicleMonitor
from engine.messages import (
    CarAnswered,
    CarPollDue,
    CarSilent,
    Message,
    SiteMeasured,
    Tick,
    VehicleMeasured,
    VehiclePlugged,
    VehiclesChecked,
    VehicleUnplugged,
)
from engine.settings import CarSettings
from engine.values import EvccVehicle, SocSource, Vehicle
from tests.make_senses import NOON, after, box, config, free, measured

ZOE = CarSettings("Zoë", title="Die Kleine", source="http")
ORA = CarSettings("ora_03", source="evcc", capacity_kwh=48.0)
HOUR = timedelta(hours=1)


class Watched:
    """A monitor, and what it said last of each car."""

    def __init__(self, *cars: CarSettings) -> None:
        self.mind = VehicleMonitor()
        self.cars: dict[str, Vehicle] = {}
        self.hear(config(*cars))

    def hear(self, message: Any) -> list[Message]:
        said: list[Message] = list(self.mind.on(message))
        checked = [one for one in said if isinstance(one, VehiclesChecked)]
        assert len(checked) <= isinstance(message, SiteMeasured)  # the last word on a reading
        assert said[len(said) - len(checked) :] == checked
        said = said[: len(said) - len(checked)]
        for one in said:
            if isinstance(one, VehicleMeasured):
                self.cars[one.vehicle.name] = one.vehicle
        return said

    def polls(self, message: Any) -> list[str]:
        return [one.vehicle for one in self.hear(message) if isinstance(one, CarPollDue)]

    def polls_until(self, start: datetime, end: datetime, step: timedelta) -> list[datetime]:
        """When the one car was asked, with a tick each `step`; nobody answers but with silence."""
        asked = []
        at = start
        while at <= end:
            for name in self.polls(Tick(at)):
                asked.append(at)
                self.hear(CarSilent(at, name, "no answer"))
            at += step
        return asked


def answered(at: datetime, soc_pct: float, measured_at: datetime | None = None) -> CarAnswered:
    return CarAnswered(at, "Zoë", soc_pct, measured_at or at, range_km=100.0)


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


# --- polling --------------------------------------------------------------------------------------


def test_inv_81_attempt_success_and_measurement_have_their_own_times() -> None:
    home = Watched(ZOE)
    assert home.polls(Tick(NOON)) == ["Zoë"]
    assert home.cars["Zoë"].polled_at == NOON
    home.hear(CarSilent(after(seconds=10), "Zoë", "timed out"))
    assert home.cars["Zoë"].answered_at is None
    assert home.polls(Tick(after(120))) == ["Zoë"]
    home.hear(answered(after(121), 40.0, after(100)))
    car = home.cars["Zoë"]
    assert (car.polled_at, car.answered_at, car.measured_at) == (after(120), after(121), after(100))
    assert home.polls(Tick(after(180))) == ["Zoë"]
    home.hear(CarSilent(after(181), "Zoë", "timed out"))
    car = home.cars["Zoë"]
    assert (car.polled_at, car.answered_at, car.measured_at) == (after(180), after(121), after(100))


def test_each_car_is_polled_at_its_own_interval_and_evccs_cars_are_not() -> None:
    slow = CarSettings("slow", source="http", poll_interval_min=120)
    home = Watched(ZOE, slow, ORA)
    asked: list[tuple[int, str]] = []
    for minute in range(0, 181, 10):
        for name in home.polls(Tick(after(minute))):
            asked.append((minute, name))
            home.hear(CarAnswered(after(minute), name, 40.0, after(minute)))
    assert asked == [
        (0, "Zoë"),
        (0, "slow"),
        (60, "Zoë"),
        (120, "Zoë"),
        (120, "slow"),
        (180, "Zoë"),
    ]


def test_an_owners_entry_is_looked_for_every_five_minutes_without_backoff() -> None:
    home = Watched(CarSettings("zoe", source="manual"))
    asked = home.polls_until(NOON, after(20), timedelta(minutes=1))
    assert asked == [after(minute) for minute in (0, 5, 10, 15, 20)]


def test_no_polling_at_the_wallbox_while_evcc_reports() -> None:
    home = Watched(ZOE)
    home.hear(measured(NOON, box("Zoë", 40.0)))
    assert home.polls(Tick(NOON)) == []
    assert home.polls(Tick(NOON + 5 * HOUR)) == []
    home.hear(measured(NOON + 5 * HOUR, box("Zoë", None)))
    assert home.polls(Tick(NOON + 5 * HOUR)) == ["Zoë"]


def test_backoff_grows_and_is_capped() -> None:
    home = Watched(ZOE)
    asked = home.polls_until(NOON, NOON + timedelta(days=6), timedelta(minutes=30))
    gaps = [(late - early) / HOUR for early, late in pairwise(asked)]
    assert gaps[:6] == [2, 4, 8, 16, 24, 24]
    # one success ends it
    at = asked[-1] + 24 * HOUR
    assert home.polls(Tick(at)) == ["Zoë"]
    home.hear(answered(at, 40.0))
    assert home.polls(Tick(at + HOUR)) == ["Zoë"]


def test_a_poll_that_nobody_answers_is_given_up() -> None:
    home = Watched(ZOE)
    assert home.polls(Tick(NOON)) == ["Zoë"]
    assert home.polls(Tick(after(4))) == []
    assert home.polls(Tick(after(5))) == []  # counts as silence: two hours
    assert home.polls(Tick(after(119))) == []
    assert home.polls(Tick(after(120))) == ["Zoë"]


def test_inv_83_plugging_in_refreshes_in_the_same_step_backoff_or_not() -> None:
    home = Watched(ZOE)
    home.polls_until(NOON, NOON + 20 * HOUR, timedelta(minutes=30))
    at = NOON + 21 * HOUR
    home.hear(measured(at, box("Zoë", None)))
    assert home.polls(VehiclePlugged(at, "carport", "zoË")) == ["Zoë"]
    home.hear(answered(at, 40.0))
    assert home.polls(VehiclePlugged(at + HOUR, "carport", "zoë")) == ["Zoë"]


def test_inv_83_also_while_evcc_reports() -> None:
    home = Watched(ZOE)
    home.hear(measured(NOON, box("Zoë", 40.0)))
    assert home.polls(VehiclePlugged(NOON, "carport", "Zoë")) == ["Zoë"]


def test_inv_83_a_poll_under_way_is_the_refresh_unless_it_fails() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    assert home.polls(VehiclePlugged(after(1), "carport", "Zoë")) == []
    assert home.polls(CarSilent(after(1.5), "Zoë", "timed out")) == ["Zoë"]
    home.hear(answered(after(2), 40.0))
    assert home.polls(Tick(after(3))) == []


def test_inv_83_a_poll_under_way_that_is_answered_was_the_refresh() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    home.hear(VehiclePlugged(after(seconds=5), "carport", "Zoë"))
    home.hear(answered(after(seconds=6), 40.0))
    assert home.polls(Tick(after(5))) == []


def test_inv_83_a_loose_plug_polls_every_30_s_at_most() -> None:
    home = Watched(ZOE)
    home.hear(Tick(after(-10)))
    home.hear(answered(after(-10), 40.0))
    asked = []
    for second in range(0, 61, 5):
        at = after(seconds=second)
        messages = (
            measured(at, box("Zoë", None)),
            VehiclePlugged(at, "carport", "Zoë"),
            Tick(at),
        )
        for message in messages:
            for _ in home.polls(message):
                asked.append(second)
                home.hear(answered(at, 40.0))
    assert asked == [0, 30, 60]


def test_a_guest_or_an_unknown_car_is_nobodys() -> None:
    home = Watched(ZOE)
    home.hear(Tick(NOON))
    home.hear(answered(NOON, 40.0))
    known = home.mind.memory.records
    for name in (None, "", "guest"):
        assert home.hear(VehiclePlugged(after(1), "carport", name)) == []
        assert home.hear(measured(after(1), box(name, 50.0))) == []
    assert home.hear(CarAnswered(after(1), "guest", 50.0, NOON)) == []
    assert home.hear(CarSilent(after(1), "guest", "?")) == []
    assert home.hear(VehicleUnplugged(after(1), "elsewhere", None)) == []
    assert home.mind.memory.records == known


names = st.sampled_from(
    ["Zoë", "zoë", "ZOË", "ora_03", "ORA_03", "Straße", "STRASSE", "guest", None]
)
percents = st.none() | st.floats(-10, 120)


@given(st.lists(st.tuples(st.integers(0, 6), names, percents, st.integers(0, 900)), max_size=40))
def test_inv_116_inv_117_total_bounded_and_aware_whatever_happens(
    story: list[tuple[int, str | None, float | None, int]],
) -> None:
    home = Watched(ZOE, ORA, CarSettings("Straße", source="manual"))
    at = NOON
    for kind, name, soc_pct, seconds in story:
        at += timedelta(seconds=seconds)
        known = name or "nobody"
        messages: list[Message] = [
            Tick(at),
            measured(at, box(name, soc_pct), vehicles=(EvccVehicle(known, ""),)),
            VehiclePlugged(at, "carport", name),
            VehicleUnplugged(at, "carport", name),
            CarAnswered(at, known, soc_pct or 0.0, at - timedelta(hours=seconds)),
            CarSilent(at, known, "no"),
            measured(at, free()),
        ]
        said = home.hear(messages[kind])
        polled = [one.vehicle for one in said if isinstance(one, CarPollDue)]
        assert len(polled) == len(set(polled))
        for one in said:
            assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) == one
        memory = home.mind.memory
        home.mind.restore(home.mind.snapshot())
        assert home.mind.memory == memory
    folded = [record.vehicle.name.casefold() for record in home.mind.memory.records]
    assert len(folded) == len(set(folded)) <= 5
    for record in home.mind.memory.records:
        soc = record.vehicle.soc_pct
        assert soc is None or 0 <= soc <= 100
