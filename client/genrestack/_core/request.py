"""What one request consists of: the model asked, the rows, and the metadata beside them."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from genrestack._core.connection.credentials import TokenSource
from genrestack._core.connection.options import ClientOptions
from genrestack._core.inputs.rows import Rows
from genrestack._core.invalid import invalid
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

Priority = Literal["high", "normal"]
Pairs = tuple[tuple[str, str], ...]

AUTHORIZATION_KEY: Final = "authorization"
PRIORITY_KEY: Final = "genrestack-priority"
REQUEST_ID_KEY: Final = "x-request-id"
MAX_NEIGHBORS: Final = 10
"""Nearest training rows that a server names at most."""
_PRIORITIES: Final = ("high", "normal")
# Goes into the server's log lines, and has to be a header's value.
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
# Room for field tags, lengths and the model's name.
_ENVELOPE_BYTES: Final = 512
_NAME_BYTES: Final = 4
_FLOAT_BYTES: Final = 4


@dataclass(frozen=True)
class ModelSpec:
    """Which model is asked, for what, and how the request is marked."""

    model: str = ""
    version: int = 0
    base: bool = False
    metadata: Pairs = ()
    neighbors: int = 0
    novelty: bool = False

    @classmethod
    def of(
        cls,
        model: str | None,
        version: int | None,
        *,
        base: bool = False,
        neighbors: int = 0,
        novelty: bool = False,
        priority: str | None = None,
        request_id: str | None = None,
    ) -> "ModelSpec":
        """Check what a caller gave; None means the server's choice.

        Raises:
            InvalidInput: an empty name, a version below 1, an unknown priority, an id that cannot be sent, or too many
                neighbours.

        """
        if not 0 <= neighbors <= MAX_NEIGHBORS:
            raise invalid("neighbors", f"is {neighbors}; ask for 1 to {MAX_NEIGHBORS}, or 0 for none")
        if model is not None and not model:
            raise invalid("model", "is empty; give a name, or None for the server's default")
        if version is not None and not 1 <= version < 2**32:
            raise invalid("version", f"is {version}; versions count from 1, None is the newest")
        return cls(model or "", version or 0, base, request_pairs(priority, request_id), int(neighbors), novelty)

    @property
    def title(self) -> str:
        """What is asked, as a key: `gtzan/0` is its newest version."""
        return f"{self.model}/{self.version}"

    def pinned(self, model: str, version: int) -> "ModelSpec":
        """Pin the version that answered, so that one input is never answered by two versions."""
        return replace(self, model=model, version=version)


def predict_request(rows: Rows, spec: ModelSpec) -> pb.PredictRequest:
    """Pack rows into one message."""
    return pb.PredictRequest(
        model=spec.model,
        version=spec.version,
        rows=to_matrix(rows.matrix),
        feature_names=rows.names,
        base=spec.base,
        neighbors=spec.neighbors,
        novelty=spec.novelty,
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


def request_pairs(priority: str | None, request_id: str | None) -> Pairs:
    """Metadata that the caller chose for one request.

    Raises:
        InvalidInput: there is no such priority, or the id cannot be sent.

    """
    pairs: Pairs = ()
    if priority is not None:
        if priority not in _PRIORITIES:
            raise invalid("priority", f"is {priority!r}; give 'high' or 'normal'")
        pairs += ((PRIORITY_KEY, priority),)
    if request_id is not None:
        if not _REQUEST_ID.fullmatch(request_id):
            raise invalid("request_id", "is not an id; give 1 to 128 ASCII characters without spaces")
        pairs += ((REQUEST_ID_KEY, request_id),)
    return pairs


def call_pairs(token: TokenSource | None, chosen: Pairs = ()) -> Pairs | None:
    """All metadata of one call; None if there is none."""
    pairs = chosen if token is None else (*chosen, (AUTHORIZATION_KEY, token.header()))
    return pairs + trace_pairs() or None


def trace_pairs() -> Pairs:
    """W3C trace context of the caller's current OpenTelemetry span, if there is one.

    A caller with a span has imported OpenTelemetry, so that it is never imported for this.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ()
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header() if context.trace_state else ""
    return (("traceparent", parent), ("tracestate", state)) if state else (("traceparent", parent),)
