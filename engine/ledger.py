"""The ledger: what we sent to evcc and what is to be given back, on disk before it is done (§7).

One small SQLite file. Each thread, and the guard process, has a connection of its own.
"""

import os
import sqlite3
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from engine.estate import Bequest, Written

SCHEMA = 1
LOCKED_S = 5.0
"""How long a writer waits for another one."""
TABLES = {"written", "will", "carried_out", "plans", "controller"}
STRAGGLER = timedelta(minutes=1)
"""A will that is older than the one kept by less than this came from a slower thread."""

_encode = msgspec.json.encode
_bequests = msgspec.json.Decoder(tuple[Bequest, ...]).decode
_bequest = msgspec.json.Decoder(Bequest).decode
_value = msgspec.json.Decoder(str | float).decode


class LedgerError(Exception):
    """The ledger cannot be written or read: says which file and why."""

    no_ledger = False
    """True: the file holds no ledger that this version understands."""


class Estate(NamedTuple):
    """What the ledger holds.

    `written` is in order of time; of a setting there may be several: what was last confirmed, and
    each value that was intended since. `carried_out_at`: the will was carried out, and none was
    made since. `plans`: evcc's own plans that a will has set, or was about to, and that we have
    not deleted since.
    """

    written: tuple[Written, ...] = ()
    bequests: tuple[Bequest, ...] = ()
    carried_out_at: datetime | None = None
    plans: tuple[Bequest, ...] = ()


