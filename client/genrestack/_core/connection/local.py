"""Models in this process, in place of a server: what the package of the server contributes, found by its entry point.

Nothing of it is imported here. It takes and returns bytes: the messages that would have travelled.
"""

import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final, Protocol

from google.rpc import status_pb2

from genrestack._core.invalid import invalid

GROUP: Final = "genrestack.local"
MISSING: Final = 'models without a server need: pip install "genrestack[server]"'

Outcome = tuple[bytes, bytes]
"""A message's bytes and none, or none and those of the `google.rpc.Status` that says why there is no message."""


class LocalModels(Protocol):
    """Models that are loaded into this process."""

    def start(self) -> bytes:
        """Load them; return nothing, or the bytes of the `Status` that says why that failed."""

    def call(
        self, method: str, data: bytes, metadata: Iterable[tuple[str, str]], timeout: float | None
    ) -> "Future[Outcome]":
        """Begin one call; cancelling the future ends it."""

    def close(self) -> None:
        """End calls and threads, and free the models."""


@dataclass(frozen=True, kw_only=True)
class LocalSource:
    """Which models are loaded, and how."""

    path: str
    """A model repository, the folder of one model in it, or that of one of its versions; absolute."""
    shown: str
    """The same as it was given."""
    model: str | None = None
    """None: what the path names, or every model there."""
    version: int | None = None
    """None: what the path names, or the newest good one."""
    provider: str | None = None
    """None: as a server chooses."""
    threads: int | None = None
    """None: the CPUs that this process may use."""
    shared: bool = False
    """Whether all clients in this process with the same settings share what is loaded, to the end of the process."""


class StartError(Exception):
    """Models were not loaded; `status` says why."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


def open_models(source: LocalSource) -> LocalModels:
    """Load models, or find those that are loaded already where they are shared.

    Raises:
        ModuleNotFoundError: the extra `server` is not installed; the message says how to.
        StartError: they cannot be loaded.

    """
    return _shared.open(source) if source.shared else _opened(source)


class _SharedModels:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[int, LocalSource], LocalModels] = {}

    def open(self, source: LocalSource) -> LocalModels:
        # A process that was forked has none of its parent's threads.
        key = os.getpid(), source
        with self._lock:
            if key not in self._found:
                self._found[key] = _opened(source)
            return self._found[key]


_shared: Final = _SharedModels()


def _opened(source: LocalSource) -> LocalModels:
    if source.threads is not None and source.threads < 1:
        raise invalid("threads", f"is {source.threads}; give 1 or more, or None for all of this process")
    contributed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not contributed:
        raise ModuleNotFoundError(MISSING, name=GROUP)
    try:
        make = next(iter(contributed.values())).load()
        models: LocalModels = make(
            source.path, model=source.model, version=source.version, provider=source.provider, threads=source.threads
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING, name=error.name) from None
    try:
        refused = models.start()
    except BaseException:
        models.close()
        raise
    if refused:
        models.close()
        raise StartError(status_pb2.Status.FromString(refused))
    return models
