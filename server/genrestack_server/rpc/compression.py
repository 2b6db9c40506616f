"""Decompresses requests: gRPC would do it in the event loop, for a call that is not wanted, and to any size it takes.

gRPC hands a compressed message over as it came and does not tell that it is one. Its first bytes do: those of gzip
begin no protobuf message at all, those of zlib (`deflate`) none that has a field below 15, as all of ours have.
"""

import zlib
from typing import Final

from genrestack_server.errors import InvalidRequestError, MessageTooLargeError
from genrestack_server.service.messages import aside

_GZIP: Final = b"\x1f\x8b"
_ZLIB: Final = 0x78
# Either form, whichever it is.
_WINDOW: Final = zlib.MAX_WBITS | 32
# So much takes a tenth of a millisecond; what is larger is decompressed in another thread.
_SMALL_BYTES: Final = 65_536


async def decompressed(data: bytes, max_bytes: int) -> bytes:
    """Return a request as it was before its sender compressed it, if it did.

    Args:
        data: as it came.
        max_bytes: of the request; not more than these are made of it.

    Raises:
        MessageTooLargeError: it would be larger.
        InvalidRequestError: the data break off, are damaged, or something follows them.

    """
    if not is_compressed(data):
        return data
    small = min(max_bytes, _SMALL_BYTES)
    found = _decompress(data, small)
    if found is None and small < max_bytes:
        found = await aside(True, _decompress, data, max_bytes)
    if found is None:
        # In gRPC's words, by which clients know that smaller messages may pass.
        raise MessageTooLargeError(
            f"Decompressed message larger than max ({max_bytes:,} bytes; --max-message-mib); send less at a time"
        )
    return found


def is_compressed(data: bytes) -> bool:
    """Tell whether data are gzip's or zlib's."""
    if data.startswith(_GZIP):
        return True
    return len(data) > 1 and data[0] == _ZLIB and (data[0] << 8 | data[1]) % 31 == 0


def _decompress(data: bytes, max_bytes: int) -> bytes | None:
    """Return at most so many bytes; None if there are more."""
    stream = zlib.decompressobj(_WINDOW)
    try:
        found = stream.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequestError.of("request", "its compressed bytes are damaged; send them again") from error
    if len(found) > max_bytes:
        return None
    if not stream.eof or stream.unused_data:
        raise InvalidRequestError.of("request", "its compressed bytes do not end where it does; send them again")
    return found
