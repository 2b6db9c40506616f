"""One request and its response over ASGI."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from genrestack_server.http.connection import Connection

JSON: Final = "application/json"
# What a response is handed over in: a caller who does not read it holds up the rest.
_PIECE: Final = 256 * 1024
# Read and passed over after a response that did not wait for the body: a caller who still sends gets to read it.
_DISCARDED: Final = 64 * 2**20
_DISCARDED_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Response:
    """What a request is answered with."""

    status: int
    body: Sequence[bytes]
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """A request whose body is read when it is wanted, and the way back. It is its call's context, too."""

    __slots__ = ("_connection", "_receive", "_send", "body_left", "headers", "parameters")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        """Lower-case names, and values."""
        self.parameters: Mapping[str, str] = scope.get("path_params", {})
        """What stands in the path for `{model}` and `{version}`."""
        self.body_left = any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in self.headers
        )
        """Whether some of the body has not been read."""
        self._connection: Connection | None = scope.get("state", {}).get("connection")
        self._receive = receive
        self._send = send

    def time_remaining(self) -> None:
        """Return no deadline: the protocol has it in a request's parameters."""

    def invocation_metadata(self) -> Iterator[tuple[str, str]]:
        """Return the headers."""
        return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers)

    def header(self, name: bytes) -> str | None:
        """Return a header's value; the last one where there are several."""
        found = [value for key, value in self.headers if key == name]
        return found[-1].decode("latin-1") if found else None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Cancel this task if the connection is lost in the block, and end the block quietly then."""
        connection = self._connection
        if connection is None:
            yield
            return
        connection.task = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if not connection.lost:
                raise
        finally:
            connection.task = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield what is left of the body, as it comes.

        Raises:
            asyncio.CancelledError: the caller has left.

        """
        while self.body_left:
            message = await self._receive()
            if message["type"] != "http.request":
                raise asyncio.CancelledError
            self.body_left = message.get("more_body", False)
            yield message.get("body", b"")

    async def respond(self, response: Response, *, last: bool = False) -> None:
        """Send a response.

        Args:
            response: all of it.
            last: whether the connection ends with it.

        """
        unread = self.body_left
        headers = [
            ("date", formatdate(usegmt=True)),
            ("content-type", response.media_type),
            ("content-length", str(sum(map(len, response.body)))),
            ("x-content-type-options", "nosniff"),
            *response.headers.items(),
        ]
        if unread or last or (self._connection is not None and self._connection.old):
            headers.append(("connection", "close"))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": response.status, "headers": encoded})
        *before, last_piece = _pieces(response.body)
        for piece in before:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": last_piece, "more_body": unread})
        if unread:
            await self._discard()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _discard(self) -> None:
        left = _DISCARDED
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARDED_WITHIN_S), aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    left -= len(chunk)
                    if left < 0:
                        return


def _pieces(body: Sequence[bytes]) -> Iterator[bytes | memoryview]:
    for part in body:
        if len(part) <= _PIECE:
            yield part
        else:
            view = memoryview(part)
            yield from (view[start : start + _PIECE] for start in range(0, len(part), _PIECE))
