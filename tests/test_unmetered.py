"""While a meter has failed nothing is decided on it, and departures are kept all the same."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Said
from engine.messages import BatteryModeStands, Order, OwnershipChanged, Tick
from engine.settings import CarSettings, SiteSettings
from engine.values import BatteryMode, FailedMeter, Loadpoint, Why
from tests.make_actuator import (
    LIMIT_80,
    MINPV,
    NOW,
    T0,
    actuator,
    after,
    charging,
    confirm,
    loadpoint,
    orders,
    owned,
    plan_of,
    site,
    state,
    tell,
    turns,
)

SIX = after(5 * 3600)
SINCE = after(-600)
FAILED = Why("meters_failed", (("meter", "grid_meter"), ("since_at", SINCE.isoformat())))
KIA = CarSettings("kia", phases=3, max_power_kw=11.0, charge_efficiency=0.9)
START = after(2 * 3600)
"""24 kWh through 90 % at 11 kW take 2 h 25 min; half an hour to spare: 2:05 after the start."""
DEADLINE = Why("car_deadline_unmetered", (("vehicle", "kia"), ("departure_at", SIX.isoformat())))
WAITS = Why("car_waits_unmetered", (("vehicle", "kia"), ("next_at", START.isoformat())))


def failed(*names: str) -> tuple[FailedMeter, ...]:
    return tuple(FailedMeter(name, SINCE, Why("meter_frozen")) for name in names or ("grid",))


def blinded(lp: Loadpoint | None = None, *, limit_kw: float | None = None, **turn: Any) -> Actuator:
    """A plan that wants the battery held and the car fast, and then a dead meter."""
    settings = SiteSettings(grid_import_limit_kw=limit_kw)
    home = site(lp or loadpoint())
    actor = actuator(cars=(KIA,), site=settings, home=home)
    tell(actor, turns(**({"departure": SIX} | turn)))
    return actor


def read(
    actor: Actuator, at: datetime, *names: str, lp: Loadpoint | None = None, **home: Any
) -> list[Said]:
    return tell(actor, state(at, site(lp or loadpoint(), **home), failed_meters=failed(*names)))


def why_now(actor: Actuator) -> tuple[str, Why]:
    (mode,) = [one for one in actor.memory.in_control if one.setting.endswith(":mode")]
    return mode.owner, mode.why


def test_what_was_planned_is_not_acted_on_and_the_battery_is_released() -> None:
    actor = blinded()
    read(actor, after(1))
    assert list(actor.on(plan_of(NOW, battery=BatteryMode.HOLD, made_at=after(2)))) == []
    assert list(actor.on(Tick(after(10)))) == [BatteryModeStands(after(10), None, FAILED, None, 7)]
    assert why_now(actor) == ("smartload", WAITS)


@pytest.mark.parametrize("meter", ["grid", "home", "pv", "battery"])
def test_inv_18_a_deadline_charges_at_its_latest_safe_start(meter: str) -> None:
    actor = blinded()
    assert orders(read(actor, START - timedelta(seconds=30), meter)) == []
    said = read(actor, START + timedelta(seconds=1), meter)
    assert [one for one in said if isinstance(one, Order)] == [
        Order(START + timedelta(seconds=1), 1, "garage", "limit_soc", 80.0, LIMIT_80, SIX)
    ]
    (begin,) = [one for one in confirm(actor, said, START) if isinstance(one, Order)]
    assert (begin.setting, begin.value, begin.why, begin.until) == ("mode", "now", DEADLINE, SIX)


def test_a_wallboxs_own_meter_blinds_nobody() -> None:
    actor = blinded()
    read(actor, after(1), "loadpoint:garage")
    assert orders(tell(actor, plan_of(NOW, made_at=after(2)))) == [("limit_soc", 80.0)]


def test_what_goes_on_for_a_departure_goes_on_and_anything_else_ends_in_pv() -> None:
    shown = loadpoint(mode=NOW, limit_soc_pct=80.0, enabled=True, charging=True, charge_w=11e3)
    actor = charging()
    tell(actor, turns(after(30), departure=SIX))
    assert orders(read(actor, after(40), lp=shown)) == []
    assert why_now(actor)[1].code == "car_deadline_unmetered"
    actor = charging()
    said = read(actor, after(40), lp=shown)
    assert orders(said) == [("mode", "pv")]
    assert orders(confirm(actor, said, after(41))) == [("limit_soc", 0.0)]
    assert owned("evcc", FAILED) == replace(actor.memory.in_control[1], since=T0)


def test_what_was_never_touched_stays_as_it_is() -> None:
    actor = blinded(loadpoint(mode=MINPV), departure=None)
    assert orders(read(actor, after(1), lp=loadpoint(mode=MINPV))) == []
    assert why_now(actor) == ("evcc", FAILED)


def test_a_full_car_and_a_departure_that_is_over_ask_for_nothing() -> None:
    for turn in ({"need_kwh": 0.0}, {"departure": after(-60)}):
        actor = blinded(**turn)
        assert orders(read(actor, after(1))) == []
        assert why_now(actor) == ("evcc", FAILED)
    late = blinded(departure=None, immediate=True)
    assert orders(read(late, after(1))) == [("limit_soc", 80.0)]


def test_without_a_new_plan_it_ends_soon_after_the_meter_is_back() -> None:
    actor = blinded()
    confirm(actor, read(actor, START + timedelta(seconds=1)), START)
    later = START + timedelta(seconds=90)
    shown = loadpoint(mode=NOW, limit_soc_pct=80.0)
    assert orders(tell(actor, state(later, site(shown)))) == []  # the new plan is under way
    later += timedelta(seconds=61)
    assert orders(tell(actor, state(later, site(shown)))) == [("mode", "pv")]


def test_an_old_reading_stays_blind() -> None:
    actor = blinded()
    read(actor, after(1))
    late = START + timedelta(hours=1)
    assert list(actor.on(Tick(late))) == [
        BatteryModeStands(late, None, Why("reading_too_old", (("age_s", 3 * 3600 - 1),)), None, 0),
        OwnershipChanged(late, actor.memory.settings.control, actor.memory.in_control),
    ]


# --- the fuse -------------------------------------------------------------------------------------

LEAST = Why("car_unmeasured_least", (("vehicle", "kia"),))
REFUSED = Why("car_unmeasured", (("vehicle", "kia"),))


@pytest.mark.parametrize(
    ("limit_kw", "import_w", "value", "why"),
    [
        (17.0, 500.0, "minpv", LEAST),  # 3 x 6 A are 4.1 kW
        (8.3, 500.0, "minpv", LEAST),
        (8.2, 500.0, None, REFUSED),
        (17.0, -300.0, None, REFUSED),  # it would follow a sun that stands still
        (17.0, None, "minpv", LEAST),
    ],
)
def test_where_nobody_measures_the_import_a_deadline_gets_the_least_power(
    limit_kw: float, import_w: float | None, value: str | None, why: Why
) -> None:
    actor = blinded(limit_kw=limit_kw)
    # 24 kWh through 90 % at 4.1 kW take 6.4 hours: at once
    said = read(actor, after(1), grid_import_w=import_w)
    said += confirm(actor, said, after(2))
    assert dict(orders(said)).get("mode") == value
    assert why_now(actor) == ("smartload", why)


def test_where_the_import_is_measured_the_fuse_decides_as_ever() -> None:
    at = START + timedelta(seconds=1)
    for limit_kw, mode in [(17.0, "now"), (9.0, "minpv"), (3.0, None)]:
        actor = blinded(limit_kw=limit_kw)
        said = read(actor, at, "pv")
        said += confirm(actor, said, at)
        assert dict(orders(said)).get("mode") == mode


def test_cars_share_the_half_that_is_safe() -> None:
    """Two at their least power are too much for it, whoever comes first."""
    both = (loadpoint(), loadpoint("carport", id=2, vehicle="zoe"))
    for limit_kw, modes in [(17.0, {"minpv"}), (16.0, set())]:
        actor = actuator(
            cars=(KIA,), site=SiteSettings(grid_import_limit_kw=limit_kw), home=site(*both)
        )
        (one,) = turns(departure=SIX).turns
        tell(actor, replace(turns(), turns=(one, replace(one, loadpoint="carport", vehicle="zoe"))))
        said = tell(actor, state(after(1), site(*both), failed_meters=failed()))
        said += confirm(actor, said, after(2))
        assert {str(value) for setting, value in orders(said) if setting == "mode"} == modes


def test_the_users_own_lower_limit_is_kept() -> None:
    user = loadpoint(limit_soc_pct=60.0)
    actor = blinded(user)
    said = read(actor, START + timedelta(seconds=1), lp=user)
    assert orders(said) == [("mode", "now")]
