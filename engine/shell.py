"""What all commands share: exit codes, how they answer and how they fail."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

SAYS_NO, WRONG_USE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, last line.")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Default: smartload.yaml in /config, here, in ~/.config/smartload or in /etc.",
)
data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="Folder for journal, lock and manual SoC."
)


def fail(text: str, code: int) -> NoReturn:
    """Say what is wrong on standard error and end with `code`."""
    click.echo(text, err=True)
    sys.exit(code)


def problems(error: Any) -> str:
    """All findings of a ConfigError; with file and line where there is a file."""
    from engine.findings import findings_text

    return findings_text(error.findings, error.source if Path(error.source).is_file() else "")


def answer(value: Any, lines: list[str], as_json: bool) -> None:
    """Print `value` as one JSON line, or `lines` for people."""
    from engine.journal import encode

    click.echo(encode(value).decode() if as_json else "\n".join(lines))


def config_file(option: Path | None) -> Path:
    """The configuration to read, or an end with what to do."""
    from engine.config import find_config

    file = find_config(option)
    if file is None:
        fail(
            "no smartload.yaml found: give one with --config, or copy docs/smartload.example.yaml "
            "to ./smartload.yaml. `smartload demo` runs without one.",
            WRONG_USE,
        )
    return file
