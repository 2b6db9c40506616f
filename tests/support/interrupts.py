"""Processes that Ctrl-C ends, wherever the tests were started from."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Let processes that are started in the block mind SIGINT, even where the tests themselves were told to ignore it.

    A shell starts what runs in the background so (`nohup make test &`), it is inherited, and a Python that inherits it
    installs no handler.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
