"""Reads the body of a request once it is decided that it is wanted, and no more of it than its limit."""

from contextlib import aclosing
from typing import Final

from genrestack_common.text import quoted
from genrestack_server.errors import MessageTooLarge
from genrestack_server.http.errors import UnsupportedEncoding
from genrestack_server.http.exchange import Exchange
from genrestack_server.inference.admission import WaitingCalls
from genrestack_server.service.compression import decompressed

# As for gRPC: what --max-message-mib allows at its default takes this long at 9 Mbit/s.
_ARRIVES_WITHIN_S: Final = 60.0
_SMALL_BYTES: Final = 65_536
# Requests without rows that may be waited for at a time.
_SMALL_AT_ONCE: Final = 8
_COMPRESSED: Final = {"gzip", "x-gzip", "deflate"}


class BodyReader:
    """Reads the bodies of some methods."""

    def __init__(self, waiting: WaitingCalls, max_bytes: int, setting: str = "") -> None:
        """Read nothing yet.

        Args:
            waiting: where requests are counted until their body has arrived.
            max_bytes: of one body, compressed or not.
            setting: the option that changes it.

        """
        self._waiting = waiting
        self._max_bytes = max_bytes
        self._limit = f"{max_bytes:,} bytes ({setting})" if setting else f"{max_bytes:,} bytes"

    @classmethod
    def small(cls) -> "BodyReader":
        """Make one for methods whose requests are names and flags."""
        return cls(WaitingCalls(_SMALL_AT_ONCE), _SMALL_BYTES)

    async def read(self, exchange: Exchange) -> bytes:
        """Read a body, and decompress it.

        Raises:
            MessageTooLarge: it is larger than the limit, as it came or decompressed.
            UnsupportedEncoding: it is compressed otherwise than by gzip or deflate.
            InvalidInput: its compressed bytes are damaged.
            DeadlineExceeded: it did not arrive in time.
            TooManyCalls: it had not arrived when too many others came.
            asyncio.CancelledError: the caller has left.

        """
        encoding = (exchange.header(b"content-encoding") or "identity").strip().lower()
        if encoding not in {*_COMPRESSED, "identity"}:
            text = f"a body in {quoted(encoding)} is not taken; compress it with gzip or deflate, or not at all"
            raise UnsupportedEncoding.of("content-encoding", text)
        data = await self._received(exchange)
        return data if encoding == "identity" else await decompressed(data, self._max_bytes)

    async def _received(self, exchange: Exchange) -> bytes:
        announced = exchange.header(b"content-length")
        if announced is not None and int(announced) > self._max_bytes:
            raise self._too_large()
        chunks, size = [], 0
        with self._waiting.waiting(_ARRIVES_WITHIN_S):
            async with aclosing(exchange.chunks()) as coming:
                async for chunk in coming:
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large()
                    chunks.append(chunk)
        return b"".join(chunks)

    def _too_large(self) -> MessageTooLarge:
        return MessageTooLarge(f"the body is larger than {self._limit}; send less at a time")
