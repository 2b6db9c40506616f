"""What can go wrong in the server, by meaning; `status.py` says what a caller sees of it.

ServerError
├── StartError                  the server cannot start; one clear line, exit status 2
│   ├── SettingsError           a setting is unknown, or not what it may be
│   ├── CertificateError        the TLS certificate or key cannot be used
│   ├── TokenFileError          the file of tokens cannot be used
│   ├── AddressError            the host or port cannot be listened on
│   └── RepositoryError         the model repository holds nothing that can be served
├── RunEndedError               a run took longer than --max-compute-seconds; INTERNAL to the caller
├── PortLostError               gRPC closed the port, and it cannot be opened again; exit status 1
└── RequestError                a request that is not answered; its text goes to the caller
    ├── Unauthenticated         the caller has no token, or not a known one
    ├── PermissionDenied        the caller may not do this
    ├── InvalidInput            the request contradicts itself or the model; carries the fields at fault
    ├── NotFound                no such model or version
    ├── FailedPrecondition      not as things stand: something has to be changed first
    │   ├── LoadRejected        a version that was to be loaded is invalid
    │   └── NotExplicit         the server looks after its models by itself
    ├── DeadlineExceeded        the deadline has passed
    ├── QueueFull               too many rows wait already; says when to come back
    │   └── TooManyCalls        too many calls are served already
    ├── MessageTooLarge         the message is over the limit once it is decompressed
    └── Unavailable             try again, here or on another server
        ├── StillLoading        models are still being loaded
        ├── Stuck               a run was told to end and does not
        └── Draining            the server is stopping
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ServerError(Exception):
    """Root of the server's own exceptions."""


class StartError(ServerError):
    """The server cannot start; the message is one line for people."""


class SettingsError(StartError):
    """A setting is unknown, or not what it may be; the message names where it was set."""


class CertificateError(StartError):
    """The TLS certificate or key cannot be used."""


class TokenFileError(StartError):
    """The file of tokens cannot be used."""


class AddressError(StartError):
    """The host or port cannot be listened on."""


class RepositoryError(StartError):
    """The model repository holds nothing that can be served."""


class RunEndedError(ServerError):
    """A run was ended because it took longer than it may."""


class PortLostError(ServerError):
    """gRPC closed the port while the server ran, and it cannot be opened again."""


class RequestError(ServerError):
    """A request that is not answered; the message goes to the caller as it is."""


class Unauthenticated(RequestError):
    """The caller has no token, or not a known one."""


class PermissionDenied(RequestError):
    """The caller may not do this."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field of a request."""

    field: str
    """Path of the field, e.g. `rows.raw`, `rows[3].tempo`, `feature_names[2]`."""
    description: str
    """What is wrong and what was expected."""


class InvalidInput(RequestError):
    """The request contradicts itself or the model.

    Attributes:
        violations: the first few things at fault; never empty.
        total: how many there are in all.

    """

    def __init__(self, violations: Sequence[Violation], total: int | None = None) -> None:
        self.violations = tuple(violations)
        self.total = len(self.violations) if total is None else total
        more = f" (and {self.total - 1} more)" if self.total > 1 else ""
        super().__init__(f"{self.violations[0].field}: {self.violations[0].description}{more}")

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidInput":
        """Make the error of a single field."""
        return cls([Violation(field, description)])


class NotFound(RequestError):
    """No such model or version; the message lists what there is."""


class FailedPrecondition(RequestError):
    """Not as things stand; trying again helps only after something was changed."""


class LoadRejected(FailedPrecondition):
    """A version that was to be loaded is invalid; the message names the reason."""


class NotExplicit(FailedPrecondition):
    """Loading and unloading by request is for `explicit` mode; in `poll` mode the repository decides."""


class DeadlineExceeded(RequestError):
    """The caller's deadline passed before the rows were computed."""


class QueueFull(RequestError):
    """Too many rows wait already.

    Attributes:
        retry_after: seconds after which there is likely to be room.

    """

    def __init__(self, message: str, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class TooManyCalls(QueueFull):
    """Too many calls are served already."""


class MessageTooLarge(RequestError):
    """The message is over the limit once it is decompressed."""


class Unavailable(RequestError):
    """Not now; the same request may be answered later or elsewhere."""


class StillLoading(Unavailable):
    """Models are still being loaded, verified and warmed up."""


class Stuck(Unavailable):
    """A run was told to end and does not, and nothing can be computed beside it."""


class Draining(Unavailable):
    """The server is stopping and takes nothing new."""
