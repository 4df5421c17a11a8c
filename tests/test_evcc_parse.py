"""evcc's JSON: every recorded shape, signs, units, both vocabularies, and mutilated answers."""

import contextlib
import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evcc_fields import EvccUnreadable, decoded, moment
from engine.evcc_json import site_from, tariff_from
from engine.evcc_writes import (
    BATTERY_ECHO,
    WRITES,
    OrderError,
    battery_echo_matches,
    battery_path,
    decimal,
    echo_matches,
    path_for,
)
from engine.messages import EvccRead, Order
from engine.transport import Answer
from engine.values import BatteryMode, ChargeMode, Why

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"
RECORDED = REFERENCE / "evcc-recorded"
OTHERS = sorted((RECORDED / "other-versions").glob("*.json"))
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings beside the checkout")
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def loadpoint(**changes: Any) -> dict[str, Any]:
    return {
        "name": "lp-1", "title": "Carport", "mode": "pv", "connected": True, "charging": True,
        "enabled": True, "chargePower": 4830.0, "vehicleName": "e-golf", "vehicleSoc": 52.2,
        "sessionEnergy": 6842.0, "effectiveLimitSoc": 80, "limitSoc": 0, "limitEnergy": 0,
        "effectiveMinCurrent": 6, "effectiveMaxCurrent": 16, "phasesActive": 3,
        "phasesConfigured": 0, "chargerPhases1p3p": True, "priority": 1, "effectivePriority": 2,
        "effectivePlanSoc": 0, "effectivePlanTime": None, "planEnergy": 0, "planTime": None,
        **changes,
    }  # fmt: skip


def state(**changes: Any) -> dict[str, Any]:
    return {
        "apiReady": True, "startupCompleted": True, "version": "0.314.0 (1234abc)",
        "siteTitle": "Home", "currency": "EUR", "interval": 20, "homePower": 612.0,
        "grid": {"power": -343.4}, "pvPower": 7265.4, "batteryMode": "normal",
        "battery": {
            "power": -1480.0, "capacity": 13.4, "soc": 61.0,
            "devices": [{"name": "b", "power": -1480.0, "capacity": 13.4, "soc": 61.0,
                         "controllable": True}],
        },
        "loadpoints": [loadpoint()],
        "vehicles": {"e-golf": {"title": "blue e-Golf", "capacity": 44, "limitSoc": 80}},
        **changes,
    }  # fmt: skip


def batteries(*devices: dict[str, Any], **aggregate: Any) -> dict[str, Any]:
    return {"battery": {"power": 100.0, **aggregate, "devices": list(devices)}}


def order(setting: str, value: str | float, name: str = "lp-1") -> Order:
    return Order(AT, 1, name, setting, value, Why("x"))


def answer(said: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(said).encode())


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


# --- writes --------------------------------------------------------------------------------------

SITE = site_from(
    state(
        loadpoints=[
            loadpoint(name="carport"),
            loadpoint(name="pump", chargerFeatureHeating=True),
            loadpoint(name="garage"),
        ]
    )
)


def test_inv_39_orders_are_resolved_by_name_to_the_one_based_id() -> None:
    assert path_for(order("mode", "now", "carport"), SITE) == "/api/loadpoints/1/mode/now"
    assert path_for(order("limit_soc", 79.6, "GARAGE"), SITE) == "/api/loadpoints/3/limitsoc/80"
    moved = site_from(state(loadpoints=[loadpoint(name="new"), loadpoint(name="carport")]))
    assert path_for(order("mode", "pv", "carport"), moved) == "/api/loadpoints/2/mode/pv"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (order("mode", "now", "nosuch"), "no loadpoint 'nosuch'"),
        (order("mode", "now", "pump"), "no charger"),
        (order("mode", "NOW", "carport"), "unknown mode"),
        (order("mode", 1.0, "carport"), "unknown mode"),
        (order("limit_soc", -1, "carport"), "no quantity"),
        (order("limit_soc", 101, "carport"), "above 100"),
        (order("limit_soc", "80", "carport"), "no quantity"),
        (order("limit_energy", float("nan"), "carport"), "no quantity"),
        (order("target_soc", 80, "carport"), "unknown setting"),
    ],
)
def test_inv_39_what_evcc_does_not_have_is_an_error(wrong: Order, says: str) -> None:
    with pytest.raises(OrderError, match=says):
        path_for(wrong, SITE)


