"""Whatever frames come: good callers are answered, and neither memory nor log grows with what was sent."""

import gzip
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from hard.callers.hostile import GZIP, KINDS, PATHS, Dice, untaken
from hard.callers.steady import TOLERANCE, Expected
from hard.lengths import times
from hard.served import Served, served
from support.network.frames import Wire, message
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

Say = Callable[[str], None]

MIB = 2**20
OPTIONS = (
    "--max-message-mib", "4", "--max-concurrent-rpcs", "8", "--max-connections", "100", "--grace", "1",
    "--min-ping-interval", "1",
)  # fmt: skip
# Measured: up to 60 MiB in the long form, whatever it is that comes.
MEMORY_BYTES = 100 * MIB
# A line of ours for each kind of refusal and trouble in ten seconds.
LOG_BYTES = 20_000


@pytest.mark.parametrize("harm", KINDS, ids=lambda harm: harm.__name__)
def test_harm_is_bounded(
    repository: Path, expected: Expected, say: Say, harm: Callable[[Dice, str], list[Wire]]
) -> None:
    rounds, dice = times(1, 20), random.Random(harm.__name__)
    with served(repository, *OPTIONS) as server, server.connect() as channel:
        ask(channel, expected)
        before, log = server.memory(), len(server.log())
        for _ in range(rounds):
            left = harm(dice, server.address)
            # With all that it leaves open, and once that is gone.
            if harm is not untaken:
                ask(channel, expected)
            for wire in left:
                wire.close()
            ask(channel, expected)
        grown, lines = peak(server) - before, server.log()[log:]
        assert server.process.poll() is None, lines
        assert server.stop() in {0, 1}
    assert grown < MEMORY_BYTES
    assert len(lines) < LOG_BYTES, lines[:2_000]
    assert "internal error" not in lines
    assert "gs_secret" not in lines
    say(f"{harm.__doc__} {rounds} times: memory at most {grown / MIB:+.1f} MiB, log {len(lines):,} bytes")


def test_what_is_not_wanted_is_not_unpacked(repository: Path, expected: Expected, say: Say) -> None:
    """Requests of 48 MiB in 48 KiB, to every method, from somebody who has no token: nobody notices."""
    tokens, token, rounds = repository.parent / "tokens", "gs_let-me-in", times(1, 20)
    tokens.write_text(hashlib.sha256(token.encode()).hexdigest(), encoding="ascii")
    bomb = message(gzip.compress(b"\x0a" + bytes([128, 128, 128, 24]) + b"a" * 48 * MIB), packed=True)
    with served(repository, "--token-file", str(tokens)) as server, server.connect() as channel:
        metadata = (("authorization", f"Bearer {token}"),)
        ask(channel, expected, metadata)
        before = server.memory()
        for path in PATHS * rounds:
            wires = [Wire(server.address) for _ in range(3)]
            streams = [wire.call(path, bomb, extra=[GZIP]) for wire in wires]
            for wire, stream in zip(wires, streams, strict=True):
                assert wire.until_ended(stream)
                wire.close()
            ask(channel, expected, metadata)
        grown = peak(server) - before
    assert grown < 24 * MIB
    say(f"{3 * len(PATHS) * rounds} requests of 48 MiB without a token: memory at most {grown / MIB:+.1f} MiB")


Metadata = tuple[tuple[str, str], ...]


def ask(channel: grpc.Channel, expected: Expected, metadata: Metadata = ()) -> None:
    """Ask until one is answered: a server that is busy says so, and nothing else."""
    stub = PredictionServiceStub(channel)
    rows = expected.pool[:2]

    def answered() -> bool:
        try:
            response = stub.Predict(PredictRequest(rows=to_matrix(rows)), timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            if not _is_busy(error):
                raise
            return False
        assert expected.difference(response, 0, len(rows)) <= TOLERANCE
        return True

    until(answered, "nobody is answered any more", 60)


def _is_busy(error: Any) -> bool:
    """Return whether it is a refusal, not a failure; gRPC cancels what comes when a thousand calls wait to be taken."""
    return error.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}


def peak(server: Served) -> int:
    """Most bytes that a process that serves has had."""
    (process,) = server.workers()
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
