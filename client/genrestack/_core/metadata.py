"""What travels beside a request: the token, the priority, the request's id and the caller's trace."""

import re
import sys
from typing import Final, Literal

from genrestack._core.rows import invalid
from genrestack._core.token import TokenSource

Priority = Literal["high", "normal"]
Pairs = tuple[tuple[str, str], ...]

AUTHORIZATION_KEY: Final = "authorization"
PRIORITY_KEY: Final = "genrestack-priority"
REQUEST_ID_KEY: Final = "x-request-id"
_PRIORITIES: Final = ("high", "normal")
# Goes into the server's log lines, and has to be a header's value.
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")


def request_pairs(priority: str | None, request_id: str | None) -> Pairs:
    """Metadata that the caller chose for one request.

    Raises:
        InvalidInput: there is no such priority, or the id cannot be sent.

    """
    pairs: Pairs = ()
    if priority is not None:
        if priority not in _PRIORITIES:
            raise invalid("priority", f"is {priority!r}; give 'high' or 'normal'")
        pairs += ((PRIORITY_KEY, priority),)
    if request_id is not None:
        if not _REQUEST_ID.fullmatch(request_id):
            raise invalid("request_id", "is no id; give 1 to 128 ASCII characters without spaces")
        pairs += ((REQUEST_ID_KEY, request_id),)
    return pairs


def call_pairs(token: TokenSource | None, chosen: Pairs = ()) -> Pairs | None:
    """All metadata of one call; None if there is none."""
    pairs = chosen if token is None else (*chosen, (AUTHORIZATION_KEY, token.header()))
    return pairs + trace_pairs() or None


def trace_pairs() -> Pairs:
    """W3C trace context of the caller's current OpenTelemetry span, if there is one.

    A caller with a span has imported OpenTelemetry, so that it is never imported for this.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ()
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header() if context.trace_state else ""
    return (("traceparent", parent), ("tracestate", state)) if state else (("traceparent", parent),)
