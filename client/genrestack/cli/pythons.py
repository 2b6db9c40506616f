"""Pythons that TensorFlow, and so training, is not released for."""

import sys
from typing import Final

TENSORFLOW_BELOW: Final = (3, 14)
"""The first Python without a stable TensorFlow; the extra `train` leaves TensorFlow out from there on."""


def without_tensorflow(python: tuple[int, ...] = sys.version_info[:2]) -> str | None:
    """Return what to do where there is no TensorFlow for this Python; None where there is one."""
    if python < TENSORFLOW_BELOW:
        return None
    running = ".".join(map(str, python))
    return f"TensorFlow, which has no stable release for Python {running}: use Python 3.11, 3.12 or 3.13"
