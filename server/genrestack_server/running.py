"""A server as a process: from start to the signal that ends it."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from genrestack_server.config import ServerConfig
from genrestack_server.exposure import exposures

if TYPE_CHECKING:
    from genrestack_server.server import Server

Announce = Callable[[Sequence[str]], None]
"""Shows a person the lines that say what is served."""

_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(config: ServerConfig, announce: Announce) -> int:
    """Serve until SIGINT or SIGTERM, drain, and return the exit status; a second signal stops at once.

    SIGHUP reads certificates and tokens again, where there are any.

    Args:
        config: what to serve, and where.
        announce: called once, when the server says SERVING.

    Raises:
        StartError: the server cannot start.

    """
    for line in exposures(config):
        _log.warning("%s", line)
    if config.workers > 1:
        from genrestack_server.supervisor import supervise

        return supervise(config, announce)
    return asyncio.run(_serve(config, announce))


class Life:
    """A server's way from its start to its end, whoever asks for that."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._stops: list[asyncio.Task[bool]] = []

    def stop(self, *, at_once: bool = False) -> None:
        """Begin to stop; `at_once` cuts short what is in flight."""
        if at_once or not self._stops:
            stop = self._server.stop(grace=0 if at_once else None)
            self._stops.append(asyncio.get_running_loop().create_task(stop))

    def stop_or_leave(self) -> None:
        """Begin to stop; the second time, at once."""
        self.stop(at_once=bool(self._stops))

    async def pass_by(self, serving: Callable[[], None]) -> bool:
        """Start, serve, and stop when told to.

        Args:
            serving: called once, when the server says SERVING.

        Returns:
            whether nothing was left undone; a run or a load under way cannot be interrupted.

        Raises:
            StartError: the server cannot start.

        """
        server = self._server
        starting, stopped = asyncio.ensure_future(server.start()), asyncio.ensure_future(server.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not self._stops:
            await starting
            serving()
        await stopped
        return all([await stop for stop in self._stops]) and starting.done() and not server.busy

    @property
    def status(self) -> int:
        """Exit status of the process."""
        return 1 if len(self._stops) > 1 else 0


async def _serve(config: ServerConfig, announce: Announce) -> int:
    from genrestack_server.announcing import announcement
    from genrestack_server.server import Server

    server = Server(config)
    life = Life(server)
    with on_signals(life.stop_or_leave, server.reload if has_files(config) else None):
        finished = await life.pass_by(lambda: announce(announcement(server)))
    if not finished:
        # The interpreter would wait for the thread of what is under way.
        leave(life.status)
    return 0


@contextmanager
def on_signals(stop: Callable[[], None], reload: Callable[[], None] | None) -> Iterator[None]:
    """Call `stop` in the event loop for each SIGINT and SIGTERM, `reload` for each SIGHUP.

    Without anything to read again SIGHUP keeps its meaning: a terminal that closes ends what was started in it.
    """
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (*_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)


def has_files(config: ServerConfig) -> bool:
    """Tell whether there are certificates or tokens to read again."""
    return config.tls_cert is not None or config.token_file is not None


def leave(status: int) -> None:
    """End this process without waiting for its threads."""
    import sys

    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
