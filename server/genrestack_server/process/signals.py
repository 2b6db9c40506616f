"""Signals and the end of a process: exit status, time to finish, and leaving whatever does not end."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final, NoReturn

from genrestack_server.config.server_config import ServerConfig

Announce = Callable[[Sequence[str]], None]
"""Shows a person the lines that say what is served."""

DRAINED: Final = 0
FORCED: Final = 1
"""Calls were cut off, or the port was lost."""
INTERRUPTED: Final = 130
"""SIGINT before anything was served."""
AT_ONCE_S: Final = 1.0
"""Time to end after a second signal, before the process leaves by force."""
FAREWELL_S: Final = 5.0
"""The same beyond the time for calls in flight; telemetry is sent then."""

_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_GRPC: Final = "grpc/_cython/"
# What was logged and said may still be written; a reader that stopped must not hold up the end.
_FLUSH_S: Final = 2.5


def take_signals(config: ServerConfig, stop: Callable[[signal.Signals], None], reload: Callable[[], None]) -> None:
    """Call `stop` in this event loop for each SIGINT and SIGTERM, `reload` for each SIGHUP.

    From the first one on the process has the time for calls in flight to end, from the second one a second.

    Without certificates or tokens to read again SIGHUP keeps its meaning: a terminal that closes ends what was started
    in it. SIGINT is taken even where it was inherited as ignored, as other servers do: a shell makes background jobs
    ignore it for the sake of the terminal's Ctrl-C, and who sends it to this process means this process.
    """
    loop = asyncio.get_running_loop()
    has_files = config.tls_cert is not None or config.token_file is not None
    # Python runs a signal's handler in the main thread, and not before that returns from what it computes, which may
    # be never. The interpreter also writes the signal's number here at once, and a thread reads it.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (*_SIGNALS, *([signal.SIGHUP] if has_files else [])):
        signal.signal(number, _ignore)
    signal.set_wakeup_fd(writer.fileno())

    def listen() -> None:
        # The other end belongs to the thread, so that it stays open as long as this process.
        within_s = config.grace + FAREWELL_S
        while writer.fileno() >= 0 and (numbers := reader.recv(1)):
            number = signal.Signals(numbers[0])
            if number is signal.SIGHUP:
                _call(loop, reload)
            elif number in _SIGNALS:
                leave_after(within_s)
                within_s = AT_ONCE_S
                _call(loop, partial(stop, number))

    threading.Thread(target=listen, name="signals", daemon=True).start()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Wake the thread of `take_signals`."""


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(work)


def report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log exceptions of tasks that were never retrieved, but not of gRPC's own tasks: those hold callers' bytes.

    The one that matters, the end of the serving task, is logged by `GrpcPort`.
    """
    error = context.get("exception")
    trace = error.__traceback__ if isinstance(error, BaseException) else None
    if trace is None or _GRPC not in trace.tb_frame.f_code.co_filename:
        loop.default_exception_handler(context)


def leave_after(seconds: float) -> None:
    """End this process by force unless it has ended by then, whatever its event loop and other threads do."""
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), _leave_by_force)
    timer.daemon = True
    timer.start()


def _leave_by_force() -> None:
    _log.warning("leaving by force: something under way does not end")
    leave(FORCED)


def leave(status: int) -> NoReturn:
    """End this process without waiting for its threads."""
    last = threading.Timer(_FLUSH_S, os._exit, [status])
    last.daemon = True
    last.start()
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(status)
