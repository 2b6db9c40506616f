"""Unary calls that are awaited: tried again within one deadline, and several for one large input."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import grpc
from google.protobuf.message import Message
from grpc import aio

from genrestack._async.stream_transport import AsyncSeparateCalls, AsyncStreamCall, AsyncStreamTransport, Begun
from genrestack._async.tasks import status_of, task_is_cancelled, to_the_end
from genrestack._core.answers import read_prediction
from genrestack._core.base_client import CLOSED_MEANWHILE, BaseClient
from genrestack._core.chunking import Await, Plan, Send, SplitPlan
from genrestack._core.connection.channel import Methods, attempts_made, awaited_channel
from genrestack._core.connection.options import ClientOptions
from genrestack._core.inputs.missing import check_gaps
from genrestack._core.inputs.rows import Rows
from genrestack._core.invalid import invalid
from genrestack._core.model_answers import read_model
from genrestack._core.request import ModelSpec, Pairs, call_pairs, predict_request, rows_per_message
from genrestack._core.retry import Attempts, Deadline
from genrestack._core.status import is_too_large
from genrestack.errors import ClientClosed, GenreStackError, ServiceError
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb

# gRPC reports the end of a cancelled call to its loop a moment later. If that loop has been closed by then, the report
# trips up the next loop of the process instead.
_SETTLING_SECONDS: Final = 0.01
_UnaryCall: TypeAlias = aio.UnaryUnaryCall[Any, bytes]


@dataclass(frozen=True)
class _Connection:
    """A channel, which belongs to the event loop it was made in."""

    loop: asyncio.AbstractEventLoop
    channel: aio.Channel
    methods: Methods

    @classmethod
    def make(cls, options: ClientOptions) -> "_Connection":
        channel = awaited_channel(options)
        return cls(asyncio.get_running_loop(), channel, Methods(channel))


class AsyncCalls(BaseClient):
    """A connection, and the ways to make a call on it."""

    def __init__(self, options: ClientOptions) -> None:
        super().__init__(options)
        self._connection: _Connection | None = None
        # Older releases of gRPC end unary calls alone when a channel is closed.
        self._streams: WeakSet[Begun] = WeakSet()

    def _connect(self, options: ClientOptions) -> None:
        AsyncCalls.__init__(self, options)

    async def close(self) -> None:
        """End every call in flight and the connection; closing again does nothing."""
        self._closed = True
        made, self._connection = self._connection, None
        if made is not None and made.loop is asyncio.get_running_loop():
            await to_the_end(self._end(made), "close")

    async def _end(self, made: _Connection) -> None:
        for stream in list(self._streams):
            stream.cancel()
        await made.channel.close()
        await asyncio.sleep(_SETTLING_SECONDS)

    @property
    def _methods(self) -> Methods:
        return self._connected().methods

    def _connected(self) -> _Connection:
        """Make the channel in the loop that first needs it; when that loop is gone, another in the next."""
        if self._closed:
            raise ClientClosed(CLOSED_MEANWHILE)
        made = self._connection
        if made is not None and made.loop is asyncio.get_running_loop():
            return made
        if made is not None and not made.loop.is_closed():
            raise invalid("event_loop", "is not the one this client was first used in; make a client in each")
        self._connection = _Connection.make(self._options)
        return self._connection

    async def _predict(
        self, rows: Rows, spec: ModelSpec, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction:
        if not self._known_models.take(rows, spec):
            await self._check_gaps(rows, spec, deadline)
        count = len(rows.matrix)
        if count <= rows_per_message(rows, self._options):
            request = predict_request(rows, spec)
            try:
                answer = await self._call(self._methods.predict, request, deadline, spec.metadata, failed)
            except GenreStackError as error:
                if count == 1 or not is_too_large(error):
                    raise
                failed = error
            else:
                return read_prediction(answer, count, spec)
        return await self._predict_split(rows, spec, deadline, failed)

    async def _check_gaps(self, rows: Rows, spec: ModelSpec, deadline: Deadline) -> None:
        """Ask what the model takes, and raise InvalidInput where it is not that."""
        request = pb.GetModelRequest(model=spec.model, version=spec.version)
        info = read_model(await self._call(self._methods.get_model, request, deadline), spec)
        self._known_models.note(spec, info)
        check_gaps(rows, info)

    async def _predict_split(
        self, rows: Rows, spec: ModelSpec, deadline: Deadline, failed: GenreStackError | None
    ) -> Prediction:
        """Ask in several messages: there are too many rows for one, or the server has said so."""
        sent: list[_UnaryCall] = []

        def send(request: pb.PredictRequest) -> _UnaryCall:
            sent.append(self._begin(self._methods.predict, request, deadline, spec.metadata))
            return sent[-1]

        try:
            steps = SplitPlan(send, self._options).steps(rows, spec, failed)
            return await self._run(steps, deadline, spec.metadata)
        finally:
            # What the plan has cancelled takes a moment to be gone.
            await asyncio.gather(*(call.code() for call in sent if not call.done()))

    async def _run(self, steps: Plan[_UnaryCall, Prediction], deadline: Deadline, metadata: Pairs) -> Prediction:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._perform(step, deadline, metadata)
                except GenreStackError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            prediction: Prediction = done.value
            return prediction
        finally:
            steps.close()

    async def _perform(self, step: Send | Await[_UnaryCall], deadline: Deadline, metadata: Pairs) -> bytes:
        if isinstance(step, Send):
            return await self._call(self._methods.predict, step.request, deadline, metadata, step.failed)
        return await self._answer(step.call)

    async def _call(
        self,
        method: Callable[..., _UnaryCall],
        request: Message,
        deadline: Deadline,
        metadata: Pairs = (),
        failed: GenreStackError | None = None,
    ) -> bytes:
        """Make one unary call, again and again while that helps; `failed` is an attempt made elsewhere."""
        retry = self._options.retry
        attempts: Attempts | None = None
        if failed is not None:
            attempts = Attempts(retry, deadline)
            await asyncio.sleep(attempts.delay_after(failed))
        while True:
            began = time.monotonic()
            try:
                return await self._answer(self._begin(method, request, deadline, metadata))
            except ServiceError as error:
                attempts = attempts or Attempts(retry, deadline)
                delay = attempts.delay_after(error, made=attempts_made(error, retry, time.monotonic() - began))
            await asyncio.sleep(delay)

    async def _call_once(self, method: Callable[..., _UnaryCall], request: Message, deadline: Deadline) -> bytes:
        return await self._answer(self._begin(method, request, deadline))

    def _begin(
        self, method: Callable[..., _UnaryCall], request: Message, deadline: Deadline, metadata: Pairs = ()
    ) -> _UnaryCall:
        if self._closed:
            # While this call waited for its next attempt: what gRPC says of such a channel is an error of its own.
            raise ClientClosed(CLOSED_MEANWHILE)
        return method(request, timeout=deadline.remaining(), metadata=call_pairs(self._options.token_source, metadata))

    async def _answer(self, call: _UnaryCall) -> bytes:
        try:
            return await call
        except grpc.RpcError as error:
            raise self._error(error) from error
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
            raise self._error(await status_of(call)) from None

    def _open_transport(self, metadata: Pairs) -> AsyncStreamTransport:
        """Open what carries the batches of a stream."""
        if not self._streaming_disabled:
            return AsyncStreamCall(partial(self._begin_stream, metadata))

        async def ask(request: pb.PredictRequest) -> bytes:
            # As in a stream there is no deadline on the wire: the timeout is the waiting caller's.
            return await self._answer(self._begin(self._methods.predict, request, Deadline(None), metadata))

        return AsyncSeparateCalls(ask)

    def _begin_stream(self, metadata: Pairs) -> Begun:
        stream: Begun = self._methods.predict_stream(metadata=call_pairs(self._options.token_source, metadata))
        self._streams.add(stream)
        return stream
