"""The state store: what is remembered, a lost evcc, troubles."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.collector import Collector
from actors.state_store import MOST_TROUBLES, StateStore
from actors.vehicle_monitor import VehicleMonitor
from engine.actor import Actor
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    EvccLost,
    EvccReadDue,
    Message,
    Order,
    OrderConfirmed,
    OrderFailed,
    OwnershipChanged,
    PlanMade,
    RatesChanged,
    SiteMeasured,
    StateChanged,
    Tick,
    TurnsGiven,
    VehicleMeasured,
    VehiclesChecked,
)
from engine.settings import CarSettings
from engine.values import (
    BatteryMode,
    Control,
    HomeState,
    Ownership,
    Plan,
    Series,
    Shortfall,
    Turn,
    Vehicle,
    Why,
)
from tests.make_senses import MIDNIGHT, NOON, after, box, config, free, measured

WHY = Why("turn_none")
TURN = Turn("carport", "zoe", WHY, target_soc_pct=80.0)
ORDER = Order(NOON, 1, "carport", "mode", "now", WHY)


class Kept:
    """A state store, and the newest state it said."""

    def __init__(self, *cars: CarSettings, **changes: Any) -> None:
        self.mind = StateStore()
        self.state = HomeState(0, NOON)
        self.hear(config(*cars, **changes))

    def hear(self, message: Any) -> int:
        """How often it says something; revisions grow by one and `at` never goes back."""
        said = list(self.mind.on(message))
        if isinstance(message, SiteMeasured):
            assert said == []  # held back until its cars are checked
            said = list(self.mind.on(VehiclesChecked(message.at)))
        for one in said:
            assert one.state.revision == self.state.revision + 1
            assert one.at == one.state.at >= self.state.at
            self.state = one.state
        return len(said)

    @property
    def troubles(self) -> list[str]:
        return [one.code for one in self.state.troubles]


def plan(revision: int, *shortfalls: Shortfall) -> PlanMade:
    made = Plan(revision, NOON, "lp", (), 0.0, 0.0, 0.0, 0.2, WHY, shortfalls)
    return PlanMade(NOON, made, WHY)


def rates_changed(revision: int, failed_since: datetime | None = None) -> RatesChanged:
    empty = Series(MIDNIGHT)
    return RatesChanged(NOON, revision, empty, empty, empty, failed_since)


# --- what is remembered ---------------------------------------------------------------------------


def test_inv_110_before_the_first_reading_nothing_is_known_of_the_home() -> None:
    home = Kept(control=Control.ON)
    assert home.state == HomeState(1, NOON, control=Control.ON)
    assert home.state.site is None
    assert not home.state.evcc_reachable


def test_a_reading_and_its_cars_are_said_as_one() -> None:
    home = Kept()
    store = home.mind
    assert list(store.on(measured(after(1), box("zoe")))) == []
    zoe = Vehicle("zoe", "Zoe", 41.0, 40.0)
    assert list(store.on(VehicleMeasured(after(1), zoe))) == []
    (said,) = store.on(VehiclesChecked(after(1)))
    assert said.state.measured_at == after(1)
    assert said.state.vehicles == (zoe,)
    assert said.state.revision == home.state.revision + 1


def test_a_monitor_that_was_quicker_is_not_waited_for() -> None:
    home = Kept()
    assert list(home.mind.on(VehiclesChecked(after(1)))) == []
    (said,) = home.mind.on(measured(after(1), free()))
    assert said.state.measured_at == after(1)
    assert list(home.mind.on(measured(after(2), free()))) == []  # not checked yet


def test_without_a_monitor_a_reading_is_said_at_the_next_tick() -> None:
    home = Kept()
    assert list(home.mind.on(measured(after(1), free()))) == []
    said = list(home.mind.on(Tick(after(10))))
    assert [one.state.measured_at for one in said] == [after(1)]


def test_a_loss_after_a_reading_is_not_undone_by_its_cars() -> None:
    home = Kept()
    list(home.mind.on(measured(after(1), free())))
    said = list(home.mind.on(EvccLost(after(2), after(2), "gone")))
    assert [one.state.evcc_reachable for one in said] == [True, False]
    assert list(home.mind.on(VehiclesChecked(after(1)))) == []


def test_inv_113_the_state_is_as_fresh_as_the_collector() -> None:
    home = Kept()
    for k in range(3):
        message = measured(after(seconds=10 * k), free(), pv_w=100.0 + k)
        assert home.hear(message) == 1
        assert home.state.site == message.site
        assert home.state.measured_at == home.state.at == message.at
        assert home.state.evcc_reachable


def test_inv_113_every_reading_is_said_even_if_nothing_moved() -> None:
    home = Kept()
    assert [home.hear(measured(after(k), free())) for k in range(3)] == [1, 1, 1]


def test_inv_112_an_older_reading_never_comes_back() -> None:
    home = Kept()
    home.hear(measured(after(1), box("zoe")))
    assert home.hear(measured(NOON, free())) == 0
    assert home.hear(EvccLost(NOON, NOON, "old")) == 0
    assert home.state.measured_at == after(1)


def test_inv_108_a_state_is_immutable_to_the_bottom() -> None:
    home = Kept()
    home.hear(measured(NOON, box("zoe", 40.0)))
    home.hear(VehicleMeasured(NOON, Vehicle("zoe", "Zoe", 41.0, 40.0)))
    before = home.state
    kept = msgspec.json.encode(before)
    assert before.site is not None
    for thing, field in (
        (before, "revision"),
        (before.site, "pv_w"),
        (before.site.loadpoints[0], "mode"),
        (before.vehicles[0], "soc_pct"),
    ):
        with pytest.raises(AttributeError):
            setattr(thing, field, 0)
    assert isinstance(before.site.loadpoints, tuple)
    hash(before)  # nothing in it can be changed
    home.hear(measured(after(1), free()))
    home.hear(VehicleMeasured(after(1), Vehicle("ZOE", "Zoe", 41.0, 90.0)))
    assert home.state.vehicles[0].soc_pct == 90.0
    assert msgspec.json.encode(before) == kept


def test_cars_are_kept_by_name_whatever_the_case_and_in_its_order() -> None:
    home = Kept()
    for name in ("zoe", "Übel", "ora_03", "ZOE", "übel"):
        assert home.hear(VehicleMeasured(NOON, Vehicle(name, name, None))) == 1
    assert [one.name for one in home.state.vehicles] == ["ora_03", "ZOE", "übel"]
    assert home.hear(VehicleMeasured(NOON, Vehicle("ZOE", "ZOE", None))) == 0


def test_inv_85_disabled_cars_are_absent_from_the_state() -> None:
    car = CarSettings("Zoe")
    home = Kept(car)
    home.hear(VehicleMeasured(NOON, Vehicle("zoe", "Zoe", None)))
    home.hear(config(msgspec.structs.replace(car, disabled=True)))
    assert home.state.vehicles == ()
    assert home.hear(VehicleMeasured(NOON, Vehicle("zoe", "Zoe", None))) == 0


def test_what_others_decided_is_said_once_per_change() -> None:
    home = Kept()
    owned = Ownership("carport mode", "human", NOON, None, WHY)
    story: list[tuple[Message, str, Any]] = [
        (TurnsGiven(NOON, (TURN,)), "turns", (TURN,)),
        (plan(3), "plan_revision", 3),
        (rates_changed(2), "rates_revision", 2),
        (OwnershipChanged(NOON, Control.ON, (owned,)), "in_control", (owned,)),
    ]
    for message, field, value in story:
        assert home.hear(message) == 1
        assert getattr(home.state, field) == value
        assert home.hear(message) == 0
    assert home.state.control is Control.ON


# --- evcc lost ------------------------------------------------------------------------------------


def test_inv_58_a_lost_evcc_is_said_at_once_and_the_old_reading_keeps_its_time() -> None:
    home = Kept()
    home.hear(measured(NOON, box("zoe")))
    assert home.hear(EvccLost(after(1), after(1), "refused")) == 1
    state = home.state
    assert (state.evcc_reachable, state.evcc_silent_since, state.evcc_reason) == (
        False,
        after(1),
        "refused",
    )
    assert state.measured_at == NOON
    assert state.at == after(1)
    assert state.troubles == (
        Why("evcc_silent", (("since_at", "2026-01-14T11:01:00+00:00"), ("reason", "refused"))),
    )
    assert home.hear(EvccLost(after(2), after(1), "refused")) == 1
    home.hear(measured(after(3), box("zoe")))
    assert home.state.evcc_reachable
    assert home.state.evcc_silent_since is None
    assert home.state.troubles == ()


def test_inv_58_readings_that_stop_without_a_word_are_a_lost_evcc() -> None:
    """Not even the collector says anything any more."""
    home = Kept()
    home.hear(measured(NOON, box("zoe")))
    said = [home.hear(Tick(after(seconds=10 * k))) for k in range(1, 20)]
    assert said == [0] * 12 + [1] + [0] * 6  # 120 s are allowed
    assert home.troubles == ["evcc_silent"]
    assert home.state.evcc_silent_since == NOON


def test_long_ticks_of_a_simulation_are_no_loss() -> None:
    home = Kept()
    for k in range(4):
        assert home.hear(Tick(after(5 * k))) == 0
        home.hear(measured(after(5 * k), free()))
    assert home.state.evcc_reachable


# --- troubles -------------------------------------------------------------------------------------


def test_troubles_come_and_are_cleared_by_what_ends_them() -> None:
    home = Kept()
    story: list[tuple[Message, Message, Why]] = [
        (
            rates_changed(1, failed_since=NOON),
            rates_changed(2),
            Why("tariff_failed", (("since_at", "2026-01-14T11:00:00+00:00"),)),
        ),
        (
            OrderFailed(NOON, ORDER, "HTTP 500"),
            OrderConfirmed(NOON, ORDER),
            Why(
                "order_failed",
                (("setting", "mode"), ("reason", "HTTP 500"), ("loadpoint", "carport")),
            ),
        ),
        (
            BatteryModeFailed(NOON, BatteryMode.HOLD, "not controllable"),
            BatteryModeConfirmed(NOON, BatteryMode.HOLD),
            Why("battery_refused", (("mode", "hold"), ("reason", "not controllable"))),
        ),
        (
            plan(
                1,
                Shortfall("departure", "zoe", 3.5, 7.0, after(60)),
                Shortfall("reserve", "battery", 1.0, None, NOON),
            ),
            plan(2),
            Why(
                "goal_at_risk",
                (
                    ("vehicle", "zoe"),
                    ("departure_at", "2026-01-14T12:00:00+00:00"),
                    ("missing_kwh", 3.5),
                ),
            ),
        ),
    ]
    for begins, ends, why in story:
        assert home.hear(begins) == 1
        assert home.state.troubles == (why,)
        assert home.hear(ends) == 1
        assert home.troubles == []


def test_failures_that_nothing_clears_end_after_a_quarter_of_an_hour() -> None:
    home = Kept()
    home.hear(ActorFailed(NOON, "Forecaster", "StateChanged", "ValueError: odd"))
    home.hear(OrderFailed(after(5), ORDER, "refused"))
    assert home.troubles == ["actor_failed", "order_failed"]
    assert home.hear(Tick(after(14))) == 0
    assert home.hear(Tick(after(15))) == 1
    assert home.troubles == ["order_failed"]
    home.hear(OrderFailed(after(16), ORDER, "refused"))
    assert home.hear(Tick(after(30))) == 0
    assert home.hear(Tick(after(31))) == 1
    assert home.troubles == []


def test_a_confirmed_order_clears_its_own_failure_only() -> None:
    home = Kept()
    limit = msgspec.structs.replace(ORDER, setting="limit_soc", value=80.0)
    home.hear(OrderFailed(NOON, ORDER, "a"))
    home.hear(OrderFailed(NOON, limit, "b"))
    home.hear(OrderConfirmed(NOON, limit))
    assert [dict(one.numbers)["setting"] for one in home.state.troubles] == ["mode"]
    assert home.hear(OrderConfirmed(NOON, limit)) == 0


def test_inv_116_troubles_are_bounded_and_keep_the_newest() -> None:
    home = Kept()
    for k in range(100):
        home.hear(ActorFailed(NOON, f"actor {k}", "Tick", "x" * 10_000))
    assert len(home.state.troubles) == MOST_TROUBLES
    named = {dict(one.numbers)["actor"] for one in home.state.troubles}
    assert named == {f"actor {k}" for k in range(100 - MOST_TROUBLES, 100)}
    assert len(home.mind.snapshot()) < 30_000


MESSAGES: list[Message] = [
    Tick(NOON),
    measured(NOON, box("zoe", 40.0)),
    EvccLost(NOON, NOON, "refused"),
    VehicleMeasured(NOON, Vehicle("zoe", "Zoe", None, 40.0)),
    VehicleMeasured(NOON, Vehicle("Zoë", "", None)),
    rates_changed(1, NOON),
    rates_changed(2),
    TurnsGiven(NOON, (TURN,)),
    TurnsGiven(NOON, ()),
    plan(1, Shortfall("departure", "zoe", 1.0, None, NOON)),
    plan(2),
    OwnershipChanged(NOON, Control.ON, ()),
    OrderFailed(NOON, ORDER, ""),
    OrderConfirmed(NOON, ORDER),
    BatteryModeFailed(NOON, None, "refused"),
    BatteryModeConfirmed(NOON, None),
    ActorFailed(NOON, "Optimizer", "Tick", "boom"),
    config(),
]


@given(st.lists(st.tuples(st.sampled_from(MESSAGES), st.integers(-120, 3600)), max_size=40))
def test_inv_116_inv_117_total_bounded_and_aware_whatever_happens(
    story: list[tuple[Message, int]],
) -> None:
    """`Kept.hear` checks revision and time; here: the memory is JSON, and without configuration."""
    home = Kept()
    bare: Actor[Any, Any] = StateStore()
    at = NOON
    for message, seconds in story:
        at += timedelta(seconds=seconds)
        home.hear(msgspec.structs.replace(message, at=at))
        list(bare.on(message))
        memory = home.mind.memory
        home.mind.restore(home.mind.snapshot())
        assert home.mind.memory == memory
        state = home.state
        assert msgspec.json.decode(msgspec.json.encode(state), type=HomeState) == state
    assert len(home.state.troubles) <= MOST_TROUBLES


def test_inv_59_the_wrong_kind_of_state_is_refused() -> None:
    """Interfaces are typed: what is not a HomeState does not get through the codec."""
    wrong = msgspec.json.encode({"type": "StateChanged", "at": NOON, "state": {"soc": 50}})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=StateChanged)
    assert StateStore.says == (StateChanged,)
    assert set(Collector.says) <= {EvccReadDue, RatesChanged} | set(VehicleMonitor.hears) | set(
        StateStore.hears
    )
