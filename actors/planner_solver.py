"""One persistent HiGHS per compiled structure, fed from cvxpy's matrices (planner-speed.md §3.4).

Each plan starts from an empty basis and only its own further solves are warm, so what is said
depends on the problem alone and never on what this process solved before. `PublicSolver` does the
same through cvxpy's public path: slower, for the day when a new cvxpy has other insides.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from actors.planner_model import Array, Model, Structure, write_model

Data = Mapping[str, Array | float]


class SolveFailedError(RuntimeError):
    """The solver ended with anything but an optimal solution."""


class Found(NamedTuple):
    """A solution: kWh by variable, and shadow prices in the model's money (thousandths)."""

    values: dict[str, Array]
    stored_value: Array | None
    """What one more stored kWh at the end of each slot saves."""
    need_value: tuple[float, ...]
    """Per car: what one kWh that it may take is worth beyond its price (0: it gets enough)."""


class Meter:
    """Seconds inside HiGHS and solves so far: metrics only, never in a message."""

    def __init__(self) -> None:
        self.solver_s = 0.0
        self.solves = 0
        self.public = 0
        """Structures for which cvxpy's insides were not as expected: on the slower public path."""

    def add(self, solver_s: float) -> None:
        """Count one solve."""
        self.solver_s += solver_s
        self.solves += 1


class Solver(Protocol):
    """A compiled structure that can be solved for any data."""

    def solve(self, data: Data, *, warm: bool) -> Found:
        """Solve; `warm` goes on from this object's last solve. Raises SolveFailedError."""


def make_solver(shape: Structure, meter: Meter) -> Solver:
    """The fast solver, or the public one where this cvxpy's insides are not as expected."""
    try:
        return FastSolver(shape, meter)
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        meter.public += 1
        return PublicSolver(shape, meter)


