"""The configuration: what is read, everything that is wrong, said at once; secrets; places."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect as types

from engine.config import (
    Config,
    ConfigError,
    find_config,
    find_data_dir,
    findings_text,
    load,
    parse,
)
from engine.config_walk import UNUSABLE, Walk
from engine.settings import Settings
from engine.values import Control
from tests.make_config import findings

# --- what is read --------------------------------------------------------------------------------


def test_an_empty_file_watches_with_the_defaults() -> None:
    config = parse("")
    assert config == Config()
    assert config.settings == Settings()
    assert config.settings.control is Control.WATCH


@pytest.mark.parametrize(("word", "control"), [("off", "off"), ("on", "on"), ("watch", "watch")])
def test_control_is_read_unquoted(word: str, control: str) -> None:
    assert parse(f"control: {word}").settings.control == Control(control)


@pytest.mark.parametrize(
    ("written", "read"),
    [("06:30", "06:30"), ("6:30", "06:30"), ("16:30", "16:30"), ("'21:00'", "21:00")],
)
def test_a_time_of_day_is_read_unquoted(written: str, read: str) -> None:
    (car,) = parse(f"cars: [{{name: compact, departure: {written}}}]").settings.cars
    assert car.departure == read


@pytest.mark.parametrize(("word", "value"), [("yes", True), ("off", False), ("true", True)])
def test_truth_has_many_words(word: str, value: bool) -> None:
    battery = parse(f"battery: {{grid_charging: {word}}}").settings.battery
    assert battery is not None
    assert battery.grid_charging is value


@pytest.mark.parametrize(("written", "value"), [("1e1", 10.0), ("010", 10.0), ("1_0", None)])
def test_numbers_are_decimal(written: str, value: float | None) -> None:
    if value is None:
        assert "tick_s" in findings(f"tick_s: {written}")
    else:
        assert parse(f"tick_s: {written}").settings.tick_s == value


def test_a_car_is_one_block_and_its_connection_stays_outside_the_settings() -> None:
    config = parse(
        """
        cars:
          - {name: Kia EV9, source: http, url: "http://127.0.0.1/soc", target_soc_pct: 70,
             headers: {Authorization: "env:TOKEN"}}
          - {name: compact}
        """,
        environ={"TOKEN": "Bearer 123"},
    )
    assert [car.name for car in config.settings.cars] == ["Kia EV9", "compact"]
    assert list(config.cars_http) == ["Kia EV9"]
    assert config.cars_http["Kia EV9"].headers == {"Authorization": "Bearer 123"}
    assert b"Bearer" not in msgspec.json.encode(config.settings)
    assert b"127.0.0.1" not in msgspec.json.encode(config.settings)


def test_empty_sections_are_as_if_absent() -> None:
    assert parse("site:\nevcc:\ncars:\nguests:\nbattery:\n") == Config()


# --- everything that is wrong --------------------------------------------------------------------


def test_all_problems_are_found_at_once_with_their_lines() -> None:
    found = findings(
        """
control: of
tick_s: 9 s
site:
  zone: Berlin
cars:
  - capacity: 3
  - name: compact
    targetSoc: 80
  - name: COMPACT
    departure: 6
