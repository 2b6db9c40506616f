"""How long the suite goes on: a short form inside `make test`, the long one by `make test-hard`."""

import os
from typing import Final

LONG: Final = os.environ.get("GENRESTACK_TEST_HARD") == "1"


def long(short: float, full: float) -> float:
    """Choose between the two forms' seconds or counts."""
    return full if LONG else short


def times(short: int, full: int) -> int:
    """Choose between the two forms' counts."""
    return full if LONG else short
