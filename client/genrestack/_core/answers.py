"""Answers of a server, from bytes: parsed, held to the request and to themselves, and joined to a prediction.

Nothing of an answer is believed before it is checked, since a caller computes with it and shows it to people. The
checks are of whole matrices and cost little beside the call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from genrestack._core.connection.options import ClientOptions
from genrestack._core.neighbors import joined_novelty, read_neighbors, read_novelty
from genrestack._core.request import MAX_NEIGHBORS, ModelSpec
from genrestack.errors import ProtocolError
from genrestack.prediction import Neighbor, Prediction
from genrestack_common.text import quoted
from genrestack_proto.matrix import MatrixError, from_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

SUM_TOLERANCE: Final = 1e-3
"""How far from 1 the probabilities of a row may add up. The server holds its models to the same; exported stacks miss 1
by 6e-7 at most, what float32 and many classes cost is more."""
TIE_TOLERANCE: Final = 1e-6
"""By how much the label's probability may be below the largest: the server chooses the label in float64 and rounds the
probabilities to float32 afterwards, so that equal ones may differ by a few steps."""
MOST_FIELDS: Final = 500_000
LONGEST_NAME: Final = 1_000
"""Characters in the name of a model."""
LONGEST_TEXT: Final = 10_000
"""Characters in any other name."""

# Room for the names of classes, and for 16,384 numbers a row. Empty strings and messages take two bytes on the wire and
# tens in memory, so that the limit on messages alone would let the answer to one row take gigabytes.
_FIXED_BYTES: Final = 2**20
_ROW_BYTES: Final = 2**16
_NUMBER_BYTES: Final = 4
_LONG_BYTES: Final = 2**22
"""The fields of shorter messages are not counted, which takes about a microsecond each."""
# Answers of later messages may carry longer labels than the first one's.
_ANSWER_SHARE: Final = 0.8

_LONGEST_VARINT: Final = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_Parsed = TypeVar("_Parsed", bound=Message)
_Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MessageAnswer:
    """The verified answer to the n rows of one message."""

    model: str
    version: int
    classes: tuple[str, ...]
    label_columns: npt.NDArray[np.intp]
    """Column of each row's label, shape (n,)."""
    probabilities: _Probabilities
    """Shape (n, k); may be read-only."""
    base: Mapping[str, _Probabilities]
    """Each base estimator's, likewise."""
    size: int
    """Bytes it came in."""
    neighbors: tuple[tuple[Neighbor, ...], ...] = ()
    """The nearest training rows of each row, if they were asked for."""
    novelty: npt.NDArray[np.float64] | None = None
    """How far each row is from the training rows, shape (n,); None if the server does not say."""

    def __len__(self) -> int:
        return len(self.label_columns)


def parsed(kind: type[_Parsed], data: bytes, most: int, fields: int = MOST_FIELDS) -> _Parsed:
    """Parse an answer of at most `most` bytes and, where it is long, at most `fields` fields.

    Raises:
        ProtocolError: it is longer, or no such message.

    """
    name = kind.DESCRIPTOR.full_name
    if len(data) > most:
        raise ProtocolError(f"the answer has {len(data):,} bytes, where {name} may have {most:,}")
    if len(data) > _LONG_BYTES and has_more_fields(data, kind.DESCRIPTOR, fields):
        raise ProtocolError(f"the answer has more fields than the {fields:,} that {name} may have")
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ProtocolError(f"cannot parse the answer as {name} ({len(data):,} bytes)") from error


def most_fields(rows: int) -> int:
    """Return how many fields the answer to this many rows may have, if it is long: labels, and names of all kinds."""
    return (2 + MAX_NEIGHBORS) * rows + 100_000


def most_bytes(rows: int) -> int:
    """Return how many bytes the answer to this many rows may have."""
    return _FIXED_BYTES + rows * _ROW_BYTES


def read_answer(data: bytes, rows: int, spec: ModelSpec) -> MessageAnswer:
    """Parse and verify the answer to `rows` rows; raises ProtocolError as `parsed` and `verified` do."""
    return verified(parsed(pb.PredictResponse, data, most_bytes(rows), most_fields(rows)), len(data), rows, spec)


