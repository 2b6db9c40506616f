"""A server as a process: from start to the signal that ends it."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from genrestack_server.config import ServerConfig
from genrestack_server.server import Server

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(config: ServerConfig, announce: Callable[[Server], None]) -> int:
    """Serve until SIGINT or SIGTERM, drain, and return the exit status; a second signal stops at once.

    Args:
        config: what to serve, and where.
        announce: called once, when the server says SERVING.

    Raises:
        StartError: the server cannot start.

    """
    return asyncio.run(_serve(config, announce))


async def _serve(config: ServerConfig, announce: Callable[[Server], None]) -> int:
    server = Server(config)
    stops: list[asyncio.Task[bool]] = []
    with _stopped_by_signals(server, stops):
        starting, stopped = asyncio.ensure_future(server.start()), asyncio.ensure_future(server.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stops:
            await starting
            announce(server)
        await stopped
        answered = all([await stop for stop in stops])
    if not answered or not starting.done() or server.busy:
        # A run or a load under way cannot be interrupted, and the interpreter would wait for its thread.
        _leave(1 if len(stops) > 1 else 0)
    return 0


@contextmanager
def _stopped_by_signals(server: Server, stops: list[asyncio.Task[bool]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stops.append(loop.create_task(server.stop(grace=0 if stops else None)))

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _leave(status: int) -> None:
    import logging
    import sys

    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
