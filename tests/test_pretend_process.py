"""The pretend evcc as a process, its external battery mode, its faults (evcc-regulator.md §14).

The home has one cycle each 10 s.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from engine.transport import TransportError
from sim.evcc import PretendEvcc
from sim.scenario import SimCar, SimLoadpoint
from tests.make_evcc import BATTERY, START, ScriptedWorld, box, post, pretend, scenario, state

NONE_OF_ITS_OWN = (SimLoadpoint("lp-1", mode="none", can_switch_phases=True),)


def home(world: ScriptedWorld | None = None, **changes: Any) -> PretendEvcc:
    return pretend(world, evcc_interval_s=10.0, **changes)


def live(evcc: PretendEvcc, seconds: float) -> dict[str, Any]:
    """The state so many seconds later."""
    evcc.advance(evcc.now + timedelta(seconds=seconds))
    return state(evcc)


def restart(evcc: PretendEvcc) -> dict[str, Any]:
    """Killed and started; the state after its first cycle."""
    evcc.kill()
    evcc.start(first_cycle_s=1.0)
    return live(evcc, 2.0)


def orders(evcc: PretendEvcc, key: str) -> list[Any]:
    """What the device was told."""
    return [order.value for order in evcc.orders if order.key == key]


# --- what it keeps --------------------------------------------------------------------------------

KEPT = {
    "loadpoints/1/mode/minpv": ("mode", "minpv", "off"),
    "loadpoints/1/mincurrent/7": ("minCurrent", 7, 6),
    "loadpoints/1/maxcurrent/12": ("maxCurrent", 12, 16),
    "loadpoints/1/limitsoc/70": ("limitSoc", 70, 0),
    "loadpoints/1/limitenergy/5": ("limitEnergy", 5, 0),
    "loadpoints/1/priority/3": ("priority", 3, 0),
    "loadpoints/1/phases/1": ("phasesConfigured", 1, 0),
    "loadpoints/1/smartcostlimit/0.1": ("smartCostLimit", 0.1, None),
    "loadpoints/1/batteryboostlimit/30": ("batteryBoostLimit", 30, 100),
    "vehicles/zoe/limitsoc/80": ("effectiveLimitSoc", 80, 100),
    "vehicles/zoe/minsoc/20": ("effectiveMinSoc", 20, 0),
    "prioritysoc/40": ("prioritySoc", 40, 0),
    "buffersoc/60": ("bufferSoc", 60, 0),
    "bufferstartsoc/90": ("bufferStartSoc", 90, 0),
    "residualpower/-200": ("residualPower", -200, 0),
    "batterydischargecontrol/true": ("batteryDischargeControl", True, False),
    "batterygridchargelimit/0.05": ("batteryGridChargeLimit", 0.05, None),
}
"""By request: key, value then, value of a fresh evcc."""


def shown(evcc: PretendEvcc, key: str) -> Any:
    return (state(evcc) | box(evcc)).get(key)


@pytest.mark.parametrize("path", KEPT)
def test_settings_are_written_each_minute_and_a_kill_loses_newer_ones(path: str) -> None:
    key, set_to, fresh = KEPT[path]
    for age_s, left in ((59.0, fresh), (61.0, set_to)):
        evcc = home(loadpoints=NONE_OF_ITS_OWN)
        assert shown(evcc, key) == fresh
        post(evcc, path)
        live(evcc, age_s)
        restart(evcc)
        assert shown(evcc, key) == left


@pytest.mark.parametrize("path", KEPT)
def test_a_graceful_stop_writes_all_settings(path: str) -> None:
    evcc = home(loadpoints=NONE_OF_ITS_OWN)
    post(evcc, path)
    evcc.term()
    restart(evcc)
    assert shown(evcc, KEPT[path][0]) == KEPT[path][1]


def test_a_mode_in_the_configuration_wins_over_the_last_one() -> None:
    evcc = home()  # pv
    post(evcc, "loadpoints/1/mode/now")
    live(evcc, 70)
    restart(evcc)
    assert box(evcc)["mode"] == "pv"


def test_what_is_not_kept_is_new_after_a_start_and_devices_stay() -> None:
    evcc = home(ScriptedWorld(pv_w=9000.0))
    post(evcc, "loadpoints/1/batteryboost/true")
    post(evcc, "batterymode/hold")
    post(evcc, "loadpoints/1/enable/delay/90")
    before = live(evcc, 70)["loadpoints"][0]
    assert before["sessionEnergy"] > 0
    post(evcc, "batterymode/hold")
    live(evcc, 10)
    after = restart(evcc)
    assert (after["batteryMode"], "batteryModeExternal" in after) == ("unknown", False)
    assert evcc.device_state()["battery_mode"] == 2
    assert live(evcc, 100)["batteryMode"] == "unknown"  # and nobody gives it back
    assert evcc.device_state()["battery_mode"] == 2
    point = after["loadpoints"][0]
    assert (point["batteryBoost"], point["sessionEnergy"], point["enableDelay"]) == (False, 0, 60)
    assert (point["vehicleName"], point["charging"]) == ("zoe", True)


# --- how it stops and starts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "told"), [("hold", [2, 1]), ("charge", [3, 1]), ("normal", [1]), (None, [])]
)
def test_a_graceful_stop_gives_the_battery_back(mode: str | None, told: list[int]) -> None:
    evcc = home()
    if mode is not None:
        post(evcc, f"batterymode/{mode}")
    live(evcc, 15)
    evcc.term()
    assert orders(evcc, "battery_mode") == told


def test_the_port_opens_first_then_the_api_answers() -> None:
    evcc = PretendEvcc(scenario(), ScriptedWorld(), first_cycle_s=10.0)
    seen = []
    for at_s in (9.8, 9.9, 9.96, 10.1):
        evcc.advance(START + timedelta(seconds=at_s))
        try:
            seen.append([evcc.request("GET", path).status for path in ("/", "/api/state")])
        except TransportError:
            seen.append([])
    assert seen == [[], [200, 404], [200, 200], [200, 200]]


def test_before_its_first_cycle_a_loadpoint_shows_settings_only() -> None:
    evcc = PretendEvcc(scenario(), ScriptedWorld(), first_cycle_s=10.0)
    evcc.advance(START + timedelta(seconds=9.97))
    early = box(evcc)
    assert early["mode"] == "pv"
    for key in ("connected", "charging", "enabled", "effectiveLimitSoc", "sessionEnergy"):
        assert key not in early
    evcc.advance(START + timedelta(seconds=10.1))
    assert box(evcc)["connected"]


def test_a_box_that_is_found_released_gets_the_minimum_current() -> None:
    evcc = home(loadpoints=NONE_OF_ITS_OWN)
    post(evcc, "loadpoints/1/mode/now")
    live(evcc, 70)
    assert evcc.home.boxes[0].current_a == 16
    evcc.kill()
    evcc.advance(evcc.now + timedelta(seconds=30))
    assert evcc.home.boxes[0].charge_w == 11_040  # the box goes on by itself
    evcc.start(first_cycle_s=1.0)
    evcc.advance(evcc.now + timedelta(seconds=0.97))
    assert evcc.home.boxes[0].current_a == 6
    live(evcc, 1.0)
    assert evcc.home.boxes[0].current_a == 16  # mode now, from the database


def test_a_killed_evcc_does_nothing_and_answers_nothing() -> None:
    evcc = home()
    evcc.kill()
    with pytest.raises(TransportError):
        live(evcc, 60)
    assert evcc.silent
    assert orders(evcc, "enable") == []


# --- the external battery mode --------------------------------------------------------------------


@given(every_s=some.floats(1.0, 60.0), phase_s=some.floats(0.0, 10.0))
def test_a_mode_that_is_renewed_each_minute_stands(every_s: float, phase_s: float) -> None:
    evcc = home(cars=())
    live(evcc, phase_s)
    for _ in range(6):
        post(evcc, "batterymode/hold")
        assert live(evcc, every_s)["batteryModeExternal"] == "hold"
    assert 1 not in orders(evcc, "battery_mode")


def orders_end(evcc: PretendEvcc) -> int:
    """The last mode that the battery was told."""
    return int(orders(evcc, "battery_mode")[-1])


@given(phase_s=some.floats(0.0, 10.0), renewed_s=some.floats(0.5, 59.5))
def test_a_mode_ends_a_minute_after_the_last_renewal_and_the_next_cycle_gives_back(
    phase_s: float, renewed_s: float
) -> None:
    evcc = home(cars=())
    live(evcc, phase_s)
    post(evcc, "batterymode/hold")
    live(evcc, renewed_s)
    post(evcc, "batterymode/hold")
    assert live(evcc, 59.9)["batteryModeExternal"] == "hold"
    assert live(evcc, 1.2)["batteryModeExternal"] == "unknown"
    live(evcc, 10.1)
    assert orders(evcc, "battery_mode") == [2, 1]


def test_a_renewal_between_expiry_and_cycle_stays_for_good() -> None:
    evcc = home(cars=())
    live(evcc, 1)
    post(evcc, "batterymode/charge")
    live(evcc, 60.5)  # it has expired at 61 s; the next cycle comes at 63.5 s
    assert state(evcc)["batteryModeExternal"] == "unknown"
    post(evcc, "batterymode/hold")
    assert live(evcc, 600)["batteryModeExternal"] == "hold"
    assert orders_end(evcc) == 2
    post(evcc, "batterymode", method="DELETE")
    live(evcc, 10)
    assert orders_end(evcc) == 1


def test_after_a_release_in_time_a_new_mode_is_watched_and_after_an_expiry_it_is_not() -> None:
    for waits_s, stands in ((30.0, False), (60.5, True)):
        evcc = home(cars=())
        live(evcc, 1)
        post(evcc, "batterymode/hold")
        live(evcc, waits_s)
        post(evcc, "batterymode", method="DELETE")
        post(evcc, "batterymode/charge")
        later = live(evcc, 120)
        assert (later["batteryModeExternal"] == "charge") is stands


def test_a_release_acts_in_the_next_cycle_and_evccs_own_wish_one_later() -> None:
    evcc = home(cars=())
    post(evcc, "batterygridchargelimit/0.5")
    post(evcc, "batterymode/hold")
    live(evcc, 15)
    post(evcc, "batterymode", method="DELETE")
    assert [live(evcc, 10)["batteryMode"] for _ in range(2)] == ["normal", "charge"]
    assert orders(evcc, "battery_mode") == [2, 1, 3]


def test_a_refused_write_to_the_battery_looks_done() -> None:
    evcc = home(cars=())
    evcc.device("battery_write_error", 1)
    post(evcc, "batterymode/charge")
    assert live(evcc, 12)["batteryMode"] == "charge"
    assert evcc.device_state()["battery_mode"] == 0  # as it was
    evcc.device("battery_write_error", 0)
    live(evcc, 40)
    assert evcc.device_state()["battery_mode"] == 0  # and it is not tried again
    assert orders(evcc, "battery_mode") == [3]


def test_a_full_battery_is_told_hold_each_cycle_and_charge_not_again_below() -> None:
    full = home(cars=(), battery=replace(BATTERY, evcc_max_soc_pct=51.0))
    for k in range(18):
        if k % 5 == 0:
            post(full, "batterymode/charge")
        live(full, 10)
        if k == 14:
            assert orders(full, "battery_mode")[0] == 3
            assert set(orders(full, "battery_mode")[3:]) == {2}
            full.device("battery.soc_pct", 40.0)
            told = len(orders(full, "battery_mode"))
    assert state(full)["batteryMode"] == "charge"
    assert full.device_state()["battery_mode"] == 2
    assert len(orders(full, "battery_mode")) == told


# --- faults ---------------------------------------------------------------------------------------


def failing(evcc: PretendEvcc, fault: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state before a fault and, as the sun changes, some cycles into it."""
    before = live(evcc, 35)
    evcc.device(fault, 1)
    evcc._world.pv_w = 3000.0  # type: ignore[attr-defined]
    return before, live(evcc, 35)