"""
    )
    assert {field: one.line for field, one in found.items()} == {
        "control": 2,
        "tick_s": 3,
        "site.zone": 5,
        "cars[0].capacity": 7,
        "cars[0].name": 7,
        "cars[1].targetSoc": 9,
        "cars[2].name": 10,
        "cars[2].departure": 11,
    }
    assert found["control"].suggestion == "did you mean off?"
    assert found["tick_s"].suggestion == "write 9 without quotes or unit (it is in s)"
    assert found["site.zone"].suggestion == "did you mean Europe/Berlin?"
    assert found["cars[0].capacity"].suggestion == "did you mean capacity_kwh?"
    assert found["cars[1].targetSoc"].suggestion == "did you mean target_soc_pct?"
    assert found["cars[2].departure"].suggestion == 'write "06:00"'


def test_keys_that_stand_twice_are_found() -> None:
    found = findings("battery: {min_soc_pct: 5}\ncontrol: on\nbattery: {min_soc_pct: 20}\n")
    assert found["battery"].value == "lines 1 and 3"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("battery: {min_soc_pct: 80, max_soc_pct: 80}", "battery.min_soc_pct"),
        ("battery: {reserve_soc_pct: 80, max_soc_pct: 80}", "battery.reserve_soc_pct"),
        (
            "battery: {target_soc_pct: 90, target_at: 7:00, max_soc_pct: 80}",
            "battery.target_soc_pct",
        ),
        ("battery: {target_soc_pct: 80}", "battery.target_at"),
        ("battery: {target_at: 17:00}", "battery.target_soc_pct"),
        ("battery: {target_soc_pct: 80, target_at: 25:00}", "battery.target_at"),
        ("battery: {reserve: always}", "battery.reserve"),
        ("battery: {feeds_cars: sometimes}", "battery.feeds_cars"),
        ("battery: {max_price_eur_kwh: 25}", "battery.max_price_eur_kwh"),
        ("cars: [{name: a, max_price_eur_kwh: 25}]", "cars[0].max_price_eur_kwh"),
        ("cars: [{name: a, source: http}]", "cars[0].url"),
        ("cars: [{name: a, source: http, url: ftp://x}]", "cars[0].url"),
        ("cars: [{name: a, source: http, url: http://x, soc_regex: '('}]", "cars[0].soc_regex"),
        ("cars: [{name: a, source: http, url: http://x, soc_regex: soc}]", "cars[0].soc_regex"),
        ("evcc: {url: evcc.local}", "evcc.url"),
        ("evcc: {url: 'http://'}", "evcc.url"),
        ("evcc: {url: 'http://x:99999'}", "evcc.url"),
        ("evcc: {url: 'http://[::1'}", "evcc.url"),
        ("site: {zone: ../etc/passwd}", "site.zone"),
        ("site: {zone: Europe}", "site.zone"),
        ("cars: {name: a}", "cars"),
        ("departure: 06:00", "departure"),
        ("evcc: http://127.0.0.1:7070", "evcc"),
        ("- control: on", ""),
        ("cars: [{name: a, departure: '24:00'}]", "cars[0].departure"),
        ('cars: [{name: a, departure: "06:30\\n"}]', "cars[0].departure"),
        ("web: {port: 80.5}", "web.port"),
        ("1: 2", "1"),
    ],
)
def test_contradictions_and_wrong_forms_are_critical(text: str, field: str) -> None:
    assert findings(text)[field].severity == "critical"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "a: b: c",
        "\tcontrol: on",
        "? [1]\n: 2",
        "!!int abc",
        "x: !!timestamp abc",
        "x: !!bool abc",
        "x: !!python/object:os.system {}",
        "a: 1\n--- \nb: 2",
        "x: *nowhere",
        "[" * 3000,
        "x: " + "9" * 5000,
        "control: on\x00",
    ],
)
def test_what_is_no_yaml_is_one_finding(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert len(caught.value.findings) == 1


def test_a_bomb_of_aliases_is_harmless() -> None:
    layers = "".join(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]\n" for k in range(1, 30))
    assert len(findings("l0: &l0 [a]\n" + layers)) == 30


def test_files_that_cannot_be_read_are_one_finding(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, binary):
        with pytest.raises(ConfigError) as caught:
            load(path)
        (one,) = caught.value.findings
        assert one.severity == "critical"
        assert f"{path}" in findings_text([one])


def test_findings_name_field_value_bounds_and_what_to_do() -> None:
    one = findings("cars: [{name: a, target_soc_pct: 180}]")["cars[0].target_soc_pct"]
    assert findings_text([one], "smartload.yaml").splitlines() == [
        "smartload.yaml:1: critical: cars[0].target_soc_pct: this is out of bounds",
        "    found:   180",
        "    allowed: a number from 0 to 100 %",
        "    do:      write a number from 0 to 100 %",
    ]


# --- secrets -------------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush\n", encoding="utf-8")
    text = f"evcc: {{password: 'file:{file}', headers: {{X-Token: env:TOKEN}}}}"
    evcc = parse(text, environ={"TOKEN": "t0k"}).evcc
    assert (evcc.password, evcc.headers) == ("hush", {"X-Token": "t0k"})


@pytest.mark.parametrize("secret", ["env:NONE", "env:", "file:", "file:/none", "file:/dev/zero"])
def test_secrets_that_are_not_there_are_findings(secret: str) -> None:
    assert findings(f"evcc: {{password: '{secret}'}}")["evcc.password"].value == "(not shown)"


def test_secrets_are_never_shown() -> None:
    text = (
        "evcc: {password: hush, headers: {X: hush}}\n"
        "cars: [{name: a, source: http, url: 'http://c/s?token=hush', headers: {X: hush}}]"
    )
    config = parse(text)
    assert config.evcc.password == "hush"
    assert "hush" not in f"{config!r}{config}"
    for wrong in (
        "evcc: {pasword: hush}",
        "evcc: {password: [hush]}",
        "evcc: {password: {a: hush}}",
        "evcc: {headers: hush}",
        "evcc: {headers: {X: [hush]}}",
        "evcc: {url: 'http://me:hush@host'}",
        "evcc: 'http://me:hush@host'",
        "password: hush",
        "evcc: [hush]",
    ):
        with pytest.raises(ConfigError) as caught:
            parse(wrong)
        assert "hush" not in f"{caught.value}{caught.value.findings}", wrong


# --- where it is ---------------------------------------------------------------------------------


def test_config_is_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{tmp_path / 'home'}")
    user = tmp_path / "home" / "smartload" / "smartload.yaml"
    user.parent.mkdir(parents=True)
    user.touch()
    assert find_config(None, {}) == user
    (tmp_path / "smartload.yaml").touch()
    assert find_config(None, {}) == Path("smartload.yaml")
    assert find_config(None, {"SMARTLOAD_CONFIG": "/x.yaml"}) == Path("/x.yaml")
    assert find_config("y.yaml", {"SMARTLOAD_CONFIG": "/x.yaml"}) == Path("y.yaml")


def test_data_is_kept_where_one_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", f"{tmp_path}")
    assert find_data_dir("a", {"SMARTLOAD_DATA": "b"}, "c") == Path("a")
    assert find_data_dir(None, {"SMARTLOAD_DATA": "b"}, "c") == Path("b")
    assert find_data_dir(None, {}, "c") == Path("c")
    assert find_data_dir(None, {}) in {Path("/data"), tmp_path / "smartload"}


def test_a_time_needs_its_zone() -> None:
    walk = Walk()
    assert walk.read(types.DateTimeType(), "2026-01-05T00:00:00", "at") is UNUSABLE
    at = walk.read(types.DateTimeType(), "2026-01-05T00:00:00+01:00", "at")
    assert at == datetime(2026, 1, 4, 23, tzinfo=UTC)
