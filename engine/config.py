"""`smartload.yaml` to typed structs: all problems at once, before any network access (INV-146).

`load` and `parse` give a `Config` or raise `ConfigError`; only `Config.settings` is ever heard by
the minds. Scenarios are the same file plus a `sim:` section (`sim/scenario_files.py`).
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import platformdirs
from msgspec.structs import asdict, replace

from engine import config_checks as checks
from engine.config_walk import HIDDEN, UNUSABLE, Walk, type_of
from engine.config_yaml import Lines, read_yaml
from engine.findings import ConfigError, Finding, findings_text
from engine.secret import resolved
from engine.settings import CarSettings, Name, Settings
from engine.values import Value

__all__ = [
    "CarConnection",
    "Config",
    "ConfigError",
    "ConfigFile",
    "EvccConnection",
    "Finding",
    "WebSettings",
    "config_of",
    "find_config",
    "find_data_dir",
    "findings_text",
    "load",
    "parse",
    "parse_as",
    "read_text",
    "settings_of",
]

Secret = Annotated[str, msgspec.Meta(max_length=4096, extra={"secret": True})]
"""Never shown. `env:NAME` and `file:/path` are replaced by what stands there."""
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Seconds = Annotated[float, msgspec.Meta(ge=0.5, le=60)]


class EvccConnection(Value, frozen=True):
    """Where evcc is. `headers` for a proxy in front of it."""

    url: Name = "http://127.0.0.1:7070"
    password: Secret | None = None
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    timeout_s: Seconds = 10.0

    def __repr__(self) -> str:
        return f"EvccConnection(url={self.url!r}, timeout_s={self.timeout_s})"


class WebSettings(Value, frozen=True):
    """Where the page is served."""

    host: Name = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8099


class CarConnection(Value, frozen=True):
    """How a car with `source: http` is asked. Paths are dotted, for instance `data.soc`."""

    url: Url
    soc_path: Name = "soc"
    soc_regex: Name | None = None
    """Used instead of `soc_path` where the answer is no JSON; its first group is the SoC."""
    measured_path: Name | None = None
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    timeout_s: Seconds = 10.0

    def __repr__(self) -> str:
        return f"CarConnection(url={self.url.partition('?')[0]!r}, soc_path={self.soc_path!r})"


class CarBlock(CarSettings, frozen=True):
    """One car as it stands in the file: what the minds may know, and how it is asked."""

    url: Url | None = None
    soc_path: Name = "soc"
    soc_regex: Name | None = None
    measured_path: Name | None = None
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    timeout_s: Seconds = 10.0

    def __repr__(self) -> str:
        return f"CarBlock(name={self.name!r})"


class ConfigFile(Settings, frozen=True):
    """`smartload.yaml` as it stands there."""

    cars: tuple[CarBlock, ...] = ()
    evcc: EvccConnection = EvccConnection()
    web: WebSettings = WebSettings()
    data_dir: Name | None = None
    log_level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$")] = "info"


class Config(Value, frozen=True):
    """The configuration, checked. `warnings` were not grave enough to stop."""

    settings: Settings = Settings()
    evcc: EvccConnection = EvccConnection()
    web: WebSettings = WebSettings()
    cars_http: dict[str, CarConnection] = msgspec.field(default_factory=dict)
    """By the car's name, for cars with `source: http`."""
    data_dir: str | None = None
    log_level: str = "info"
    warnings: tuple[Finding, ...] = ()


File = TypeVar("File", bound=ConfigFile)


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in this file. Raises ConfigError with all that is wrong."""
    return parse(read_text(path), f"{path}", environ)


def parse(text: str, source: str = "", environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in this text. `environ` is where `env:NAME` looks, else the process's."""
    file, warnings = parse_as(ConfigFile, text, source, environ)
    return config_of(file, warnings)


def parse_as(
    kind: type[File],
    text: str,
    source: str,
    environ: Mapping[str, str] | None = None,
    more: Callable[[File], Iterable[Finding]] = lambda _: (),
) -> tuple[File, tuple[Finding, ...]]:
    """The file as `kind`, mended, with the warnings; `more` checks it further.

    Raises ConfigError.
    """
    raw, lines, findings = read_yaml(text, source)
    walk = Walk()
    file = walk.read(type_of(kind), raw, "")
    findings += walk.findings
    if file is not UNUSABLE:
        assert isinstance(file, kind)
        file, unresolved = _with_secrets(file, os.environ if environ is None else environ)
        known = {one.field for one in findings}
        later = [*unresolved, *checks.checked(settings_of(file)), *_connections(file), *more(file)]
        named = [replace(one, field=walk.place(one.field)) for one in later]
        findings += [one for one in named if one.field not in known]
    placed = _with_lines(findings, lines)
    if any(one.severity == "critical" for one in placed) or not isinstance(file, kind):
        raise ConfigError(placed, source)
    return _mended(file), placed


def config_of(file: ConfigFile, warnings: tuple[Finding, ...] = ()) -> Config:
    """The file's parts, apart: what minds hear, and what only ports may know."""
    return Config(
        settings=settings_of(file),
        evcc=file.evcc,
        web=file.web,
        cars_http={
            car.name: CarConnection(**{name: getattr(car, name) for name in _CONNECTION})
            for car in file.cars
            if car.source == "http"
        },
        data_dir=file.data_dir,
        log_level=file.log_level,
        warnings=warnings,
    )


