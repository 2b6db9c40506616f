"""Requests that were compressed: decompressed up to their limit, outside the event loop where they are large."""

import zlib
from typing import Final

from genrestack_server.errors import InvalidInput, MessageTooLarge
from genrestack_server.service.messages import run_in_thread

_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = 0x78
# Either form, whichever it is.
_WINDOW: Final = zlib.MAX_WBITS | 32
# So much takes a tenth of a millisecond; what is larger is decompressed in another thread.
_DECOMPRESSED_AT_ONCE: Final = 65_536


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
