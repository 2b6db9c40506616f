"""Metrics of several processes as one: packed for the way, and added up."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Packed = list[Any]
"""Families as JSON can carry them: [name, type, help, [[sample's name, labels, value], …]]."""

_PROCESS: Final = "process_"
# Nothing to add up: the same fact told by every process, or each one's own measure, of which the greatest is told.
_GREATEST: Final = frozenset({"genrestack_model_info", "genrestack_drift_psi", "genrestack_drift_largest_psi"})
_GROWING: Final = frozenset({"counter", "histogram"})

_Key = tuple[str, frozenset[tuple[str, str]]]
_SELF = "supervisor"


def pack(families: Iterable[Metric]) -> Packed:
    """Return the families' samples, less the moments at which their series began."""
    return [
        [family.name, family.type, family.documentation, [[s.name, s.labels, s.value] for s in _packed_samples(family)]]
        for family in families
    ]


def unpack(packed: Packed) -> Iterator[Metric]:
    """Make families again."""
    for name, kind, documentation, samples in packed:
        family = Metric(name, documentation, kind)
        for sample, labels, value in samples:
            family.add_sample(sample, labels, value)
        yield family


class Together(Collector):
    """The families of several processes: counted together, and each one's own memory, files and time with its label.

    What a process has counted stays counted when it is gone, so that no counter ever goes down. May be told and asked
    from different threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._living: dict[str, Packed] = {}
        self._gone: Packed = []

    def update(self, worker: str, packed: Packed) -> None:
        """Store a process's latest figures."""
        with self._lock:
            self._living[worker] = packed

    def retire_worker(self, worker: str) -> None:
        """Add what a process that has ended counted to the total."""
        with self._lock:
            last = self._living.pop(worker, [])
            self._gone = _added([self._gone, [family for family in last if _lasts(family)]])

    def collect(self) -> Iterator[Metric]:
        """Add up."""
        with self._lock:
            living, gone = dict(self._living), self._gone
        yield from unpack(_added([gone, *(_labelled(packed, worker) for worker, packed in sorted(living.items()))]))


def _packed_samples(family: Metric) -> list[Any]:
    return [sample for sample in family.samples if not sample.name.endswith("_created")]


def _lasts(family: list[Any]) -> bool:
    name, kind, *_ = family
    return kind in _GROWING and not name.startswith(_PROCESS)


def _labelled(packed: Packed, worker: str) -> Packed:
    return [
        [name, kind, text, [[sample, {**labels, "worker": worker}, value] for sample, labels, value in samples]]
        if name.startswith(_PROCESS)
        else [name, kind, text, samples]
        for name, kind, text, samples in packed
    ]


def _added(several: Iterable[Packed]) -> Packed:
    families: dict[str, list[Any]] = {}
    sums: dict[str, dict[_Key, list[Any]]] = {}
    for packed in several:
        for name, kind, text, samples in packed:
            families.setdefault(name, [name, kind, text])
            _add(sums.setdefault(name, {}), samples, greatest=name in _GREATEST)
    return [[*families[name], list(sums[name].values())] for name in families]


def _add(sums: dict[_Key, list[Any]], samples: list[Any], *, greatest: bool) -> None:
    for sample, labels, value in samples:
        key = (sample, frozenset(labels.items()))
        have = sums.get(key)
        if have is None:
            sums[key] = [sample, labels, value]
        else:
            have[2] = max(have[2], value) if greatest else have[2] + value


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
        """Store a worker's latest figures."""
        self._together.update(worker, packed)

    def retire_worker(self, worker: str) -> None:
        """Add what a worker that has ended counted to the total."""
        self._together.retire_worker(worker)

    def collect(self) -> Iterator[Metric]:
        """Add up."""
        self._together.update(_SELF, pack(self._registry.collect()))
        yield from self._together.collect()
