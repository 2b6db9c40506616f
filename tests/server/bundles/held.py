"""A model whose runs wait until they are let go: a test, and not the machine, decides how long it computes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from server.running.live import Running
from server.running.watching import on_loop, registry
from support.waiting import GUARD_S

from genrestack_bundle import Answer, ComposedSession
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.models.registry import ServedModel


class Held:
    """A version in whose place runs of the real session begin, and wait."""

    def __init__(self, real: ServedModel) -> None:
        self._session = real.session
        self._changed = threading.Condition()
        self._begun = self._allowed = 0
        self._free = False
        # None of its runs is a quick one, which would stop the event loop.
        self.served = replace(real, session=cast(ComposedSession, self), inline_max_rows=0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, rows: FloatMatrix, *options: Any) -> Answer:
        with self._changed:
            self._begun += 1
            number = self._begun
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._free or number <= self._allowed, GUARD_S)
        return self._session.run(rows, *options)

    def wait(self, runs: int = 1) -> None:
        """Wait until this many runs have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._begun >= runs, GUARD_S), "no run begins"

    async def begun(self, runs: int = 1) -> None:
        """Wait so in an event loop."""
        await asyncio.to_thread(self.wait, runs)

    def allow(self, runs: int) -> None:
        """Let the first `runs` runs go on."""
        with self._changed:
            self._allowed = runs
            self._changed.notify_all()

    def free(self) -> None:
        """Let every run go on, and those to come."""
        with self._changed:
            self._free = True
            self._changed.notify_all()


@contextmanager
def holding(running: Running, model: str) -> Iterator[Held]:
    """Hold the newest version of a model that is served in this process; it is free again in the end."""

    async def put_in_place() -> Held:
        versions = registry(running).versions(model)
        made = Held(versions[max(versions)])
        registry(running).add(made.served)
        # Nobody but the server may keep it: it goes when its last request has ended.
        del made.served
        return made

    held = on_loop(running, put_in_place())
    try:
        yield held
    finally:
        held.free()
