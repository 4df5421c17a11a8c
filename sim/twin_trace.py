"""Recordings of an evcc and its devices: read, checked, written again (JSON Lines).

The first line is the header with the setup; the others are in order of time, `t` in seconds since
evcc's start. Keys that are not understood are named (`Trace.ignored`): they may falsify it all.
"""

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from engine.settings import Pct
from sim.scenario import FAULTS, Current, Phases

BACKWARDS_S = 0.05
"""A line that took a moment may stand after the next one, with its earlier time; not by more."""
START_LOAD_W = 400.0

Flag = bool | Annotated[int, msgspec.Meta(ge=0, le=1)]
Size = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Seconds = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)?s$")]
Told = str | bool | int | float | None

PLAIN_KEYS = ("pv_w", "load_w", "battery.soc_pct", *FAULTS)
CAR_KEYS = ("soc_pct", "refuses", "own_limit_pct", "cloud_error")


class TraceError(Exception):
    """A recording that cannot be used: where, and what to do."""

    def __init__(self, path: Path, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}" if line else f"{path}: {text}")
        self.path, self.line, self.text = path, line, text


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the lines."""


class _Setup(msgspec.Struct, frozen=True):
    """Base of what a setup holds; more may stand there."""


class BatterySetup(_Setup, frozen=True):
    """The house battery of a recording."""

    capacity_kwh: Size
    soc_pct: Pct


class CarSetup(_Setup, frozen=True):
    """A car: `offline` has no cloud, `int_soc` one that tells whole percent."""

    capacity_kwh: Size
    soc_pct: Pct
    phases: Phases = 3
    max_a: Current = 16.0
    own_limit_pct: Pct = 100.0
    offline: Flag = False
    int_soc: Flag = False
    refuses: Flag = False
    cloud_error: Flag = False


class BoxSetup(_Setup, frozen=True):
    """A loadpoint: its car, its configured mode (`no_mode`: none), whether it switches phases."""

    car: str | None = None
    mode: Literal["off", "now", "minpv", "pv"] | None = None
    no_mode: Flag = False
    switch: Flag = False


class SiteSetup(_Setup, frozen=True):
    """evcc's site."""

    title: str = ""
    meters: dict[str, Any] = {}
    residualPower: float = 0.0  # noqa: N815 - evcc's own name


class EvccSetup(_Setup, frozen=True):
    """evcc's own configuration, as far as a recording tells it."""

    interval: Seconds | None = None
    site: SiteSetup = SiteSetup()


class Setup(_Setup, frozen=True):
    """The house of a recording. Prices per kWh and hour, from the full hour of its start."""

    interval: Seconds
    loadpoints: Annotated[tuple[BoxSetup, ...], msgspec.Meta(min_length=1)]
    cars: dict[str, CarSetup]
    prices: float | tuple[float, ...]
    """One price is a fixed tariff, which gives evcc no rates to plan with; so is `feedin`."""
    feedin: float | tuple[float, ...] | None = None
    solar: tuple[float, ...] | None = None
    battery: BatterySetup | None = None
    devices: dict[str, Told] = {}
    evcc: EvccSetup | None = None
    grid_currents: Flag = False
    sample: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    end: Annotated[float, msgspec.Meta(gt=0, le=604_800)] | None = None
    note: str = ""

    @property
    def interval_s(self) -> float:
        """evcc's cycle."""
        return float(self.interval.removesuffix("s"))


class Header(msgspec.Struct, frozen=True):
    """The first line; `started_at` is the UTC of t = 0."""

    scenario: str
    started_at: Annotated[datetime, msgspec.Meta(tz=True)]
    setup: Setup
    note: str = ""


