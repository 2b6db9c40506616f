"""From a gRPC status, of a call or of an item in a stream, to the exception that names it."""

from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from genrestack.errors import (
    Cancelled,
    DeadlineExceeded,
    GenreStackError,
    Internal,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unsupported,
    Violation,
)

_Code = grpc.StatusCode
_CLASSES: Final[dict[grpc.StatusCode, type[GenreStackError]]] = {
    _Code.INVALID_ARGUMENT: InvalidInput,
    _Code.OUT_OF_RANGE: InvalidInput,
    _Code.NOT_FOUND: NotFound,
    _Code.UNAVAILABLE: Unavailable,
    _Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    _Code.RESOURCE_EXHAUSTED: ResourceExhausted,
    _Code.UNAUTHENTICATED: Unauthenticated,
    _Code.PERMISSION_DENIED: PermissionDenied,
    _Code.UNIMPLEMENTED: Unsupported,
    _Code.FAILED_PRECONDITION: Unsupported,
    _Code.CANCELLED: Cancelled,
    _Code.ABORTED: Cancelled,
}
_NUMBERS: Final = {code.value[0]: code for code in grpc.StatusCode}
_DETAILS_KEY: Final = "grpc-status-details-bin"
_UNRESOLVED: Final = ("dns resolution failed", "name resolution", "errors resolving", "address lookup failed")
_CUT: Final = ("socket closed", "connection reset", "broken pipe", "goaway", "stream removed", "connection refused")


def from_rpc_error(error: grpc.RpcError, target: str) -> GenreStackError:
    """Name what ended a call."""
    # Every RpcError that a call raises is that call itself; the base class just does not say so.
    call = cast(grpc.Call, error)
    return make_error(call.code(), call.details() or "", _rich_status(call), target)


def from_status(status: status_pb2.Status, target: str) -> GenreStackError:
    """Name what became of one item of a stream."""
    return make_error(_NUMBERS.get(status.code, _Code.UNKNOWN), status.message, status, target)


def make_error(code: grpc.StatusCode, text: str, status: status_pb2.Status | None, target: str) -> GenreStackError:
    """Make the exception for a status; `status` brings the details, if there are any."""
    kind = _CLASSES.get(code, Internal)
    if kind is InvalidInput:
        return InvalidInput(text, _violations(status))
    if kind is Unavailable:
        return Unavailable(_unreachable(text, target), _retry_after(status))
    if kind is ResourceExhausted:
        return ResourceExhausted(text, _retry_after(status))
    if kind is DeadlineExceeded:
        return DeadlineExceeded(
            f"{target} gave no whole answer in time; give a longer timeout, or ask fewer rows at once"
        )
    if kind is Internal:
        return Internal(f"{target} failed with {code.name}: {text}")
    return kind(text)


def is_too_large(error: GenreStackError) -> bool:
    """Tell whether a message was over a size limit, so that smaller ones may pass."""
    if isinstance(error, InvalidInput):
        return any(v.field in {"rows", "rows.shape"} and "the limit is" in v.description for v in error.violations)
    return isinstance(error, ResourceExhausted) and "larger than max" in str(error)


def _unreachable(text: str, target: str) -> str:
    """Say what gRPC's own words for a failed connection mean; the words of whoever did answer stand as they are."""
    lower = text.lower()
    if "http/2" in lower or "http1" in lower:
        return f"what answers at {target} is no gRPC server; check the port (genrestack serve says which one it has)"
    if "failed to connect" in lower:
        hint = "" if ":" in target else f"the address has no port, try {target}:50051, or "
        return f"nothing answers at {target}; {hint}start one: genrestack serve models"
    if any(words in lower for words in _UNRESOLVED):
        return f"the address {target} is not known here; give it as HOST:PORT, such as localhost:50051"
    if any(words in lower for words in _CUT):
        return f"the connection to {target} broke off; see whether it still runs: genrestack health --server {target}"
    return f"{target} is not available: {text}"


def _rich_status(call: grpc.Call) -> status_pb2.Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(cast(bytes, value))
            except DecodeError:
                return None
    return None


def _violations(status: status_pb2.Status | None) -> list[Violation]:
    detail = error_details_pb2.BadRequest()
    return [Violation(v.field, v.description) for v in detail.field_violations] if _unpack(status, detail) else []


def _retry_after(status: status_pb2.Status | None) -> float | None:
    detail = error_details_pb2.RetryInfo()
    if not _unpack(status, detail):
        return None
    seconds: float = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
    return max(0.0, seconds)


def _unpack(
    status: status_pb2.Status | None, detail: "error_details_pb2.BadRequest | error_details_pb2.RetryInfo"
) -> bool:
    if status is None:
        return False
    return any(part.Is(detail.DESCRIPTOR) and part.Unpack(detail) for part in status.details)
