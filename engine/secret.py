"""Secrets of the configuration: written out, in the environment, or in a file of their own."""

from collections.abc import Mapping
from pathlib import Path

MAX_BYTES = 65_536


def resolved(value: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The secret behind `env:NAME` or `file:/path` (else `value` itself), and what is wrong.

    Neither part of a bad secret's content appears in the problem.
    """
    kind, _, rest = value.partition(":")
    if kind == "env":
        if not environ.get(rest):
            return "", f"the environment variable {rest!r:.80} is not set"
        return environ[rest], ""
    if kind == "file":
        return _of_file(rest)
    return value, ""


def _of_file(name: str) -> tuple[str, str]:
    path = Path(name)
    try:
        path = path.expanduser()
        if not path.is_file():
            return "", f"there is no file {name!r:.80}"
        if path.stat().st_size > MAX_BYTES:
            return "", f"the file {name!r:.80} is too long for a secret"
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeError, ValueError, RuntimeError) as error:
        return "", f"the file {name!r:.80} cannot be read: {type(error).__name__}"
    return text, "" if text else f"the file {name!r:.80} is empty"
