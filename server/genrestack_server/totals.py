"""Metrics of a supervisor: its workers' together, and its own."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from genrestack_server.families import Packed, Together, pack

_SELF = "supervisor"


class Totals(Collector):
    """What several workers count, as one."""

    def __init__(self, serving: Callable[[], int]) -> None:
        """Begin at zero; `serving` tells how many workers serve."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.restarts = Counter(
            "genrestack_worker_restarts",
            "Workers that ended though nobody told them to, or no longer answered and were killed.",
            ("reason",),
            registry=self._registry,
        )
        for reason in ("ended", "stuck"):
            self.restarts.labels(reason)
        workers = Gauge("genrestack_workers_serving", "Workers that serve.", registry=self._registry)
        workers.set_function(serving)
        self._together = Together()

    def update(self, worker: str, packed: Packed) -> None:
        """Take a worker's latest figures."""
        self._together.update(worker, packed)

    def bury(self, worker: str) -> None:
        """Keep what a worker that has ended counted."""
        self._together.bury(worker)

    def collect(self) -> Iterator[Metric]:
        """Add up."""
        self._together.update(_SELF, pack(self._registry.collect()))
        yield from self._together.collect()
