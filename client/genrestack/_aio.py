"""Small helpers around asyncio: tasks that are ended for sure, threads that are waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
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
        with suppress(asyncio.CancelledError):
            await _all_done([work])
        if not work.cancelled():
            work.exception()
        raise


async def each_in_thread(source: Iterator[_Result]) -> AsyncIterator[_Result]:
    """Yield what an iterator that blocks yields, each from a thread; none of it may be None."""
    while (item := await in_thread(next, source, None)) is not None:
        yield item


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are gone, whatever they have met, and even if this task is cancelled again."""
    for task in tasks:
        task.cancel()
    try:
        await _all_done(tasks)
    finally:
        for task in tasks:
            # Looked at, lest the loop reports that nobody has.
            if not task.cancelled():
                task.exception()


async def to_the_end(work: Coroutine[Any, Any, None], name: str) -> None:
    """Do something to its end, even if this task is cancelled meanwhile."""
    task = spawn(work, name)
    await _all_done([task])
    task.result()


async def _all_done(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for tasks; a cancellation of the one that waits is raised when they are done, not before."""
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start a task whose name says whose it is."""
    return asyncio.create_task(work, name=f"genrestack-{name}")
