"""The pretend evcc lives as evcc does: modes, limits, plans, the battery's watchdog, people."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.clock import VirtualClock
from engine.transport import TransportError
from sim.evcc import PretendEvcc
from sim.scenario import Happening, SimCar, SimLoadpoint, SimPrices
from tests.make_evcc import (
    BATTERY,
    START,
    ScriptedWorld,
    box,
    cycle_at,
    minutes,
    post,
    pretend,
    scenario,
    state,
)


def balance_w(shown: dict[str, Any]) -> float:
    """What evcc's own balance leaves for the house."""
    charge_w = sum(point["chargePower"] for point in shown["loadpoints"])
    home_w: float = shown["grid"]["power"] + shown["pvPower"] + shown["battery"]["power"] - charge_w
    return home_w


def test_a_car_that_charges_now_is_paid_for() -> None:
    evcc = pretend(battery=None)
    assert post(evcc, "loadpoints/1/mode/now") == "now"
    evcc.advance(minutes(60))
    shown = state(evcc)
    point = shown["loadpoints"][0]
    assert point["charging"]
    assert point["chargePower"] == 11_040
    # without a meter in the box, evcc counts from the cycle that sees it charge
    assert point["sessionEnergy"] == pytest.approx(11_040 * 119 / 120, abs=1)
    hours = (cycle_at(119) - START) / timedelta(hours=1)  # the last one
    assert point["vehicleSoc"] == pytest.approx(50 + 11.04 * hours * 0.9 / 50 * 100, abs=0.001)
    assert shown["grid"]["power"] == pytest.approx(11_540)
    assert shown["battery"] is None
    bill = evcc.bill()
    assert bill.import_kwh == pytest.approx(11.54, abs=0.0001)
    assert bill.cost_eur == pytest.approx(11.54 * 0.30, abs=0.0001)
    assert bill.cars_kwh == {"zoe": pytest.approx(11.04, abs=0.0001)}
    assert [slot.start for slot in bill.slots] == [minutes(15 * k) for k in range(4)]
    assert bill.slots[1].import_kwh == pytest.approx(11.54 / 4)
    assert bill.slots[1].import_eur_kwh == 0.30
    assert bill.slots[1].export_eur_kwh == 0.08


def test_signs_are_evccs() -> None:
    evcc = pretend(ScriptedWorld(pv_w=2000.0))
    evcc.advance(minutes(5))
    shown = state(evcc)
    assert shown["battery"]["power"] == pytest.approx(-120.0)  # charging; the car has 6 A first
    assert shown["loadpoints"][0]["chargePower"] == 1380.0
    assert shown["grid"]["power"] == pytest.approx(0.0)
    evcc = pretend(ScriptedWorld(load_w=700.0))
    evcc.advance(minutes(5))
    assert state(evcc)["battery"]["power"] == pytest.approx(700.0)  # discharging
    evcc = pretend(ScriptedWorld(pv_w=9000.0), battery=None, cars=())
    evcc.advance(minutes(5))
    assert state(evcc)["grid"]["power"] == pytest.approx(-8500.0)  # exporting
    assert state(evcc)["homePower"] == 500
    assert evcc.bill().cost_eur == pytest.approx(-8.5 / 12 * 0.08)


def test_the_state_balances_whatever_happens() -> None:
    evcc = pretend(
        ScriptedWorld(
            pv_w=6000.0,
            happenings=(
                Happening(minutes(10), "leave", "zoe", used_kwh=5.0),
                Happening(minutes(30), "arrive", "zoe", "lp-1"),
            ),
        )
    )
    for k in range(120):
        evcc.advance(minutes(k / 2))
        shown = state(evcc)
        assert balance_w(shown) == pytest.approx(500.0, abs=0.01)
        assert shown["homePower"] == pytest.approx(500.0, abs=0.01)


def test_time_goes_by_however_it_is_cut() -> None:
    whole, cut = pretend(ScriptedWorld(pv_w=3000.0)), pretend(ScriptedWorld(pv_w=3000.0))
    whole.advance(minutes(240))
    for k in range(241):
        cut.advance(minutes(k))
    cut.advance(minutes(7))  # the past: nothing
    assert cut.bill() == whole.bill()
    assert state(cut) == state(whole)


