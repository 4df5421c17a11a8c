"""What every test gets: a leak detector for actors and threads."""

import threading
import time
from collections.abc import Iterator

import pykka
import pytest
from hypothesis import settings

# the same cases in every run, on every machine; how long one takes is not a test
settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def nobody_left_behind() -> Iterator[None]:
    """No test may leave an actor or one of our threads alive."""
    before = {thread.ident for thread in threading.enumerate()}
    yield
    left = pykka.ActorRegistry.get_all()
    pykka.ActorRegistry.stop_all(timeout=5)
    assert not left, f"actors left alive: {left}"
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        threads = [
            thread
            for thread in threading.enumerate()
            if thread.ident not in before
            and thread.is_alive()
            and thread.name.startswith(("smartload", "_Seat"))
        ]
        if not threads:
            return
        time.sleep(0.02)
    raise AssertionError(f"threads left alive: {threads}")
