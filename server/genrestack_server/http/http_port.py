"""The HTTP port: accepts connections in the event loop of the gRPC server, up to a limit, and ends with it."""

import asyncio
import errno
import logging
import socket
import ssl
from functools import partial
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from genrestack_server.address import HTTP, open_listeners
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.http.connection import Connection
from genrestack_server.security.tls import Certificates

_log = logging.getLogger(__name__)

# As gRPC has it.
_HEAD_BYTES: Final = 16 * 1024
_HANDSHAKE_WITHIN_S: Final = 20.0
# A connection without a request.
_IDLE_S: Final = 300
# While no descriptor is left, the connections that wait are looked at this often.
_RETRY_S: Final = 1.0
_USED_UP: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class HttpPort:
    """Serves an application on a port from `start` to `stop`. Belongs to one event loop."""

    def __init__(self, app: ASGIApp, config: ServerConfig, certificates: Certificates | None) -> None:
        """Bind nothing yet.

        Args:
            app: what answers.
            config: host and limits.
            certificates: for TLS; each connection gets those that are in use when it is made.

        """
        self._config = config
        self._certificates = certificates
        self._state = ServerState()
        self._uvicorn = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            # Else it reads a variable of the environment that is none of ours.
            workers=1,
            timeout_keep_alive=_IDLE_S,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        self._open = 0
        self._told = False
        self._empty = asyncio.Event()
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._beginning: set[asyncio.Task[None]] = set()

    async def start(self, port: int, *, shares_port: bool) -> int:
        """Listen; return the port's number.

        Args:
            port: 0 picks a free one.
            shares_port: whether other processes listen on it too.

        Raises:
            AddressError: the host or port cannot be listened on.

        """
        self._uvicorn.load()
        self._listeners = open_listeners(self._config.host, port, HTTP, shares_port=shares_port)
        self._accepting = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        number: int = self._listeners[0].getsockname()[1]
        return number

    async def stop(self, grace_s: float) -> None:
        """Close the port, and cut off after this many seconds what is not answered."""
        for task in (*self._accepting, *self._beginning):
            task.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        for listener in self._listeners:
            listener.close()
        for connection in self._connections():
            connection.shutdown()
        try:
            async with asyncio.timeout(grace_s):
                while self._open:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            for connection in self._connections():
                connection.transport.abort()

    def _connections(self) -> list[Connection]:
        return [each for each in self._state.connections if isinstance(each, Connection)]

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                await self._wait_for_room(error)
                continue
            self._told = False
            if self._open >= self._config.max_connections:
                connection.close()
            else:
                self._open += 1
                task = asyncio.create_task(self._begin(connection))
                self._beginning.add(task)
                task.add_done_callback(self._beginning.discard)
            # Where several wait, others want their turn as well.
            await asyncio.sleep(0)

    async def _begin(self, connection: socket.socket) -> None:
        """Shake hands, if that is asked for, and leave the connection to its protocol."""
        made: list[Connection] = []
        handshake_s = None if self._certificates is None else _HANDSHAKE_WITHIN_S
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._make, made),
                connection,
                ssl=None if self._certificates is None else self._certificates.context,
                ssl_handshake_timeout=handshake_s,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            # TLS itself tells the client of a failed handshake.
            connection.close()
        finally:
            if not any(protocol.made for protocol in made):
                self._left()

    def _make(self, made: list[Connection]) -> Connection:
        protocol = Connection(self._uvicorn, self._state, self._left, self._config.max_connection_age)
        made.append(protocol)
        return protocol

    def _left(self) -> None:
        self._open -= 1
        if not self._open:
            self._empty.set()

    async def _wait_for_room(self, error: OSError) -> None:
        """Wait until there may be descriptors again; the listener stays ready, and asking at once would spin."""
        if error.errno not in _USED_UP:
            return
        if not self._told:
            _log.warning("a connection by HTTP waits: %s; raise the limit of open files", error.strerror)
        self._told = True
        await asyncio.sleep(_RETRY_S)