@given(st.floats(0, 10_000))
def test_energies_are_written_without_exponent(kwh: float) -> None:
    path = path_for(order("limit_energy", kwh, "carport"), SITE)
    written = path.rsplit("/", 1)[1]
    assert re.fullmatch(r"\d+(\.\d{1,3})?", written)
    assert abs(float(written) - kwh) <= 0.0005
    assert echo_matches(order("limit_energy", kwh), answer(float(written)))


def test_decimals_are_short() -> None:
    assert [decimal(x) for x in (10, 10.5, 0, -0.0, 100, 1e-9)] == [
        "10", "10.5", "0", "0", "100", "0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said", "good"),
    [
        (order("mode", "pv"), answer("pv"), True),
        (order("mode", "pv"), answer("smart"), True),
        (order("mode", "minpv"), answer("smart"), True),
        (order("mode", "now"), answer("smart"), False),
        (order("mode", "now"), answer("pv"), False),
        (order("mode", "now"), answer({"result": "now"}), True),
        (order("mode", "now"), answer("now", 400), False),
        (order("mode", "now"), Answer(200, b""), False),
        (order("limit_soc", 80), answer(80), True),
        (order("limit_soc", 79.6), answer({"result": 80}), True),
        (order("limit_soc", 80), answer(79), False),
        (order("limit_energy", 10.5), answer(10.5), True),
        (order("limit_energy", 10.5), answer(None), False),
    ],
)
def test_an_echo_is_what_is_in_force(asked: Order, said: Answer, good: bool) -> None:
    assert echo_matches(asked, said) is good


def test_a_battery_mode_is_echoed_as_its_number() -> None:
    assert battery_echo_matches(BatteryMode.HOLD, answer(2))
    assert battery_echo_matches(BatteryMode.HOLD, answer({"result": 2}))
    assert not battery_echo_matches(BatteryMode.HOLD, answer(0))  # nothing is controllable
    assert not battery_echo_matches(BatteryMode.HOLD, answer("hold"))
    assert not battery_echo_matches(BatteryMode.HOLD, answer(2, 409))


# --- what a real evcc said -----------------------------------------------------------------------


def states() -> list[tuple[str, object]]:
    """Every recorded state with its name."""
    if not RECORDED.is_dir():
        return []
    files = [REFERENCE / "evcc-state-sample.json", RECORDED / "state-demo.json"]
    found: list[tuple[str, object]] = [(path.stem, json.loads(path.read_text())) for path in files]
    return found + [(path.stem, json.loads(path.read_text())["state"]) for path in OTHERS]


