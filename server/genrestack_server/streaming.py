"""A stream of requests, each a call of its own: answered in order, a bounded number of them at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeAlias, TypeVar

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
Outcome: TypeAlias = _T | status_pb2.Status
"""The answer to an item, or why there is none."""


class Streams:
    """Answers the streams of one front end."""

    def __init__(self, reception: Reception, gate: Gate) -> None:
        self._reception = reception
        self._gate = gate

    async def answered(
        self,
        context: Context,
        method: str,
        requests: AsyncIterator[bytes],
        work: Callable[[bytes, Call], Awaitable[_T]],
    ) -> AsyncGenerator[Outcome[_T], None]:
        """Yield the outcome of each item, in order, or end the stream with the status that says why it cannot go on.

        Args:
            context: gRPC's.
            method: the RPC's own name.
            requests: the items.
            work: answers one item, and fills in model, version and rows of its `Call` as soon as it knows them.

        """
        stream = Call(method)
        async with aclosing(self._outcomes(context, stream, requests, work)) as outcomes:
            while (found := await self._reception.carried_on(context, stream, anext(outcomes, None))) is not None:
                yield found[0]

    async def _outcomes(
        self,
        context: Context,
        stream: Call,
        requests: AsyncIterator[bytes],
        work: Callable[[bytes, Call], Awaitable[_T]],
    ) -> AsyncGenerator[tuple[Outcome[_T]], None]:
        # In tuples, so that an item's status is not taken for the stream's.
        async def item(data: bytes) -> Outcome[_T]:
            call = next_item(stream)
            return await self._reception.outcome(call, work(data, call))

        fill(stream, context)
        with self._gate.passing():
            async with aclosing(pipelined(requests, item, _DEPTH)) as outcomes:
                async for outcome in outcomes:
                    yield (outcome,)
