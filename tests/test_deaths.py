"""The table of deaths: a third of its cells (`make deaths` lives through all of them)."""

import pytest

from sim.deaths import lived, row_of
from sim.deaths_home import DEATHS, STATES, Death, State

EACH = 3
CELLS = [
    (state, death)
    for i, state in enumerate(STATES)
    for j, death in enumerate(DEATHS)
    if (i + j) % EACH == 0
]


def test_every_state_and_every_death_occurs_among_the_cells_that_are_tested() -> None:
    assert {state for state, _ in CELLS} == set(STATES)
    assert {death for _, death in CELLS} == set(DEATHS)


@pytest.mark.parametrize(
    ("state", "death"), CELLS, ids=[f"{state.name}-{death.name}" for state, death in CELLS]
)
def test_the_home_is_well_after_a_death(state: State, death: Death) -> None:
    assert row_of(lived(state, death)).broken == ()
