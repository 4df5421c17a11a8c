"""What `smartload check --write` learnt goes into smartload.yaml, every other character stays."""

import json
import os
import signal
import sys
import threading
import time
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.check import look
from engine.check_battery import Outcome
from engine.check_word import NoWordError, check_and_end, keep, write_with_word
from engine.check_write import Report, Tried
from engine.clock import WallClock
from engine.config import load, parse
from engine.config_edit import EditError, edited
from engine.live import AlreadyRunningError, DataFolder
from engine.settings import BatterySettings, Settings
from sim.evcc import PretendEvcc
from sim.evcc_server import EvccServer
from tests.make_check import NOBODY
from tests.make_evcc import BATTERY, START, ScriptedWorld, scenario, state

EXAMPLE = Path(__file__).parent.parent / "docs" / "smartload.example.yaml"
LEARNT = {"hold_charges_from_pv": False, "charge_power_kw": 3.2}


def lines_that_differ(old: str, new: str) -> tuple[set[str], set[str]]:
    before, after = set(old.splitlines(keepends=True)), set(new.splitlines(keepends=True))
    return before - after, after - before


def test_the_example_keeps_every_comment_and_gets_one_line_changed_and_one_added() -> None:
    old = EXAMPLE.read_text(encoding="utf-8")
    new = edited(old, "battery", LEARNT)
    assert lines_that_differ(old, new) == (
        {"  charge_power_kw: 5\n"},
        {"  charge_power_kw: 3.2\n", "  hold_charges_from_pv: false\n"},
    )
    battery = parse(new).settings.battery
    assert battery is not None
    assert (battery.charge_power_kw, battery.hold_charges_from_pv) == (3.2, False)
    assert new.index("hold_charges") < new.index("\ncars:")
    assert edited(new, "battery", LEARNT) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("battery:\n  # own\n  wear_eur_kwh: 0.1 # of mine\n",
         "battery:\n  # own\n  wear_eur_kwh: 0.1 # of mine\n  charge_power_kw: 3.2\n"),
        ("battery:\r\n    min_soc_pct: 5\r\nweb: {port: 1}\r\n",
         "battery:\r\n    min_soc_pct: 5\r\n    charge_power_kw: 3.2\r\nweb: {port: 1}\r\n"),
        ("battery: {charge_power_kw: 5.0, min_soc_pct: 5}", "battery: {charge_power_kw: 3.2, "
         "min_soc_pct: 5}"),
        ("battery: {min_soc_pct: 5} # b", "battery: {min_soc_pct: 5, charge_power_kw: 3.2} # b"),
        ("battery: {}\n", "battery: {charge_power_kw: 3.2}\n"),
        ("battery: # none\nweb:\n  port: 1\n", "battery: # none\n  charge_power_kw: 3.2\nweb:\n"
         "  port: 1\n"),
        ("web:\n  port: 1", "web:\n  port: 1\n\nbattery:\n  charge_power_kw: 3.2\n"),
        ("battery:\n  charge_power_kw: 5", "battery:\n  charge_power_kw: 3.2"),
        ("battery:\n  min_soc_pct: 5", "battery:\n  min_soc_pct: 5\n  charge_power_kw: 3.2\n"),
        ("\ufeffbattery:\n  charge_power_kw: '5' # q\n",
         "\ufeffbattery:\n  charge_power_kw: 3.2 # q\n"),
        ("# ä\nsite: {zone: Europe/Berlin}\nbattery:\n  charge_power_kw: 5\n",
         "# ä\nsite: {zone: Europe/Berlin}\nbattery:\n  charge_power_kw: 3.2\n"),
    ],
)  # fmt: skip
def test_each_way_to_write_a_section_stays_as_it_was(old: str, new: str) -> None:
    assert edited(old, "battery", {"charge_power_kw": 3.2}) == new


@pytest.mark.parametrize(
    "text",
    [
        "other: &a {min_soc_pct: 5}\nbattery: *a\n",
        "- a list\n",
        "{web: {port: 1}}\n",
    ],
)
def test_what_cannot_be_changed_safely_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(EditError, match=r"write there: charge_power_kw: 3\.2"):
        edited(text, "battery", {"charge_power_kw": 3.2})


# --- the file -------------------------------------------------------------------------------------


def report(**changes: object) -> Report:
    return replace(Report(hold_charges_from_pv=False, charge_power_kw=3.2), **changes)


def test_the_file_is_replaced_and_the_old_one_kept(tmp_path: Path) -> None:
    real, file = tmp_path / "real.yaml", tmp_path / "smartload.yaml"
    real.write_bytes(EXAMPLE.read_bytes())
    real.chmod(0o640)
    file.symlink_to(real)
    said: list[str] = []
    assert keep(file, load(file).settings, report(), yes=True, say=said.append) == ""
    assert (tmp_path / "real.yaml.bak").read_bytes() == EXAMPLE.read_bytes()
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    battery = load(file).settings.battery
    assert battery is not None
    assert battery.charge_power_kw == 3.2
    assert any("-  charge_power_kw: 5\n+  charge_power_kw: 3.2" in one for one in said)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "real.yaml", "real.yaml.bak", "smartload.yaml"]  # fmt: skip


def test_what_is_known_already_changes_nothing(tmp_path: Path) -> None:
    own = BatterySettings(hold_charges_from_pv=False, charge_power_kw=3.25)
    assert report().changes(Settings(battery=own)) == {}
    assert Report().changes(Settings(battery=own)) == {}
    assert keep(tmp_path / "none", Settings(battery=own), report(), yes=True, say=print) == ""


def test_a_file_that_cannot_be_written_is_a_problem_that_says_what_was_learnt(
    tmp_path: Path,
) -> None:
    problem = keep(tmp_path / "gone.yaml", Settings(), report(), yes=True, say=print)
    assert "gone.yaml" in problem
    assert "3.2" in problem


