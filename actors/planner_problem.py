"""What the planner is asked: plain numbers per slot, and what it assumes where it is not told.

Slot 0 is the rest of the current quarter hour (INV-04); the count is fixed by the horizon. Unknown
prices are None, never 0 (INV-18).
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from actors.load_profile import local_bins, slot_number
from actors.planner_model import Array
from engine.slots import SLOT, SLOT_S, slot_of
from engine.values import BatteryMode, Utc, Value

PRICE_DIGITS = 5
QUARTERS = 96
NEVER_KNOWN_EUR_KWH = 0.30
"""Shown, marked as assumed, where no tariff was ever known; nothing is decided on it."""


class Store(Value, frozen=True):
    """The house battery. Energies are stored kWh, powers and wear are on the AC side."""

    capacity_kwh: float
    stored_kwh: float
    min_kwh: float
    max_kwh: float
    charge_kw: float
    discharge_kw: float
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    wear_eur_kwh: float = 0.02
    """Per kWh discharged."""
    grid_charging: bool = True
    hold_charges_from_pv: bool = True
    controllable: bool = True
    """False: evcc cannot set its mode, it serves the house by itself."""
    max_eur_kwh: float | None = None
    """Never bought for it above this price."""
    feeds_cars: bool = True


class CarNeed(Value, frozen=True):
    """One car at a loadpoint. `need_kwh` is on the AC side, to its target."""

    vehicle: str
    loadpoint: str
    need_kwh: float
    max_kw: float
    min_kw: float = 0.0
    efficiency: float = 0.9
    capacity_kwh: float | None = None
    soc_pct: float | None = None
    departure: Utc | None = None
    """None or past: no deadline, it charges when that pays (INV-16)."""
    asap: bool = False
    """Charge at full power from now on, whatever it costs."""
    from_at: Utc | None = None
    """Until then it takes nothing, whatever it is told: that is planned around."""
    waiting: bool = False
    """It is not plugged in; people could swap it for the car at `loadpoint`."""
    max_eur_kwh: float | None = None
    """Above this price it takes from the grid only what its departure would lack (INV-24)."""


class Target(Value, frozen=True):
    """So much is to be stored in the battery at `by`."""

    stored_kwh: float
    by: Utc


class Charged(Value, frozen=True):
    """The slots (by start) in which the last plan charged at a loadpoint."""

    loadpoint: str
    starts: tuple[Utc, ...]


class Problem(Value, frozen=True):
    """Everything that a plan depends on. Series have one number per slot from `at` on."""

    at: Utc
    zone: str
    import_eur_kwh: tuple[float | None, ...]
    export_eur_kwh: tuple[float | None, ...]
    load_kw: tuple[float, ...]
    """The house without battery and without cars."""
    pv_kw: tuple[float, ...]
    store: Store | None = None
    cars: tuple[CarNeed, ...] = ()
    unmet_eur_kwh: float = 5.0
    import_limit_kw: float | None = None
    export_limit_kw: float | None = None
    usual_eur_kwh: tuple[float | None, ...] = ()
    """The tariff's learnt shape: 96 local quarter hours, or empty."""
    feed_in_eur_kwh: float = 0.08
    """For slots of which no feed-in is known at all."""
    revision: int = 1
    pv_known: bool = True
    battery_offset_eur_kwh: float = 0.0
    """Added to the value of what the first slot stores in the battery (design §8); 0: the plan."""
    cars_offset_eur_kwh: float = 0.0
    """The same for the cars."""
    prices_failed: bool = False
    """The tariff fails: what it once published decides nothing (INV-18)."""
    battery_before: BatteryMode | None = None
    """The mode that the last plan asked for, which stays where it hardly matters."""
    before: tuple[Charged, ...] = ()
    """Where the last plan charged, which stays where it hardly matters."""
    swap_cost_eur: float = 1.0
    """What it is worth to people not to swap cars once."""
    quiet: tuple[bool, ...] = ()
    """Per slot: nobody swaps cars at its start; empty: never quiet."""
    targets: tuple[Target, ...] = ()
    load_beyond_kw: tuple[float, ...] = ()
    """By how much the load may exceed `load_kw` (its 90 % quantile); empty: no reserve for that."""
    pv_short_kw: tuple[float, ...] = ()
    """By how much the sun may stay below `pv_kw` (its 10 % quantile); as long as the load's."""


