"""evcc's circuits and the currents of its grid meter, out of its JSON. Pure.

evcc leaves zeros out: a limit that is absent is none, a current that is absent is 0 A. A meter that
it could not read for a minute has the greatest number there is (core/circuit), which is unknown.
"""

from math import copysign
from typing import Any

from engine.circuits import Circuit
from engine.evcc_fields import listing, mapping, number, positive, text, truth

MOST = 1e7
"""W or A beyond this are no measurement."""
PHASES = 3


def circuits_from(state: dict[str, Any]) -> tuple[Circuit, ...]:
    """All circuits that evcc shows, in its order."""
    return tuple(
        _circuit(name, mapping(entry))
        for name, entry in mapping(state.get("circuits")).items()
        if isinstance(entry, dict)
    )


def _circuit(name: str, entry: dict[str, Any]) -> Circuit:
    max_current_a = positive(entry.get("maxCurrent"))
    current_a = _measured(entry.get("current"))
    if max_current_a is not None and "current" not in entry and "power" in entry:
        current_a = 0.0
    return Circuit(
        name=text(name),
        power_w=_measured(entry.get("power")),
        current_a=current_a,
        max_power_w=positive(entry.get("maxPower")),
        max_current_a=max_current_a,
        parent=text(entry.get("parent")) or None,
        dimmed=truth(entry.get("dimmed")),
        curtailed=truth(entry.get("curtailed")),
    )


def _measured(value: Any) -> float | None:
    real = number(value)
    return real if real is not None and abs(real) <= MOST else None


def grid_currents_from(state: dict[str, Any]) -> tuple[float, float, float] | None:
    """The current of each phase of the connection, positive when importing; None: not measured.

    Some meters know no direction: where the power of each phase is known, it has the sign.
    """
    grid = mapping(state.get("grid"))
    shown = listing(grid.get("currents")) or listing(state.get("gridCurrents"))
    found = [_measured(one) for one in shown]
    known = [one for one in found if one is not None]
    if len(known) != PHASES or len(found) != PHASES:
        return None
    powers = [_measured(one) for one in listing(grid.get("powers"))]
    signs = [one for one in powers if one is not None]
    if len(signs) == PHASES:
        known = [copysign(amps, power) for amps, power in zip(known, signs, strict=True)]
    return known[0], known[1], known[2]
