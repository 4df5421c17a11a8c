"""Sees the home: asks for readings, puts tariffs on the slot grid, notices plugs and silence."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias, assert_never
from zoneinfo import ZoneInfo

import msgspec

from engine.actor import Actor
from engine.messages import (
    ActorFailed,
    ConfigRead,
    EvccLost,
    EvccNudged,
    EvccRead,
    EvccReadDue,
    EvccSilent,
    RatesChanged,
    SiteMeasured,
    Tick,
    VehiclePlugged,
    VehicleUnplugged,
)
from engine.rates import day_start, filled, fully_known, kept, known_from, series_from
from engine.settings import Settings
from engine.slots import slot_of
from engine.values import Rate, Series, Site, Tariff, Utc, Value

RETRY = timedelta(minutes=5)
"""How often a tariff that failed, or that lacks tomorrow, is asked for."""
PUBLISHED_HOUR = 13
"""From this local hour on tomorrow's prices are expected."""
BURST = timedelta(seconds=2)
"""At most two readings are asked for in this time: one per second, and two at once."""
PATIENCE_S = 30.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING = Series(EPOCH)

Hears: TypeAlias = ConfigRead | Tick | EvccNudged | EvccRead | EvccSilent | ActorFailed
Says: TypeAlias = (
    EvccReadDue | SiteMeasured | RatesChanged | VehiclePlugged | VehicleUnplugged | EvccLost
)


class Plug(Value, frozen=True):
    """What is plugged in at one loadpoint; `vehicle` None: not known to evcc."""

    loadpoint: str
    vehicle: str | None

    def same_car(self, other: "Plug") -> bool:
        """Upper and lower case do not make another car (INV-78)."""
        return (self.vehicle or "").casefold() == (other.vehicle or "").casefold()


class Held(Value, frozen=True):
    """One tariff as last heard; `read_at` is the time of the last answer, good or bad."""

    usage: str
    series: Series = NOTHING
    read_at: Utc | None = None
    failed: bool = False


class Rates(Value, frozen=True):
    """What was said last: two equal ones are not said twice."""

    grid: Series
    feedin: Series
    solar: Series
    failed_since: Utc | None


class CollectorMemory(Value, frozen=True):
    """All that the collector remembers."""

    settings: Settings = Settings()
    asked_at: Utc | None = None
    """The last request for a reading."""
    asked_before_at: Utc | None = None
    waiting: bool = False
    """Whether `asked_at` is still to be answered."""
    nudged: bool = False
    """evcc changed while a reading was on its way, or too soon after one."""
    measured_at: Utc | None = None
    silent_since: Utc | None = None
    plugs: tuple[Plug, ...] = ()
    tariffs: tuple[Held, ...] = (Held("grid"), Held("feedin"), Held("solar"))
    grid_failed_since: Utc | None = None
    revision: int = 0
    said: Rates | None = None


class Gridded(NamedTuple):
    """Entries of a tariff, and what they are on the grid from `start` on."""

    rates: tuple[Rate, ...]
    start: datetime
    series: Series


