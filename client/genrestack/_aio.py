"""Small helpers around asyncio: tasks that are ended for sure, threads that are waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_Result = TypeVar("_Result")


def task_is_cancelled() -> bool:
    """Tell, on a CancelledError, whether it means the running task: grpc.aio raises the same for a call ended here."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def in_thread(function: Callable[_P, _Result], *args: _P.args, **kwargs: _P.kwargs) -> _Result:
    """Run something that blocks in a thread; a task that is cancelled meanwhile waits for the end of it.

    What the thread works on may then be closed at once. Unlike that of `asyncio.to_thread`, nobody else can cancel it.
    """
    call = partial(copy_context().run, function, *args, **kwargs)
    work = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


async def each_in_thread(source: Iterator[_Result]) -> AsyncIterator[_Result]:
    """Yield what an iterator that blocks yields, each from a thread; none of it may be None."""
    while (item := await in_thread(next, source, None)) is not None:
        yield item


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are gone, whatever they have met."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start a task whose name says whose it is."""
    return asyncio.create_task(work, name=f"genrestack-{name}")
