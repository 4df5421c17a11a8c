"""What every actor heard and said, in order: one SQLite file, one writer; JSON Lines on export.

A chunk holds each message once and the handled ones by number, so a state that five actors heard is
kept once. `lines_of` spells chunks out: one line per handled message,
`{"n","at","actor","heard":{…},"said":[…]}`, after a header line.
"""

import hashlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from engine.messages import Message

SCHEMA = 1
LIVE_MOST = 100_000
"""Live, the ticker flushes; only where it no longer does, an actor's thread does."""
_encode = msgspec.json.Encoder().encode
_Row = tuple[str, int, list[int]]
_rows = msgspec.json.Decoder(list[_Row]).decode
_Handled = tuple[str, Message, tuple[Message, ...]]


class JournalError(Exception):
    """A journal that cannot be read: says which file, what is wrong, and what to do."""


class Header(msgspec.Struct, frozen=True):
    """The first line: who wrote this, and the configuration (or scenario) behind it."""

    schema: int
    version: str
    kind: str
    configuration: msgspec.Raw
    seed: int | None = None


class Line(msgspec.Struct, frozen=True):
    """One handled message as exported."""

    n: int
    at: str
    actor: str
    heard: msgspec.Raw
    said: list[msgspec.Raw]


def _numbered(handled: Iterable[_Handled]) -> tuple[list[bytes], list[_Row]]:
    """The distinct messages, encoded, and (actor, heard, [said]) by their numbers.

    Messages are told apart by identity: the same one goes to every hearer.
    """
    numbers: dict[int, int] = {}
    bodies: list[bytes] = []
    rows: list[_Row] = []
    for actor, heard, said in handled:
        spoken = []
        for message in (*said, heard):
            number = numbers.get(id(message))
            if number is None:
                number = numbers[id(message)] = len(bodies)
                bodies.append(_encode(message))
            spoken.append(number)
        rows.append((actor, spoken.pop(), spoken))
    return bodies, rows


def _joined(bodies: list[bytes], rows: list[_Row]) -> bytes:
    """One chunk: the distinct messages, an empty line, then `[[actor, heard, [said]]]`."""
    return b"\n".join([*bodies, b"", _encode(rows)])


def _lines(bodies: list[bytes], rows: list[_Row], first_n: int) -> Iterator[bytes]:
    for k, (actor, heard_number, said_numbers) in enumerate(rows):
        heard = bodies[heard_number]
        said = b",".join([bodies[one] for one in said_numbers])
        yield b'{"n":%d,"at":"%b","actor":"%b","heard":%b,"said":[%b]}' % (
            first_n + k, _at_of(heard), actor.encode(), heard, said
        )  # fmt: skip


def unpack(chunk: bytes, first_n: int) -> Iterator[bytes]:
    """The export lines of one chunk, without line ends."""
    head, _, tail = chunk.partition(b"\n\n")
    yield from _lines(head.split(b"\n"), _rows(tail), first_n)


def _at_of(body: bytes) -> bytes:
    """The time of an encoded message: `at` is the first field after the type."""
    start = body.index(b'"at":"') + 6
    return body[start : body.index(b'"', start)]


class Journal:
    """Records handled messages; a recorder for either runtime (any thread may record).

    `file` None keeps nothing but the hash. `live` compresses and survives a power cut; a
    simulation that dies is run again. `flush_every` handled messages make a chunk; live, the
    ticker flushes.
    """

    def __init__(
        self,
        file: Path | None,
        header: Header,
        *,
        flush_every: int = 4000,
        live: bool = False,
        hashing: bool = True,
    ) -> None:
        self._lock = threading.Lock()
        self._flush_every = LIVE_MOST if live else flush_every
        self._compress = live
        self._waiting: list[_Handled] = []
        self._n = 0
        self._header = _encode(header)
        self._hash = hashlib.sha256(self._header + b"\n") if hashing else None
        self._db = _open(file, self._header, live) if file is not None else None

    def record(self, actor: str, heard: Message, said: tuple[Message, ...]) -> None:
        """Keep one handled message."""
        with self._lock:
            self._waiting.append((actor, heard, said))
            full = len(self._waiting) >= self._flush_every
        if full:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as one chunk in one transaction."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            first_n, self._n = self._n + 1, self._n + len(waiting)
            bodies, rows = _numbered(waiting)
            if self._hash is not None:
                for line in _lines(bodies, rows, first_n):
                    self._hash.update(line)
                    self._hash.update(b"\n")
            if self._db is not None:
                chunk = _joined(bodies, rows)
                packed = zlib.compress(chunk, 1) if self._compress else chunk
                self._db.execute(
                    "INSERT INTO chunks VALUES (?, ?, ?, ?)",
                    (first_n, waiting[0][1].at.isoformat(), self._compress, packed),
                )
                self._db.commit()

    def sha256(self) -> str:
        """The SHA-256 of what `export` writes, up to now."""
        self.flush()
        if self._hash is None:
            raise JournalError("this journal was opened without hashing")
        return self._hash.hexdigest()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        if self._db is not None:
            self._db.close()
            self._db = None


