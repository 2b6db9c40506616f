"""Memory that a version had: given back to the system when the version goes."""

import ctypes
import functools
import sys
from typing import Final

# From malloc.h. Blocks of this size or more come from the system and go back to it when they are freed. By itself glibc
# raises the bound to 32 MiB once it has seen such blocks, and then keeps tens of MiB of weights that nobody has.
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 2 * 2**20


def keep_little() -> None:
    """Ask the C library, where it is glibc, to return large blocks as soon as they are freed."""
    if library := _glibc():
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Return what was freed in small blocks, where the C library is glibc."""
    if library := _glibc():
        library.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "malloc_trim") else None
