"""Benchmark of the pretend home: control cycles per second, compiled and as plain Python."""

from collections.abc import Callable
from math import pi
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from engine.home import Box, House
from engine.loadpoint import PV, Loadpoint, Site
from sim import loops
from sim.compiled import Homes, compiled, homes

INTERVAL_S = 30.0
CYCLES = 2880
"""A day; every pass goes through all of it, night included."""
MAP_S, MAP_STEPS = 900.0, 96
TABLES = 32
PASSES = 9

Home = tuple[Site, list[Loadpoint], House, list[Box]]


def standard_home(loadpoints: int, seed: int) -> Home:
    """A home with a 10 kWh battery and a car in pv at each box (1p/3p); `seed` draws the SoCs."""
    rng = np.random.default_rng([seed, 7])
    site = Site(has_battery=True, priority_soc=30.0, buffer_soc=80.0, discharge_control=True)
    house = House(
        capacity_kwh=10.0, charge_w=5000.0, discharge_w=5000.0, charge_efficiency=0.95,
        discharge_efficiency=0.95, floor_kwh=0.5, max_kwh=10.0,
        battery_kwh=float(rng.uniform(1.0, 9.0)),
    )  # fmt: skip
    points = [
        Loadpoint(
            mode=PV, can_switch=True, phases=0, phases_configured=0, priority=k,
            knows_vehicle=True, vehicle_capacity_kwh=77.0, vehicle_tells_soc=True,
            vehicle_limit_soc=80,
        )
        for k in range(loadpoints)
    ]  # fmt: skip
    boxes = [
        Box(plugged=True, car_kwh=float(rng.uniform(10.0, 50.0)), full_kwh=77.0) for _ in points
    ]
    return site, points, house, boxes


def day_weather(cycles: int, tables: int, seed: int) -> loops.Floats:
    """Load and pv in W: (cycle, table, 2), a day of sun with clouds that come and go."""
    rng = np.random.default_rng([seed, 8])
    sun_w = 9000.0 * np.maximum(0.0, np.sin(2 * pi * np.arange(cycles) / cycles - pi / 2))
    runs = rng.uniform(0.2, 1.0, (cycles // 8 + 1, tables)).repeat(8, axis=0)[:cycles]
    load_w = rng.uniform(200.0, 900.0, (cycles, tables))
    return np.stack([load_w, sun_w[:, None] * runs], axis=2)


def _rate(steps: int, run: Callable[[Any], None], make: Callable[[], Any]) -> float:
    """Steps per second, the median of the passes; each starts afresh, one before does not count."""
    run(make())
    rates = []
    for _ in range(PASSES):
        fresh = make()
        began = perf_counter()
        run(fresh)
        rates.append(steps / (perf_counter() - began))
    return median(rates)


def bench_sim(count: int = 1024, seed: int = 1) -> dict[str, float]:
    """Cycles (or steps of the static map) per second: one home, `count` homes, plain Python.

    A home has a battery and one car; keys with `two_boxes` have two cars at two loadpoints. A step
    of the regulator is one cycle of `engine.regulator.step` and the physics until the next, on one
    core. Compiling is outside and told as `compile_s`. Raises MissingLabError without numba.
    """
    single = compiled()
    began = perf_counter()
    one = day_weather(CYCLES, 1, seed)[:, 0, :].copy()
    many = day_weather(CYCLES, TABLES, seed)
    coarse = day_weather(MAP_STEPS, TABLES, seed)
    table = np.arange(count, dtype=np.int64) % TABLES
    tiny = homes([standard_home(1, seed)])
    single.run(*tiny.one, one, INTERVAL_S, INTERVAL_S, 0, 1)
    single.run_many(*tiny, many, table[:1], INTERVAL_S, INTERVAL_S, 0, 1)
    single.run_map(*tiny.one, one, INTERVAL_S, 0, 1)
    single.run_map_many(*tiny, many, table[:1], INTERVAL_S, 0, 1)
    told: dict[str, float] = {
        "homes": count, "passes": PASSES, "compile_s": round(perf_counter() - began, 1)
    }  # fmt: skip

    def run_batch(batch: Homes) -> None:
        single.run_many(*batch, many, table, INTERVAL_S, INTERVAL_S, 0, CYCLES)

    def map_batch(batch: Homes) -> None:
        single.run_map_many(*batch, coarse, table, MAP_S, 0, MAP_STEPS)

    def run_one(batch: Homes) -> None:
        single.run(*batch.one, one, INTERVAL_S, INTERVAL_S, 0, CYCLES)

    for loadpoints, name in ((1, ""), (2, "two_boxes_")):
        batch = homes(standard_home(loadpoints, seed + n) for n in range(count))

        def fresh(batch: Homes = batch) -> Homes:
            return Homes(*(rows.copy() for rows in batch))

        def fresh_one(loadpoints: int = loadpoints) -> Homes:
            return homes([standard_home(loadpoints, seed)])

        def fresh_objects(loadpoints: int = loadpoints) -> Home:
            return standard_home(loadpoints, seed)

        told[f"regulator_{name}steps_per_s"] = round(_rate(CYCLES, run_one, fresh_one))
        told[f"regulator_{name}batch_steps_per_s"] = round(_rate(count * CYCLES, run_batch, fresh))
        told[f"map_{name}batch_steps_per_s"] = round(_rate(count * MAP_STEPS, map_batch, fresh))

        def run_python(home: Home) -> None:
            loops.run(*home, one, INTERVAL_S, INTERVAL_S, 0, CYCLES)

        told[f"regulator_{name}python_steps_per_s"] = round(
            _rate(CYCLES, run_python, fresh_objects)
        )
    return told
