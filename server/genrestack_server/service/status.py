"""From an exception to what a caller sees: the one table, and the one catch-all."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

from genrestack_common.text import clipped
from genrestack_server.call import Call
from genrestack_server.errors import (
    DeadlinePassedError,
    InvalidRequestError,
    MessageTooLargeError,
    ModelNotFoundError,
    NotPossibleError,
    PermissionDeniedError,
    QueueFullError,
    RequestError,
    UnauthenticatedError,
    UnavailableError,
)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

CODES: Final[dict[type[RequestError], grpc.StatusCode]] = {
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    ModelNotFoundError: grpc.StatusCode.NOT_FOUND,
    NotPossibleError: grpc.StatusCode.FAILED_PRECONDITION,
    DeadlinePassedError: grpc.StatusCode.DEADLINE_EXCEEDED,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MessageTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
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


async def outcome(work: Awaitable[_T], call: Call | None = None) -> "_T | status_pb2.Status":
    """Await an answer; whatever it raises becomes the status that says so."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - the one catch-all: nothing internal may reach a caller
        return to_status(error, call)


def to_status(error: Exception, call: Call | None = None) -> status_pb2.Status:
    """Say of an exception what a caller may know; anything not in the table is INTERNAL with an id the log carries."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return _status(CODES[kind], str(error), _detail(error))
    number = secrets.token_hex(4)
    fields = {} if call is None else {"method": call.method, "request_id": call.request_id}
    _log.error("internal error %s", number, exc_info=error, extra={"fields": fields})
    text = f"internal error {number}; the server's log says more under this id"
    return _status(grpc.StatusCode.INTERNAL, text, None)


async def answered(context: Context, work: Awaitable[_T]) -> _T:
    """Await an answer for a call, or end the call with the status and details that say why there is none."""
    result = await outcome(work)
    if isinstance(result, status_pb2.Status):
        await end_with(context, result)
    return result


async def end_with(context: Context, status: status_pb2.Status) -> NoReturn:
    """End a call with a status and its details.

    Raises:
        grpc.aio.AbortError: it has ended.
        asyncio.CancelledError: it had ended before: its caller is gone, or gRPC has refused what it sent.

    """
    details = ((DETAILS_KEY, status.SerializeToString()),)
    try:
        await context.abort(BY_NUMBER[status.code], status.message, details)
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


def _detail(error: Exception) -> "error_details_pb2.BadRequest | error_details_pb2.RetryInfo | None":
    if isinstance(error, InvalidRequestError):
        return _bad_request(error)
    if isinstance(error, QueueFullError):
        detail = error_details_pb2.RetryInfo()
        detail.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after))
        return detail
    return None


def _bad_request(error: InvalidRequestError) -> error_details_pb2.BadRequest:
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
