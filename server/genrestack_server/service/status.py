"""From an exception to what a caller sees: the one table, and the one catch-all."""

import logging
import secrets
from datetime import timedelta
from typing import Final

import grpc
from google.rpc import error_details_pb2, status_pb2

from genrestack_common.text import clipped
from genrestack_server.call import Call
from genrestack_server.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidInput,
    MessageTooLarge,
    NotFound,
    PermissionDenied,
    QueueFull,
    RequestError,
    Unauthenticated,
    Unavailable,
)

_log = logging.getLogger(__name__)

CODES: Final[dict[type[RequestError], grpc.StatusCode]] = {
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MessageTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}
"""Error class to status; a subclass has its parent's."""

DETAILS_KEY: Final = "grpc-status-details-bin"
BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}
"""The status code of each number on the wire."""
# A status travels in trailers, of which a peer takes 8 KiB by default: the text percent-encoded (up to threefold), and
# the whole once more in base64.
_MAX_MESSAGE_BYTES: Final = 1000
_MAX_DETAIL_BYTES: Final = 2000
_MAX_FIELD_BYTES: Final = 200
_MAX_TEXT_BYTES: Final = 800


def to_status(error: Exception, call: Call | None = None) -> status_pb2.Status:
    """Return what a caller may know of an error; what is not in the table is INTERNAL, with an id the log has."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return _status(CODES[kind], str(error), _detail(error))
    number = secrets.token_hex(4)
    fields = {} if call is None else {"method": call.method, "request_id": call.request_id}
    _log.error("internal error %s", number, exc_info=error, extra={"fields": fields})
    text = f"internal error {number}; the server's log says more under this id"
    return _status(grpc.StatusCode.INTERNAL, text, None)


def _detail(error: Exception) -> "error_details_pb2.BadRequest | error_details_pb2.RetryInfo | None":
    if isinstance(error, InvalidInput):
        return _bad_request(error)
    if isinstance(error, QueueFull):
        detail = error_details_pb2.RetryInfo()
        detail.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after))
        return detail
    return None


def _bad_request(error: InvalidInput) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=clipped(v.field, _MAX_FIELD_BYTES), description=clipped(v.description, _MAX_TEXT_BYTES)
            )
            for v in error.violations
        ]
    )
    while bad.ByteSize() > _MAX_DETAIL_BYTES and len(bad.field_violations) > 1:
        del bad.field_violations[-1]
    return bad


def _status(
    code: grpc.StatusCode, text: str, detail: "error_details_pb2.BadRequest | error_details_pb2.RetryInfo | None"
) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=clipped(text, _MAX_MESSAGE_BYTES))
    if detail is not None:
        status.details.add().Pack(detail)
    return status
