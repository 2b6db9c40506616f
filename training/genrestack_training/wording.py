"""Lists in messages: all of a short one, the beginning of a long one."""

from collections.abc import Iterable, Sequence


def listed(items: Sequence[object], most: int = 5) -> str:
    """Give `1, 2, 3`, and `1, 2, 3, 4, 5 and 7 more` of a longer one."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in items[:most]) + more


def rows_named(indices: Iterable[int]) -> str:
    """Give `data row 1` or `data rows 1, 2, 3` for row numbers that count from 0; the header is no data row."""
    numbers = [int(index) + 1 for index in indices]
    return f"data row{'s' * (len(numbers) > 1)} {listed(numbers)}"
