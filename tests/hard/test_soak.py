"""Twice as much as the server can do, for long: it refuses the rest, and neither its memory nor its answers drift."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from hard.callers.steady import POOL, TOLERANCE, Expected, percentile, thirds
from hard.lengths import LONG, long
from hard.served import OWN_CONNECTION, Served, served
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

ROWS = 40
DEADLINE = 60.0
QUEUE_ROWS = 50 * ROWS
SECONDS = long(9, 600)
SETTLING = long(2, 20)


@dataclass
class Soaked:
    """What an open loop saw."""

    times: list[tuple[float, float]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    untold: int = 0
    """Refusals for want of room that did not say when to come back."""
    worst: float = 0.0


def test_twice_the_capacity_for_long(tmp_path: Path, say: Callable[[str], None]) -> None:
    # Every execution costs milliseconds, so that the model is what limits, not this test's own sending.
    expected = Expected(draw_rows(POOL, seed=5))
    expected.learn(write_tiny(tmp_path, "tiny", TinyStack.draw(1), slow=25))
    with served(
        tmp_path, "--max-queue-rows", str(QUEUE_ROWS), "--max-batch-rows", "128", "--metrics-port", "0"
    ) as server:
        capacity = asyncio.run(_capacity(server, expected))
        asyncio.run(_offer(server, expected, 2 * capacity, SETTLING))
        before = server.memory()
        soaked = asyncio.run(_offer(server, expected, 2 * capacity, SECONDS))
        grown = server.memory() / before - 1
        until(lambda: server.metric("genrestack_queue_rows") == 0, "the queue is not worked off")
        assert "internal error" not in server.log()
        assert server.stop() == 0
    # UNAVAILABLE is gRPC's own refusal, of calls that wait by the thousand for the process to take them at all.
    assert {"RESOURCE_EXHAUSTED"} <= set(soaked.refused) <= {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}, soaked.refused
    assert soaked.untold == 0
    assert soaked.worst <= TOLERANCE
    assert grown < 0.1
    first, _, last = (percentile(part, 0.5) for part in thirds(soaked.times))
    # Level means level: a queue that grew would show as a latency that does. On a machine that does other things
    # beside it, as where `make test` may run, a few seconds tell nothing of that.
    assert not LONG or last < 2 * first + 0.05
    offered = len(soaked.times) + sum(soaked.refused.values())
    say(
        f"{offered:,} calls of {ROWS} rows at twice {capacity:,.0f} calls/s for {SECONDS:.0f} s: {len(soaked.times):,} "
        f"answered, {soaked.refused['RESOURCE_EXHAUSTED']:,} refused with the time to come back, "
        f"{soaked.refused['UNAVAILABLE']:,} by gRPC; median {1000 * first:.0f} ms in the first third, "
        f"{1000 * last:.0f} ms in the last; memory {grown:+.1%}"
    )


async def _capacity(server: Served, expected: Expected) -> float:
    """Calls a second of enough callers in a closed loop."""
    count, end = 0, time.monotonic() + long(1.5, 5)
    request = PredictRequest(rows=to_matrix(expected.pool[:ROWS]))

    async def caller(stub: Any) -> None:
        nonlocal count
        while time.monotonic() < end:
            await stub.Predict(request, timeout=DEADLINE)
            count += 1

    began = time.monotonic()
    async with grpc.aio.insecure_channel(server.address, OWN_CONNECTION) as channel, asyncio.TaskGroup() as group:
        stub: Any = PredictionServiceStub(channel)
        for _ in range(24):
            group.create_task(caller(stub))
    return count / (time.monotonic() - began)


async def _offer(server: Served, expected: Expected, rate: float, seconds: float) -> Soaked:
    """Send at a fixed rate, whatever comes back."""
    soaked, began, sent = Soaked(), time.monotonic(), 0
    async with grpc.aio.insecure_channel(server.address, OWN_CONNECTION) as channel, asyncio.TaskGroup() as group:
        stub: Any = PredictionServiceStub(channel)
        while (now := time.monotonic() - began) < seconds or not soaked.refused:
            if not soaked.refused:
                # The machine may have been slower while it was measured.
                rate = max(rate, 2 * len(soaked.times) / max(now, 1.0))
            for _ in range(int(rate * now) - sent):
                group.create_task(_one(stub, expected, sent, soaked))
                sent += 1
            await asyncio.sleep(0.005)
    return soaked


async def _one(stub: Any, expected: Expected, number: int, soaked: Soaked) -> None:
    begin = number % (POOL - ROWS)
    request = PredictRequest(rows=to_matrix(expected.pool[begin : begin + ROWS]))
    began = time.monotonic()
    try:
        response = await stub.Predict(request, timeout=DEADLINE)
    except grpc.aio.AioRpcError as error:
        soaked.refused[error.code().name] += 1
        told = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        soaked.untold += error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and b"google.rpc.RetryInfo" not in told
    else:
        soaked.times.append((began, time.monotonic() - began))
        soaked.worst = max(soaked.worst, expected.difference(response, begin, ROWS))
