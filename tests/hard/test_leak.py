"""Reloads and requests by the thousand leave nothing behind."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hard.callers.steady import Expected, Load
from hard.lengths import times
from hard.served import Served, served
from server.bundles.tiny import TinyStack, write_tiny
from support.waiting import until

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

RELOADS = times(24, 1000)
REQUESTS = times(3_000, 100_000)
# The long form's level is that of the requirement; a short run is still settling.
LEVEL = times(12, 5) / 100

Say = Callable[[str], None]


def test_reloads_leave_nothing_behind(repository: Path, say: Say) -> None:
    options = ("--repository-mode", "explicit", "--load-model", "tiny", "--management", "open")
    write_tiny(repository, "tiny", TinyStack.draw(2))
    with served(repository, *options) as server:
        _reload(server, max(RELOADS // 4, 12))
        before = server.memory()
        _reload(server, RELOADS)
        after = server.memory()
    assert after <= before * (1 + LEVEL)
    say(f"{RELOADS:,} reloads: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after ({after / before - 1:+.1%})")


def _reload(server: Served, count: int) -> None:
    service = "/inference.GRPCInferenceService/"
    with server.connect() as channel:
        for _ in range(count):
            _bytes_call(channel, f"{service}RepositoryModelUnload", oip.RepositoryModelUnloadRequest(model_name="tiny"))
            _bytes_call(channel, f"{service}RepositoryModelLoad", oip.RepositoryModelLoadRequest(model_name="tiny"))


def _bytes_call(channel: grpc.Channel, path: str, request: Message) -> None:
    call: Any = channel.unary_unary(path)
    call(request.SerializeToString(), timeout=30)


def test_requests_leave_nothing_behind(repository: Path, expected: Expected, say: Say) -> None:
    with served(repository) as server:
        _ask(server, expected, REQUESTS // 4)
        before = server.memory()
        answered = _ask(server, expected, REQUESTS)
        after = server.memory()
    assert after <= before * (1 + LEVEL)
    say(f"{answered:,} requests: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after ({after / before - 1:+.1%})")


def _ask(server: Served, expected: Expected, count: int) -> int:
    with Load(server.connect, expected) as load:
        load.wait_for(count, timeout=900)
    load.tally.check()
    return load.tally.answered


@pytest.mark.parametrize("versions", [times(6, 60)])
def test_versions_that_went_leave_nothing_behind(repository: Path, versions: int, say: Say) -> None:
    """Polling, not by request: each new version takes the place of the one before."""
    with served(repository, "--poll-interval", "0.05", "--metrics-port", "0") as server:

        def swap(first: int, last: int) -> int:
            for number in range(first, last):
                write_tiny(repository, "tiny", TinyStack.draw(number))
                until(partial(_is_ready, server, number), f"version {number} does not come")
            return server.memory()

        before = swap(2, versions + 2)
        after = swap(versions + 2, 2 * versions + 2)
    assert after <= before * (1 + LEVEL)
    say(f"{versions} versions came and went: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")


def _is_ready(server: Served, number: int) -> bool:
    return f"tiny/{number} is ready" in server.log()


def test_large_requests_leave_nothing_behind(repository: Path, expected: Expected, say: Say) -> None:
    """What gRPC had of them in small blocks is given back a moment after the last one."""
    data = PredictRequest(rows=to_matrix(expected.pool[:1])).SerializeToString() + _unknown_field(24 * 2**20)
    with served(repository, "--max-concurrent-rpcs", "8") as server, server.connect() as channel:
        _ask(server, expected, 200)
        before = server.memory()
        call: Any = channel.unary_unary("/genrestack.v1.PredictionService/Predict")
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            for _ in range(2):
                waiting = [call.future(data, timeout=60, compression=compression) for _ in range(3)]
                for answer in waiting:
                    answer.result()
        until(lambda: server.memory() < before + 8 * 2**20, "the memory of large requests is kept")
        say(f"12 requests of 24 MiB: {before / 1e6:.0f} MB before, {server.memory() / 1e6:.0f} MB after")


def _unknown_field(size: int) -> bytes:
    """A field that no message has, of this many bytes."""
    length = bytes([size >> shift & 127 | (0 if shift == 21 else 128) for shift in (0, 7, 14, 21)])
    return b"\xfa\x7f" + length + bytes(size)
