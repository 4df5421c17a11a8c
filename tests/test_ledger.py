"""The ledger: on disk before it is sent, several hands at once, and files that are no good."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from engine.estate import Bequest, Written
from engine.ledger import Estate, Ledger, LedgerError
from tests.make_evcc_ports import T0, WHY, after

RELEASE = Bequest("battery_mode", WHY)
PV = Bequest("mode", WHY, "carport", value="pv")
PLAN = Bequest("plan_soc", WHY, vehicle="Zoe", value=80.0, due=after(3600))


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "data" / "ledger.db" if request.param == "file" else None)


def test_an_intention_stands_beside_what_was_confirmed_until_it_is_confirmed(
    ledger: Ledger,
) -> None:
    ledger.intend("mode", "Carport", "now", T0)
    assert ledger.read().written == (Written("mode", "now", T0, "Carport"),)
    ledger.confirm("mode", "Carport", "now", after(1))
    ledger.intend("mode", "carport", "pv", after(2))
    ledger.intend("mode", "carport", "off", after(3))
    now = Written("mode", "now", after(1), "Carport", confirmed=True)
    pv = Written("mode", "pv", after(2), "carport")
    assert ledger.read().written == (now, pv, Written("mode", "off", after(3), "carport"))
    ledger.refused("mode", "carport", "off")
    assert ledger.read().written == (now, pv)
    ledger.confirm("mode", "carport", "pv", after(4))
    ledger.confirm("limit_soc", "carport", 80.0, after(5))
    assert ledger.read().written == (
        Written("mode", "pv", after(4), "carport", confirmed=True),
        Written("limit_soc", 80.0, after(5), "carport", confirmed=True),
    )


def test_a_value_that_is_sent_again_and_refused_leaves_what_was_confirmed(ledger: Ledger) -> None:
    ledger.confirm("mode", "carport", "pv", T0)
    ledger.intend("mode", "carport", "pv", after(1))
    ledger.refused("mode", "carport", "pv")
    assert ledger.read().written == (Written("mode", "pv", T0, "carport", confirmed=True),)


def test_the_will_is_one_and_the_newest(ledger: Ledger) -> None:
    assert ledger.read() == Estate()
    ledger.will((RELEASE, PV, PLAN), after(10))
    assert ledger.read().bequests == (RELEASE, PV, PLAN)
    # a slower thread brings an older one
    ledger.will((), after(5))
    assert ledger.read().bequests == (RELEASE, PV, PLAN)
    # but a machine's clock may have been set back
    ledger.will((PV,), T0 - timedelta(hours=1))
    assert ledger.read().bequests == (PV,)


def test_what_is_written_after_the_will_was_carried_out_makes_it_hold_again(
    ledger: Ledger,
) -> None:
    ledger.will((PV,), T0)
    ledger.carried_out(after(1))
    assert ledger.read() == Estate((), (PV,), after(1))
    ledger.intend("mode", "carport", "now", after(2))
    assert ledger.read().carried_out_at is None
    ledger.carried_out(after(3))
    ledger.will((), after(4))
    assert ledger.read().carried_out_at is None
    ledger.carried_out(after(5))
    ledger.clear_carried_out()
    assert ledger.read().carried_out_at is None


def test_all_connections_see_the_same_and_what_is_written_outlives_them(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.db")
    second = first.again()
    assert second is not first
    first.begin("a")
    second.intend("battery_mode", "", "hold", T0)
    assert first.read().written == (Written("battery_mode", "hold", T0),)
    assert second.controller() == "a"
    first.close()
    second.close()
    assert Ledger(tmp_path / "ledger.db").read().written[0].value == "hold"
    memory = Ledger()
    assert memory.again() is memory
    memory.intend("mode", "x", "pv", T0)
    memory.close()
    assert memory.read().written  # who holds it outlives the ports that close it


def test_it_is_on_disk_when_intend_returns(tmp_path: Path) -> None:
    """As after a kill: a copy of the files, taken with the ledger still open."""
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.intend("mode", "carport", "now", T0)
    other = tmp_path / "other"
    other.mkdir()
    for part in tmp_path.glob("ledger.db*"):
        (other / part.name).write_bytes(part.read_bytes())
    assert Ledger(other / "ledger.db").read().written[0].value == "now"
    (sync,) = ledger._db.execute("PRAGMA synchronous").fetchone()
    assert sync == 2  # FULL


def test_a_damaged_file_is_kept_aside_and_said(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(b"this is no database, and never was one" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.db: not usable as a ledger"):
        Ledger(file)
    ledger, said = Ledger.opened(file)
    assert "kept as ledger.1.db" in said
    assert ledger.read() == Estate()
    assert (tmp_path / "ledger.1.db").read_bytes().startswith(b"this is no database")
    ledger.close()
    file.write_bytes(b"again" * 1000)
    assert "ledger.2.db" in Ledger.opened(file)[1]


def test_a_ledger_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version=7")
    with pytest.raises(LedgerError, match="schema 7 is newer than 1; use a newer SmartLoad"):
        Ledger(file)
    ledger, said = Ledger.opened(file)
    assert "newer" in said
    assert ledger.read() == Estate()


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    fill(ledger)
    with pytest.raises(LedgerError, match=r"ledger\.db: database or disk is full"):
        ledger.intend("mode", "x" * 100_000, "now", T0)
    assert ledger.read() == Estate()


def fill(ledger: Ledger) -> None:
    """Let the file grow no further."""
    (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
    ledger._db.execute(f"PRAGMA max_page_count={pages}")


def test_a_healthy_file_that_cannot_be_opened_is_not_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerError):
        Ledger.opened(tmp_path / "ledger.db")


def test_a_hung_controller_that_holds_the_lock_keeps_no_guard_from_reading(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first = Ledger(path)
    first.begin("one")
    first.intend("mode", "garage", "now", T0)
    stopped = sqlite3.connect(path, isolation_level=None)
    stopped.execute("BEGIN IMMEDIATE")  # SIGSTOP in the middle of a write
    guard = Ledger(path)
    assert guard.controller() == "one"
    assert [one.value for one in guard.read().written] == ["now"]
    stopped.execute("ROLLBACK")
    for one in (guard, first):
        one.close()
    stopped.close()
