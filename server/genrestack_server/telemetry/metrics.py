"""Prometheus metrics of one server process."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from genrestack_server.call import Call
from genrestack_server.telemetry.aggregation import Packed, pack, unpack
from genrestack_server.telemetry.answers.metrics import AnswerMetrics
from genrestack_server.telemetry.observer import Observer, Version

if TYPE_CHECKING:
    from genrestack_bundle import Answer
    from genrestack_proto.matrix import FloatMatrix

_SECONDS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS: Final = tuple(2**power for power in range(11))
_REASONS: Final = ("queue_full", "concurrency", "deadline", "draining", "cancelled", "token", "management")
# A version's figures outlive it for as many later ones: long enough to be scraped, and their number stays bounded.
_REMEMBERED: Final = 32
_OK: Final = grpc.StatusCode.OK

_Version = tuple[str, str]


class _Series(NamedTuple):
    """What one kind of call counts on, looked up once."""

    requests: Counter
    rows: Counter
    seconds: Histogram
    queued: Histogram


class Metrics(Observer, Collector):
    """Counts what it is told; `collect` and `packed` may be called from another thread.

    A caller cannot make series: a model or version that was never served here is counted under an empty name.
    """

    def __init__(
        self,
        *,
        queue_rows: Callable[[], float] = lambda: 0,
        queue_limit: float = 0,
        in_flight: Callable[[], float] = lambda: 0,
    ) -> None:
        """Count from zero.

        Args:
            queue_rows: tells how many rows wait.
            queue_limit: how many may.
            in_flight: tells how many calls have been let in and have not ended.

        """
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        version = ("model", "version")
        self._requests = self._counter(
            "requests", "Calls that have ended; each item of a stream is one.", (*version, "method", "code")
        )
        self._rows = self._counter("rows", "Rows answered.", version)
        self._seconds = self._histogram(
            "request_seconds", "From the arrival of a call to its end.", (*version, "method"), _SECONDS
        )
        self._queued = self._histogram(
            "queue_seconds", "From the admission of a call's rows to their (first) execution.", version, _SECONDS
        )
        self._computed = self._histogram("compute_seconds", "One execution of the composed graph.", version, _SECONDS)
        self._batch = self._histogram("batch_rows", "Rows of one execution.", version, _ROWS)
        self._rejected = self._counter("rejected", "Calls refused before any work.", ("reason",))
        self._failures = self._counter("model_load_failures", "Versions that were refused.", ("model",))
        self._rebuilds = self._counter("grpc_rebuilds", "Times gRPC closed the port and a new server opened it again.")
        self._info = self._gauge("model_info", "Versions that are served.", (*version, "provider", "precision"))
        self._gauge("queue_rows", "Queued rows.").set_function(queue_rows)
        self._gauge("queue_limit_rows", "Rows that may wait.").set(queue_limit)
        self._gauge("requests_in_flight", "In-flight RPCs.").set_function(in_flight)
        self._answers = AnswerMetrics()
        self.registry.register(self._answers)
        self._known: dict[_Version, tuple[str, ...]] = {}
        self._retired: deque[_Version] = deque()
        self._series: dict[tuple[str, int, str, grpc.StatusCode], _Series] = {}
        self._executions: dict[tuple[str, int], tuple[Histogram, Histogram]] = {}
        for reason in _REASONS:
            # A first refusal shows as an increase only if there was a zero before.
            self._rejected.labels(reason)

    def call_ended(self, call: Call) -> None:
        """Count a call, answered or not."""
        key = (call.model, call.version, call.method, call.code)
        series = self._series.get(key) or self._series_of(key)
        series.requests.inc()
        series.seconds.observe(call.ended - call.began)
        if call.rows and call.code is _OK:
            series.rows.inc(call.rows)
        if call.batch_rows:
            series.queued.observe(call.queued_s)

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:  # noqa: ARG002
        """Count an execution."""
        computed, batch = self._executions_of(served.name, served.version)
        computed.observe(seconds)
        batch.observe(rows)

    def answered(self, served: Version, rows: "FloatMatrix", answer: "Answer") -> None:
        """Count what an execution answered."""
        self._answers.add(served, rows, answer)

    def rejected(self, reason: str) -> None:
        """Count a refusal."""
        self._rejected.labels(reason).inc()

    def loaded(self, served: Version, seconds: float) -> None:  # noqa: ARG002
        """Name a version that is served."""
        version = (served.name, str(served.version))
        if version in self._retired:
            self._retired.remove(version)
        self._known[version] = (served.provider, served.precision)
        self._info.labels(*version, *self._known[version]).set(1)
        self._failures.labels(served.name)
        self._answers.loaded(served)

    def unloaded(self, name: str, version: int) -> None:
        """Name a version no longer; what was counted of it stays for a while."""
        gone = (name, str(version))
        if gone not in self._known or gone in self._retired:
            return
        self._info.remove(*gone, *self._known[gone])
        self._answers.unloaded(gone)
        self._retired.append(gone)
        if len(self._retired) > _REMEMBERED:
            self._forget(self._retired.popleft())

    def load_failed(self, name: str, version: int, reason: str) -> None:  # noqa: ARG002
        """Count a version that was refused."""
        self._failures.labels(name).inc()

    def rebuilt(self) -> None:
        """Count a rebuild of the gRPC server."""
        self._rebuilds.inc()

    def close(self) -> None:
        """End the thread that counts answers."""
        self._answers.close()

    def collect(self) -> Iterator[Metric]:
        """Return what was counted."""
        yield from unpack(self.packed())

    def packed(self) -> Packed:
        """Return what was counted, for another process."""
        return pack(self.registry.collect())

    def _series_of(self, key: tuple[str, int, str, grpc.StatusCode]) -> _Series:
        name, number, method, code = key
        version = self._label(name, number)
        series = _Series(
            self._requests.labels(*version, method, code.name),
            self._rows.labels(*version),
            self._seconds.labels(*version, method),
            self._queued.labels(*version),
        )
        if version != ("", "") or not name:
            self._series[key] = series
        return series

    def _executions_of(self, name: str, number: int) -> tuple[Histogram, Histogram]:
        key = (name, number)
        if key not in self._executions:
            version = self._label(name, number)
            self._executions[key] = (self._computed.labels(*version), self._batch.labels(*version))
        return self._executions[key]

    def _label(self, name: str, number: int) -> _Version:
        version = (name, str(number))
        return version if version in self._known else ("", "")

    def _forget(self, version: _Version) -> None:
        del self._known[version]
        self._answers.forget(version)
        name, number = version[0], int(version[1])
        self._executions.pop((name, number), None)
        for key in [key for key in self._series if key[:2] == (name, number)]:
            del self._series[key]
        labels = dict(zip(("model", "version"), version, strict=True))
        for family in (self._requests, self._rows, self._seconds, self._queued, self._computed, self._batch):
            family.remove_by_labels(labels)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"genrestack_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Histogram:
        return Histogram(f"genrestack_{name}", text, labels, registry=self.registry, buckets=bounds)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"genrestack_{name}", text, labels, registry=self.registry)
