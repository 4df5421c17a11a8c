"""The actuator under anything: random stories of messages, whatever they say."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.actuator import Actuator, Heard
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    HandsOff,
    Order,
    OrderConfirmed,
    OrderFailed,
    OwnershipChanged,
    StopAsked,
    Tick,
    TurnsGiven,
)
from engine.values import BatteryMode, ChargeMode, Control, Why
from tests.make_actuator import (
    T0,
    car,
    config,
    loadpoint,
    plan,
    plan_of,
    rates,
    site,
    state,
    tell,
    turns,
)

MODES = st.sampled_from(list(ChargeMode))
BATTERY = st.sampled_from([None, *BatteryMode])
SOCS = st.none() | st.floats(0, 100)
STEPS_S = st.sampled_from([0.0, 1.0, 10.0, 30.0, 300.0, 900.0, 4000.0])
KINDS = tuple(
    "tick state plan empty turns noturns rates confirm fail stray "  # noqa: SIM905
    "batteryfail batteryok silent stop handsoff".split()
)
CALM = ("tick", "plan", "empty", "turns", "noturns", "rates", "fail")
REPEATABLE = settings(derandomize=True, deadline=None)


@st.composite
def sites(draw: st.DrawFn) -> object:
    """A reading with a charger, a heater, and odd values."""
    wallbox = loadpoint(
        mode=draw(MODES),
        connected=draw(st.booleans()),
        vehicle=draw(st.sampled_from([None, "kia", "KIA", "ora"])),
        vehicle_soc_pct=draw(SOCS),
        limit_soc_pct=draw(SOCS),
        limit_energy_kwh=draw(st.none() | st.floats(0, 90)),
        plan_active=draw(st.booleans()),
        session_kwh=draw(st.floats(0, 80)),
        charge_w=draw(st.floats(0, 22_000)),
    )
    heater = loadpoint("heater", id=2, charger=False, mode=draw(MODES))
    home = site(wallbox, heater, version=draw(st.sampled_from(["0.313.2", "0.314.0"])))
    battery = draw(st.sampled_from([None, home.battery]))
    return replace(
        home,
        battery=battery,
        dimmed=draw(st.booleans()),
        optimizer_controls=draw(st.sampled_from([False, False, False, True])),
    )


def heard(data: st.DataObject, kind: str, at: object, said: list[Order]) -> list[Heard]:
    """One message of the story."""
    draw = data.draw
    order = said[draw(st.integers(0, len(said) - 1))] if said else None
    stray = Order(at, 99, "nobody", draw(st.sampled_from(["mode", "x"])), "now", Why("x"))
    messages: dict[str, Heard | None] = {
        "tick": Tick(at),
        "silent": replace(state(at), state=replace(state(at).state, site=None, measured_at=None)),
        "empty": plan([], made_at=at, revision=draw(st.integers(0, 50))),
        "turns": turns(at, target_soc_pct=draw(SOCS), need_kwh=draw(st.floats(0, 90))),
        "noturns": TurnsGiven(at, ()),
        "rates": rates(at, price=draw(st.none() | st.floats(-1, 1))),
        "confirm": OrderConfirmed(at, order) if order else None,
        "fail": OrderFailed(at, order, "no") if order else None,
        "stray": OrderConfirmed(at, stray),
        "batteryfail": BatteryModeFailed(at, draw(BATTERY), "no"),
        "batteryok": BatteryModeConfirmed(at, draw(BATTERY)),
        "stop": StopAsked(at),
        "handsoff": HandsOff(at, Why("x")),
    }
    if kind == "state":
        return [state(at, draw(sites()))]
    if kind == "plan":
        made = plan_of(draw(MODES), draw(MODES), battery=draw(BATTERY), made_at=at, revision=9)
        heater = car(ChargeMode.NOW, loadpoint="heater", vehicle="heater")
        slots = tuple(replace(slot, cars=(*slot.cars, heater)) for slot in made.plan.slots)
        return [replace(made, plan=replace(made.plan, slots=slots))]
    message = messages[kind]
    return [message] if message is not None else []


def check(said: list[Order], control: Control, memory_before: int) -> None:
    """What holds for every order, whenever."""
    for order in said:
        assert order.loadpoint == "garage"
        assert (order.setting, order.value) != ("mode", "off") or order.why.code == "restore_user"
        assert order.order_id >= memory_before
        if order.setting != "mode":
            assert isinstance(order.value, float)
            assert order.value >= 0
        assert control is Control.ON


@REPEATABLE
@given(st.data(), st.sampled_from(list(Control)))
def test_nothing_that_is_heard_breaks_it_or_makes_it_write_what_it_may_not(
    data: st.DataObject, control: Control
) -> None:
    actor, at, orders = Actuator(), T0, []
    tell(actor, config(control))
    for kind in data.draw(st.lists(st.sampled_from(KINDS), min_size=5, max_size=40)):
        at += timedelta(seconds=data.draw(STEPS_S))
        for message in heard(data, kind, at, orders):
            first = actor.memory.next_order
            said = list(actor.on(message))
            new = [one for one in said if isinstance(one, Order)]
            check(new, control, first)
            orders += new
            stood = [one for one in said if isinstance(one, BatteryModeStands)]
            assert not isinstance(message, Tick) or len(stood) == 1
            assert control is Control.ON or all(one.mode is None for one in stood)
            for told in said:
                if isinstance(told, OwnershipChanged):
                    names = [one.setting for one in told.in_control]
                    assert len(names) == len(set(names))
                    assert not [name for name in names if "heater" in name]
    twin = Actuator()
    twin.restore(actor.snapshot())
    assert twin.memory == actor.memory


@REPEATABLE
@given(st.data())
def test_an_unchanged_order_is_not_repeated_within_a_tick(data: st.DataObject) -> None:
    actor, at, tick_at, orders = Actuator(), T0, T0, []
    tell(actor, config(), Tick(T0), state(T0), turns(), rates())
    last: dict[str, tuple[object, object]] = {}
    for kind in data.draw(st.lists(st.sampled_from(CALM), min_size=5, max_size=40)):
        at += timedelta(seconds=data.draw(st.sampled_from([0.0, 1.0, 3.0])))
        for message in heard(data, kind, at, orders):
            tick_at = at if isinstance(message, Tick) else tick_at
            said = [one for one in actor.on(message) if isinstance(one, Order)]
            for one in said:
                assert last.get(one.setting) != (one.value, tick_at), f"{one} was said before"
                last[one.setting] = (one.value, tick_at)
            orders += said