def test_limits_stop_where_they_stand() -> None:
    evcc = pretend()
    post(evcc, "loadpoints/1/limitsoc/60")
    post(evcc, "loadpoints/1/mode/now")
    evcc.advance(minutes(120))
    assert 60 <= box(evcc)["vehicleSoc"] < 60 + 11.04 / 120 * 0.9 / 50 * 100  # one cycle more
    assert not box(evcc)["charging"]
    assert evcc.car_soc_pct("ZOE") == pytest.approx(box(evcc)["vehicleSoc"], abs=0.001)


def test_a_limit_of_energy_is_for_those_whose_soc_is_not_known() -> None:
    evcc = pretend()
    post(evcc, "loadpoints/1/limitenergy/2")
    post(evcc, "loadpoints/1/mode/now")
    evcc.advance(minutes(60))
    assert box(evcc)["sessionEnergy"] > 10_000  # a car with an API ignores it
    guest = SimCar("visitor", guest=True, loadpoint="lp-1")
    evcc = pretend(cars=(guest,))
    post(evcc, "loadpoints/1/limitenergy/2")
    post(evcc, "loadpoints/1/mode/now")
    evcc.advance(minutes(60))
    assert 2000 <= box(evcc)["sessionEnergy"] < 2000 + 11_040 / 120
    assert box(evcc)["vehicleSoc"] == 0
    assert box(evcc)["vehicleName"] == ""
    assert "visitor" not in state(evcc)["vehicles"]


def test_min_soc_charges_in_every_mode_but_off() -> None:
    evcc = pretend()
    post(evcc, "vehicles/zoe/minsoc/55")
    evcc.advance(minutes(1))
    assert box(evcc)["minSocNotReached"]
    assert box(evcc)["chargePower"] == 11_040
    evcc.advance(minutes(60))
    assert not box(evcc)["minSocNotReached"]
    assert 55 <= box(evcc)["vehicleSoc"] < 56
    evcc = pretend()
    post(evcc, "vehicles/zoe/minsoc/55")
    post(evcc, "loadpoints/1/mode/off")
    evcc.advance(minutes(30))
    assert box(evcc)["vehicleSoc"] == 50


def test_smart_cost_charges_while_it_is_cheap() -> None:
    prices = (0.30, 0.20)
    evcc = pretend(ScriptedWorld(grid=prices))
    post(evcc, "loadpoints/1/smartcostlimit/0.25")
    charged = []
    for k in range(4):
        evcc.advance(minutes(15 * k + 5))
        charged.append(box(evcc)["smartCostActive"])
        assert (box(evcc)["chargePower"] > 0) is charged[-1]
    assert charged == [True, False, True, False]
    fixed = pretend(ScriptedWorld(grid=prices), prices=SimPrices(kind="flat"))
    post(fixed, "loadpoints/1/smartcostlimit/0.50")
    fixed.advance(minutes(5))
    assert not box(fixed)["smartCostActive"]  # a fixed price gives evcc nothing to plan with
    assert state(fixed)["smartCostType"] is None


# --- the external battery mode --------------------------------------------------------------------


def battery(evcc: PretendEvcc, at: datetime) -> tuple[str, str]:
    evcc.advance(at)
    shown = state(evcc)
    return shown["batteryMode"], shown["batteryModeExternal"]


def test_an_external_mode_acts_at_the_next_cycle() -> None:
    evcc = pretend()
    evcc.advance(minutes(1))
    assert "batteryModeExternal" not in state(evcc)
    assert post(evcc, "batterymode/hold") == 2
    assert battery(evcc, minutes(1)) == ("unknown", "hold")
    assert battery(evcc, minutes(1.6)) == ("hold", "hold")
    assert evcc.device_state()["battery_w"] == 0
    assert state(evcc)["battery"]["power"] == 500  # read before it was told
    evcc.advance(minutes(2.1))
    assert state(evcc)["battery"]["power"] == 0
    assert state(evcc)["grid"]["power"] == pytest.approx(500.0)


def test_an_external_mode_ends_a_minute_after_the_last_post() -> None:
    evcc = pretend()
    post(evcc, "batterymode/charge")
    assert battery(evcc, minutes(0.9)) == ("charge", "charge")
    evcc.advance(minutes(1))
    post(evcc, "batterymode/charge")  # at exactly 60 s: in time
    assert battery(evcc, minutes(2)) == ("charge", "charge")
    assert battery(evcc, minutes(2.1)) == ("charge", "unknown")
    assert battery(evcc, minutes(2.6)) == ("normal", "unknown")
    # charging from the cycle after the first post to the cycle after the expiry: 2 min of 2.6
    assert evcc.battery_kwh == pytest.approx(5.0 + 5.0 * 2.0 / 60 - 0.5 * 0.6 / 60)


