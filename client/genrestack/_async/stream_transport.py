"""One PredictStream call of grpc.aio, with its ends made into queues."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

import grpc
from grpc import aio

from genrestack._async.tasks import Ending, ended, spawn, status_of, task_is_cancelled
from genrestack._core.in_flight import AnswerOrder, StreamItem
from genrestack.errors import ProtocolError
from genrestack_proto.v1 import prediction_pb2 as pb

Begun: TypeAlias = aio.StreamStreamCall[pb.PredictRequest, bytes]
Start: TypeAlias = Callable[[], Begun]


class AsyncStreamCall:
    """Sends without waiting, receives in order; the twin of `StreamCall`.

    Writing and reading are two tasks: whoever waits in a write until the server reads on must not keep answers from
    being read, for which the server may be waiting.
    """

    ending: Final = ()
    """Failures of one item that end the stream: none, it has a status of its own."""

    def __init__(self, start: Start) -> None:
        self._outbox: asyncio.Queue[pb.PredictRequest | None] = asyncio.Queue()
        self._inbox: asyncio.Queue[StreamItem | ProtocolError | grpc.RpcError | None] = asyncio.Queue()
        self._order = AnswerOrder()
        self._call = start()
        self._ending = Ending(self._call)
        self._tasks = spawn(self._write(), "stream-write"), spawn(self._read(), "stream-read")

    def send(self, request: pb.PredictRequest) -> None:
        """Queue one request; the caller bounds how many."""
        self._order.note_sent(request.rows.shape[0])
        self._outbox.put_nowait(request)

    def finish(self) -> None:
        """Say that no more requests come."""
        self._outbox.put_nowait(None)

    async def receive(self, timeout: float | None) -> StreamItem:  # noqa: ASYNC109 - the twin's signature
        """Wait for the next answer.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            grpc.RpcError: the call failed.
            ProtocolError: the server left out an item, or went on after the last.

        """
        async with asyncio.timeout(timeout):
            answer = await self._inbox.get()
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise self._order.ended()
        return answer

    async def complete(self, timeout: float) -> None:  # noqa: ASYNC109 - the twin's signature
        """Let the server end the call, now that every answer is there, so that it counts as one that went well.

        Raises:
            ProtocolError: it goes on with answers to nothing.

        """
        await asyncio.wait(self._tasks, timeout=timeout)
        if not self._inbox.empty() and isinstance(left := self._inbox.get_nowait(), ProtocolError):
            raise left

    async def close(self) -> None:
        """End the call and both tasks."""
        self._call.cancel()
        await ended(*self._tasks)

    async def _write(self) -> None:
        # Why a call has ended is for the reader to say.
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            while (request := await self._outbox.get()) is not None:
                await self._call.write(request)
            await self._call.done_writing()

    async def _read(self) -> None:
        try:
            while isinstance(data := await self._call.read(), bytes):
                self._inbox.put_nowait(self._order.arrived(data))
        except grpc.RpcError as error:
            self._inbox.put_nowait(await self._ending.of(error))
        except ProtocolError as error:
            self._inbox.put_nowait(error)
            self._call.cancel()
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
            self._inbox.put_nowait(await status_of(self._call))
        else:
            self._inbox.put_nowait(None)
