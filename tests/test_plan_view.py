"""What the page says that the plan does: from the sun only where there is some."""

import pytest

from engine.values import BatteryMode, ChargeMode, PlanCar, PlanSlot, Why
from tests.make_status import NOW
from web.plan_view import battery_part, car_part

WHY = Why("battery_waits")


def slot(
    *,
    pv_kw: float = 0.0,
    imports_kw: float = 0.0,
    charge_kw: float = 0.0,
    mode: BatteryMode = BatteryMode.HOLD,
    car: PlanCar | None = None,
) -> PlanSlot:
    return PlanSlot(
        start=NOW, duration_s=900.0, import_eur_kwh=0.25, export_eur_kwh=0.08,
        assumed_price=False, load_kw=0.5, pv_kw=pv_kw, grid_import_kw=imports_kw,
        grid_export_kw=0.0, battery_charge_kw=charge_kw, battery_discharge_kw=0.0,
        battery_soc_pct=30.0, battery_mode=mode, battery_value_eur_kwh=0.2,
        cars=() if car is None else (car,), why=WHY,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "pv_kw", "kind"),
    [
        (BatteryMode.CHARGE, 0.0, "grid"),
        (BatteryMode.HOLD, 0.0, "hold"),  # a little that the plan buys, and its mode does not
        (BatteryMode.NORMAL, 0.0, "idle"),
        (BatteryMode.HOLD, 3.0, "sun"),
        (BatteryMode.NORMAL, 3.0, "sun"),
    ],
)
def test_a_battery_charges_from_the_sun_only_where_there_is_some(
    mode: BatteryMode, pv_kw: float, kind: str
) -> None:
    assert battery_part(slot(pv_kw=pv_kw, charge_kw=0.8, mode=mode)).kind == kind


@pytest.mark.parametrize(
    ("mode", "imports_kw", "kind"),
    [
        (ChargeMode.NOW, 0.0, "grid"),
        (ChargeMode.MINPV, 1.4, "grid"),
        (ChargeMode.MINPV, 0.3, "sun"),
        (ChargeMode.PV, 0.0, "sun"),
    ],
)
def test_a_car_that_buys_most_of_it_charges_from_the_grid(
    mode: ChargeMode, imports_kw: float, kind: str
) -> None:
    car = PlanCar("zoe", "garage", 1.4, 50.0, mode, WHY)
    part = car_part(slot(imports_kw=imports_kw, car=car), "zoe")
    assert part is not None
    assert part.kind == kind
