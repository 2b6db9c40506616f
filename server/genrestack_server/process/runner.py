"""A server as a process: from start to the signal that ends it."""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from genrestack_common.text import counted
from genrestack_server.address import is_loopback
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import PortLostError
from genrestack_server.process.signals import (
    AT_ONCE_S,
    DRAINED,
    FAREWELL_S,
    FORCED,
    INTERRUPTED,
    Announce,
    leave,
    leave_after,
    report_unhandled,
    take_signals,
)

if TYPE_CHECKING:
    from genrestack_server.server import Server

_log = logging.getLogger(__name__)


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
    """The lifecycle of a server, from start to end."""

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
        """Reload certificates and tokens."""
        if self._server is not None:
            self._server.reload()

    async def run(self, server: "Server", serving: Callable[[], None]) -> int:
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
            # What is there now stays; to look through it again and again would stop all calls for tens of milliseconds.
            gc.freeze()
            serving()
        await stopped


async def _serve(config: ServerConfig, announce: Announce) -> NoReturn:
    runner = ServerRunner(config.grace)
    take_signals(config, runner.stop_or_leave, runner.reload)
    asyncio.get_running_loop().set_exception_handler(report_unhandled)
    # Takes a second or more, in which a signal may come.
    from genrestack_server.server import Server

    server = Server(config)
    leave(await runner.run(server, lambda: announce(startup_banner(server))))


def startup_banner(server: "Server") -> list[str]:
    """Return what is served, where, and by what."""
    workers = server.config.workers if server.shares_port else 1
    each = f" in each of {workers} workers" if workers > 1 else ""
    lines = [
        f"serving {served.title} on {server.address} — {served.session.provider}, "
        f"{counted(served.session.threads, 'thread')}{each}"
        for served in server.models
    ]
    lines = lines or [f"serving nothing yet on {server.address}"]
    if server.http_url is not None:
        lines.append(f"HTTP on {server.http_url}")
    url = server.telemetry.metrics_url
    return lines if url is None else [*lines, f"metrics on {url}"]


def insecure_bind_warnings(config: ServerConfig) -> list[str]:
    """Return what is open to anyone who reaches the port, and which setting closes it; nothing on loopback."""
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
