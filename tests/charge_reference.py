"""The same request as one mixed-integer program, handed whole to HiGHS through scipy."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from sim.schedule_yardstick import Rows, written


class Found(NamedTuple):
    """What the solver came to, in currency: the value, and that no value is higher."""

    value: float
    bound: float


def reference(request: dict[str, Any], seconds: float = 60.0, gap: float = 1e-9) -> Found:
    """The most that money and penalties can be (the preferences left out)."""
    m: Rows = written(request)
    at = np.array([(r, c) for r, terms in enumerate(m.rows) for c in terms]).T
    values = [value for terms in m.rows for value in terms.values()]
    matrix = sp.csr_matrix((values, (at[0], at[1])), shape=(len(m.rows), len(m.lower)))
    gain = np.array(m.gain)
    scale = 1e6 / max(1e-12, abs(gain).max())
    found = milp(
        -gain * scale,
        integrality=np.array(m.whole),
        bounds=Bounds(np.array(m.lower), np.array(m.upper)),
        constraints=LinearConstraint(matrix, np.array(m.at_least), np.array(m.at_most)),
        options={"time_limit": seconds, "mip_rel_gap": gap},
    )
    if found.x is None:
        raise RuntimeError(found.message)
    return Found(-found.fun / scale, -found.mip_dual_bound / scale)
