"""What gRPC's own Python code logs, without what callers sent: one line for a kind of trouble in ten seconds.

gRPC logs each value of metadata that is not UTF-8, tokens among them, with a traceback; a caller could fill a disk.
"""

import asyncio
import functools
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from genrestack_common.text import counted

SUMMARY_S: Final = 10.0
"""Time between two lines about one kind."""
_LOGGERS: Final = "grpc"
_BUSIEST: Final = "grpc._cython.cygrpc"
_MAX_KINDS: Final = 50
_MEANT: Final = {"Invalid encoding on": "metadata that is not UTF-8"}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    said: float
    left_out: int = 0


class GrpcLog(logging.Handler):
    """Takes the records of gRPC's loggers, and logs a line of this server's own in their place."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}
        self._mutex = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        self.note(record.msg, record.exc_info[0] if record.exc_info else None)

    def note(self, template: object, error: type[BaseException] | None) -> None:
        """Log what is of a kind that was not logged of late; count it otherwise.

        Args:
            template: the text before anything is filled in, if it is one.
            error: what was raised.

        """
        name, now = (
            _named(template if isinstance(template, str) else "", "" if error is None else error.__name__),
            self._clock(),
        )
        with self._mutex:
            if name not in self._kinds and len(self._kinds) >= _MAX_KINDS:
                name = "others"
            kind = self._kinds.get(name)
            if kind is None or now - kind.said >= SUMMARY_S:
                self._kinds[name] = _Kind(now)
                _log_left_out(name, 0 if kind is None else kind.left_out)
                return
            kind.left_out += 1
            first = kind.left_out == 1
        if first:
            self._summarise_later()

    def summarise(self) -> None:
        """Log how many were left out, of each kind that had its line long enough ago."""
        now = self._clock()
        with self._mutex:
            for name, kind in self._kinds.items():
                if kind.left_out and now - kind.said >= SUMMARY_S:
                    _log_left_out(name, kind.left_out)
                    kind.said, kind.left_out = now, 0

    def _summarise_later(self) -> None:
        try:
            asyncio.get_running_loop().call_later(SUMMARY_S, self.summarise)
        except RuntimeError:
            return  # no event loop here: the next record brings the count


class _Counting(logging.Logger):
    """A logger that makes no records: one for each of five hundred headers of a request would take milliseconds."""

    def _log(self, level: int, msg: object, args: Any, **_: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        for handler in logging.getLogger(_LOGGERS).handlers:
            if isinstance(handler, GrpcLog):
                handler.note(msg, sys.exc_info()[0])


def install() -> None:
    """Install a `GrpcLog` in place of every other handler that gRPC's records would reach, once."""
    logger, busiest = logging.getLogger(_LOGGERS), logging.getLogger(_BUSIEST)
    if not any(isinstance(handler, GrpcLog) for handler in logger.handlers):
        logger.addHandler(GrpcLog())
        logger.propagate = False
        busiest.__class__ = _Counting
        busiest.setLevel(logging.WARNING)


@functools.lru_cache(maxsize=128)
def _named(template: str, error: str) -> str:
    """Name what happened: the text as far as gRPC itself wrote it, and the exception's class."""
    text = re.split(r"[%\[:]", template, maxsplit=1)[0].strip()
    name = _MEANT.get(text, text) or "error"
    return f"{name} ({error})" if error else name


def _log_left_out(name: str, left_out: int) -> None:
    more = f"; {counted(left_out, 'line')} more like this left out" if left_out else ""
    _log.warning("gRPC: %s%s", name, more)
