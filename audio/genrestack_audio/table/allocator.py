"""How glibc keeps the memory that features need again and again.

Each window makes and frees arrays of half a megabyte to two. glibc maps such pieces from the system and returns them
when they are freed, so that half of the time goes into page faults. The features' values do not depend on it.
"""

import ctypes
import os
from typing import Final

# Names and numbers of glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_LARGEST_KEPT: Final = 32 * 2**20
"""Bytes of the largest piece that is not mapped: glibc takes no more. Whole recordings' arrays are larger."""
_MOST_KEPT: Final = 128 * 2**20
"""Free bytes that stay with the process."""
_SET_BY_USER: Final = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Make this process keep what it frees, where its allocator is glibc's and nobody has set that in the environment.

    Returns:
        Whether it will.

    """
    if any(name in os.environ for name in _SET_BY_USER) or not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _MOST_KEPT))


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, OSError, ValueError):
        return False