def _open(file: Path, header: bytes, durable: bool) -> sqlite3.Connection:
    """A fresh journal at `file`; one that is there is kept aside as `*.1`, `*.2`, …"""
    if file.exists():
        aside = next(
            path for k in range(1, 10_000) if not (path := file.with_suffix(f".{k}.db")).exists()
        )
        file.rename(aside)
    file.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(file, check_same_thread=False)
    # small pages live, where each tick is a transaction and flash is to be spared
    db.execute(f"PRAGMA page_size={4096 if durable else 16384}")
    db.execute(f"PRAGMA journal_mode={'WAL' if durable else 'MEMORY'}")
    db.execute(f"PRAGMA synchronous={'NORMAL' if durable else 'OFF'}")
    db.execute("CREATE TABLE header (body BLOB)")
    db.execute("CREATE TABLE chunks (first_n INTEGER PRIMARY KEY, at TEXT, zip INTEGER, body BLOB)")
    db.execute("INSERT INTO header VALUES (?)", (header,))
    db.commit()
    return db


def lines_of(file: Path) -> Iterator[bytes]:
    """The export lines of a journal or of an exported file, header first, without line ends.

    Raises JournalError for a file that is neither.
    """
    if not file.is_file():
        raise JournalError(f"{file}: no such file; give a journal (.db) or an export (.jsonl)")
    with file.open("rb") as stream:
        sqlite = stream.read(16) == b"SQLite format 3\x00"
        if not sqlite:
            stream.seek(0)
            yield from (line.rstrip(b"\n") for line in stream)
            return
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        yield db.execute("SELECT body FROM header").fetchone()[0]
        for first_n, zipped, body in db.execute(
            "SELECT first_n, zip, body FROM chunks ORDER BY first_n"
        ):
            yield from unpack(zlib.decompress(body) if zipped else body, first_n)
    except (sqlite3.DatabaseError, TypeError, zlib.error, msgspec.MsgspecError) as error:
        raise JournalError(f"{file}: not a SmartLoad journal ({error})") from error
    finally:
        db.close()


def header_of(line: bytes) -> Header:
    """The header in `line`. Raises JournalError when it is none or of a later schema."""
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.MsgspecError as error:
        raise JournalError(f"the first line is not a journal header ({error})") from error
    if header.schema > SCHEMA:
        raise JournalError(
            f"journal schema {header.schema} is newer than {SCHEMA}; use a newer SmartLoad"
        )
    return header


def export(file: Path, target: Path) -> int:
    """Write the journal as JSON Lines, whole or not at all; returns the handled messages."""
    count = -1
    unfinished = target.with_name(target.name + ".part")
    try:
        stream = unfinished.open("wb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    with stream:
        for line in lines_of(file):
            stream.write(line + b"\n")
            count += 1
    os.replace(unfinished, target)
    return count


def encode(value: Any) -> bytes:
    """JSON as the journal writes it."""
    return _encode(value)


def live_header(settings: Any) -> Header:
    """The header of a live journal: version and what the minds heard of the configuration."""
    return Header(
        schema=SCHEMA,
        version=version("smartload"),
        kind="live",
        configuration=msgspec.Raw(_encode({"settings": settings})),
    )
