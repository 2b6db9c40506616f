"""One row over the wire: `Predict` on loopback against an echo of the same size."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, slower
from benchmarks.serving.echo import METHOD
from benchmarks.serving.servers import connected, echo_server, genrestack_server
from genrestack import Client
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_WARM_UP = 100
_ECHO = "an echo RPC of the same size"
_STUB, _SDK = "Predict, 1 row, gRPC stub", "Client.predict, 1 row"

Call = Callable[[npt.NDArray[np.float32]], object]


def one_call(repository: Path, budget: Budget) -> tuple[Figure, ...]:
    """Time one-row calls in turns with an echo; one caller, each call waits for the one before."""
    rows = open_only_bundle(repository).golden.rows
    request = PredictRequest(rows=to_matrix(rows[:1]))
    with genrestack_server(repository) as server, connected(server.address) as channel:
        stub = PredictionServiceStub(channel)
        size = stub.Predict(request).ByteSize()
        with echo_server(size) as address, connected(address) as echo_channel, Client(server.address) as client:
            echo: Any = echo_channel.unary_unary(METHOD)
            sent = request.SerializeToString()
            calls: dict[str, Call] = {
                _ECHO: lambda row: echo(sent),  # noqa: ARG005 - the same size whatever the row
                _STUB: lambda row: stub.Predict(PredictRequest(rows=to_matrix(row))),
                _SDK: client.predict,
            }
            times = _in_turns(calls, rows, budget.calls)
    baseline = Baseline(_ECHO, _median_ms(times[_ECHO]))
    sizes = f"{len(sent)} bytes there, {size} back"
    return (
        slower(f"{_STUB}, p50", _median_ms(times[_STUB]), baseline, most=1.6, note=f"{_p99(times[_STUB])}; {sizes}"),
        slower(f"{_SDK}, p50", _median_ms(times[_SDK]), baseline, note=_p99(times[_SDK])),
    )


def _in_turns(calls: Mapping[str, Call], rows: npt.NDArray[np.float32], count: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(_WARM_UP + count):
        start = turn % len(rows)
        row = rows[start : start + 1]
        for name, call in calls.items():
            begun = time.perf_counter()
            call(row)
            taken[name].append(time.perf_counter() - begun)
    return {name: seconds[_WARM_UP:] for name, seconds in taken.items()}


def _median_ms(seconds: list[float]) -> float:
    return 1e3 * statistics.median(seconds)


def _p99(seconds: list[float]) -> str:
    return f"p99 {1e3 * statistics.quantiles(seconds, n=100)[-1]:.2f} ms"
