"""From an exception to what a caller sees: the one table, and the one catch-all."""

import logging
import secrets
from collections.abc import Awaitable
from typing import Any, Final, TypeAlias, TypeVar, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from genrestack_server.errors import (
    DeadlinePassedError,
    InvalidRequestError,
    ModelNotFoundError,
    RequestError,
    UnavailableError,
)
from genrestack_server.text import clipped

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

CODES: Final[dict[type[RequestError], grpc.StatusCode]] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    ModelNotFoundError: grpc.StatusCode.NOT_FOUND,
    DeadlinePassedError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
}
"""Error class to status; a subclass has its parent's."""

DETAILS_KEY: Final = "grpc-status-details-bin"
_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}
# A status travels in trailers, of which a peer takes 8 KiB by default: the text percent-encoded (up to threefold), and
# the whole once more in base64.
_MAX_MESSAGE_BYTES: Final = 1000
_MAX_STATUS_BYTES: Final = 3000
_MAX_FIELD_BYTES: Final = 200
_MAX_TEXT_BYTES: Final = 800


async def outcome(work: Awaitable[_T]) -> "_T | status_pb2.Status":
    """Await an answer; whatever it raises becomes the status that says so."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - the one catch-all: nothing internal may reach a caller
        return to_status(error)


def to_status(error: Exception) -> status_pb2.Status:
    """Say of an exception what a caller may know; anything not in the table is INTERNAL with an id the log carries."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return _status(CODES[kind], str(error), _violations(error))
    number = secrets.token_hex(4)
    _log.error("internal error %s", number, exc_info=error)
    text = f"internal error {number}; the server's log says more under this id"
    return _status(grpc.StatusCode.INTERNAL, text, None)


async def answered(context: Context, work: Awaitable[_T]) -> _T:
    """Await an answer for a call, or end the call with the status and details that say why there is none."""
    result = await outcome(work)
    if isinstance(result, status_pb2.Status):
        await context.abort(_BY_NUMBER[result.code], result.message, ((DETAILS_KEY, result.SerializeToString()),))
    return cast(_T, result)


def _violations(error: Exception) -> error_details_pb2.BadRequest | None:
    if not isinstance(error, InvalidRequestError):
        return None
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=clipped(v.field, _MAX_FIELD_BYTES), description=clipped(v.description, _MAX_TEXT_BYTES)
            )
            for v in error.violations
        ]
    )


def _status(code: grpc.StatusCode, text: str, detail: error_details_pb2.BadRequest | None) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=clipped(text, _MAX_MESSAGE_BYTES))
    if detail is not None:
        while detail.ByteSize() + status.ByteSize() > _MAX_STATUS_BYTES and len(detail.field_violations) > 1:
            del detail.field_violations[-1]
        status.details.add().Pack(detail)
    return status
