"""Reads requests once it is decided that they are wanted: until then a message stays with its sender.

Every method is one that takes a stream to gRPC, which reads the message of any other kind before it asks whether the
call is wanted at all. Nor does gRPC decompress it, which it would do in the event loop and to any size: it hands a
compressed message over as it came and does not tell that it is one. Its first bytes do: those of gzip begin no protobuf
message at all, those of zlib (`deflate`) none that has a field below 15, as all of ours have.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Final

import grpc

from genrestack_common.text import counted
from genrestack_server.errors import InvalidInput
from genrestack_server.inference.admission import WaitingCalls
from genrestack_server.models.background import MemoryTrimmer
from genrestack_server.rpc.rpc_handler import Context
from genrestack_server.service.compression import decompressed, is_compressed
from genrestack_server.service.messages import LARGE_BYTES

PUBLIC_BYTES: Final = 4096
"""Largest request of the services that tools and probes ask."""
_SMALL_BYTES: Final = 65_536
# What --max-message-mib allows at its default takes this long at 9 Mbit/s.
_ARRIVES_WITHIN_S: Final = 60.0
# Calls of one service that may wait for a small request: each may be sent as many bytes as gRPC takes.
_SMALL_AT_ONCE: Final = 8


class RequestReader:
    """Reads the requests of some methods."""

    def __init__(self, waiting: WaitingCalls, max_bytes: int) -> None:
        """Read nothing yet.

        Args:
            waiting: where calls are counted until their request has arrived.
            max_bytes: of one request.

        """
        self._waiting = waiting
        self._max_bytes = max_bytes
        self._trimmer = MemoryTrimmer()

    @classmethod
    def small(cls, max_bytes: int = _SMALL_BYTES) -> "RequestReader":
        """Make one for methods whose requests are names and flags, and which answer however busy the server is."""
        return cls(WaitingCalls(_SMALL_AT_ONCE), max_bytes)

    async def read(self, context: Context) -> bytes:
        """Read the one request of a unary call.

        Raises:
            InvalidInput: there is none, more than one, or it is too large.
            MessageTooLarge: it is, once it is decompressed.
            DeadlineExceeded: it did not arrive in time.
            TooManyCalls: it had not arrived when too many others came.
            asyncio.CancelledError: the call is over.

        """
        if self._waiting.limited:
            await self._waiting.room()
        with self._waiting.waiting(_ARRIVES_WITHIN_S):
            data = await context.read()
            more = await context.read() if isinstance(data, bytes) else None
        if not isinstance(data, bytes):
            raise await self._nothing(context)
        if isinstance(more, bytes):
            raise InvalidInput.of("request", "there is more than one; this method takes one message")
        request = self._checked(data)
        if is_compressed(request):
            request = await decompressed(request, self._max_bytes)
        if len(request) > LARGE_BYTES:
            context.add_done_callback(self._ended)  # type: ignore[arg-type]  # the stubs want a class
        return request

    async def items(self, context: Context, *, lasting: bool = True) -> AsyncGenerator[bytes, None]:
        """Yield the requests of a stream.

        Args:
            context: gRPC's.
            lasting: whether it makes room for others only until its first request; else between them too.

        Raises:
            InvalidInput: one is too large.
            MessageTooLarge: one is, once it is decompressed.
            TooManyCalls: it had to make room.

        """
        with self._waiting.waiting():
            data = await context.read()
        while isinstance(data, bytes):
            request = self._checked(data)
            if is_compressed(request):
                request = await decompressed(request, self._max_bytes)
            large = len(request) > LARGE_BYTES
            yield request
            if large:
                self._trimmer.submit()
            with nullcontext() if lasting else self._waiting.waiting():
                data = await context.read()

    def _checked(self, data: bytes) -> bytes:
        if len(data) > LARGE_BYTES:
            self._trimmer.submit()
        if len(data) > self._max_bytes:
            text = f"it has {counted(len(data), 'byte')}; this method takes at most {self._max_bytes:,}"
            raise InvalidInput.of("request", text)
        return data

    async def _nothing(self, context: Context) -> InvalidInput:
        """Find out why there is no request: gRPC says the same when it has refused one that is too large."""
        self._trimmer.submit()
        try:
            await context.send_initial_metadata(())
        except grpc.aio.InternalError:
            raise asyncio.CancelledError from None
        return InvalidInput.of("request", "there is none; this method takes one message")

    def _ended(self, _: object) -> None:
        self._trimmer.submit()
