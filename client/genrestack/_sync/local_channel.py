"""A channel to models in this process: calls as gRPC's, without a port.

It has the few methods of gRPC's channels, calls and errors that this package uses, so that everything above
them (splitting, deadlines, streams, retries, checks of answers) is the same either way.
"""

import os
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from genrestack._core.connection.local import LocalModels, LocalSource, Outcome, StartError, open_models
from genrestack._core.connection.options import Peer
from genrestack._core.status import DETAILS_KEY, from_status, status_code
from genrestack.errors import FailedPrecondition

_Metadata = Iterable[tuple[str, str]] | None
_Serializer = Callable[[Message], bytes]


class LocalChannel:
    """Stands where a `grpc.Channel` would.

    Raises:
        ModuleNotFoundError: the extra `server` is not installed; the message says how to.
        GenreStackError: the models cannot be loaded.

    """

    def __init__(self, source: LocalSource, peer: Peer) -> None:
        try:
            models = open_models(source)
        except StartError as error:
            raise from_status(error.status, peer) from None
        self._models: LocalModels | None = models
        self._process = os.getpid()
        # Also when nobody closes it: at the latest when the process ends.
        self._finalizer = None if source.shared else weakref.finalize(self, _close, models, self._process)

    def unary_unary(self, name: str, request_serializer: _Serializer) -> "LocalMethod":
        """Return what begins calls of one method."""
        return LocalMethod(self, name, request_serializer)

    def stream_stream(self, name: str, request_serializer: _Serializer) -> Callable[..., Any]:
        """Return what refuses a stream, so that each of its batches becomes a call of its own."""
        del name, request_serializer

        def refuse(*_: object, **__: object) -> Any:
            raise LocalError(grpc.StatusCode.UNIMPLEMENTED, "there are no streams in one process")

        return refuse

    def begin(self, method: str, data: bytes, metadata: _Metadata, timeout: float | None) -> "Future[Outcome]":
        """Begin one call.

        Raises:
            ValueError: the channel is closed, as gRPC says it.
            FailedPrecondition: this process was forked from the one that has loaded the models.

        """
        if self._models is None:
            raise ValueError("Cannot invoke RPC on closed channel!")
        if os.getpid() != self._process:
            raise FailedPrecondition(
                "the models were loaded before this process was forked, and have stayed in its parent; load them here, "
                "or hand the client over as an argument, which is pickled"
            )
        return self._models.call(method, data, tuple(metadata or ()), timeout)

    def close(self) -> None:
        """End the calls in flight, and free the models unless they are shared."""
        self._models = None
        if self._finalizer is not None:
            self._finalizer()


class LocalMethod:
    """Begins calls of one method: waits for the answer if called, and does not by `future`."""

    def __init__(self, channel: LocalChannel, name: str, serializer: _Serializer) -> None:
        self._channel = channel
        self._name = name
        self._serializer = serializer

    def __call__(self, request: Message, timeout: float | None = None, metadata: _Metadata = None) -> bytes:
        """Make a call and wait for its answer.

        Raises:
            LocalError: it failed.

        """
        call = self.future(request, timeout, metadata)
        try:
            return call.result()
        except grpc.FutureCancelledError:
            raise LocalError(grpc.StatusCode.CANCELLED, "the call was cancelled") from None
        finally:
            call.cancel()

    def future(self, request: Message, timeout: float | None = None, metadata: _Metadata = None) -> "LocalCall":
        """Begin a call."""
        return LocalCall(self._channel.begin(self._name, self._serializer(request), metadata, timeout), timeout)


class LocalCall:
    """A call that was begun, as `grpc.Future` has it."""

    def __init__(self, outcome: "Future[Outcome]", timeout: float | None) -> None:
        self._outcome = outcome
        self._end = None if timeout is None else time.monotonic() + timeout

    def result(self, timeout: float | None = None) -> bytes:
        """Wait for the answer.

        Raises:
            LocalError: the call failed, or its own time is over.
            grpc.FutureTimeoutError: it is not over within `timeout` seconds.
            grpc.FutureCancelledError: it was cancelled.

        """
        left = None if self._end is None else max(self._end - time.monotonic(), 0.0)
        own = timeout is None or (left is not None and left <= timeout)
        try:
            data, status = self._outcome.result(left if own else timeout)
        except TimeoutError:
            if not own:
                raise grpc.FutureTimeoutError from None
            self._outcome.cancel()
            raise LocalError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        except CancelledError:
            raise grpc.FutureCancelledError from None
        if status:
            raise LocalError.of(status)
        return data

    def done(self) -> bool:
        """Return whether `result` would return at once."""
        return self._outcome.done()

    def cancel(self) -> bool:
        """End the call."""
        return self._outcome.cancel()


class LocalError(grpc.RpcError):
    """A call that failed, in what is read of gRPC's errors."""

    def __init__(self, code: grpc.StatusCode, details: str, status: bytes = b"") -> None:
        super().__init__(details)
        self._code = code
        self._details = details
        self._status = status

    @classmethod
    def of(cls, data: bytes) -> "LocalError":
        """Make the error of a `google.rpc.Status`."""
        status = status_pb2.Status.FromString(data)
        return cls(status_code(status.code), status.message, data)

    def code(self) -> grpc.StatusCode:
        """Return the status code."""
        return self._code

    def details(self) -> str:
        """Return the text."""
        return self._details

    def trailing_metadata(self) -> Any:
        """Return the status with its details, where gRPC's servers put it."""
        return ((DETAILS_KEY, self._status),) if self._status else ()


def _close(models: LocalModels, process: int) -> None:
    # In a process that was forked from it there are no threads to end, and its parent still needs them.
    if os.getpid() == process:
        models.close()
