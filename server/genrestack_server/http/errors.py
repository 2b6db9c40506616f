"""From a status to an error response: the table of HTTP's statuses."""

import math
from collections.abc import Mapping
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2

from genrestack_server.call import REQUEST_ID_KEY, Call
from genrestack_server.errors import InvalidInput, PermissionDenied
from genrestack_server.http.exchange import Response
from genrestack_server.http.json_text import to_json
from genrestack_server.service.status import BY_NUMBER

STATUSES: Final = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""What HTTP calls what gRPC calls so."""
TOO_LARGE: Final = 413
"""RESOURCE_EXHAUSTED that does not pass by itself."""
UNSUPPORTED: Final = 415


class UnsupportedEncoding(InvalidInput):
    """The body is compressed in a way that is not taken."""


class ForeignPage(PermissionDenied):
    """The request was made by a page of another site, in a browser."""


def failure(status: status_pb2.Status, call: Call, unsupported: bool) -> Response:  # noqa: FBT001
    """Return the response that says why a request is not answered.

    Args:
        status: as gRPC's callers get it.
        call: the request.
        unsupported: whether it was an `UnsupportedEncoding`.

    """
    code = BY_NUMBER[status.code]
    number = UNSUPPORTED if unsupported else STATUSES[code]
    document: dict[str, Any] = {"error": status.message, "code": code.name, "request_id": call.request_id}
    headers = id_header(call)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    retry = error_details_pb2.RetryInfo()
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(retry):
            seconds = retry.retry_delay.ToTimedelta().total_seconds()
            document["retry_after"] = seconds
            headers["retry-after"] = str(max(1, math.ceil(seconds)))
        elif detail.Unpack(bad):
            document["violations"] = [{"field": v.field, "description": v.description} for v in bad.field_violations]
    if number == STATUSES[grpc.StatusCode.RESOURCE_EXHAUSTED] and "retry_after" not in document:
        number = TOO_LARGE
    return Response(number, [to_json(document)], headers=headers)


def refusal(status: int, code: grpc.StatusCode, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error response to what is not a call at all."""
    return Response(status, [to_json({"error": text, "code": code.name})], headers=dict(headers or {}))


def id_header(call: Call) -> dict[str, str]:
    """Return the header that tells a request's id, where it fits into one."""
    text = call.request_id
    # A field's value has no blanks around it (RFC 9110, 5.5): uvicorn closes the connection rather than send one.
    fits = text.isascii() and text.isprintable() and text == text.strip()
    return {REQUEST_ID_KEY: text} if fits else {}
