"""How the pretend evcc takes cars: come, known, asked and gone (evcc-regulator.md §11, §12).

The home has one cycle each 30 s; `cycles(evcc, n)` lives through n of them.
"""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sim.evcc import PretendEvcc
from sim.scenario import SimCar, SimLoadpoint
from tests.make_evcc import START, ScriptedWorld, box, minutes, post, pretend, state

ZOE = SimCar("zoe", "Zoe", loadpoint="lp-1")
VISITOR = SimCar("visitor", guest=True)
TWO_BOXES = (SimLoadpoint("lp-1"), SimLoadpoint("lp-2", mode="off"))


def cycles(evcc: PretendEvcc, count: float = 1.0) -> dict[str, Any]:
    """The first loadpoint after so many more cycles, looked at between two of them."""
    evcc.advance(evcc.now + timedelta(seconds=30.0 * count))
    return box(evcc)


def plug(evcc: PretendEvcc, car: str | None, count: float = 1.0) -> dict[str, Any]:
    """Another car, or none, at the first box; seen in the next cycle."""
    evcc.device("lp1.car", car)
    return cycles(evcc, count)


# --- who it is ------------------------------------------------------------------------------------


def test_a_car_is_known_in_the_cycle_that_sees_it() -> None:
    evcc = pretend(cars=(SimCar("zoe", mode="now"),))
    assert not box(evcc)["connected"]
    evcc.device("lp1.car", "zoe")
    assert not box(evcc)["connected"]  # evcc has not looked yet
    seen = cycles(evcc)
    assert (seen["connected"], seen["vehicleName"], seen["vehicleSoc"]) == (True, "zoe", 50)
    assert (seen["mode"], seen["enabled"], seen["offeredCurrent"]) == ("now", True, 16)
    assert not seen["vehicleDetectionActive"]


def test_a_car_that_nobody_knows_is_looked_for_during_ten_minutes() -> None:
    evcc = pretend(cars=(SimCar("zoe"), VISITOR))
    assert plug(evcc, "visitor")["vehicleDetectionActive"]
    assert cycles(evcc, 18)["vehicleDetectionActive"]
    guest = cycles(evcc, 3)
    assert not guest["vehicleDetectionActive"]
    assert (guest["connected"], guest["vehicleName"], guest["vehicleSoc"]) == (True, "", 0)
    assert "visitor" not in state(evcc)["vehicles"]
    assert plug(evcc, "zoe")["vehicleName"] == "zoe"


def test_where_evcc_knows_no_vehicle_it_looks_for_none() -> None:
    assert not plug(pretend(cars=(VISITOR,)), "visitor")["vehicleDetectionActive"]


def test_a_new_detection_does_not_find_a_car_by_an_id_that_has_not_changed() -> None:
    evcc = pretend()
    post(evcc, "loadpoints/1/vehicle", method="PATCH")
    assert (box(evcc)["vehicleName"], box(evcc)["vehicleDetectionActive"]) == ("", True)
    assert cycles(evcc, 10)["vehicleName"] == ""
    assert not cycles(evcc, 11)["vehicleDetectionActive"]
    plug(evcc, None)
    assert plug(evcc, "zoe")["vehicleName"] == "zoe"


def test_a_vehicle_is_taken_from_the_other_loadpoint_once() -> None:
    evcc = pretend(cars=(ZOE,), loadpoints=TWO_BOXES)
    post(evcc, "loadpoints/2/vehicle/zoe")
    assert [box(evcc, k)["vehicleName"] for k in (0, 1)] == ["", "zoe"]
    assert (box(evcc)["vehicleSoc"], box(evcc)["vehicleLimitSoc"]) == (0, 0)
    # evcc has lost its note of who has it
    post(evcc, "loadpoints/1/vehicle/zoe")
    assert [box(evcc, k)["vehicleName"] for k in (0, 1)] == ["zoe", "zoe"]


@pytest.mark.parametrize(
    ("mode", "vehicle_mode", "then"),
    [("pv", "now", "now"), ("off", "minpv", "minpv"), ("now", None, "now"), ("pv", "off", "off")],
)
def test_a_vehicles_mode_comes_with_it_and_goes_when_it_is_gone(
    mode: str, vehicle_mode: str | None, then: str
) -> None:
    car = SimCar("zoe", mode=vehicle_mode)
    evcc = pretend(cars=(car, SimCar("ioniq")), loadpoints=(SimLoadpoint("lp-1", mode=mode),))
    assert plug(evcc, "zoe")["mode"] == then
    post(evcc, "loadpoints/1/vehicle/ioniq")
    assert box(evcc)["mode"] == then  # that one has no mode of its own
    post(evcc, "loadpoints/1/vehicle", method="DELETE")
    assert box(evcc)["mode"] == then  # nor has a guest
    assert plug(evcc, None)["mode"] == mode