class Request(_Strict, frozen=True, omit_defaults=True):
    """A request to evcc and what it answered; `{Tn}` in the path: now + n seconds."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    status: int | str
    answer: str = ""
    body: Any = None


class Write(_Strict, frozen=True, omit_defaults=True):
    """evcc set a device: one of the keys; `lp` counts from 1."""

    lp: int | None = None
    enable: bool | None = None
    current_a: float | None = None
    phases: int | None = None
    battery_mode: int | None = None


class Line(_Strict, frozen=True, omit_defaults=True):
    """One line after the header. Exactly one kind is set; `gone` comes with `state`."""

    t: float
    start: bool | None = None
    world: dict[str, Told] | None = None
    request: Request | None = None
    evcc: Literal["kill", "term", "started"] | None = None
    evcc_write: Write | None = None
    evcc_write_failed: Write | None = None
    state: dict[str, Any] | None = None
    gone: tuple[str, ...] = ()
    note: str | None = None


KINDS = tuple(name for name in Line.__struct_fields__ if name not in ("t", "gone"))


class Trace(msgspec.Struct, frozen=True):
    """A recording. `head` is its first line as it stands in the file."""

    path: Path
    head: str
    header: Header
    lines: tuple[Line, ...]
    ignored: tuple[str, ...] = ()
    """Keys of setup and world that are not understood."""

    @property
    def setup(self) -> Setup:
        """What the house consists of."""
        return self.header.setup

    @property
    def end_s(self) -> float:
        """Where the recording ends; later lines come from taking the house down."""
        last_s = self.lines[-1].t if self.lines else 0.0
        return last_s if self.setup.end is None else self.setup.end


def read_trace(path: Path) -> Trace:
    """Read and check a recording. Raises TraceError."""
    try:
        head, *rest = path.read_text(encoding="utf-8").splitlines() or [""]
    except FileNotFoundError:
        raise TraceError(path, 0, "there is no such file; give a recording (.jsonl)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(path, 0, f"cannot be read: {error}") from None
    header = _header(path, head)
    ignored = [*_unknown(json.loads(head)["setup"], Setup, "setup")]
    ignored += [
        f"setup.devices.{key}" for key in header.setup.devices if not is_known(header.setup, key)
    ]
    decoder, lines, latest_s = msgspec.json.Decoder(Line), [], 0.0
    for n, text in enumerate(rest, start=2):
        if not text.strip():
            continue
        line = _line(path, n, text, decoder)
        if line.t < latest_s - BACKWARDS_S:
            raise TraceError(
                path, n, f"t goes back from {latest_s:g} to {line.t:g} s; lines stand in order"
                " of time"
            )  # fmt: skip
        latest_s = max(latest_s, line.t)
        for key, value in (line.world or {}).items():
            if not is_known(header.setup, key):
                ignored.append(f"world.{key}")
            elif wrong := _wrong(header.setup, key, value):
                raise TraceError(path, n, f"world: {wrong}")
        lines.append(line)
    if not any(line.state for line in lines):
        raise TraceError(path, 0, "holds no `state` line: there is nothing to compare with")
    return Trace(path, head, header, tuple(lines), tuple(dict.fromkeys(ignored)))


def _header(path: Path, text: str) -> Header:
    """The first line, its setup checked in itself."""
    wants = "the first line has to be the header (scenario, started_at, setup)"
    try:
        header = msgspec.json.decode(text, type=Header)
    except msgspec.DecodeError as error:
        raise TraceError(path, 1, f"{wants}: {error}") from None
    setup = header.setup
    for n, box in enumerate(setup.loadpoints, start=1):
        if box.car is not None and box.car not in setup.cars:
            raise TraceError(path, 1, f"loadpoint {n}: {_no_car(setup, box.car)}")
        if (box.mode is None) != bool(box.no_mode):
            raise TraceError(path, 1, f"loadpoint {n} has to have either `mode` or `no_mode`")
    if setup.evcc is not None and setup.evcc.interval not in (None, setup.interval):
        raise TraceError(
            path, 1, f"interval {setup.interval} is not evcc.interval {setup.evcc.interval}"
        )
    if not 5 <= setup.interval_s <= 60:
        raise TraceError(path, 1, f"interval {setup.interval}: 5s to 60s are understood")
    for key, value in setup.devices.items():
        if is_known(setup, key) and (wrong := _wrong(setup, key, value)):
            raise TraceError(path, 1, f"setup.devices: {wrong}")
    return header


def _line(path: Path, n: int, text: str, decoder: msgspec.json.Decoder[Line]) -> Line:
    """One line of exactly one kind."""
    kinds = f"a line has t and one of {', '.join(KINDS)}"
    try:
        line = decoder.decode(text)
    except msgspec.ValidationError as error:
        raise TraceError(path, n, f"{error}; {kinds}") from None
    except msgspec.DecodeError as error:
        raise TraceError(path, n, f"is not JSON: {error}") from None
    found = [kind for kind in KINDS if getattr(line, kind) is not None]
    if len(found) != 1:
        raise TraceError(path, n, f"has {' and '.join(found) or 'none of the kinds'}; {kinds}")
    if line.gone and line.state is None:
        raise TraceError(path, n, f"has gone and {found[0]}; gone goes with state")
    return line


def _no_car(setup: Setup, name: object) -> str:
    return f"car {name!r} is not one of the setup ({', '.join(setup.cars) or 'it has none'})"


def is_known(setup: Setup, key: str) -> bool:
    """Whether a device's key is understood."""
    car = re.fullmatch(r"car\.(.+)\.(\w+)", key)
    if car is not None:
        return car[2] in CAR_KEYS
    return key in PLAIN_KEYS or re.fullmatch(r"lp(\d+)\.car", key) is not None


def _unknown(given: object, kind: Any, path: str) -> Iterator[str]:
    """The keys of a setup that no struct has, with their paths."""
    if isinstance(given, dict) and hasattr(kind, "__struct_fields__"):
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        for key, value in given.items():
            if key not in fields:
                yield f"{path}.{key}"
            else:
                yield from _unknown(value, fields[key], f"{path}.{key}")
    elif isinstance(given, dict) and get_origin(kind) is dict:
        for key, value in given.items():
            yield from _unknown(value, get_args(kind)[1], f"{path}.{key}")
    elif isinstance(given, list | dict):
        for inner in get_args(kind):
            for value in given if isinstance(given, list) else (given,):
                yield from _unknown(value, inner, path)


def _wrong(setup: Setup, key: str, value: Told) -> str | None:
    """What is wrong with a known device's key and value; None: nothing."""
    box, car = re.fullmatch(r"lp(\d+)\.car", key), re.fullmatch(r"car\.(.+)\.(\w+)", key)
    wrong = None
    if box is not None:
        if not 1 <= int(box[1]) <= len(setup.loadpoints):
            wrong = f"the setup has {len(setup.loadpoints)} loadpoints"
        elif value is not None and value not in setup.cars:
            wrong = _no_car(setup, value)
    elif car is not None and car[1] not in setup.cars:
        wrong = _no_car(setup, car[1])
    elif key == "battery.soc_pct" and setup.battery is None:
        wrong = "the setup has no battery"
    elif not isinstance(value, int | float):
        wrong = f"{value!r} is not a number"
    return None if wrong is None else f"{key}: {wrong}"


def write_trace(trace: Trace, path: Path) -> None:
    """Write a recording as it is read: one line each, the header as it was."""
    lines = [trace.head, *(json.dumps(msgspec.to_builtins(line)) for line in trace.lines)]
    fresh = path.with_suffix(".tmp")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(fresh, path)
