"""What somebody does who speaks HTTP/2 and means harm; each returns what it leaves open."""

import gzip
import random
import zlib
from collections.abc import Callable
from typing import Final

from hard.callers.mutants import METHODS
from hard.lengths import times
from support.network.frames import (  # fmt: skip
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS,
    WINDOW,
    Header,
    Wire,
    frame,
    headers,
    message,
)

Dice = random.Random
MIB: Final = 2**20
PATHS: Final = (
    *METHODS,
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/nobody.Knows/This",
)
GZIP: Final = (b"grpc-encoding", b"gzip")
MANY: Final = times(60, 3_000)
_WINDOW_BYTES: Final = 60_000


def compressed(dice: Dice, address: str) -> list[Wire]:
    """Little that becomes much, breaks off, is damaged, goes on after its end, or is not what it says."""
    wire = Wire(address)
    for _ in range(12):
        plain = b"\x0a" + bytes([128, 128, 128, 8]) + b"a" * dice.choice((100, 10_000, 8 * MIB))
        data = gzip.compress(plain, 1) if dice.random() < 0.5 else zlib.compress(plain, 1)
        choice = dice.randrange(6)
        if choice == 0:
            data = data[: dice.randrange(len(data))]
        elif choice == 1:
            data += dice.randbytes(20)
        elif choice == 2:
            place = dice.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]
        extra = dice.choice(([GZIP], [GZIP], [GZIP], [(b"grpc-encoding", b"deflate")], [], [(b"grpc-encoding", b"x")]))
        wire.call(dice.choice(PATHS), message(data[:_WINDOW_BYTES], packed=dice.random() < 0.9), extra=extra)
    return [wire]


def lengths(dice: Dice, address: str) -> list[Wire]:
    """Messages that claim more than comes, less than comes, or more than there can be."""
    wire = Wire(address)
    for _ in range(MANY):
        body = dice.randbytes(dice.randrange(200))
        claimed = dice.choice((0, 1, len(body) + 1, 4 * MIB, 4 * MIB + 1, 2**31, 2**32 - 1))
        wire.call(dice.choice(PATHS), message(body, length=claimed), end=dice.random() < 0.8)
    return [wire]


