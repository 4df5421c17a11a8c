"""A small home for the actuator's tests: readings, plans, turns and answers of evcc."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actors.actuator import Actuator, Heard, Said
from engine.messages import (
    BatteryModeStands,
    ConfigRead,
    Order,
    OrderConfirmed,
    OrderFailed,
    OwnershipChanged,
    PlanMade,
    RatesChanged,
    StateChanged,
    Tick,
    TurnsGiven,
)
from engine.settings import Settings
from engine.slots import SLOT, slot_of
from engine.values import (
    Battery,
    BatteryMode,
    ChargeMode,
    Control,
    HomeState,
    Loadpoint,
    Ownership,
    Plan,
    PlanCar,
    PlanSlot,
    Series,
    Site,
    Turn,
    Why,
)

T0 = datetime(2026, 1, 14, 1, 0, tzinfo=UTC)
CHEAP = Why("car_cheap", (("vehicle", "kia"),))
LATER = Why("car_waits", (("vehicle", "kia"),))
SERVES = Why("battery_serves")
HOLDS = Why("battery_keeps")
LIMIT_80 = Why("limit_of_block", (("limit_pct", 80.0),))
RESTORE = Why("restore_user")


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def config(control: Control = Control.ON, **settings: Any) -> ConfigRead:
    return ConfigRead(T0, Settings(control=control, **settings))


def loadpoint(name: str = "garage", **changes: Any) -> Loadpoint:
    plain = Loadpoint(
        id=1,
        name=name,
        title=name.title(),
        mode=ChargeMode.PV,
        connected=True,
        charging=False,
        enabled=False,
        charge_w=0.0,
        vehicle="kia",
        vehicle_soc_pct=40.0,
    )
    return replace(plain, **changes)


def site(*loadpoints: Loadpoint, **changes: Any) -> Site:
    plain = Site(
        version="0.313.2",
        title="Home",
        currency="EUR",
        interval_s=30.0,
        grid_import_w=500.0,
        pv_w=0.0,
        home_w=500.0,
        battery=Battery(50.0, 0.0, 10.0, controllable=True),
        loadpoints=loadpoints or (loadpoint(),),
        vehicles=(),
    )
    return replace(plain, **changes)


def state(at: datetime, home: Site | None = None, **changes: Any) -> StateChanged:
    plain = HomeState(
        revision=round((at - T0).total_seconds()) + 1,
        at=at,
        measured_at=at,
        site=home or site(),
        evcc_reachable=True,
    )
    return StateChanged(at, replace(plain, **changes))


def car(mode: ChargeMode, why: Why = CHEAP, **changes: Any) -> PlanCar:
    kw = 11.0 if mode is ChargeMode.NOW else 0.0
    return replace(PlanCar("kia", "garage", kw, 60.0, mode, why), **changes)


def plan_slot(
    start: datetime,
    battery: BatteryMode | None = BatteryMode.NORMAL,
    cars: tuple[PlanCar, ...] = (),
    why: Why = SERVES,
    discharge_kw: float = 0.0,
) -> PlanSlot:
    end = slot_of(start) + SLOT
    return PlanSlot(
        start=start,
        duration_s=(end - start).total_seconds(),
        import_eur_kwh=0.3,
        export_eur_kwh=0.08,
        assumed_price=False,
        load_kw=0.5,
        pv_kw=0.0,
        grid_import_kw=0.5,
        grid_export_kw=0.0,
        battery_charge_kw=0.0,
        battery_discharge_kw=discharge_kw,
        battery_soc_pct=50.0,
        battery_mode=battery,
        battery_value_eur_kwh=0.25,
        cars=cars,
        why=why,
    )


def plan(
    slots: Iterable[PlanSlot], made_at: datetime = T0, revision: int = 7, rung: str = "lp"
) -> PlanMade:
    made = Plan(revision, made_at, rung, tuple(slots), 1.0, 0.1, 1.0, 0.2, Why("plan_new_slot"))
    return PlanMade(made_at, made, Why("plan_new_slot"))


def plan_of(
    *modes: ChargeMode,
    battery: BatteryMode | None = BatteryMode.NORMAL,
    made_at: datetime = T0,
    revision: int = 7,
    **changes: Any,
) -> PlanMade:
    """A plan in which the car has one of `modes` in each slot, and `pv` after them."""
    why = {BatteryMode.NORMAL: SERVES, BatteryMode.HOLD: HOLDS}.get(
        battery or BatteryMode.NORMAL, Why("battery_buys")
    )
    slots = []
    for k in range(max(8, len(modes))):
        mode = modes[k] if k < len(modes) else ChargeMode.PV
        start = made_at if k == 0 else slot_of(made_at) + k * SLOT
        cars = (car(mode, CHEAP if mode is ChargeMode.NOW else LATER),)
        slots.append(plan_slot(start, battery, cars, why))
    return plan(slots, made_at, revision, **changes)


def turns(at: datetime = T0, **changes: Any) -> TurnsGiven:
    plain = Turn(
        loadpoint="garage",
        vehicle="kia",
        why=Why("turn_connected", (("vehicle", "kia"),)),
        target_soc_pct=80.0,
        soc_pct=40.0,
        capacity_kwh=60.0,
        need_kwh=24.0,
    )
    return TurnsGiven(at, (replace(plain, **changes),))


def rates(at: datetime = T0, price: float | None = 0.3, **changes: Any) -> RatesChanged:
    start = slot_of(T0)
    plain = RatesChanged(
        at, 1, Series(start, (price,) * 400), Series(start, (0.08,) * 400), Series(start)
    )
    return replace(plain, **changes)


def tell(actor: Actuator, *messages: Heard) -> list[Said]:
    """Everything said in answer to `messages`."""
    return [said for message in messages for said in actor.on(message)]


def orders(said: Iterable[Said]) -> list[tuple[str, str | float]]:
    return [(one.setting, one.value) for one in said if isinstance(one, Order)]


def whole_orders(said: Iterable[Said]) -> list[Order]:
    return [one for one in said if isinstance(one, Order)]


def stands(said: Iterable[Said]) -> list[BatteryModeStands]:
    return [one for one in said if isinstance(one, BatteryModeStands)]


def owners(said: Iterable[Said]) -> dict[str, Ownership]:
    """The last ownership said, by setting."""
    told = [one for one in said if isinstance(one, OwnershipChanged)]
    return {one.setting: one for one in told[-1].in_control} if told else {}


def actuator(
    *heard: Heard, control: Control = Control.ON, home: Site | None = None, **settings: Any
) -> Actuator:
    """One that knows its settings, a first reading, prices and turns, and then heard `heard`."""
    actor = Actuator()
    tell(actor, config(control, **settings), Tick(T0), state(T0, home), rates(), turns(), *heard)
    return actor


def confirm(actor: Actuator, said: Iterable[Said], at: datetime) -> list[Said]:
    """evcc confirms every order of `said`, and every one that follows from that."""
    everything: list[Said] = []
    waiting = whole_orders(said)
    while waiting:
        more = tell(actor, *(OrderConfirmed(at, order) for order in waiting))
        everything += more
        waiting = whole_orders(more)
    return everything


def fail(actor: Actuator, said: Iterable[Said], at: datetime) -> list[Said]:
    return tell(actor, *(OrderFailed(at, order, "refused") for order in whole_orders(said)))


def charging() -> Actuator:
    """One whose `now` with a limit of 80 % is in force, and seen so by a reading."""
    actor = actuator()
    said = tell(actor, plan_of(ChargeMode.NOW, ChargeMode.NOW, ChargeMode.PV))
    confirm(actor, said, T0)
    tell(actor, state(after(20), site(loadpoint(mode=ChargeMode.NOW, limit_soc_pct=80.0))))
    return actor


NOW, PV, MINPV, OFF = ChargeMode.NOW, ChargeMode.PV, ChargeMode.MINPV, ChargeMode.OFF
IN_NOW = loadpoint(mode=NOW, limit_soc_pct=80.0)


def owned(owner: str, why: Why, until: object = None, setting: str = "mode") -> Ownership:
    return Ownership(f"loadpoint:garage:{setting}", owner, T0, until, why)  # type: ignore[arg-type]
