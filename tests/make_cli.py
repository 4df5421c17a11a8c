"""The command line for its tests: run in this process, and its last JSON line."""

import json
from typing import Any

from click.testing import CliRunner, Result

from engine.__main__ import main


def smartload(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="smartload")


def last_json(output: str) -> Any:
    """The last line, which has to be the only JSON object."""
    *before, last = output.strip().split("\n")
    assert not any(line.startswith("{") for line in before)
    return json.loads(last)
