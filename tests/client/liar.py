"""A real gRPC server that answers whatever bytes a test wants, in streams too."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import model_pb2
from genrestack_proto.v1 import prediction_pb2 as pb

FEATURES = ("a", "b")
CLASSES = ("low", "high")

Reply = Callable[[bytes, Any], bytes | Message]
StreamReply = Callable[[Iterator[bytes], Any], Iterator[bytes | Message]]


def matrix(*rows: Any) -> pb.Matrix:
    return to_matrix(np.array(rows, dtype=np.float32))


def truth(rows: int = 1, **changes: Any) -> pb.PredictResponse:
    """An answer that is right, unless changed."""
    known: dict[str, Any] = {
        "model": "m",
        "version": 1,
        "classes": CLASSES,
        "labels": ["high"] * rows,
        "probabilities": matrix(*[[0.25, 0.75]] * rows),
    }
    return pb.PredictResponse(**(known | changes))


def described(**changes: Any) -> model_pb2.Model:
    """A description that is right, unless changed."""
    known: dict[str, Any] = {"name": "m", "version": 1, "features": [model_pb2.Feature(name=name) for name in FEATURES]}
    return model_pb2.Model(**(known | {"classes": CLASSES} | changes))


def item(index: int, response: pb.PredictResponse | None = None) -> pb.PredictStreamResponse:
    return pb.PredictStreamResponse(index=index, response=truth() if response is None else response)


def one_each(requests: Iterator[bytes], _: Any) -> Iterator[Message]:
    for index, _request in enumerate(requests):
        yield item(index)


def aborting(status: status_pb2.Status | bytes, code: grpc.StatusCode, text: str = "why") -> Reply:
    """Fail with these details."""

    def reply(_: bytes, context: Any) -> bytes:
        details = status if isinstance(status, bytes) else status.SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(code, text)
        return b""

    return reply


def telling(answer: bytes | Message) -> Reply:
    return lambda _request, _context: answer


@dataclass
class Liar(grpc.GenericRpcHandler):
    """What it answers by method; the truth where nothing is said."""

    replies: dict[str, Reply] = field(default_factory=dict)
    stream: StreamReply = one_each
    watch: Callable[[bytes, Any], Iterator[bytes | Message]] = field(
        default=lambda _request, _context: iter([health_pb2.HealthCheckResponse(status=1)])
    )
    calls: int = 0

    def service(self, details: Any) -> Any:
        self.calls += 1
        name = details.method.rpartition("/")[2]
        if name == "PredictStream":
            return grpc.stream_stream_rpc_method_handler(lambda r, c: map(_packed, self.stream(r, c)))
        if name == "Watch":
            return grpc.unary_stream_rpc_method_handler(lambda r, c: map(_packed, self.watch(r, c)))
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: _packed(self.replies.get(name, _TRUTHS[name])(request, context))
        )

    def tell(self, **replies: Reply) -> None:
        """Forget everything and answer this."""
        self.__init__(replies)  # type: ignore[misc] # as new

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a real port; yields HOST:PORT."""
        pool = futures.ThreadPoolExecutor(8)
        server = grpc.server(pool, [self], options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0).wait()
            pool.shutdown(wait=False)


_TRUTHS: dict[str, Reply] = {
    "Predict": lambda request, _: truth(pb.PredictRequest.FromString(request).rows.shape[0]),
    "ListModels": telling(pb.ListModelsResponse(models=[described()])),
    "GetModel": telling(pb.GetModelResponse(model=described())),
    "Check": telling(health_pb2.HealthCheckResponse(status=1)),
}


def _packed(answer: bytes | Message) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()
