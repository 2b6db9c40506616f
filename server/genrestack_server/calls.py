"""What there is to know of one call, and who is told of it: logs, metrics, traces, statistics."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from genrestack_server.registry import ServedModel


@dataclass(slots=True)
class Call:
    """One request from its arrival to its answer: a unary call, or one item of a stream. Times are monotonic seconds.

    A front end makes it, the core fills it in, and whoever observes reads it when it has ended. It never holds feature
    values or tokens.
    """

    method: str
    """The RPC's own name: `Predict`, `PredictStream`, `ModelInfer` …."""
    request_id: str = ""
    """The caller's (metadata `x-request-id`), or made here."""
    traceparent: str | None = None
    """W3C trace context from the caller's metadata."""
    deadline: float | None = None
    """Moment after which nobody waits; None: never."""
    urgent: bool = False
    """The upper of the two priorities."""
    patient: bool = False
    """Waits for room in a full queue in place of failing: an item of a stream, whose sender is slowed down by that."""
    began: float = field(default_factory=time.monotonic)
    model: str = ""
    version: int = 0
    rows: int = 0
    admitted: float = 0.0
    """Moment at which its rows joined the queue; 0: they never did."""
    queued_s: float = 0.0
    """Time between admission and the start of the (first) execution that computed its rows."""
    compute_s: float = 0.0
    """Time of the execution(s) it took part in."""
    batch_rows: int = 0
    """Rows of the last execution it took part in."""
    ended: float = 0.0
    code: grpc.StatusCode = grpc.StatusCode.OK


class Observer:
    """Is told what happens; every method does nothing here. Calls come from the event loop and must return at once."""

    def call_ended(self, call: Call) -> None:
        """Take note of a call, answered or not."""

    def executed(self, served: "ServedModel", rows: int, requests: int, seconds: float) -> None:
        """Take note of one execution of a composed session."""

    def rejected(self, reason: str) -> None:
        """Take note of a request refused before any work, e.g. `queue_full`, `deadline`, `draining`, `token`."""

    def loaded(self, served: "ServedModel", seconds: float) -> None:
        """Take note of a version that is served from now on."""

    def unloaded(self, name: str, version: int) -> None:
        """Take note of a version that is no longer served."""

    def load_failed(self, name: str, version: int, reason: str) -> None:
        """Take note of a version that was refused."""

    def rebuilt(self) -> None:
        """Take note of a gRPC server that was rebuilt because gRPC had closed its port."""


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Tell one more from now on."""
        self._observers.append(observer)

    def call_ended(self, call: Call) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.call_ended(call)

    def executed(self, served: "ServedModel", rows: int, requests: int, seconds: float) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.executed(served, rows, requests, seconds)

    def rejected(self, reason: str) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.rejected(reason)

    def loaded(self, served: "ServedModel", seconds: float) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.loaded(served, seconds)

    def unloaded(self, name: str, version: int) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.unloaded(name, version)

    def load_failed(self, name: str, version: int, reason: str) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.load_failed(name, version, reason)

    def rebuilt(self) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.rebuilt()
