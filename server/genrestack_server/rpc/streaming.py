"""A stream of requests, each a call of its own: answered in order, a bounded number of them at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from google.rpc import status_pb2

from genrestack_server.call import Call
from genrestack_server.inference.admission import AdmissionControl
from genrestack_server.rpc.rpc_handler import Context, RpcHandler

# One item runs, one is unpacked and waits for its turn, one is being written, one is spare.
_DEPTH: Final = 4

_T = TypeVar("_T")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class Streams:
    """Answers the streams of one front end."""

    handler: RpcHandler
    admission: AdmissionControl

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
            while (answer := await self.handler.next_response(context, stream, anext(answers, None))) is not None:
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
            outcome = await self.handler.lifecycle.run(stream.next_item(), partial(work, data))
            return await refusal(data, outcome) if isinstance(outcome, status_pb2.Status) else outcome

        stream.read_context(context)
        with self.admission.admit():
            async with aclosing(pipelined(requests, item, _DEPTH)) as answers:
                async for answer in answers:
                    yield answer


async def pipelined(
    items: AsyncIterator[_In], work: Callable[[_In], Awaitable[_Out]], depth: int
) -> AsyncGenerator[_Out, None]:
    """Yield `work(item)` for each item, in order, while up to `depth` later items are already in work.

    Reading stops while `depth` answers wait to be taken, so a slow reader slows its sender down through the
    transport's own flow control and nothing piles up here. Closing the generator cancels what is still in work.
    """
    tasks: asyncio.Queue[asyncio.Task[_Out] | None] = asyncio.Queue()
    room = asyncio.Semaphore(depth)
    feeder = asyncio.create_task(_feed(items, work, tasks, room))
    try:
        while (task := await tasks.get()) is not None:
            yield await task
            room.release()
        await feeder
    finally:
        feeder.cancel()
        while not tasks.empty():
            if (task := tasks.get_nowait()) is not None:
                task.cancel()


async def _feed(
    items: AsyncIterator[_In],
    work: Callable[[_In], Awaitable[_Out]],
    tasks: "asyncio.Queue[asyncio.Task[_Out] | None]",
    room: asyncio.Semaphore,
) -> None:
    try:
        await room.acquire()
        async for item in items:
            tasks.put_nowait(asyncio.ensure_future(work(item)))
            await room.acquire()
    finally:
        tasks.put_nowait(None)
