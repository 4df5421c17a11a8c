"""The runtime's side of ledger and will: hands off, the last words, the estate after a silence."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Never

from engine.actor import Port
from engine.clock import WallClock
from engine.heirs import Heirs
from engine.journal import Journal, live_header
from engine.ledger import Ledger
from engine.live import Live
from engine.messages import ConfigRead, EstateRead, Tick
from engine.settings import Settings
from engine.transport import TransportError
from tests.make_evcc_ports import ScriptedTransport
from tests.make_live import until
from tests.make_will import Deathbed, bequest


def heirs(home: Deathbed) -> Heirs:
    """Without a guard: evcc is in this process. Its time is the clock's, moved by each look."""
    return Heirs(home.ledger, lambda: home.evcc, WallClock())


def test_at_hands_off_the_will_is_carried_out_here_where_there_is_no_guard() -> None:
    home = Deathbed()
    home.wrote("mode", "now", "/api/loadpoints/1/mode/now")
    home.ledger.will((bequest("mode", "off"),), home.clock.now())
    mine = heirs(home)
    mine.hands_off()
    mine.hands_off()  # each tick: once is enough
    until(lambda: "POST loadpoints/1/mode/off" in home.writes())
    mine.stop()
    assert home.writes().count("POST loadpoints/1/mode/off") == 1
    assert home.ledger.read().carried_out_at is not None


def test_the_last_words_give_back_what_is_left_and_are_not_repeated() -> None:
    home = Deathbed()
    home.ledger.will((bequest("mode", "off"),), home.clock.now())
    heirs(home).stop()
    assert home.writes() == ["POST loadpoints/1/mode/off"]
    heirs(home).stop()
    assert home.writes() == ["POST loadpoints/1/mode/off"]


def test_health_says_what_is_wrong_with_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    mine = Heirs(ledger, lambda: ScriptedTransport(TransportError("away")), WallClock())
    assert mine.health()["ledger"] == ""
    ledger._db.close()
    assert "ledger.db" in mine.health()["ledger"]
    assert mine.estate(WallClock().now()).written == ()


class Ear(Port[ConfigRead | EstateRead | Tick, Never]):
    """Notes the order of what is said."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on(self, message: ConfigRead | EstateRead | Tick) -> Iterator[Never]:
        """Note it."""
        self.heard.append(type(message).__name__)
        yield from ()


class Skipping(WallClock):
    """A clock that can be set on, as after a sleep."""

    ahead = timedelta()

    def now(self) -> Any:
        return super().now() + self.ahead


def test_the_estate_is_said_after_the_configuration_and_after_a_long_silence(
    tmp_path: Path,
) -> None:
    clock, ear, settings = Skipping(), Ear(), Settings(tick_s=0.2)
    mine = Heirs.in_memory(ScriptedTransport, clock)
    journal = Journal(tmp_path / "journal.db", live_header(settings), live=True, hashing=False)
    live = Live(settings, [ear], clock, journal, mine)
    live.start()
    try:
        until(lambda: len(ear.heard) > 4)
        assert ear.heard[:3] == ["ConfigRead", "EstateRead", "Tick"]
        assert ear.heard.count("EstateRead") == 1
        clock.ahead = timedelta(seconds=30)  # not long enough
        time.sleep(0.5)
        assert ear.heard.count("EstateRead") == 1
        clock.ahead = timedelta(seconds=100)
        until(lambda: ear.heard.count("EstateRead") == 2)
        after = ear.heard.index("EstateRead", 3) + 1
        until(lambda: len(ear.heard) > after)
        assert ear.heard[after] == "Tick"
        assert live.health()["will"] == []
    finally:
        live.stop()
