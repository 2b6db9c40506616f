"""What tests of models that come and go share: asking, waiting, and the same graphs run alone."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy.typing as npt
import pytest
from server.bundles.tiny import draw_rows
from server.running.live import Running

from genrestack_bundle import ComposedSession, open_bundle
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse
from genrestack_server.models.manager import ModelManager
from genrestack_server.models.registry import Registry, VersionState
from genrestack_server.telemetry.observer import Observer, Version

LOOK_S = 0.05
"""Seconds between two looks of a server under test."""
NEVER_S = 86_400.0
"""As seldom as a server may look at its repository: it does so when a test has it do so."""

_T = TypeVar("_T")


def ask(running: Running, model: str = "", version: int = 0, rows: int = 3) -> PredictResponse:
    return running.stub.Predict(
        PredictRequest(model=model, version=version, rows=to_matrix(draw_rows(rows))), timeout=30
    )


def refusal(running: Running, model: str = "", version: int = 0) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(running, model, version)
    return caught.value.code(), str(caught.value.details())


def some_looks(running: Running, count: int = 4) -> None:
    """Make the server poll its repository a few times, beside what it does by itself."""
    for _ in range(count):
        on_loop(running, manager(running).look_once())


async def advance(seconds: float) -> None:
    """Put the running loop's clock forward: what it was to do later than now, and before then, is done now."""
    loop = asyncio.get_running_loop()
    present = loop.time
    loop.time = lambda: present() + seconds  # type: ignore[method-assign]
    for _ in range(5):
        await asyncio.sleep(0)


def manager(running: Running) -> ModelManager:
    assert running.server is not None
    return running.server.engine.manager


def registry(running: Running) -> Registry:
    assert running.server is not None
    return running.server.engine.registry


def on_loop(running: Running, work: Coroutine[Any, Any, _T]) -> _T:
    """Do this on the server's event loop."""
    assert running.loop is not None
    return asyncio.run_coroutine_threadsafe(work, running.loop).result(60)


def index(running: Running) -> dict[str, tuple[VersionState, str]]:
    """State and reason of every version that is known, by `<name>/<version>`."""

    async def read() -> dict[str, tuple[VersionState, str]]:
        return {f"{e.name}/{e.version}": (e.state, e.reason) for e in registry(running).index()}

    return on_loop(running, read())


def states(running: Running) -> dict[str, VersionState]:
    return {title: state for title, (state, _) in index(running).items()}


def alone(bundle: Path) -> Callable[[Any], npt.NDArray[Any]]:
    """Return the composed graph of a bundle in a session of its own, from rows to probabilities."""
    opened = open_bundle(bundle)
    session = ComposedSession(opened.compose(), part_names=opened.part_names, provider="cpu", threads=1)
    return lambda rows: session.run(rows).probabilities


class Seen(Observer):
    """Keeps what it is told of versions."""

    def __init__(self, running: Running) -> None:
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.failures: list[tuple[str, str]] = []
        assert running.server is not None
        running.server.observers.add(self)

    def loaded(self, served: Version, seconds: float) -> None:
        assert seconds > 0
        self.loads.append(served.title)

    def unloaded(self, name: str, version: int) -> None:
        self.unloads.append(f"{name}/{version}")

    def load_failed(self, name: str, version: int, reason: str) -> None:
        self.failures.append((f"{name}/{version}", reason))