@pytest.mark.parametrize(
    ("fault", "same", "other"),
    [
        ("grid_error", ("grid", "homePower", "loadpoints"), ("pvPower",)),
        ("pv_error", (), ("pvPower", "homePower")),
        ("battery_error", (), ("battery", "homePower")),
        ("soc_error", (), ("grid",)),
        ("charger_error", (), ("homePower", "pvPower")),
        ("nan", ("grid", "homePower"), ()),
    ],
)
def test_what_fails_keeps_its_value_and_the_rest_goes_on(
    fault: str, same: tuple[str, ...], other: tuple[str, ...]
) -> None:
    evcc = home(ScriptedWorld(pv_w=6000.0))
    before, after = failing(evcc, fault)
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    for key in other:
        assert after[key] != before[key], key


def test_what_cannot_be_read_counts_as_nothing() -> None:
    evcc = home(ScriptedWorld(pv_w=6000.0), cars=())
    _, dark = failing(evcc, "pv_error")
    assert (dark["pvPower"], dark["homePower"]) == (0, 0)
    evcc = home(cars=())
    _, odd = failing(evcc, "battery_error")
    assert odd["battery"]["power"] == 0
    assert odd["homePower"] == pytest.approx(3000)  # what the battery takes seems to be used
    evcc = home()
    post(evcc, "loadpoints/1/mode/now")
    _, blind = failing(evcc, "charger_error")
    point = blind["loadpoints"][0]
    assert (point["chargePower"], point["offeredCurrent"], point["charging"]) == (11_040, 16, True)
    assert blind["homePower"] == pytest.approx(500 + 11_040)


