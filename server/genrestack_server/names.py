"""Feature names of a request against the model's: any order is fine, anything else is named."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_common.text import closest, counted, listed, quoted
from genrestack_server.errors import InvalidRequestError, Violation
from genrestack_server.registry import ServedModel

_MAX_VIOLATIONS: Final = 5


def column_order(given: Sequence[str], columns: int, served: ServedModel) -> npt.NDArray[np.intp] | None:
    """Say which given column stands where the model wants it, shape (f,); None if they already stand right.

    Raises:
        InvalidRequestError: a name is unknown, doubled or missing, or there are not as many names as columns.

    """
    if not given:
        return None
    if len(given) != columns:
        text = f"{counted(len(given), 'name')} for {counted(columns, 'column')}; name every column, or none"
        raise InvalidRequestError.of("feature_names", text)
    if tuple(given) == served.feature_names:
        return None
    position = {name: column for column, name in enumerate(given)}
    if len(position) != len(given) or position.keys() != served.feature_positions.keys():
        raise _refusal(given, served)
    return np.array([position[name] for name in served.feature_names], dtype=np.intp)


def _refusal(given: Sequence[str], served: ServedModel) -> InvalidRequestError:
    present = set(given)
    missing = [name for name in served.feature_names if name not in present]
    wrong = _wrong_columns(given, served)
    violations = (
        [Violation("feature_names", f"missing: {listed(map(quoted, missing))}; every feature needs its column")]
        if missing
        else []
    )
    for column, first in islice(wrong, _MAX_VIOLATIONS - len(violations)):
        violations.append(Violation(f"feature_names[{column}]", _described(given[column], first, missing, served)))
    return InvalidRequestError(violations, len(violations) + sum(1 for _ in wrong))


def _wrong_columns(given: Sequence[str], served: ServedModel) -> Iterator[tuple[int, int | None]]:
    """Columns whose name is doubled (with the column it doubles) or unknown (with None)."""
    first: dict[str, int] = {}
    for column, name in enumerate(given):
        if name in first:
            yield column, first[name]
        elif name not in served.feature_positions:
            yield column, None
        first.setdefault(name, column)


def _described(name: str, first: int | None, missing: Sequence[str], served: ServedModel) -> str:
    if first is not None:
        return f"{quoted(name)} is doubled; column {first} already has this name"
    return f"{served.title} has no feature {quoted(name)}{_hint(name, missing)}"


def _hint(name: str, missing: Sequence[str]) -> str:
    close = closest(name, missing)
    return f"; did you mean {quoted(close)}?" if close else "; GetModel lists the features"
