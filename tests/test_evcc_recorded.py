"""What a real evcc said: recorded states, tariffs and echoes; its list of routes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.evcc_json import site_from, tariff_from
from engine.evcc_writes import (
    BATTERY_ECHO,
    WRITES,
    battery_echo_matches,
    battery_path,
    echo_matches,
    path_for,
)
from engine.transport import Answer
from engine.values import BatteryMode
from tests.make_evcc_json import SITE, order

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"
RECORDED = REFERENCE / "evcc-recorded"
OTHERS = sorted((RECORDED / "other-versions").glob("*.json"))
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings beside the checkout")


def states() -> list[tuple[str, object]]:
    """Every recorded state with its name."""
    if not RECORDED.is_dir():
        return []
    files = [REFERENCE / "evcc-state-sample.json", RECORDED / "state-demo.json"]
    found: list[tuple[str, object]] = [(path.stem, json.loads(path.read_text())) for path in files]
    return found + [(path.stem, json.loads(path.read_text())["state"]) for path in OTHERS]


def requests(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(json.loads(path.read_text())["requests"])


def said_by_evcc() -> list[dict[str, Any]]:
    return [one for path in (RECORDED / "requests-demo.jsonl", *OTHERS) for one in requests(path)]


@recorded
@pytest.mark.parametrize(("name", "recording"), states(), ids=lambda v: v if v is str else None)
def test_recorded_states_are_read(name: str, recording: object) -> None:
    site = site_from(json.dumps(recording).encode())
    assert site == site_from(recording)
    assert site.version.startswith("0."), name
    assert None not in (site.grid_import_w, site.pv_w, site.home_w)
    assert site.battery is not None
    assert site.battery.capacity_kwh == 13.4
    assert site.battery.controllable
    assert site.loadpoints[0].vehicle == "vehicle_1"
    assert [lp.id for lp in site.loadpoints] == list(range(1, len(site.loadpoints) + 1))
    assert all(not lp.charger for lp in site.loadpoints if lp.title == "Heat pump")
    # home = grid + pv - charge - loadpoints: the recorded balance closes with our signs
    assert site.grid_import_w is not None
    assert site.pv_w is not None
    assert site.home_w is not None
    assert site.battery.charge_w is not None
    used_w = site.battery.charge_w + sum(lp.charge_w for lp in site.loadpoints)
    assert abs(site.grid_import_w + site.pv_w - used_w - site.home_w) < 1


@recorded
def test_recorded_tariffs_are_read() -> None:
    files = [
        *sorted(RECORDED.glob("tariff-*.json")),
        *sorted(REFERENCE.glob("evcc-tariff-*-sample.json")),
    ]
    assert len(files) == 7
    for path in files:
        tariff = tariff_from("grid", 200, path.read_bytes())
        assert tariff.rates is not None, path.name
        assert len(tariff.rates) == len(json.loads(path.read_text())["rates"])
    for one in said_by_evcc():
        if one["method"] == "GET" and one["path"].startswith("/api/tariff/"):
            body = one["answer"].encode()
            tariff = tariff_from(one["path"].rsplit("/", 1)[1], one["status"], body)
            assert (tariff.rates is None) == (one["status"] != 200)


@recorded
def test_inv_52_recorded_echoes_are_understood() -> None:
    """Every write of ours that a real evcc took is confirmed, every one that it refused is not."""
    seen: set[str] = set()
    for one in said_by_evcc():
        said = Answer(one["status"], str(one["answer"]).encode())
        if match := re.fullmatch(r"/api/batterymode/([a-z]+)", one["path"]):
            if one["method"] == "POST" and match[1] in tuple(BatteryMode):
                took = battery_echo_matches(BatteryMode(match[1]), said)
                assert took == (one["status"] == 200), one
                seen.add("battery")
            continue
        match = re.fullmatch(r"/api/loadpoints/1/(mode|limitsoc|limitenergy)/([\w.]+)", one["path"])
        if match is None or one["method"] != "POST":
            continue
        setting = {"limitsoc": "limit_soc", "limitenergy": "limit_energy"}.get(match[1], match[1])
        value: str | float = match[2]
        if setting != "mode":
            try:
                value = float(match[2])
            except ValueError:
                continue
        assert echo_matches(order(setting, value), said) == (one["status"] == 200), one
        seen.add(setting)
    assert seen == {"mode", "limit_soc", "limit_energy", "battery"}


WRITTEN = {
    "{id}": "1",
    "{mode}": "(off|now|minpv|pv|normal|hold|charge|holdcharge)",
    "{int}": r"\d+",
    "{n}": r"\d+(\.\d+)?",
    "{name}": "[^/]+",
    "{time}": "[^/]+",
}


def pattern(template: str) -> re.Pattern[str]:
    for placeholder, values in WRITTEN.items():
        template = template.replace(placeholder, values)
    return re.compile(template)


@recorded
def test_inv_51_every_write_was_answered_by_a_real_evcc() -> None:
    taken = [(one["method"], one["path"]) for one in said_by_evcc() if one["status"] == 200]
    for verb, template in WRITES:
        if template != "/api/auth/login":  # demo mode has no login: 403, so the route exists
            assert any(
                verb == method and pattern(template).fullmatch(path) for method, path in taken
            ), (verb, template)


@recorded
def test_inv_51_every_write_is_in_the_route_list() -> None:
    text = (REFERENCE / "evcc-api.md").read_text()
    listed = {
        (verb, f"/api/loadpoints/{{id}}/{path}")
        for verb, path in re.findall(r"^\| (POST) `([\w/{}]+)`", text, re.MULTILINE)
    }
    listed |= {(verb, path) for verb, path in re.findall(r"`(POST) (/api/[\w/]+)`", text)}
    for room, plan in (
        ("vehicles/{name}", "plan/soc/{int}"),
        ("loadpoints/{id}", "plan/energy/{n}"),
    ):
        told = plan.replace("{int}", "{soc}").replace("{n}", "{kWh}")
        assert f"| POST `{told}/{{RFC3339}}`" in text
        listed.add(("POST", f"/api/{room}/{plan}/{{time}}"))
        gone = plan.rsplit("/", 1)[0]
        assert f"| DELETE `{gone}` |" in text
        listed.add(("DELETE", f"/api/{room}/{gone}"))
    assert "| POST `batterymode/{mode}`, DELETE `batterymode` |" in text
    listed |= {("POST", "/api/batterymode/{mode}"), ("DELETE", "/api/batterymode")}
    names = {"{mode}": "{m}"}
    for verb, template in WRITES:
        if template.startswith("/api/loadpoints"):
            for ours, theirs in names.items():
                template = template.replace(ours, theirs)  # noqa: PLW2901
        assert (verb, template) in listed, (verb, template)


def test_inv_51_what_is_sent_is_in_the_table() -> None:
    sent = [
        path_for(order(setting, value, "carport"), SITE)
        for setting, value in [
            ("mode", "now"), ("mode", "pv"), ("mode", "off"), ("mode", "minpv"),
            ("limit_soc", 80), ("limit_energy", 12.5),
        ]
    ]  # fmt: skip
    sent += [battery_path(mode) for mode in BATTERY_ECHO if mode is not BatteryMode.UNKNOWN]
    templates = [pattern(template) for verb, template in WRITES if verb == "POST"]
    for path in sent:
        assert any(template.fullmatch(path) for template in templates), path
