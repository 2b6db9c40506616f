"""Callers of loads that leave: nothing of them is left, and what they began is finished."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from server.bundles.tiny import TinyStack, write_tiny

from genrestack_server import Server, ServerConfig
from genrestack_server.errors import LoadRejected, NotFound
from genrestack_server.telemetry.observer import Observer

ABSENT = ("absent", "", "../tiny", "tiny/1", "x\ny", "a" * 3000)


@dataclass
class Refusals(Observer):
    """Versions refused."""

    titles: list[str] = field(default_factory=list)

    def load_failed(self, name: str, version: int, reason: str) -> None:
        self.titles.append(f"{name}/{version}")


@pytest.fixture
def repository(tmp_path: Path, stack: TinyStack) -> Path:
    """Two models: `tiny`, and `broken`, whose only version is invalid."""
    write_tiny(tmp_path, "tiny", stack)
    (write_tiny(tmp_path, "broken", stack) / "golden.npz").write_bytes(b"")
    return tmp_path


def _serving(
    repository: Path,
    walk: Callable[[Server], Awaitable[None]],
    broadcast: Callable[[str, str], None] = lambda *_: None,
) -> list[dict[str, Any]]:
    """Walk over a server; return what its event loop complained of."""
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        config = ServerConfig(models_dir=repository, port=0, threads=1, repository_mode="explicit")
        async with Server(config, broadcast=broadcast) as server:
            await walk(server)
            gc.collect()

    asyncio.run(run())
    return complaints


async def _abandon(work: Awaitable[None], turns: int) -> None:
    """Begin, and leave after some turns of the loop."""
    caller = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    caller.cancel()
    with suppress(asyncio.CancelledError):
        await caller


def test_loads_that_fail_after_their_callers_left_complain_to_nobody(repository: Path) -> None:
    async def walk(server: Server) -> None:
        for turns in range(1, 5):
            for name in (*ABSENT, "broken", "tiny"):
                await _abandon(server.engine.manager.load(name), turns)
        with pytest.raises(NotFound):
            await server.engine.manager.load("absent")
        await server.engine.manager.load("tiny")
        assert [served.title for served in server.models] == ["tiny/1"]

    assert _serving(repository, walk) == []


def test_callers_that_leave_before_their_turn_cost_nothing(repository: Path) -> None:
    async def walk(server: Server) -> None:
        refusals = Refusals()
        server.observers.add(refusals)
        first = asyncio.ensure_future(server.engine.manager.load("broken"))
        await asyncio.sleep(0)
        await asyncio.gather(*(_abandon(server.engine.manager.load("broken"), 2) for _ in range(50)))
        for load in (first, server.engine.manager.load("broken")):
            with pytest.raises(LoadRejected):
                await load
        assert refusals.titles == ["broken/1"] * 2

    assert _serving(repository, walk) == []


def test_a_load_that_has_begun_is_finished_and_told_of_everywhere(repository: Path) -> None:
    told: list[tuple[str, str]] = []

    async def walk(server: Server) -> None:
        manager = server.engine.manager
        await _abandon(manager.load("tiny"), 3)
        with pytest.raises(NotFound):
            await manager.load("absent")
        assert [served.title for served in server.models] == ["tiny/1"]
        await manager.load("tiny")
        await manager.follow("load", "tiny")
        await manager.follow("unload", "tiny")
        assert server.models == []
        await manager.follow("load", "absent")
        await manager.load("tiny")
        await manager.unload("tiny")

    assert _serving(repository, walk, lambda command, name: told.append((command, name))) == []
    assert told == [("load", "tiny")] * 3 + [("unload", "tiny")]
