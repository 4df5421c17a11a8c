"""The planner's linear program, written once per structure in cvxpy, and its matrices as maps.

All data are parameters (`enforce_dpp`), so one compiled problem fits every hour of every day. From
the compiled problem the linear maps "parameters -> cost, matrix, right-hand side" are kept; rows
with one entry (`x <= bound`) become column bounds, which is what HiGHS is fast with
(planner-speed.md §3.3, §3.4). Energies are kWh per slot on the AC side, money is in thousandths.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SWAP = "swap"
MONEY_SCALE = 1000.0
"""Costs go to the solver in thousandths, so that its tolerance (1e-7) is below every tie break."""


class Structure(NamedTuple):
    """What a compiled problem depends on: shapes only, no data.

    `soft_band`: the battery starts outside its SoC band, so the band is soft. `limits`: the grid
    connection has limits. `waiting`,
    `wallboxes`: empty, or for each car which vehicle waits (0: it is plugged in) and where.
    """

    slots: int
    cars: int
    battery: bool
    soft_band: bool
    limits: bool
    waiting: tuple[int, ...] = ()
    wallboxes: tuple[int, ...] = ()
    goals: bool = False
    """Something is to be stored at some time."""
    ceilings: bool = False
    """A car has a ceiling."""


class Model(NamedTuple):
    """A cvxpy problem with its parameters and variables by name."""

    problem: Any
    parameters: dict[str, Any]
    variables: dict[str, Any]
    rows: dict[str, Any]
    """The rows whose right-hand side is this parameter alone: their duals are its shadow price."""


def write_model(shape: Structure) -> Model:
    """The program of that structure. Never infeasible: doing nothing satisfies every row.

    Rows: power balance with the house in it (INV-08), stored energy with both efficiencies, one
    row per car (at most what it needs). Upper bounds keep export within the sun's surplus, so that
    the battery never feeds the grid; penalties soften grid limits and SoC band (INV-01, INV-07).
    """
    import cvxpy as cp

    n = shape.slots
    names = ["grid_import", "grid_export"]
    names += ["charge", "discharge", "stored"] if shape.battery else []
    names += ["below", "above"] if shape.soft_band else []
    names += ["import_over", "export_over"] if shape.limits else []
    names += ["short"] if shape.goals else []
    names += ["dear"] if shape.ceilings else []
    names += [f"car{k}" for k in range(shape.cars)]
    names += [SWAP] if any(shape.waiting) else []
    sizes = {SWAP: len(swap_columns(shape.waiting))}
    v = {name: cp.Variable(sizes.get(name, n), name=name) for name in names}
    p: dict[str, Any] = {"net_load": cp.Parameter(n, name="net_load")}
    rows: list[Any] = []
    costs: list[Any] = []
    free_above = {"below", "above", "import_over", "short", "dear"}
    for name in names:
        size = sizes.get(name, n)
        p[f"{name}_cost"] = cp.Parameter(size, name=f"{name}_cost")
        costs.append(p[f"{name}_cost"] @ v[name])
        p[f"{name}_min"] = cp.Parameter(size, name=f"{name}_min")
        rows.append(v[name] >= p[f"{name}_min"])
        if name not in free_above:
            p[f"{name}_max"] = cp.Parameter(size, name=f"{name}_max")
            rows.append(v[name] <= p[f"{name}_max"])
    taken = v["grid_export"] - v["grid_import"]
    if shape.limits:
        taken = taken + v["export_over"] - v["import_over"]
    named: dict[str, Any] = {}
    if shape.battery:
        taken = taken + v["charge"] - v["discharge"]
        p["start"] = cp.Parameter(n, name="start")
        p["into"] = cp.Parameter(name="into")
        p["out_of"] = cp.Parameter(name="out_of")
        stored = v["stored"]
        before = cp.hstack([np.zeros(1), stored[:-1]])
        dynamics = (
            stored - before - p["into"] * v["charge"] + p["out_of"] * v["discharge"] == p["start"]
        )
        named["start"] = dynamics
        if shape.soft_band:
            p["band_min"], p["band_max"] = cp.Parameter(), cp.Parameter()
            rows += [stored + v["below"] >= p["band_min"], stored - v["above"] <= p["band_max"]]
    rows += _wishes(shape, v, p) + _hulls(shape, v, p) + _shared_wallboxes(shape, v, p)
    for k in range(shape.cars):
        taken = taken + v[f"car{k}"]
        named[f"car{k}_need"] = _need(shape, k, v, p)
    rows += [*named.values(), taken + p["net_load"] == 0]
    problem = cp.Problem(cp.Minimize(sum(costs)), rows)
    return Model(problem, p, v, named)


def _wishes(shape: Structure, v: dict[str, Any], p: dict[str, Any]) -> list[Any]:
    """Rows of what may be missed: what is to be stored, and cars' ceilings."""
    import cvxpy as cp

    n, rows = shape.slots, list[Any]()
    if shape.goals:
        p["goal"] = cp.Parameter(n, name="goal")
        rows.append(v["stored"] + v["short"] >= p["goal"])
    if shape.ceilings:
        p["sun"] = cp.Parameter(n, name="sun")
        above, least = 0.0, 0.0
        for k in range(shape.cars):
            p[f"above{k}"] = cp.Parameter(n, name=f"above{k}", nonneg=True)
            p[f"above{k}_beyond"] = cp.Parameter(n, name=f"above{k}_beyond", nonneg=True)
            above = above + cp.multiply(p[f"above{k}"], v[f"car{k}"])
            least = least + cp.multiply(p[f"above{k}_beyond"], v[f"car{k}"])
        # the second row is a hull, as below: a weak sun leaves a share of the least power
        rows += [above - v["dear"] <= p["sun"], v["dear"] >= least]
    return rows