# --- what unplugging does -------------------------------------------------------------------------

SETTINGS = {
    # path: (key, while plugged in, after unplugging)
    "mode/now": ("mode", "now", "pv"),
    "limitsoc/60": ("limitSoc", 60, 0),
    "limitenergy/3": ("limitEnergy", 3, 0),
    "batteryboost/true": ("batteryBoost", True, False),
    "vehicle/ioniq": ("vehicleName", "ioniq", ""),
    "priority/2": ("priority", 2, 2),
    "mincurrent/8": ("minCurrent", 8, 8),
    "maxcurrent/12": ("maxCurrent", 12, 12),
    "phases/1": ("phasesConfigured", 1, 1),
    "smartcostlimit/0.1": ("smartCostLimit", 0.1, 0.1),
    "batteryboostlimit/40": ("batteryBoostLimit", 40, 40),
    "enable/threshold/-500": ("enableThreshold", -500, -500),
    "enable/delay/120": ("enableDelay", 120, 120),
}


@pytest.mark.parametrize("path", SETTINGS)
def test_unplugging_resets_what_belongs_to_the_session_and_keeps_the_rest(path: str) -> None:
    evcc = pretend(cars=(ZOE, SimCar("ioniq")))
    key, plugged, after = SETTINGS[path]
    post(evcc, f"loadpoints/1/{path}")
    assert box(evcc)[key] == plugged
    assert plug(evcc, None)[key] == after


def test_a_loadpoint_without_a_mode_of_its_own_keeps_the_last_one() -> None:
    evcc = pretend(loadpoints=(SimLoadpoint("lp-1", mode="none"),))
    assert box(evcc)["mode"] == "off"
    post(evcc, "loadpoints/1/mode/minpv")
    assert plug(evcc, None)["mode"] == "minpv"


def test_the_vehicles_own_settings_and_the_last_sessions_energy_stay() -> None:
    evcc = pretend()
    post(evcc, "vehicles/zoe/limitsoc/70")
    post(evcc, "vehicles/zoe/minsoc/55")
    cycles(evcc, 6)
    charged = plug(evcc, None)["sessionEnergy"]
    assert charged > 0
    vehicle = state(evcc)["vehicles"]["zoe"]
    assert (vehicle["limitSoc"], vehicle["minSoc"]) == (70, 55)
    assert (box(evcc)["effectiveLimitSoc"], box(evcc)["effectiveMinSoc"]) == (100, 0)
    back = plug(evcc, "zoe")
    assert (back["sessionEnergy"], back["effectiveLimitSoc"], back["effectiveMinSoc"]) == (
        0,
        70,
        55,
    )


# --- when it is asked -----------------------------------------------------------------------------


def test_a_car_is_asked_when_it_comes_starts_charges_and_stops_and_not_otherwise() -> None:
    evcc = pretend(loadpoints=(SimLoadpoint("lp-1", mode="off"),))

    def told_pct(soc_pct: float, count: int = 1) -> float:
        """What evcc shows some cycles after the car holds another energy."""
        evcc.device("car.zoe.soc_pct", soc_pct)
        return float(cycles(evcc, count)["vehicleSoc"])

    assert told_pct(51.0, 10) == 50.0  # it only stands there
    post(evcc, "loadpoints/1/mode/now")
    assert cycles(evcc)["vehicleSoc"] == pytest.approx(51.0, abs=0.2)  # it starts
    assert told_pct(60.0) == pytest.approx(60.0, abs=0.2)  # it charges
    post(evcc, "loadpoints/1/mode/off")
    assert told_pct(70.0) == 70.0  # it stops
    assert told_pct(80.0, 10) == 70.0
    post(evcc, "loadpoints/1/vehicle/zoe")
    assert cycles(evcc)["vehicleSoc"] == 80.0  # it is assigned


def test_an_answer_that_fails_counts_as_asked() -> None:
    evcc = pretend(loadpoints=(SimLoadpoint("lp-1", mode="off"),), cars=(SimCar("zoe"),))
    evcc.device("car.zoe.cloud_error", 1)
    assert plug(evcc, "zoe")["vehicleName"] == "zoe"
    evcc.device("car.zoe.cloud_error", 0)
    assert cycles(evcc, 20)["vehicleSoc"] == 0
    post(evcc, "loadpoints/1/mode/now")
    assert cycles(evcc, 2)["vehicleSoc"] > 50


