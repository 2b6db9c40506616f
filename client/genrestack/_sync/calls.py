"""Unary calls that block: tried again within one deadline, and several for one large input."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from genrestack._core.answers import read_prediction
from genrestack._core.base_client import CLOSED_MEANWHILE, BaseClient
from genrestack._core.chunking import Await, Plan, Send, SplitPlan
from genrestack._core.connection.channel import Methods, attempts_made, blocking_channel
from genrestack._core.connection.options import ClientOptions
from genrestack._core.inputs.missing import check_gaps
from genrestack._core.inputs.rows import Rows
from genrestack._core.model_answers import read_model, read_models
from genrestack._core.request import ModelSpec, Pairs, call_pairs, predict_request, rows_per_message
from genrestack._core.retry import Attempts, Deadline
from genrestack._core.status import is_too_large
from genrestack._sync.local_channel import LocalChannel
from genrestack._sync.stream_transport import SeparateCalls, StreamCall, StreamingCall, StreamTransport, UnaryFuture
from genrestack.errors import Cancelled, ClientClosed, GenreStackError
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb

_Begun = TypeVar("_Begun")
"""An answer, or a call that is waited for later."""
_Request: TypeAlias = Message | Iterator[Message]


class Calls(BaseClient):
    """A connection, and the ways to make a call on it."""

    def __init__(self, options: ClientOptions) -> None:
        super().__init__(options)
        self._channel = (
            blocking_channel(options) if options.local is None else LocalChannel(options.local, options.peer)
        )
        self._methods = Methods(self._channel)

    def _connect(self, options: ClientOptions) -> None:
        Calls.__init__(self, options)

    def close(self) -> None:
        """End every call in flight and the connection; closing again does nothing."""
        self._closed = True
        self._channel.close()

    def _options_elsewhere(self) -> ClientOptions:
        local = self._options.local
        if local is None:
            return self._options
        # What is loaded here: the newest version may be another one there.
        found = read_models(self._call(self._methods.list_models, pb.ListModelsRequest(), Deadline(None)))
        if len(found) == 1:
            local = replace(local, model=found[0].name, version=found[0].version)
        return replace(self._options, local=replace(local, shared=True))

    def _predict(
        self, rows: Rows, spec: ModelSpec, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction:
        if not self._known_models.take(rows, spec):
            self._check_gaps(rows, spec, deadline)
        count = len(rows.matrix)
        if count <= rows_per_message(rows, self._options):
            request = predict_request(rows, spec)
            try:
                answer = self._call(self._methods.predict, request, deadline, spec.metadata, failed)
            except GenreStackError as error:
                if count == 1 or not is_too_large(error):
                    raise
                failed = error
            else:
                return read_prediction(answer, count, spec)
        return self._predict_split(rows, spec, deadline, failed)

    def _check_gaps(self, rows: Rows, spec: ModelSpec, deadline: Deadline) -> None:
        """Ask what the model takes, and raise InvalidInput where it is not that."""
        request = pb.GetModelRequest(model=spec.model, version=spec.version)
        info = read_model(self._call(self._methods.get_model, request, deadline), spec)
        self._known_models.note(spec, info)
        check_gaps(rows, info)

    def _predict_split(
        self, rows: Rows, spec: ModelSpec, deadline: Deadline, failed: GenreStackError | None
    ) -> Prediction:
        """Ask in several messages: there are too many rows for one, or the server has said so."""

        def send(request: pb.PredictRequest) -> UnaryFuture:
            return self._begin_future(request, deadline, spec.metadata)

        return self._run(SplitPlan(send, self._options).steps(rows, spec, failed), deadline, spec.metadata)

    def _run(self, steps: Plan[UnaryFuture, Prediction], deadline: Deadline, metadata: Pairs) -> Prediction:
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._perform(step, deadline, metadata)
                except GenreStackError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            prediction: Prediction = done.value
            return prediction
        finally:
            steps.close()

    def _perform(self, step: Send | Await[UnaryFuture], deadline: Deadline, metadata: Pairs) -> bytes:
        if isinstance(step, Send):
            return self._call(self._methods.predict, step.request, deadline, metadata, step.failed)
        try:
            return step.call.result()
        except grpc.RpcError as error:
            raise self._error(error) from error
        except grpc.FutureCancelledError as error:
            raise Cancelled(CLOSED_MEANWHILE) from error

    def _call(
        self,
        method: Callable[..., bytes],
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
            time.sleep(attempts.delay_after(failed))
        while True:
            began = time.monotonic()
            try:
                return self._begin(method, request, deadline, metadata)
            except grpc.RpcError as met:
                error = self._error(met)
                attempts = attempts or Attempts(retry, deadline)
                delay = attempts.delay_after(error, made=attempts_made(error, retry, time.monotonic() - began))
            time.sleep(delay)

    def _call_once(self, method: Callable[..., bytes], request: Message, deadline: Deadline) -> bytes:
        try:
            return self._begin(method, request, deadline)
        except grpc.RpcError as error:
            raise self._error(error) from error

    def _begin(
        self, method: Callable[..., _Begun], request: _Request, deadline: Deadline, metadata: Pairs = ()
    ) -> _Begun:
        pairs = call_pairs(self._options.token_source, metadata)
        try:
            return method(request, timeout=deadline.remaining(), metadata=pairs)
        except ValueError as error:
            # gRPC answers a call on a channel that another thread has just closed with a bare ValueError.
            if not self._closed:
                raise
            raise ClientClosed(CLOSED_MEANWHILE) from error

    def _begin_future(self, request: pb.PredictRequest, deadline: Deadline, metadata: Pairs) -> UnaryFuture:
        future: Callable[..., UnaryFuture] = self._methods.predict.future
        return self._begin(future, request, deadline, metadata)

    def _begin_stream(self, requests: Iterator[pb.PredictRequest], metadata: Pairs) -> StreamingCall:
        stream: Callable[..., StreamingCall] = self._methods.predict_stream
        return self._begin(stream, requests, Deadline(None), metadata)

    def _open_transport(self, metadata: Pairs) -> StreamTransport:
        """Open what carries the batches of a stream."""
        if not self._streaming_disabled:
            return StreamCall(partial(self._begin_stream, metadata=metadata))
        # As in a stream there is no deadline on the wire: the timeout is the waiting caller's.
        begin = partial(self._begin_future, deadline=Deadline(None), metadata=metadata)
        return SeparateCalls(begin, self._error)
