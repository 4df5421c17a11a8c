"""Progress for long work: a bar on a terminal, nothing elsewhere; and Ctrl-C in the midst of it."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SAME_S = 0.5


@contextmanager
def bar(title: str, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """A progress bar on standard error; call what it gives with the share done (0 to 1)."""
    if quiet or not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda share: progress.update(task, completed=share)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C is only noted, so that work ends whole: call what it gives. Another one
    interrupts, unless it is the same one, sent to process and group.
    """
    noted_s: float | None = None

    def note(*_: object) -> None:
        nonlocal noted_s
        if noted_s is not None and time.monotonic() - noted_s > SAME_S:
            raise KeyboardInterrupt
        noted_s = noted_s or time.monotonic()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted_s is not None
    finally:
        signal.signal(signal.SIGINT, before)