def counts(dice: Dice, address: str) -> list[Wire]:
    """No message, or many, to methods that take one, and empty frames between them."""
    wire = Wire(address)
    for _ in range(MANY // 2):
        bodies = [message(b"") for _ in range(dice.choice((0, 0, 2, 3, 500)))]
        stream = wire.call(dice.choice(PATHS), *bodies, end=dice.random() < 0.7)
        wire.send(frame(DATA, 0, stream) * dice.choice((0, 0, 100)))
    return [wire]


def metadata(dice: Dice, address: str) -> list[Wire]:
    """Metadata that is not UTF-8, too much of it, and what gRPC itself would read of it."""
    wires = []
    for _ in range(times(3, 20)):
        wire = Wire(address)
        for _ in range(10):
            wire.call(dice.choice(PATHS), message(b""), extra=_drawn_metadata(dice))
        wires.append(wire)
    return wires


def _drawn_metadata(dice: Dice) -> list[Header]:
    junk = dice.randbytes(dice.choice((1, 10, 100)))
    return dice.choice(
        [
            [(b"a", b"\xff")] * 300,
            [(b"authorization", b"Bearer gs_secret" + junk)],
            [(b"x-request-id", junk), (b"traceparent", junk), (b"genrestack-priority", junk)],
            [(b"filler", b"y" * dice.choice((9_000, 17_000, 60_000)))],
            [(b"x-%d" % number, b"") for number in range(600)],
            [(b"x-binary-bin", junk), (junk, b"x"), (b"upper-\xff", b"x")],
            [(b"grpc-timeout", dice.choice((b"0n", b"-1S", b"99999999H", b"xyz", junk)))],
            [(b"grpc-encoding", junk)],
            [(b"grpc-accept-encoding", junk), (b"content-length", b"-5"), (b"user-agent", junk)],
            [(b"te", junk), (b"content-type", junk), (b":status", b"200"), (b":path", b"/a/b")],
        ]
    )


def connections(dice: Dice, address: str) -> list[Wire]:
    """Many that say nothing, half of something, or nonsense, and stay."""
    wires = []
    for _ in range(times(150, 1_500)):
        wire = Wire(address, preface=False)
        wire.send(dice.choice((b"", PREFACE[:10], PREFACE, b"GET / HTTP/1.1\r\n\r\n", dice.randbytes(50))))
        wires.append(wire)
    return wires


def slow(dice: Dice, address: str) -> list[Wire]:
    """Calls that begin and do not come to their end: byte by byte, header by header."""
    wire = Wire(address)
    for _ in range(MANY):
        wire.call(dice.choice(PATHS), message(dice.randbytes(3), length=2_000)[: dice.randrange(8)], end=False)
    other = Wire(address)
    block = headers(b"/a/b")
    other.send(frame(HEADERS, 0, 1, block[:9]))
    for byte in block[9:40]:
        other.send(frame(CONTINUATION, 0, 1, bytes([byte])))
    return [wire, other]


def unused(dice: Dice, address: str) -> list[Wire]:
    """Streams that are opened and never used, on several connections."""
    wires = [Wire(address) for _ in range(times(3, 20))]
    for wire in wires:
        for _ in range(MANY):
            wire.call(dice.choice(PATHS), end=False)
    return wires


def resets(dice: Dice, address: str) -> list[Wire]:
    """Streams that are opened and reset at once."""
    wire = Wire(address)
    for _ in range(times(400, 20_000)):
        bodies = [message(b"")] if dice.random() < 0.5 else []
        if not wire.reset(wire.call(dice.choice(PATHS), *bodies, end=False)):
            wire = Wire(address)
    return [wire]


def untaken(dice: Dice, address: str) -> list[Wire]:
    """Calls whose answers are never taken; as long as they are there, they may take every place there is."""
    wire = Wire(address, settings=(4).to_bytes(2, "big") + bytes(4))
    for _ in range(MANY):
        wire.call(dice.choice(PATHS), message(b""))
    return [wire]


def floods(dice: Dice, address: str) -> list[Wire]:
    """The same small frame again and again, and header blocks that do not end."""
    wires = []
    for one in (
        frame(PING, payload=bytes(8)),
        frame(SETTINGS, payload=b"\0\4\0\0\xff\xff"),
        frame(WINDOW, payload=bytes([0, 0, 0, 1])),
        frame(PRIORITY, 0, 1, bytes(5)),
        frame(CONTINUATION, 0, 1, b"\0\1x\1y" * 20),
    ):
        wire = Wire(address)
        if one[3] == CONTINUATION:
            wire.send(frame(HEADERS, 0, 1, headers(b"/a/b")))
        # gRPC keeps the headers of a block that does not end, so those are as many in both forms.
        for _ in range(50 if one[3] == CONTINUATION else times(50, 2_000)):
            if not wire.send(one * 20):
                break
        wires.append(wire)
    return wires


def nonsense(dice: Dice, address: str) -> list[Wire]:
    """Frames drawn byte by byte."""
    wires = []
    for _ in range(times(20, 200)):
        wire = Wire(address)
        wire.call(dice.choice(PATHS), message(b"")[: dice.randrange(6)], end=False)
        for _ in range(dice.randrange(30)):
            kind, stream = dice.randrange(12), dice.choice((0, 1, 1, 2, 3, 2**31 - 1))
            flags = dice.choice((0, 1, END_HEADERS, END_HEADERS | 1, dice.randrange(256)))
            if not wire.send(frame(kind, flags, stream, dice.randbytes(dice.choice((0, 1, 4, 5, 6, 8, 60))))):
                break
        wires.append(wire)
    return wires


KINDS: Final[tuple[Callable[[Dice, str], list[Wire]], ...]] = (
    compressed, lengths, counts, metadata, connections, slow, unused, resets, untaken, floods, nonsense,
)  # fmt: skip
