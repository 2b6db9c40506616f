"""How much of each song goes into its line, by the width of the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len

_LEAST_NAME: Final = 4
_CELLS: Final = (20, 10)
_RUNNER_UP: Final = len(", ") + len(" >99 %")
# Between the columns, the probability, the time, and the sign of a warning.
_FIXED: Final = 2 + 2 + 5 + 2 + 7 + 2 + 2


@dataclass(frozen=True)
class Layout:
    """Widths of the columns of one line."""

    name: int
    """A longer one stands in a line of its own: cut, it would not be found again."""
    label: int
    cells: int
    """Of the timeline; 0: there is no room for one."""
    runners_up: int

    @classmethod
    def fitting(cls, width: int, names: Sequence[str], classes: Sequence[str]) -> "Layout":
        """Choose what fits: long names before long timelines, timelines before runners-up."""
        longest = max([_LEAST_NAME, *map(cell_len, names)])
        label = max([len("genre"), *map(cell_len, classes)])
        choices = [
            cls(min(longest, name), label, cells, runners_up)
            for name, cells, runners_up in (
                (36, _CELLS[0], 2), (36, _CELLS[1], 2), (36, _CELLS[1], 1), (24, _CELLS[1], 1), (16, _CELLS[1], 1),
                (16, _CELLS[1], 0), (16, 0, 0),
            )
        ]  # fmt: skip
        return next((choice for choice in choices if choice.width <= width), choices[-1])

    @property
    def width(self) -> int:
        """Of the whole line, if every class in it has the longest name."""
        timeline = self.cells + 2 if self.cells else 0
        return self.name + self.label + _FIXED + timeline + self.runners_up * (self.label + _RUNNER_UP)
