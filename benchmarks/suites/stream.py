"""Many rows over the wire: `PredictStream` in batches of 256 against the same graph in process."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.contestants.contest import Worker, composed
from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, share
from benchmarks.serving.servers import connected, genrestack_server
from genrestack import Client
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_ROWS = 256
_STUB, _SDK = "PredictStream, 256-row batches, gRPC stub", "Client.predict_stream, 256-row batches"

Rows = npt.NDArray[np.float32]


def stream(repository: Path, budget: Budget) -> tuple[Figure, ...]:
    """Compare rows a second; client and server share the cores that the graph in process has for itself."""
    golden = open_only_bundle(repository).golden.rows
    rows = np.ascontiguousarray(np.resize(golden, (16 * _ROWS, golden.shape[1])))
    batches = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    with tempfile.TemporaryDirectory() as folder, genrestack_server(repository) as server:
        file = Path(folder) / "rows.npy"
        np.save(file, rows)
        with (
            Worker(composed(repository), file) as worker,
            connected(server.address) as channel,
            Client(server.address) as client,
        ):
            stub = PredictionServiceStub(channel)
            threads = stub.GetModel(GetModelRequest()).model.runtime.intra_op_threads
            ways = {
                _STUB: lambda count: _by_stub(stub, batches, count),
                _SDK: lambda count: _by_client(client, batches, count),
            }
            rates = _measure(worker, ways, budget)
    baseline = Baseline("the same graph in process", statistics.median(rates[""]))
    least = {_STUB: 0.8}
    note = f"{threads} threads on either side"
    return tuple(
        share(name, statistics.median(rates[name]), "rows/s", baseline, least=least.get(name), note=note)
        for name in ways
    )


def _measure(worker: Worker, ways: dict[str, Callable[[int], float]], budget: Budget) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in ("", *ways)}
    for turn in range(budget.stream_rounds + 1):
        calls = worker.time(_ROWS, budget.block_seconds)
        seconds = {"": sum(calls) / len(calls)}
        seconds |= {name: way(budget.stream_batches) / budget.stream_batches for name, way in ways.items()}
        if turn:  # the first turn warms up
            for name, taken in seconds.items():
                rates[name].append(_ROWS / taken)
    return rates


def _by_stub(stub: PredictionServiceStub, batches: list[Rows], count: int) -> float:
    requests = (PredictRequest(rows=to_matrix(batches[i % len(batches)])) for i in range(count))
    begun = time.perf_counter()
    _expect(count, (len(answer.response.labels) for answer in stub.PredictStream(requests)))
    return time.perf_counter() - begun


def _by_client(client: Client, batches: list[Rows], count: int) -> float:
    begun = time.perf_counter()
    given = (batches[i % len(batches)] for i in range(count))
    _expect(count, (len(prediction.labels) for prediction in client.predict_stream(given)))
    return time.perf_counter() - begun


def _expect(batches: int, labels: Iterator[int]) -> None:
    if sum(labels) != batches * _ROWS:
        raise RuntimeError("the stream did not answer every row; see the server's lines above")