@given(at=some.integers(20, 80), kwh=some.floats(30.0, 80.0))
def test_between_whole_percents_evcc_counts_on_by_itself(at: int, kwh: float) -> None:
    car = SimCar("zoe", capacity_kwh=kwh, soc_pct=at + 0.5, whole_percent=True, loadpoint="lp-1",
                 charge_efficiency=0.85)  # fmt: skip
    evcc = pretend(cars=(car,))
    assert box(evcc)["vehicleSoc"] == at
    post(evcc, "loadpoints/1/mode/now")
    shown = [cycles(evcc)["vehicleSoc"] for _ in range(20)]
    assert any(value != int(value) for value in shown)
    truth = evcc.car_soc_pct("zoe")
    assert truth is not None
    # never more than a percent beside the truth, at the efficiency that evcc assumes
    assert abs(shown[-1] - truth) <= 1.0


# --- limits ---------------------------------------------------------------------------------------


@given(least=some.integers(5, 40), kwh=some.floats(30.0, 100.0))
def test_min_soc_of_an_unknown_soc_charges_as_if_the_car_came_empty(least: int, kwh: float) -> None:
    car = SimCar("zoe", capacity_kwh=kwh, soc_pct=1.0, api=False, loadpoint="lp-1")
    evcc = pretend(cars=(car,))
    post(evcc, f"vehicles/zoe/minsoc/{least}")
    wh = kwh * least * 10.0 / 0.85
    hours = wh / 11_040
    cycles(evcc, max(0, int(hours * 120 * 0.9) - 2))
    assert box(evcc)["minSocNotReached"]
    stopped = cycles(evcc, hours * 120 * 0.1 + 8)
    assert not stopped["minSocNotReached"]
    assert not stopped["charging"]
    assert wh <= stopped["sessionEnergy"] <= wh + 93


def test_min_soc_does_not_act_in_off_and_not_for_a_guest() -> None:
    evcc = pretend(cars=(ZOE, VISITOR))
    post(evcc, "vehicles/zoe/minsoc/80")
    post(evcc, "loadpoints/1/mode/off")
    assert not cycles(evcc, 3)["charging"]
    post(evcc, "loadpoints/1/mode/pv")
    assert cycles(evcc, 3)["charging"]
    plug(evcc, None)
    assert not plug(evcc, "visitor", 3)["charging"]


@pytest.mark.parametrize(("known", "stops"), [(True, False), (False, True)])
def test_a_limit_of_energy_is_ignored_where_the_car_tells_its_soc(known: bool, stops: bool) -> None:
    evcc = pretend(cars=(SimCar("zoe", api=known, loadpoint="lp-1"),))
    post(evcc, "loadpoints/1/limitenergy/1")
    post(evcc, "loadpoints/1/mode/now")
    assert cycles(evcc, 30)["charging"] is not stops


@pytest.mark.parametrize(("soc", "starts"), [(53, False), (56, True)])
def test_a_plan_of_less_than_14_minutes_does_not_start_by_itself(soc: int, starts: bool) -> None:
    """Zoe needs 9.6 minutes for 3 % and 19 minutes for 6 %."""
    evcc = pretend(ScriptedWorld(), battery=None)
    at = START + timedelta(hours=1)
    post(evcc, f"vehicles/zoe/plan/soc/{soc}/{at:%Y-%m-%dT%H:%M:%SZ}")
    assert box(evcc)["effectivePlanSoc"] == soc
    cycles(evcc, 119)
    assert (evcc.bill().cars_kwh.get("zoe", 0.0) > 0) is starts
    cycles(evcc, 3)
    assert "plan" not in state(evcc)["vehicles"]["zoe"]


def test_off_beats_a_plan_and_unplugging_ends_it() -> None:
    evcc = pretend()
    at = START + timedelta(minutes=30)
    post(evcc, f"vehicles/zoe/plan/soc/90/{at:%Y-%m-%dT%H:%M:%SZ}")
    assert cycles(evcc, 2)["planActive"]
    post(evcc, "loadpoints/1/mode/off")
    assert not cycles(evcc, 2)["charging"]
    gone = plug(evcc, None)
    assert (gone["planActive"], gone["effectivePlanId"], gone["plan"]) == (False, 0, None)
    assert state(evcc)["vehicles"]["zoe"]["plan"]["soc"] == 90


def test_a_cars_own_current_that_evcc_was_not_told_is_drawn_all_the_same() -> None:
    for told, effective_a in ((True, 10), (False, 16)):
        car = SimCar("zoe", max_current_a=10.0, tells_current=told, loadpoint="lp-1")
        evcc = pretend(cars=(car,))
        post(evcc, "loadpoints/1/mode/now")
        evcc.advance(minutes(2))
        shown = box(evcc)
        assert shown["effectiveMaxCurrent"] == effective_a
        assert shown["chargePower"] == 10 * 230 * 3