def test_a_soc_that_cannot_be_read_stays_as_it_was() -> None:
    evcc = home(cars=())
    post(evcc, "batterymode/charge")
    before, after = failing(evcc, "soc_error")
    assert after["battery"]["soc"] == before["battery"]["soc"]
    assert after["battery"]["power"] == pytest.approx(-5000)
    evcc.device("soc_error", 0)
    assert live(evcc, 10)["battery"]["soc"] > before["battery"]["soc"]


def test_without_a_grid_meter_nothing_is_controlled_but_the_battery() -> None:
    evcc = home()
    evcc.device("grid_error", 1)
    post(evcc, "loadpoints/1/mode/now")
    post(evcc, "batterymode/hold")
    blind = live(evcc, 45)
    assert not blind["loadpoints"][0]["enabled"]
    assert blind["batteryMode"] == "hold"
    evcc.device("grid_error", 0)
    assert live(evcc, 11)["loadpoints"][0]["enabled"]


def test_a_meter_that_answers_nonsense_holds_up_the_cycles() -> None:
    evcc = home(cars=(SimCar("zoe"),))
    evcc.device("nan", 1)
    evcc.device("lp1.car", "zoe")
    live(evcc, 60)
    assert not box(evcc)["connected"]  # no loadpoint is looked at
    post(evcc, "batterymode/hold")
    live(evcc, 21)
    assert orders(evcc, "battery_mode") == [2]  # a cycle ends late, and sees to the battery
    evcc.device("nan", 0)
    live(evcc, 25)
    assert box(evcc)["connected"]


@given(fails_s=some.floats(0.0, 60.0))
def test_a_price_source_is_believed_for_two_minutes(fails_s: float) -> None:
    evcc = home(cars=(), battery=None)
    live(evcc, fails_s)
    evcc.device("tariff_error", 1)
    live(evcc, 59.0)
    assert evcc.request("GET", "/api/tariff/grid").status == 200
    live(evcc, 122.0)
    answer = evcc.request("GET", "/api/tariff/grid")
    assert (answer.status, json.loads(answer.body)) == (404, {"error": "not available"})
    assert state(evcc)["tariffGrid"] == 0.3  # the old value stays
    assert "grid" not in state(evcc)["forecast"]
    evcc.device("tariff_error", 0)
    live(evcc, 61.0)
    assert evcc.request("GET", "/api/tariff/grid").status == 200
