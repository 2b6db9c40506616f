"""Reads requests once it is decided that they are wanted: until then a message stays with its sender.

Every method is one that takes a stream to gRPC, which reads the message of any other kind before it asks whether the
call is wanted at all. Nor does gRPC decompress it, which it would do in the event loop and to any size: it hands a
compressed message over as it came and does not tell that it is one. Its first bytes do: those of gzip begin no protobuf
message at all, those of zlib (`deflate`) none that has a field below 15, as all of ours have.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Final

import grpc

from genrestack_common.text import counted
from genrestack_server.errors import InvalidInput, MessageTooLarge
from genrestack_server.inference.admission import WaitingCalls
from genrestack_server.models.background import MemoryTrimmer
from genrestack_server.rpc.rpc_handler import Context
from genrestack_server.service.messages import LARGE_BYTES, run_in_thread

PUBLIC_BYTES: Final = 4096
"""Largest request of the services that tools and probes ask."""
_SMALL_BYTES: Final = 65_536
# What --max-message-mib allows at its default takes this long at 9 Mbit/s.
_ARRIVES_WITHIN_S: Final = 60.0
# Calls of one service that may wait for a small request: each may be sent as many bytes as gRPC takes.
_SMALL_AT_ONCE: Final = 8


_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = 0x78
# Either form, whichever it is.
_WINDOW: Final = zlib.MAX_WBITS | 32
# So much takes a tenth of a millisecond; what is larger is decompressed in another thread.
_DECOMPRESSED_AT_ONCE: Final = 65_536


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


async def decompressed(data: bytes, max_bytes: int) -> bytes:
    """Return a request as it was before its sender compressed it.

    Args:
        data: as it came, compressed.
        max_bytes: of the request; not more than these are made of it.

    Raises:
        MessageTooLarge: it would be larger.
        InvalidInput: the data break off, are damaged, or something follows them.

    """
    small = min(max_bytes, _DECOMPRESSED_AT_ONCE)
    found = _decompress(data, small)
    if found is None and small < max_bytes:
        found = await run_in_thread(_decompress, data, max_bytes)
    if found is None:
        # In gRPC's words, by which clients know that smaller messages may pass.
        raise MessageTooLarge(
            f"Decompressed message larger than max ({max_bytes:,} bytes; --max-message-mib); send less at a time"
        )
    return found


def is_compressed(data: bytes) -> bool:
    """Return whether data are gzip's or zlib's."""
    if data.startswith(_GZIP):
        return True
    return len(data) > 1 and data[0] == _ZLIB and (data[0] << 8 | data[1]) % 31 == 0


def _decompress(data: bytes, max_bytes: int) -> bytes | None:
    """Return the message's bytes; None if there are more than `max_bytes`."""
    stream = zlib.decompressobj(_WINDOW)
    try:
        found = stream.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise InvalidInput.of("request", "its compressed bytes are damaged; send them again") from error
    if len(found) > max_bytes:
        return None
    if not stream.eof or stream.unused_data:
        raise InvalidInput.of("request", "its compressed bytes do not end where it does; send them again")
    return found
