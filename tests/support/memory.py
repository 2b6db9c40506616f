"""Memory that a test may take."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def memory(left: int) -> Iterator[None]:
    """Let this process have so much more memory and no more: what is refused later than it should be fails for real."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
