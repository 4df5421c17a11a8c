"""The same problem as one mixed-integer program: the yardstick of the search, and its fallback.

Built from the rules over a loaded program's own matrix, so that both solve the very same problem.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from actors.planner_model import Array
from actors.planner_rules import PlanRules

BIG_KWH = 1e3
"""No flow of one slot is above this."""


def monolith(lp: Any, rules: PlanRules) -> Any:
    """A `highspy.HighsLp` with binaries; the columns of `lp`, the loaded program's, come first."""
    import highspy

    n, m = lp.num_col_, lp.num_row_
    lower, upper = np.array(lp.col_lower_), np.array(lp.col_upper_)
    most = np.minimum(upper, BIG_KWH)
    rows: list[tuple[list[int], list[float], float, float]] = []
    added = 0

    def binary() -> int:
        nonlocal added
        added += 1
        return n + added - 1

    for at, least in rules.semicontinuous():
        if upper[at] <= 1e-9:
            continue
        z = binary()
        rows.append(([at, z], [1.0, -float(most[at])], -np.inf, 0.0))
        rows.append(([at, z], [1.0, -least], 0.0, np.inf))
    for pair in rules.pairs:
        for t in np.flatnonzero(pair.where):
            one, other = pair.one[:, t], pair.other[:, t]
            if most[one].max() <= 1e-9 or most[other].max() <= 1e-9:
                continue
            z = binary()
            rows += [([int(at), z], [1.0, -float(most[at])], -np.inf, 0.0) for at in one]
            rows += [
                ([int(at), z], [1.0, float(most[at])], -np.inf, float(most[at])) for at in other
            ]
    matrix = sp.csc_matrix(
        (lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_), shape=(m, n)
    )
    index = np.concatenate([np.array(columns) for columns, *_ in rows]) if rows else np.zeros(0)
    value = np.concatenate([np.array(values) for _, values, *_ in rows]) if rows else np.zeros(0)
    start = np.cumsum([0, *(len(columns) for columns, *_ in rows)])
    below = sp.csr_matrix((value, index.astype(int), start), shape=(len(rows), n + added))
    wide = sp.hstack([matrix, sp.csc_matrix((m, added))])
    whole = sp.vstack([wide, below]).tocsc()
    milp = highspy.HighsLp()
    milp.num_col_, milp.num_row_ = n + added, m + len(rows)
    milp.col_cost_ = np.concatenate([np.array(lp.col_cost_), np.zeros(added)])
    milp.col_lower_ = np.concatenate([lower, np.zeros(added)])
    milp.col_upper_ = np.concatenate([upper, np.ones(added)])
    milp.row_lower_ = np.concatenate([np.array(lp.row_lower_), [row[2] for row in rows]])
    milp.row_upper_ = np.concatenate([np.array(lp.row_upper_), [row[3] for row in rows]])
    milp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    milp.a_matrix_.start_, milp.a_matrix_.index_ = whole.indptr, whole.indices
    milp.a_matrix_.value_ = whole.data
    kinds = [highspy.HighsVarType.kContinuous] * n + [highspy.HighsVarType.kInteger] * added
    milp.integrality_ = kinds
    return milp


def solve_monolith(milp: Any, gap: float, seconds: float = 60.0) -> tuple[float, float, Array]:
    """Value, bound and solution; `gap` is absolute, in the model's money."""
    import highspy

    highs = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", gap),
        ("time_limit", seconds),
    ):
        highs.setOptionValue(option, value)
    highs.passModel(milp)
    highs.run()
    info = highs.getInfo()
    return (
        info.objective_function_value,
        info.mip_dual_bound,
        np.array(highs.getSolution().col_value),
    )
