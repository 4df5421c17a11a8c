"""A plausible home for the window's tests: battery, two cars, two days of prices and plan."""

import math
from datetime import UTC, datetime, timedelta

from engine.messages import (
    BatteryModeConfirmed,
    ConfigRead,
    DriverAsked,
    EvccRead,
    Forecasted,
    Message,
    Order,
    OrderConfirmed,
    PlanMade,
    RatesChanged,
    StateChanged,
)
from engine.settings import CarSettings, Settings, SiteSettings
from engine.slots import SLOT, slot_of, slots
from engine.values import (
    Battery,
    BatteryMode,
    ChargeMode,
    Control,
    EvccVehicle,
    HomeState,
    Loadpoint,
    Ownership,
    Plan,
    PlanCar,
    PlanSlot,
    Quantiles,
    Series,
    Shortfall,
    Site,
    SocSource,
    Turn,
    Vehicle,
    Why,
)

NOW = datetime(2026, 1, 14, 17, 5, tzinfo=UTC)
ZONE = "Europe/Berlin"
SLOTS = 192
KNOWN = 120
"""Slots from local midnight on that have published prices."""
DEPARTURE = datetime(2026, 1, 15, 6, 0, tzinfo=UTC)


def price_eur_kwh(at: datetime) -> float:
    """Dear in the morning and in the evening, cheap at night and at noon."""
    hour = (at.hour + at.minute / 60 + 1) % 24
    morning, evening = math.exp(-((hour - 8) ** 2) / 4), math.exp(-((hour - 19) ** 2) / 8)
    night = math.exp(-((hour - 3) ** 2) / 8)
    return round(0.26 + 0.05 * morning + 0.11 * evening - 0.06 * night - 0.004 * (at.day % 3), 4)


def pv_w(at: datetime) -> float:
    """A winter day's sun."""
    hour = at.hour + at.minute / 60
    return max(0.0, 3200 * math.sin((hour - 7) / 8 * math.pi)) if 7 < hour < 15 else 0.0


def load_w(at: datetime) -> float:
    """House load with a morning and an evening peak."""
    hour = (at.hour + at.minute / 60 + 1) % 24
    morning, evening = math.exp(-((hour - 7.5) ** 2) / 2), math.exp(-((hour - 19) ** 2) / 4)
    return 320 + 500 * morning + 1100 * evening


def make_site(grid_import_w: float = 980.0) -> Site:
    """The balance: grid + pv = home + battery + cars."""
    return Site(
        version="0.310.0",
        title="Zuhause",
        currency="EUR",
        interval_s=10,
        grid_import_w=grid_import_w,
        pv_w=0.0,
        home_w=grid_import_w + 1240.0,
        battery=Battery(62.0, -1240.0, 10.0, BatteryMode.NORMAL, None, controllable=True),
        loadpoints=(
            Loadpoint(
                id=1, name="lp-1", title="Carport", mode=ChargeMode.PV, connected=True,
                charging=False, enabled=False, charge_w=0.0, vehicle="twingo",
                vehicle_soc_pct=54.0, limit_soc_pct=80.0, effective_limit_soc_pct=80.0,
            ),
            Loadpoint(
                id=2, name="lp-2", title="Garage", mode=ChargeMode.PV, connected=False,
                charging=False, enabled=False, charge_w=0.0,
            ),
        ),
        vehicles=(EvccVehicle("twingo", "Twingo", 22.0), EvccVehicle("ev9", "EV9", 99.8)),
    )  # fmt: skip


def make_vehicles(now: datetime = NOW) -> tuple[Vehicle, ...]:
    """One at the wallbox, one away with an old SoC."""
    return (
        Vehicle(
            "twingo", "Twingo", 22.0, 54.0, SocSource.EVCC, now - timedelta(minutes=4), now, now,
            "lp-1", range_km=105.0,
        ),
        Vehicle(
            "ev9", "EV9", 99.8, 71.0, SocSource.HTTP, now - timedelta(hours=3), now,
            now - timedelta(hours=3), None, stale=True, range_km=320.0,
        ),
    )  # fmt: skip


