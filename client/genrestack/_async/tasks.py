"""Small helpers around asyncio: tasks that are ended for sure, threads that are waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

import grpc
from grpc import aio

_P = ParamSpec("_P")
_Result = TypeVar("_Result")
_LOOKS: Final = 50
_SECONDS: Final = 0.01


def task_is_cancelled() -> bool:
    """Return whether a CancelledError means the running task: grpc.aio raises the same for a call ended here."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def in_thread(function: Callable[_P, _Result], *args: _P.args, **kwargs: _P.kwargs) -> _Result:
    """Run something that blocks in a thread; a task that is cancelled meanwhile waits for the end of it.

    What the thread works on may then be closed at once. Unlike in `asyncio.to_thread`, others cannot cancel it.
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


@asynccontextmanager
async def entered_in_thread(context: AbstractContextManager[_Result]) -> AsyncIterator[_Result]:
    """Enter a context in a thread; leave it in the event loop's."""
    with ExitStack() as stack:
        yield await in_thread(stack.enter_context, context)


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
            # Retrieved, lest the loop reports that it never was.
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


class AioStatus:
    """How one grpc.aio stream ended, as the server put it.

    When a message is written into a stream that is over, grpc.aio replaces the status that came from the server by an
    INTERNAL of its own (github.com/grpc/grpc/issues/36066). The first one is therefore noted the moment it is set.
    """

    def __init__(self, call: aio.Call) -> None:
        self._call = call
        self._noted: grpc.RpcError | None = None
        call.add_done_callback(self._note)

    async def of(self, met: grpc.RpcError) -> grpc.RpcError | None:
        """Return the server's status for the one that a reader met; None if all was well."""
        if not _is_made_up(met):
            return met
        # Where the write failed first, the status is still on its way; if the connection never took the call, none is.
        for _ in range(_LOOKS):
            if self._noted is not None and not _is_made_up(self._noted):
                break
            await asyncio.sleep(_SECONDS)
            self._noted = await status_of(self._call)
        ended = self._noted or met
        return None if _code(ended) is grpc.StatusCode.OK else ended

    def _note(self, _: object) -> None:
        if self._noted is None or _is_made_up(self._noted):
            self._noted = _status_now(self._call)


async def status_of(call: aio.Call) -> grpc.RpcError:
    """Make the error of a call that is done."""
    return aio.AioRpcError(await call.code(), aio.Metadata(), await call.trailing_metadata(), await call.details())


def _status_now(call: aio.Call) -> grpc.RpcError | None:
    """Do as `status_of` without a turn of the loop, in which the status might be replaced: it is there, if at all."""
    reading = status_of(call)
    try:
        reading.send(None)
    except StopIteration as done:
        status: grpc.RpcError = done.value
        return status
    finally:
        reading.close()
    return None


def _is_made_up(error: grpc.RpcError) -> bool:
    return _code(error) is grpc.StatusCode.INTERNAL and "Internal error from Core" in (error.details() or "")


def _code(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code
