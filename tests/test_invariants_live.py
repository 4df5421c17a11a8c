"""Invariants that hold in the real wiring: threads, HTTP, files."""

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.actuator import Actuator
from actors.optimizer import Optimizer
from actors.state_store import StateStore
from engine.clock import WallClock
from engine.messages import EvccLost, StateChanged
from tests.make_live import Ring, make_evcc, make_home, running, serving, until
from web.health import health

TOLD_WITHIN_S = 5.0
"""So long after its end everybody knows that evcc is gone, with ticks of 1 s: a read each tick, its
repetition, and the way around the ring."""


def memory_of(ring: Ring, kind: type[Any]) -> Any:
    """What that actor remembers now."""
    (one,) = [one for one in ring.controller._cast if isinstance(one, kind)]
    return one.memory


def knows(ring: Ring, reachable: bool) -> bool:
    """Whether everybody who decides or shows has heard whether evcc answers."""
    page = ring.window.snapshot.state
    states = [memory_of(ring, kind).state for kind in (StateStore, Optimizer)]
    return (
        page is not None
        and all(one is not None and one.evcc_reachable is reachable for one in (page, *states))
        and memory_of(ring, Actuator).silent is not reachable
    )


def test_inv_58_a_lost_evcc_is_known_to_everybody_within_seconds_and_shown(tmp_path: Path) -> None:
    clock = WallClock()
    settings = make_home(clock.now()).settings
    with serving(make_evcc(clock)) as server, running(server, clock, tmp_path, settings) as ring:
        until(lambda: knows(ring, reachable=True))
        assert "evcc_silent" not in ring.get("/health")["problems"]
        server.stop()
        began_s = time.monotonic()
        until(lambda: knows(ring, reachable=False), TOLD_WITHIN_S)
        assert "evcc_silent" in ring.get("/health")["problems"]
        shown = [one["code"] for one in ring.get("/status")["troubles"]]
        assert "evcc_silent" in shown
        lost = ring.notes.of(EvccLost)
        told = [at_s for at_s, one in ring.notes.of(StateChanged) if not one.state.evcc_reachable]
        assert lost
        assert told[0] - began_s < TOLD_WITHIN_S


def test_inv_58_and_it_is_known_as_well_that_it_is_back(tmp_path: Path) -> None:
    clock = WallClock()
    settings = make_home(clock.now()).settings
    pretend = make_evcc(clock)
    with serving(pretend) as server:
        port = server.port
        with running(server, clock, tmp_path, settings) as ring:
            until(lambda: knows(ring, reachable=True))
            server.stop()
            until(lambda: knows(ring, reachable=False), TOLD_WITHIN_S)
            with serving(pretend, port):
                until(lambda: knows(ring, reachable=True))
                shown = [one["code"] for one in ring.get("/status")["troubles"]]
                assert "evcc_silent" not in shown


def test_inv_188_what_was_learnt_and_cannot_be_kept_is_shown_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All that is learnt is in the journal. A full disk is said, and nobody stops for it."""
    clock = WallClock()
    settings = make_home(clock.now()).settings
    with serving(make_evcc(clock)) as server, running(server, clock, tmp_path, settings) as ring:
        until(lambda: memory_of(ring, Optimizer).plan)
        assert ring.get("/health")["runtime"]["journal"] == ""
        journal = ring.controller._journal
        sound = journal._db
        assert sound is not None
        journal._db = sqlite3.connect(":memory:", check_same_thread=False)  # without its tables
        with caplog.at_level(logging.ERROR, "smartload.live"):
            until(lambda: "journal_troubled" in ring.get("/health")["problems"])
        assert "the journal could not be written" in caplog.text
        assert "no such table" in ring.get("/health")["runtime"]["journal"]
        assert ring.get("/health")["status"] == "degraded"
        plans = memory_of(ring, Optimizer).revision
        ticked_at = ring.controller.ticked_at
        until(lambda: ring.controller.ticked_at != ticked_at)
        assert memory_of(ring, Optimizer).revision >= plans
        journal._db.close()
        journal._db = sound
        until(lambda: "journal_troubled" not in ring.get("/health")["problems"])


def test_inv_188_a_ledger_that_cannot_be_written_is_shown(tmp_path: Path) -> None:
    clock = WallClock()
    settings = make_home(clock.now()).settings
    with serving(make_evcc(clock)) as server, running(server, clock, tmp_path, settings) as ring:
        until(lambda: ring.window.snapshot.state)
        heirs = ring.controller._heirs
        assert heirs is not None
        heirs.ledger._db.execute("DROP TABLE written")
        found = until(lambda: ring.get("/health")["problems"])
        assert "ledger_troubled" in found
        snapshot = ring.window.snapshot
        assert "ledger_troubled" in health(snapshot, clock.now(), heirs.health())["problems"]
        heirs.ledger._db.execute(
            "CREATE TABLE written (setting TEXT, folded TEXT, value BLOB, confirmed INTEGER, "
            "loadpoint TEXT, at TEXT, PRIMARY KEY (setting, folded, value, confirmed))"
        )
        assert msgspec.json.encode(heirs.health()["ledger"]) == b'""'
