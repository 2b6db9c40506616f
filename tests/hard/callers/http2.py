"""HTTP/2 requests written byte by byte, as no gRPC client sends them."""

import random
import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from typing import Final

Header = tuple[bytes, bytes]

OPENING: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PREDICT: Final = b"/genrestack.v1.PredictionService/Predict"
NOT_UTF8: Final = b"/\xff"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_FRAME_HEAD: Final = 9


def request(
    path: bytes, *, method: bytes = b"POST", authority: bytes = b"x", metadata: Iterable[Header] = ()
) -> list[Header]:
    """The headers of a call, in a caller's order."""
    return [
        (b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", authority),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"), *metadata,
    ]  # fmt: skip


def connection(requests: Sequence[list[Header]], body: bytes | None = None) -> bytes:
    """Everything a client sends that opens a connection and makes these calls on it, each with this body or none."""
    frames = [OPENING, _frame(_SETTINGS, 0, 0, b"")]
    for number, headers in enumerate(requests):
        stream, flags = 2 * number + 1, _END_HEADERS | (_END_STREAM if body is None else 0)
        frames.append(_frame(_HEADERS, flags, stream, b"".join(map(_literal, headers))))
        if body is not None:
            frames.append(_frame(_DATA, _END_STREAM, stream, struct.pack(">BI", 0, len(body)) + body))
    return b"".join(frames)


def connect(port: int, tls: ssl.SSLContext | None = None) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), timeout=10)
    return link if tls is None else tls.wrap_socket(link, server_hostname="localhost")


def finish(link: socket.socket, requests: int = 1) -> None:
    """Read until as many requests are answered or the server goes away, at most until it falls silent."""
    link.settimeout(0.2)
    ended = 0
    try:
        while ended < requests and (frame := _read_frame(link)) is not None:
            kind, flags = frame
            if kind == _GOAWAY:
                return
            ended += kind == _RESET or (kind in {_DATA, _HEADERS} and flags & _END_STREAM)
    except OSError:
        return


def _read_frame(link: socket.socket) -> tuple[int, int] | None:
    """Read one frame; return its kind and flags, or None at the end."""
    head = _read(link, _FRAME_HEAD)
    if len(head) < _FRAME_HEAD:
        return None
    _read(link, int.from_bytes(head[:3], "big"))
    return head[3], head[4]


def _read(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := link.recv(count - len(data))):
        data += more
    return data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(header: Header) -> bytes:
    return b"\x00" + b"".join(_length(len(text)) + text for text in header)


def _length(count: int) -> bytes:
    """An integer with a prefix of seven bits."""
    if count < 127:
        return bytes([count])
    data, count = b"\x7f", count - 127
    while count > 127:
        data, count = data + bytes([count % 128 + 128]), count // 128
    return data + bytes([count])


_METHODS: Final = (b"POST", b"GET", b"PUT", b"CONNECT", b"post", b"")
_AUTHORITIES: Final = (b"x", b"localhost:50051", b"", b"[::1]", b"a" * 300)
_PATHS: Final = (PREDICT, b"/grpc.health.v1.Health/Check", b"/", b"", b"*", b"//", b"/a/b", b"/../etc", PREDICT * 20)
_KEYS: Final = (
    b"x-request-id", b"authorization", b"traceparent", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding",
    b"grpc-tags-bin", b"a-bin", b"user-agent", b"content-type", b"te", b"content-length", b"grpc-status", b"host",
    b":path", b":status", b"Upper", b"",
)  # fmt: skip


def draw(dice: random.Random) -> list[Header]:
    """Headers of which some are drawn: texts that mean something, any bytes, or the one in the other."""
    metadata = [(_draw(dice, _KEYS), _draw(dice, (b"1S", b"gzip", b"Bearer x", b"%ff", b"=="))) for _ in range(3)]
    headers = request(
        _draw(dice, _PATHS),
        method=_draw(dice, _METHODS) if dice.random() < 0.3 else b"POST",
        authority=_draw(dice, _AUTHORITIES) if dice.random() < 0.5 else b"x",
        metadata=metadata[: dice.randrange(4)],
    )
    if dice.random() < 0.1:
        dice.shuffle(headers)
    if dice.random() < 0.1:
        del headers[dice.randrange(len(headers))]
    return headers


def _draw(dice: random.Random, known: Sequence[bytes]) -> bytes:
    text, noise = dice.choice(known), dice.randbytes(dice.choice((1, 1, 2, 8, 40, 300)))
    choice = dice.randrange(4)
    if choice == 0:
        return noise
    if choice == 1:
        place = dice.randrange(len(text) + 1)
        return text[:place] + noise + text[place:]
    return text
