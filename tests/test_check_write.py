"""`smartload check --write` against the pretend evcc, whose inverter the tests know.

The home has one cycle each 10 s, a battery of 10 kWh at 50 %, and 500 W of load.
"""

from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from engine.check_may import intentions
from engine.check_write import sleeper, try_out
from engine.clock import WallClock
from engine.evcc_http import HttpTransport
from engine.evcc_json import site_from
from engine.evcc_writes import WRITES
from engine.home import CHARGE, HOLD, NORMAL, UNKNOWN
from engine.settings import BatterySettings, Settings, SiteSettings
from engine.transport import Answer
from sim.evcc import PretendEvcc
from sim.evcc_process import save
from sim.evcc_server import EvccServer
from sim.scenario import Happening, SimLoadpoint
from tests.make_check import (
    FRESH,
    NIGHT,
    NOBODY,
    NOON,
    NOT_OBEYED,
    NOT_TRIED,
    UNCLEAR,
    WORKS,
    Bench,
    all_given_back,
    battery_of,
    outcomes,
    swallow,
)
from tests.make_evcc import BATTERY, START, ScriptedWorld, post, scenario, state

# --- what the inverter does -----------------------------------------------------------------------


def test_at_night_hold_and_charge_are_proven_and_everything_is_given_back() -> None:
    bench = Bench(**NOBODY)
    report = bench.try_out()
    assert battery_of(report) == (WORKS, WORKS, UNCLEAR), report
    assert report.hold_charges_from_pv is None  # no sun shows it
    assert report.charge_power_kw == 5.0
    assert report.problems == ()
    all_given_back(bench, FRESH)


@pytest.mark.parametrize("charges", [True, False])
def test_the_sun_shows_whether_hold_charges_and_that_holdcharge_works(charges: bool) -> None:
    battery = replace(BATTERY, hold_charges_from_pv=charges)
    bench = Bench(NOON, battery=battery, **NOBODY)
    report = bench.try_out()
    assert battery_of(report) == (UNCLEAR if charges else WORKS, WORKS, WORKS), report
    assert report.hold_charges_from_pv is charges
    all_given_back(bench, FRESH)


def test_a_full_battery_shows_nothing_of_charge_and_holdcharge() -> None:
    bench = Bench(NOON, battery=replace(BATTERY, soc_pct=100.0), **NOBODY)
    report = bench.try_out()
    assert battery_of(report) == (UNCLEAR, UNCLEAR, UNCLEAR)
    assert "full" in next(one.why for one in report.tried if one.setting == "charge")
    assert report.hold_charges_from_pv is None
    assert report.charge_power_kw is None
    assert report.problems == ()


def test_an_empty_battery_shows_nothing_of_hold() -> None:
    bench = Bench(battery=replace(BATTERY, soc_pct=5.0, floor_soc_pct=5.0), **NOBODY)
    report = bench.try_out()
    assert battery_of(report)[:2] == (UNCLEAR, WORKS)


def test_a_home_without_battery_and_one_that_evcc_cannot_control() -> None:
    report = (bench := Bench(battery=None, **NOBODY)).try_out()
    assert battery_of(report) == (NOT_TRIED,) * 3
    assert not any("batterymode" in path for path in bench.seen)
    assert outcomes(report)["mode"] is WORKS


# --- swallowed writes (evcc-api.md §4) ------------------------------------------------------------


def test_a_swallowed_charge_is_asked_for_again() -> None:
    bench = Bench(**NOBODY)
    swallow(bench, "POST /api/batterymode/charge", 1)
    report = bench.try_out()
    assert report.outcome("charge") is WORKS
    assert "asked again" in next(one.why for one in report.tried if one.setting == "charge")
    assert bench.seen.count("POST /api/batterymode/charge") > 2
    all_given_back(bench, FRESH)


def test_an_inverter_that_never_takes_hold_is_shown_as_not_obeying() -> None:
    bench = Bench(NIGHT, **NOBODY)
    swallow(bench, "POST /api/batterymode/hold", 100)
    report = bench.try_out()
    assert battery_of(report) == (NOT_OBEYED, WORKS, UNCLEAR), report
    all_given_back(bench, FRESH)


def test_a_swallowed_release_is_seen_by_the_power_and_mended() -> None:
    bench = Bench(NIGHT, **NOBODY)
    charged = [False]

    def before(request: str) -> None:
        if request == "POST /api/batterymode/charge":
            charged[0] = True
        if request == "POST /api/batterymode/normal" and charged[0]:
            bench.evcc.device("battery_write_error", True)
        if request == "POST /api/batterymode/hold":
            charged[0] = False
            bench.evcc.device("battery_write_error", False)

    bench.before = before
    report = bench.try_out()
    assert report.outcome("charge") is WORKS
    assert any("goes on charging" in line for line in bench.said)
    assert report.problems == ()
    all_given_back(bench, FRESH)


