"""Coarse against fine: what evcc's regulator makes of weather by the minute, and maps of less.

The reference is the regulator at 30 s on weather in 10 s steps (`fine_day`), the mean of every
place of its cycles. Beside it stand the same regulator on one-minute weather, and the static map on
5- and 15-minute means. Each seeded day has broken clouds, a house battery and two cars in pv at two
loadpoints; cars come and go on the quarter hour, so that no step is cut. The bar is for the
one-minute weather; the rest is told, not judged.

Three things about one-minute weather, all measured here:

* A minute is what the sky is in its middle, not its mean: means take the edges off the clouds, and
  a fixed three-phase car gets 1 to 2.5 % less, a sample nothing.
* Where evcc's cycles lie in the minute matters. On its edge evcc reads each minute before it is
  lived through, and 2 to 4 % of what goes through the battery is missing; 20 s later there is as
  much too much. 10 s after the edge nothing is (`LAG_S`): there the pretend evcc has its cycles
  (`sim.evcc.PHASE`). Minute means want 20 s.
* Two loadpoints of the same priority have a period of 60 s, the minute's own. Whoever reads first
  then takes the sun in each minute (20 to 70 % per car; with 10 s weather it is a coin toss, and up
  to 20 % per car over 20 days). So the days give the priority to one car, in turn.
"""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.home import Box, House
from engine.loadpoint import PV, Loadpoint, Site
from sim.loops import run, run_map

Floats = NDArray[np.float64]

FINE_S, MINUTE_S, INTERVAL_S, SLOT_S = 10, 60, 30, 900
DAY_S = 86_400
SLOTS = DAY_S // SLOT_S
SPELL_S = (30.0, 1200.0)
BAR_PCT, BAR_EUR_DAY = 2.0, 0.10
IMPORT_EUR_KWH, EXPORT_EUR_KWH = 0.31, 0.08
CARS = 2
BOX_KINDS = ("1p/3p", "fixed 3p")
LAG_S = 10
"""How long after the edge of a minute the next cycle comes."""


# --- weather and people ---------------------------------------------------------------------------


