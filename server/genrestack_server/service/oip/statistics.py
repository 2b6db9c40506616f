"""Counts and durations of each version since it was loaded, for ModelStatistics."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary

import grpc

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.telemetry.observer import Observer, Version

INFERENCES: Final = frozenset({"Predict", "PredictStream", "ModelInfer", "ModelStreamInfer"})
"""Methods that ask a model; a stream's items are calls of their own."""

_NANO: Final = 1e9


@dataclass(slots=True)
class _Total:
    """How often, and seconds in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=round(self.seconds * _NANO))


@dataclass(slots=True, weakref_slot=True)
class _Counts:
    """What is counted of one version."""

    rows: int = 0
    executions: int = 0
    last: float = 0.0
    success: _Total = field(default_factory=_Total)
    fail: _Total = field(default_factory=_Total)
    queue: _Total = field(default_factory=_Total)
    compute: _Total = field(default_factory=_Total)
    batches: dict[int, _Total] = field(default_factory=dict)


class Statistics(Observer):
    """Counts what is asked of every version, over both protocols.

    The counts of a version go when the version itself is freed, and a version that is loaded again begins at 0.
    """

    def __init__(self) -> None:
        self._counts: WeakKeyDictionary[Version, _Counts] = WeakKeyDictionary()
        self._by_title: WeakValueDictionary[tuple[str, int], _Counts] = WeakValueDictionary()

    def loaded(self, served: Version, seconds: float) -> None:  # noqa: ARG002 - the observer's signature
        """Begin to count."""
        self._of(served)

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:  # noqa: ARG002
        """Count an execution, under its number of rows."""
        counts = self._of(served)
        counts.executions += 1
        counts.last = time.time()
        counts.batches.setdefault(rows, _Total()).add(seconds)

    def call_ended(self, call: Call) -> None:
        """Count a request, if a version was found for it."""
        if call.method not in INFERENCES:
            return
        counts = self._by_title.get((call.model, call.version))
        if counts is None:
            return
        if call.code is not grpc.StatusCode.OK:
            counts.fail.add(call.ended - call.began)
            return
        counts.rows += call.rows
        counts.success.add(call.ended - call.began)
        counts.queue.add(call.queued_s)
        counts.compute.add(call.compute_s)

    def of(self, served: Version) -> pb.ModelStatistics:
        """Return what was counted of a version."""
        counts = self._of(served)
        return pb.ModelStatistics(
            name=served.name,
            version=str(served.version),
            last_inference=round(counts.last * 1000),
            inference_count=counts.rows,
            execution_count=counts.executions,
            inference_stats=pb.InferStatistics(
                success=counts.success.message(),
                fail=counts.fail.message(),
                queue=counts.queue.message(),
                compute_infer=counts.compute.message(),
            ),
            batch_stats=_batch_stats(counts.batches),
        )

    def _of(self, served: Version) -> _Counts:
        counts = self._counts.get(served)
        if counts is None:
            counts = self._counts[served] = _Counts()
            self._by_title[served.name, served.version] = counts
        return counts


def _batch_stats(batches: Mapping[int, _Total]) -> list[pb.InferBatchStatistics]:
    return [
        pb.InferBatchStatistics(batch_size=size, compute_infer=total.message())
        for size, total in sorted(batches.items())
    ]