class FastSolver:
    """The kept maps and one `highspy.Highs` per structure.

    Raises what a cvxpy with other insides leads to (AttributeError, KeyError, ValueError ...).
    """

    def __init__(self, shape: Structure, meter: Meter) -> None:
        import cvxpy as cp
        import highspy

        self._meter = meter
        model = write_model(shape)
        for parameter in model.parameters.values():
            parameter.value = np.ones(parameter.shape) if parameter.shape else 1.0
        compiled, _, _ = model.problem.get_problem_data(cp.HIGHS, enforce_dpp=True)
        program = compiled["param_prob"]
        self._at = {
            name: _span(program.param_id_to_col, one) for name, one in model.parameters.items()
        }
        self._columns = {
            name: _span(program.var_id_to_col, one) for name, one in model.variables.items()
        }
        self._cars = shape.cars
        self._extract(program, compiled)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._colwise = highspy.MatrixFormat.kColwise
        self._new_lp = highspy.HighsLp
        self._highs = highs = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("parallel", "off"),
            ("solver", "simplex"),
            ("presolve", "off"),  # small and sparse: presolve costs more than it saves (measured)
        ):
            highs.setOptionValue(option, value)

    def _extract(self, program: Any, compiled: Any) -> None:
        """Keep cvxpy's maps, rows with one entry as bounds; checked on one set of data."""
        import scipy.sparse as sp

        index, pointer, (m, _) = program.reduced_A.problem_data_index
        n, m = int(program.x.size), int(m)
        filled = int(pointer[n])
        reduced = sp.csr_matrix(program.reduced_A.reduced_mat)
        self._cost = sp.csr_matrix(program.q)[:-1]
        self._theta = theta = np.ones(self._cost.shape[1])
        rows = index[filled:]
        spread = sp.csr_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))), (m, len(rows)))
        right = sp.csr_matrix(spread @ reduced[filled:])
        where = (index[:filled], pointer[: n + 1])
        matrix = sp.csc_matrix((-(reduced[:filled] @ theta), *where), shape=(m, n))
        wrong = abs(matrix - compiled["A"]).max() + abs(right @ theta - compiled["b"]).max()
        if wrong > 1e-12:
            raise ValueError("extracted matrices differ from cvxpy's")
        by_row = matrix.tocsr()
        single = np.diff(by_row.indptr) == 1
        first = by_row.indptr[:-1]
        bounds = np.flatnonzero(single)
        column, factor = by_row.indices[first[bounds]], by_row.data[first[bounds]]
        below, above = factor < 0, factor > 0
        self._below, self._above = column[below], column[above]
        if len(set(self._below)) != below.sum() or len(set(self._above)) != above.sum():
            raise ValueError("two bounds on one column")
        self._lower = sp.csr_matrix(sp.diags(1 / factor[below]) @ right[bounds[below]])
        self._upper = sp.csr_matrix(sp.diags(1 / factor[above]) @ right[bounds[above]])
        kept = np.flatnonzero(~single)
        places = sp.csc_matrix((np.arange(1.0, filled + 1), *where), shape=(m, n))
        kept_places = places.tocsr()[kept].tocsc()
        self._starts, self._rows = kept_places.indptr, kept_places.indices
        self._matrix = -reduced[:filled][kept_places.data.astype(int) - 1]
        self._right = right[kept]
        self._right_t = sp.csr_matrix(self._right.T)
        self._equal = kept < program.cone_dims.zero
        self._n, self._m = n, len(kept)

    def _run(self) -> bool:
        before_s = self._highs.getRunTime()
        self._highs.run()
        self._meter.add(self._highs.getRunTime() - before_s)
        return bool(self._highs.getModelStatus() == self._optimal)

    def solve(self, data: Data, *, warm: bool) -> Found:
        """Solve; `warm` goes on from this object's last solve. Raises SolveFailedError."""
        theta, highs = self._theta, self._highs
        for name, at in self._at.items():
            theta[at] = data[name]
        n, m = self._n, self._m
        lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
        lower[self._below], upper[self._above] = self._lower @ theta, self._upper @ theta
        cost, right = self._cost @ theta, self._right @ theta
        row_lower = np.where(self._equal, right, -np.inf)
        if warm:
            columns, rows = np.arange(n, dtype=np.int32), np.arange(m, dtype=np.int32)
            highs.changeColsCost(n, columns, cost)
            highs.changeColsBounds(n, columns, lower, upper)
            highs.changeRowsBounds(m, rows, row_lower, right)
        else:
            lp = self._new_lp()
            lp.num_col_, lp.num_row_, lp.col_cost_ = n, m, cost
            lp.col_lower_, lp.col_upper_ = lower, upper
            lp.row_lower_, lp.row_upper_ = row_lower, right
            lp.a_matrix_.format_ = self._colwise
            lp.a_matrix_.start_, lp.a_matrix_.index_ = self._starts, self._rows
            lp.a_matrix_.value_ = self._matrix @ theta
            highs.clearSolver()
            highs.passModel(lp)
        if not self._run() and warm:  # a degenerate basis (seen: "Unknown"): once more from nothing
            highs.clearSolver()
            self._run()
        if highs.getModelStatus() != self._optimal:
            raise SolveFailedError(highs.modelStatusToString(highs.getModelStatus()))
        solution = highs.getSolution()
        x = np.asarray(solution.col_value)
        slopes = self._right_t @ np.asarray(solution.row_dual)
        return Found(
            values={name: x[at] for name, at in self._columns.items()},
            stored_value=-slopes[self._at["start"]] if "start" in self._at else None,
            need_value=tuple(
                -float(slopes[self._at[f"car{k}_need"]][0]) for k in range(self._cars)
            ),
        )


def _span(first: Mapping[int, int], thing: Any) -> slice:
    """Where a variable or parameter lies in its vector."""
    start = int(first[thing.id])
    return slice(start, start + int(thing.size))


class PublicSolver:
    """The same answers through `Problem.solve`: public interface only, cold each time."""

    def __init__(self, shape: Structure, meter: Meter) -> None:
        self._meter = meter
        self._model: Model = write_model(shape)

    def solve(self, data: Data, *, warm: bool) -> Found:
        """Solve from nothing, whatever `warm` says. Raises SolveFailedError."""
        import cvxpy as cp

        model = self._model
        for name, parameter in model.parameters.items():
            value = data[name]
            parameter.value = np.broadcast_to(value, parameter.shape) if parameter.shape else value
        try:
            model.problem.solve(cp.HIGHS, enforce_dpp=True, threads=1, parallel="off")
        except cp.error.SolverError as error:
            raise SolveFailedError(str(error)) from error
        if model.problem.status != cp.OPTIMAL:
            raise SolveFailedError(model.problem.status)
        self._meter.add(float(model.problem.solver_stats.solve_time or 0.0))
        dynamics = model.dynamics
        return Found(
            values={name: np.asarray(one.value) for name, one in model.variables.items()},
            stored_value=None if dynamics is None else np.asarray(dynamics.dual_value),
            need_value=tuple(float(row.dual_value) for row in model.needs),
        )
