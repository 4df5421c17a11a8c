"""The whole ring over the pretend evcc: both runtimes, determinism, exact replay."""

import json
import os
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from actors import cast
from engine.journal import Journal, export, lines_of
from sim.replay import read, replay, same
from sim.run import header_for, simulate
from sim.scenario import Scenario
from sim.scenario_files import load_scenario
from tests.make_ring import confirmed_writes, told


@pytest.mark.parametrize("name", ["two-cars-one-wallbox", "negative-prices"])
def test_the_same_story_on_both_runtimes_gives_the_same_confirmed_writes(name: str) -> None:
    steps = confirmed_writes(told(load_scenario(name), "steps", 0.5).pretend)
    threads = confirmed_writes(told(load_scenario(name), "threads", 0.5).pretend)
    assert steps
    assert steps == threads


def test_shuffled_delivery_gives_the_same_confirmed_writes() -> None:
    scenario = load_scenario("two-cars-one-wallbox")
    straight = told(scenario, "steps", 0.5)
    shuffled = told(scenario, "steps", 0.5, shuffle=True, order_seed=3)
    assert confirmed_writes(straight.pretend) == confirmed_writes(shuffled.pretend)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a simulated half day."""
    file = tmp_path_factory.mktemp("day") / "day.db"
    simulate(load_scenario("winter-week"), days=0.5, seed=1, journal=file)
    return file


def test_replay_says_the_same_from_journal_and_export(day: Path, tmp_path: Path) -> None:
    report = replay(day)
    assert (report.diverged, report.first_divergence) == (0, None)
    assert report.heard > 1000
    count = export(day, tmp_path / "day.jsonl")
    again = replay(tmp_path / "day.jsonl")
    assert (again.heard, again.said, again.diverged) == (count, report.said, 0)


def test_replay_from_a_random_middle_with_cold_solvers_and_restored_memories(day: Path) -> None:
    lines = list(lines_of(day))[1:]
    for seed in range(3):
        middle = random.Random(seed).randrange(len(lines) // 4, len(lines) * 3 // 4)
        seats = {mind.name: mind for mind in cast()}
        for raw in lines[:middle]:
            line, heard = read(day, raw)
            list(seats[line.actor].on(heard))
        cold = {mind.name: mind for mind in cast()}  # new solvers, as in another process
        for name, mind in cold.items():
            mind.restore(seats[name].snapshot())
        for raw in lines[middle:]:
            line, heard = read(day, raw)
            again = list(cold[line.actor].on(heard))
            assert same(line.said, again), (seed, line.n, line.actor)


def test_an_altered_line_diverges_and_is_named(day: Path, tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl"
    export(day, file)
    lines = file.read_bytes().split(b"\n")
    k = next(k for k, line in enumerate(lines) if b'"type":"Order"' in line and k > 10)
    altered = json.loads(lines[k])
    (order,) = [said for said in altered["said"] if said["type"] == "Order"][:1]
    order["value"] = "off"
    lines[k] = json.dumps(altered).encode()
    file.write_bytes(b"\n".join(lines))
    report = replay(file)
    assert report.diverged == 1
    assert report.first_divergence is not None
    assert (report.first_divergence.n, report.first_divergence.actor) == (altered["n"], "Actuator")


SCRIPT = """
from sim.run import simulate
from sim.scenario_files import load_scenario
print(simulate(load_scenario("winter-week"), days=0.25, seed={seed}).journal_sha256)
"""


def hash_in_a_process(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(seed=seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    return done.stdout.strip()


def test_same_seed_same_hash_in_another_process() -> None:
    first = hash_in_a_process(1, "1")
    assert first == hash_in_a_process(1, "2")
    assert first != hash_in_a_process(2, "1")


def test_the_hash_is_of_what_export_writes(tmp_path: Path) -> None:
    import hashlib

    scenario = load_scenario("winter-week")
    result = simulate(scenario, days=0.1, seed=1, journal=tmp_path / "a.db")
    export(tmp_path / "a.db", tmp_path / "a.jsonl")
    assert hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest() == result.journal_sha256


def test_a_journal_that_is_there_is_kept_aside(tmp_path: Path) -> None:
    scenario: Scenario = load_scenario("winter-week")
    for _ in range(2):
        Journal(tmp_path / "j.db", header_for(scenario, 1, 1)).close()
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["j.1.db", "j.db"]


def test_memories_are_bounded(day: Path) -> None:
    """INV-116: what an actor remembers does not grow with the day."""
    seats = {mind.name: mind for mind in cast()}
    sizes: dict[str, list[int]] = {name: [] for name in seats}
    for k, raw in enumerate(list(lines_of(day))[1:]):
        line, heard = read(day, raw)
        list(seats[line.actor].on(heard))
        if k % 500 == 499:
            for name, mind in seats.items():
                sizes[name].append(len(msgspec.json.encode(mind.memory)))
    for name, grown in sizes.items():
        assert grown[-1] < 1.5 * max(grown[: len(grown) // 2]) + 50_000, (name, grown)


def test_simulate_needs_no_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same story an hour later by the wall: nothing said depends on it."""
    first = simulate(load_scenario("dst-march"), days=0.1, seed=1)
    assert timedelta(0) < timedelta(seconds=first.wall_s)
    again = simulate(load_scenario("dst-march"), days=0.1, seed=1)
    assert first.journal_sha256 == again.journal_sha256
