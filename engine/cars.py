"""Ports to cars: a vehicle cloud (or any gateway) over HTTP, and what the owner typed in.

One port per car, each on a thread of its own: a cloud that hangs delays nobody else. Reasons of
silence never quote an address or a header, which may hold a token.
"""

import json
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec

from engine.actor import Port
from engine.clock import Clock
from engine.messages import CarAnswered, CarPollDue, CarSilent
from engine.values import Utc

MOST_BYTES = 64 * 1024
MOST_REDIRECTS = 3
MILLISECONDS_FROM = 1e11
"""Unix times above this are milliseconds (in seconds it would be the year 5138)."""


class CarUnreadableError(Exception):
    """There is no SoC in what came back, or nothing came back. Says why."""


class Reading(NamedTuple):
    """A SoC and when the vendor measured it; None: not told."""

    soc_pct: float
    measured_at: datetime | None


class HttpCar(Port[CarPollDue, CarAnswered | CarSilent]):
    """Asks one address for one car's SoC.

    `soc_path` is a dot path into JSON (`data.battery.0.soc`); `soc_regex`, if given, is searched in
    the text instead: its first group, or all of it, is the number. `measured_path` names the
    vendor's measurement time: ISO 8601 (UTC where it has no offset) or Unix seconds or milliseconds
    (INV-64); once configured, an answer without it is no answer. Raises re.error for a bad regex.
    """

    def __init__(
        self,
        vehicle: str,
        url: str,
        clock: Clock,
        *,
        soc_path: str = "soc",
        soc_regex: str | None = None,
        measured_path: str | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._vehicle = vehicle
        self._url = url
        self._clock = clock
        self._soc_path = soc_path
        self._soc_regex = re.compile(soc_regex) if soc_regex else None
        self._measured_path = measured_path
        self._timeout_s = timeout_s
        self._client = httpx.Client(
            timeout=timeout_s, headers=headers, follow_redirects=False, trust_env=False
        )

    @property
    def name(self) -> str:
        return f"HttpCar:{self._vehicle}"

    def on(self, message: CarPollDue) -> Iterator[CarAnswered | CarSilent]:
        if message.vehicle.casefold() != self._vehicle.casefold():
            return
        try:
            reading = self._read(self._fetch())
        except CarUnreadableError as unreadable:
            yield CarSilent(self._clock.now(), self._vehicle, str(unreadable))
        else:
            yield _answer(self._vehicle, reading, self._clock.now())

    def close(self) -> None:
        self._client.close()

    def _fetch(self) -> bytes:
        """The body, after redirects within the same host. Raises CarUnreadableError."""
        deadline = time.monotonic() + self._timeout_s
        try:
            request = self._client.build_request("GET", self._url)
            for _ in range(MOST_REDIRECTS + 1):
                response = self._client.send(request, stream=True)
                try:
                    following = response.next_request
                    if following is None:
                        return _body(response, deadline)
                finally:
                    response.close()
                if not _same_host(request.url, following.url):
                    raise CarUnreadableError("redirected to another host")
                request = following
        except httpx.TimeoutException:
            raise CarUnreadableError(f"no answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CarUnreadableError(f"not reached ({type(error).__name__})") from None
        raise CarUnreadableError("too many redirects")

    def _read(self, body: bytes) -> Reading:
        """SoC and time in a body. Raises CarUnreadableError."""
        text = body.decode("utf-8", errors="replace")
        payload = None
        if self._soc_regex is None or self._measured_path:
            try:
                payload = json.loads(text)
            except (ValueError, RecursionError):
                raise CarUnreadableError("the answer is not JSON") from None
        if self._soc_regex is not None:
            match = self._soc_regex.search(text)
            if match is None:
                raise CarUnreadableError("soc_regex finds nothing")
            found: Any = match.group(1) if self._soc_regex.groups else match.group(0)
        else:
            found = _at_path(payload, self._soc_path)
        soc_pct = _soc(found)
        if not self._measured_path:
            return Reading(soc_pct, None)
        return Reading(soc_pct, _time(_at_path(payload, self._measured_path)))


class ManualEntry(msgspec.Struct, frozen=True):
    """What an owner typed in, and when."""

    soc_pct: float
    at: Utc


class ManualCar(Port[CarPollDue, CarAnswered | CarSilent]):
    """Reads one car's SoC from the file that `write_manual_soc` writes (INV-67)."""

    def __init__(self, vehicle: str, file: Path, clock: Clock) -> None:
        self._vehicle = vehicle
        self._file = file
        self._clock = clock

    @property
    def name(self) -> str:
        return f"ManualCar:{self._vehicle}"

    def on(self, message: CarPollDue) -> Iterator[CarAnswered | CarSilent]:
        if message.vehicle.casefold() != self._vehicle.casefold():
            return
        try:
            reading = self._read()
        except CarUnreadableError as unreadable:
            yield CarSilent(self._clock.now(), self._vehicle, str(unreadable))
        else:
            yield _answer(self._vehicle, reading, self._clock.now())

    def _read(self) -> Reading:
        folded = self._vehicle.casefold()
        for name, raw in _entries(self._file).items():
            if name.casefold() == folded:
                try:
                    entry = msgspec.json.decode(raw, type=ManualEntry)
                except msgspec.MsgspecError:
                    raise CarUnreadableError("the entry is not readable") from None
                return Reading(_soc(entry.soc_pct), entry.at)
        raise CarUnreadableError("nothing was entered yet")


_writing = threading.Lock()


def write_manual_soc(file: Path, name: str, soc_pct: float, at: datetime) -> None:
    """Enter a SoC (percent, measured at the aware time `at`) for the car of that name.

    Atomic and on disk when it returns; other cars' entries stay, an unreadable file is replaced.
    Raises ValueError outside 0..100 or for a time without zone, OSError when nothing can be
    written.
    """
    if not 0 <= soc_pct <= 100:
        raise ValueError(f"soc_pct {soc_pct} is not within 0..100")
    if at.tzinfo is None:
        raise ValueError("at needs a time zone")
    with _writing:
        try:
            entries = _entries(file)
        except CarUnreadableError:
            entries = {}
        folded = name.casefold()
        kept = {known: raw for known, raw in entries.items() if known.casefold() != folded}
        entry = msgspec.json.encode(ManualEntry(float(soc_pct), at.astimezone(UTC)))
        kept[name] = msgspec.Raw(entry)
        _replace(file, msgspec.json.encode(kept))


def _entries(file: Path) -> dict[str, msgspec.Raw]:
    """The file's entries, each still encoded: one that is broken spoils no other."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CarUnreadableError(f"the file cannot be read ({type(error).__name__})") from None
    if len(content) > MOST_BYTES:
        raise CarUnreadableError("the file is too large")
    try:
        return msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise CarUnreadableError("the file is not readable") from None


def _replace(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _answer(vehicle: str, reading: Reading, now: datetime) -> CarAnswered:
    """No measurement is later than its answer, whatever the vendor's clock says."""
    measured_at = min(reading.measured_at or now, now)
    return CarAnswered(now, vehicle, round(reading.soc_pct, 6), measured_at)


def _body(response: httpx.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise CarUnreadableError(f"HTTP {response.status_code}")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise CarUnreadableError("the answer is too large")
        if time.monotonic() > deadline:
            raise CarUnreadableError("the answer takes too long")
    return bytes(body)


def _same_host(one: httpx.URL, other: httpx.URL) -> bool:
    """Headers hold secrets: they follow to the same scheme, host and port only."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _at_path(payload: Any, path: str) -> Any:
    """The value at a dot path; numbers index lists. Raises CarUnreadableError."""
    found = payload
    for key in path.split("."):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise CarUnreadableError(f"no {path} in the answer")
    return found


def _soc(found: Any) -> float:
    """A state of charge in percent, from a number or a text like `45`, `45.5 %`, `45,5`."""
    if isinstance(found, str):
        found = found.strip().removesuffix("%").strip().replace(",", ".")
    try:
        if isinstance(found, bool) or found is None:
            raise TypeError
        soc_pct = float(found)
    except (TypeError, ValueError, OverflowError):
        raise CarUnreadableError("the SoC is not a number") from None
    if not 0 <= soc_pct <= 100:
        raise CarUnreadableError("the SoC is not within 0..100 %")
    return soc_pct


def _time(found: Any) -> datetime:
    """A vendor's measurement time, aware UTC. Raises CarUnreadableError."""
    try:
        if isinstance(found, str) and not found.strip().replace(".", "", 1).isdecimal():
            at = datetime.fromisoformat(found.strip())
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if isinstance(found, bool) or found is None:
            raise TypeError
        seconds = float(found)
        if not math.isfinite(seconds):
            raise ValueError
        return datetime.fromtimestamp(
            seconds / 1000 if abs(seconds) >= MILLISECONDS_FROM else seconds, UTC
        )
    except (TypeError, ValueError, OverflowError, OSError):
        raise CarUnreadableError("the measurement time is not readable") from None