def make_rates(revision: int = 1, now: datetime = NOW) -> RatesChanged:
    """Published prices from local midnight to the end of tomorrow."""
    start = slot_of(now).replace(hour=0, minute=0) - timedelta(hours=1)
    grid = slots(start, KNOWN + 64)
    prices = tuple(price_eur_kwh(at) for at in grid)
    sun = tuple(round(pv_w(at), 1) for at in slots(start, 288))
    return RatesChanged(
        at=now,
        revision=revision,
        import_eur_kwh=Series(start, prices),
        export_eur_kwh=Series(start, (0.08,) * len(prices)),
        solar_w=Series(start, sun),
    )


def make_forecast(now: datetime = NOW) -> Forecasted:
    """Quantiles of load and PV for two days."""
    grid = list(slots(now, SLOTS))
    load, sun = [load_w(at) for at in grid], [pv_w(at) for at in grid]

    def quantiles(values: list[float], low: float, high: float) -> Quantiles:
        return Quantiles(
            slot_of(now),
            tuple(round(low * value, 1) for value in values),
            tuple(round(value, 1) for value in values),
            tuple(round(high * value, 1) for value in values),
        )

    return Forecasted(now, quantiles(load, 0.7, 1.4), quantiles(sun, 0.5, 1.3), 21.0, 0.94, True)


def battery_of(at: datetime, soc_pct: float) -> tuple[BatteryMode, float, str]:
    """A rule good enough for a picture: mode, charge power (kW) and reason."""
    price, sun_kw = price_eur_kwh(at), pv_w(at) / 1000 - load_w(at) / 1000
    if sun_kw > 0.1 and soc_pct < 100:
        return BatteryMode.NORMAL, min(sun_kw, 3.0), "battery_takes_sun"
    if price < 0.235 and soc_pct < 80 and pv_w(at) == 0:
        return BatteryMode.CHARGE, 3.5, "battery_buys"
    if price > 0.27 and soc_pct > 12:
        return BatteryMode.NORMAL, -min(load_w(at) / 1000, 3.0), "battery_serves"
    return BatteryMode.HOLD, 0.0, "battery_keeps"


def car_of(vehicle: str, at: datetime, soc_pct: float) -> tuple[ChargeMode, float, Why]:
    """Charges the Twingo in the cheap hours before the departure, the EV9 from tomorrow's sun."""
    price = price_eur_kwh(at)
    if soc_pct >= 80:
        return ChargeMode.PV, 0.0, Why("car_done", (("vehicle", vehicle),))
    if vehicle == "twingo" and at < DEPARTURE and price < 0.235:
        numbers = (("vehicle", vehicle), ("price_eur_kwh", price))
        return ChargeMode.NOW, 7.4, Why("car_cheap", numbers)
    if vehicle == "ev9" and pv_w(at) > 2400:
        return ChargeMode.PV, pv_w(at) / 1000 - 1.0, Why("car_sun", (("vehicle", vehicle),))
    numbers = (
        ("vehicle", vehicle), ("price_eur_kwh", price), ("limit_eur_kwh", 0.2205),
        ("next_price_eur_kwh", 0.2123), ("next_at", (NOW + timedelta(hours=8)).isoformat()),
    )  # fmt: skip
    return ChargeMode.PV, 0.0, Why("car_waits", numbers)


