"""How fast waiting rows are worked off, and so when it is worth coming back."""

from typing import Final

_LEAST_S: Final = 0.02
_MOST_S: Final = 5.0
_UNKNOWN_S: Final = 1.0
# An execution counts half as much after so many seconds of others.
_HALF_LIFE_S: Final = 5.0


class DrainRate:
    """Rows a second of the latest executions."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._seconds = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """Take note of an execution."""
        kept = 0.5 ** (seconds / _HALF_LIFE_S)
        self._rows = self._rows * kept + rows
        self._seconds = self._seconds * kept + seconds

    def seconds_for(self, rows: int) -> float:
        """Estimate how long so many waiting rows take; between 20 ms and 5 s, and 1 s before anything was computed."""
        if not self._seconds:
            return _UNKNOWN_S
        return min(max(rows * self._seconds / self._rows, _LEAST_S), _MOST_S)
