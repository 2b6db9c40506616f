"""When a call is tried again: the options, one deadline over the whole, and the waits between its attempts."""

import math
import random
import time
from dataclasses import dataclass

from genrestack._core.invalid import invalid
from genrestack.errors import Cancelled, DeadlineExceeded, GenreStackError, ResourceExhausted, Unavailable


@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """When and how often a call is tried again.

    UNAVAILABLE, of a call that is not a stream, is repeated by gRPC itself, by the service config that the client gives
    it: at once at another server, where there are several. Before the n-th repetition it waits about
    min(`max_backoff`, `initial_backoff` · `multiplier`^(n-1)). gRPC makes five attempts of one call at most; if
    `attempts` is more, the client repeats the call until they are made.

    RESOURCE_EXHAUSTED with RetryInfo (the server's queue is full) is repeated after what the server asked for, and up
    to the wait above on top so that not all callers come back at once; as often as the timeout allows. A stream that
    broke off is taken up again after such waits, too.
    """

    attempts: int = 5
    """Calls made at most, the first included; 1 turns retries off. What a full queue put off is not counted."""
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


class Deadline:
    """A point on the monotonic clock by which everything has to be done."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def remaining(self) -> float | None:
        """Seconds left, None without a limit.

        Raises:
            DeadlineExceeded: none are left.

        """
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"no whole answer within {self.timeout:g} s; give a longer timeout")
        return left

    def allows(self, delay: float) -> bool:
        """Return whether time would be left after `delay` more seconds."""
        return self._end is None or time.monotonic() + delay < self._end


class Attempts:
    """Counts the attempts of one call and says how long to wait before the next.

    Args:
        options: how many, and how far apart.
        deadline: by which the last of them has to be through.

    """

    def __init__(self, options: RetryOptions, deadline: Deadline) -> None:
        self._options = options
        self._deadline = deadline
        self._made = 0
        self._failures = 0

    def delay_after(self, error: GenreStackError, *, made: int = 1) -> float:
        """Seconds to wait before the call is made again.

        Args:
            error: what became of it.
            made: attempts that went into it, where gRPC itself has made some.

        Raises:
            GenreStackError: `error` itself, if repeating the call cannot help or there is no time or attempt left.

        """
        self._failures += 1
        if not is_retryable(error) or self._options.attempts == 1:
            raise error
        if isinstance(error, ResourceExhausted):
            # The server has named the time: it is kept to, and attempts are not counted, which cost it nothing.
            delay = (error.retry_after or 0.0) + random.uniform(0, self._growing())  # noqa: S311 - no secret
        else:
            self._made += made
            if self._made >= self._options.attempts:
                raise error
            delay = max(self._backoff(), getattr(error, "retry_after", None) or 0.0)
        if not self._deadline.allows(delay):
            raise error
        return delay

    def _backoff(self) -> float:
        full = self._growing()
        return random.uniform(full / 2, full)  # noqa: S311 - spreads callers, keeps no secret

    def _growing(self) -> float:
        options = self._options
        # The exponent is bounded so that a patient caller's thousandth attempt does not overflow.
        growth = options.multiplier ** min(self._failures - 1, 64)
        return min(options.max_backoff, options.initial_backoff * growth)


def is_retryable(error: GenreStackError) -> bool:
    """Return whether the same call may succeed later: the server was away or closing, or named a time to come back."""
    if isinstance(error, ResourceExhausted):
        return error.retry_after is not None
    if isinstance(error, Cancelled):
        return error.by_server
    return isinstance(error, Unavailable)


def check_timeout(timeout: float | None) -> None:
    """Raise InvalidInput unless `timeout` is None or a positive, finite number of seconds."""
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise invalid("timeout", f"is {timeout}; give a positive number of seconds, or None for no limit")
