"""A batcher on a bench: in a loop of its own, over real sessions, with what it did counted."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np

from genrestack_bundle import Answer, ComposedSession
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.inference.batcher import Batcher
from genrestack_server.inference.executor import Executor
from genrestack_server.models.registry import ServedModel
from genrestack_server.telemetry.observer import Observer, Version

T = TypeVar("T")


@dataclass
class Counted(Observer):
    """(version, rows, requests) of each execution."""

    executions: list[tuple[int, int, int]] = field(default_factory=list)

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:
        assert seconds > 0
        self.executions.append((served.version, rows, requests))


@dataclass
class Bench:
    """A batcher in the running loop, and what it is asked."""

    batcher: Batcher
    counted: Counted
    finished: list[str] = field(default_factory=list)

    def ask(self, served: ServedModel, rows: FloatMatrix, name: str = "", **call: Any) -> "asyncio.Task[Answer]":
        async def answer() -> Answer:
            result = await self.batcher.run(served, rows, Call("Predict", rows=len(rows), **call))
            self.finished.append(name)
            return result

        return asyncio.ensure_future(answer())

    async def until_waiting(self, rows: int) -> None:
        """Wait until this many rows wait."""
        while self.batcher.waiting_rows != rows:  # noqa: ASYNC110 - it has no event to tell
            await asyncio.sleep(0)


def on_bench(walk: Callable[[Bench], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        counted = Counted()
        batcher = Batcher(Executor(), counted, ServerConfig(**options))
        try:
            return await walk(Bench(batcher, counted))
        finally:
            batcher.close()

    return asyncio.run(run())


def altered(served: ServedModel, run: Callable[[FloatMatrix], Answer]) -> ServedModel:
    """Let something else answer for a version's session."""

    class Session:
        def run(self, rows: FloatMatrix, options: object = None) -> Answer:
            return run(rows)

    return replace(served, session=cast(ComposedSession, Session()))


def same(answer: Answer, served: ServedModel, rows: FloatMatrix) -> None:
    alone = served.session.run(rows)
    np.testing.assert_array_equal(answer.class_index, alone.class_index)
    np.testing.assert_allclose(answer.probabilities, alone.probabilities, rtol=0, atol=1e-6)
    assert list(answer.base) == list(alone.base)
    for name, table in alone.base.items():
        np.testing.assert_allclose(answer.base[name], table, rtol=0, atol=1e-6)