def test_evccs_own_wish_returns_one_cycle_later() -> None:
    evcc = pretend()
    post(evcc, "batterygridchargelimit/0.35")
    evcc.advance(minutes(1))
    assert state(evcc)["batteryMode"] == "charge"
    assert state(evcc)["batteryGridChargeActive"]
    post(evcc, "batterymode/hold")
    assert battery(evcc, minutes(2)) == ("hold", "hold")
    post(evcc, "batterymode", method="DELETE")
    assert battery(evcc, minutes(2.6)) == ("normal", "unknown")
    assert battery(evcc, minutes(3.1)) == ("charge", "unknown")
    post(evcc, "batterygridchargelimit", method="DELETE")
    assert battery(evcc, minutes(3.6)) == ("normal", "unknown")
    assert state(evcc)["batteryGridChargeLimit"] is None


def test_a_post_between_expiry_and_cycle_stays_for_good() -> None:
    evcc = pretend()
    post(evcc, "batterymode/hold")
    evcc.advance(START + timedelta(seconds=65))  # expired at 60 s, next cycle at 70.5 s
    assert state(evcc)["batteryModeExternal"] == "unknown"
    post(evcc, "batterymode/hold")
    assert battery(evcc, minutes(30)) == ("hold", "hold")
    post(evcc, "batterymode", method="DELETE")
    assert battery(evcc, minutes(31)) == ("normal", "unknown")


def test_an_older_watchdog_goes_on_looking_after_a_release() -> None:
    evcc = pretend()
    post(evcc, "batterymode/hold")
    evcc.advance(minutes(0.2))
    post(evcc, "batterymode", method="DELETE")
    post(evcc, "batterymode/hold")
    assert battery(evcc, minutes(3)) == ("normal", "unknown")


def test_discharge_control_holds_while_a_car_charges_fast() -> None:
    evcc = pretend()
    post(evcc, "batterydischargecontrol/true")
    post(evcc, "loadpoints/1/mode/now")
    evcc.advance(minutes(3))
    assert state(evcc)["batteryMode"] == "hold"
    assert state(evcc)["battery"]["power"] == 0
    post(evcc, "batterymode/normal")  # external normal holds evcc's own wish down
    assert battery(evcc, minutes(3.9)) == ("normal", "normal")
    post(evcc, "loadpoints/1/mode/off")
    assert battery(evcc, minutes(6))[0] == "normal"


def test_without_a_battery_a_mode_is_taken_and_means_nothing() -> None:
    evcc = pretend(battery=None)
    assert post(evcc, "batterymode/hold") == 0
    assert evcc.request("POST", "/api/prioritysoc/50").status == 400


# --- people ---------------------------------------------------------------------------------------


def test_unplugging_forgets_the_session_and_sets_the_mode_back() -> None:
    evcc = pretend(
        ScriptedWorld(
            happenings=(
                Happening(minutes(30), "leave", "zoe"),
                Happening(minutes(90), "arrive", "zoe", "lp-1", used_kwh=10.0),
            )
        )
    )
    post(evcc, "vehicles/zoe/limitsoc/90")
    post(evcc, "loadpoints/1/mode/now")
    post(evcc, "loadpoints/1/limitsoc/70")
    evcc.advance(cycle_at(60))
    gone = box(evcc)
    assert (gone["connected"], gone["vehicleName"], gone["mode"]) == (False, "", "pv")
    assert (gone["limitSoc"], gone["chargePower"], gone["vehicleSoc"]) == (0, 0, 0)
    # stays visible until the next car; its begin and end between two cycles are not counted
    assert gone["sessionEnergy"] == pytest.approx(5520 - 92, abs=1)
    left_pct = evcc.car_soc_pct("zoe")
    assert left_pct is not None
    evcc.advance(minutes(91))
    back = box(evcc)
    assert (back["connected"], back["vehicleName"], back["sessionEnergy"]) == (True, "zoe", 0)
    assert back["vehicleSoc"] == pytest.approx(left_pct - 20.0, abs=0.001)
    assert back["effectiveLimitSoc"] == 90
    assert evcc.bill().shortfall_kwh == pytest.approx((80.0 - left_pct) / 2.0)


