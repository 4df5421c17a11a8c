"""YAML to plain values, without the traps of YAML 1.1, and with the line of every field.

`off`, `no` and `06:30` stay what was typed: which of them is a truth value, a control or a time of
day is known only by the field (INV-148).
"""

import re

import yaml

from engine.findings import ConfigError, Finding, shown

MAX_CHARS = 1_000_000


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: only true and false are truth values, numbers are decimal or hex."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,18})$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
    ("merge", r"^(?:<<)$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 16) if "x" in text else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


class Lines:
    """The line of each field path, for findings. Asks the nearest parent that has one."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}

    def note(self, path: str, line: int) -> None:
        """Remember where `path` stands."""
        self._lines.setdefault(path, line)

    def of(self, path: str) -> int | None:
        """The line of `path`, or of what contains it."""
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines.get(path)


def read_yaml(text: str, source: str = "") -> tuple[object, Lines, list[Finding]]:
    """The document's plain values, the lines of its fields, and keys that stand twice.

    Raises ConfigError with one finding where the text is no YAML at all.
    """
    lines = Lines()
    if len(text) > MAX_CHARS:
        raise ConfigError([_unreadable(f"longer than {MAX_CHARS} characters", None)], source)
    try:
        value, twice = _document(text, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ConfigError([_unreadable(error.problem or f"{error}", line)], source) from error
    except (
        yaml.YAMLError,
        RecursionError,
        # what PyYAML raises for tags that contradict their text (`!!int abc`)
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        reason = f"{error}".splitlines()[0] if f"{error}" else type(error).__name__
        raise ConfigError([_unreadable(reason, None)], source) from error
    return value, lines, twice


def _document(text: str, lines: Lines) -> tuple[object, list[Finding]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        return loader.construct_document(node), _keys_twice(node, "", lines, set())
    finally:
        loader.dispose()


def _unreadable(reason: str, line: int | None) -> Finding:
    return Finding(
        field="",
        value="",
        allowed="a YAML file, indented by spaces",
        problem=f"this is not readable as YAML: {reason}",
        suggestion="look at this line and the one above: indentation, colons, quotes",
        line=line,
    )


def _keys_twice(node: yaml.Node, path: str, lines: Lines, seen: set[int]) -> list[Finding]:
    """Notes all lines on the way. Each node is visited once, so aliases cost nothing."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    found: list[Finding] = []
    if isinstance(node, yaml.SequenceNode):
        for k, item in enumerate(node.value):
            here = f"{path}[{k}]"
            lines.note(here, item.start_mark.line + 1)
            found += _keys_twice(item, here, lines, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: dict[str, int] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            here = f"{path}.{key.value}" if path else key.value
            line = key.start_mark.line + 1
            lines.note(here, line)
            if key.value in keys and key.value != "<<":
                found.append(_twice(here, keys[key.value], line))
            keys.setdefault(key.value, line)
            found += _keys_twice(item, here, lines, seen)
    return found


def _twice(path: str, first: int, second: int) -> Finding:
    return Finding(
        field=path,
        value=shown(f"lines {first} and {second}"),
        allowed="each key once",
        problem="this key stands twice; which one is meant?",
        suggestion="delete one of them",
        line=second,
    )
