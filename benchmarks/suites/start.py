"""A server's start and its memory."""

import statistics
from pathlib import Path

import numpy as np

from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Figure, bounded
from benchmarks.serving.servers import connected, genrestack_server
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_ONE_ROW_CALLS, _BATCHES, _BATCH = 200, 20, 256


def start(repository: Path, budget: Budget) -> tuple[Figure, ...]:
    """Time the start of a fresh process until SERVING, and weigh it after some load."""
    rows = open_only_bundle(repository).golden.rows
    seconds: list[float] = []
    memory: list[float] = []
    for _ in range(budget.starts):
        with genrestack_server(repository) as server:
            seconds.append(server.start_seconds)
            _load(server.address, rows)
            memory.append(server.memory_mb())
    note = f"{budget.starts} starts, longest {max(seconds):.2f} s"
    load = f"after {_ONE_ROW_CALLS} calls of 1 row and {_BATCHES} of {_BATCH}"
    return (
        bounded("server start to SERVING", statistics.median(seconds), "s", most=0.36, note=note),
        bounded("server's resident memory", max(memory), "MB", most=130, note=load),
    )


def _load(address: str, rows: np.ndarray) -> None:
    one = PredictRequest(rows=to_matrix(rows[:1]))
    many = PredictRequest(rows=to_matrix(np.resize(rows, (_BATCH, rows.shape[1]))))
    with connected(address) as channel:
        stub = PredictionServiceStub(channel)
        for request in [one] * _ONE_ROW_CALLS + [many] * _BATCHES:
            stub.Predict(request)