def requests(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(json.loads(path.read_text())["requests"])


def said_by_evcc() -> list[dict[str, Any]]:
    return [one for path in (RECORDED / "requests-demo.jsonl", *OTHERS) for one in requests(path)]


@recorded
@pytest.mark.parametrize(("name", "recording"), states(), ids=lambda v: v if v is str else None)
def test_recorded_states_are_read(name: str, recording: object) -> None:
    site = site_from(json.dumps(recording).encode())
    assert site == site_from(recording)
    assert site.version.startswith("0."), name
    assert None not in (site.grid_import_w, site.pv_w, site.home_w)
    assert site.battery is not None
    assert site.battery.capacity_kwh == 13.4
    assert site.battery.controllable
    assert site.loadpoints[0].vehicle == "vehicle_1"
    assert [lp.id for lp in site.loadpoints] == list(range(1, len(site.loadpoints) + 1))
    assert all(not lp.charger for lp in site.loadpoints if lp.title == "Heat pump")
    # home = grid + pv - charge - loadpoints: the recorded balance closes with our signs
    assert site.grid_import_w is not None
    assert site.pv_w is not None
    assert site.home_w is not None
    assert site.battery.charge_w is not None
    used_w = site.battery.charge_w + sum(lp.charge_w for lp in site.loadpoints)
    assert abs(site.grid_import_w + site.pv_w - used_w - site.home_w) < 1


@recorded
def test_recorded_tariffs_are_read() -> None:
    files = [
        *sorted(RECORDED.glob("tariff-*.json")),
        *sorted(REFERENCE.glob("evcc-tariff-*-sample.json")),
    ]
    assert len(files) == 7
    for path in files:
        tariff = tariff_from("grid", 200, path.read_bytes())
        assert tariff.rates is not None, path.name
        assert len(tariff.rates) == len(json.loads(path.read_text())["rates"])
    for one in said_by_evcc():
        if one["method"] == "GET" and one["path"].startswith("/api/tariff/"):
            body = one["answer"].encode()
            tariff = tariff_from(one["path"].rsplit("/", 1)[1], one["status"], body)
            assert (tariff.rates is None) == (one["status"] != 200)


@recorded
def test_inv_52_recorded_echoes_are_understood() -> None:
    """Every write of ours that a real evcc took is confirmed, every one that it refused is not."""
    seen: set[str] = set()
    for one in said_by_evcc():
        said = Answer(one["status"], str(one["answer"]).encode())
        if match := re.fullmatch(r"/api/batterymode/([a-z]+)", one["path"]):
            if one["method"] == "POST" and match[1] in tuple(BatteryMode):
                took = battery_echo_matches(BatteryMode(match[1]), said)
                assert took == (one["status"] == 200), one
                seen.add("battery")
            continue
        match = re.fullmatch(r"/api/loadpoints/1/(mode|limitsoc|limitenergy)/([\w.]+)", one["path"])
        if match is None or one["method"] != "POST":
            continue
        setting = {"limitsoc": "limit_soc", "limitenergy": "limit_energy"}.get(match[1], match[1])
        value: str | float = match[2]
        if setting != "mode":
            try:
                value = float(match[2])
            except ValueError:
                continue
        assert echo_matches(order(setting, value), said) == (one["status"] == 200), one
        seen.add(setting)
    assert seen == {"mode", "limit_soc", "limit_energy", "battery"}


WRITTEN = {
    "{id}": "1",
    "{mode}": "(off|now|minpv|pv|normal|hold|charge|holdcharge)",
    "{int}": r"\d+",
    "{n}": r"\d+(\.\d+)?",
}


def pattern(template: str) -> re.Pattern[str]:
    for placeholder, values in WRITTEN.items():
        template = template.replace(placeholder, values)
    return re.compile(template)


@recorded
def test_inv_51_every_write_was_answered_by_a_real_evcc() -> None:
    taken = [(one["method"], one["path"]) for one in said_by_evcc() if one["status"] == 200]
    for verb, template in WRITES:
        if template != "/api/auth/login":  # demo mode has no login: 403, so the route exists
            assert any(
                verb == method and pattern(template).fullmatch(path) for method, path in taken
            ), (verb, template)


@recorded
def test_inv_51_every_write_is_in_the_route_list() -> None:
    text = (REFERENCE / "evcc-api.md").read_text()
    listed = {
        (verb, f"/api/loadpoints/{{id}}/{path}")
        for verb, path in re.findall(r"^\| (POST) `([\w/{}]+)`", text, re.MULTILINE)
    }
    listed |= {(verb, path) for verb, path in re.findall(r"`(POST) (/api/[\w/]+)`", text)}
    assert "| POST `batterymode/{mode}`, DELETE `batterymode` |" in text
    listed |= {("POST", "/api/batterymode/{mode}"), ("DELETE", "/api/batterymode")}
    names = {"{mode}": "{m}"}
    for verb, template in WRITES:
        if template.startswith("/api/loadpoints"):
            for ours, theirs in names.items():
                template = template.replace(ours, theirs)  # noqa: PLW2901
        assert (verb, template) in listed, (verb, template)


def test_inv_51_what_is_sent_is_in_the_table() -> None:
    sent = [
        path_for(order(setting, value, "carport"), SITE)
        for setting, value in [
            ("mode", "now"), ("mode", "pv"), ("mode", "off"), ("mode", "minpv"),
            ("limit_soc", 80), ("limit_energy", 12.5),
        ]
    ]  # fmt: skip
    sent += [battery_path(mode) for mode in BATTERY_ECHO if mode is not BatteryMode.UNKNOWN]
    templates = [pattern(template) for verb, template in WRITES if verb == "POST"]
    for path in sent:
        assert any(template.fullmatch(path) for template in templates), path
