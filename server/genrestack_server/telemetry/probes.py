"""What `/livez` and `/readyz` say: asked on the event loop of the server, so that one that hangs does not live."""

import asyncio
from collections.abc import Callable
from typing import Final

LIVE: Final = "/livez"
READY: Final = "/readyz"
# A loop that does not get to it in this time does not answer callers either.
_WITHIN_S: Final = 5.0


class Probes:
    """Answers in any event loop for another one."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        """Speak for the running loop.

        Args:
            ready: tells whether models are served; called in that loop.

        """
        self._loop = asyncio.get_running_loop()
        self._ready = ready

    async def answer(self, path: str) -> bool:
        """Return what the probe of this path says."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._answer(path), self._loop))
        except (TimeoutError, RuntimeError):  # stuck, or closed
            return False

    async def _answer(self, path: str) -> bool:
        return path == LIVE or self._ready()
