"""A home whose battery is told one thing and does another, for the tests of what power proves."""

from typing import Any

from engine.settings import BatterySettings, Settings
from engine.values import Battery, BatteryMode, Site
from tests.make_actuator import NOW, loadpoint, site

TOLD = Settings(battery=BatterySettings(max_soc_pct=95.0))
HOLD, CHARGE, HOLDCHARGE, NORMAL = (
    BatteryMode.HOLD,
    BatteryMode.CHARGE,
    BatteryMode.HOLDCHARGE,
    BatteryMode.NORMAL,
)
READY = loadpoint(mode=NOW, enabled=True, charging=True, charge_w=7000.0)


def home(
    charge_w: float | None,
    mode: BatteryMode | None = HOLD,
    soc_pct: float | None = 50.0,
    grid_w: float | None = 2000.0,
    **changes: Any,
) -> Site:
    shown = mode or NORMAL
    battery = Battery(soc_pct, charge_w, 10.0, mode=shown, external_mode=mode, controllable=True)
    return site(battery=battery, grid_import_w=grid_w, **changes)
