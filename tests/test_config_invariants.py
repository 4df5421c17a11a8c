"""The configuration's invariants: bounds, wrong types, contradictions, nothing private."""

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect as types

from engine.config import (
    Config,
    ConfigError,
    ConfigFile,
    load,
    parse,
)
from engine.config_walk import UNUSABLE, Walk, type_of
from tests.make_config import PRIVATE, findings

ROOT = Path(__file__).parents[1]


def usable_or_explained(text: str) -> bool:
    """Whether a text gives a configuration, or findings that say why not."""
    try:
        return isinstance(parse(text, environ={}), Config)
    except ConfigError as error:
        return bool(error.findings) and all(one.problem for one in error.findings)


def leaves(kind: types.Type, path: tuple[str | int, ...] = ()) -> list[tuple[Any, types.Type]]:
    """The path and type of everything that can be set."""
    match kind:
        case types.Metadata():
            return leaves(kind.type, path)
        case types.UnionType():
            return leaves(kind.types[0], path)
        case types.StructType():
            return [leaf for f in kind.fields for leaf in leaves(f.type, (*path, f.name))]
        case types.VarTupleType():
            return leaves(kind.item_type, (*path, 0))
        case _:
            return [(path, kind)]


LEAVES = leaves(type_of(ConfigFile))
NUMBERS = [(p, k) for p, k in LEAVES if isinstance(k, types.IntType | types.FloatType)]


def nested(path: tuple[str | int, ...], value: object) -> object:
    """`value` at `path`, with the name that a car has to have."""
    for key in reversed(path):
        value = [value] if key == 0 else {key: value}
        if path[:1] == ("cars",) and isinstance(value, dict) and key == path[2]:
            value = {"name": "compact", **value}
    return value


def dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in path).lstrip(".")


def test_inv_146_reading_the_configuration_reaches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def reached(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"the network was reached: {args}")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, reached)
    monkeypatch.setattr(socket, "getaddrinfo", reached)
    file = tmp_path / "smartload.yaml"
    file.write_text(
        "evcc: {url: 'http://evcc.invalid:7070'}\n"
        "cars: [{name: a, source: http, url: 'http://car.invalid/soc'}]\n",
        encoding="utf-8",
    )
    assert load(file).cars_http["a"].url == "http://car.invalid/soc"
    file.write_text("control: maybe", encoding="utf-8")
    with pytest.raises(ConfigError):
        load(file)


@pytest.mark.parametrize(("path", "kind"), NUMBERS, ids=[dotted(p) for p, _ in NUMBERS])
def test_inv_147_every_number_has_enforced_bounds(path: Any, kind: Any) -> None:
    least = kind.ge if kind.ge is not None else kind.gt
    assert least is not None
    assert kind.le is not None
    for value in (least - 1, kind.le + 1, ".nan", ".inf", "-.inf", "1e999"):
        text = yaml.safe_dump(nested(path, "@")).replace("'@'", f"{value}")
        assert dotted(path) in findings(text), (path, value)
    walk = Walk()
    assert walk.read(type_of(ConfigFile), nested(path, kind.le), "") is not UNUSABLE
    assert walk.findings == []


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["06:30", "off", "10 kW", "0,95", "env:", "file:", "file:/", "../x", "\x00"]),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.just(10**400),
)


@given(st.sampled_from([path for path, _ in LEAVES]), ODD)
@settings(max_examples=600, deadline=None)
def test_inv_148_a_wrong_type_is_a_finding_never_an_exception(path: Any, value: object) -> None:
    text = yaml.safe_dump(nested(path, value), allow_unicode=True)
    assert usable_or_explained(text)


@given(st.sampled_from([path[:k] for path, _ in LEAVES for k in range(len(path))]), ODD)
@settings(max_examples=200, deadline=None)
def test_inv_148_a_wrong_section_is_a_finding_never_an_exception(path: Any, value: object) -> None:
    walk = Walk()
    raw = value
    for key in reversed(path):
        raw = [raw] if key == 0 else {key: raw}
    file = walk.read(type_of(ConfigFile), raw, "")
    assert isinstance(file, ConfigFile) or walk.findings


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_inv_148_no_text_raises_anything_else(text: str) -> None:
    assert usable_or_explained(text)


def test_inv_149_quiet_hours_of_no_length_become_the_default() -> None:
    config = parse("sequencer: {quiet_start: 07:00, quiet_end: 7:00, enabled: false}")
    (warning,) = config.warnings
    assert warning.severity == "warning"
    assert "21:00 to 06:00 is used" in warning.suggestion
    quiet = config.settings.sequencer
    assert (quiet.quiet_start, quiet.quiet_end, quiet.enabled) == ("21:00", "06:00", False)


def test_inv_149_readings_live_longer_than_the_pause_between_them() -> None:
    config = parse("tick_s: 300\nmax_age_s: 60")
    assert [one.suggestion for one in config.warnings] == ["750 is used"]
    assert config.settings.max_age_s == 750


def test_inv_149_a_departure_without_days_holds_every_day() -> None:
    config = parse("cars: [{name: a, departure: 6:00, departure_weekdays: []}]")
    assert [one.suggestion for one in config.warnings] == ["every day is used"]
    assert config.settings.cars[0].departure_weekdays == (1, 2, 3, 4, 5, 6, 7)


def test_inv_149_an_address_that_is_not_used_is_not_asked() -> None:
    config = parse("cars: [{name: a, url: 'http://127.0.0.1/x'}]")
    assert [one.severity for one in config.warnings] == ["warning"]
    assert config.cars_http == {}


def test_inv_181_defaults_and_examples_hold_nothing_private() -> None:
    files = [ROOT / "docs" / "smartload.example.yaml", *(ROOT / "sim/scenarios").glob("*.yaml")]
    assert len(files) > 5
    for file in files:
        assert not PRIVATE.search(file.read_text(encoding="utf-8")), file
    defaults = msgspec.json.encode(Config()).decode()
    assert not PRIVATE.search(defaults)
    assert Config().evcc.password is None
    assert Config().web.host == "127.0.0.1"


def test_the_example_is_valid_and_shows_every_section() -> None:
    file = ROOT / "docs" / "smartload.example.yaml"
    assert load(file).warnings == ()
    text = file.read_text(encoding="utf-8")
    sections = {field.name for field in msgspec.structs.fields(ConfigFile)}
    missing = {name for name in sections if f"{name}:" not in text}
    assert missing <= {"tick_s", "max_age_s", "planner"}
