"""Settings of a client, and the value that stands for "not given"."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from genrestack.errors import InvalidInput, Violation

DEFAULT_TARGET: Final = "localhost:50051"
DEFAULT_TIMEOUT: Final = 10.0
DEFAULT_MESSAGE_BYTES: Final = 64 * 1024 * 1024
DEFAULT_MESSAGE_ROWS: Final = 4096
SMALLEST_MESSAGE_BYTES: Final = 4096


class NotGiven(Enum):
    """Type of `NOT_GIVEN`: tells "use the client's own setting" from None."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN

Timeout = float | None | NotGiven


@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """When and how often a call is tried again.

    A call is repeated when the server was UNAVAILABLE, or said by RetryInfo when to come back. The wait before the
    n-th repetition is drawn evenly from [half, whole] of min(`max_backoff`, `initial_backoff` · `multiplier`^(n-1)),
    and is never shorter than what the server asked for.
    """

    attempts: int = 5
    """Calls made at most, the first included; 1 turns retries off."""
    initial_backoff: float = 0.1
    """Seconds."""
    max_backoff: float = 2.0
    """Seconds."""
    multiplier: float = 2.0
    """Growth of the wait from one repetition to the next."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise invalid("retry.attempts", f"is {self.attempts}; give 1 (no retries) or more")
        for name in ("initial_backoff", "max_backoff", "multiplier"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise invalid(f"retry.{name}", f"is {value}; give a positive number")


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What both clients are set up with."""

    target: str = DEFAULT_TARGET
    """HOST:PORT, or any name gRPC can resolve."""
    timeout: float | None = DEFAULT_TIMEOUT
    """Seconds for a whole call, retries included; None: no limit."""
    max_message_bytes: int = DEFAULT_MESSAGE_BYTES
    """Largest message sent or taken; the same number as the server's."""
    max_message_rows: int = DEFAULT_MESSAGE_ROWS
    """Rows in one message at most; larger inputs travel in several."""
    retry: RetryOptions = field(default_factory=RetryOptions)
    """When to try again."""
    channel_options: tuple[tuple[str, str | int], ...] = ()
    """gRPC channel arguments; they win over the client's own."""

    def __post_init__(self) -> None:
        if not self.target:
            raise invalid("target", "is empty; give HOST:PORT")
        check_timeout(self.timeout)
        if self.max_message_bytes < SMALLEST_MESSAGE_BYTES:
            raise invalid("max_message_bytes", f"is {self.max_message_bytes}; give {SMALLEST_MESSAGE_BYTES} or more")
        if self.max_message_rows < 1:
            raise invalid("max_message_rows", f"is {self.max_message_rows}; give 1 or more")


def check_timeout(timeout: float | None) -> None:
    """Raise InvalidInput unless `timeout` is None or a positive, finite number of seconds."""
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise invalid("timeout", f"is {timeout}; give a positive number of seconds, or None for no limit")


def invalid(name: str, complaint: str) -> InvalidInput:
    """Make the error for a setting called `name`."""
    return InvalidInput(f"{name} {complaint}", [Violation(name, complaint)])
