"""evcc's JSON: the state with its signs, units, both vocabularies, mutilated; tariffs."""

import contextlib
import copy
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evcc_fields import EvccUnreadable, decoded, moment
from engine.evcc_json import site_from, tariff_from
from engine.messages import EvccRead
from engine.values import BatteryMode, ChargeMode
from tests.make_evcc_json import AT, loadpoint, state


def batteries(*devices: dict[str, Any], **aggregate: Any) -> dict[str, Any]:
    return {"battery": {"power": 100.0, **aggregate, "devices": list(devices)}}


# --- the state -----------------------------------------------------------------------------------


def test_inv_53_signs_are_converted_at_the_edge() -> None:
    charging = site_from(state())
    assert charging.battery is not None
    assert charging.battery.charge_w == 1480.0  # evcc: negative is charging
    assert charging.grid_import_w == -343.4  # exporting
    discharging = site_from(state(**batteries(power=900.0, soc=50, capacity=10.0))).battery
    assert discharging is not None
    assert discharging.charge_w == -900.0
    idle = site_from(state(**batteries(power=0, soc=50, capacity=10.0))).battery
    assert idle is not None
    assert str(idle.charge_w) == "0.0"  # not -0.0: it would be shown as such


@given(st.floats(-50_000, 50_000), st.floats(0, 50_000))
def test_inv_26_watts_stay_watts_whatever_their_size(grid_w: float, car_w: float) -> None:
    site = site_from(state(grid={"power": grid_w}, loadpoints=[loadpoint(chargePower=car_w)]))
    assert site.grid_import_w == grid_w
    assert site.loadpoints[0].charge_w == car_w


def test_inv_26_dusk_is_50_w_and_not_50_kw() -> None:
    assert site_from(state(pvPower=50, homePower=0.3)).pv_w == 50.0
    assert site_from(state(pvPower=50, homePower=0.3)).home_w == 0.3


def test_inv_60_a_loadpoint_is_read_whole() -> None:
    lp = site_from(state()).loadpoints[0]
    assert (lp.id, lp.name, lp.title, lp.mode) == (1, "lp-1", "Carport", ChargeMode.PV)
    assert (lp.connected, lp.charging, lp.enabled, lp.charger) == (True, True, True, True)
    assert (lp.vehicle, lp.vehicle_soc_pct, lp.charge_w) == ("e-golf", 52.2, 4830.0)
    assert lp.session_kwh == 6.842  # evcc: Wh, whatever its openapi says
    assert (lp.limit_soc_pct, lp.limit_energy_kwh, lp.effective_limit_soc_pct) == (None, None, 80.0)
    assert (lp.phases_active, lp.phases_configured, lp.can_switch_phases) == (3, 0, True)
    assert lp.priority == 2


def test_unknown_is_none() -> None:
    site = site_from({"loadpoints": [{"mode": "off"}]})
    assert (site.grid_import_w, site.pv_w, site.home_w, site.battery) == (None, None, None, None)
    assert (site.currency, site.interval_s, site.vehicles) == ("EUR", 30.0, ())
    lp = site.loadpoints[0]
    assert (lp.name, lp.vehicle, lp.vehicle_soc_pct) == ("lp-1", None, None)
    assert (
        site_from(state(loadpoints=[loadpoint(vehicleSoc=0)])).loadpoints[0].vehicle_soc_pct is None
    )


def test_names_are_unique_whatever_the_titles() -> None:
    untitled = {"mode": "pv"}
    titled = {"mode": "pv", "title": "Carport"}
    site = site_from({"loadpoints": [titled, untitled, titled, {**titled, "title": "CARPORT"}]})
    names = [lp.name for lp in site.loadpoints]
    assert names == ["Carport", "lp-2", "Carport (3)", "CARPORT (4)"]


def test_a_disabled_loadpoint_keeps_its_number_and_is_not_waited_for() -> None:
    site = site_from(state(loadpoints=[{"disabled": True}, loadpoint(name="two")]))
    assert [(lp.id, lp.name) for lp in site.loadpoints] == [(2, "two")]


