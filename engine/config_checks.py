"""What types and bounds cannot tell: fields that contradict each other (INV-146 to 149).

Each check yields findings; a warning that promises something is kept by `mended` (INV-149).
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec.structs import replace

from engine.config_walk import HIDDEN, did_you_mean
from engine.findings import Finding
from engine.settings import BatterySettings, SequencerSettings, Settings

READINGS_PER_AGE = 2.5
"""`max_age_s` covers this many ticks: a reading must outlive the pause between two."""


def checked(settings: Settings) -> Iterator[Finding]:
    """Findings over the settings alone."""
    yield from _zone(settings.site.zone)
    if settings.battery:
        yield from _battery(settings.battery)
    yield from unique("cars", [car.name for car in settings.cars])
    quiet = settings.sequencer
    if quiet.quiet_start == quiet.quiet_end:
        default = SequencerSettings()
        yield Finding(
            "sequencer.quiet_start",
            quiet.quiet_start,
            "another time than quiet_end",
            "quiet hours that start and end at once are either none or the whole day",
            f"{default.quiet_start} to {default.quiet_end} is used; to switch off asking, "
            "write enabled: false",
            "warning",
        )
    if settings.max_age_s < _least_age_s(settings):
        yield Finding(
            "max_age_s",
            f"{settings.max_age_s:g}",
            f"at least {READINGS_PER_AGE:g} times tick_s",
            f"with tick_s {settings.tick_s:g} every reading would be too old to act on",
            f"{_least_age_s(settings):g} is used",
            "warning",
        )
    for k, car in enumerate(settings.cars):
        if car.departure and not car.departure_weekdays:
            yield Finding(
                f"cars[{k}].departure_weekdays",
                "none",
                "1 (Monday) to 7 (Sunday)",
                "the departure holds on no day",
                "every day is used",
                "warning",
            )


def mended(settings: Settings) -> Settings:
    """The settings with what the warnings of `checked` promise (INV-149)."""
    quiet = settings.sequencer
    if quiet.quiet_start == quiet.quiet_end:
        default = SequencerSettings()
        quiet = replace(quiet, quiet_start=default.quiet_start, quiet_end=default.quiet_end)
    cars = tuple(
        replace(car, departure_weekdays=(1, 2, 3, 4, 5, 6, 7))
        if car.departure and not car.departure_weekdays
        else car
        for car in settings.cars
    )
    age_s = max(settings.max_age_s, _least_age_s(settings))
    return replace(settings, sequencer=quiet, cars=cars, max_age_s=age_s)


def _least_age_s(settings: Settings) -> float:
    return min(READINGS_PER_AGE * settings.tick_s, 7200.0)


def _battery(battery: BatterySettings) -> Iterator[Finding]:
    if battery.min_soc_pct >= battery.max_soc_pct:
        yield Finding(
            "battery.min_soc_pct",
            f"{battery.min_soc_pct:g}",
            f"below max_soc_pct ({battery.max_soc_pct:g})",
            "nothing is left to use between the lowest and the highest charge",
            "lower min_soc_pct or raise max_soc_pct",
        )
    most = f"below max_soc_pct ({battery.max_soc_pct:g})"
    reserve, target = battery.reserve_soc_pct, battery.target_soc_pct
    if reserve is not None and reserve >= battery.max_soc_pct > battery.min_soc_pct:
        yield Finding(
            "battery.reserve_soc_pct",
            f"{reserve:g}",
            most,
            "nothing is left to use above the reserve",
            "lower reserve_soc_pct or raise max_soc_pct",
        )
    if target is not None and target > battery.max_soc_pct:
        yield Finding(
            "battery.target_soc_pct",
            f"{target:g}",
            f"at most max_soc_pct ({battery.max_soc_pct:g})",
            "the battery is never charged so far",
            "lower target_soc_pct or raise max_soc_pct",
        )
    if (target is None) != (battery.target_at is None):
        missing = "target_at" if battery.target_at is None else "target_soc_pct"
        given = battery.target_at if target is None else f"{target:g}"
        yield Finding(
            f"battery.{missing}",
            "missing",
            "target_soc_pct and target_at together",
            f"{given} alone is no target",
            f"write {missing} as well, or delete the other one",
        )


def _zone(zone: str) -> Iterator[Finding]:
    if not known_zone(zone):
        likely = did_you_mean_zone(zone)
        yield Finding(
            "site.zone",
            zone,
            "an IANA time zone, such as Europe/Berlin",
            "there is no such time zone",
            f"did you mean {likely}?" if likely else "see the IANA list of time zones",
        )


def known_zone(zone: str) -> bool:
    """Whether the zone exists. Odd names (`..`, NUL, a folder) exist nowhere."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def did_you_mean_zone(zone: str) -> str | None:
    """The zone probably meant by `europe/berlin`, `Berlin` or `Europe/Berln`."""
    names = {name.lower(): name for name in sorted(available_timezones())}
    cities = {name.rpartition("/")[2].lower(): name for name in sorted(available_timezones())}
    plain = zone.strip().replace(" ", "_")
    likely = did_you_mean(plain, tuple(names)) or did_you_mean(plain, tuple(cities))
    return names.get(likely or "") or cities.get(likely or "")


def unique(section: str, names: Sequence[str]) -> Iterator[Finding]:
    """Names are equal whatever their case (INV-78), so they may not stand twice."""
    first: dict[str, int] = {}
    for k, name in enumerate(names):
        folded = name.casefold()
        if folded in first:
            yield Finding(
                f"{section}[{k}].name",
                name,
                "each name once; upper and lower case are equal",
                f"{section}[{first[folded]}] has this name already",
                "give it another name, or delete one of the two",
            )
        first.setdefault(folded, k)


def web_address(field: str, url: str) -> Iterator[Finding]:
    """An address of the kind `http://host:port/path`, without a password in it."""
    problem = ""
    shown = url
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            problem = "it does not begin with http:// or https://"
        elif not parts.hostname:
            problem = "the host is missing"
        elif parts.username or parts.password:
            problem, shown = "it holds a user or a password, which logs would show", HIDDEN
        elif parts.port == 0 or any(c.isspace() for c in url):
            problem = "it has spaces or a port that cannot be"
    except ValueError as error:
        problem = f"{error}"
    if problem:
        yield Finding(
            field,
            shown,
            "http://host:port or https://host",
            problem,
            "write the address as in the browser; passwords go to password or headers",
        )
