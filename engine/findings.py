"""What is wrong with a configuration, said so that a person can mend it."""

from collections.abc import Iterable, Mapping
from typing import Literal

from engine.values import Value

Severity = Literal["critical", "warning"]

_UNITS = (
    ("_eur_kwh", "EUR/kWh"),
    ("_kwh_day", "kWh a day"),
    ("_kwh", "kWh"),
    ("_kwp", "kWp"),
    ("_kw", "kW"),
    ("_w", "W"),
    ("_pct", "%"),
    ("_eur", "EUR"),
    ("_deg", "degrees"),
    ("_min", "min"),
    ("_a", "A"),
    ("_h", "h"),
    ("_s", "s"),
)


class Finding(Value, frozen=True):
    """One problem: where, what stands there, what may stand there, and what to do.

    `critical` stops the start; with a `warning` what `suggestion` promises has been done (INV-149).
    `field` is a path as in `cars[0].target_soc_pct`, `line` the line of the file, where known.
    """

    field: str
    value: str
    allowed: str
    problem: str
    suggestion: str
    severity: Severity = "critical"
    line: int | None = None


class ConfigError(Exception):
    """The configuration cannot be used. Holds all findings, warnings included."""

    def __init__(self, findings: Iterable[Finding], source: str = "") -> None:
        self.findings = tuple(findings)
        self.source = source
        super().__init__(findings_text(self.findings, source))


def findings_text(findings: Iterable[Finding], source: str = "") -> str:
    """The findings for the terminal, critical ones first."""
    ordered = sorted(findings, key=lambda one: (one.severity, one.line or 0))
    return "\n".join(_paragraph(one, source) for one in ordered)


def _paragraph(one: Finding, source: str) -> str:
    place = f"{source}:{one.line}: " if source and one.line else f"{source}: " if source else ""
    lines = [f"{place}{one.severity}: {one.field or 'file'}: {one.problem}"]
    if one.value:
        lines.append(f"    found:   {one.value}")
    if one.allowed:
        lines.append(f"    allowed: {one.allowed}")
    if one.suggestion:
        lines.append(f"    do:      {one.suggestion}")
    return "\n".join(lines)


def shown(value: object) -> str:
    """A value as a finding shows it: short, and never what is inside a section or list."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) > 10**15:
        return "a very large number"
    return f"{value}"[:60]


def unit_of(name: str) -> str:
    """The unit that ends a field's name, or an empty text."""
    return next((unit for end, unit in _UNITS if name.endswith(end)), "")
