"""evcc's JSON for tests: a state and its parts, an order, an answer, what was recorded."""

from datetime import UTC, datetime
from typing import Any

from engine.evcc_json import site_from
from engine.messages import Order
from engine.values import Why

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


def order(setting: str, value: str | float, name: str = "lp-1") -> Order:
    return Order(AT, 1, name, setting, value, Why("x"))


SITE = site_from(
    state(
        loadpoints=[
            loadpoint(name="carport"),
            loadpoint(name="pump", chargerFeatureHeating=True),
            loadpoint(name="garage"),
        ]
    )
)
