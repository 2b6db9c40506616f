"""A small real gRPC server that answers by rule and fails to order: for what the real server will not do on demand."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from support.waiting import GUARD_S

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1 import model_pb2, prediction_pb2_grpc
from genrestack_proto.v1 import prediction_pb2 as pb

FEATURES = ("a", "b", "c")
CLASSES = ("low", "high")


def probabilities(rows: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The rule: `high` is the logistic function of the first feature."""
    high = 1 / (1 + np.exp(-np.asarray(rows, dtype=np.float32)[:, 0]))
    return np.stack([1 - high, high], axis=1).astype(np.float32)


def answer(request: pb.PredictRequest, version: int = 1) -> pb.PredictResponse:
    rows = from_matrix(request.rows)
    if request.feature_names:
        rows = rows[:, [list(request.feature_names).index(name) for name in FEATURES]]
    matrix = probabilities(rows)
    return pb.PredictResponse(
        model=request.model or "rule",
        version=request.version or version,
        classes=CLASSES,
        labels=[CLASSES[i] for i in matrix.argmax(axis=1)],
        probabilities=to_matrix(matrix),
        base=[pb.BaseProbabilities(name="knn", probabilities=to_matrix(matrix))] if request.base else [],
    )


def failure(code: grpc.StatusCode, message: str = "as told", *details: Any) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def bad_request(**violations: str) -> error_details_pb2.BadRequest:
    kind = error_details_pb2.BadRequest.FieldViolation
    return error_details_pb2.BadRequest(field_violations=[kind(field=f, description=d) for f, d in violations.items()])


@dataclass
class Script(prediction_pb2_grpc.PredictionServiceServicer):
    """What the server does: fail as often as there are failures, then answer."""

    failures: list[status_pb2.Status] = field(default_factory=list)
    """One for each next call (or, in a stream, item)."""
    stream_breaks: list[status_pb2.Status] = field(default_factory=list)
    """One for each next stream, which breaks after its first answer."""
    respond: Callable[[pb.PredictRequest], pb.PredictResponse | status_pb2.Status] = answer
    delay: float = 0.0
    released: threading.Event = field(default_factory=threading.Event)
    """Cleared, no answer is made until it is set again."""
    requests: list[pb.PredictRequest] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    metadata: list[dict[str, str]] = field(default_factory=list)
    """What travelled beside each call."""
    token: str | None = None
    """The only one that is let in, if there is one."""
    ended: list[bool] = field(default_factory=list)
    """For each stream, whether its caller stayed to the end."""
    calls: list[Any] = field(default_factory=list)
    """What gRPC knows of each Predict."""
    abandoned: list[bool] = field(default_factory=list)
    """For each Predict, whether its caller had given up before the answer was made."""
    refused: list[str] = field(default_factory=list)
    """Methods that were asked and are not there."""

    def __post_init__(self) -> None:
        self.released.set()

    def hold(self) -> "Script":
        """Answer nothing before `released` is set, or the server is closed."""
        self.released.clear()
        return self

    def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        self._admit(context)
        self.calls.append(context)
        outcome = self._next(request)
        self.abandoned.append(not context.is_active())
        return outcome if isinstance(outcome, pb.PredictResponse) else _abort(context, outcome)

    def PredictStream(self, request_iterator: Any, context: Any) -> Iterator[pb.PredictStreamResponse]:
        self._admit(context)
        context.add_callback(self.cancelled.set)
        breaks = self.stream_breaks.pop(0) if self.stream_breaks else None
        for index, request in enumerate(request_iterator):
            if breaks is not None and index == 1:
                _abort(context, breaks)
            outcome = self._next(request)
            if isinstance(outcome, status_pb2.Status):
                yield pb.PredictStreamResponse(index=index, error=outcome)
            else:
                yield pb.PredictStreamResponse(index=index, response=outcome)
        self.ended.append(context.is_active())

    def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        self._admit(context)
        return pb.ListModelsResponse(models=[model_pb2.Model(name="rule", version=1)])

    def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        features = [model_pb2.Feature(name=name) for name in FEATURES]
        return pb.GetModelResponse(model=model_pb2.Model(name="rule", version=1, features=features, classes=CLASSES))

    def _admit(self, context: Any) -> None:
        self.metadata.append({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        given = self.metadata[-1].get("authorization")
        if self.token is not None and given != f"Bearer {self.token}":
            _abort(context, failure(grpc.StatusCode.UNAUTHENTICATED, "this server wants a token that it knows"))

    def _next(self, request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        self.requests.append(request)
        self.arrivals.append(time.monotonic())
        time.sleep(self.delay)
        self.released.wait(GUARD_S)
        return self.failures.pop(0) if self.failures else self.respond(request)


def _abort(context: Any, status: status_pb2.Status) -> Any:
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, status.message)


class _Listening(grpc.GenericRpcHandler):
    """Answers nothing, and so gRPC says UNIMPLEMENTED of what it is asked."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def service(self, handler_call_details: Any) -> None:
        self._script.refused.append(handler_call_details.method.rpartition("/")[2])


def _add_unary(script: Script, server: grpc.Server) -> None:
    """Answer all methods but PredictStream."""
    unary = grpc.unary_unary_rpc_method_handler
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Predict": unary(script.Predict, pb.PredictRequest.FromString, pb.PredictResponse.SerializeToString),
        "ListModels": unary(
            script.ListModels, pb.ListModelsRequest.FromString, pb.ListModelsResponse.SerializeToString
        ),
        "GetModel": unary(script.GetModel, pb.GetModelRequest.FromString, pb.GetModelResponse.SerializeToString),
    }
    service = grpc.method_handlers_generic_handler("genrestack.v1.PredictionService", handlers)
    server.add_generic_rpc_handlers((service, _Listening(script)))


@dataclass
class Breaking(grpc.GenericRpcHandler):
    """A server whose answers break off after they have begun, the first times it is asked."""

    told: status_pb2.Status
    times: int
    begun: int = 0

    def service(self, _: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(
            self._answer, pb.PredictRequest.FromString, pb.PredictResponse.SerializeToString
        )

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a real port; yields HOST:PORT."""
        server = grpc.server(futures.ThreadPoolExecutor(2), [self], options=[("grpc.so_reuseport", 0)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0).wait()

    def _answer(self, request: pb.PredictRequest, context: Any) -> Iterator[pb.PredictResponse]:
        self.begun += 1
        yield answer(request)
        if self.begun <= self.times:
            _abort(context, self.told)


@contextmanager
def serving(
    script: Script,
    port: int = 0,
    message_bytes: int = 2**26,
    credentials: grpc.ServerCredentials | None = None,
    streams: bool = True,
) -> Iterator[str]:
    """Serve on a real port; yields HOST:PORT. Without `streams`, PredictStream is not there."""
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", message_bytes)]
    pool = futures.ThreadPoolExecutor(8)
    server = grpc.server(pool, options=options)
    add = prediction_pb2_grpc.add_PredictionServiceServicer_to_server if streams else _add_unary
    add(script, server)
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        script.released.set()
        server.stop(0).wait()
        pool.shutdown(wait=False)