@pytest.mark.parametrize("feature", ["Heating", "IntegratedDevice", "SwitchDevice"])
def test_what_is_no_car_charger_is_marked_and_its_degrees_are_no_percent(feature: str) -> None:
    heating = loadpoint(vehicleSoc=47.9, limitSoc=60, **{f"chargerFeature{feature}": True})
    lp = site_from(state(loadpoints=[heating])).loadpoints[0]
    assert (lp.charger, lp.vehicle_soc_pct, lp.limit_soc_pct) == (False, None, None)


@pytest.mark.parametrize(
    ("always", "mode"),
    [("on", "minpv"), ("once", "minpv"), ("off", "pv"), (None, "pv"), (7, "pv")],
)
def test_the_later_vocabulary_is_spoken(always: object, mode: str) -> None:
    site = site_from(state(loadpoints=[loadpoint(mode="smart", alwaysCharge=always)]))
    assert site.loadpoints[0].mode == mode
    assert site.smart_modes
    assert not site_from(state()).smart_modes


def test_plans_of_loadpoint_and_car() -> None:
    seven = "2026-08-09T07:00:00+02:00"
    soc_plan = loadpoint(effectivePlanSoc=80, effectivePlanTime=seven, planEnergy=9, planTime=seven)
    lp = site_from(state(loadpoints=[soc_plan])).loadpoints[0]
    assert (lp.plan_soc_pct, lp.plan_energy_kwh) == (80.0, None)
    assert lp.plan_at == datetime(2026, 8, 9, 5, tzinfo=UTC)
    energy = site_from(state(loadpoints=[loadpoint(planEnergy=9, planTime=seven)])).loadpoints[0]
    assert (energy.plan_soc_pct, energy.plan_energy_kwh) == (None, 9.0)
    assert energy.plan_at == datetime(2026, 8, 9, 5, tzinfo=UTC)
    weekly = {"weekdays": [1, 5, 9], "time": "07:00", "tz": "Europe/Berlin", "soc": 70,
              "active": True}  # fmt: skip
    car = {"title": "M3", "capacity": 80, "phases": 3, "maxCurrent": 16, "features": ["Offline"],
           "plan": {"soc": 80, "time": seven}, "repeatingPlans": [weekly, None]}  # fmt: skip
    (vehicle,) = site_from(state(vehicles={"m3": car})).vehicles
    assert (vehicle.name, vehicle.capacity_kwh, vehicle.offline) == ("m3", 80.0, True)
    assert (vehicle.plan_soc_pct, vehicle.plan_at) == (80.0, datetime(2026, 8, 9, 5, tzinfo=UTC))
    (repeating,) = vehicle.repeating
    assert (repeating.weekdays, repeating.soc_pct, repeating.active) == ((1, 5), 70.0, True)


def test_old_shapes_say_the_same() -> None:
    old = {
        "result": {
            "gridPower": -343.4, "pvPower": 7265.4, "homePower": 612.0, "batteryPower": -1480.0,
            "batterySoc": 61, "batteryCapacity": 13.4,
            "battery": [{"power": -1480.0, "soc": 61, "capacity": 13.4, "controllable": True}],
            "batteryMode": "normal", "loadpoints": [loadpoint()],
        }
    }  # fmt: skip
    before, now = site_from(json.dumps(old).encode()), site_from(state())
    assert before.battery == now.battery
    assert before.loadpoints == now.loadpoints
    assert before.grid_import_w == now.grid_import_w


def test_without_a_battery_old_zeros_are_none() -> None:
    assert site_from(state(battery=None, batterySoc=0, batteryPower=0)).battery is None
    assert site_from(state(battery={})).battery is None


def test_pv_is_summed_only_where_every_meter_answers() -> None:
    whole = state(pv=[{"power": 100}, {"power": -3}])
    broken = state(pv=[{"power": 100}, {"power": None}])
    del whole["pvPower"], broken["pvPower"]
    assert site_from(whole).pv_w == 100.0
    assert site_from(broken).pv_w is None


