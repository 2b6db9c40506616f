"""Follow one `Predict` of one row through a real server and its client, function by function."""

import asyncio
import inspect
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, Final

from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import running_server

from genrestack import AsyncClient, Client

_CALLS: Final = 9
"""The most frequent path of this many calls is taken: a poll or a heartbeat may fall into one."""


@dataclass(frozen=True)
class RequestPath:
    """What a call passes in one package."""

    files: int
    changes: int
    """How often a function is called, or a coroutine resumed, in another file than the one before."""
    calls: int
    """Functions called, coroutines resumed."""
    coroutines: int
    """The most coroutines of the package that wait for each other at one time."""


class _Recorder:
    """A profile function that notes which functions of some packages are called while it is on."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._prefixes = {name: f"{folder}/" for name, folder in folders.items()}
        self._on = False
        self._files: dict[str, list[str]] = {}
        self._depth: Counter[str] = Counter()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Follow this thread, and those that begin in the block."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if not self._on or event != "call":
            return
        for name, prefix in self._prefixes.items():
            if frame.f_code.co_filename.startswith(prefix):
                self._files.setdefault(name, []).append(frame.f_code.co_filename)
                self._depth[name] = max(self._depth[name], _nested(frame, prefix))

    @contextmanager
    def recording(self) -> Iterator[dict[str, RequestPath]]:
        """Yield a table that is filled when the block ends."""
        found: dict[str, RequestPath] = {}
        self._files, self._depth = {}, Counter()
        self._on = True
        try:
            yield found
        finally:
            self._on = False
        for name, files in self._files.items():
            found[name] = RequestPath(
                files=len(set(files)),
                changes=sum(one != other for one, other in pairwise(files)),
                calls=len(files),
                coroutines=self._depth[name],
            )


def _nested(frame: FrameType | None, prefix: str) -> int:
    count = 0
    while frame is not None:
        code = frame.f_code
        count += bool(code.co_flags & inspect.CO_COROUTINE) and code.co_filename.startswith(prefix)
        frame = frame.f_back
    return count


def follow_predict(client: Path, server: Path) -> dict[str, RequestPath]:
    """Return the path in the server, in the synchronous and in the asynchronous client.

    Args:
        client: the folder of the client's package.
        server: the folder of the server's package.

    """
    recorder = _Recorder({"server": server, "client": client})
    row = draw_rows(1)
    with tempfile.TemporaryDirectory() as folder, recorder.installed():
        write_tiny(Path(folder), "tiny", TinyStack.draw())
        with running_server(Path(folder), poll_interval=3600) as running:
            address = f"127.0.0.1:{running.port}"
            with Client(address) as sync:
                blocking = _commonest(recorder, lambda: sync.predict(row))
            waiting = asyncio.run(_follow_async(recorder, address, row))
    return {"server": blocking["server"], "Client": blocking["client"], "AsyncClient": waiting["client"]}


async def _follow_async(recorder: _Recorder, address: str, row: Any) -> dict[str, RequestPath]:
    async with AsyncClient(address) as client:
        paths = []
        for _ in range(_CALLS):
            with recorder.recording() as path:
                await client.predict(row)
            paths.append(path)
            await asyncio.sleep(0.1)
    return _mode(paths)


def _commonest(recorder: _Recorder, call: Callable[[], object]) -> dict[str, RequestPath]:
    paths = []
    for _ in range(_CALLS):
        with recorder.recording() as path:
            call()
            # What the server does once the answer has left belongs to the call.
            threading.Event().wait(0.01)
        paths.append(path)
    return _mode(paths)


def _mode(paths: list[dict[str, RequestPath]]) -> dict[str, RequestPath]:
    return {name: Counter(path[name] for path in paths).most_common(1)[0][0] for name in paths[0]}
