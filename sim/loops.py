"""Homes through time: evcc's regulator or its static map, one home or many in lock-step.

Plain lines as in `engine/home.py`: they run on objects and lists here, on records of NumPy arrays
where `sim/compiled.py` compiles them. Calls may follow each other: `first` says how many
cycles (steps) have gone before, so that clock, round robin and weather go on.

Weather is an array of watts with a row per `weather_s` seconds: (row, load or pv) for one home,
(row, table, load or pv) for many. `weather_s` is a multiple of the interval, or goes into it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.home import Box, House, flow, settle
from engine.loadpoint import Loadpoint, Site
from engine.regulator import step
from engine.static_map import map_step

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Many = Any
"""One per home: a list of objects here, an array of records where compiled."""


def run(  # noqa: PLR0917 - numba takes positional ones only
    site: Site,
    points: Sequence[Loadpoint],
    house: House,
    boxes: Sequence[Box],
    weather: Floats,
    weather_s: float,
    interval_s: float,
    first: int,
    steps: int,
) -> None:
    """`steps` cycles of the regulator, each for the next loadpoint in turn.

    The physics follow the weather where its rows are shorter than a cycle.
    """
    rows = max(1, round(interval_s / weather_s))
    cycles = max(1, round(weather_s / interval_s))
    turns = max(1, len(points))
    dt_s = interval_s / rows
    for i in range(first, first + steps):
        row = i * rows // cycles
        step(
            site, points, house, boxes, i % turns, i * interval_s,
            float(weather[row, 0]), float(weather[row, 1]), dt_s,
        )  # fmt: skip
        for j in range(row + 1, row + rows):
            flow(house, boxes, float(weather[j, 0]), float(weather[j, 1]))
            settle(house, boxes, dt_s)


def run_map(  # noqa: PLR0917
    site: Site,
    points: Sequence[Loadpoint],
    house: House,
    boxes: Sequence[Box],
    weather: Floats,
    dt_s: float,
    first: int,
    steps: int,
) -> None:
    """`steps` steps of the static map, each with one row of weather."""
    for i in range(first, first + steps):
        map_step(site, points, house, boxes, float(weather[i, 0]), float(weather[i, 1]), dt_s)


def run_many(  # noqa: PLR0917
    sites: Many,
    points: Many,
    houses: Many,
    boxes: Many,
    weather: Floats,
    table: Ints,
    weather_s: float,
    interval_s: float,
    first: int,
    steps: int,
) -> None:
    """As `run`, for every home in each cycle; home n has the weather of `table[n]`."""
    rows = max(1, round(interval_s / weather_s))
    cycles = max(1, round(weather_s / interval_s))
    dt_s = interval_s / rows
    for i in range(first, first + steps):
        row = i * rows // cycles
        at_s = i * interval_s
        for n in range(len(sites)):
            site, house, own_points, own_boxes = sites[n], houses[n], points[n], boxes[n]
            k = i % max(1, len(own_points))
            w = table[n]
            step(
                site, own_points, house, own_boxes, k, at_s,
                float(weather[row, w, 0]), float(weather[row, w, 1]), dt_s,
            )  # fmt: skip
            for j in range(row + 1, row + rows):
                flow(house, own_boxes, float(weather[j, w, 0]), float(weather[j, w, 1]))
                settle(house, own_boxes, dt_s)


def run_map_many(  # noqa: PLR0917
    sites: Many,
    points: Many,
    houses: Many,
    boxes: Many,
    weather: Floats,
    table: Ints,
    dt_s: float,
    first: int,
    steps: int,
) -> None:
    """As `run_map`, for every home in each step; home n has the weather of `table[n]`."""
    for i in range(first, first + steps):
        for n in range(len(sites)):
            w = table[n]
            map_step(
                sites[n], points[n], houses[n], boxes[n],
                float(weather[i, w, 0]), float(weather[i, w, 1]), dt_s,
            )  # fmt: skip