def make_plan(revision: int = 1, now: datetime = NOW, cars: tuple[str, ...] = ("twingo", "ev9")):
    """48 hours of slots; the first is the rest of the current quarter hour."""
    soc, car_soc = 62.0, {"twingo": 54.0, "ev9": 71.0}
    capacity = {"twingo": 22.0, "ev9": 99.8}
    made: list[PlanSlot] = []
    for k, at in enumerate(slots(now, SLOTS)):
        start = max(at, now)
        hours = (at + SLOT - start).total_seconds() / 3600
        mode, kw, code = battery_of(at, soc)
        soc = max(10.0, min(100.0, soc + kw * hours / 10.0 * 100))
        plans = []
        for name in cars:
            car_mode, car_kw, why = car_of(name, at, car_soc[name])
            car_soc[name] += car_kw * hours * 0.9 / capacity[name] * 100
            plans.append(
                PlanCar(name, "lp-1" if name == "twingo" else "lp-2", round(car_kw, 3),
                        round(car_soc[name], 1), car_mode, why)
            )  # fmt: skip
        net = load_w(at) / 1000 - pv_w(at) / 1000 + kw + sum(car.charge_kw for car in plans)
        numbers = (("price_eur_kwh", price_eur_kwh(at)), ("value_eur_kwh", 0.262))
        if code == "battery_takes_sun":
            numbers = numbers[1:]
        made.append(
            PlanSlot(
                start=start, duration_s=hours * 3600, import_eur_kwh=price_eur_kwh(at),
                export_eur_kwh=0.08, assumed_price=k > KNOWN, load_kw=round(load_w(at) / 1000, 3),
                pv_kw=round(pv_w(at) / 1000, 3), grid_import_kw=round(max(net, 0.0), 3),
                grid_export_kw=round(max(-net, 0.0), 3), battery_charge_kw=max(kw, 0.0),
                battery_discharge_kw=round(max(-kw, 0.0), 3), battery_soc_pct=round(soc, 1),
                battery_mode=mode, battery_value_eur_kwh=0.262, cars=tuple(plans),
                why=Why(code, numbers),
            )
        )  # fmt: skip
    plan = Plan(
        revision=revision, made_at=now, rung="lp", slots=tuple(made), cost_eur=8.42, wear_eur=0.21,
        objective_eur=7.9, end_value_eur_kwh=0.24, why=made[0].why if made else Why("no_plan"),
        shortfalls=(),
    )  # fmt: skip
    return PlanMade(now, plan, Why("plan_new_slot"))


def at_risk(made: PlanMade) -> PlanMade:
    """The same plan, but the Twingo will not reach its goal."""
    shortfall = Shortfall("departure", "twingo", 3.5, 16.0, DEPARTURE)
    return PlanMade(made.at, _replaced(made.plan, shortfalls=(shortfall,)), made.news)


def _replaced(plan: Plan, **changes: object) -> Plan:
    import msgspec

    return msgspec.structs.replace(plan, **changes)


def make_turns() -> tuple[Turn, ...]:
    """The Twingo's turn at the carport; the EV9 waits."""
    return (
        Turn(
            "lp-1", "twingo", Why("turn_connected", (("vehicle", "twingo"),)), 80.0, None,
            DEPARTURE, 54.0, 22.0, 6.4, waiting=("ev9",),
        ),
    )  # fmt: skip


def make_state(revision: int = 10, now: datetime = NOW, **changes: object) -> HomeState:
    """A whole state, in control."""
    since = now - timedelta(minutes=50)
    owned = (
        Ownership(
            "battery_mode", "smartload", since, now + timedelta(minutes=25),
            Why("battery_serves", (("price_eur_kwh", 0.342), ("value_eur_kwh", 0.262))),
        ),
        Ownership("loadpoint:lp-1:mode", "smartload", since, None, Why("turn_none")),
        Ownership(
            "loadpoint:lp-2:mode", "evcc", now - timedelta(hours=2), None, Why("turn_none"),
        ),
    )  # fmt: skip
    fields: dict[str, object] = {
        "measured_at": now - timedelta(seconds=3),
        "site": make_site(),
        "evcc_reachable": True,
        "vehicles": make_vehicles(now),
        "turns": make_turns(),
        "rates_revision": 1,
        "plan_revision": 1,
        "control": Control.ON,
        "in_control": owned,
    }
    return HomeState(revision, now, **(fields | changes))  # type: ignore[arg-type]


SETTINGS = Settings(
    control=Control.ON,
    site=SiteSettings(zone=ZONE),
    cars=(CarSettings("twingo", departure="07:00"), CarSettings("ev9")),
)


def make_messages(now: datetime = NOW) -> list[Message]:
    """Everything that a window hears until it has a whole picture."""
    order = Order(
        now, 7, "lp-1", "mode", "pv", Why("car_waits"), until=now + timedelta(hours=8),
        plan_revision=1,
    )  # fmt: skip
    swap = (
        ("vehicle", "ev9"), ("loadpoint", "Carport"), ("departure_at", DEPARTURE.isoformat()),
        ("need_kwh", 9.0),
    )  # fmt: skip
    return [
        ConfigRead(now, SETTINGS),
        EvccRead(now, make_site()),
        make_rates(now=now),
        make_forecast(now),
        make_plan(now=now),
        StateChanged(now, make_state(now=now)),
        DriverAsked(now, "lp-1", "ev9", Why("swap_asked", swap)),
        OrderConfirmed(now, order),
        BatteryModeConfirmed(now, None),
    ]
