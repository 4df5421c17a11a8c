"""The lines of `engine.home`, `loadpoint`, `regulator`, `static_map` and `sim.loops`, compiled.

Nothing is written twice: each function is copied with globals in which the functions of those
modules are numba's, and their dataclasses become records of NumPy arrays with the same fields.
Energies and currents come out as uncompiled (to 1e-9), because neither `fastmath` nor threads are
used. numba compiles each of `Compiled`'s functions at its first call, which takes seconds.
"""

import dataclasses
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from engine import home, loadpoint, regulator, static_map
from engine.home import Box, House
from engine.loadpoint import Loadpoint, Site
from sim import loops

MODULES: tuple[ModuleType, ...] = (home, loadpoint, regulator, static_map, loops)
_FIELD = {float: "f8", int: "i8", bool: "?"}
Records = NDArray[np.void]
Kind = TypeVar("Kind")


class MissingLabError(ImportError):
    """numba is not installed."""


def dtype_of(kind: type[Any]) -> np.dtype[np.void]:
    """The record of a dataclass of floats, ints and bools. Raises TypeError for other fields."""
    hints = get_type_hints(kind)
    fields = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if hint not in _FIELD:
            raise TypeError(
                f"{kind.__name__}.{field.name} is {hint}; a record holds float, int and bool only"
            )
        fields.append((field.name, _FIELD[hint]))
    return np.dtype(fields, align=True)


SITE, POINT = dtype_of(Site), dtype_of(Loadpoint)
HOUSE, BOX = dtype_of(House), dtype_of(Box)


def record(one: Any) -> tuple[Any, ...]:
    """The fields of a dataclass object, in order."""
    return tuple(getattr(one, field.name) for field in dataclasses.fields(one))


def records(kind: type[Any], objects: Iterable[Any]) -> Records:
    """A row of records of `kind` from its objects."""
    return np.array([record(one) for one in objects], dtype_of(kind))


def objects_of(kind: type[Kind], rows: Records) -> list[Kind]:
    """The objects of `kind` that the records stand for."""
    return [kind(*row) for row in rows.reshape(-1).tolist()]


class Homes(NamedTuple):
    """N homes with L loadpoints each, as records: site[N], points[N, L], house[N], boxes[N, L]."""

    site: Records
    points: Records
    house: Records
    boxes: Records

    @property
    def one(self) -> tuple[Any, Records, Any, Records]:
        """The first home alone, as `Compiled.run` takes it; views, not copies."""
        return self.site[0], self.points[0], self.house[0], self.boxes[0]

    def home(self, n: int) -> tuple[Site, list[Loadpoint], House, list[Box]]:
        """Home `n` as objects; copies."""
        return (
            objects_of(Site, self.site[n : n + 1])[0],
            objects_of(Loadpoint, self.points[n]),
            objects_of(House, self.house[n : n + 1])[0],
            objects_of(Box, self.boxes[n]),
        )


def homes(
    given: Iterable[tuple[Site, Iterable[Loadpoint], House, Iterable[Box]]],
) -> Homes:
    """Records of these homes. Raises ValueError where they have different numbers of boxes."""
    all_of = [(site, list(points), house, list(boxes)) for site, points, house, boxes in given]
    sizes = {(len(points), len(boxes)) for _, points, _, boxes in all_of}
    if len(sizes) != 1 or len(set(next(iter(sizes)))) != 1:
        raise ValueError(
            f"(loadpoints, boxes) of the homes are {sorted(sizes)}; a batch needs at least one "
            "home, and the same number of both in each: batch those with one box and those with "
            "two apart"
        )
    shape = (len(all_of), next(iter(sizes))[0])
    points = records(Loadpoint, [one for each in all_of for one in each[1]])
    boxes = records(Box, [one for each in all_of for one in each[3]])
    return Homes(
        records(Site, [each[0] for each in all_of]),
        points.reshape(shape),
        records(House, [each[2] for each in all_of]),
        boxes.reshape(shape),
    )


class Compiled(NamedTuple):
    """The functions of `sim.loops`, compiled, on records. Arguments as there, by position."""

    run: Callable[..., None]
    run_map: Callable[..., None]
    run_many: Callable[..., None]
    run_map_many: Callable[..., None]


def _numba() -> Any:
    try:
        return import_module("numba")
    except ImportError as error:
        raise MissingLabError(
            "the compiled home needs numba: pip install 'smartload[lab]' "
            "(or use sim.loops, which does the same uncompiled)"
        ) from error


@cache
def compiled() -> Compiled:
    """The compiled loops. Raises MissingLabError where numba is not installed."""
    jit = _numba().njit
    made: dict[FunctionType, Any] = {}
    worlds: list[dict[str, Any]] = []
    for module in MODULES:
        world = dict(vars(module))
        worlds.append(world)
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                copy = FunctionType(value.__code__, world, value.__name__, value.__defaults__)
                made[value] = jit(copy)
    for world in worlds:
        for name, value in world.items():
            if isinstance(value, FunctionType) and value in made:
                world[name] = made[value]
    return Compiled(*(made[getattr(loops, name)] for name in Compiled._fields))