def test_an_inverter_that_cannot_be_released_is_said_to_be_so() -> None:
    bench = Bench(NIGHT, **NOBODY)

    def before(request: str) -> None:
        if request == "POST /api/batterymode/normal":
            bench.evcc.device("battery_write_error", True)

    bench.before = before
    report = bench.try_out()
    assert bench.inverter() == HOLD
    (problem,) = report.problems
    assert "gives nothing to the house" in problem
    assert "restart evcc" in problem


# --- evcc dies, the user stops it -----------------------------------------------------------------


@pytest.mark.parametrize("at_s", [1, 20, 37, 70, 95, 150, 180, 215, 260])
@pytest.mark.parametrize("down_s", [5, 100])
def test_whenever_evcc_is_killed_all_is_given_back_once_it_is_there(at_s: int, down_s: int) -> None:
    dies = START + timedelta(seconds=at_s)
    back = dies + timedelta(seconds=down_s)
    bench = Bench(NIGHT, (Happening(dies, "evcc_kill", until=back),), **NOBODY)
    bench.try_out()
    all_given_back(bench, FRESH)


def test_a_setting_that_a_killed_evcc_brings_back_is_given_back_again() -> None:
    """evcc writes its settings once a minute: a kill loses the newer ones (evcc-api.md §3.4)."""
    none = SimLoadpoint("lp-1", mode="none")  # evcc.yaml sets none, so the saved one counts
    bench = Bench(loadpoints=(none,), cars=())
    post(bench.evcc, "loadpoints/1/mode/pv")

    def before(request: str) -> None:
        if bench.seen[-1:] == ["POST /api/loadpoints/1/mode/off"]:
            bench.evcc.process.saved = save(bench.evcc.home)  # its minute is over just now
        if request == "POST /api/batterymode/hold" and bench.evcc.process.saved:
            bench.evcc.kill()
            bench.evcc.start()
            bench.before = lambda _: None

    bench.before = before
    report = bench.try_out()
    assert bench.seen.count("POST /api/loadpoints/1/mode/pv") == 2
    assert all("fell silent" in one for one in report.problems)
    all_given_back(bench, FRESH)


def test_an_evcc_that_stays_away_is_reported_with_what_is_open() -> None:
    bench = Bench(**NOBODY)

    def before(request: str) -> None:
        if "charge" in request and bench.inverter() == CHARGE:
            bench.evcc.kill()

    bench.before = before
    report = bench.try_out()
    assert any("battery mode could not be given back" in one for one in report.problems)
    assert any("fell silent" in one for one in report.problems)
    assert bench.inverter() == CHARGE  # that is what the problem says


@pytest.mark.parametrize("after_s", [0, 3, 15, 40, 90, 150, 170, 200, 240])
def test_stopped_at_any_moment_all_is_given_back(after_s: int) -> None:
    bench = Bench(**NOBODY)
    bench.stop_at = START + timedelta(seconds=after_s)
    report = bench.try_out()
    assert report.stopped
    assert report.problems == ()
    assert bench.clock.now() < bench.stop_at + timedelta(seconds=60)
    all_given_back(bench, FRESH)


def test_a_second_ctrl_c_says_what_is_open() -> None:
    bench = Bench(**NOBODY)

    def before(request: str) -> None:
        if request == "POST /api/batterymode/normal":
            raise KeyboardInterrupt

    bench.before = before
    report = bench.try_out()
    assert report.stopped
    assert any("the battery mode" in one for one in report.problems)


# --- loadpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["off", "pv", "minpv", "now"])
def test_without_a_car_each_setting_goes_there_and_back(mode: str) -> None:
    bench = Bench(loadpoints=(SimLoadpoint("lp-1", mode="pv"),), cars=(), battery=None)
    post(bench.evcc, f"loadpoints/1/mode/{mode}")
    post(bench.evcc, "loadpoints/1/limitsoc/100")
    post(bench.evcc, "loadpoints/1/limitenergy/12.5")
    report = bench.try_out()
    found = outcomes(report)
    assert [found[one] for one in ("mode", "limit_soc", "limit_energy")] == [WORKS] * 3, report
    assert "POST /api/loadpoints/1/limitsoc/99" in bench.seen
    all_given_back(bench, [[mode, 100, 12.5]])