def verified(answer: pb.PredictResponse, size: int, rows: int, spec: ModelSpec) -> MessageAnswer:
    """Verify the answer to `rows` rows, which came in `size` bytes.

    Raises:
        ProtocolError: it contradicts the request or itself.

    """
    if len(answer.labels) != rows:
        raise ProtocolError(f"{rows} rows were sent, but {len(answer.labels)} labels came back")
    _check_source(answer, spec)
    _check_counts(answer, spec, size)
    classes = tuple(answer.classes)
    check_names(classes, "class")
    base = [(part.name, part.probabilities) for part in answer.base]
    check_names([name for name, _ in base], "base estimator")
    columns = _label_columns(answer, classes)
    probabilities = _probabilities(answer.probabilities, rows, classes, "probabilities")
    _check_labels(columns, probabilities, classes)
    return MessageAnswer(
        model=answer.model,
        version=answer.version,
        classes=classes,
        label_columns=columns,
        probabilities=probabilities,
        base={name: _probabilities(part, rows, classes, f"probabilities of {quoted(name)}") for name, part in base},
        size=size,
        neighbors=read_neighbors(answer, rows, spec.neighbors),
        novelty=read_novelty(answer, rows),
    )


def read_prediction(data: bytes, rows: int, spec: ModelSpec) -> Prediction:
    """Parse and verify the answer to all `rows` rows of an input; raises ProtocolError as `read_answer` does."""
    return to_prediction(read_answer(data, rows, spec))


def to_prediction(answer: MessageAnswer) -> Prediction:
    """Return the prediction for an input that one message answers."""
    own = {name: _own(part) for name, part in answer.base.items()}
    return _prediction(answer, answer.label_columns, _own(answer.probabilities), own, answer.neighbors, answer.novelty)


def join_answers(answers: Sequence[MessageAnswer], rows: int) -> Prediction:
    """Join the answers to one input of `rows` rows, in order.

    Raises:
        ProtocolError: they come from different models, or not to as many rows.

    """
    first = answers[0]
    for other in answers[1:]:
        if (other.model, other.version, other.classes) != (first.model, first.version, first.classes):
            raise ProtocolError("one input was answered by two models; ask for one version")
        if list(other.base) != list(first.base):
            raise ProtocolError("one input was answered with different base estimators")
    columns = np.concatenate([answer.label_columns for answer in answers])
    if len(columns) != rows:
        raise ProtocolError(f"{rows} rows were sent, but {len(columns)} labels came back")
    probabilities = _joined([answer.probabilities for answer in answers])
    base = {name: _joined([answer.base[name] for answer in answers]) for name in first.base}
    neighbors = tuple(near for answer in answers for near in answer.neighbors)
    return _prediction(first, columns, probabilities, base, neighbors, joined_novelty(answers))