def test_battery_sums_that_are_counts_are_not_believed() -> None:
    good = {"soc": 80, "capacity": 10, "controllable": True}
    # one of two failed: evcc says capacity 2 and soc 40 (evcc-api.md §1.3)
    for failed in ({}, {"soc": 0, "capacity": 0}, {"soc": None}):
        trap = site_from(state(**batteries(good, failed, soc=40, capacity=2))).battery
        assert trap is not None
        assert (trap.soc_pct, trap.capacity_kwh) == (None, None)
    # all failed: evcc keeps the SoC, and the capacity is the count
    kept = site_from(state(**batteries({}, soc=80, capacity=1))).battery
    assert kept is not None
    assert (kept.soc_pct, kept.capacity_kwh) == (80.0, None)
    both = site_from(state(**batteries(good, {"soc": 20, "capacity": 30}, soc=1, capacity=2)))
    assert both.battery is not None
    assert (both.battery.soc_pct, both.battery.capacity_kwh) == (35.0, 40.0)


def test_battery_modes() -> None:
    def modes(**keys: Any) -> tuple[Any, Any]:
        battery = site_from(state(**keys)).battery
        assert battery is not None
        return battery.mode, battery.external_mode

    assert modes() == (BatteryMode.NORMAL, None)
    assert modes(batteryModeExternal="unknown") == (BatteryMode.NORMAL, None)
    assert modes(batteryModeExternal="hold") == (BatteryMode.NORMAL, BatteryMode.HOLD)
    assert modes(batteryMode="discharge", batteryModeExternal="discharge") == (
        BatteryMode.UNKNOWN,
        BatteryMode.UNKNOWN,
    )


@pytest.mark.parametrize(
    ("keys", "controls"),
    [
        ({}, False),
        ({"optimizer": True}, False),
        ({"optimizer": True, "optimizerAutomatic": True}, True),
        ({"optimizer": True, "optimizerAutomatic": "battery"}, True),
        ({"optimizer": True, "optimizerAutomatic": "off"}, False),
        ({"optimizer": False, "optimizerAutomatic": "full"}, False),
        ({"optimizer": True, "optimizerAutomatic": None}, False),
    ],
)
def test_evccs_own_optimizer_is_seen(keys: dict[str, Any], controls: bool) -> None:
    assert site_from(state(**keys)).optimizer_controls is controls


def test_a_dim_signal_is_seen() -> None:
    assert site_from(state(hems={"status": {"dimmed": True}})).dimmed
    assert site_from(state(circuits={"main": {"dimmed": True}})).dimmed
    assert not site_from(state(hems={"config": {}}, circuits={"main": {}})).dimmed


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty answer"),
        (b" \n", "empty answer"),
        (b"404 page not found", "no JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"apiReady":false,"loadpoints":[{"mode":"pv"}]}', "starting"),
        (b'{"startupCompleted":false,"loadpoints":[{"mode":"pv"}]}', "starting"),
        (b'{"apiReady":true,"fatal":["boom"],"loadpoints":[{"mode":"pv"}]}', "boom"),
        (b"{}", "no loadpoints"),
        (b'{"loadpoints":[]}', "no loadpoints"),
        (b'{"loadpoints":[{"mode":"pv"},{"title":"x"}]}', "loadpoint 2 has no mode"),
        (b'{"loadpoints":[{"mode":"eco"}]}', "unknown mode 'eco'"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe{", "no JSON"),
    ],
)
def test_what_is_no_state_is_unreadable(payload: bytes, reason: str) -> None:
    with pytest.raises(EvccUnreadable, match=re.escape(reason)) as raised:
        site_from(payload)
    assert reason in raised.value.reason


def test_nan_in_the_json_is_unknown() -> None:
    body = json.dumps(state(pvPower=float("nan"), homePower=float("inf"))).encode()
    assert site_from(body).pv_w is None
    assert site_from(body).home_w is None


def test_every_reading_can_be_journalled() -> None:
    odd = state(siteTitle="\ud800", loadpoints=[loadpoint(chargePower=10**400, priority=1e300)])
    read = EvccRead(AT, site_from(odd))
    assert msgspec.json.decode(msgspec.json.encode(read), type=EvccRead) == read


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.just([]), st.just({}), st.just([None]), st.just({"power": float("nan")}),
)  # fmt: skip
FULL = state(
    hems={"status": {"dimmed": True}},
    circuits={"main": {"dimmed": False}},
    pv=[{"power": 7265.4}],
    optimizerAutomatic="battery",
    loadpoints=[loadpoint(), loadpoint(name="lp-2", mode="smart", alwaysCharge="on")],
    vehicles={"m3": {"capacity": 80, "plan": {"soc": 80, "time": "2026-08-09T07:00:00Z"},
                     "repeatingPlans": [{"weekdays": [1], "time": "07:00", "tz": "x", "soc": 5}]}},
)  # fmt: skip