class Collector(Actor[Hears, Says]):
    """Asks for one reading at a time and says what it means."""

    memory: CollectorMemory

    def __init__(self) -> None:
        self.memory = CollectorMemory()
        # derived, so no memory: evcc sends the same entries again and again
        self._gridded: dict[str, Gridded] = {}

    def on(self, message: Hears) -> Iterator[Says]:
        match message:
            case ConfigRead():
                self._remember(settings=message.settings)
            case Tick():
                yield from self._tick(message.at)
            case EvccNudged():
                yield from self._nudged(message.at)
            case EvccRead():
                yield from self._read(message)
            case EvccSilent():
                self._remember(waiting=False)  # no second attempt before the next tick
                yield self._lost(message.at, message.at, message.reason)
            case ActorFailed(heard=heard):
                if heard == RatesChanged.__name__:
                    # said on changes only: whoever fell over it would be without prices for hours
                    self._remember(said=None)
            case _:
                assert_never(message)

    def _remember(self, **changes: object) -> None:
        self.memory = msgspec.structs.replace(self.memory, **changes)

    # --- asking -----------------------------------------------------------------------------------

    def _tick(self, at: datetime) -> Iterator[Says]:
        memory = self.memory
        if memory.waiting and memory.asked_at is not None:
            waited_s = (at - memory.asked_at).total_seconds()
            if abs(waited_s) < max(3 * memory.settings.tick_s, PATIENCE_S):
                return
            # never stuck: whoever should have answered is gone, and everybody is to know
            yield self._lost(at, memory.asked_at, f"no answer for {waited_s:.0f} s")
        yield self._ask(at)

    def _nudged(self, at: datetime) -> Iterator[Says]:
        memory = self.memory
        first = memory.asked_before_at
        if memory.waiting or (first is not None and timedelta(0) <= at - first < BURST):
            self._remember(nudged=True)
        else:
            yield self._ask(at)

    def _ask(self, at: datetime) -> EvccReadDue:
        due = tuple(held.usage for held in self.memory.tariffs if self._is_due(held, at))
        self._remember(
            asked_before_at=self.memory.asked_at, asked_at=at, waiting=True, nudged=False
        )
        return EvccReadDue(at, due)

    def _is_due(self, held: Held, at: datetime) -> bool:
        """In each new slot; sooner while it fails, or while tomorrow's prices are awaited."""
        if held.read_at is None or slot_of(held.read_at) != slot_of(at):
            return True
        if at - held.read_at < RETRY:
            return False
        return held.failed or (held.usage == "grid" and self._tomorrow_missing(held.series, at))

    def _tomorrow_missing(self, prices: Series, at: datetime) -> bool:
        zone = self._zone()
        if at.astimezone(zone).hour < PUBLISHED_HOUR:
            return False
        return not fully_known(prices, day_start(at, zone, 1), day_start(at, zone, 2))

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.memory.settings.site.zone)

    # --- answers ----------------------------------------------------------------------------------

    def _lost(self, at: datetime, since: datetime, reason: str) -> EvccLost:
        if self.memory.silent_since is None:
            self._remember(silent_since=since)
        return EvccLost(at, self.memory.silent_since or since, reason)

    def _read(self, message: EvccRead) -> Iterator[Says]:
        at, newest = message.at, self.memory.measured_at
        self._remember(waiting=False)
        if newest is not None and at < newest:
            return  # overtaken by a newer reading
        self._remember(silent_since=None, measured_at=at)
        # prices first: a state that holds this reading then names prices that were said before it
        yield from self._rates(at, message.tariffs)
        yield SiteMeasured(at, message.site, message.connection)
        yield from self._plugs(at, message.site)
        if self.memory.nudged:
            self._remember(nudged=False)
            yield from self._nudged(at)

    def _plugs(self, at: datetime, site: Site) -> Iterator[Says]:
        """Edges against the last reading; what is plugged in at the first one counts as new."""
        before = {plug.loadpoint: plug for plug in self.memory.plugs}
        now = {
            loadpoint.name: Plug(loadpoint.name, loadpoint.vehicle)
            for loadpoint in site.loadpoints
            if loadpoint.charger and loadpoint.connected
        }
        self._remember(plugs=tuple(now.values()))
        for name, plug in before.items():
            if name not in now:
                yield VehicleUnplugged(at, name, plug.vehicle)
        for name, plug in now.items():
            old = before.get(name)
            if old is None or not plug.same_car(old):
                yield VehiclePlugged(at, name, plug.vehicle)

    def _rates(self, at: datetime, tariffs: tuple[Tariff, ...]) -> Iterator[Says]:
        if not tariffs:
            return
        heard = {tariff.usage: tariff for tariff in tariffs}
        today = day_start(at, self._zone())
        grid, feedin, solar = (
            self._held(held, heard.get(held.usage), today, at) for held in self.memory.tariffs
        )
        since = (self.memory.grid_failed_since or at) if grid.failed else None
        export = feedin.series
        if not known_from(export, at):
            export = filled(export, grid.series, self.memory.settings.site.feed_in_eur_kwh)
        rates = Rates(grid.series, export, solar.series, since)
        changed = rates != self.memory.said
        self._remember(
            tariffs=(grid, feedin, solar),
            grid_failed_since=since,
            said=rates,
            revision=self.memory.revision + changed,
        )
        if changed:
            revision = self.memory.revision
            yield RatesChanged(at, revision, rates.grid, rates.feedin, rates.solar, since)

    def _held(self, held: Held, tariff: Tariff | None, today: datetime, at: datetime) -> Held:
        """One tariff after an answer that may name it; it begins today at local midnight.

        An answer without a value for now or later failed too: evcc may serve an outdated source.
        """
        known = held.series
        if tariff is not None and tariff.unchanged and known.start == today:
            return Held(held.usage, known, at, failed=not known_from(known, at))
        new = None
        if tariff is not None and tariff.rates:
            new = self._series(tariff.usage, tariff.rates, today)
        elif tariff is not None and tariff.unchanged:
            new = kept(held.series, None, today, at)
        new = new if new is not None and known_from(new, at) else None
        series = kept(held.series, new, today, at)
        if tariff is None:
            return msgspec.structs.replace(held, series=series)
        return Held(held.usage, series, at, failed=new is None)

    def _series(self, usage: str, rates: tuple[Rate, ...], start: datetime) -> Series:
        known = self._gridded.get(usage)
        if known is None or known.start != start or known.rates != rates:
            known = self._gridded[usage] = Gridded(rates, start, series_from(rates, start))
        return known.series