def test_a_vehicles_own_mode_comes_with_the_vehicle() -> None:
    evcc = pretend(
        cars=(SimCar("zoe", loadpoint="lp-1"), SimCar("id3", mode="now", api=False)),
        loadpoints=(SimLoadpoint("lp-1"), SimLoadpoint("lp-2", mode="off")),
    )
    assert post(evcc, "loadpoints/2/vehicle/id3") == {"vehicle": "id3"}
    assert box(evcc, 1)["mode"] == "now"
    assert post(evcc, "loadpoints/2/vehicle/zoe") == {"vehicle": "zoe"}
    assert box(evcc, 0)["vehicleName"] == ""
    assert box(evcc, 1)["vehicleName"] == "zoe"


def test_a_car_whose_cloud_fails_at_plugging_in_is_unknown_until_it_charges() -> None:
    evcc = pretend(
        ScriptedWorld(
            happenings=(
                Happening(minutes(1), "leave", "zoe"),
                Happening(minutes(2), "cloud_outage", "zoe", until=minutes(20)),
                Happening(minutes(3), "arrive", "zoe", "lp-1"),
            )
        )
    )
    evcc.advance(minutes(30))
    assert box(evcc)["vehicleSoc"] == 0
    assert evcc.cloud_soc_pct("zoe") == pytest.approx(50.0)
    post(evcc, "loadpoints/1/mode/now")
    evcc.advance(minutes(32))
    assert box(evcc)["vehicleSoc"] > 50


def test_humans_write_too_and_are_told_apart() -> None:
    evcc = pretend(
        ScriptedWorld(
            happenings=(Happening(minutes(2), "human", path="POST /api/loadpoints/1/mode/off"),)
        )
    )
    evcc.advance(minutes(5))
    assert box(evcc)["mode"] == "off"
    post(evcc, "loadpoints/1/mode/pv")
    assert [(write.path, write.human) for write in evcc.writes] == [
        ("/api/loadpoints/1/mode/off", True),
        ("/api/loadpoints/1/mode/pv", False),
    ]
    assert evcc.bill().mode_changes == 2


def test_an_outage_answers_nothing_and_the_home_lives_on() -> None:
    clock = VirtualClock(START)
    world = ScriptedWorld(happenings=(Happening(minutes(10), "evcc_outage", until=minutes(20)),))
    evcc = PretendEvcc(scenario(), world, clock)
    clock.move_to(minutes(12))
    with pytest.raises(TransportError, match="not there"):
        evcc.request("GET", "/api/state")
    clock.move_to(minutes(20))
    assert evcc.request("GET", "/api/state").status == 200
    assert evcc.now == minutes(20)
    assert evcc.bill().battery_discharged_kwh == pytest.approx(0.5 / 3)


def test_a_tariff_that_fails_is_404_and_costs_what_it_costs() -> None:
    outage = Happening(minutes(5), "tariff_outage", until=minutes(52))
    world = ScriptedWorld(happenings=(outage,), grid=(0.3, 0.2))
    world.fails = minutes(5), minutes(52)
    evcc = pretend(world, battery=None, cars=())
    assert evcc.request("GET", "/api/tariff/grid").status == 200
    evcc.advance(minutes(6))
    answer = evcc.request("GET", "/api/tariff/grid")
    assert (answer.status, json.loads(answer.body)) == (404, {"error": "not available"})
    assert state(evcc)["tariffGrid"] == 0.2  # the old value stays
    assert "grid" not in state(evcc)["forecast"]
    assert evcc.request("GET", "/api/tariff/feedin").status == 200
    evcc.advance(minutes(53))
    assert evcc.request("GET", "/api/tariff/grid").status == 200
    evcc.advance(minutes(60))
    assert [slot.import_eur_kwh for slot in evcc.bill().slots] == [0.2, 0.3, 0.2, 0.3]


# --- settings of the battery's share ----------------------------------------------------------


def test_the_battery_goes_first_below_priority_soc() -> None:
    evcc = pretend(ScriptedWorld(pv_w=4000.0))
    post(evcc, "prioritysoc/60")
    evcc.advance(minutes(5))
    assert box(evcc)["chargePower"] == 0
    assert state(evcc)["battery"]["power"] == pytest.approx(-3500.0)
    post(evcc, "prioritysoc/0")
    evcc.advance(minutes(10))
    assert box(evcc)["chargePower"] == 3450


def test_what_the_inverter_does_is_the_scenarios() -> None:
    evcc = pretend(
        ScriptedWorld(pv_w=4000.0), battery=replace(BATTERY, hold_charges_from_pv=False), cars=()
    )
    post(evcc, "batterymode/hold")
    evcc.advance(minutes(1.1))
    assert state(evcc)["battery"]["power"] == 0
    assert state(evcc)["grid"]["power"] == pytest.approx(-3500.0)
