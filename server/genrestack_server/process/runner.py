"""A server as a process: from start to the signal that ends it."""

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
from typing import TYPE_CHECKING, Any, Final, NoReturn

from genrestack_common.text import counted
from genrestack_server.address import is_loopback
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import PortLostError

if TYPE_CHECKING:
    from genrestack_server.server import Server

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


def run(config: ServerConfig, announce: Announce) -> int:
    """Serve until SIGINT or SIGTERM, drain, and return the exit status; a second signal stops at once.

    SIGHUP reads certificates and tokens again, where there are any. A single process does not return: it leaves with
    its exit status, as the interpreter would wait for threads whose run or load never ends.

    Args:
        config: what to serve, and where.
        announce: called once, when the server says SERVING.

    Raises:
        StartError: the server cannot start.

    """
    for line in insecure_bind_warnings(config):
        _log.warning("%s", line)
    if config.workers > 1:
        from genrestack_server.process.supervisor import supervise

        return supervise(config, announce)
    return asyncio.run(_serve(config, announce))


class ServerRunner:
    """A server's way from its start to its end, whoever asks for that."""

    def __init__(self, grace_s: float) -> None:
        """Begin without a server: a stop may be asked for while its libraries are still being imported.

        Args:
            grace_s: seconds for calls in flight.

        """
        self._grace_s = grace_s
        self._server: Server | None = None
        self._stops: list[asyncio.Task[bool]] = []
        self._stopping = self._forced = self._served = self._interrupted = False

    def stop(self, *, at_once: bool = False) -> None:
        """Begin to stop; `at_once` cuts short what is in flight."""
        if self._stopping and not at_once:
            return
        self._stopping = True
        self._forced = self._forced or at_once
        leave_after(AT_ONCE_S if at_once else self._grace_s + FAREWELL_S)
        if self._server is not None:
            stop = self._server.stop(grace=0 if at_once else None)
            self._stops.append(asyncio.get_running_loop().create_task(stop))

    def stop_or_leave(self, number: signal.Signals) -> None:
        """Begin to stop because of a signal; the second time, at once."""
        self._interrupted = number is signal.SIGINT and not self._served
        self.stop(at_once=self._stopping)

    def reload(self) -> None:
        """Have certificates and tokens read again."""
        if self._server is not None:
            self._server.reload()

    async def pass_by(self, server: "Server", serving: Callable[[], None]) -> int:
        """Start, serve, and stop when told to; return the exit status.

        Args:
            server: not started yet.
            serving: called once, when the server says SERVING.

        Raises:
            StartError: the server cannot start.

        """
        self._server = server
        if not self._stopping:
            try:
                await self._serve(server, serving)
            except PortLostError:
                return FORCED
        drained = all([await stop for stop in self._stops])
        if self._forced or not drained:
            return FORCED
        return INTERRUPTED if self._interrupted else DRAINED

    async def _serve(self, server: "Server", serving: Callable[[], None]) -> None:
        starting, stopped = asyncio.ensure_future(server.start()), asyncio.ensure_future(server.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not self._stopping:
            await starting
            self._served = True
            serving()
        await stopped


async def _serve(config: ServerConfig, announce: Announce) -> NoReturn:
    life = ServerRunner(config.grace)
    take_signals(config, life.stop_or_leave, life.reload)
    asyncio.get_running_loop().set_exception_handler(report_unhandled)
    # Takes a second or more, in which a signal may come.
    from genrestack_server.process.runner import startup_banner
    from genrestack_server.server import Server

    server = Server(config)
    leave(await life.pass_by(server, lambda: announce(startup_banner(server))))


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
        signal.signal(number, _heard_elsewhere)
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


def _heard_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """Let the thread of `take_signals` do what there is to do."""


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(work)


def report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what a task raised and nobody took, apart from gRPC's own tasks: those failures hold callers' bytes.

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


if TYPE_CHECKING:
    from genrestack_server.server import Server


def startup_banner(server: "Server") -> list[str]:
    """Say what is served, where, and by what."""
    workers = server.config.workers if server.shares_port else 1
    each = f" in each of {workers} workers" if workers > 1 else ""
    lines = [
        f"serving {served.title} on {server.address} — {served.session.provider}, "
        f"{counted(served.session.threads, 'thread')}{each}"
        for served in server.models
    ]
    lines = lines or [f"serving nothing yet on {server.address}"]
    url = server.telemetry.metrics_url
    return lines if url is None else [*lines, f"metrics on {url}"]


def insecure_bind_warnings(config: ServerConfig) -> list[str]:
    """Say what lies open to whoever reaches the port, and which setting closes it; nothing on loopback."""
    if is_loopback(config.host):
        return []
    lines = []
    where = f"{config.host} is reachable from other machines"
    if config.tls_cert is None:
        what = "requests, answers and tokens" if config.token_file is not None else "requests and answers"
        lines.append(f"{where}, and {what} travel unencrypted; set --tls-cert and --tls-key")
    if config.token_file is None and config.tls_client_ca is None:
        lines.append(f"{where}, and everybody there may ask; set --token-file or --tls-client-ca")
        if config.management == "open":
            lines.append(f"{where}, and everybody there may load and unload models; set --token-file")
    return lines
