"""What there is to know of one call."""

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import grpc

from genrestack_common.text import quoted
from genrestack_server.errors import InvalidInput

REQUEST_ID_KEY: Final = "x-request-id"
TRACE_KEY: Final = "traceparent"
PRIORITY_KEY: Final = "genrestack-priority"
PRIORITIES: Final = {"high": True, "normal": False}
"""What the metadata may say, and whether that is the high priority."""
# A caller's own id goes into every log line of its request.
_MAX_REQUEST_ID: Final = 128


class CallContext(Protocol):
    """What is read of a transport's own context."""

    def time_remaining(self) -> Any:
        """Seconds until the caller's deadline; None: never."""

    def invocation_metadata(self) -> Iterable[Any] | None:
        """Pairs of key and value."""


@dataclass(slots=True)
class Call:
    """One request from its arrival to its answer: a unary call, or one item of a stream. Times are monotonic seconds.

    A front end makes it, the core fills it in, and observers read it when it has ended. It never holds feature
    values or tokens.
    """

    method: str
    """The RPC's own name: `Predict`, `PredictStream`, `ModelInfer` …."""
    request_id: str = ""
    """The caller's (metadata `x-request-id`), or made here."""
    traceparent: str | None = None
    """W3C trace context from the caller's metadata."""
    deadline: float | None = None
    """The deadline on the monotonic clock; None: never."""
    high_priority: bool = False
    """The upper of the two priorities."""
    backpressured: bool = False
    """Waits for room in a full queue in place of failing: an item of a stream, whose sender is slowed down by that."""
    began: float = field(default_factory=time.monotonic)
    model: str = ""
    version: int = 0
    rows: int = 0
    admitted: float = 0.0
    """Moment at which its rows joined the queue; 0: they never did."""
    queued_s: float = 0.0
    """Time between admission and the start of the (first) batch that computed its rows."""
    compute_s: float = 0.0
    """Time to run the batch(es) it took part in."""
    batch_rows: int = 0
    """Rows of the last batch it took part in."""
    ended: float = 0.0
    code: grpc.StatusCode = grpc.StatusCode.OK

    def read_context(self, context: CallContext) -> None:
        """Read deadline, priority, request id and trace context from what the transport knows of the call.

        Raises:
            InvalidInput: there is no such priority.

        """
        remaining = cast("float | None", context.time_remaining())
        self.deadline = None if remaining is None else self.began + remaining
        priority: str | None = None
        for key, value in context.invocation_metadata() or ():
            if key == REQUEST_ID_KEY:
                self.request_id = str(value)[:_MAX_REQUEST_ID]
            elif key == TRACE_KEY:
                self.traceparent = str(value)
            elif key == PRIORITY_KEY:
                priority = str(value)
        if not self.request_id:
            self.request_id = new_request_id()
        if priority is not None:
            self.high_priority = is_high_priority(priority)

    def next_item(self) -> "Call":
        """Return the call of a stream's next item: it begins now, all else is the stream's."""
        return Call(
            self.method,
            request_id=self.request_id,
            traceparent=self.traceparent,
            deadline=self.deadline,
            high_priority=self.high_priority,
            backpressured=True,
        )

    def is_late(self) -> bool:
        """Return whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def new_request_id() -> str:
    """Make an id that no other request has, in all likelihood: 16 hexadecimal digits."""
    return f"{random.getrandbits(64):016x}"


def is_high_priority(priority: str) -> bool:
    """Return whether a priority is the upper one.

    Raises:
        InvalidInput: it is neither.

    """
    high_priority = PRIORITIES.get(priority)
    if high_priority is None:
        text = f"there is no priority {quoted(priority)}; use one of: {', '.join(PRIORITIES)}"
        raise InvalidInput.of(PRIORITY_KEY, text)
    return high_priority
