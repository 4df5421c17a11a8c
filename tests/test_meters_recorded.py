"""Failed meters against the recordings of a real evcc: the faults are found, nothing else is."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from actors.meters import MeterWatch, watched
from engine.evcc_json import site_from
from tests.make_twin import each_recording, recorded

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
FOUND = {
    "faults": {"pv", "loadpoint:lp1"},
    "x-faults": {"battery", "loadpoint:lp1"},
}
"""Grid and SoC failed within the first ten minutes, in which nothing counts as standing."""
OF_LOADPOINT = ("mode", "chargePower", "charging", "sessionEnergy")


def state_of(known: dict[str, Any], capacity_kwh: float | None) -> dict[str, Any]:
    """evcc's state from a recording's flat keys, as far as meters are concerned."""
    state: dict[str, Any] = {
        "interval": 10,
        "homePower": known.get("homePower"),
        "pvPower": known.get("pvPower"),
        "grid": {"power": known.get("grid.power")},
        "batteryMode": known.get("batteryMode"),
        "loadpoints": [
            {"name": f"lp{k}"} | {key: known.get(f"lp{k}.{key}") for key in OF_LOADPOINT}
            for k in range(1, 6)
            if f"lp{k}.mode" in known
        ],
    }
    if "battery.power" in known:
        power_w, soc_pct = known["battery.power"], known.get("battery.soc")
        state["battery"] = {"power": power_w, "soc": soc_pct, "capacity": capacity_kwh}
    return state


@recorded
@each_recording
def test_the_recorded_faults_are_found_and_nothing_else(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    capacity_kwh = (lines[0]["setup"].get("battery") or {}).get("capacity_kwh")
    known: dict[str, Any] = {}
    mind, found, seen = MeterWatch(), set(), 0
    for line in lines:
        known |= line.get("state", {})
        for key in line.get("gone", ()):
            known.pop(key, None)
        readable = known.get("_http") == 200 and "lp1.mode" in known
        if "state" in line and readable:
            at = BEGIN + timedelta(seconds=line["t"])
            mind, failed = watched(mind, site_from(state_of(known, capacity_kwh)), at)
            found |= {one.name for one in failed}
            seen += 1
    assert seen > 1
    assert found == FOUND.get(path.stem, set())
