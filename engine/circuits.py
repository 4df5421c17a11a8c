"""evcc's circuits: what its load management knows of the house's connection and its branches."""

import msgspec


class Circuit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One circuit. `current_a` is that of its most loaded phase; limits that are not set are None.

    A circuit without a meter shows the sum of its loadpoints. Which loadpoint hangs on which
    circuit is not in evcc's state.
    """

    name: str
    power_w: float | None = None
    current_a: float | None = None
    max_power_w: float | None = None
    max_current_a: float | None = None
    parent: str | None = None
    dimmed: bool = False
    curtailed: bool = False