class Grid(NamedTuple):
    """The slots of a problem: starts, lengths, local quarter of the day."""

    starts: tuple[datetime, ...]
    hours: Array
    quarters: tuple[int, ...]


class Prices(NamedTuple):
    """Prices without gaps (EUR/kWh) and which of them are assumed; `gap`: a hole in the known."""

    buy: Array
    sell: Array
    assumed: tuple[bool, ...]
    gap: NDArray[np.bool_]
    known: int


def grid_of(problem: Problem) -> Grid:
    """The problem's slots: UTC starts (the first is `at`), hours, local quarters."""
    first, count = slot_of(problem.at), len(problem.load_kw)
    starts = [first + k * SLOT for k in range(count)]
    hours = np.full(count, SLOT_S / 3600)
    hours[0] = (first + SLOT - problem.at) / timedelta(hours=1)
    bins = local_bins(slot_number(first), count, ZoneInfo(problem.zone))
    quarters = tuple((bins % QUARTERS).tolist())
    starts[0] = problem.at
    return Grid(tuple(starts), hours, quarters)


def open_hours(car: CarNeed, grid: Grid) -> Array:
    """How long the car can charge in each slot."""
    opens = car.from_at
    if opens is None or opens <= grid.starts[0]:
        return grid.hours
    left = [
        float(hours) - max(0.0, (opens - start) / timedelta(hours=1))
        for start, hours in zip(grid.starts, grid.hours, strict=True)
    ]
    opened: Array = np.maximum(np.array(left), 0.0)
    return opened


def _by_quarter(values: tuple[float | None, ...], quarters: tuple[int, ...]) -> dict[int, float]:
    sums: dict[int, tuple[float, int]] = {}
    for value, quarter in zip(values, quarters, strict=True):
        if value is not None:
            total, count = sums.get(quarter, (0.0, 0))
            sums[quarter] = (total + value, count + 1)
    return {quarter: total / count for quarter, (total, count) in sums.items()}


def _rounded(values: list[float]) -> list[float]:
    """To the digits of a price; each price once, as many slots have the same."""
    rounded = {value: round(value, PRICE_DIGITS) for value in set(values)}
    return [rounded[value] for value in values]


def _assume(
    values: tuple[float | None, ...],
    quarters: tuple[int, ...],
    usual: tuple[float | None, ...],
    last: float,
) -> list[float]:
    """Known values; else the mean of that local quarter, its usual value, the mean of all known.

    Where nothing is known at all: `last`.
    """
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return _rounded(known)
    known = known or [value for value in usual if value is not None]
    mean = sum(known) / len(known) if known else last
    means = _by_quarter(values, quarters)
    filled = []
    for value, quarter in zip(values, quarters, strict=True):
        if value is not None:
            filled.append(value)
        elif quarter in means:
            filled.append(means[quarter])
        else:
            shape = usual[quarter] if len(usual) == QUARTERS else None
            filled.append(mean if shape is None else shape)
    return _rounded(filled)


def prices_of(problem: Problem, grid: Grid) -> Prices:
    """Prices for every slot; `known` counts the published ones (0: nothing to optimise on).

    Beyond what was published the tariff's own shape goes on. A gap within the published part counts
    as dear as the dearest known slot, and nothing is bought in it for its price (INV-18).
    """
    given = problem.import_eur_kwh
    known = [k for k, value in enumerate(given) if value is not None]
    buy = np.array(_assume(given, grid.quarters, problem.usual_eur_kwh, NEVER_KNOWN_EUR_KWH))
    assumed = np.array([value is None for value in given])
    gap = assumed & (np.arange(len(given)) < (known[-1] if known else 0))
    buy[gap] = max((value for value in given if value is not None), default=NEVER_KNOWN_EUR_KWH)
    sell = np.array(_assume(problem.export_eur_kwh, grid.quarters, (), problem.feed_in_eur_kwh))
    return Prices(buy, sell, tuple(assumed.tolist()), gap, len(known))


def learn_shape(
    usual: tuple[float | None, ...], quarter: int, price: float
) -> tuple[float | None, ...]:
    """The tariff's shape after one more published price at a local quarter of the day."""
    shape: list[float | None] = list(usual) if len(usual) == QUARTERS else [None] * QUARTERS
    before = shape[quarter]
    shape[quarter] = round(price if before is None else before + 0.3 * (price - before), 6)
    return tuple(shape)