_CONNECTION = tuple(field.name for field in msgspec.structs.fields(CarConnection))
_CAR = tuple(field.name for field in msgspec.structs.fields(CarSettings))
_SETTINGS = tuple(field.name for field in msgspec.structs.fields(Settings))


def settings_of(file: ConfigFile) -> Settings:
    """The part that the minds may know."""
    cars = tuple(CarSettings(**{name: getattr(car, name) for name in _CAR}) for car in file.cars)
    parts = {name: getattr(file, name) for name in _SETTINGS}
    return Settings(**{**parts, "cars": cars})


def _mended(file: File) -> File:
    """The file with what its warnings promise (INV-149)."""
    settings = checks.mended(settings_of(file))
    cars = tuple(
        replace(block, **asdict(car)) for block, car in zip(file.cars, settings.cars, strict=True)
    )
    return replace(file, sequencer=settings.sequencer, max_age_s=settings.max_age_s, cars=cars)


def _with_lines(findings: list[Finding], lines: Lines) -> tuple[Finding, ...]:
    return tuple(one if one.line else replace(one, line=lines.of(one.field)) for one in findings)


def _connections(file: ConfigFile) -> Iterator[Finding]:
    yield from checks.web_address("evcc.url", file.evcc.url)
    for k, car in enumerate(file.cars):
        field = f"cars[{k}].url"
        if car.url:
            yield from checks.web_address(field, car.url)
        if car.source == "http" and not car.url:
            yield Finding(
                field,
                "nothing",
                "http://host/path that answers with the SoC",
                "a car with source: http needs the address that is asked",
                "add url, or write source: evcc",
            )
        if car.source != "http" and car.url:
            yield Finding(
                field,
                HIDDEN,
                "only with source: http",
                f"with source: {car.source} nobody asks this address",
                "write source: http, or remove url; it is not used",
                "warning",
            )
        if car.soc_regex is not None:
            yield from _pattern(f"cars[{k}].soc_regex", car.soc_regex)
    if file.web.host not in {"127.0.0.1", "localhost", "::1"}:
        yield Finding(
            "web.host",
            file.web.host,
            "127.0.0.1 for this machine alone",
            "everyone who reaches this machine can read the page",
            "keep it so only behind a password of a proxy or in a network you trust",
            "warning",
        )


def _pattern(field: str, pattern: str) -> Iterator[Finding]:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        groups, problem = -1, f"{error}"
    else:
        problem = "it has no group in brackets around the number"
    if groups < 1:
        allowed = r'a regular expression with one group, such as "soc: (\d+)"'
        yield Finding(field, pattern, allowed, problem, "mend the expression")


def _with_secrets(file: File, environ: Mapping[str, str]) -> tuple[File, list[Finding]]:
    """The file with `env:` and `file:` replaced, and what could not be."""
    findings: list[Finding] = []

    def secret(field: str, value: str) -> str:
        text, problem = resolved(value, environ)
        if problem:
            allowed = "the secret itself, env:NAME or file:/path"
            findings.append(Finding(field, HIDDEN, allowed, problem, "set it, or remove this line"))
        return text

    def headers(field: str, values: dict[str, str]) -> dict[str, str]:
        return {name: secret(f"{field}.{name}", value) for name, value in values.items()}

    password = file.evcc.password
    evcc = replace(
        file.evcc,
        password=None if password is None else secret("evcc.password", password),
        headers=headers("evcc.headers", file.evcc.headers),
    )
    cars = tuple(
        replace(car, headers=headers(f"cars[{k}].headers", car.headers))
        for k, car in enumerate(file.cars)
    )
    return replace(file, evcc=evcc, cars=cars), findings


def read_text(path: Path) -> str:
    """The file's text. Raises ConfigError with one finding that says why it cannot be read."""
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else f"{error}"
        finding = Finding(
            field="",
            value=f"{path}",
            allowed="a readable YAML file in UTF-8",
            problem=f"the configuration cannot be read: {reason}",
            suggestion="give its path with --config or $SMARTLOAD_CONFIG",
        )
        raise ConfigError([finding], f"{path}") from error


def find_config(
    option: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Path | None:
    """Where the configuration is: option, `$SMARTLOAD_CONFIG`, then the usual places (ux.md §7).

    What was asked for is returned even if it is not there, so that `load` can say so.
    """
    asked = option or (os.environ if environ is None else environ).get("SMARTLOAD_CONFIG")
    if asked:
        return Path(asked).expanduser()
    usual = (
        Path("/config"),
        Path(),
        platformdirs.user_config_path("smartload"),
        Path("/etc"),
    )
    return next((folder / "smartload.yaml" for folder in usual if _is_file(folder)), None)


def _is_file(folder: Path) -> bool:
    try:
        return (folder / "smartload.yaml").is_file()
    except OSError:
        return False


def find_data_dir(
    option: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    configured: str | None = None,
) -> Path:
    """Where data is kept: option, `$SMARTLOAD_DATA`, `data_dir:`, then the usual places.

    The first usual place that can be written to; it is not made here.
    """
    environ = os.environ if environ is None else environ
    asked = option or environ.get("SMARTLOAD_DATA") or configured
    if asked:
        return Path(asked).expanduser()
    home = platformdirs.user_data_path("smartload")
    system = Path("/var/lib/smartload")
    if _writable(Path("/data")):
        return Path("/data")
    nearest = next((folder for folder in (home, *home.parents) if folder.exists()), home)
    return system if _writable(system) and not _writable(nearest) else home


def _writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
