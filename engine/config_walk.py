"""Plain values to typed structs, with every problem found at once (INV-147, INV-148).

Types, bounds and defaults are read from the structs' annotations; nothing is said twice.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches

import msgspec
from msgspec import inspect as types

from engine.findings import Finding, shown, unit_of
from engine.settings import CLOCK_TIME

HIDDEN = "(not shown)"
_CHOICE = re.compile(r"^\^\(([\w|]+)\)\$$")
_NUMBER = re.compile(r"^\s*([-+]?\d+(?:[.,]\d+)?)\s*([^\d\s.,][^\d]*)?$")
_TRUTH = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


class Unusable:
    """Marks a value that could not be read; what is wrong with it is among the findings."""


UNUSABLE = Unusable()


class Walk:
    """One walk over a document. `findings` holds what was wrong."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._kept: dict[str, list[int]] = {}

    def place(self, path: str) -> str:
        """A path in the read structs as it is in the file: unreadable list entries are counted."""
        head, bracket, tail = path.partition("[")
        number, _, rest = tail.partition("]")
        kept = self._kept.get(head, [])
        if not bracket or not number.isdecimal() or int(number) >= len(kept):
            return path
        return f"{head}[{kept[int(number)]}]{rest}"

    def read(self, kind: types.Type, value: object, path: str, secret: bool = False) -> object:
        """`value` as `kind`, or UNUSABLE with at least one finding. Never raises."""
        found: object
        match kind:
            case types.Metadata():
                hidden = secret or bool((kind.extra or {}).get("secret"))
                found = self.read(kind.type, value, path, hidden)
            case types.UnionType():
                inner = next(t for t in kind.types if not isinstance(t, types.NoneType))
                found = None if value is None else self.read(inner, value, path, secret)
            case types.StructType():
                found = self._struct(kind, value, path)
            case types.VarTupleType():
                found = self._tuple(kind, value, path)
            case types.DictType():
                found = self._dict(kind, value, path)
            case types.BoolType():
                found = self._bool(value, path)
            case types.IntType() | types.FloatType():
                found = self._number(kind, value, path)
            case types.StrType():
                found = self._text(kind, value, path, secret)
            case types.EnumType():
                found = self._enum(kind, value, path)
            case types.DateTimeType():
                found = self._time(value, path)
            case _:
                raise TypeError(f"{path}: a setting cannot be a {kind}")
        return found

    def wrong(
        self,
        path: str,
        value: object,
        allowed: str,
        problem: str,
        suggestion: str = "",
    ) -> Unusable:
        """Note one finding."""
        self.findings.append(
            Finding(path, shown(value), allowed, problem, suggestion or f"write {allowed}")
        )
        return UNUSABLE

    def _struct(self, kind: types.StructType, value: object, path: str) -> object:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            names = ", ".join(field.name for field in kind.fields[:4])
            return self.wrong(path, kind_of(value), f"a section with {names}, ...", "no section")
        fields = {field.name: field for field in kind.fields}
        read: dict[str, object] = {}
        for key, item in value.items():
            here = f"{path}.{key}" if path else f"{key}"
            if not isinstance(key, str) or key not in fields:
                self._unknown(here, f"{key}", item, tuple(fields))
                continue
            usable = self.read(fields[key].type, item, here)
            if usable is not UNUSABLE:
                read[key] = usable
        missing = [name for name, field in fields.items() if field.required and name not in read]
        for name in missing:
            if name not in value:
                here = f"{path}.{name}" if path else name
                self.wrong(here, None, allowed_of(fields[name].type, name), "this is missing")
        return UNUSABLE if missing else kind.cls(**read)

    def _unknown(self, path: str, key: str, value: object, names: tuple[str, ...]) -> None:
        likely = did_you_mean(key, names)
        self.wrong(
            path,
            # whatever it is, it may be a password under a mistyped name
            value if isinstance(value, int | float | list | Mapping | None) else HIDDEN,
            ", ".join(names),
            f"there is no option {key!r:.60}",
            f"did you mean {likely}?" if likely else "remove it",
        )

    def _tuple(self, kind: types.VarTupleType, value: object, path: str) -> object:
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            return self.wrong(
                path,
                value,
                "a list",
                "this is no list",
                "put each entry on its own line after '- '",
            )
        items = [self.read(kind.item_type, item, f"{path}[{k}]") for k, item in enumerate(value)]
        self._kept[path] = [k for k, item in enumerate(items) if item is not UNUSABLE]
        return tuple(items[k] for k in self._kept[path])

    def _dict(self, kind: types.DictType, value: object, path: str) -> object:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            return self.wrong(path, kind_of(value), "name: value, one a line", "no mapping")
        items = {
            f"{key}": self.read(kind.value_type, item, f"{path}.{key}")
            for key, item in value.items()
        }
        return {key: item for key, item in items.items() if item is not UNUSABLE}

    def _bool(self, value: object, path: str) -> object:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _TRUTH:
            return _TRUTH[value.lower()]
        return self.wrong(path, value, "true or false", "this is neither true nor false")

    def _number(self, kind: types.IntType | types.FloatType, value: object, path: str) -> object:
        name = path.rpartition(".")[2]
        allowed = allowed_of(kind, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.wrong(path, value, allowed, "this is not a number", _as_number(value, name))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            return self.wrong(path, value, allowed, "this is not a finite number")
        if isinstance(kind, types.IntType):
            if number != int(number):
                return self.wrong(path, value, allowed, "this is not a whole number")
            number = int(number)
        if not _within(kind, number):
            return self.wrong(path, value, allowed, "this is out of bounds")
        return number

    def _text(self, kind: types.StrType, value: object, path: str, secret: bool) -> object:
        allowed = allowed_of(kind, path.rpartition(".")[2])
        show = HIDDEN if secret and value is not None else value
        if not isinstance(value, str):
            hint = f'write it in quotes: "{show}"' if isinstance(value, int | float) else ""
            if kind.pattern == CLOCK_TIME:
                hint = _as_clock(value)
            return self.wrong(path, show, allowed, "this is not a text", hint)
        if kind.pattern and not re.fullmatch(kind.pattern, value, re.ASCII):
            likely = did_you_mean(value, _choices(kind.pattern))
            hint = f"did you mean {likely}?" if likely else _as_clock(value)
            return self.wrong(path, show, allowed, "this is not allowed here", hint)
        if not (kind.min_length or 0) <= len(value) <= (kind.max_length or 10_000):
            return self.wrong(path, show, allowed, "this is empty or too long")
        return f"{value:0>5}" if kind.pattern == CLOCK_TIME else value

    def _enum(self, kind: types.EnumType, value: object, path: str) -> object:
        choices = {f"{member.value}": member for member in kind.cls}
        if isinstance(value, str) and value.lower() in choices:
            return choices[value.lower()]
        likely = did_you_mean(f"{value}", tuple(choices))
        hint = f"did you mean {likely}?" if likely else ""
        return self.wrong(path, value, allowed_of(kind, ""), "this is not one of them", hint)

    def _time(self, value: object, path: str) -> object:
        allowed = "a time with its zone, such as 2026-01-05T00:00:00+01:00"
        try:
            at = value if isinstance(value, datetime) else datetime.fromisoformat(f"{value}")
            if at.tzinfo is None:
                return self.wrong(path, value, allowed, "the time zone is missing")
            return at.astimezone(UTC)
        except (ValueError, OverflowError):
            return self.wrong(path, value, allowed, "this is no time")


def kind_of(value: object) -> str:
    """What a value is, without showing it."""
    text = "a text" if isinstance(value, str) else "a single value"
    return shown(value) if isinstance(value, list | tuple | Mapping) else text


def allowed_of(kind: types.Type, name: str) -> str:
    """What may stand in a field of this type, in words."""
    words = "a value"
    match kind:
        case types.Metadata():
            words = allowed_of(kind.type, name)
        case types.UnionType():
            inner = next(t for t in kind.types if not isinstance(t, types.NoneType))
            words = allowed_of(inner, name)
        case types.IntType() | types.FloatType():
            whole = "a whole number" if isinstance(kind, types.IntType) else "a number"
            words = " ".join(part for part in (whole, _bounds(kind), unit_of(name)) if part)
        case types.StrType(pattern=str(pattern)) if pattern == CLOCK_TIME:
            words = "a local time of day, 00:00 to 23:59"
        case types.StrType(pattern=str(pattern)) if _choices(pattern):
            words = "one of " + ", ".join(_choices(pattern))
        case types.StrType():
            words = f"a text of {kind.min_length or 0} to {kind.max_length or 10_000} characters"
        case types.EnumType():
            words = "one of " + ", ".join(f"{member.value}" for member in kind.cls)
        case types.StructType():
            words = "a section with " + ", ".join(field.name for field in kind.fields[:4])
        case types.DateTimeType():
            words = "a time with its zone"
        case _:
            pass
    return words


def did_you_mean(word: str, names: tuple[str, ...]) -> str | None:
    """The name that was probably meant: other case, a missing unit, a slip of the finger."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word[:100]).replace("-", "_").lower()
    if plain in names:
        return plain
    longer = [name for name in names if len(plain) > 2 and name.startswith(f"{plain}_")]
    close = get_close_matches(plain, names, n=1, cutoff=0.6)
    return longer[0] if longer else close[0] if close else None


def _choices(pattern: str | None) -> tuple[str, ...]:
    found = _CHOICE.match(pattern or "")
    return tuple(found[1].split("|")) if found else ()


def _limits(kind: types.IntType | types.FloatType) -> Iterator[tuple[str, float]]:
    for word, bound in (
        ("above", kind.gt),
        ("from", kind.ge),
        ("below", kind.lt),
        ("to", kind.le),
    ):
        if bound is not None:
            yield word, bound


def _bounds(kind: types.IntType | types.FloatType) -> str:
    return " ".join(f"{word} {bound:g}" for word, bound in _limits(kind))


def _within(kind: types.IntType | types.FloatType, number: float) -> bool:
    fits = {
        "above": lambda bound: number > bound,
        "from": lambda bound: number >= bound,
        "below": lambda bound: number < bound,
        "to": lambda bound: number <= bound,
    }
    return all(fits[word](bound) for word, bound in _limits(kind))


def _as_number(value: object, name: str) -> str:
    """What to write instead of `"11"`, `11 kW` or `0,95`."""
    found = _NUMBER.match(value) if isinstance(value, str) else None
    if not found:
        return ""
    number = found[1].replace(",", ".")
    unit = unit_of(name)
    return f"write {number} without quotes or unit" + (f" (it is in {unit})" if unit else "")


def _as_clock(value: object) -> str:
    """What to write instead of `6`, `630` or `24:00`."""
    if value == "24:00":
        return 'write "00:00"'
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 23:
        return f'write "{value:02}:00"'
    return ""


def type_of(struct: type[msgspec.Struct]) -> types.Type:
    """The annotations of a struct, as `Walk.read` needs them."""
    return types.type_info(struct)
