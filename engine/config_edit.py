"""Change single lines of smartload.yaml; every other character of the file stays as it was.

PyYAML says where each value stands; the text is spliced there. A library that writes the whole
document again would keep comments but move indentation and quotes.
"""

import copy
import difflib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import yaml

from engine.config_yaml import read_yaml
from engine.findings import ConfigError

Scalar: TypeAlias = bool | float
BOM = "\ufeff"


class EditError(Exception):
    """The file cannot be changed safely. Says what to write by hand."""


def edited(text: str, section: str, changes: Mapping[str, Scalar]) -> str:
    """`text` with these values in `section`, its other lines untouched.

    Raises EditError where the result would not read as exactly that, for instance where the
    section is an alias. Raises ConfigError where `text` is no YAML.
    """
    body = text.removeprefix(BOM)
    old, _, _ = read_yaml(body)
    by_hand = ", ".join(f"{key}: {_written(value)}" for key, value in changes.items())
    expected = copy.deepcopy(old) if isinstance(old, dict) else {}
    expected[section] = {**(expected.get(section) or {}), **changes}
    new = body
    for key, value in changes.items():
        new = _with(new, section, key, _written(value))
    if (old is not None and not isinstance(old, dict)) or not _reads_as(new, expected):
        raise EditError(f"the file's `{section}` cannot be changed safely; write there: {by_hand}")
    return text[: len(text) - len(body)] + new


def diff(old: str, new: str, name: str) -> str:
    """What changed, as people know it from version control."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{name}.bak", name, n=1, lineterm=""
    )
    return "\n".join(lines)


def replace_file(file: Path, text: str) -> Path:
    """Put `text` in the place of `file` at once or not at all; the old one is kept beside it.

    Returns the kept file, `NAME.bak`. Raises OSError.
    """
    file = file.resolve()  # a link stays a link
    kept = file.with_name(f"{file.name}.bak")
    shutil.copy2(file, kept)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        shutil.copymode(file, name)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return kept


def read_exactly(file: Path) -> str:
    """The file's text with its own line ends. Raises OSError, UnicodeDecodeError."""
    with file.open(encoding="utf-8", newline="") as source:
        return source.read()


def _written(value: Scalar) -> str:
    return f"{value}".lower() if isinstance(value, bool) else f"{value:g}"


def _reads_as(text: str, expected: object) -> bool:
    try:
        read, _, findings = read_yaml(text)
    except ConfigError:
        return False
    return read == expected and not findings


def _with(text: str, section: str, key: str, value: str) -> str:
    """The text with one value replaced, or its line added."""
    nl = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node = _value(root, section)
    if node is None:
        ended = text if not text or text.endswith("\n") else text + nl
        return f"{ended}{nl}{section}:{nl}  {key}: {value}{nl}"
    if (found := _value(node, key)) is not None:
        return text[: found.start_mark.index] + value + text[found.end_mark.index :]
    if not isinstance(node, yaml.MappingNode):
        return _line_after(text, node.start_mark.index, f"  {key}: {value}", nl)
    if node.flow_style:
        at = node.value[-1][1].end_mark.index if node.value else node.start_mark.index + 1
        comma = ", " if node.value else ""
        return f"{text[:at]}{comma}{key}: {value}{text[at:]}"
    column = node.value[0][0].start_mark.column
    return _line_after(text, node.value[-1][1].end_mark.index, f"{' ' * column}{key}: {value}", nl)


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _line_after(text: str, index: int, line: str, nl: str) -> str:
    """`line` below the line in which `index` lies."""
    end = text.find("\n", index)
    if end < 0:
        return f"{text}{nl}{line}{nl}"
    return f"{text[: end + 1]}{line}{nl}{text[end + 1 :]}"
