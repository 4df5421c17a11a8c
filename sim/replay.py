"""Exact replay: each actor is fed what it heard and must say what it said (design §3, §9)."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Union

import msgspec

from actors import cast
from engine.actor import Actor
from engine.journal import JournalError, Line, encode, header_of, lines_of
from engine.messages import MESSAGES, Message

_heard: msgspec.json.Decoder[Message] = msgspec.json.Decoder(
    Union[MESSAGES]  # noqa: UP007 - made from a tuple
)
_line = msgspec.json.Decoder(Line)


class Divergence(msgspec.Struct, frozen=True):
    """Where today's code says something else than the journal."""

    n: int
    at: str
    actor: str
    heard: msgspec.Raw
    recorded: list[msgspec.Raw]
    replayed: list[msgspec.Raw]


class Report(msgspec.Struct, frozen=True):
    """What `smartload replay --json` prints. `speed_x`: recorded seconds per second of replay."""

    heard: int
    said: int
    diverged: int
    first_divergence: Divergence | None
    speed_x: float


def replay(
    file: Path,
    *,
    since: str | None = None,
    until: str | None = None,
    actor: str | None = None,
    minds: list[Actor[Any, Any]] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Feed every actor what `file` (journal or export) says it heard; stop at nothing, count all.

    Lines before `since` only rebuild memories; they are not compared. Raises JournalError for a
    file that is no journal, holds an unknown actor or message, or a line that cannot be read, for
    an unknown `actor`, and for a `since` or `until` that is no ISO time (UTC without a zone).
    """
    begin, end = moment(since), moment(until)
    lines = lines_of(file)
    first = next(lines, None)
    if first is None:
        raise JournalError(f"{file}: empty; give a journal (.db) or an export (.jsonl)")
    header_of(first)
    seats = {mind.name: mind for mind in (minds if minds is not None else cast())}
    if actor is not None and actor not in seats:
        raise JournalError(f"there is no actor {actor!r}; there are {', '.join(seats)}")
    heard = said = diverged = 0
    first_divergence: Divergence | None = None
    times: list[str] = []
    began = perf_counter()
    for raw in lines:
        line, message = read(file, raw)
        if end is not None and datetime.fromisoformat(line.at) > end:
            break
        if line.actor not in seats:
            known = ", ".join(seats)
            raise JournalError(f"{file}: line {line.n}: unknown actor {line.actor!r} ({known})")
        if actor is not None and line.actor != actor:
            continue
        again = list(seats[line.actor].on(message))
        times = [times[0], line.at] if times else [line.at]
        if progress is not None:
            progress(line.at)
        if begin is not None and datetime.fromisoformat(line.at) < begin:
            continue
        heard += 1
        said += len(line.said)
        if not same(line.said, again):
            diverged += 1
            first_divergence = first_divergence or Divergence(
                n=line.n,
                at=line.at,
                actor=line.actor,
                heard=line.heard,
                recorded=line.said,
                replayed=[msgspec.Raw(encode(one)) for one in again],
            )
    wall_s = max(1e-9, perf_counter() - began)
    covered_s = seconds_between(times[0], times[-1]) if times else 0.0
    return Report(heard, said, diverged, first_divergence, round(covered_s / wall_s, 1))


def moment(text: str | None) -> datetime | None:
    """The time that a person wrote. Raises JournalError."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise JournalError(
            f"{text!r} is no time; write it like 2026-01-31T12:00 (UTC) or with its zone"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read(file: Path, raw: bytes) -> tuple[Line, Message]:
    """One line and the message heard. Raises JournalError naming file and line."""
    try:
        line = _line.decode(raw)
        return line, _heard.decode(line.heard)
    except msgspec.MsgspecError as error:
        raise JournalError(f"{file}: a line cannot be read ({error}): {raw[:80]!r}") from error


def same(recorded: list[msgspec.Raw], again: list[Message]) -> bool:
    """Equal byte for byte, or equal as values (an int where a float was read back)."""
    if len(recorded) != len(again):
        return False
    return all(
        bytes(one) == encode(other) or _decoded(one) == _heard.decode(encode(other))
        for one, other in zip(recorded, again, strict=True)
    )


def _decoded(raw: msgspec.Raw) -> Message | None:
    try:
        return _heard.decode(raw)
    except msgspec.MsgspecError:
        return None  # an altered or unknown message: it diverges


def seconds_between(first: str, last: str) -> float:
    """Seconds from one ISO time of a journal to another."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