def _hulls(shape: Structure, v: dict[str, Any], p: dict[str, Any]) -> list[Any]:
    """Rows that bring the linear program near to what it cannot say.

    What cars draw beyond a sun that is too weak for their minimum power: the hull of "nothing, or
    at least the minimum"; without it the program takes any crumb of sun.
    """
    import cvxpy as cp

    n = shape.slots
    drawn = v["grid_import"]
    if shape.limits:
        drawn = drawn + v["import_over"]
    rows: list[Any] = []
    if shape.battery:
        drawn = drawn + v["discharge"]
    if shape.cars:
        beyond = 0.0
        for k in range(shape.cars):
            p[f"car{k}_beyond"] = cp.Parameter(n, name=f"car{k}_beyond", nonneg=True)
            beyond = beyond + cp.multiply(p[f"car{k}_beyond"], v[f"car{k}"])
        rows.append(drawn >= beyond)
    return rows


def _need(shape: Structure, k: int, v: dict[str, Any], p: dict[str, Any]) -> Any:
    """A car takes at most what it needs; one that waits only as far as it is swapped in."""
    import cvxpy as cp

    p[f"car{k}_need"] = cp.Parameter(name=f"car{k}_need")
    taken, swaps = cp.sum(v[f"car{k}"]), swap_columns(shape.waiting)
    if k in swaps:
        p[f"car{k}_stay"] = cp.Parameter(name=f"car{k}_stay", nonneg=True)
        taken = taken - p[f"car{k}_stay"] * v[SWAP][swaps[k]]
    return taken <= p[f"car{k}_need"]


def swap_columns(waiting: tuple[int, ...]) -> dict[int, int]:
    """Where the swap for each waiting car lies among the swaps."""
    return {k: at for at, k in enumerate(k for k, vehicle in enumerate(waiting) if vehicle)}


def _shared_wallboxes(shape: Structure, v: dict[str, Any], p: dict[str, Any]) -> list[Any]:
    """Where a car waits: a slot's full power is one car's; one vehicle is plugged in once."""
    import cvxpy as cp

    swaps, rows = swap_columns(shape.waiting), []
    for wallbox in sorted({shape.wallboxes[k] for k in swaps}):
        shares = 0.0
        for k in range(shape.cars):
            if shape.wallboxes[k] == wallbox:
                p[f"car{k}_share"] = cp.Parameter(shape.slots, name=f"car{k}_share", nonneg=True)
                shares = shares + cp.multiply(p[f"car{k}_share"], v[f"car{k}"])
        rows.append(shares <= 1)
    for vehicle in sorted({shape.waiting[k] for k in swaps}):
        of_one = [at for k, at in swaps.items() if shape.waiting[k] == vehicle]
        if len(of_one) > 1:
            rows.append(sum(v[SWAP][at] for at in of_one) <= 1)
    return rows
