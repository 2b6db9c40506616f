"""The synchronous client."""

import time
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from genrestack import _options
from genrestack._base import BaseClient, channel_arguments, health_of, health_service
from genrestack._messages import Selection
from genrestack._options import NOT_GIVEN, ClientOptions, RetryOptions, Timeout, invalid
from genrestack._retry import Attempts, Deadline
from genrestack._rows import Rows, to_rows
from genrestack._split import SplitCalls
from genrestack._stream import StreamRun
from genrestack.errors import ClientClosed, DeadlineExceeded, GenreStackError, NotFound, Unavailable
from genrestack.health import Health
from genrestack.model_info import ModelInfo
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_proto.v1 import prediction_pb2_grpc

_Response = TypeVar("_Response")
_POLL_SECONDS = 0.1


class Client(BaseClient):
    """Asks a GenreStack server; safe to share among threads.

    Connects when first used. Every failure is a `genrestack.errors.GenreStackError`.

    Args:
        target: HOST:PORT.
        timeout: seconds for a whole call, retries included; None for no limit. Each call can have its own.
        max_message_bytes: largest message sent or taken; larger inputs travel in several.
        max_message_rows: rows in one message at most.
        retry: when a call is tried again.
        channel_options: further gRPC channel arguments.

    """

    def __init__(
        self,
        target: str = _options.DEFAULT_TARGET,
        *,
        timeout: float | None = _options.DEFAULT_TIMEOUT,
        max_message_bytes: int = _options.DEFAULT_MESSAGE_BYTES,
        max_message_rows: int = _options.DEFAULT_MESSAGE_ROWS,
        retry: RetryOptions = RetryOptions(),  # noqa: B008 - frozen
        channel_options: Iterable[tuple[str, str | int]] = (),
    ) -> None:
        options = ClientOptions(
            target=target,
            timeout=timeout,
            max_message_bytes=max_message_bytes,
            max_message_rows=max_message_rows,
            retry=retry,
            channel_options=tuple(channel_options),
        )
        super().__init__(options)
        self._channel = grpc.insecure_channel(target, channel_arguments(options))
        self._stub = prediction_pb2_grpc.PredictionServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def predict(
        self,
        rows: Any,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,  # noqa: FBT001, FBT002 - the published signature
        timeout: Timeout = NOT_GIVEN,
    ) -> Prediction:
        """Ask for labels and probabilities.

        Args:
            rows: unscaled features: an array of shape (n, f) of any numeric dtype, a DataFrame, a list of rows, a dict
                by feature name (of numbers: one row; of sequences: columns) or a list of such dicts. Names, where
                there are any, decide the order of the columns; without them it is the model's own.
            model: name of the model; None is the server's default.
            version: None is the newest one that is ready. An input that travels in several messages is answered by
                one version all the same.
            base: also ask what each base estimator says.
            timeout: seconds, retries included; None for no limit.

        Raises:
            InvalidInput: the rows cannot be used; the message names row (from 0) and feature.
            NotFound: no such model or version.
            Unavailable, DeadlineExceeded, ResourceExhausted: try later.
            GenreStackError: every other failure.

        """
        deadline = self._deadline(timeout)
        return self._predict(to_rows(rows), Selection.of(model, version, base=base), deadline)

    def predict_proba(
        self,
        rows: Any,
        model: str | None = None,
        version: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> npt.NDArray[np.float32]:
        """Return probabilities alone, float32 of shape (n, k), as the estimator itself would; raises as `predict`."""
        return self.predict(rows, model=model, version=version, timeout=timeout).probabilities

    @overload
    def predict_stream(
        self,
        batches: Iterable[Any],
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        timeout: Timeout = NOT_GIVEN,
        in_flight: int = 8,
        on_error: Literal["raise"] = "raise",
    ) -> Generator[Prediction, None, None]: ...

    @overload
    def predict_stream(
        self,
        batches: Iterable[Any],
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        timeout: Timeout = NOT_GIVEN,
        in_flight: int = 8,
        on_error: Literal["return"],
    ) -> Generator[Prediction | GenreStackError, None, None]: ...

    def predict_stream(
        self,
        batches: Iterable[Any],
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        timeout: Timeout = NOT_GIVEN,
        in_flight: int = 8,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Generator[Prediction | GenreStackError, None, None]:
        """Ask for one batch after the other and yield the answers in the same order.

        `batches` is advanced in the caller's own thread, never more than `in_flight` batches ahead of the answers
        taken. If the connection breaks, what is unanswered is asked again. Closing the generator ends the call.

        Args:
            batches: each as `rows` of `predict`; may be endless.
            model: as in `predict`.
            version: as in `predict`; with None, a new version may take over between two batches.
            base: as in `predict`.
            timeout: seconds to wait for one answer, retries included; None for no limit. There is none on the whole.
            in_flight: batches asked and not yet answered at most.
            on_error: "raise" ends the stream at the first batch that fails; "return" yields the error in its place and
                goes on. A failure of the stream as a whole is raised either way, as is what `batches` raises.

        Raises:
            GenreStackError: as `predict`.

        """
        if in_flight < 1:
            raise invalid("in_flight", f"is {in_flight}; give 1 or more")
        if on_error not in ("raise", "return"):
            raise invalid("on_error", f"is {on_error!r}; give 'raise' or 'return'")
        seconds = self._deadline(timeout).timeout
        run = StreamRun(
            start=self._stub.PredictStream,
            ask=self._predict,
            selection=Selection.of(model, version, base=base),
            options=self._options,
            timeout=seconds,
            in_flight=in_flight,
        )
        return run.answers(batches, keep_errors=on_error == "return")

    def models(self, timeout: Timeout = NOT_GIVEN) -> list[ModelInfo]:
        """List every version that is ready, by name and version; features and parts are left out."""
        answer = self._call(self._stub.ListModels, pb.ListModelsRequest(), self._deadline(timeout))
        return [ModelInfo.from_message(model) for model in answer.models]

    def model(self, name: str | None = None, version: int | None = None, timeout: Timeout = NOT_GIVEN) -> ModelInfo:
        """Describe one model in full; None is the server's default model, or the newest version.

        Raises:
            NotFound: no such model or version; the message lists what there is.

        """
        wanted = Selection.of(name, version)
        request = pb.GetModelRequest(model=wanted.model, version=wanted.version)
        return ModelInfo.from_message(self._call(self._stub.GetModel, request, self._deadline(timeout)).model)

    def health(self, model: str | None = None, version: int | None = None, timeout: Timeout = NOT_GIVEN) -> Health:
        """Ask whether the server, or one model, is ready; a model the server does not know is UNKNOWN.

        Raises:
            Unavailable: nothing answers.

        """
        return self._check(health_service(Selection.of(model, version)), self._deadline(timeout))

    def wait_until_ready(
        self, timeout: float | None = 60.0, *, model: str | None = None, version: int | None = None
    ) -> None:
        """Return as soon as the server, or one model, is SERVING; it need not be running yet.

        Raises:
            DeadlineExceeded: it was not within `timeout` seconds; the message says what it was last.

        """
        deadline = self._deadline(timeout)
        service = health_service(Selection.of(model, version))
        while (last := self._state(service, deadline)) != Health.SERVING:
            if not deadline.allows(_POLL_SECONDS):
                what = f"{service} at {self.target}" if service else self.target
                raise DeadlineExceeded(f"{what} was not ready within {timeout:g} s: {last}")
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """End every call in flight and the connection; closing again does nothing."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _predict(
        self, rows: Rows, selection: Selection, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction:
        wire = SplitCalls(self._stub.Predict, self._call, self._error, self._options, deadline)
        return wire.predict(rows, selection, failed)

    def _check(self, service: str, deadline: Deadline) -> Health:
        try:
            return health_of(self._call(self._health.Check, health_pb2.HealthCheckRequest(service=service), deadline))
        except NotFound:
            return Health.UNKNOWN

    def _state(self, service: str, deadline: Deadline) -> str:
        try:
            return self._check(service, deadline)
        except (Unavailable, DeadlineExceeded) as error:
            return str(error)

    def _call(
        self,
        method: Callable[..., _Response],
        request: Message,
        deadline: Deadline,
        failed: GenreStackError | None = None,
    ) -> _Response:
        """Make one unary call, again and again while that helps; `failed` is an attempt made elsewhere."""
        attempts = Attempts(self._options.retry, deadline)
        if failed is not None:
            time.sleep(attempts.delay_after(failed))
        while True:
            try:
                return method(request, timeout=deadline.remaining())
            except grpc.RpcError as error:
                delay = attempts.delay_after(self._error(error))
            except ValueError as error:
                raise self._closed_meanwhile(error) from error
            time.sleep(delay)

    def _closed_meanwhile(self, error: ValueError) -> Exception:
        # gRPC answers a call on a channel that another thread has just closed with a bare ValueError.
        return ClientClosed("this client was closed during the call") if self._closed else error