def rows_per_answer(answer: MessageAnswer, options: ClientOptions) -> int:
    """Return how many rows may be asked at once so that the answer, judged by a first one, stays within the limit."""
    row_bytes = max(1, answer.size // max(1, len(answer)))
    return max(1, int(options.max_message_bytes * _ANSWER_SHARE) // row_bytes)


def check_names(names: Sequence[str], what: str) -> None:
    """Raise ProtocolError unless all names differ and none is endless."""
    if max(map(len, names), default=0) > LONGEST_TEXT:
        raise ProtocolError(f"the answer has a {what} name of more than {LONGEST_TEXT:,} characters")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        again = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ProtocolError(f"the answer has the {what} {quoted(again)} twice")


def check_source(model: str, version: int) -> None:
    """Raise ProtocolError unless this can be the name and version of a model."""
    if not 0 < len(model) <= LONGEST_NAME or not version:
        raise ProtocolError(f"the answer names the model {quoted(model)}, version {version}, which cannot be")


def _check_source(answer: pb.PredictResponse, spec: ModelSpec) -> None:
    check_source(answer.model, answer.version)
    if spec.model not in ("", answer.model) or spec.version not in (0, answer.version):
        raise ProtocolError(
            f"{spec.model}/{spec.version or 'newest'} was asked, but "
            f"{quoted(answer.model)}, version {answer.version}, answered"
        )


def _check_counts(answer: pb.PredictResponse, spec: ModelSpec, size: int) -> None:
    """Refuse classes and base estimators for which there cannot be numbers, before any of them is looked at."""
    if bool(answer.base) != spec.base:
        raise ProtocolError(
            "the base estimators were asked, but none answered" if spec.base else "base estimators answered unasked"
        )
    numbers = len(answer.labels) * len(answer.classes) * (1 + len(answer.base))
    if not 0 < numbers * _NUMBER_BYTES <= size:
        raise ProtocolError(
            f"the answer has {len(answer.classes):,} classes and {len(answer.base):,} base estimators in {size:,} bytes"
        )


def _label_columns(answer: pb.PredictResponse, classes: tuple[str, ...]) -> npt.NDArray[np.intp]:
    column_of = {name: column for column, name in enumerate(classes)}
    try:
        return np.fromiter(map(column_of.__getitem__, answer.labels), np.intp, len(answer.labels))
    except KeyError as error:
        raise ProtocolError(f"the answer has the label {quoted(error.args[0])}, which is none of its classes") from None


def _probabilities(matrix: pb.Matrix, rows: int, classes: tuple[str, ...], what: str) -> _Probabilities:
    try:
        values = from_matrix(matrix)
    except MatrixError as error:
        raise ProtocolError(f"the answer's {what} are broken: {error}") from error
    if values.shape != (rows, len(classes)):
        raise ProtocolError(f"the answer's {what} have shape {values.shape} where {(rows, len(classes))} is due")
    # No probability is above 1 where none is below 0 and the sum is 1. Comparisons with NaN are false. einsum
    # adds up short rows quicker than sum does, and unlike a product without threads.
    with np.errstate(invalid="ignore", over="ignore"):
        if values.min() >= 0:
            total = np.einsum("ij->i", values)
            good = total.min() >= 1 - SUM_TOLERANCE and total.max() <= 1 + SUM_TOLERANCE
        else:
            good = False
    if not good:
        raise _no_distribution(values, what)
    return values


def _no_distribution(values: _Probabilities, what: str) -> ProtocolError:
    with np.errstate(invalid="ignore"):
        total = values.sum(axis=1, dtype=np.float64)
        row = int((~((values >= 0).all(axis=1) & (abs(total - 1) <= SUM_TOLERANCE))).argmax())
    if np.isnan(total[row]):
        return ProtocolError(f"the answer's {what} of row {row} are not all numbers")
    if values[row].min() < 0 or values[row].max() > 1 + SUM_TOLERANCE:
        return ProtocolError(f"the answer's {what} of row {row} are not all between 0 and 1")
    return ProtocolError(f"the answer's {what} of row {row} add up to {total[row]:.6g}, not to 1")


def _check_labels(columns: npt.NDArray[np.intp], probabilities: _Probabilities, classes: tuple[str, ...]) -> None:
    above = probabilities - probabilities[np.arange(len(columns)), columns][:, None]
    if above.max() > TIE_TOLERANCE:
        row = int(above.max(axis=1).argmax())
        likeliest = classes[int(probabilities[row].argmax())]
        raise ProtocolError(
            f"the answer's label of row {row} is {quoted(classes[columns[row]])}, but {quoted(likeliest)} is likelier"
        )


def _prediction(
    source: MessageAnswer,
    columns: npt.NDArray[np.intp],
    probabilities: _Probabilities,
    base: Mapping[str, _Probabilities],
    neighbors: tuple[tuple[Neighbor, ...], ...],
    novelty: npt.NDArray[np.float64] | None,
) -> Prediction:
    labels = np.array(source.classes, dtype=object)[columns].tolist()
    return Prediction(labels, probabilities, source.classes, source.model, source.version, base, neighbors, novelty)


def _own(block: _Probabilities) -> _Probabilities:
    # Callers get an array of their own, which they may write to.
    return np.array(block, dtype=np.float32)


def _joined(blocks: Sequence[_Probabilities]) -> _Probabilities:
    return np.concatenate(blocks).astype(np.float32, copy=False)


# protobuf has descriptors of two types.
def has_more_fields(data: bytes, kind: Any, most: int) -> bool:
    """Return whether a message and those in it have more fields than `most`; one that is broken is for the parser."""
    try:
        return _left(data, 0, len(data), kind, most) < 0
    except IndexError:
        return False


def _left(data: bytes, place: int, end: int, kind: Any, left: int) -> int:
    """Count down from `left`, to -1 at most, for each field between two places."""
    while place < end and left >= 0:
        left -= 1
        tag, place = _varint(data, place)
        wire_type = tag & 7
        if wire_type == _VARINT:
            _, place = _varint(data, place)
        elif wire_type == _BYTES:
            length, place = _varint(data, place)
            field = kind.fields_by_number.get(tag >> 3)
            if field is not None and field.message_type is not None:
                left = _left(data, place, min(place + length, end), field.message_type, left)
            place += length
        elif wire_type in (_FIXED64, _FIXED32):
            place += 8 if wire_type == _FIXED64 else 4
        else:
            raise IndexError("no field begins like this in any message of ours")
    return left


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a number; also return the place behind it."""
    number = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return number, place
    raise IndexError("no number is as long as this")
