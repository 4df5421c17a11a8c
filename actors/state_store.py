"""Remembers: the only owner of `HomeState`, one immutable value with a revision that only grows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.meters import MeterWatch, watched
from engine.actor import Actor
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    ConfigRead,
    EvccLost,
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
from engine.settings import BatterySettings, Settings
from engine.values import HomeState, Plan, Series, Utc, Value, Vehicle, Why

SHOWN_FOR = timedelta(minutes=15)
"""A failure that nothing clears is shown for this long after it last happened."""
MOST_TROUBLES = 20
MOST_TEXT = 200
UNREAD_TICKS = 3
"""With no reading for so many ticks, and longer than `max_age_s`, evcc counts as lost (INV-58)."""

Hears: TypeAlias = (
    ConfigRead
    | Tick
    | SiteMeasured
    | EvccLost
    | VehicleMeasured
    | VehiclesChecked
    | RatesChanged
    | TurnsGiven
    | PlanMade
    | OwnershipChanged
    | OrderFailed
    | OrderConfirmed
    | BatteryModeFailed
    | BatteryModeConfirmed
    | ActorFailed
)


class Trouble(Value, frozen=True):
    """Something to be shown. `until` None: until it is cleared."""

    key: str
    why: Why
    until: Utc | None = None


class StateStoreMemory(Value, frozen=True):
    """All that the state store remembers."""

    settings: Settings = Settings()
    state: HomeState | None = None
    troubles: tuple[Trouble, ...] = ()
    ticks_unread: int = 0
    checked_at: Utc | None = None
    """The newest reading that the monitor has checked."""
    unsaid: SiteMeasured | None = None
    """A reading whose cars the monitor has not checked yet."""
    meters: MeterWatch = MeterWatch()
    sun_w: Series | None = None
    """evcc's solar forecast: a meter that reads 0 in the sun has failed."""


