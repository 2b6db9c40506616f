"""One line a request: all of them at level debug, a sample at info, what went wrong inside always.

A line holds what a `Call` holds, and that never holds feature values or tokens. Refused requests are counted and told
of together, so that a caller in a loop cannot fill a disk.
"""

import asyncio
import logging
import random
from collections import Counter
from typing import Any, Final

import grpc

from genrestack_common.text import counted
from genrestack_server.call import Call
from genrestack_server.telemetry.observer import Observer

_log = logging.getLogger(__name__)

SUMMARY_S: Final = 10.0
"""Time between two lines about refused requests."""
_INSIDE: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
# What callers send wrongly is theirs to fix; the others may be a matter of this server's.
_CALLERS: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED}
)


class RequestLog(Observer):
    """Logs calls that have ended. Belongs to one event loop."""

    def __init__(self, sample: float) -> None:
        """Log nothing yet.

        Args:
            sample: share of the answered requests that is logged at level info, from 0 to 1.

        """
        self._sample = sample
        self._refused: Counter[grpc.StatusCode] = Counter()
        self._latest = ""
        self._waiting = False

    def call_ended(self, call: Call) -> None:
        """Log it, or count it."""
        if call.code is grpc.StatusCode.OK:
            if _log.isEnabledFor(logging.DEBUG):
                _write(logging.DEBUG, "answered", call)
            elif self._sample and random.random() < self._sample:  # noqa: S311 - a sample, no secret
                _write(logging.INFO, "answered", call)
        elif call.code in _INSIDE:
            _write(logging.ERROR, "failed", call)
        else:
            _write(logging.DEBUG, "not answered", call)
            if call.code is not grpc.StatusCode.CANCELLED:
                self._count(call)

    def _count(self, call: Call) -> None:
        self._refused[call.code] += 1
        self._latest = call.request_id
        if not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(SUMMARY_S, self._next)
            self._summarise()

    def _next(self) -> None:
        self._waiting = False
        if self._refused:
            self._waiting = True
            asyncio.get_running_loop().call_later(SUMMARY_S, self._next)
            self._summarise()

    def _summarise(self) -> None:
        level = logging.INFO if set(self._refused) <= _CALLERS else logging.WARNING
        codes = {code.name: number for code, number in self._refused.most_common()}
        fields = {**codes, "latest_request_id": self._latest} if self._latest else codes
        _log.log(level, "%s refused", counted(self._refused.total(), "request"), extra={"fields": fields})
        self._refused.clear()


def _write(level: int, what: str, call: Call) -> None:
    if _log.isEnabledFor(level):
        _log.log(level, "%s %s", call.method, what, extra={"fields": described(call)})


def described(call: Call) -> dict[str, Any]:
    """Return a call's fields for a log line; times are in milliseconds."""
    found: dict[str, Any] = {"request_id": call.request_id, "code": call.code.name}
    if call.model:
        found |= {"model": call.model, "version": call.version, "rows": call.rows}
    if call.batch_rows:
        found |= {"batch_rows": call.batch_rows, "queue_ms": _ms(call.queued_s), "compute_ms": _ms(call.compute_s)}
    if call.ended:
        found["total_ms"] = _ms(call.ended - call.began)
    if call.traceparent:
        found["traceparent"] = call.traceparent
    return found


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
