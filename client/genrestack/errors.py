"""Every exception of the client, each named by what it means to the caller.

GenreStackError
├── InvalidInput          rows or a setting at fault; also a ValueError
├── ClientClosed          the client was used after close(); also a RuntimeError
└── ServiceError          the call failed
    ├── NotFound          no such model or version; also a LookupError
    ├── Unavailable       nothing answers, or the server is stopping; also a ConnectionError
    ├── DeadlineExceeded  the timeout passed first; also a TimeoutError
    ├── ResourceExhausted the server is at a limit, or a message is over one
    │   └── QueueFull     its queue is full; it said when to come back
    ├── Unauthenticated   no token, or one the server does not know
    ├── PermissionDenied  a token that may not do this
    ├── FailedPrecondition something has to change first, at the server or in what is asked
    ├── Unsupported       the server does not offer this call
    ├── Cancelled         the call was ended
    ├── ProtocolError     an answer that contradicts the request or itself
    └── Internal          the server failed; its log has the reason
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "Cancelled",
    "ClientClosed",
    "DeadlineExceeded",
    "FailedPrecondition",
    "GenreStackError",
    "Internal",
    "InvalidInput",
    "NotFound",
    "PermissionDenied",
    "ProtocolError",
    "QueueFull",
    "ResourceExhausted",
    "ServiceError",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "Violation",
]


class Violation(NamedTuple):
    """One thing that is wrong with the input."""

    field: str
    """Path of the field at fault, as in the request: `rows`, `feature_names`, `rows[3].tempo` …"""
    description: str
    """What is wrong with it, for a person."""


class GenreStackError(Exception):
    """Root of everything this package raises on purpose."""


class InvalidInput(GenreStackError, ValueError):
    """Rows, names or a setting that cannot be used, found here or by the server.

    Attributes:
        violations: each fault by field, the first ones if there are many.

    """

    def __init__(self, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.violations: tuple[Violation, ...] = tuple(violations)


class ClientClosed(GenreStackError, RuntimeError):
    """The client was closed before this call."""


class ServiceError(GenreStackError):
    """The call reached for the server and failed."""


class NotFound(ServiceError, LookupError):
    """No model or version of that name is ready; the message lists what there is."""


class _Postponable(ServiceError):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(_Postponable, ConnectionError):
    """Nothing answers at the address, or the server is starting or stopping.

    Attributes:
        retry_after: seconds after which the server asked to be tried again, if it did.

    """


class DeadlineExceeded(ServiceError, TimeoutError):
    """The timeout passed before the answer was whole."""


class ResourceExhausted(_Postponable):
    """The server's queue is full, or a message is over a size limit.

    Attributes:
        retry_after: seconds after which the server asked to be tried again, if it did.

    """


class QueueFull(ResourceExhausted):
    """The server's queue was full until the timeout left no time to come back once more."""


class Unauthenticated(ServiceError):
    """The server wants a token and got none that it knows."""


class PermissionDenied(ServiceError):
    """The server knows the caller and refuses this call."""


class FailedPrecondition(ServiceError):
    """The call cannot be answered as things stand; the message says what has to change first."""


class Unsupported(ServiceError):
    """The server does not offer this call."""


class Cancelled(ServiceError):
    """The call was ended by the caller's side or by the server.

    Attributes:
        by_server: whether it was the other side: a server or proxy that closes does so to calls that arrive meanwhile.

    """

    def __init__(self, message: str, *, by_server: bool = False) -> None:
        super().__init__(message)
        self.by_server = by_server


class ProtocolError(ServiceError):
    """The answer contradicts the request or itself: server and client do not fit together."""


class Internal(ServiceError):
    """The server failed in a way that is not the caller's doing."""
