"""Configurations for tests: the findings of a text, and what private data looks like."""

import re

import pytest

from engine.config import (
    ConfigError,
    Finding,
    parse,
)


def findings(text: str, **environ: str) -> dict[str, Finding]:
    """The findings of a text that cannot be used, by field."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "smartload.yaml", environ)
    return {one.field: one for one in caught.value.findings}


PRIVATE = re.compile(
    r"192\.168\.|\b10\.\d+\.\d+\.\d+|172\.(1[6-9]|2\d|3[01])\.|fritz|@[a-z]+\.[a-z]|"
    r"\b(?!127\.0\.0\.1)\d+\.\d+\.\d+\.\d+\b|password: (?!env:|file:)\S",
    re.IGNORECASE,
)
