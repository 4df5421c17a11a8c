"""Small requests of evcc's optimizer protocol, and their answers, checked."""

import json
from typing import Any

import msgspec

from actors.charge_request import read_request
from actors.charge_schedule import Scheduler, Solved
from tests.check_schedule import Checked, check

SCHEDULER = Scheduler()
"""One for all tests: each shape is compiled once."""


def battery(**changes: Any) -> dict[str, Any]:
    """A house battery that starts half full."""
    usual = {
        "charge_from_grid": True,
        "s_min": 0,
        "s_max": 10000,
        "s_initial": 5000,
        "c_min": 0,
        "c_max": 5000,
        "d_max": 5000,
        "p_a": 0.0001,
    }
    return usual | changes


def car(**changes: Any) -> dict[str, Any]:
    """A car that is to be charged with 1.4 kW at least."""
    return battery(c_min=1400, c_max=7400, d_max=0, s_max=40000, s_initial=20000) | changes


def request(*batteries: dict[str, Any], slots: int = 6, **changes: Any) -> dict[str, Any]:
    """Hours with a load of 500 W and no sun at 30 and 10 ct; `changes` go where they belong."""
    series: dict[str, Any] = {
        "dt": [3600] * slots,
        "gt": [500.0] * slots,
        "ft": [0.0] * slots,
        "p_N": [0.0003] * slots,
        "p_E": [0.0001] * slots,
    }
    own = list(batteries) or [battery()]
    found: dict[str, Any] = {"batteries": own, "eta_c": 0.9, "eta_d": 0.9}
    for name, value in changes.items():
        (series if name in {*series, "gt_add"} else found)[name] = value
    return found | {"time_series": series}


def solved(asked: dict[str, Any]) -> tuple[Solved, dict[str, Any], Checked]:
    """What is known of the answer, the answer as it is sent, and what the checker makes of it."""
    found = SCHEDULER.solve(read_request(json.dumps(asked)))
    answer = json.loads(msgspec.json.encode(found.answer))
    return found, answer, check(asked, answer)


def answered(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer; every rule holds, and what is said of its value is true."""
    found, answer, checked = solved(asked)
    assert checked.broken == ()
    assert abs(found.value - checked.value) < 1e-4 + 1e-7 * abs(checked.value)
    return answer
