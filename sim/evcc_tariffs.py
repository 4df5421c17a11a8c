"""Tariffs of the pretend evcc: cached, as JSON, and the price that the bill is settled with."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from engine.slots import SLOT, slot_of
from engine.values import Rate
from sim.scenario import Scenario, World

USAGES = ("grid", "feedin", "solar", "planner", "co2", "temperature")
LOOK_BACK_H = 36
POLL_S, POLLED_S = 60.0, 0.3
"""evcc asks a price source so often, first so long after its start ..."""
OUTDATED_S = 120.0
"""... and believes it for two intervals (evcc-regulator.md §13)."""


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Tariffs:
    """What evcc says of prices and sun at a time. Read from the world once per slot."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self._world = world
        self._zone = ZoneInfo(scenario.settings.site.zone)
        self.static = scenario.sim.prices.kind == "flat"
        """A fixed price gives evcc no rates to plan with."""
        self.feed_in_static = scenario.sim.prices.feed_in_static
        self._read_for: dict[str, datetime] = {}
        self._rates: dict[str, tuple[Rate, ...] | None] = {}
        self._by_slot: dict[str, dict[datetime, float]] = {}
        self._json: dict[str, tuple[tuple[Rate, ...], bytes]] = {}
        self._settled: tuple[datetime, float, float] | None = None
        self._forecast: tuple[datetime, dict[str, Any], msgspec.Raw] | None = None
        self._arrays: dict[str, tuple[tuple[Rate, ...], msgspec.Raw]] = {}
        self._energies: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._last: dict[str, float] = {}
        self._start = scenario.sim.start
        self._polls_from_s = POLLED_S - OUTDATED_S
        """It has asked before the world began, unless it is started."""
        self._fails_since_s: float | None = None
        self._failed: list[tuple[float, float]] = []

    def restart(self, at_s: float) -> None:
        """A new evcc knows no old values, and asks its sources at once."""
        self._polls_from_s = at_s + POLLED_S
        self._last.clear()
        self.forget()

    def source_fails(self, fails: bool, at_s: float) -> None:
        """The price source does not answer from now on, or does again."""
        if fails and self._fails_since_s is None:
            self._fails_since_s = at_s
        elif not fails and self._fails_since_s is not None:
            self._failed.append((self._fails_since_s, at_s))
            self._fails_since_s = None

    def _outdated(self, at: datetime) -> bool:
        """Whether the last good answer of the price source is too old."""
        if not self._failed and self._fails_since_s is None:
            return False
        at_s = (at - self._start).total_seconds()
        last = int((at_s - self._polls_from_s) // POLL_S)
        for k in range(last, -1, -1):
            poll_s = self._polls_from_s + k * POLL_S
            if at_s - poll_s > OUTDATED_S:
                break
            if not self._silent_at(poll_s):
                return False
        return at_s >= self._polls_from_s

    def _silent_at(self, at_s: float) -> bool:
        if self._fails_since_s is not None and at_s >= self._fails_since_s:
            return True
        return any(since <= at_s < until for since, until in self._failed)

    def forget(self) -> None:
        """A tariff fails or is back: ask the world again."""
        self._read_for.clear()

    def rates(self, usage: str, at: datetime) -> tuple[Rate, ...] | None:
        """As published at `at`; None: the tariff fails or there is none."""
        if usage == "planner":
            usage = "grid"
        if usage not in ("grid", "feedin", "solar"):
            return None
        if usage == "grid" and self._outdated(at):
            return None
        self._read(usage, at, slot_of(at))
        return self._rates[usage]

    def _read(self, usage: str, at: datetime, slot: datetime) -> None:
        """Ask the world, once in each slot."""
        if self._read_for.get(usage) == slot:
            return
        rates = self._world.rates(usage, at)
        if rates is not self._rates.get(usage) or usage not in self._by_slot:
            self._by_slot[usage] = _by_slot(rates)
        self._rates[usage], self._read_for[usage] = rates, slot
        if slot in self._by_slot[usage]:
            self._last[usage] = self._by_slot[usage][slot]

    def price(self, usage: str, at: datetime) -> float | None:
        """The value in force at `at`, if it is published."""
        slot = slot_of(at)
        self._read(usage, at, slot)
        if usage == "grid" and self._outdated(at):
            return None
        return self._by_slot[usage].get(slot)

    def shown(self, usage: str, at: datetime) -> float | None:
        """What the state shows: the old value while the tariff fails; None: never had one."""
        value = self.price(usage, at)
        return self._last.get(usage) if value is None else value

    def planner(self, at: datetime) -> tuple[Rate, ...] | None:
        """The rates that evcc's own plans and limits see."""
        return None if self.static else self.rates("grid", at)

    def planner_price(self, at: datetime) -> float | None:
        """The price that smart limits are compared with."""
        return None if self.static else self.price("grid", at)

    def settlement(self, at: datetime) -> tuple[float, float]:
        """Import and feed-in price of the slot on the bill, whether or not evcc can read it now.

        The world publishes as a function of time, so other times of asking show what an outage
        hides. A slot that is never published costs what the slot before it cost.
        """
        slot = slot_of(at)
        if self._settled is None or self._settled[0] != slot:
            before = self._settled[1:] if self._settled else (0.0, 0.0)
            grid, fed = self._published("grid", slot), self._published("feedin", slot)
            self._settled = (
                slot,
                before[0] if grid is None else grid,
                before[1] if fed is None else fed,
            )
        return self._settled[1], self._settled[2]

    def _published(self, usage: str, slot: datetime) -> float | None:
        rates = self._world.rates(usage, slot)
        known = rates is self._rates.get(usage) and usage in self._by_slot
        value = (self._by_slot[usage] if known else _by_slot(rates)).get(slot)
        for hours in range(1, LOOK_BACK_H):
            if value is not None:
                break
            for asked in (slot - timedelta(hours=hours), slot + timedelta(hours=hours)):
                found = _by_slot(self._world.rates(usage, asked)).get(slot)
                value = found if value is None else value
        return value

    def answer(self, usage: str, at: datetime) -> bytes | None:
        """The body of `GET /api/tariff/{usage}`; None: 404."""
        rates = self.rates(usage, at)
        if rates is None:
            return None
        known = self._json.get(usage)
        if known is None or known[0] is not rates:
            entries = [
                {"start": _text(r.start), "end": _text(r.end), "value": r.value} for r in rates
            ]
            known = self._json[usage] = rates, msgspec.json.encode({"rates": entries})
        return known[1]

    def forecast(self, at: datetime) -> msgspec.Raw:
        """The `forecast` of the state, encoded again only where something in it changes."""
        slot = slot_of(at)
        rates = {usage: self.rates(usage, at) for usage in ("feedin", "grid", "solar")}
        known = self._forecast
        if known is None or known[0] != slot or any(rates[u] is not known[1][u] for u in rates):
            parts: dict[str, Any] = {}
            for usage, entries in rates.items():
                if entries is not None and usage != "solar":
                    parts[usage] = self._encoded(usage, entries)
            if "grid" in parts and not self.static:
                parts["planner"] = parts["grid"]
            if rates["solar"] is not None:
                parts["solar"] = self._solar(rates["solar"], slot)
            self._forecast = known = slot, rates, msgspec.Raw(msgspec.json.encode(parts))
        return known[2]

    def _encoded(self, usage: str, rates: tuple[Rate, ...]) -> msgspec.Raw:
        known = self._arrays.get(usage)
        if known is None or known[0] is not rates:
            rows: list[Any] = [
                (int(rate.start.timestamp()), rate.value)
                if usage == "solar"
                else (int(rate.start.timestamp()), int(rate.end.timestamp()), rate.value)
                for rate in rates
            ]
            known = self._arrays[usage] = rates, msgspec.Raw(msgspec.json.encode(rows))
        return known[1]

    def _solar(self, rates: tuple[Rate, ...], at: datetime) -> dict[str, Any]:
        """Energies in Wh per local day, today's from now on, and the points."""
        midnight = at.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        edges = [midnight.replace(tzinfo=None) + timedelta(days=k) for k in range(4)]
        days = [edge.replace(tzinfo=self._zone).astimezone(UTC) for edge in edges]
        values = self._by_slot["solar"]
        last = rates[-1].end if rates else at
        parts: dict[str, Any] = {"scale": 1}
        for name, (start, end) in zip(
            ("today", "tomorrow", "dayAfterTomorrow"), pairwise(days), strict=True
        ):
            key = (rates, start)
            if (
                name == "today"
                or name not in self._energies
                or not _same(self._energies[name][0], key)
            ):
                first = max(at, start)
                count = (end - first) // SLOT
                wh = sum(values.get(first + k * SLOT, 0.0) for k in range(count)) / 4.0
                self._energies[name] = key, {"energy": round(wh), "complete": last >= end}
            parts[name] = self._energies[name][1]
        return {**parts, "timeseries": self._encoded("solar", rates)}


def _by_slot(rates: tuple[Rate, ...] | None) -> dict[datetime, float]:
    """Value by quarter hour."""
    values: dict[datetime, float] = {}
    for rate in rates or ():
        slot = slot_of(rate.start)
        while slot < rate.end:
            values[slot] = rate.value
            slot += SLOT
    return values


def _same(one: tuple[Any, datetime], other: tuple[Any, datetime]) -> bool:
    """The same rates (the very tuple) and the same day."""
    return one[0] is other[0] and one[1] == other[1]