def test_no_on_the_terminal_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "smartload.yaml"
    file.write_text("battery: {}\n")
    monkeypatch.setattr(sys, "stdin", StringIO("no\n"))
    assert keep(file, Settings(), report(), yes=False, say=print) == ""
    assert file.read_text() == "battery: {}\n"


# --- the user's word, over HTTP -------------------------------------------------------------------


@pytest.fixture
def server() -> EvccServer:
    clock = WallClock(start=START)
    home = scenario(evcc_interval_s=5.0, battery=None, **NOBODY)
    return EvccServer(PretendEvcc(home, ScriptedWorld(), clock), port=0)


def test_without_a_terminal_and_without_yes_nothing_is_written(
    server: EvccServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    try:
        config = parse(f"evcc: {{url: '{server.url}'}}")
        found, site = look(config)
        assert site is not None
        monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
        said: list[str] = []
        with pytest.raises(NoWordError, match="--yes") as refused:
            write_with_word(config, tmp_path / "f", found, site, yes=False, say=said.append)
    finally:
        server.stop()
    assert not refused.value.could_ask
    assert any("mode of lp-1: pv to off and back" in line for line in said)
    assert server.pretend.writes == []


def test_with_the_word_given_each_setting_is_tried_and_answered(
    server: EvccServer, tmp_path: Path
) -> None:
    server.start()
    try:
        config = parse(f"evcc: {{url: '{server.url}'}}")
        found, site = look(config)
        assert site is not None
        found, stopped = write_with_word(
            config, tmp_path / "f", found, site, yes=True, say=lambda _: None
        )
    finally:
        server.stop()
    assert not stopped
    tried = {one.setting: one.outcome for one in found.tried}
    assert [tried[one] for one in ("mode", "limit_soc", "limit_energy")] == [Outcome.WORKS] * 3
    assert found.battery is None
    assert any("mode of lp-1: works" in line for line in found.lines())
    assert state(server.pretend)["loadpoints"][0]["mode"] == "pv"


def test_what_was_learnt_of_the_inverter_stands_in_the_file_afterwards(tmp_path: Path) -> None:
    clock = WallClock(speed=200.0, start=START)
    battery = replace(BATTERY, charge_power_kw=3.0, hold_charges_from_pv=False)
    home = scenario(evcc_interval_s=10.0, **{**NOBODY, "battery": battery})
    server = EvccServer(PretendEvcc(home, ScriptedWorld(pv_w=2000.0), clock), port=0)
    server.start()
    file = tmp_path / "smartload.yaml"
    file.write_text(f"evcc: {{url: '{server.url}'}} # mine\nbattery:\n  charge_power_kw: 5\n")
    try:
        found, site = look(load(file))
        assert site is not None
        found, _ = write_with_word(
            load(file), file, found, site, yes=True, say=lambda _: None, clock=clock
        )
    finally:
        server.stop()
    assert found.battery is not None
    assert (found.battery.hold, found.battery.charge) == (Outcome.WORKS, Outcome.WORKS)
    assert file.read_text().endswith(
        "# mine\nbattery:\n  charge_power_kw: 3\n  hold_charges_from_pv: false\n"
    )
    assert (tmp_path / "smartload.yaml.bak").exists()


def ends(text: str, folder: Path, **options: bool) -> object:
    """The exit code of `smartload check` with this configuration."""
    file = folder / "smartload.yaml"
    file.write_text(text)
    given = {"write": False, "yes": False, "as_json": False, **options}
    with pytest.raises(SystemExit) as ended:
        check_and_end(load(file), file, folder / "data", **given)
    return ended.value.code


def test_the_command_ends_with_what_it_found_and_writes_on_the_word_only(
    server: EvccServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.start()
    text = f"evcc: {{url: '{server.url}'}}\n"
    try:
        assert ends(text, tmp_path) == 0
        assert ends(text, tmp_path, write=True) == 2
        assert "--yes" in capsys.readouterr().err
        with DataFolder(tmp_path / "data"), pytest.raises(AlreadyRunningError):
            ends(text, tmp_path, write=True, yes=True)
        assert server.pretend.writes == []
        assert ends(text, tmp_path, write=True, yes=True, as_json=True) == 0
    finally:
        server.stop()
    found = json.loads(capsys.readouterr().out)
    assert found["tried"][0]["outcome"] == "works"
    assert server.pretend.writes
    assert ends(text, tmp_path, write=True, yes=True) == 3


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(tmp_path: Path, by: signal.Signals) -> None:
    clock = WallClock(speed=30.0, start=START)
    home = scenario(evcc_interval_s=5.0, **NOBODY)
    server = EvccServer(PretendEvcc(home, ScriptedWorld(), clock), port=0)
    server.start()

    def when_it_stands() -> None:
        for _ in range(500):
            if any(one.path.endswith("batterymode/hold") for one in server.pretend.writes):
                break
            time.sleep(0.02)
        os.kill(os.getpid(), by)

    try:
        config = parse(f"evcc: {{url: '{server.url}'}}")
        found, site = look(config)
        assert site is not None
        threading.Thread(target=when_it_stands, daemon=True).start()
        found, stopped = write_with_word(
            config, tmp_path / "f", found, site, yes=True, say=lambda _: None, clock=clock
        )
        again, _ = look(config)
    finally:
        server.stop()
    assert stopped
    assert found.problems == again.problems  # nothing is left open
    assert [one.path for one in server.pretend.writes[-2:]] == [
        "/api/batterymode/normal", "/api/batterymode"]  # fmt: skip
    assert found.tried[-1] == Tried("limit_energy", Outcome.WORKS, "0.0 to 1.0 and back", "lp-1")
