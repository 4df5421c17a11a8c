"""What contradicts a mode, and what only looks so."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.contradictions import battery_contradicts, loadpoint_contradicts
from engine.values import BatteryMode
from tests.make_actuator import OFF, PV, loadpoint, site
from tests.make_proof import CHARGE, HOLD, HOLDCHARGE, NORMAL, READY, TOLD, home

# --- the battery: what contradicts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "charge_w", "grid_w", "soc_pct", "against"),
    [
        (HOLD, 0.0, 2000.0, 50.0, False),
        (HOLD, -800.0, 0.0, 50.0, True),
        (HOLD, -100.0, 0.0, 50.0, False),  # noise
        (HOLD, 5000.0, 5500.0, 50.0, True),  # from the grid
        (HOLD, 3000.0, -500.0, 50.0, False),  # from the sun
        (HOLD, 3000.0, 3500.0, 12.0, False),  # it protects itself
        (HOLD, 3000.0, None, 50.0, None),
        (CHARGE, 5000.0, 5500.0, 50.0, False),
        (CHARGE, 0.0, 500.0, 50.0, True),
        (CHARGE, -700.0, 0.0, 50.0, True),
        (CHARGE, 0.0, 500.0, 94.5, False),  # full
        (CHARGE, 0.0, 500.0, None, None),
        (HOLDCHARGE, 1000.0, -500.0, 50.0, True),
        (HOLDCHARGE, -1000.0, 0.0, 50.0, False),
        (None, -1000.0, 0.0, 50.0, False),
        (None, 2000.0, -500.0, 50.0, False),
        (None, 5000.0, 5500.0, 50.0, True),  # charges from the grid though it was released
        (None, 0.0, 2000.0, 50.0, True),  # held though it was released
        (None, 0.0, 2000.0, 14.0, False),  # empty
        (None, 0.0, 300.0, 50.0, False),  # too little to wake it
        (None, 0.0, None, 50.0, None),
        (NORMAL, 0.0, 2000.0, 50.0, True),
        (HOLD, None, 2000.0, 50.0, None),
    ],
)
def test_what_a_battery_contradicts(
    mode: BatteryMode | None,
    charge_w: float | None,
    grid_w: float | None,
    soc_pct: float | None,
    against: bool | None,
) -> None:
    known = home(charge_w, mode, soc_pct, grid_w)
    assert battery_contradicts(mode, known, TOLD, None) is against


def test_what_is_evccs_own_doing_is_no_contradiction() -> None:
    wish = home(0.0, HOLD)  # evcc locks it while a car charges fast
    assert battery_contradicts(None, wish, TOLD, None) is None
    assert battery_contradicts(CHARGE, replace(home(0.0, CHARGE), dimmed=True), TOLD, None) is None
    car = loadpoint(charge_w=11_000.0)
    assert (
        battery_contradicts(None, home(0.0, None, 50.0, 11_300.0, loadpoints=(car,)), TOLD, None)
        is False
    )


@pytest.mark.parametrize(
    ("changes", "against"),
    [
        ({}, False),
        ({"charge_w": 0.0}, True),  # the box says it charges
        ({"charge_w": 0.0, "enabled": False, "charging": False}, True),  # evcc has not released it
        ({"charge_w": 0.0, "charging": False}, None),  # asleep, refusing or full
        ({"charge_w": 0.0, "enabled": False, "limit_soc_pct": 40.0}, None),
        ({"charge_w": 0.0, "enabled": False, "effective_limit_soc_pct": 40.0}, None),
        ({"charge_w": 0.0, "vehicle_soc_pct": 99.6}, None),
        ({"charge_w": 0.0, "limit_energy_kwh": 5.0, "session_kwh": 5.0}, None),
        ({"charge_w": 0.0, "vehicle_soc_pct": None, "session_kwh": 8.0}, None),  # may be full
        ({"charge_w": 0.0, "detecting": True}, None),
        ({"mode": PV, "enabled": False, "charge_w": 3000.0}, True),  # the box does not switch off
        ({"mode": PV, "enabled": True, "charge_w": 3000.0}, False),  # evcc regulates
        ({"mode": OFF, "enabled": False, "charge_w": 3000.0, "plan_active": True}, False),
        ({"mode": PV, "enabled": False, "charge_w": 0.0}, False),
    ],
)
def test_what_a_loadpoint_contradicts(changes: dict[str, Any], against: bool | None) -> None:
    assert loadpoint_contradicts(site(), replace(READY, **changes)) is against
