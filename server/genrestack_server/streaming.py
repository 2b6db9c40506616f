"""A stream of requests, each a call of its own: answered in order, a bounded number of them at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from google.rpc import status_pb2

from genrestack_server.arrival import fill, next_item
from genrestack_server.calls import Call
from genrestack_server.gate import Gate
from genrestack_server.pipeline import pipelined
from genrestack_server.reception import Reception
from genrestack_server.status import Context

# One item runs, one is unpacked and waits for its turn, one is being written, one is spare.
_DEPTH: Final = 4

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Streams:
    """Answers the streams of one front end."""

    reception: Reception
    gate: Gate

    async def answered(
        self,
        context: Context,
        method: str,
        requests: AsyncIterator[bytes],
        work: Callable[[bytes, Call], Awaitable[_T]],
        refusal: Callable[[bytes, status_pb2.Status], Awaitable[_T]],
    ) -> AsyncGenerator[_T, None]:
        """Yield the answer to each item, in order, or end the stream with the status that says why it cannot go on.

        Args:
            context: gRPC's.
            method: the RPC's own name.
            requests: the items.
            work: answers one item, and fills in model, version and rows of its `Call` as soon as it knows them.
            refusal: makes the answer to an item for which `work` raised.

        """
        stream = Call(method)
        async with aclosing(self._answers(context, stream, requests, work, refusal)) as answers:
            while (answer := await self.reception.carried_on(context, stream, anext(answers, None))) is not None:
                yield answer

    async def _answers(
        self,
        context: Context,
        stream: Call,
        requests: AsyncIterator[bytes],
        work: Callable[[bytes, Call], Awaitable[_T]],
        refusal: Callable[[bytes, status_pb2.Status], Awaitable[_T]],
    ) -> AsyncGenerator[_T, None]:
        async def item(data: bytes) -> _T:
            call = next_item(stream)
            outcome = await self.reception.outcome(call, work(data, call))
            return await refusal(data, outcome) if isinstance(outcome, status_pb2.Status) else outcome

        fill(stream, context)
        with self.gate.passing():
            async with aclosing(pipelined(requests, item, _DEPTH)) as answers:
                async for answer in answers:
                    yield answer
