"""Randomness by name: each thing that is drawn has a stream of its own for each day.

A draw added to one stream shifts no other, and a longer run begins like a shorter one.
"""

from zlib import crc32

import numpy as np


def stream(seed: int, name: str, *keys: int) -> np.random.Generator:
    """The stream `name` of this seed; `keys` (not negative) are for instance a day's number."""
    return np.random.default_rng(np.random.SeedSequence([seed, crc32(name.encode()), *keys]))
