"""Is this request one the model can answer? Pure functions from a message to rows, or to the fields at fault."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_bundle import MAX_NEIGHBORS
from genrestack_common.text import closest, counted, listed, quoted
from genrestack_proto.matrix import FloatMatrix, MatrixError, from_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server.config.server_config import MIB, ServerConfig
from genrestack_server.errors import FailedPrecondition, InvalidInput, Violation
from genrestack_server.models.registry import ServedModel

MAX_VIOLATIONS: Final = 5
"""Maximum number of problems described; the total is always given."""
# Names are compared with the model's where there may be about as many; of more, their number is all there is to say.
_COLUMNS_WORTH_NAMING: Final = 2
_NOVELTY_BYTES: Final = 8


def check_request(request: PredictRequest, served: ServedModel, config: ServerConfig) -> FloatMatrix:
    """Turn a request into rows in the model's own column order, float32 of shape (n, f), contiguous.

    They are finite, or NaN in columns where the model accepts missing values.

    Raises:
        InvalidInput: naming every field at fault, the first few in detail.
        FailedPrecondition: nearest training rows are asked for, and the model cannot find them.

    """
    columns = _check_size(request, config)
    check_neighbors(request.neighbors, served)
    names = request.feature_names
    if not names or columns > _COLUMNS_WORTH_NAMING * len(served.feature_names):
        check_columns(columns, served, "rows.shape")
    order = column_order(names, columns, served)
    if order is None:
        check_columns(columns, served, "rows.shape")
    bytes_a_row = served.bytes_a_row[request.base] + request.neighbors * served.neighbor_bytes
    bytes_a_row += _NOVELTY_BYTES * served.measures_novelty
    check_answer_bytes(request.rows.shape[0] * bytes_a_row, "rows.shape", config)
    rows = _unpack(request)
    check_finite(rows, names or served.feature_names, served.missing_features)
    return rows if order is None else np.ascontiguousarray(rows[:, order])


def check_neighbors(count: int, served: ServedModel) -> None:
    """Refuse a number of nearest training rows that cannot be answered.

    Raises:
        InvalidInput: it is too large.
        FailedPrecondition: the model's bundle has no neighbours part.

    """
    if count > MAX_NEIGHBORS:
        raise InvalidInput.of("neighbors", f"{count} were asked for; ask for {MAX_NEIGHBORS} at most, 0 for none")
    if count and served.search is None:
        raise FailedPrecondition(
            f"{served.title} cannot name nearest training rows: its bundle has no neighbours part; export the model "
            "with --neighbors, or ask without neighbors"
        )


def check_bytes(size: int, config: ServerConfig) -> None:
    """Refuse a message of more bytes than the limit.

    Raises:
        InvalidInput: naming the setting.

    """
    if size > config.max_message_mib * MIB:
        raise InvalidInput.of(
            "rows",
            f"the request has {size / MIB:.1f} MiB, the limit is {config.max_message_mib} MiB (--max-message-mib); "
            "send fewer rows at a time",
        )


def check_answer(probabilities: npt.NDArray[np.float32]) -> None:
    """Refuse to answer NaN: finite values can still overflow inside a model when they are absurdly large.

    Raises:
        InvalidInput: naming the rows for which the model has no finite answer.

    """
    finite = np.isfinite(probabilities)
    if finite.all():
        return
    bad = np.flatnonzero(~finite.all(axis=1))
    text = "the model has no finite answer for this row; its values are far outside anything it was trained on"
    raise InvalidInput([Violation(f"rows[{row}]", text) for row in bad[:MAX_VIOLATIONS].tolist()], len(bad))


def check_row_count(rows: int, field: str, config: ServerConfig) -> None:
    """Refuse no rows, and more rows than the limit.

    Raises:
        InvalidInput: naming `field`.

    """
    if rows == 0:
        raise InvalidInput.of(field, "there are no rows: the first number is 0; send at least one row")
    if rows > config.max_rows:
        raise InvalidInput.of(
            field,
            f"{counted(rows, 'row')} in one request, the limit is {config.max_rows:,} (--max-rows); "
            "send fewer at a time",
        )


def check_columns(columns: int, served: ServedModel, field: str) -> None:
    """Refuse another number of columns than the model's.

    Raises:
        InvalidInput: naming `field`.

    """
    expected = len(served.feature_names)
    if columns != expected:
        raise InvalidInput.of(
            field,
            f"{counted(columns, 'column')}, but {served.title} takes {expected} "
            f"({_ends(served.feature_names)}); GetModel lists them",
        )


def check_answer_bytes(size: int, field: str, config: ServerConfig) -> None:
    """Bound the answer too: many classes and every base estimator make it larger than its request.

    Raises:
        InvalidInput: naming `field` and the setting.

    """
    if size > config.max_message_mib * MIB:
        raise InvalidInput.of(
            field,
            f"the answer would have {size / MIB:.1f} MiB, the limit is {config.max_message_mib} MiB "
            "(--max-message-mib); send fewer rows at a time",
        )


def check_finite(rows: FloatMatrix, names: Sequence[str], may_miss: Collection[str] = ()) -> None:
    """Refuse values that are not finite numbers.

    Args:
        rows: shape (n, f).
        names: of the f columns.
        may_miss: names of those in which NaN stands for a missing value.

    Raises:
        InvalidInput: naming row and feature of the first few.

    """
    finite = np.isfinite(rows)
    if finite.all():
        return
    if may_miss:
        finite |= np.isnan(rows) & np.array([name in may_miss for name in names])
        if finite.all():
            return
    found = list(islice(_not_finite(rows, finite, names), MAX_VIOLATIONS))
    raise InvalidInput(found, finite.size - int(np.count_nonzero(finite)))


def _check_size(request: PredictRequest, config: ServerConfig) -> int:
    """Check what can be told without unpacking; return the number of columns."""
    if not request.HasField("rows"):
        raise InvalidInput.of("rows", "there are none; send float32 as rows.raw (little-endian) or as rows.values")
    shape = request.rows.shape
    if len(shape) != 2:
        raise InvalidInput.of("rows.shape", f"expected two numbers, (rows, columns), but there are {len(shape)}")
    check_row_count(shape[0], "rows.shape", config)
    return shape[1]


def _unpack(request: PredictRequest) -> FloatMatrix:
    try:
        return from_matrix(request.rows)
    except MatrixError as error:
        raise InvalidInput.of(f"rows.{error.field}", str(error)) from error


def _not_finite(rows: FloatMatrix, finite: npt.NDArray[np.bool_], names: Sequence[str]) -> Iterator[Violation]:
    for row in map(int, np.flatnonzero(~finite.all(axis=1))):
        for column in map(int, np.flatnonzero(~finite[row])):
            what = "NaN" if np.isnan(rows[row, column]) else "infinite (or too large for float32)"
            yield Violation(
                f"rows[{row}].{names[column]}",
                f"feature {names[column]!r} of row {row} is {what}; correct it or leave the row out",
            )


def _ends(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]}, … {names[-1]}"


def column_order(given: Sequence[str], columns: int, served: ServedModel) -> npt.NDArray[np.intp] | None:
    """Return which given column stands where the model wants it, shape (f,); None if they already stand right.

    Raises:
        InvalidInput: a name is unknown, doubled or missing, or there are not as many names as columns.

    """
    if not given:
        return None
    if len(given) != columns:
        text = f"{counted(len(given), 'name')} for {counted(columns, 'column')}; name every column, or none"
        raise InvalidInput.of("feature_names", text)
    if tuple(given) == served.feature_names:
        return None
    position = {name: column for column, name in enumerate(given)}
    if len(position) != len(given) or position.keys() != served.feature_positions.keys():
        raise _refusal(given, served)
    return np.array([position[name] for name in served.feature_names], dtype=np.intp)


def _refusal(given: Sequence[str], served: ServedModel) -> InvalidInput:
    present = set(given)
    missing = [name for name in served.feature_names if name not in present]
    wrong = _wrong_columns(given, served)
    violations = (
        [Violation("feature_names", f"missing: {listed(map(quoted, missing))}; every feature needs its column")]
        if missing
        else []
    )
    for column, first in islice(wrong, MAX_VIOLATIONS - len(violations)):
        violations.append(Violation(f"feature_names[{column}]", _described(given[column], first, missing, served)))
    return InvalidInput(violations, len(violations) + sum(1 for _ in wrong))


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
        return f"duplicate feature name {quoted(name)} (also column {first})"
    return f"{served.title} has no feature {quoted(name)}{_hint(name, missing)}"


def _hint(name: str, missing: Sequence[str]) -> str:
    close = closest(name, missing)
    return f"; did you mean {quoted(close)}?" if close else "; GetModel lists the features"
