"""Observers of calls, runs and loads: logs, metrics, traces, statistics."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from genrestack_server.call import Call

if TYPE_CHECKING:
    from genrestack_bundle import Answer
    from genrestack_proto.matrix import FloatMatrix
    from genrestack_proto.v1.model_pb2 import Model


class Version(Protocol):
    """What observers read of a served version."""

    @property
    def name(self) -> str:
        """Return the model's name."""

    @property
    def version(self) -> int:
        """Return its number."""

    @property
    def title(self) -> str:
        """Return `<name>/<version>`."""

    @property
    def provider(self) -> str:
        """Return the execution provider that runs it."""

    @property
    def precision(self) -> str:
        """Return `single` or `double`."""

    @property
    def model(self) -> "Model":
        """Return its manifest."""


class Observer:
    """Notified of what happens; every method does nothing here. Calls come from the event loop and must not block."""

    def call_ended(self, call: Call) -> None:
        """Record a call, answered or not."""

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:
        """Record one execution of a composed session."""

    def answered(self, served: Version, rows: "FloatMatrix", answer: "Answer") -> None:
        """Record what one execution answered to its rows, shape (n, f); neither may be changed."""

    def rejected(self, reason: str) -> None:
        """Record a request refused before any work, e.g. `queue_full`, `deadline`, `draining`, `token`."""

    def loaded(self, served: Version, seconds: float) -> None:
        """Record a version that is served from now on."""

    def unloaded(self, name: str, version: int) -> None:
        """Record a version that is no longer served."""

    def load_failed(self, name: str, version: int, reason: str) -> None:
        """Record a version that was refused."""

    def rebuilt(self) -> None:
        """Record a gRPC server that was rebuilt because gRPC had closed its port."""


class Observers(Observer):
    """Several observers as one; each is notified where it overrides the method."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._call_ended: list[Callable[[Call], None]] = []
        self._executed: list[Callable[[Version, int, int, float], None]] = []
        self._answered: list[Callable[[Version, FloatMatrix, Answer], None]] = []
        self._rejected: list[Callable[[str], None]] = []
        self._loaded: list[Callable[[Version, float], None]] = []
        self._unloaded: list[Callable[[str, int], None]] = []
        self._load_failed: list[Callable[[str, int, str], None]] = []
        self._rebuilt: list[Callable[[], None]] = []
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Add an observer."""
        told: tuple[tuple[str, list[Any]], ...] = (
            ("call_ended", self._call_ended),
            ("executed", self._executed),
            ("answered", self._answered),
            ("rejected", self._rejected),
            ("loaded", self._loaded),
            ("unloaded", self._unloaded),
            ("load_failed", self._load_failed),
            ("rebuilt", self._rebuilt),
        )
        for name, methods in told:
            if getattr(type(observer), name) is not getattr(Observer, name):
                methods.append(getattr(observer, name))

    def call_ended(self, call: Call) -> None:
        """Notify all observers."""
        for notify in self._call_ended:
            notify(call)

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:
        """Notify all observers."""
        for notify in self._executed:
            notify(served, rows, requests, seconds)

    def answered(self, served: Version, rows: "FloatMatrix", answer: "Answer") -> None:
        """Notify all observers."""
        for notify in self._answered:
            notify(served, rows, answer)

    def rejected(self, reason: str) -> None:
        """Notify all observers."""
        for notify in self._rejected:
            notify(reason)

    def loaded(self, served: Version, seconds: float) -> None:
        """Notify all observers."""
        for notify in self._loaded:
            notify(served, seconds)

    def unloaded(self, name: str, version: int) -> None:
        """Notify all observers."""
        for notify in self._unloaded:
            notify(name, version)

    def load_failed(self, name: str, version: int, reason: str) -> None:
        """Notify all observers."""
        for notify in self._load_failed:
            notify(name, version, reason)

    def rebuilt(self) -> None:
        """Notify all observers."""
        for notify in self._rebuilt:
            notify()
