"""The nearest training rows as text and as cells."""

from collections.abc import Sequence

from genrestack.cli.terminal import cell
from genrestack.prediction import Neighbor

_FIELDS = ("row", "name", "label", "distance")


def neighbor_text(neighbor: Neighbor) -> str:
    """Return one for a person: its name or number, label and distance."""
    return f"{neighbor.name or f'row {neighbor.row}'} ({neighbor.label}, {neighbor.distance:.3g})"


def neighbor_columns(count: int) -> list[str]:
    """Return the headings of a number of neighbours: `neighbor.1.row`, `neighbor.1.name` …."""
    return [f"neighbor.{number}.{field}" for number in range(1, count + 1) for field in _FIELDS]


def neighbor_cells(neighbors: Sequence[Neighbor], count: int) -> list[object]:
    """Return the cells below these headings; empty where there are fewer."""
    cells: list[object] = []
    for neighbor in neighbors[:count]:
        cells += [neighbor.row, cell(neighbor.name), cell(neighbor.label), neighbor.distance]
    return cells + [""] * (len(_FIELDS) * count - len(cells))