def paths(whole: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every key and entry of a state."""
    inner = whole.items() if isinstance(whole, dict) else enumerate(whole)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += paths(value, (*path, key))
    return found


CUT = st.tuples(st.sampled_from(paths(FULL)), st.one_of(st.just(...), JUNK))


@given(st.lists(CUT, min_size=1, max_size=8))
@settings(max_examples=300)
def test_mutilated_states_are_read_or_unreadable_nothing_else(cuts: list[Any]) -> None:
    payload = json.loads(json.dumps(FULL))
    for path, junk in cuts:
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier cut took it
            *above, last = path
            place = payload
            for key in above:
                place = place[key]
            if junk is ...:
                del place[last]
            else:
                place[last] = copy.deepcopy(junk)  # else one could end up inside itself
    for form in (payload, json.dumps(payload).encode()):
        try:
            site = site_from(form)
        except EvccUnreadable:
            continue
        assert len({lp.name.casefold() for lp in site.loadpoints}) == len(site.loadpoints) > 0
        assert site.interval_s > 0


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    with contextlib.suppress(EvccUnreadable):
        decoded(body)


# --- tariffs -------------------------------------------------------------------------------------


def tariff_body(*rates: object) -> bytes:
    return json.dumps({"rates": list(rates)}).encode()


def test_tariffs_come_in_utc_in_order_with_gaps_left_out() -> None:
    body = tariff_body(
        {"start": "2026-08-08T02:15:00+02:00", "end": "2026-08-08T02:30:00+02:00", "value": -0.01},
        {"start": "2026-08-08T00:00:00Z", "end": "2026-08-08T00:15:00Z", "price": 0.31},
        {"start": "2026-08-08T00:30:00Z", "end": "2026-08-08T00:45:00Z", "value": None},
        {"start": "2026-08-08T00:45:00Z", "end": "2026-08-08T01:00:00Z", "value": float("nan")},
        {"start": "2026-08-08T01:15:00Z", "end": "2026-08-08T01:00:00Z", "value": 1},
        {"start": "2026-08-08T03:00:00", "end": "2026-08-08T04:00:00", "value": 1},
        None,
    )
    tariff = tariff_from("grid", 200, body)
    assert tariff.rates is not None
    assert [(r.start.hour, r.start.minute, r.value) for r in tariff.rates] == [
        (0, 0, 0.31),
        (0, 15, -0.01),
    ]
    assert {rate.start.tzinfo for rate in tariff.rates} == {UTC}


def test_hourly_slots_stay_hourly() -> None:
    hour = {"start": "2026-08-08T00:00:00Z", "end": "2026-08-08T01:00:00Z", "value": 0.3}
    tariff = tariff_from("grid", 200, json.dumps({"result": {"rates": [hour]}}).encode())
    assert tariff.rates is not None
    assert (tariff.rates[0].end - tariff.rates[0].start).total_seconds() == 3600


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b'{"error":"tariff not available"}', "HTTP 404: tariff not available"),
        (404, b"404 page not found", "HTTP 404: 404 page not found"),
        (502, b"", "HTTP 502"),
        (200, b"", "empty answer"),
        (200, b'{"rates":null}', "no rates"),
        (200, b'{"rates":[]}', "no rates"),
        (200, b"[1]", "no rates"),
        (200, b"<html>", "no JSON"),
    ],
)
def test_a_tariff_that_fails_says_why(status: int, body: bytes, reason: str) -> None:
    tariff = tariff_from("grid", status, body)
    assert tariff.rates is None
    assert reason in tariff.reason


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-08-08T00:00:00.123456789+02:00", datetime(2026, 8, 7, 22, 0, 0, 123456, UTC)),
        (1_000_000_000, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("yesterday", None),
        (1e300, None),
        (True, None),
        (None, None),
    ],
)
def test_times(written: object, at: datetime | None) -> None:
    assert moment(written) == at
