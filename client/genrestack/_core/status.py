"""From a gRPC status, of a call or of an item in a stream, to the exception that names it."""

from ipaddress import ip_address
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from genrestack._core.connection.options import Peer
from genrestack.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    GenreStackError,
    Internal,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QueueFull,
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
    _Code.FAILED_PRECONDITION: FailedPrecondition,
    _Code.CANCELLED: Cancelled,
    _Code.ABORTED: Cancelled,
}
_NUMBERS: Final = {code.value[0]: code for code in grpc.StatusCode}
DETAILS_KEY: Final = "grpc-status-details-bin"
"""Metadata in which a status travels with its details."""
LONGEST_WAIT: Final = 3600.0
"""Seconds; a server that asks to be left alone for longer, or for less than none, has named no time."""
# Bounds on what a server says of a failure: in a stream, it comes in a message of any size.
_LONGEST_TEXT: Final = 4_000
_MOST_VIOLATIONS: Final = 100
_MOST_DETAILS: Final = 100
_TOO_LARGE: Final = "larger than max"
# gRPC's own words for a connection that failed.
_UNRESOLVED: Final = ("dns resolution failed", "name resolution", "errors resolving", "address lookup failed")
_NOT_CONNECTED: Final = ("failed to connect", "all backends failing")
_TORN: Final = "rst_stream"
_UNHEALTHY: Final = "backend unhealthy"
_CUT: Final = (
    "socket closed", "connection reset", "broken pipe", "goaway", "stream removed", "connection refused", _TORN,
)  # fmt: skip
_NO_GREETING: Final = ("socket closed", "connection reset", "broken pipe", "fd shutdown", "endpoint closing")
_HANDSHAKE: Final = ("handshake failed", "verification check failed", "security handshaker")


def from_rpc_error(error: grpc.RpcError, peer: Peer) -> GenreStackError:
    """Make the exception for a call that failed."""
    # Every RpcError that a call raises is that call itself; the base class just does not say so.
    call = cast(grpc.Call, error)
    return make_error(call.code(), call.details() or "", _rich_status(call), peer)


def from_status(status: status_pb2.Status, peer: Peer) -> GenreStackError:
    """Make the exception for an item of a stream that failed."""
    return make_error(status_code(status.code), status.message, status, peer)


def status_code(number: int) -> grpc.StatusCode:
    """Return a status by its number."""
    return _NUMBERS.get(number, _Code.UNKNOWN)


def code_name(number: int) -> str:
    """Return the name of a status by its number."""
    return status_code(number).name


def make_error(code: grpc.StatusCode, text: str, status: status_pb2.Status | None, peer: Peer) -> GenreStackError:
    """Make the exception for a status; `status` brings the details, if there are any."""
    text = _cut(text)
    kind = Unavailable if is_torn(code, text) else _CLASSES.get(code, Internal)
    if code is _Code.CANCELLED:
        return Cancelled(explain_refusal(text, peer), by_server=True)
    if kind is InvalidInput:
        return InvalidInput(text, _violations(status))
    if kind is Unavailable:
        return Unavailable(explain_unavailable(text, peer), _retry_after(status))
    if kind is ResourceExhausted:
        return _exhausted(text, _retry_after(status))
    if kind is DeadlineExceeded:
        return DeadlineExceeded(
            f"{peer.target} gave no whole answer in time; give a longer timeout, ask fewer rows at once"
            + ("" if peer.local else f", or see whether it runs: genrestack health --server {peer.target}")
        )
    if kind is Internal:
        return Internal(f"{peer.target} failed with {code.name}: {text}")
    return kind(explain_refusal(text, peer) + _next_step(kind, peer))


def _exhausted(text: str, retry_after: float | None) -> ResourceExhausted:
    if retry_after is not None:
        return QueueFull(
            f"{text}; the server asked to be tried again after {retry_after:.3g} s, for which the timeout has to be "
            "long enough: give a longer one, or ask less at once",
            retry_after,
        )
    if _TOO_LARGE in text:
        return ResourceExhausted(f"{text}; raise max_message_bytes here and --max-message-mib at the server")
    return ResourceExhausted(f"{text}; try again later, or ask less at once")


def _next_step(kind: type[GenreStackError], peer: Peer) -> str:
    if kind is Unauthenticated:
        wanted = "a token that is still good" if peer.token else "a token"
        return f"; give {wanted}: token= or token_file=, for commands GENRESTACK_TOKEN or --token-file"
    if kind is PermissionDenied:
        return f"; ask the operator of {peer.target} for a token that may"
    if kind is FailedPrecondition and not peer.local:
        return "; change that first, the same call will not succeed before"
    return ""


def is_too_large(error: GenreStackError) -> bool:
    """Return whether a message was over a size limit, so that smaller ones may pass."""
    if isinstance(error, InvalidInput):
        return any(v.field in {"rows", "rows.shape"} and "the limit is" in v.description for v in error.violations)
    return isinstance(error, ResourceExhausted) and _TOO_LARGE in str(error)


