"""Slow work away from the event loop, in one thread of its own: requests never wait behind it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from genrestack_server.errors import DrainingError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Aside:
    """One thread, first come, first served."""

    def __init__(self, name: str) -> None:
        self.closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do this in the thread, and wait for it.

        Raises:
            DrainingError: `close` was called before.

        """
        if self.closed:
            raise DrainingError("the server is stopping; ask another server")
        # Not as the future's result: futures chained from thread to loop refer to each other in a circle, which would
        # hold a whole model in memory until the next collection of garbage.
        result: list[_T] = []
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: result.append(work(*args, **kwargs)))
        return result.pop()

    def soon(self, work: Callable[[], None]) -> None:
        """Do this in the thread some time, unless it is closed."""
        if not self.closed:
            self._thread.submit(work)

    def close(self) -> None:
        """Begin nothing more; what is being done goes on to its end."""
        self.closed = True
        self._thread.shutdown(wait=False)
