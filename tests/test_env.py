"""`SmartLoad/Home-v0`: Gymnasium's own checks, determinism, rewards, and the empty chair."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import sim.env
from sim.env import NEUTRAL, HomeEnv
from sim.run import simulate
from sim.scenario_files import load_scenario

QUIET = np.array([NEUTRAL, NEUTRAL])


def run(actions: list[Any], seed: int = 7, scenario: str = "winter-week") -> list[Any]:
    env = HomeEnv(scenario, days=0.25)
    said: list[Any] = [env.reset(seed=seed)]
    said += [env.step(np.array(action)) for action in actions]
    env.close()
    return said


def test_gymnasium_finds_nothing_to_complain_about() -> None:
    assert sim.env.HomeEnv is HomeEnv
    env = gym.make("SmartLoad/Home-v0", scenario="winter-week", days=0.1)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_the_same_seed_gives_the_same_story_and_another_seed_another() -> None:
    def rewards(seed: int) -> list[float]:
        return [one[1] for one in run([QUIET] * 6, seed)[1:]]

    def seen(seed: int) -> Any:
        return [one[0].tolist() for one in run([QUIET] * 6, seed)]

    assert rewards(7) == rewards(7)
    assert seen(7) == seen(7)
    assert seen(7) != seen(8)


def test_rewards_add_up_to_what_was_spent_and_it_ends_with_the_days() -> None:
    env = HomeEnv("winter-week", days=0.25)
    _, info = env.reset(seed=3)
    began, total, steps, truncated = info["spent_eur"], 0.0, 0, False
    while not truncated:
        _, reward, terminated, truncated, info = env.step(QUIET)
        assert not terminated
        total += float(reward)
        steps += 1
    env.close()
    assert steps == 24
    assert total == pytest.approx(-(info["spent_eur"] - began), abs=1e-9)


def test_inv_129_no_correction_is_the_plan_exactly() -> None:
    """The neutral action spends what the same home spends without anybody in the chair."""
    env = HomeEnv("winter-week", days=0.25)
    env.reset(seed=5)
    world_seed = int(
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(5))).integers(2**31)
    )
    truncated = False
    while not truncated:
        *_, truncated, info = env.step(QUIET)
    env.close()
    alone = simulate(load_scenario("winter-week"), days=0.25, seed=world_seed)
    assert info["spent_eur"] == pytest.approx(
        alone.cost_eur + alone.wear_eur + alone.shortfall_kwh, abs=1e-5
    )


def test_a_correction_changes_what_is_done() -> None:
    """Stored energy said to be worth much more: the battery keeps or takes instead of serving."""
    best, nothing = len(sim.env.OFFSETS_CT) - 1, 0
    plain = run([QUIET] * 16, scenario="summer-week")
    more = run([(best, NEUTRAL)] * 16, scenario="summer-week")
    less = run([(nothing, NEUTRAL)] * 16, scenario="summer-week")
    battery = [float(story[-1][0][0]) for story in (less, plain, more)]
    assert battery[0] <= battery[1] <= battery[2]
    assert battery[0] < battery[2]


def test_ticks_must_fit_into_a_slot(tmp_path: Any) -> None:
    text = """
title: odd ticks
sim: {start: 2026-01-12T00:00:00+01:00, tick_s: 7}
"""
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"sim.tick_s is 7.*whole number of ticks"):
        HomeEnv(str(file))
