"""The compiled library: whether it is there, and what it offers here."""

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Final

LIBRARY: Final = Path(__file__).parent / "libgenrestack_native.so"
"""What `build.py` compiles."""


@cache
def load_library(path: Path = LIBRARY) -> ctypes.CDLL:
    """Load the library.

    Raises:
        OSError: it is not there, or not for this machine.

    """
    library = ctypes.CDLL(str(path))
    library.genrestack_knn_instruction_sets.restype = ctypes.c_char_p
    return library


def missing(path: Path = LIBRARY) -> str:
    """Return why there is no native operator here; "" if there is."""
    if not path.exists():
        return "it was not compiled when GenreStack was installed (no C compiler, or GENRESTACK_NO_NATIVE was set)"
    try:
        sets = instruction_sets(path)
    except (OSError, AttributeError):
        return "its library cannot be loaded: it was compiled for another machine or an older C library"
    return "" if sets else "this processor has none of its instruction sets"


def instruction_sets(path: Path = LIBRARY) -> tuple[str, ...]:
    """Return the instruction sets that it can use on this processor, the best first.

    Raises:
        OSError: the library cannot be loaded.

    """
    names: bytes = load_library(path).genrestack_knn_instruction_sets()
    return tuple(names.decode().split())


def chosen_instructions() -> str:
    """Return the instruction set that sessions use.

    Raises:
        OSError: the library cannot be loaded.

    """
    return os.environ.get("GENRESTACK_NATIVE_ISA") or instruction_sets()[0]
