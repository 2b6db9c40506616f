"""Requests made from rows, and predictions made from answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from genrestack._invalid import invalid
from genrestack._metadata import Pairs, request_pairs
from genrestack._options import ClientOptions
from genrestack._rows import Rows
from genrestack.errors import ProtocolError
from genrestack.prediction import Prediction
from genrestack_proto.matrix import MatrixError, from_matrix, to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

# Room for field tags, lengths and the model's name.
_ENVELOPE_BYTES = 512
_NAME_BYTES = 4
_FLOAT_BYTES = 4
# Answers of later batches may carry longer labels than the first one's.
_ANSWER_SHARE = 0.8


@dataclass(frozen=True)
class Selection:
    """Which model is asked, for what, and how the request is marked."""

    model: str = ""
    version: int = 0
    base: bool = False
    metadata: Pairs = ()

    @classmethod
    def of(
        cls,
        model: str | None,
        version: int | None,
        *,
        base: bool = False,
        priority: str | None = None,
        request_id: str | None = None,
    ) -> "Selection":
        """Check what a caller gave; None means the server's choice.

        Raises:
            InvalidInput: an empty name, a version below 1, an unknown priority, or an id that cannot be sent.

        """
        if model is not None and not model:
            raise invalid("model", "is empty; give a name, or None for the server's default")
        if version is not None and not 1 <= version < 2**32:
            raise invalid("version", f"is {version}; versions count from 1, None is the newest")
        return cls(model or "", version or 0, base, request_pairs(priority, request_id))

    def pinned(self, answer: pb.PredictResponse) -> "Selection":
        """Ask on where `answer` came from, so that one input is never answered by two versions."""
        return replace(self, model=answer.model, version=answer.version)


def predict_request(rows: Rows, selection: Selection) -> pb.PredictRequest:
    """Pack rows into one message."""
    return pb.PredictRequest(
        model=selection.model,
        version=selection.version,
        rows=to_matrix(rows.matrix),
        feature_names=rows.names,
        base=selection.base,
    )


def rows_per_message(rows: Rows, options: ClientOptions) -> int:
    """How many of these rows fit into one request.

    Raises:
        InvalidInput: not even one does.

    """
    overhead = _ENVELOPE_BYTES + sum(len(name.encode()) + _NAME_BYTES for name in rows.names)
    fitting: int = (options.max_message_bytes - overhead) // (rows.matrix.shape[1] * _FLOAT_BYTES)
    if fitting < 1:
        raise invalid(
            "rows",
            f"of {rows.matrix.shape[1]} features need more than max_message_bytes={options.max_message_bytes} each; "
            "raise it here and --max-message-mib at the server",
        )
    return min(fitting, options.max_message_rows)


def rows_per_answer(answer: pb.PredictResponse, options: ClientOptions) -> int:
    """How many rows may be asked at once so that the answer, judged by a first one, stays within the limit."""
    row_bytes = max(1, answer.ByteSize() // max(1, len(answer.labels)))
    return max(1, int(options.max_message_bytes * _ANSWER_SHARE) // row_bytes)


def pieces(rows: Rows, start: int, size: int) -> Iterator[tuple[int, Rows]]:
    """Cut the rows from `start` on into pieces of at most `size`, each with the number of its first row."""
    for first in range(start, len(rows), size):
        yield first, Rows(rows.matrix[first : first + size], rows.names)


def to_prediction(answers: Sequence[pb.PredictResponse], rows: int) -> Prediction:
    """Join the answers to one input of `rows` rows, in order.

    Raises:
        ProtocolError: an answer contradicts itself, its neighbours or the number of rows.

    """
    first = answers[0]
    blocks = [_decode(answer) for answer in answers]
    labels = [label for answer in answers for label in answer.labels]
    if len(labels) != rows:
        raise ProtocolError(f"{rows} rows were sent, but {len(labels)} labels came back")
    for answer in answers[1:]:
        if (answer.model, answer.version, answer.classes) != (first.model, first.version, first.classes):
            raise ProtocolError("one input was answered by two models; ask for one version")
    return Prediction(
        labels=labels,
        probabilities=_joined([block[""] for block in blocks]),
        classes=tuple(first.classes),
        model=first.model,
        version=first.version,
        base={name: _joined([block[name] for block in blocks]) for name in blocks[0] if name},
    )


def _decode(answer: pb.PredictResponse) -> dict[str, npt.NDArray[np.float32]]:
    """Probabilities by part; the whole stack's under the empty name."""
    shape = (len(answer.labels), len(answer.classes))
    matrices = {"": answer.probabilities} | {part.name: part.probabilities for part in answer.base}
    block = {}
    for name, matrix in matrices.items():
        try:
            block[name] = from_matrix(matrix)
        except MatrixError as error:
            raise ProtocolError(f"the answer's probabilities are broken: {error}") from error
        if block[name].shape != shape:
            raise ProtocolError(f"the answer has probabilities of shape {block[name].shape} where {shape} is due")
    return block


def _joined(blocks: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    # concatenate copies even a single block: callers get an array of their own, which they may write to.
    return np.concatenate(blocks).astype(np.float32, copy=False)