@pytest.mark.parametrize("mode", ["off", "pv", "minpv", "now"])
@pytest.mark.parametrize("pv_w", [NIGHT, 9000.0])
def test_a_car_that_is_there_is_neither_started_nor_stopped(mode: str, pv_w: float) -> None:
    bench = Bench(pv_w, battery=None)
    post(bench.evcc, f"loadpoints/1/mode/{mode}")
    bench.clock.move_to(START + timedelta(minutes=10))
    charging = state(bench.evcc)["loadpoints"][0]["charging"]
    orders = len(bench.evcc.orders)
    report = bench.try_out()
    assert outcomes(report)["limit_soc"] is NOT_TRIED
    tried = mode == "pv" and pv_w == NIGHT
    assert outcomes(report)["mode"] is (WORKS if tried else NOT_TRIED)
    assert len(bench.seen) == (2 if tried else 0)
    assert state(bench.evcc)["loadpoints"][0]["charging"] is charging
    assert bench.evcc.orders[orders:] == []


def test_what_a_human_sets_meanwhile_stays() -> None:
    bench = Bench(battery=None, **NOBODY)
    human: list[Answer] = []

    def before(request: str) -> None:
        tried = "POST /api/loadpoints/1/mode/off" in bench.seen
        if request == "GET /api/state" and tried and not human:
            human.append(bench.evcc.request("POST", "/api/loadpoints/1/mode/minpv"))

    bench.before = before
    bench.try_out()
    assert state(bench.evcc)["loadpoints"][0]["mode"] == "minpv"


# --- what is left alone ---------------------------------------------------------------------------


def test_a_battery_that_somebody_else_controls_is_left_alone() -> None:
    bench = Bench(**NOBODY)
    post(bench.evcc, "batterymode/hold")
    report = bench.try_out()
    assert battery_of(report) == (NOT_TRIED,) * 3
    assert "stop that controller" in report.tried[-1].why
    assert not any("batterymode" in path for path in bench.seen)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(site=SiteSettings(grid_import_limit_kw=5.2)),
        Settings(battery=BatterySettings(grid_charging=False)),
    ],
)
def test_charge_is_not_tried_where_it_may_not_be(settings: Settings) -> None:
    bench = Bench(**NOBODY)
    bench.settings = settings
    post(bench.evcc, "batterydischargecontrol/false")
    bench.evcc.device("battery.soc_pct", 5)  # now the house draws 500 W from the grid
    bench.clock.move_to(START + timedelta(minutes=1))
    report = bench.try_out()
    assert report.outcome("charge") is NOT_TRIED
    assert not any(path.endswith("/charge") for path in bench.seen)
    site = site_from(bench.evcc.request("GET", "/api/state").body)
    assert any("charge: left alone" in line for line in intentions(site, settings))


def test_charge_is_ended_at_once_where_it_exceeds_the_limit() -> None:
    bench = Bench(**NOBODY)
    told = BatterySettings(charge_power_kw=2.0)  # it charges with 5 kW
    bench.settings = Settings(site=SiteSettings(grid_import_limit_kw=3.0), battery=told)
    report = bench.try_out()
    assert report.outcome("charge") is UNCLEAR
    assert bench.evcc.bill().import_kwh < 0.1
    all_given_back(bench, FRESH)


def test_only_owned_settings_are_written_and_no_mode_is_left_to_expire() -> None:
    bench = Bench(**NOBODY)
    bench.try_out()
    heads = {(verb, path.split("{")[0].replace("/api/", "")) for verb, path in WRITES}
    for request in bench.seen:
        verb, path = request.split()
        known = path.removeprefix("/api/").replace("loadpoints/1", "loadpoints/")
        assert any(verb == v and known.startswith(h.rstrip("/")) for v, h in heads), request
    posted = [one for one in bench.evcc.writes if "batterymode" in one.path]
    for one, then in pairwise(posted):
        if one.method == "POST":
            assert (then.at - one.at).total_seconds() < 50
        else:  # after a release, one whole cycle and 15 s
            assert (then.at - one.at).total_seconds() >= 25


# --- over HTTP ------------------------------------------------------------------------------------


def test_the_same_over_http() -> None:
    clock = WallClock(speed=200.0, start=START)
    evcc = PretendEvcc(scenario(evcc_interval_s=10.0, **NOBODY), ScriptedWorld(), clock)
    server = EvccServer(evcc, port=0)
    server.start()
    transport = HttpTransport(server.url)
    try:
        report = try_out(transport, clock, Settings(), wait_until=sleeper(clock))
    finally:
        transport.close()
        server.stop()
    assert battery_of(report) == (WORKS, WORKS, UNCLEAR), report
    assert report.problems == ()
    assert evcc.home.house.mode in (NORMAL, UNKNOWN)
