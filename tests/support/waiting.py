"""Waiting for what comes about. Nothing depends on how long that takes: the limit only ends a test that hangs."""

import time
from collections.abc import Callable

GUARD_S = 200.0
"""Seconds after which a test is taken to hang, on any machine, however busy; less than pytest's own limit."""


def until(condition: Callable[[], object], what: str = "it does not come about", limit_s: float = GUARD_S) -> None:
    """Wait until something holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)
