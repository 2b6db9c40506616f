"""Keeps a stream busy: several items in work at once, answered in order, never more than a bound."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


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
