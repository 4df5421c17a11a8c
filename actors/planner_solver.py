"""One persistent HiGHS per compiled structure, fed from cvxpy's matrices (planner-speed.md §3.4).

A plan starts from the basis that it is given, or from none, so what is said depends on the problem
and that basis alone, never on what this process solved before. `PublicProgram` does the same
through cvxpy's public path: slower, for the day when a new cvxpy has other insides.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from actors.planner_model import Array, Ints, Model

Data = Mapping[str, Array | float]
WORK_PER_SOLVE = 20
"""A solve counts as so many simplex iterations, for what it costs beside them."""


class SolveFailedError(RuntimeError):
    """The solver ended with anything but an optimal solution."""


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


class Program(Protocol):
    """A compiled linear program; `columns` says where each variable lies in `x`.

    `work` counts simplex iterations and solves since `load`, the same on every machine.
    """

    columns: dict[str, slice]
    lower: Array
    upper: Array
    x: Array
    work: int

    def load(self, data: Data, basis: bytes = b"") -> None:
        """Take new data; the next solve starts from `basis`, or from none."""

    def bound(self, at: Ints, lower: Array, upper: Array) -> None:
        """Set the bounds of these columns."""

    def cost(self, at: Ints, cost: Array) -> None:
        """Set the costs of these columns."""

    def run(self) -> float | None:
        """Solve from where it stands; the objective, or None where there is no solution.

        Raises SolveFailedError.
        """

    def slopes(self, *names: str) -> tuple[Array, ...]:
        """How the objective rises with these parameters on right-hand sides: shadow prices."""

    def basis(self) -> bytes:
        """The last solution's basis, to start another from."""


def make_program(model: Model, meter: Meter) -> Program:
    """The fast program, or the public one where this cvxpy's insides are not as expected."""
    try:
        return FastProgram(model, meter)
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        meter.public += 1
        return PublicProgram(model, meter)


class PublicProgram:
    """The same answers through `Problem.solve`: public interface only, cold each time."""

    def __init__(self, model: Model, meter: Meter) -> None:
        self._model, self._meter = model, meter
        self.columns: dict[str, slice] = {}
        first = 0
        for name, variable in model.variables.items():
            self.columns[name] = slice(first, first + variable.size)
            first += variable.size
        self.lower, self.upper = np.full(first, -np.inf), np.full(first, np.inf)
        self.x = np.zeros(first)
        self.work = 0

    def load(self, data: Data, basis: bytes = b"") -> None:
        """Take new data. `basis` is not used."""
        for name, parameter in self._model.parameters.items():
            value = data[name]
            parameter.value = np.broadcast_to(value, parameter.shape) if parameter.shape else value
        for name, at in self.columns.items():
            for bounds, kind, none in ((self.lower, "min", -np.inf), (self.upper, "max", np.inf)):
                bounds[at] = data.get(f"{name}_{kind}", none)
        self.work = 0

    def bound(self, at: Ints, lower: Array, upper: Array) -> None:
        """Set the bounds of these columns. KeyError for one without parameters for them."""
        self.lower[at], self.upper[at] = lower, upper
        for name, span in self.columns.items():
            inside = (at >= span.start) & (at < span.stop)
            if inside.any():
                for kind, bounds in (("min", self.lower), ("max", self.upper)):
                    if f"{name}_{kind}" in self._model.parameters:
                        self._model.parameters[f"{name}_{kind}"].value = bounds[span].copy()

    def cost(self, at: Ints, cost: Array) -> None:
        """Set the costs of these columns."""
        for name, span in self.columns.items():
            inside = (at >= span.start) & (at < span.stop)
            if inside.any():
                parameter = self._model.parameters[f"{name}_cost"]
                costs = np.array(parameter.value, dtype=float)
                costs[at[inside] - span.start] = cost[inside]
                parameter.value = costs

    def run(self) -> float | None:
        """Solve from nothing; None where there is no solution. Raises SolveFailedError."""
        import cvxpy as cp

        problem = self._model.problem
        try:
            problem.solve(cp.HIGHS, enforce_dpp=True, threads=1, parallel="off")
        except cp.error.SolverError as error:
            raise SolveFailedError(str(error)) from error
        self._meter.add(float(problem.solver_stats.solve_time or 0.0))
        self.work += WORK_PER_SOLVE + int(problem.solver_stats.num_iters or 0)
        if problem.status == cp.INFEASIBLE:
            return None
        if problem.status != cp.OPTIMAL:
            raise SolveFailedError(problem.status)
        found = [np.ravel(one.value) for one in self._model.variables.values()]
        self.x = np.concatenate(found)
        return float(problem.value)

    def slopes(self, *names: str) -> tuple[Array, ...]:
        """How the objective rises with these parameters on right-hand sides: shadow prices."""
        rows = self._model.rows
        return tuple(-np.atleast_1d(np.asarray(rows[name].dual_value)) for name in names)

    def basis(self) -> bytes:
        """None: each solve is cold."""
        return b""


