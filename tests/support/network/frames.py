"""HTTP/2 by hand: frames that no client library would send."""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_FRAME: Final = 16_384

Header = tuple[bytes, bytes]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def message(payload: bytes, *, packed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message; it may lie about its length."""
    return struct.pack(">BI", packed, len(payload) if length is None else length) + payload


def headers(path: bytes, extra: Iterable[Header] = ()) -> bytes:
    """The header block of a call, every header literal."""
    usual = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"),
    ]  # fmt: skip
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in [*usual, *extra])


def _text(data: bytes) -> bytes:
    """A literal string of HPACK."""
    if len(data) < 127:
        return bytes([len(data)]) + data
    left, length = len(data) - 127, b"\x7f"
    while left > 127:
        length, left = length + bytes([left & 127 | 128]), left >> 7
    return length + bytes([left]) + data


class Wire:
    """A connection that sends what it is told and keeps to no window but the ones that it starts with."""

    def __init__(self, address: str, *, settings: bytes = b"", preface: bool = True) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._next, self._open = -1, True
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Send; False if the server has hung up, or takes nothing more."""
        try:
            if self._open:
                self._socket.sendall(data)
        except OSError:
            self._open = False
        return self._open

    def call(self, path: str, *bodies: bytes, extra: Iterable[Header] = (), end: bool = True) -> int:
        """Open a stream, send these bodies, and close this side or not; return its number."""
        self._next += 2
        block = headers(path.encode(), extra)
        parts = [block[at : at + LARGEST_FRAME] for at in range(0, len(block), LARGEST_FRAME)]
        body = b"".join(bodies)
        chunks = [body[at : at + LARGEST_FRAME] for at in range(0, len(body), LARGEST_FRAME)]
        out = []
        for number, part in enumerate(parts):
            flags = END_HEADERS if number == len(parts) - 1 else 0
            if number == 0 and end and not chunks:
                flags |= END_STREAM
            out.append(frame(HEADERS if number == 0 else CONTINUATION, flags, self._next, part))
        for number, chunk in enumerate(chunks):
            out.append(frame(DATA, END_STREAM if end and number == len(chunks) - 1 else 0, self._next, chunk))
        self.send(b"".join(out))
        return self._next

    def reset(self, stream: int) -> bool:
        return self.send(frame(RESET, 0, stream, (8).to_bytes(4, "big")))

    def until_ended(self, stream: int) -> bool:
        """Read until a stream, or the connection, has ended; tell whether it was the stream."""
        for kind, flags, number, _ in self.frames():
            if number == stream and (kind == RESET or (kind == HEADERS and flags & END_STREAM)):
                return True
        return False

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield kind, flags, stream and payload of all that comes, until the server hangs up."""
        buffer = b""
        with suppress(ConnectionError):
            while data := self._socket.recv(65_536):
                buffer += data
                while len(buffer) >= 9 and len(buffer) >= (size := 9 + int.from_bytes(buffer[:3], "big")):
                    kind, flags, number = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
                    payload, buffer = buffer[9:size], buffer[size:]
                    if kind in {SETTINGS, PING} and not flags & ACK:
                        self.send(frame(kind, ACK, payload=payload if kind == PING else b""))
                    yield kind, flags, number, payload