def fine_day(rng: np.random.Generator, spell_s: tuple[float, float] = SPELL_S) -> Floats:
    """House load and pv in W, one row per 10 s of a day.

    Sun: half a sine from 6 to 18 h with a peak of 6 to 10 kW. Clouds let 15 to 50 % through; clear
    and cloudy spells last from and to `spell_s`, their edges 10 to 180 s, each length as likely on
    a logarithmic scale (shadows have no size of their own). Load: 250 to 450 W, and bursts of
    2.2 kW for 90 s, three in an hour of the day and one in two of the night; they begin at any
    tenth second.
    """
    rows = DAY_S // FINE_S
    at_h = np.arange(rows) * FINE_S / 3600.0
    peak_w = rng.uniform(6000.0, 10_000.0)
    sun_w = peak_w * np.clip(np.sin(np.pi * (at_h - 6.0) / 12.0), 0.0, None)
    sun_w[(at_h < 6.0) | (at_h > 18.0)] = 0.0
    load_w = np.repeat(rng.uniform(250.0, 450.0, rows // 60), 60)
    often = np.where((at_h >= 6.0) & (at_h < 23.0), 3.0, 0.5) * FINE_S / 3600.0
    for start in np.flatnonzero(rng.random(rows) < often):
        load_w[start : start + 9] += 2200.0
    return np.stack([load_w, sun_w * _clouds(rng, rows, spell_s)], axis=1)


def _clouds(rng: np.random.Generator, rows: int, spell_s: tuple[float, float]) -> Floats:
    """The share of the sun that comes through, row by row."""
    shortest, longest = np.log(spell_s)
    at_s, through = 0.0, 1.0
    times, shares = [0.0], [1.0]
    while at_s < rows * FINE_S:
        through = 1.0 if through < 1.0 else float(rng.uniform(0.15, 0.5))
        edge_s = float(np.exp(rng.uniform(np.log(10.0), np.log(180.0))))
        stays_s = float(np.exp(rng.uniform(shortest, longest)))
        times += [at_s + edge_s, at_s + edge_s + stays_s]
        shares += [through, through]
        at_s = times[-1]
    share: Floats = np.interp(np.arange(rows) * FINE_S, times, shares)
    return share


def means(fine: Floats, step_s: int) -> Floats:
    """The same weather in rows of `step_s`, a multiple of 10 s that goes into the day."""
    mean: Floats = fine.reshape(DAY_S // step_s, step_s // FINE_S, 2).mean(axis=1)
    return mean


class Visit(NamedTuple):
    """A car at its box: slots of 15 minutes, energy in it at the start."""

    comes: int
    goes: int
    kwh: float
    capacity_kwh: float


class Day(NamedTuple):
    """What is drawn for a day. Prices per hour, in EUR/kWh. `first`: the car with the priority."""

    weather: Floats
    first: int
    visits: tuple[Visit, ...]
    battery_kwh: float
    priority_soc: float
    prices: Floats


def drawn_day(seed: int, day: int, spell_s: tuple[float, float] = SPELL_S) -> Day:
    """Day `day` of the comparison; the same for every variant."""
    rng = np.random.default_rng([seed, day, 4])
    visits = []
    for _ in range(CARS):
        capacity_kwh = float(rng.uniform(50.0, 80.0))
        visits.append(
            Visit(
                comes=int(rng.integers(20, 48)),
                goes=int(rng.integers(60, 84)),
                kwh=capacity_kwh * float(rng.uniform(0.2, 0.7)),
                capacity_kwh=capacity_kwh,
            )
        )
    return Day(
        weather=fine_day(rng, spell_s),
        first=day % CARS,
        visits=tuple(visits),
        battery_kwh=float(rng.uniform(1.0, 6.0)),
        priority_soc=float(rng.choice([0.0, 30.0, 60.0])),
        prices=rng.uniform(0.15, 0.45, 24),
    )


# --- a day lived through --------------------------------------------------------------------------


class Sums(msgspec.Struct, frozen=True):
    """Totals: energy of each car's box, through the battery (in and out, AC), bills in EUR.

    `bill_eur` is at 0.31 for import and 0.08 for export, `hourly_bill_eur` at drawn hourly prices.
    """

    cars_kwh: tuple[float, ...]
    battery_kwh: float
    import_kwh: float
    bill_eur: float
    hourly_bill_eur: float


Home = tuple[Site, list[Loadpoint], House, list[Box]]
Run = Callable[[Home, int], None]
"""Lives through one slot."""


def a_home(day: Day, kind: str) -> Home:
    """The home on the morning of `day`: an 8 kWh battery, two boxes of this kind in pv."""
    site = Site(has_battery=True, priority_soc=day.priority_soc)
    house = House(
        capacity_kwh=8.0, charge_w=4000.0, discharge_w=4000.0, charge_efficiency=0.95,
        discharge_efficiency=0.95, floor_kwh=0.4, max_kwh=8.0, battery_kwh=day.battery_kwh,
    )  # fmt: skip
    switches = kind == "1p/3p"
    points = [
        Loadpoint(
            mode=PV, can_switch=switches, priority=int(k == day.first), phases=0 if switches else 3,
            phases_configured=0 if switches else 3, knows_vehicle=True,
            vehicle_capacity_kwh=visit.capacity_kwh, vehicle_tells_soc=True, vehicle_limit_soc=90,
        )
        for k, visit in enumerate(day.visits)
    ]  # fmt: skip
    return site, points, house, [Box() for _ in day.visits]


def live(day: Day, kind: str, run_slot: Run) -> Sums:
    """The day, slot by slot, with cars that come and go."""
    home = a_home(day, kind)
    _, _, house, boxes = home
    bill_eur = hourly_eur = 0.0
    for slot in range(SLOTS):
        for box, visit in zip(boxes, day.visits, strict=True):
            if slot == visit.comes:
                box.plugged, box.car_kwh, box.full_kwh = True, visit.kwh, visit.capacity_kwh
            elif slot == visit.goes:
                box.plugged = False
        imported_kwh, exported_kwh = house.import_kwh, house.export_kwh
        run_slot(home, slot)
        imported_kwh = house.import_kwh - imported_kwh
        earned_eur = (house.export_kwh - exported_kwh) * EXPORT_EUR_KWH
        bill_eur += imported_kwh * IMPORT_EUR_KWH - earned_eur
        hourly_eur += imported_kwh * float(day.prices[slot * SLOT_S // 3600]) - earned_eur
    return Sums(
        cars_kwh=tuple(box.charged_kwh for box in boxes),
        battery_kwh=house.charged_kwh + house.discharged_kwh,
        import_kwh=house.import_kwh,
        bill_eur=bill_eur,
        hourly_bill_eur=hourly_eur,
    )


def by_regulator(weather: Floats, shift_s: int) -> Run:
    """Slots of the regulator at its own interval, on rows of 10 s that begin `shift_s` late."""
    cycles = SLOT_S // INTERVAL_S
    shifted = np.roll(weather, shift_s // FINE_S, axis=0)

    def run_slot(home: Home, slot: int) -> None:
        run(*home, shifted, FINE_S, INTERVAL_S, slot * cycles, cycles)

    return run_slot


def middles(fine: Floats) -> Floats:
    """One-minute weather: what is there in the middle of each minute."""
    taken: Floats = fine.reshape(DAY_S // MINUTE_S, MINUTE_S // FINE_S, 2)[:, 2, :]
    return taken


def by_minutes(minutes: Floats, lag_s: int) -> list[Run]:
    """Slots of the regulator on rows of a minute, the next cycle `lag_s` after a minute's edge.

    Either loadpoint is the one that has it.
    """
    fine = minutes.repeat(MINUTE_S // FINE_S, axis=0)
    shifts_s = (INTERVAL_S - lag_s, 2 * INTERVAL_S - lag_s)
    return [by_regulator(fine, shift_s % MINUTE_S) for shift_s in shifts_s]


def by_map(weather: Floats, step_s: int) -> Run:
    """Slots of the static map."""
    steps = SLOT_S // step_s

    def run_slot(home: Home, slot: int) -> None:
        run_map(*home, weather, step_s, slot * steps, steps)

    return run_slot


REFERENCE, JUDGED = "regulator, 10 s", "regulator, 1 min"
VARIANTS: dict[str, Callable[[Day], list[Run]]] = {
    REFERENCE: lambda day: [by_regulator(day.weather, s) for s in range(0, MINUTE_S, FINE_S)],
    JUDGED: lambda day: by_minutes(middles(day.weather), LAG_S),
    "the same, cycle at the edge": lambda day: by_minutes(middles(day.weather), 0),
    "minute means, cycle at 20 s": lambda day: by_minutes(means(day.weather, MINUTE_S), 20),
    "static map, 5 min": lambda day: [by_map(means(day.weather, 300), 300)],
    "static map, 15 min": lambda day: [by_map(means(day.weather, 900), 900)],
}
"""Of several runs of a day the mean counts."""


# --- the comparison -------------------------------------------------------------------------------


class Variant(msgspec.Struct, frozen=True):
    """Sums of all days, and how far they are from the reference.

    Percent are of the reference's sum. EUR are per day: the mean of the days' differences, and
    `bill_spread_eur_day` the mean of their sizes, at the fixed price.
    """

    name: str
    sums: Sums
    cars_pct: tuple[float, ...]
    battery_pct: float
    bill_eur_day: float
    hourly_bill_eur_day: float
    bill_spread_eur_day: float

    @property
    def holds(self) -> bool:
        """Within the bars."""
        most_pct = max(abs(pct) for pct in (*self.cars_pct, self.battery_pct))
        most_eur = max(abs(self.bill_eur_day), abs(self.hourly_bill_eur_day))
        return most_pct <= BAR_PCT and most_eur <= BAR_EUR_DAY


class BoxKind(msgspec.Struct, frozen=True):
    """The variants for one kind of box, the reference first."""

    kind: str
    variants: tuple[Variant, ...]


class Comparison(msgspec.Struct, frozen=True):
    """All of it. `holds`: one-minute weather is within the bars, for both kinds of boxes."""

    days: int
    seed: int
    wall_s: float
    holds: bool
    kinds: tuple[BoxKind, ...]


def compare(days: int = 20, seed: int = 1, spell_s: tuple[float, float] = SPELL_S) -> Comparison:
    """Run every variant through `days` drawn days, about a second and a half each, uncompiled.

    `spell_s`: shortest and longest spell of the clouds, in seconds. Raises ValueError for less
    than one day, or for spells that are not above 0 in this order.
    """
    if days < 1:
        raise ValueError(f"days is {days}; a comparison needs at least 1: give days=20")
    if not 0 < spell_s[0] <= spell_s[1]:
        raise ValueError(
            f"spell_s is {spell_s}; it holds the shortest and the longest spell of the clouds in "
            "seconds, both above 0: give spell_s=(30, 1200)"
        )
    began = perf_counter()
    drawn = [drawn_day(seed, day, spell_s) for day in range(days)]
    kinds = []
    for kind in BOX_KINDS:
        lived = {
            name: [_mean([live(day, kind, run_slot) for run_slot in made(day)]) for day in drawn]
            for name, made in VARIANTS.items()
        }
        reference = lived[REFERENCE]
        variants = tuple(_against(name, sums, reference) for name, sums in lived.items())
        kinds.append(BoxKind(kind, variants))
    judged = [one for each in kinds for one in each.variants if one.name == JUDGED]
    wall_s = round(perf_counter() - began, 1)
    return Comparison(days, seed, wall_s, all(one.holds for one in judged), tuple(kinds))


def _total(days: list[Sums], weight: float = 1.0) -> Sums:
    return Sums(
        cars_kwh=tuple(
            weight * sum(kwh) for kwh in zip(*(day.cars_kwh for day in days), strict=True)
        ),
        battery_kwh=weight * sum(day.battery_kwh for day in days),
        import_kwh=weight * sum(day.import_kwh for day in days),
        bill_eur=weight * sum(day.bill_eur for day in days),
        hourly_bill_eur=weight * sum(day.hourly_bill_eur for day in days),
    )


def _mean(runs: list[Sums]) -> Sums:
    return _total(runs, 1.0 / len(runs))


def _against(name: str, days: list[Sums], reference: list[Sums]) -> Variant:
    sums, base = _total(days), _total(reference)
    pairs = list(zip(days, reference, strict=True))
    spread_eur = sum(abs(a.bill_eur - b.bill_eur) for a, b in pairs)
    return Variant(
        name=name,
        sums=sums,
        cars_pct=tuple(map(_off_pct, sums.cars_kwh, base.cars_kwh)),
        battery_pct=_off_pct(sums.battery_kwh, base.battery_kwh),
        bill_eur_day=(sums.bill_eur - base.bill_eur) / len(days),
        hourly_bill_eur_day=(sums.hourly_bill_eur - base.hourly_bill_eur) / len(days),
        bill_spread_eur_day=spread_eur / len(days),
    )


def _off_pct(value: float, base: float) -> float:
    """How far `value` is off; nothing against nothing is 0 %."""
    if base == 0:
        return 0.0 if value == 0 else float("inf")
    return 100.0 * (value / base - 1.0)


def table(comparison: Comparison) -> str:
    """For people: kWh and EUR per day, with what each variant is off."""
    days = comparison.days
    lines = [
        f"{days} days, seed {comparison.seed}: per day, in brackets the difference to 10 s",
        f"{'':40}{'car 1 kWh':>17}{'car 2 kWh':>17}{'battery kWh':>17}{'bill EUR':>17}",
    ]
    for each in comparison.kinds:
        for one in each.variants:
            sums = one.sums
            cells = [
                f"{kwh / days:8.2f} ({pct:+5.1f}%)"
                for kwh, pct in zip(
                    (*sums.cars_kwh, sums.battery_kwh),
                    (*one.cars_pct, one.battery_pct),
                    strict=True,
                )
            ]
            bill = f"{sums.bill_eur / days:8.2f} ({one.bill_eur_day:+6.3f})"
            label = f"{each.kind}: {one.name}"
            lines.append(f"{label:40}" + "".join(f"{cell:>17}" for cell in (*cells, bill)))
    judged = "holds" if comparison.holds else "does NOT hold"
    lines.append(
        f"Bar for one-minute weather: energy {BAR_PCT:g} %, bill {BAR_EUR_DAY:.2f} EUR a day in "
        f"the mean: {judged}. {comparison.wall_s:g} s."
    )
    return "\n".join(lines)