class FastProgram:
    """The kept maps and one `highspy.Highs` per structure.

    Raises what a cvxpy with other insides leads to (AttributeError, KeyError, ValueError ...).
    """

    def __init__(self, model: Model, meter: Meter) -> None:
        import cvxpy as cp
        import highspy

        self._meter = meter
        self._highspy = highspy
        for parameter in model.parameters.values():
            parameter.value = np.ones(parameter.shape) if parameter.shape else 1.0
        compiled, _, _ = model.problem.get_problem_data(cp.HIGHS, enforce_dpp=True)
        program = compiled["param_prob"]
        self._at = {
            name: _span(program.param_id_to_col, one) for name, one in model.parameters.items()
        }
        self.columns = {
            name: _span(program.var_id_to_col, one) for name, one in model.variables.items()
        }
        self._extract(program, compiled)
        self.lower = self.upper = self.x = np.zeros(self._n)
        self.work = 0
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

    def load(self, data: Data, basis: bytes = b"") -> None:
        """Take new data; the next solve starts from `basis`, or from none."""
        theta, highs, n, m = self._theta, self._highs, self._n, self._m
        for name, at in self._at.items():
            theta[at] = data[name]
        lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
        lower[self._below], upper[self._above] = self._lower @ theta, self._upper @ theta
        cost, right = self._cost @ theta, self._right @ theta
        lp = self._highspy.HighsLp()
        lp.num_col_, lp.num_row_, lp.col_cost_ = n, m, cost
        lp.col_lower_, lp.col_upper_ = lower, upper
        lp.row_lower_, lp.row_upper_ = np.where(self._equal, right, -np.inf), right
        lp.a_matrix_.format_ = self._highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = self._starts, self._rows
        lp.a_matrix_.value_ = self._matrix @ theta
        highs.clearSolver()
        highs.passModel(lp)
        if len(basis) == n + m:
            highs.setBasis(self._decoded(basis))
        self.lower, self.upper, self.work = lower, upper, 0

    def bound(self, at: Ints, lower: Array, upper: Array) -> None:
        """Set the bounds of these columns."""
        self.lower[at], self.upper[at] = lower, upper
        self._highs.changeColsBounds(len(at), at.astype(np.int32), lower, upper)

    def cost(self, at: Ints, cost: Array) -> None:
        """Set the costs of these columns."""
        self._highs.changeColsCost(len(at), at.astype(np.int32), cost)

    def run(self) -> float | None:
        """Solve from where it stands; None where there is no solution. Raises SolveFailedError."""
        highs, status = self._highs, self._highspy.HighsModelStatus
        for attempt in range(2):
            before_s = highs.getRunTime()
            highs.run()
            self._meter.add(highs.getRunTime() - before_s)
            info = highs.getInfo()
            self.work += WORK_PER_SOLVE + max(0, info.simplex_iteration_count)
            found = highs.getModelStatus()
            if found == status.kOptimal:
                self.x = np.asarray(highs.getSolution().col_value)
                return float(info.objective_function_value)
            if found == status.kInfeasible:
                return None
            if attempt == 0:  # a degenerate basis (seen: "Unknown"): once more from nothing
                highs.clearSolver()
        raise SolveFailedError(highs.modelStatusToString(highs.getModelStatus()))

    def slopes(self, *names: str) -> tuple[Array, ...]:
        """How the objective rises with these parameters on right-hand sides: shadow prices."""
        slopes = self._right_t @ np.asarray(self._highs.getSolution().row_dual)
        return tuple(slopes[self._at[name]] for name in names)

    def basis(self) -> bytes:
        """The last solution's basis: one byte for each column and row."""
        basis = self._highs.getBasis()
        return bytes(int(one) for one in (*basis.col_status, *basis.row_status))

    def loaded(self) -> Any:
        """The program as HiGHS has it, with the bounds and costs that stand now: a copy."""
        return self._highs.getLp()

    def _decoded(self, coded: bytes) -> Any:
        kinds = self._highspy.HighsBasisStatus
        known = [kinds(k) for k in range(5)]
        basis = self._highspy.HighsBasis()
        statuses = [known[k] for k in coded]
        basis.col_status, basis.row_status = statuses[: self._n], statuses[self._n :]
        basis.valid = True
        return basis


def _span(first: Mapping[int, int], thing: Any) -> slice:
    """Where a variable or parameter lies in its vector."""
    start = int(first[thing.id])
    return slice(start, start + int(thing.size))
