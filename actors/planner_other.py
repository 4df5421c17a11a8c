"""What the other action in the present slot would cost: one warm linear program per lane.

The other action is forced in slot 0 and all else is open again as before the search. What that
costs more than the plan is less than any real plan with it would, so a stated saving is at least
that; its sign is never wrong (INV-162).
"""

import numpy as np

from actors.plan_reasons import Other
from actors.planner_battery import BUYS_KW, SERVES
from actors.planner_case import CRUMB_KWH, TINY_KWH, Case
from actors.planner_model import MONEY_SCALE, SWAP, Array
from actors.planner_problem import open_hours
from actors.planner_search import Searched, Way
from actors.planner_solver import Program, SolveFailedError

NOISE_EUR = 0.002
"""Ties are broken for up to so much; less is no difference."""
GOAL_EUR = 1e-3
BEYOND_MONEY = ("import_over", "short", "dear", SWAP)
"""Columns whose costs stand for what people want: limits, targets, ceilings, nobody walking."""
NEARLY = 0.999
"""Of what the battery could give or take: just that much may be out of reach by rounding."""
Bounds = tuple[Array, Array]


def other_of(case: Case, program: Program, found: Searched, root: Bounds) -> Other:
    """The other action of the battery and each car; the program's bounds are changed for it."""
    forced, store = _Forced(case, program, found, root), case.problem.store
    ways = [_car_way(case, found, root, k, at) for k, at in enumerate(forced.cars_at)]
    cars = tuple(forced.cost(way) for way in ways)
    if store is None or not store.controllable:
        return Other(cars_eur=cars)
    does, way = _battery_way(case, program, found, root)
    return Other(does, forced.cost(way), cars)


class _Forced:
    """Solves with something forced in slot 0 and the rest open; told only what differs."""

    def __init__(self, case: Case, program: Program, found: Searched, root: Bounds) -> None:
        self._case, self._program, self._found, self._root = case, program, found, root
        names = [f"car{k}" for k in range(len(case.problem.cars))]
        self.cars_at = [program.columns[name].start for name in names]
        self._bound_to_goal = [
            (program.columns[name], case.worth[k])
            for k, name in enumerate(names)
            if case.deadlines[k] is not None or case.problem.cars[k].asap
        ]
        self._goals = self._reached(found.x)

    def cost(self, way: Way | None) -> float | None:
        """What the best with this way costs more than the plan; None where it cannot be."""
        if way is None:
            return None
        program, (lower, upper) = self._program, self._root
        changed = np.flatnonzero((program.lower != lower) | (program.upper != upper))
        program.bound(changed, lower[changed], upper[changed])
        program.bound(way.at, way.lower, way.upper)
        try:
            value = program.run()
        except SolveFailedError:  # no figure is no reason to lose the plan
            return None
        if value is None or (self._reached(program.x) < self._goals - GOAL_EUR).any():
            return None
        saves = (value - self._found.value) / MONEY_SCALE
        return round(saves, 4) if saves > NOISE_EUR else 0.0

    def _reached(self, x: Array) -> Array:
        """What is not money: energy for departures and at once, and what stays within limits."""
        goals = [float(worth @ x[at]) for at, worth in self._bound_to_goal]
        columns = self._program.columns
        goals += [-float(x[columns[name]].sum()) for name in BEYOND_MONEY if name in columns]
        return np.array(goals)


def _car_way(case: Case, found: Searched, root: Bounds, k: int, at: int) -> Way | None:
    """Nothing where it charges, else at least its minimum power (all, where it has none)."""
    columns, zero, most = np.array([at]), np.zeros(1), root[1][[at]]
    if found.x[at] > TINY_KWH:
        return Way(columns, zero, zero)
    car = case.problem.cars[k]
    if car.need_kwh < CRUMB_KWH or most[0] < TINY_KWH:
        return None
    weakest = min(car.min_kw, car.max_kw) * open_hours(car, case.grid)[0]
    least = min(weakest if weakest > TINY_KWH else most[0], car.need_kwh, most[0])
    return Way(columns, np.array([least]), most)


def _battery_way(
    case: Case, program: Program, found: Searched, root: Bounds
) -> tuple[str, Way | None]:
    """What the battery does in slot 0, as its mode's rule sees it, and the contrary.

    No mode keeps sun out of it (but a `hold` that does): nothing is forced where it takes that.
    """
    at = {name: program.columns[name].start for name in ("charge", "discharge")}
    charge, discharge = (float(found.x[one]) for one in at.values())
    store, data = case.problem.store, case.data
    assert store is not None
    cars = [found.x[program.columns[f"car{k}"].start] for k in range(len(case.problem.cars))]
    missing = float(np.asarray(data["net_load"])[0] + sum(cars))
    stored, hours = float(np.asarray(data["start"])[0]), float(case.grid.hours[0])
    there = (stored - store.min_kwh) * store.discharge_efficiency
    room = (store.max_kwh - stored) / store.charge_efficiency
    could_give = min(missing, there, store.discharge_kw * hours)
    full = min(max(room, TINY_KWH), store.charge_kw * hours)
    sun = max(0.0, -missing)
    if charge - sun > max(SERVES * (full - sun), BUYS_KW * hours):
        return "buys", _way(at["charge"], 0.0, sun)
    if could_give < TINY_KWH or charge > TINY_KWH:
        return "", None
    if discharge >= SERVES * could_give:
        return "serves", _way(at["discharge"], 0.0, 0.0)
    most = float(root[1][at["discharge"]])
    return "keeps", _way(at["discharge"], min(NEARLY * could_give, most), most)


def _way(at: int, lower: float, upper: float) -> Way:
    return Way(np.array([at]), np.array([lower]), np.array([upper]))