class StateStore(Actor[Hears, StateChanged]):
    """Says `StateChanged` at each reading of evcc, and whenever anything else in it changed."""

    memory: StateStoreMemory

    def __init__(self) -> None:
        self.memory = StateStoreMemory()

    def on(self, message: Hears) -> Iterator[StateChanged]:
        at = message.at
        match message:
            case ConfigRead():
                yield from self._configured(message)
            case Tick():
                yield from self._tick(at)
            case SiteMeasured():
                yield from self._measured(message)
            case EvccLost():
                yield from self._lost(message)
            case VehicleMeasured():
                yield from self._vehicle(message)
            case VehiclesChecked():
                self._remember(checked_at=at)
                yield from self._say_reading(at)
            case RatesChanged():
                since = message.grid_failed_since
                self._remember(sun_w=message.solar_w)
                self._clear("tariff")
                if since is not None:
                    self._trouble("tariff", _why("tariff_failed", since_at=_iso(since)))
                yield from self._change(at, rates_revision=message.revision)
            case TurnsGiven():
                yield from self._change(at, turns=message.turns)
            case PlanMade():
                self._goals(message.plan)
                yield from self._change(at, plan_revision=message.plan.revision)
            case OwnershipChanged():
                yield from self._change(at, control=message.control, in_control=message.in_control)
            case (
                OrderFailed()
                | OrderConfirmed()
                | BatteryModeFailed()
                | BatteryModeConfirmed()
                | ActorFailed()
            ):
                yield from self._happened(message)
            case _:
                assert_never(message)

    def _happened(
        self,
        message: OrderFailed
        | OrderConfirmed
        | BatteryModeFailed
        | BatteryModeConfirmed
        | ActorFailed,
    ) -> Iterator[StateChanged]:
        """Successes and failures of acting: they change nothing but the troubles."""
        until = message.at + SHOWN_FOR
        match message:
            case OrderFailed(order=order, reason=reason):
                why = _why(
                    "order_failed",
                    setting=order.setting,
                    reason=reason[:MOST_TEXT],
                    loadpoint=order.loadpoint,
                )
                self._trouble(f"order {order.loadpoint.casefold()} {order.setting}", why, until)
            case OrderConfirmed(order=order):
                self._clear(f"order {order.loadpoint.casefold()} {order.setting}")
            case BatteryModeFailed(mode=mode, reason=reason):
                wanted = mode.value if mode else "normal"  # None: to be released
                why = _why("battery_refused", mode=wanted, reason=reason[:MOST_TEXT])
                self._trouble("battery", why, until)
            case BatteryModeConfirmed():
                self._clear("battery")
            case ActorFailed(actor=actor, error=error):
                why = _why("actor_failed", actor=actor, error=error[:MOST_TEXT])
                self._trouble(f"actor {actor}", why, until)
            case _:
                assert_never(message)
        yield from self._change(message.at)

    # --- what is heard ----------------------------------------------------------------------------

    def _configured(self, message: ConfigRead) -> Iterator[StateChanged]:
        """Disabled cars are absent, also from what was restored (INV-85)."""
        settings = message.settings
        self._remember(settings=settings)
        disabled = _disabled(settings)
        vehicles = tuple(
            vehicle
            for vehicle in self._state(message.at).vehicles
            if vehicle.name.casefold() not in disabled
        )
        yield from self._change(
            message.at, always=True, control=settings.control, vehicles=vehicles
        )

    def _tick(self, at: datetime) -> Iterator[StateChanged]:
        """Troubles end; and evcc is lost when nobody brings readings any more, whoever failed.

        A reading that the monitor did not check within a tick is said without it.
        """
        yield from self._say_reading(at)
        self._remember(
            troubles=tuple(
                one for one in self.memory.troubles if one.until is None or at < one.until
            ),
            ticks_unread=min(self.memory.ticks_unread + 1, UNREAD_TICKS),
        )
        state = self._state(at)
        unread_s = (at - state.measured_at).total_seconds() if state.measured_at else 0.0
        if (
            state.evcc_reachable
            and self.memory.ticks_unread >= UNREAD_TICKS
            and unread_s > self.memory.settings.oldest_reading.total_seconds()
        ):
            since = state.measured_at or at
            yield from self._lost(EvccLost(at, since, f"no reading for {unread_s:.0f} s"))
        else:
            yield from self._change(at)

    def _measured(self, message: SiteMeasured) -> Iterator[StateChanged]:
        newest = self._state(message.at).measured_at
        if newest is not None and message.at < newest:
            return  # never back to an older reading (INV-112)
        self._remember(ticks_unread=0, unsaid=message)
        self._clear("evcc")
        checked_at = self.memory.checked_at
        if checked_at is not None and checked_at >= message.at:  # the monitor was quicker
            yield from self._say_reading(checked_at)

    def _say_reading(self, checked_at: datetime) -> Iterator[StateChanged]:
        """A reading is said when its cars are known, all of one moment."""
        reading = self.memory.unsaid
        if reading is None or reading.at > checked_at:
            return
        self._remember(unsaid=None)
        self._watch_meters(reading)
        yield from self._change(
            reading.at,
            always=True,
            site=reading.site,
            failed_meters=self.memory.meters.failed,
            measured_at=reading.at,
            evcc_reachable=True,
            evcc_silent_since=None,
            evcc_reason="",
            evcc_connection=reading.connection,
        )

    def _watch_meters(self, reading: SiteMeasured) -> None:
        """Which meters this reading shows to have failed: they are troubles as long as they do."""
        memory = self.memory
        battery = memory.settings.battery or BatterySettings()
        meters, failed = watched(
            memory.meters,
            reading.site,
            reading.at,
            tick_s=memory.settings.tick_s,
            sun_w=memory.sun_w.at(reading.at) if memory.sun_w else None,
            soc_range_pct=(battery.min_soc_pct, battery.max_soc_pct),
        )
        self._remember(meters=meters)
        self._clear("meter")
        for one in failed:
            since = ("since_at", _iso(one.since))
            why = Why(one.why.code, (*one.why.numbers, since))
            self._trouble(f"meter {one.name.casefold()}", why)

    def _lost(self, message: EvccLost) -> Iterator[StateChanged]:
        """The last reading stays, with its time; nobody may take it for a new one."""
        yield from self._say_reading(message.at)
        newest = self._state(message.at).measured_at
        if newest is not None and message.at < newest:
            return
        reason = message.reason[:MOST_TEXT]
        why = _why("evcc_silent", since_at=_iso(message.since), reason=reason)
        self._trouble("evcc", why)
        yield from self._change(
            message.at,
            always=True,
            evcc_reachable=False,
            evcc_silent_since=message.since,
            evcc_reason=reason,
        )

    def _vehicle(self, message: VehicleMeasured) -> Iterator[StateChanged]:
        """A car is said at once, or together with the reading that waits for it."""
        vehicles = self._with_vehicle(message.vehicle)
        if self.memory.unsaid is None:
            yield from self._change(message.at, vehicles=vehicles)
        else:
            state = self._state(message.at)
            self._remember(state=msgspec.structs.replace(state, vehicles=vehicles))

    def _with_vehicle(self, vehicle: Vehicle) -> tuple[Vehicle, ...]:
        """The cars with this one, in the order of their names (INV-78)."""
        name = vehicle.name.casefold()
        known = self.memory.state.vehicles if self.memory.state else ()
        if name in _disabled(self.memory.settings):
            return known
        others = (one for one in known if one.name.casefold() != name)
        return tuple(sorted((*others, vehicle), key=lambda one: one.name.casefold()))

    def _goals(self, plan: Plan) -> None:
        """Departures that the newest plan cannot meet."""
        self._clear("goal")
        for missed in plan.shortfalls:
            if missed.goal != "departure" or missed.by is None:
                continue
            why = _why(
                "goal_at_risk",
                vehicle=missed.name,
                departure_at=_iso(missed.by),
                missing_kwh=missed.missing_kwh,
            )
            self._trouble(f"goal {missed.name.casefold()}", why)

    # --- the state itself -------------------------------------------------------------------------

    def _remember(self, **changes: Any) -> None:
        self.memory = msgspec.structs.replace(self.memory, **changes)

    def _state(self, at: datetime) -> HomeState:
        return self.memory.state or HomeState(revision=0, at=at)

    def _clear(self, key: str) -> None:
        """Forget the trouble of that key, or all of that kind."""
        kept = tuple(
            one
            for one in self.memory.troubles
            if one.key != key and not one.key.startswith(f"{key} ")
        )
        if len(kept) != len(self.memory.troubles):
            self._remember(troubles=kept)

    def _trouble(self, key: str, why: Why, until: datetime | None = None) -> None:
        """Keep one trouble, in place of an older one of its key; the newest ones if too many."""
        others = (one for one in self.memory.troubles if one.key != key)
        self._remember(troubles=(*others, Trouble(key, why, until))[-MOST_TROUBLES:])

    def _change(
        self, at: datetime, *, always: bool = False, **changes: Any
    ) -> Iterator[StateChanged]:
        """Say the next revision if anything in it differs from the last one."""
        old = self._state(at)
        troubles = sorted(self.memory.troubles, key=lambda one: one.key)
        changes["troubles"] = tuple(one.why for one in troubles)
        if not always and all(getattr(old, name) == new for name, new in changes.items()):
            return
        at = max(at, old.at)
        state = msgspec.structs.replace(old, revision=old.revision + 1, at=at, **changes)
        self._remember(state=state)
        yield StateChanged(at, state)


def _disabled(settings: Settings) -> frozenset[str]:
    return frozenset(car.name.casefold() for car in settings.cars if car.disabled)


def _why(code: str, **numbers: float | str) -> Why:
    return Why(code, tuple(numbers.items()))


def _iso(at: datetime) -> str:
    return at.isoformat()
