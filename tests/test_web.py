"""Status, health and the app over a window: whole, honest, read-only."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import VirtualClock
from engine.findings import Finding
from engine.messages import (
    ActorFailed,
    ConfigRead,
    EvccRead,
    EvccSilent,
    HandsOff,
    Message,
    OrderFailed,
    RatesChanged,
    StateChanged,
)
from engine.settings import Settings, SiteSettings
from engine.values import Battery, HomeState, Series, Site, Vehicle, Why
from tests.make_status import (
    NOW,
    SLOTS,
    at_risk,
    make_messages,
    make_plan,
    make_rates,
    make_site,
    make_state,
)
from web.app import create_app
from web.errors import create_error_app
from web.feed import Window
from web.health import health
from web.status import balanced_home_w, status
from web.stream import Encoder


def window_of(*messages: Message) -> Window:
    window = Window(VirtualClock(NOW))
    for message in messages:
        list(window.on(message))  # type: ignore[arg-type]
    return window


def client_of(*messages: Message) -> FlaskClient:
    return create_app(window_of(*messages), VirtualClock(NOW)).test_client()


def with_site(site: Site) -> dict[str, Any]:
    """The status of a home that was read once."""
    made = make_state(site=site, rates_revision=0, plan_revision=0)
    return status(window_of(StateChanged(NOW, made)).snapshot, NOW)


def plain(value: Any) -> Any:
    """As a reader of the JSON gets it."""
    return msgspec.json.decode(msgspec.json.encode(value))


# --- status ---------------------------------------------------------------------------------------


def test_status_has_what_others_rely_on() -> None:
    found = plain(status(window_of(*make_messages()).snapshot, NOW))
    assert {"revision", "at", "grid_import_w", "pv_w", "home_w", "prices", "forecast", "control",
            "why"} <= found.keys()  # fmt: skip
    assert (
        found["battery"] | {"soc_pct": 62.0, "charge_w": -1240.0, "mode": "normal"}
        == (found["battery"])
    )
    names = {"name", "mode", "connected", "charge_w", "vehicle", "vehicle_soc_pct"}
    assert names <= found["loadpoints"][0].keys()
    assert {"name", "soc_pct", "source", "measured_at"} <= found["vehicles"][0].keys()
    assert {"revision", "made_at", "slots", "cost_eur"} <= found["plan"].keys()
    assert {"setting", "owner", "since", "until", "why"} <= found["in_control"][0].keys()
    assert len(found["plan"]["slots"]) == SLOTS
    assert found["plan"]["revision"] == found["plan_revision"]


@pytest.mark.parametrize("evcc_home_w", [None, 0.0, 5000.0])
def test_the_shown_powers_balance_whatever_evcc_says_of_the_house(
    evcc_home_w: float | None,
) -> None:
    site = msgspec.structs.replace(make_site(), home_w=evcc_home_w)
    found = with_site(site)
    charged = sum(one["charge_w"] for one in found["loadpoints"])
    balance = found["grid_import_w"] + found["pv_w"] - found["battery"]["charge_w"] - charged
    assert found["home_w"] == pytest.approx(balance)
    assert found["evcc_home_w"] == evcc_home_w


watts = st.floats(-30_000, 30_000)


@given(grid=watts, pv=st.none() | watts, charge=st.none() | watts, car=st.floats(0, 22_000))
def test_the_balance_holds_for_all_powers(
    grid: float, pv: float | None, charge: float | None, car: float
) -> None:
    site = make_site()
    loadpoint = msgspec.structs.replace(site.loadpoints[0], charge_w=car)
    battery = msgspec.structs.replace(site.battery, charge_w=charge) if site.battery else None
    site = msgspec.structs.replace(
        site, grid_import_w=grid, pv_w=pv, battery=battery, loadpoints=(loadpoint,)
    )
    home = balanced_home_w(site)
    if charge is None:
        assert home == site.home_w
    else:
        assert home == pytest.approx(grid + (pv or 0) - charge - car, abs=1e-5)


def test_every_reason_is_said_in_both_languages() -> None:
    def reasons(value: Any) -> list[dict[str, Any]]:
        if isinstance(value, dict):
            inner = [one for part in value.values() for one in reasons(part)]
            return [value, *inner] if "code" in value else inner
        return [one for part in value for one in reasons(part)] if isinstance(value, list) else []

    found = reasons(plain(status(window_of(*make_messages()).snapshot, NOW)))
    assert len(found) > 20
    for one in found:
        assert one["de"]
        assert one["en"]
        assert isinstance(one["numbers"], dict)


def test_blocks_cover_the_plan_without_gaps_or_overlap() -> None:
    found = status(window_of(*make_messages()).snapshot, NOW)["plan"]
    for lane in (None, "twingo", "ev9"):
        blocks = [block for block in found["blocks"] if block["name"] == lane]
        assert blocks[0]["start"] == NOW
        for one, other in pairwise(blocks):
            assert one["end"] == other["start"]
            assert (one["kind"], one["mode"]) != (other["kind"], other["mode"])
    energy = sum(block["energy_kwh"] for block in found["blocks"] if block["name"] == "twingo")
    slots = found["slots"]
    assert energy == pytest.approx(
        sum(s["cars"][0]["charge_kw"] * s["duration_s"] / 3600 for s in slots), abs=0.01
    )


def test_doing_says_what_is_wanted_now_and_when_a_waiting_car_charges() -> None:
    battery, twingo, _ = status(window_of(*make_messages()).snapshot, NOW)["doing"]
    assert (battery["lane"], battery["name"], battery["kind"]) == ("battery", None, "serve")
    assert battery["power_kw"] < 0
    assert (twingo["name"], twingo["kind"], twingo["mode"]) == ("twingo", "idle", "pv")
    assert twingo["next_charge_at"] > NOW
    assert twingo["why"]["code"] == "car_waits"


def test_a_question_to_a_driver_is_open_until_the_car_is_there_or_a_day_has_passed() -> None:
    window = window_of(*make_messages())
    assert [one["vehicle"] for one in status(window.snapshot, NOW)["drivers_asked"]] == ["ev9"]
    site = make_site()
    there = msgspec.structs.replace(site.loadpoints[0], vehicle="EV9")
    site = msgspec.structs.replace(site, loadpoints=(there,))
    list(window.on(StateChanged(NOW, make_state(11, site=site))))
    assert status(window.snapshot, NOW)["drivers_asked"] == []
    late = make_state(12, NOW + timedelta(hours=25))
    list(window.on(StateChanged(late.at, late)))
    assert status(window.snapshot, late.at)["drivers_asked"] == []


def test_inv_113_live_values_are_as_fresh_as_the_newest_reading() -> None:
    window = window_of(*make_messages())
    encoder = Encoder(VirtualClock(NOW))
    assert msgspec.json.decode(encoder.status(window.snapshot))["grid_import_w"] == 980.0
    newer = make_state(11, site=make_site(grid_import_w=-410.0), measured_at=NOW)
    list(window.on(StateChanged(NOW, newer)))
    found = msgspec.json.decode(encoder.status(window.snapshot))
    assert (found["revision"], found["grid_import_w"]) == (11, -410.0)
    assert found["measured_at"] == "2026-01-14T17:05:00Z"


def test_inv_118_times_are_utc_and_the_homes_zone_goes_with_them() -> None:
    settings = Settings(site=SiteSettings(zone="Australia/Lord_Howe"))
    found = plain(status(window_of(ConfigRead(NOW, settings), *make_messages()[1:]).snapshot, NOW))
    assert found["zone"] == "Australia/Lord_Howe"
    times = [
        found["at"],
        found["now"],
        found["plan"]["made_at"],
        found["plan"]["slots"][0]["start"],
    ]
    assert all(at.endswith("Z") for at in times)


def test_inv_151_without_tariffs_the_status_degrades_and_is_not_blank() -> None:
    lost = RatesChanged(NOW, 1, Series(NOW), Series(NOW), Series(NOW), grid_failed_since=NOW)
    messages = [m for m in make_messages() if not isinstance(m, RatesChanged)]
    found = plain(status(window_of(lost, *messages).snapshot, NOW))
    assert found["prices"]["import_eur_kwh"]["values"] == []
    assert found["prices"]["grid_failed_since"] == "2026-01-14T17:05:00Z"
    assert found["grid_import_w"] == 980.0
    assert len(found["plan"]["slots"]) == SLOTS
    assert "tariff_failed" in found["health"]["problems"]


def test_inv_152_absent_optional_values_are_null_and_break_nothing() -> None:
    bare = Site("", "", "EUR", 10, None, None, None, None, (), ())
    found = plain(with_site(bare))
    assert (found["grid_import_w"], found["home_w"], found["battery"]) == (None, None, None)
    dark = msgspec.structs.replace(
        bare, battery=Battery(None, None, None), home_w=200.0, grid_import_w=1.0
    )
    found = plain(with_site(dark))
    assert (found["home_w"], found["battery"]["soc_pct"]) == (200.0, None)
    unknown = HomeState(1, NOW, site=make_site(), vehicles=(Vehicle("x", "", None),))
    found = plain(status(window_of(StateChanged(NOW, unknown)).snapshot, NOW))
    assert (
        found["vehicles"][0] | {"title": "x", "soc_pct": None, "measured_at": None}
        == (found["vehicles"][0])
    )


# --- health ---------------------------------------------------------------------------------------


def test_inv_155_health_covers_construction_and_run_time() -> None:
    window = window_of()
    assert health(window.snapshot, NOW, {})["status"] == "starting"
    assert "evcc" in health(window.snapshot, NOW, {})["missing"]
    window = window_of(*make_messages())
    vitals = {"ticked_at": NOW, "waiting": {"Optimizer": 3}, "actors": ["Optimizer"]}
    found = health(window.snapshot, NOW + timedelta(seconds=20), vitals)
    assert (found["status"], found["missing"]) == ("ok", [])
    assert found["evcc"]["read_age_s"] == found["plan"]["age_s"] == 20
    assert found["plan"]["rung"] == "lp"
    assert found["last_write"]["age_s"] == 20
    assert found["runtime"] == vitals


@pytest.mark.parametrize(
    ("news", "later_s", "vitals", "problem"),
    [
        (EvccSilent(NOW, "refused"), 0, {}, "evcc_silent"),
        (EvccRead(NOW, make_site()), 121, {}, "reading_too_old"),
        (EvccRead(NOW, make_site()), 3600, {}, "plan_too_old"),
        (ActorFailed(NOW, "Optimizer", "Tick", "boom"), 0, {}, "failed:Optimizer"),
        (HandsOff(NOW, Why("hands_off")), 0, {}, "hands_off"),
        (EvccRead(NOW, make_site()), 0, {"hands_off": True}, "hands_off"),
        (EvccRead(NOW, make_site()), 100, {"ticked_at": NOW}, "clock_stands"),
        (EvccRead(NOW, make_site()), 0, {"waiting": {"Log": 5000}}, "behind:Log"),
    ],
)
def test_inv_155_what_is_wrong_at_run_time_is_named_and_reaches_the_page(
    news: Message, later_s: float, vitals: dict[str, Any], problem: str
) -> None:
    window = window_of(*make_messages(), news)
    now = NOW + timedelta(seconds=later_s)
    found = health(window.snapshot, now, vitals)
    assert found["status"] == "degraded"
    assert problem in found["problems"]
    assert problem in status(window.snapshot, now, vitals)["health"]["problems"]


def test_a_failed_write_is_a_problem_until_one_succeeds() -> None:
    messages = make_messages()
    order = next(m.order for m in messages if hasattr(m, "order"))
    window = window_of(*messages, OrderFailed(NOW, order, "HTTP 500"))
    assert "write_failed" in health(window.snapshot, NOW, {})["problems"]
    assert status(window.snapshot, NOW)["writes"][-1]["reason"] == "HTTP 500"
    list(window.on(messages[-1]))  # type: ignore[arg-type]
    assert "write_failed" not in health(window.snapshot, NOW, {})["problems"]


def test_troubles_name_a_failed_actor_once() -> None:
    known = Why("actor_failed", (("actor", "Optimizer"), ("error", "boom")))
    made = make_state(troubles=(known,))
    messages = [m for m in make_messages() if not isinstance(m, StateChanged)]
    failures = [ActorFailed(NOW, name, "Tick", "boom, at length") for name in ("Optimizer", "Log")]
    window = window_of(*messages, StateChanged(NOW, made), *failures)
    found = status(window.snapshot, NOW)["troubles"]
    assert [one["numbers"]["actor"] for one in found] == ["Optimizer", "Log"]


def test_a_goal_at_risk_is_in_the_status() -> None:
    messages = [at_risk(m) if m == make_plan() else m for m in make_messages()]
    found = plain(status(window_of(*messages).snapshot, NOW))
    assert found["plan"]["shortfalls"] == [
        {"goal": "departure", "name": "twingo", "missing_kwh": 3.5, "missing_pct": 16.0,
         "by": "2026-01-15T06:00:00Z"}
    ]  # fmt: skip


# --- the app --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/status", "/health", "/static/app.js"])
def test_inv_153_every_endpoint_answers_during_start_up(path: str) -> None:
    with client_of().get(path) as answer:
        assert answer.status_code == 200
        assert answer.data


def test_inv_166_status_and_stream_are_encoded_by_the_same_code() -> None:
    window = window_of(*make_messages())
    client = create_app(window, VirtualClock(NOW)).test_client()
    answer = client.get("/status")
    assert answer.mimetype == "application/json"
    assert answer.json == plain(status(window.snapshot, NOW))


def test_inv_154_failures_have_their_http_status_and_say_so_in_json() -> None:
    client = client_of()
    assert client.get("/nothing").status_code == 404
    assert client.get("/nothing").json == {
        "error": "Not Found",
        "detail": client.get("/nothing").json["detail"],
    }
    assert client.get("/events?sparing=maybe").status_code == 400


@pytest.mark.parametrize("path", ["/", "/status", "/health", "/events", "/static/app.js"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_window_is_strictly_read_only(method: str, path: str) -> None:
    answer = client_of().open(path, method=method, data="{", content_type="application/json")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.json


def test_inv_156_static_delivery_is_confined_to_its_folder() -> None:
    client = client_of()
    for path in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "i18n/../../app.py"):
        assert client.get(f"/static/{path}").status_code == 404


def test_inv_158_no_cors_header_and_the_security_headers_on_everything() -> None:
    client = client_of(*make_messages())
    for path in ("/", "/status", "/nothing", "/static/style.css"):
        with client.get(path, headers={"Origin": "http://evil.example"}) as answer:
            assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
    assert client.get("/status").headers["Cache-Control"] == "no-store"


def test_a_head_of_the_stream_leaves_no_client_behind() -> None:
    window = window_of()
    answer = create_app(window, VirtualClock(NOW)).test_client().head("/events")
    assert answer.status_code == 200
    assert window.streams == 0


def test_inv_146_an_unusable_configuration_leaves_only_the_error_page() -> None:
    finding = Finding(
        field="cars[0].target_soc_pct", value="<b>180</b>", allowed="0 to 100 %",
        problem="is too large", suggestion="write 80",
    )  # fmt: skip
    client = create_error_app([finding]).test_client()
    page = client.get("/")
    assert page.status_code == 503
    for text in ("cars[0].target_soc_pct", "0 to 100 %", "write 80", "&lt;b&gt;180&lt;/b&gt;"):
        assert text in page.text
    for path in ("/health", "/status", "/events"):
        assert client.get(path).status_code == 503
        assert client.get(path).json["findings"][0]["allowed"] == "0 to 100 %"
    assert client.post("/").status_code == 405


def test_rates_of_another_revision_are_not_shown_with_this_state() -> None:
    window = window_of(*make_messages(), make_rates(2))
    assert status(window.snapshot, NOW)["prices"]["revision"] == 1
