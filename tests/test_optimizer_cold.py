"""A solver that starts in the middle of a life says the same plans as one that was there before."""

from functools import cache
from random import Random

import pytest

from actors import cast
from actors.optimizer import Optimizer
from actors.planner import Planner, load_modelling_language
from engine.messages import Message, PlanMade
from engine.steps import StepSystem
from sim.run import play, pretend_home
from sim.scenario_files import load_scenario

DAYS = 0.4
Life = tuple[tuple[Message, tuple[Message, ...]], ...]


class Notes:
    """What the optimizer heard and said."""

    def __init__(self) -> None:
        self.life: list[tuple[Message, tuple[Message, ...]]] = []

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        if actor == "Optimizer":
            self.life.append((heard, said))


@cache
def lived(name: str) -> Life:
    load_modelling_language()
    scenario, notes = load_scenario(name), Notes()
    system = StepSystem(scenario.sim.start, notes)
    home = pretend_home(scenario, 1, DAYS, system.clock)
    play(system, scenario, DAYS, home, cast())
    system.stop()
    return tuple(notes.life)


@pytest.mark.parametrize("name", ["negative-prices", "two-cars-one-wallbox"])
@pytest.mark.parametrize("seed", range(3))
def test_a_cold_solver_from_a_random_middle_says_the_same_plans(name: str, seed: int) -> None:
    """The planner's compiled programs and whatever they remember are no part of what is said."""
    life = lived(name)
    turns = [k for k, (_, said) in enumerate(life) if said]
    middle = Random(seed).choice(turns[1:-1])
    optimizer, plans = Optimizer(), 0
    for k, (heard, said) in enumerate(life):
        if k == middle:
            optimizer.planner = Planner()
        again = tuple(optimizer.on(heard))  # type: ignore[arg-type]
        assert again == said
        plans += k >= middle and any(isinstance(one, PlanMade) for one in said)
    assert plans > 1
