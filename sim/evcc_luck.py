"""What evcc leaves to chance: how late in a cycle it reads the clock (evcc-regulator.md §8).

A delay that is a multiple of the cycle ends in one cycle or the next by these milliseconds.
"""

from collections.abc import Sequence

from sim.streams import stream

READ_S = 0.005
DRAWS = 4093
"""A prime, so that cycles of whole seconds use them all."""


class Luck:
    """Drawn by the time of the cycle, not by their order: who asks how often does not matter.

    `seeds`: (from so many seconds on, seed), in order of time; the first begins at 0.
    """

    def __init__(self, seeds: Sequence[tuple[float, int]]) -> None:
        self.seeds = tuple(seeds)
        self._tables = [
            (since_s, (stream(seed, "evcc").random(DRAWS) * READ_S).tolist())
            for since_s, seed in reversed(self.seeds)
        ]

    def read_s(self, at_s: float) -> float:
        """How long after `at_s` the clock is read in the cycle that begins then."""
        table = next(table for since_s, table in self._tables if at_s >= since_s)
        drawn_s: float = table[round(at_s * 100.0) % DRAWS]
        return drawn_s

    def until(self, at_s: float, seed: int) -> "Luck":
        """The same luck until `at_s`, another afterwards."""
        kept = [(since_s, kept) for since_s, kept in self.seeds if since_s < at_s]
        return Luck([*kept, (at_s, seed)] if kept else [(0.0, seed)])