def _rich_status(call: grpc.Call) -> status_pb2.Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(cast(bytes, value))
            except DecodeError:
                return None
    return None


def _violations(status: status_pb2.Status | None) -> list[Violation]:
    detail = error_details_pb2.BadRequest()
    if not _unpack(status, detail):
        return []
    return [Violation(_cut(v.field), _cut(v.description)) for v in detail.field_violations[:_MOST_VIOLATIONS]]


def _retry_after(status: status_pb2.Status | None) -> float | None:
    detail = error_details_pb2.RetryInfo()
    if not _unpack(status, detail):
        return None
    seconds: float = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
    return seconds if 0 <= seconds <= LONGEST_WAIT else None


def _unpack(
    status: status_pb2.Status | None, detail: "error_details_pb2.BadRequest | error_details_pb2.RetryInfo"
) -> bool:
    """Fill in the first detail of this kind; False if there is none, or it is broken."""
    if status is None:
        return False
    try:
        return any(part.Is(detail.DESCRIPTOR) and part.Unpack(detail) for part in status.details[:_MOST_DETAILS])
    except DecodeError:
        return False


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def is_torn(code: grpc.StatusCode, text: str) -> bool:
    """Return whether an INTERNAL is gRPC's own word for an answer that broke off.

    A proxy whose server dies in the middle of an answer can only tear it (RST_STREAM); on a connection without a proxy
    the same is UNAVAILABLE.
    """
    return code is grpc.StatusCode.INTERNAL and _TORN in text.lower()


def says_none_serves(text: str) -> bool:
    """Return whether gRPC's balancing left out every server, and at least the last for what it says of its health."""
    return _UNHEALTHY in text.lower()


def explain_refusal(text: str, peer: Peer) -> str:
    """Explain an answer of HTTP where one of gRPC was due."""
    if "http2 header with status" in text.lower():
        return (
            f"{peer.target} answers in HTTP, not gRPC ({text}); check the address, and whether a proxy "
            "(http_proxy, no_proxy) stands between"
        )
    return text


def explain_unavailable(text: str, peer: Peer) -> str:
    """Explain what happened and what to do about it; the text of a server that did answer is kept as it is."""
    lower = text.lower()
    target = peer.target
    if any(words in lower for words in _HANDSHAKE):
        return _handshake(lower, target)
    if "http/2" in lower or "http1" in lower:
        return f"{target} is not a gRPC server; check the port (genrestack serve says which one it has)"
    if says_none_serves(text):
        return (
            f"none of {target} serves now: they load, stop, have no model, or do not answer; ask each by itself: "
            "genrestack health --server HOST:PORT"
        )
    if any(words in lower for words in _NOT_CONNECTED):
        return _not_connected(lower, peer)
    if any(words in lower for words in _UNRESOLVED):
        return f"the address {target} is not known here; give it as HOST:PORT, such as localhost:50051"
    if any(words in lower for words in _CUT):
        return f"the connection to {target} broke off; see whether it still runs: genrestack health --server {target}"
    return f"{target} is not available: {text}"


def _not_connected(lower: str, peer: Peer) -> str:
    target = peer.target
    if any(words in lower for words in _NO_GREETING):
        # It was there and hung up before a word was said.
        if peer.encrypted:
            return (
                f"{target} broke off the TLS handshake: it most likely wants a certificate of yours that it trusts; "
                "name it: --cert and --key (tls=TLS(cert=..., key=...))"
            )
        return (
            f"{target} takes connections and ends them at once: the server most likely speaks TLS; "
            "add --tls (tls=True), and --ca FILE (tls=TLS(ca=FILE)) if its certificates are your own"
        )
    hint = "" if ":" in target else f"the address has no port, try {target}:50051, or "
    # Of a name with several addresses, gRPC tells what the last one did: nothing answers at ::1, say.
    tls = "" if peer.encrypted or _is_number(target) else "; if one runs there with TLS, add --tls (tls=True)"
    return f"nothing answers at {target}; {hint}start one: genrestack serve models{tls}"


def _is_number(target: str) -> bool:
    host = target.rpartition(":")[0] or target
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _handshake(lower: str, target: str) -> str:
    if "wrong_version_number" in lower:
        return f"{target} speaks no TLS; ask it without: leave out --tls (tls=False)"
    if "expired" in lower:
        return f"the certificate of {target} has expired; the server's operator has to renew it"
    if "not yet valid" in lower:
        return f"the certificate of {target} is not valid yet; check the clocks here and there"
    if "hostname" in lower:
        return (
            f"the certificate of {target} is for another name; ask by that name, or give it: "
            "--server-name NAME (tls=TLS(server_name=NAME))"
        )
    if "certificate_verify_failed" in lower:
        return (
            f"the certificate of {target} comes from nobody who is trusted here; name the authority it comes from: "
            "--ca FILE (tls=TLS(ca=FILE))"
        )
    return f"the TLS handshake with {target} failed; see the server's log for the reason"
