"""Recordings for the tests of the twin: those beside the checkout, and small ones made here."""

import json
from pathlib import Path
from typing import Any

import pytest

from sim.twin_trace import Trace, read_trace

TRACES = Path(__file__).resolve().parents[2] / "shared" / "reference" / "evcc-recorded" / "traces"
RECORDINGS = sorted(TRACES.glob("*.jsonl"))
recorded = pytest.mark.skipif(not RECORDINGS, reason="no recordings beside the checkout")
each_recording = pytest.mark.parametrize(
    "path",
    RECORDINGS or [pytest.param(None, marks=recorded)],
    ids=lambda path: path.stem if path else "none",
)

SETUP: dict[str, Any] = {
    "interval": "10s",
    "end": 60,
    "battery": {"capacity_kwh": 6.0, "soc_pct": 50},
    "cars": {
        "id3": {"capacity_kwh": 30, "soc_pct": 20},
        "guest": {"capacity_kwh": 5, "soc_pct": 4},
    },
    "loadpoints": [{"car": "id3", "mode": "off"}, {"car": None, "no_mode": True, "switch": True}],
    "prices": [0.31, 0.25],
    "feedin": 0.08,
    "devices": {"pv_w": 3000.0},
}
DOWN = {"t": 0.1, "state": {"_http": "ConnectError", "dev.lp1_w": 0, "dev.lp1_car": "id3"}}
UP = {
    "t": 1.1,
    "state": {"_http": 200, "batteryMode": "unknown", "lp1.mode": "off", "lp1.enabled": False},
}


def at(t: float, gone: tuple[str, ...] = (), **state: Any) -> dict[str, Any]:
    """A sample; `lp1_mode` stands for `lp1.mode`, `dev_` for `dev.`."""
    keys = {
        key.replace("_", ".", 1) if key[:2] in ("lp", "de") else key: state[key] for key in state
    }
    return {"t": t, "state": keys} | ({"gone": list(gone)} if gone else {})


def text_of(*lines: Any, setup: dict[str, Any] | None = None, **more: Any) -> str:
    """The text of a recording: header, start, and these lines."""
    header = {
        "scenario": "story",
        "started_at": "2026-11-22T06:36:13Z",
        "setup": (SETUP if setup is None else setup) | more,
    }
    return "\n".join(json.dumps(one) for one in (header, {"t": 0.0, "start": True}, *lines)) + "\n"


def file_of(folder: Path, *lines: Any, name: str = "story.jsonl", **more: Any) -> Path:
    """A recording as a file."""
    file = folder / name
    file.write_text(text_of(*lines, **more))
    return file


def trace_of(folder: Path, *lines: Any, **more: Any) -> Trace:
    """A recording with evcc's first answers and these lines, read."""
    return read_trace(file_of(folder, DOWN, UP, *lines, **more))
