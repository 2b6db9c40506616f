"""The gRPC server on its port, rebuilt in place when gRPC ends it.

grpc.aio accepts calls in one task. An exception in that task closes the port for good, while the process lives on:
grpcio 1.84 and 1.85 raise one for a request whose path is not UTF-8. Here it does not matter what ended the task.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from grpc import aio

from genrestack_server.errors import AddressError, PortLostError

_log = logging.getLogger(__name__)

# gRPC reports the end only after the last call in flight, unless it is asked with a timeout.
_POLL_S: Final = 0.05
# The least time from one rebuild to the next, so that a caller who provokes them cannot occupy a core.
_PAUSE_S: Final = 0.02
# Another program may hold the port for a moment.
_PATIENCE_S: Final = 5.0
# Ended servers that may still finish their calls; a caller could otherwise pile them up.
_ENDED_MAX: Final = 8
_SUMMARY_S: Final = 10.0


class GrpcPort:
    """Keeps a gRPC server on a port from `start` to `stop`. Belongs to one event loop.

    A server whose serving task has ended finishes its calls in flight beside the server that replaces it.
    """

    def __init__(
        self,
        bind: Callable[[], aio.Server],
        *,
        grace_s: float,
        changed: Callable[[bool], None],
        rebuilt: Callable[[], None],
        lost: Callable[[PortLostError], None],
    ) -> None:
        """Bind nothing yet.

        Args:
            bind: returns a server that has the port and is not started; raises AddressError if it cannot have it.
            grace_s: seconds for the calls in flight on a server that has ended.
            changed: called with False when the port is down, and with True when it is open again.
            rebuilt: called after each rebuild.
            lost: called when the port could not be opened again; nothing more is tried.

        """
        self.down = False
        """Whether gRPC has closed the port and it is not open again."""
        self._bind = bind
        self._grace_s = grace_s
        self._changed = changed
        self._rebuilt = rebuilt
        self._lost = lost
        self._server: aio.Server | None = None
        self._ended: dict[aio.Server, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._summary = _Summary()

    async def start(self) -> None:
        """Listen.

        Raises:
            AddressError: the port cannot be listened on.

        """
        server = self._server = self._bind()
        await server.start()
        self._watching = asyncio.create_task(self._watch(server))

    async def stop(self, grace_s: float) -> None:
        """Close the port, and cancel the calls in flight after this many seconds; a later call may give fewer."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        servers = [*self._ended, *([] if self._server is None else [self._server])]
        await asyncio.gather(*(_stop(server, grace_s) for server in servers))
        self._summary.close()

    async def _watch(self, server: aio.Server) -> None:
        try:
            while True:
                why = await _end(server)
                # Up to Python 3.11 a cancellation is lost that comes in the moment in which the server ends.
                if self._stopping:
                    return
                self._retire(server)
                self._set_down(True)
                server = await self._rebuild()
                self._set_down(False)
                self._rebuilt()
                self._summary.add(why)
                await asyncio.sleep(_PAUSE_S)
        except PortLostError as error:
            self._lost(error)

    async def _rebuild(self) -> aio.Server:
        last_moment = time.monotonic() + _PATIENCE_S
        while True:
            try:
                server = self._server = self._bind()
                await server.start()
            except AddressError as error:
                if time.monotonic() > last_moment:
                    raise PortLostError(f"gRPC closed the port, and it cannot be opened again: {error}") from error
                await asyncio.sleep(_POLL_S)
            except Exception as error:
                raise PortLostError(f"gRPC closed the port, and no other server starts: {error!r}") from error
            else:
                return server

    def _retire(self, server: aio.Server) -> None:
        self._server = None
        grace_s = self._grace_s if len(self._ended) < _ENDED_MAX else 0.0
        stopping = self._ended[server] = asyncio.create_task(_stop(server, grace_s))
        stopping.add_done_callback(lambda _: self._ended.pop(server, None))

    def _set_down(self, down: bool) -> None:  # noqa: FBT001
        self.down = down
        self._changed(not down)


async def _end(server: aio.Server) -> str:
    """Wait until a server accepts no more calls; return the name of what ended it."""
    try:
        while await server.wait_for_termination(_POLL_S):
            pass
    except Exception as error:  # noqa: BLE001 - whatever it is, the port is closed
        return type(error).__name__
    return "stopped"


async def _stop(server: aio.Server, grace_s: float) -> None:
    """Stop a server; the first attempt may raise what ended its serving task, and then releases nothing."""
    try:
        await server.stop(grace_s)
    except Exception:  # noqa: BLE001 - raised by gRPC's own task, and reported when the port is open again
        await server.stop(grace_s)


class _Summary:
    """Logs at most one line about rebuilds in ten seconds."""

    def __init__(self) -> None:
        self._count = 0
        self._why = ""
        self._next: asyncio.TimerHandle | None = None

    def add(self, why: str) -> None:
        """Log a rebuild, now or with those of the next seconds."""
        self._count += 1
        self._why = why
        if self._next is None:
            self._write()

    def close(self) -> None:
        """Log what was not logged yet."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._log()

    def _write(self) -> None:
        self._next = asyncio.get_running_loop().call_later(_SUMMARY_S, self._write) if self._count else None
        self._log()

    def _log(self) -> None:
        if self._count:
            times = "" if self._count == 1 else f" {self._count:,} times"
            _log.warning("gRPC closed the port%s (%s); it is open again", times, self._why)
        self._count = 0
