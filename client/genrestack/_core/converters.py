"""Requests made from rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from genrestack._core.metadata import Pairs, request_pairs
from genrestack._core.options import ClientOptions
from genrestack._core.rows import Rows, invalid
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

# Room for field tags, lengths and the model's name.
_ENVELOPE_BYTES = 512
_NAME_BYTES = 4
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class ModelSpec:
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
    ) -> "ModelSpec":
        """Check what a caller gave; None means the server's choice.

        Raises:
            InvalidInput: an empty name, a version below 1, an unknown priority, or an id that cannot be sent.

        """
        if model is not None and not model:
            raise invalid("model", "is empty; give a name, or None for the server's default")
        if version is not None and not 1 <= version < 2**32:
            raise invalid("version", f"is {version}; versions count from 1, None is the newest")
        return cls(model or "", version or 0, base, request_pairs(priority, request_id))

    def pinned(self, model: str, version: int) -> "ModelSpec":
        """Ask on where an answer came from, so that one input is never answered by two versions."""
        return replace(self, model=model, version=version)


def predict_request(rows: Rows, spec: ModelSpec) -> pb.PredictRequest:
    """Pack rows into one message."""
    return pb.PredictRequest(
        model=spec.model,
        version=spec.version,
        rows=to_matrix(rows.matrix),
        feature_names=rows.names,
        base=spec.base,
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


def pieces(rows: Rows, start: int, size: int) -> Iterator[tuple[int, Rows]]:
    """Cut the rows from `start` on into pieces of at most `size`, each with the number of its first row."""
    for first in range(start, len(rows), size):
        yield first, Rows(rows.matrix[first : first + size], rows.names)
