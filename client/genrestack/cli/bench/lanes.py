"""Ways to send a request that is packed already: a unary call, or a stream that is kept open."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from genrestack._core.connection.channel import SERVICE, awaited_channel
from genrestack._core.connection.options import ClientOptions
from genrestack._core.request import call_pairs
from genrestack._core.status import code_name
from genrestack.cli.bench.plan import Plan
from genrestack.cli.bench.record import OK
from genrestack_proto.v1 import prediction_pb2 as pb

_TIMED_OUT: Final = grpc.StatusCode.DEADLINE_EXCEEDED.name
_LIES: Final = "PROTOCOL_ERROR"
"""Name for the end of a stream whose server answers what was not asked, or nothing that can be read."""
_PAUSE: Final = 0.01


class Lane(Protocol):
    """Sends requests; several may be under way."""

    async def ask(self, request: bytes) -> str:
        """Send one and wait for its answer; returns the name of its status."""

    async def close(self) -> None:
        """End what is open."""


class UnaryLane:
    """Each request is a call of its own; answers are taken as bytes and not read."""

    def __init__(self, channel: aio.Channel, options: ClientOptions, timeout: float) -> None:
        self._call: Any = channel.unary_unary(f"/{SERVICE}/Predict")
        self._options = options
        self._timeout = timeout

    async def ask(self, request: bytes) -> str:
        """Send one and wait for its answer."""
        try:
            await self._call(request, timeout=self._timeout, metadata=call_pairs(self._options.token_source))
        except grpc.RpcError as error:
            return str(_code(error).name)
        return OK

    async def close(self) -> None:
        """Nothing is open."""


class StreamLane:
    """Requests go through one stream, whose answers come in their order; a stream that broke is opened again."""

    def __init__(self, channel: aio.Channel, options: ClientOptions, timeout: float) -> None:
        self._begin: Any = channel.stream_stream(f"/{SERVICE}/PredictStream")
        self._options = options
        self._timeout = timeout
        self._stream: _Stream | None = None
        self._writing = asyncio.Lock()

    async def ask(self, request: bytes) -> str:
        """Send one and wait for its answer."""
        try:
            async with asyncio.timeout(self._timeout):
                async with self._writing:
                    if self._stream is None or self._stream.over:
                        await self.close()
                        metadata = call_pairs(self._options.token_source)
                        self._stream = _Stream(self._begin(metadata=metadata))
                    answer = await self._stream.send(request)
                return await answer
        except TimeoutError:
            return _TIMED_OUT
        except grpc.RpcError as error:
            return str(_code(error).name)

    async def close(self) -> None:
        """End the stream; one that went well ends well."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()


class _Stream:
    def __init__(self, call: Any) -> None:
        self._call = call
        self._due: deque[asyncio.Future[str]] = deque()
        self._answered = 0
        self._reader = asyncio.create_task(self._read())
        self.over = False

    async def send(self, item: bytes) -> "asyncio.Future[str]":
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._due.append(answer)
        try:
            await self._call.write(item)
        except asyncio.InvalidStateError:
            # It is over; the reader says how.
            self.over = True
        return answer

    async def close(self) -> None:
        if not self.over:
            await self._call.done_writing()
            await asyncio.wait([self._reader], timeout=1)
        self._call.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        code = grpc.StatusCode.CANCELLED.name
        try:
            while isinstance(data := await self._call.read(), bytes):
                answer = pb.PredictStreamResponse.FromString(data)
                if not self._due or answer.index != self._answered or answer.WhichOneof("outcome") is None:
                    code = _LIES
                    break
                self._answered += 1
                self._take(OK if answer.HasField("response") else code_name(answer.error.code))
        except DecodeError:
            code = _LIES
        except grpc.RpcError as error:
            code = _code(error).name
        finally:
            self.over = True
            while self._due:
                self._take(code)

    def _take(self, code: str) -> None:
        answer = self._due.popleft()
        if not answer.done():
            answer.set_result(code)


def _code(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code


@asynccontextmanager
async def open_lanes(plan: Plan, options: ClientOptions) -> AsyncIterator[list[Lane]]:
    """Open the connections and yield a lane for each caller, spread over them."""
    # gRPC shares a connection among channels to one address unless told otherwise.
    apart = ("grpc.use_local_subchannel_pool", 1)
    channels = [awaited_channel(options, apart) for _ in range(plan.connections)]
    kind = StreamLane if plan.stream else UnaryLane
    lanes: list[Lane] = [
        kind(channels[number % len(channels)], options, plan.timeout) for number in range(plan.callers)
    ]
    try:
        yield lanes
    finally:
        await asyncio.gather(*(lane.close() for lane in lanes))
        for channel in channels:
            await channel.close()
        await asyncio.sleep(_PAUSE)
