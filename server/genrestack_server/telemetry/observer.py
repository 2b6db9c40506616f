"""Who is told of calls, runs and loads: logs, metrics, traces, statistics."""

from collections.abc import Sequence
from typing import Protocol

from genrestack_server.call import Call


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


class Observer:
    """Is told what happens; every method does nothing here. Calls come from the event loop and must return at once."""

    def call_ended(self, call: Call) -> None:
        """Take note of a call, answered or not."""

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:
        """Take note of one execution of a composed session."""

    def rejected(self, reason: str) -> None:
        """Take note of a request refused before any work, e.g. `queue_full`, `deadline`, `draining`, `token`."""

    def loaded(self, served: Version, seconds: float) -> None:
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

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.executed(served, rows, requests, seconds)

    def rejected(self, reason: str) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.rejected(reason)

    def loaded(self, served: Version, seconds: float) -> None:
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
