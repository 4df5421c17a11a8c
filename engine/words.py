"""Reasons as sentences, in German and English: one catalogue for page, chat and terminal.

A sentence holds `{numbers}`, shown by the unit at the end of their name, and parts in `[brackets]`
that fall away when one of their numbers is missing, or a saving of nothing. Languages:
`words_de.py`, `words_en.py`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from math import isfinite
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_currency, format_decimal

from engine import words_de, words_en
from engine.values import Why

LANGUAGES = ("de", "en")
SENTENCES: Mapping[str, Mapping[str, str]] = {"de": words_de.SENTENCES, "en": words_en.SENTENCES}
LABELS: Mapping[str, Mapping[str, str]] = {"de": words_de.LABELS, "en": words_en.LABELS}
_LOCALES = {"de": Locale("de", "DE"), "en": Locale("en", "GB")}
_PLACE = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_NESTED = "would"
_NAMED = ("mode", "setting", "missing", "meter")
"""Numbers whose text is one of our own terms."""
_SAVINGS: Mapping[str, float] = {"saves_eur": 0.005, "saves_eur_kwh": 0.0005}
"""Savings of less are shown as none, so nothing is said of them."""
UNKNOWN = "?"
MOST = 1e9
"""No number of a home is larger; beyond it is a mistake, and dates and formats give up."""


def _places(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_PLACE.findall(text)))


CODES: Mapping[str, tuple[str, ...]] = {
    code: _places(text) for code, text in words_de.SENTENCES.items()
}
"""Every code that has a sentence, with the names of the numbers that it can show."""


def render(why: Why, language: str, zone: str | tzinfo) -> str:
    """The sentence of `why` in `language` (`de`, `en`), times in `zone`; the code if unknown."""
    return _render(why, language if language in LANGUAGES else "en", _zone(zone))


def label(key: str, language: str) -> str:
    """The term for `key` (a mode, an owner, a setting, a rung); the key itself if unknown."""
    return LABELS[language if language in LANGUAGES else "en"].get(key, key)


def number(name: str, value: float | str, language: str, zone: str | tzinfo) -> str:
    """One number as people read it, by the unit at the end of its `name`."""
    return _shown(name, value, language if language in LANGUAGES else "en", _zone(zone))


@lru_cache(maxsize=64)
def _zone(zone: str | tzinfo) -> tzinfo:
    if not isinstance(zone, str):
        return zone
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _render(why: Why, language: str, zone: tzinfo) -> str:
    text = SENTENCES[language].get(why.code)
    if text is None:
        return why.code
    shown = _texts(why, language, zone)
    for name, value in why.numbers:
        if name in _SAVINGS and isinstance(value, float) and abs(value) < _SAVINGS[name]:
            shown.pop(name, None)  # those after `would` are the inner reason's

    def known_part(match: re.Match[str]) -> str:
        part = match.group(1)
        return part if all(name in shown for name in _places(part)) else ""

    named = text.startswith("[")
    text = _OPTIONAL.sub(known_part, text)
    if named and text[:1].islower():  # the name before it has fallen away
        text = text[0].upper() + text[1:]
    return _PLACE.sub(lambda match: shown.get(match.group(1), UNKNOWN), text)


def _texts(why: Why, language: str, zone: tzinfo) -> dict[str, str]:
    """Number name -> its text. After `would` the numbers are those of the reason that it names."""
    shown: dict[str, str] = {}
    for k, (name, value) in enumerate(why.numbers):
        if name == _NESTED:
            inner = Why(str(value), why.numbers[k + 1 :])
            shown[name] = _render(inner, language, zone)
            break
        shown[name] = _shown(name, value, language, zone)
    return shown


def _shown(name: str, value: float | str, language: str, zone: tzinfo) -> str:
    if isinstance(value, str):
        if name.endswith("_at"):
            return _time(value, language, zone)
        return label(value, language) if name in _NAMED else value
    if not isfinite(value) or abs(value) > MOST:
        return UNKNOWN
    for unit, form in _FORMS.items():
        if name.endswith(unit):
            return form(value, language)
    return _decimal(value, language, "#,##0.##")


def _time(iso: str, language: str, zone: tzinfo) -> str:
    """Weekday and 24-hour local time: reasons look up to a week ahead."""
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone)
    day = format_datetime(at, "ccc", locale=_LOCALES[language]).rstrip(".")
    return f"{day} {at:%H:%M}"


def _decimal(value: float, language: str, pattern: str) -> str:
    text = str(format_decimal(round(value, 6), format=pattern, locale=_LOCALES[language]))
    return "0" + text[2:] if text.startswith("-0") and not re.search("[1-9]", text) else text


def _unit(unit: str, pattern: str, factor: float = 1.0) -> Callable[[float, str], str]:
    def form(value: float, language: str) -> str:
        return f"{_decimal(value * factor, language, pattern)} {unit}"

    return form


def _euros(value: float, language: str) -> str:
    cents = round(value, 2) or 0.0
    text = str(format_currency(cents, "EUR", locale=_LOCALES[language]))
    return text.replace("\xa0", " ")


def _minutes(value: float, language: str) -> str:
    """`45 min`, `2 h 15 min`."""
    whole = round(value)
    if abs(whole) < 90:
        return f"{whole} min"
    hours, minutes = divmod(whole, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _seconds(value: float, language: str) -> str:
    return f"{round(value)} s" if abs(value) < 120 else _minutes(value / 60, language)


# longest first: `_eur_kwh` ends in `_kwh` too
_FORMS: Mapping[str, Callable[[float, str], str]] = {
    "_eur_kwh": _unit("ct", "#,##0.0", 100.0),
    "_kwh": _unit("kWh", "#,##0.0"),
    "_eur": _euros,
    "_kw": _unit("kW", "#,##0.0"),
    "_w": _unit("W", "#,##0"),
    "_pct": _unit("%", "#,##0.#"),
    "_min": _minutes,
    "_h": _unit("h", "#,##0.#"),
    "_s": _seconds,
    "_a": _unit("A", "#,##0.#"),
}