class Ledger:
    """The ledger in `path`, or in memory only (None: simulation and tests).

    Raises LedgerError where a file cannot be used (`keep_aside` helps), and from every method
    while it cannot be written. Any thread may use it, one at a time.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db = _open(path)

    @classmethod
    def opened(cls, path: Path) -> tuple[Self, str]:
        """The ledger in `path`, and what was wrong with the file that was there, kept aside."""
        try:
            return cls(path), ""
        except LedgerError as error:
            if not error.no_ledger:
                raise
            aside = keep_aside(path)
            return cls(path), f"{error}; it was kept as {aside.name}, a new one was begun"

    def again(self) -> "Ledger":
        """Another connection to the same file; the same object where it is in memory."""
        return self if self.path is None else Ledger(self.path)

    # --- what we send -----------------------------------------------------------------------------

    def intend(self, setting: str, loadpoint: str, value: str | float, at: datetime) -> None:
        """Note what is about to be sent, on disk when this returns. The will holds again."""
        row = (setting, loadpoint.casefold(), _encode(value), 0, loadpoint, at.isoformat())
        self._do(
            ("INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?, ?, ?)", row),
            ("DELETE FROM carried_out", ()),
        )

    def confirm(self, setting: str, loadpoint: str, value: str | float, at: datetime) -> None:
        """Note what evcc confirmed: nothing that was sent before stands any more."""
        key = (setting, loadpoint.casefold())
        row = (*key, _encode(value), 1, loadpoint, at.isoformat())
        self._do(
            ("DELETE FROM written WHERE setting = ? AND folded = ?", key),
            ("INSERT INTO written VALUES (?, ?, ?, ?, ?, ?)", row),
        )

    def refused(self, setting: str, loadpoint: str, value: str | float) -> None:
        """Note that evcc refused what was intended: what stood before still stands."""
        key = (setting, loadpoint.casefold(), _encode(value))
        self._do(
            (
                "DELETE FROM written WHERE setting = ? AND folded = ? AND value = ? "
                "AND confirmed = 0",
                key,
            )
        )

    # --- the will ---------------------------------------------------------------------------------

    def will(self, bequests: tuple[Bequest, ...], at: datetime) -> None:
        """Replace the will. From now on nothing counts as carried out."""
        kept = self._rows("SELECT at FROM will")
        if kept and timedelta() < datetime.fromisoformat(kept[0][0]) - at < STRAGGLER:
            return
        self._do(
            ("INSERT OR REPLACE INTO will VALUES (1, ?, ?)", (at.isoformat(), _encode(bequests))),
            ("DELETE FROM carried_out", ()),
        )

    def carried_out(self, at: datetime) -> None:
        """Note that the will was carried out."""
        self._do(("INSERT OR REPLACE INTO carried_out VALUES (1, ?)", (at.isoformat(),)))

    def clear_carried_out(self) -> None:
        """Forget it: the will holds again."""
        self._do(("DELETE FROM carried_out", ()))

    # --- evcc's own plans -------------------------------------------------------------------------

    def plan_set(self, plan: Bequest, at: datetime) -> None:
        """Note evcc's plan that is about to be set; those that were due by `at` are over."""
        key = (plan.setting, _whose(plan.setting, plan.loadpoint, plan.vehicle))
        due = plan.due.isoformat() if plan.due else ""
        self._do(
            ("DELETE FROM plans WHERE due <= ?", (at.isoformat(),)),
            ("INSERT OR REPLACE INTO plans VALUES (?, ?, ?, ?)", (*key, due, _encode(plan))),
        )

    def plan_gone(self, setting: str, loadpoint: str, vehicle: str) -> None:
        """Note that evcc's plan was deleted."""
        key = (setting, _whose(setting, loadpoint, vehicle))
        self._do(("DELETE FROM plans WHERE setting = ? AND folded = ?", key))

    # --- whose it is ------------------------------------------------------------------------------

    def begin(self, controller: str) -> None:
        """A controller of this name takes over: the guard of an earlier one stops acting."""
        self._do(("INSERT OR REPLACE INTO controller VALUES (1, ?)", (controller,)))

    def controller(self) -> str:
        """Who took over last; empty: nobody yet."""
        rows = self._rows("SELECT name FROM controller")
        return rows[0][0] if rows else ""

    # --- reading ----------------------------------------------------------------------------------

    def read(self) -> Estate:
        """Everything."""
        rows = self._rows("SELECT setting, loadpoint, value, at, confirmed FROM written "
                          "ORDER BY at, confirmed DESC")  # fmt: skip
        try:
            written = tuple(
                Written(setting, _value(value), datetime.fromisoformat(at), loadpoint, bool(sure))
                for setting, loadpoint, value, at, sure in rows
            )
            will = [_bequests(body) for (body,) in self._rows("SELECT body FROM will")]
            done = [
                datetime.fromisoformat(at) for (at,) in self._rows("SELECT at FROM carried_out")
            ]
            plans = tuple(
                _bequest(body) for (body,) in self._rows("SELECT body FROM plans ORDER BY folded")
            )
        except (msgspec.MsgspecError, ValueError) as error:
            raise LedgerError(f"{self.path}: not readable ({error})") from error
        return Estate(written, will[0] if will else (), done[0] if done else None, plans)

    def close(self) -> None:
        """Close the file. A ledger in memory stays: who holds it outlives the ports."""
        if self.path is not None:
            with self._lock:
                self._db.close()

    def _rows(self, statement: str) -> list[tuple[str, ...]]:
        try:
            with self._lock:
                return self._db.execute(statement).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: {error}") from error

    def _do(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """All of them in one transaction."""
        with self._lock:
            try:
                with self._db:
                    for statement, values in statements:
                        self._db.execute(statement, values)
            except sqlite3.Error as error:
                raise LedgerError(f"{self.path}: {error}") from error


def _whose(setting: str, loadpoint: str, vehicle: str) -> str:
    """A plan in percent is the car's, one in kWh the loadpoint's."""
    return (vehicle if setting == "plan_soc" else loadpoint).casefold()


def keep_aside(path: Path) -> Path:
    """Rename a ledger that cannot be used to `ledger.1.db` (or `.2`, …), its log with it."""
    aside = next(
        one
        for k in range(1, 10_000)
        if not (one := path.with_suffix(f".{k}{path.suffix}")).exists()
    )
    for tail in ("-wal", "-shm", ""):
        part = path.with_name(path.name + tail)
        if part.exists():
            os.replace(part, aside.with_name(aside.name + tail))
    return aside


def _open(path: Path | None) -> sqlite3.Connection:
    db = None
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        name = ":memory:" if path is None else f"{path}"
        db = sqlite3.connect(name, timeout=LOCKED_S, check_same_thread=False)
        _prepare(db)
    except (OSError, sqlite3.Error, LedgerError) as error:
        if db is not None:
            db.close()
        trouble = LedgerError(f"{path}: not usable as a ledger: {error}")
        # an OperationalError is of the file system, or another process has it locked
        trouble.no_ledger = not isinstance(error, OSError | sqlite3.OperationalError)
        raise trouble from error
    return db


def _prepare(db: sqlite3.Connection) -> None:
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA:
        raise LedgerError(f"its schema {schema} is newer than {SCHEMA}; use a newer SmartLoad")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise LedgerError(f"it is damaged ({sound})")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if schema == SCHEMA and tables >= TABLES:
        return  # nothing is written: a guard opens it while a hung controller may hold the lock
    with db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS written (setting TEXT, folded TEXT, value BLOB, "
            "confirmed INTEGER, loadpoint TEXT, at TEXT, "
            "PRIMARY KEY (setting, folded, value, confirmed))"
        )
        db.execute("CREATE TABLE IF NOT EXISTS will (one INTEGER PRIMARY KEY, at TEXT, body BLOB)")
        db.execute("CREATE TABLE IF NOT EXISTS carried_out (one INTEGER PRIMARY KEY, at TEXT)")
        db.execute(
            "CREATE TABLE IF NOT EXISTS plans (setting TEXT, folded TEXT, due TEXT, body BLOB, "
            "PRIMARY KEY (setting, folded))"
        )
        db.execute("CREATE TABLE IF NOT EXISTS controller (one INTEGER PRIMARY KEY, name TEXT)")
        db.execute(f"PRAGMA user_version={SCHEMA}")
