"""evcc's circuits and the currents of its grid meter: every shape, and what is odd."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.circuits import Circuit
from engine.evcc_json import site_from
from tests.make_evcc_json import state

MAIN = {"title": "Main", "power": 9300.5, "current": 21.5, "maxPower": 17250, "maxCurrent": 25}
GARAGE = {"power": 7000, "maxCurrent": 16, "parent": "main", "dimmed": True, "curtailed": True}


def test_circuits_are_read_by_name() -> None:
    site = site_from(state(circuits={"main": MAIN, "garage": GARAGE}))
    assert site.circuits == (
        Circuit("main", 9300.5, 21.5, 17250.0, 25.0),
        # what evcc leaves out is zero: nothing flows
        Circuit("garage", 7000.0, 0.0, None, 16.0, "main", True, True),
    )
    assert site.dimmed  # of any circuit: as before


@pytest.mark.parametrize("circuits", [None, {}, [], "main", 3, {"main": None}, {"main": []}])
def test_no_circuits_are_none(circuits: Any) -> None:
    assert site_from(state(circuits=circuits)).circuits == ()
    assert site_from(state()).circuits == ()


@pytest.mark.parametrize(
    ("entry", "circuit"),
    [
        ({}, Circuit("c")),
        ({"power": "9", "maxPower": "x"}, Circuit("c")),
        ({"power": None, "current": None, "maxCurrent": 25}, Circuit("c", max_current_a=25.0)),
        ({"power": 1, "maxPower": 0, "maxCurrent": 0}, Circuit("c", 1.0)),
        ({"power": 1, "maxPower": -5}, Circuit("c", 1.0)),
        ({"power": -700, "maxPower": 9e3}, Circuit("c", -700.0, None, 9000.0)),
        # what evcc shows for a meter that it cannot read: the greatest number there is
        (
            {"power": 1.7976931348623157e308, "current": 1.7976931348623157e308, "maxCurrent": 25},
            Circuit("c", None, None, None, 25.0),
        ),
    ],
)
def test_what_is_odd_or_missing_is_unknown(entry: dict[str, Any], circuit: Circuit) -> None:
    assert site_from(state(circuits={"c": entry})).circuits == (circuit,)


def currents(grid: dict[str, Any]) -> tuple[float, float, float] | None:
    return site_from(state(grid={"power": 100.0, **grid})).grid_currents_a


def test_the_currents_of_the_phases_are_signed() -> None:
    assert currents({"currents": [3.5, -2, 0]}) == (3.5, -2.0, 0.0)
    # some meters tell no direction; the power of each phase does
    unsigned = {"currents": [3.5, 2.0, 1.0], "powers": [800.0, -400.0, 200.0]}
    assert currents(unsigned) == (3.5, -2.0, 1.0)
    assert site_from(state(gridCurrents=[1, 2, 3])).grid_currents_a == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "odd", [None, [], [1, 2], [1, 2, 3, 4], [1, "2", 3], [1, None, 3], 7, [1e300, 1, 1]]
)
def test_currents_that_are_odd_are_unknown(odd: Any) -> None:
    assert currents({"currents": odd}) is None
    assert currents({}) is None


ODD = some.one_of(
    some.none(),
    some.booleans(),
    some.floats(),
    some.text(max_size=3),
    some.lists(some.floats(), max_size=4),
    some.dictionaries(some.text(max_size=2), some.floats(), max_size=2),
)


@given(some.sampled_from(sorted(MAIN | GARAGE)), ODD, ODD)
def test_whatever_stands_there_the_state_is_read(key: str, value: Any, grid: Any) -> None:
    mutilated = {"main": copy.deepcopy(MAIN) | {key: value}, "garage": value}
    site = site_from(state(circuits=mutilated, grid={"power": 5.0, "currents": grid}))
    assert site.grid_import_w == 5.0
    for one in site.circuits:
        for known in (one.power_w, one.current_a, one.max_power_w, one.max_current_a):
            assert known is None or abs(known) < float("inf")
