"""The batches of a stream as calls of their own, for asyncio and servers whose `PredictStream` is not there."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from genrestack._async.tasks import ended
from genrestack._core.in_flight import ENDING, Answer
from genrestack.errors import GenreStackError
from genrestack_proto.v1 import prediction_pb2 as pb


class AsyncSeparateCalls:
    """Sends without waiting, receives in order; the twin of `SeparateCalls`."""

    ending: Final = ENDING
    """Failures of one call that are not its batch's, and so end the stream."""

    def __init__(self, ask: Callable[[pb.PredictRequest], Awaitable[bytes]]) -> None:
        self._ask = ask
        self._sent: deque[asyncio.Task[Answer]] = deque()

    def send(self, request: pb.PredictRequest) -> None:
        """Begin one call; the caller bounds how many."""
        self._sent.append(asyncio.create_task(self._outcome(request), name="genrestack-stream-call"))

    def finish(self) -> None:
        """Hear that no more requests come."""

    async def receive(self, timeout: float | None) -> Answer:  # noqa: ASYNC109 - the twin's signature
        """Wait for the oldest call's answer, or for what it failed with.

        Raises:
            TimeoutError: none came within `timeout` seconds.

        """
        async with asyncio.timeout(timeout):
            # Shielded: whoever stops waiting may come back.
            answer = await asyncio.shield(self._sent[0])
        self._sent.popleft()
        return answer

    async def complete(self, timeout: float) -> None:  # noqa: ASYNC109 - the twin's signature
        """Do nothing: every answer is there, and with it the end of its call."""

    async def close(self) -> None:
        """End the calls whose answers were not taken."""
        await ended(*self._sent)

    async def _outcome(self, request: pb.PredictRequest) -> Answer:
        try:
            return await self._ask(request)
        except GenreStackError as error:
            return error
