"""A car whose `now` does not fit gets its least current, where that fits."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.fuse import BAR, BATTERY, DEPARTS_SOON, Fuse, Limit, Load, refusal_of, weighed
from actors.fuse_fallbacks import least_load, least_name, with_least
from actors.orders import Wish
from actors.wishes import car_wish, fuse_of
from engine.values import ChargeMode, Site, Why
from tests.make_actuator import MINPV, NOW, PV, T0, after, loadpoint, site
from tests.test_fuse import desk_of, fused, view_of

LP = loadpoint()
FAST = Load(LP.name, 22_080.0, residue_w=4140.0)
LEAST = least_load(replace(FAST, full_w=4140.0), LP, settles=True)
STORE = Load(BATTERY, 5000.0, need=1)


def grid(drawn_w: float) -> tuple[Limit, ...]:
    return (Limit(drawn_w, 17_250.0),)


def both(drawn_w: float, *loads: Load, before: Fuse | None = None, second: int = 0) -> Fuse:
    known, limits, at = before or Fuse(), grid(drawn_w), after(second)
    first = weighed(known, limits, loads, at)
    car = next(one for one in loads if one.name == LP.name)
    leasts = () if LP.name in first.granted else (replace(LEAST, drawn_w=car.drawn_w),)
    return with_least(known, first, limits, loads, leasts, at=at)


def test_a_wallbox_stronger_than_the_connection_charges_at_its_least() -> None:
    assert both(1000.0, FAST).granted == (least_name(LP),)
    assert both(13_000.0, FAST).granted == ()
    assert both(13_000.0, FAST).refused[0].name == LP.name


def test_a_car_that_runs_comes_down_instead_of_stopping() -> None:
    """What it draws now is not what it will: the overshoot ends with that."""
    running = replace(FAST, full_w=11_040.0, drawn_w=11_000.0)
    over = both(18_000.0, running, before=Fuse((LP.name,)))
    assert over.granted == (least_name(LP),)
    why = refusal_of(over, LP.name)
    assert why is not None
    assert why.code == "car_fuse"
    # 4.1 kW are too much as well where the house alone draws so much
    assert both(25_000.0, running, before=Fuse((LP.name,))).granted == ()


def test_a_box_that_switches_phases_needs_room_for_all_of_them() -> None:
    """evcc goes down to one only minutes after `now` was taken away."""
    lp = loadpoint(can_switch_phases=True, phases_configured=0)
    least = least_load(replace(FAST, full_w=1380.0, phases=1), lp, settles=True)
    assert (least.full_w, least.residue_w, least.phases) == (4140.0, 4140.0, 3)


def test_the_least_is_kept_while_it_fits_and_now_comes_after_its_bar() -> None:
    running = replace(FAST, full_w=11_040.0, drawn_w=11_000.0)
    fuse = both(18_000.0, running, before=Fuse((LP.name,)))
    slow = replace(running, drawn_w=4140.0)
    fuse = both(5000.0, slow, before=fuse, second=30)
    assert fuse.granted == (least_name(LP),)
    fuse = both(5000.0, slow, before=fuse, second=int(BAR.total_seconds()))
    assert fuse.granted == (LP.name,)


def test_a_car_that_has_to_leave_gets_its_least_before_the_battery() -> None:
    soon = replace(FAST, need=DEPARTS_SOON)
    charging = replace(STORE, drawn_w=5000.0)
    least = replace(LEAST, need=DEPARTS_SOON)
    limits, before = grid(14_000.0), Fuse((BATTERY,))
    first = weighed(before, limits, (charging, soon), T0)
    assert first.granted == (BATTERY,)
    fuse = with_least(before, first, limits, (charging, soon), (least,), at=T0)
    assert fuse.granted == (least_name(LP),)
    why = refusal_of(fuse, BATTERY)
    assert why is not None
    assert why.code == "battery_fuse"


def wish_at(import_w: float, **changes: Any) -> Wish:
    home: Site = site(loadpoint(**changes), grid_import_w=import_w, battery=None)
    view = fused(view_of(home, T0))
    assert view.site is not None
    lp = view.site.loadpoints[0]
    return car_wish(view, desk_of(lp), lp)


@pytest.mark.parametrize(
    ("import_w", "mode", "code"),
    [
        (1000.0, NOW, None),
        (8000.0, MINPV, "car_fuse_least"),
        (15_000.0, PV, "car_fuse"),
    ],
)
def test_the_wish_says_so(import_w: float, mode: ChargeMode, code: str | None) -> None:
    wish = wish_at(import_w)
    assert wish.mode is mode
    if code is not None:
        numbers = {"vehicle": "kia", "limit_kw": 17.2, "adds_kw": 11.0}
        assert wish.why.code == code
        assert numbers.items() <= dict(wish.why.numbers).items()
    goal = wish.limit_soc_pct or wish.limit_energy_kwh
    assert (goal is None) is (mode is PV)  # what charges from the grid ends by itself


def test_an_unmeasured_import_grants_no_least() -> None:
    home = site(loadpoint(), grid_import_w=None)
    view = view_of(home, T0)
    fuse = fuse_of(view, (desk_of(home.loadpoints[0]),))
    assert fuse.granted == ()
    assert refusal_of(fuse, LP.name) == Why("car_unmeasured")
