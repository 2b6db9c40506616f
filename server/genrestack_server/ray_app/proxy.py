"""What runs inside Ray's gRPC proxies: the methods there are, and what callers hear of Ray's own failures."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from genrestack_proto.v1 import prediction_pb2 as pb

MODEL_ID_KEY: Final = "multiplexed_model_id"
"""Metadata by which Ray chooses a replica."""
DETAILS_KEY: Final = "grpc-status-details-bin"

_NATIVE: Final = "/" + pb.DESCRIPTOR.services_by_name["PredictionService"].full_name
_HEALTH: Final = "/" + health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
PREDICT: Final = f"{_NATIVE}/Predict"
GET_MODEL: Final = f"{_NATIVE}/GetModel"
METHODS: Final = (PREDICT, f"{_NATIVE}/ListModels", GET_MODEL, f"{_HEALTH}/Check")
"""Ray calls the replicas' methods by the last part. No PredictStream: gRPC says UNIMPLEMENTED, and clients of ours ask
for each batch by itself. A stream of Ray's (where it has any) would stay with one replica and be lost with it."""
_NAMING: Final[dict[str, type[pb.PredictRequest | pb.GetModelRequest]]] = {
    PREDICT: pb.PredictRequest,
    GET_MODEL: pb.GetModelRequest,
}
"""Requests that name a model."""
_RETRY_AFTER: Final = timedelta(seconds=0.1)

_Behaviour = Callable[[bytes, Any], Awaitable[bytes]]


class Proxy(Protocol):
    """What is used of Ray's gRPC server."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any, /) -> None:
        """Add handlers, whose behaviours Ray replaces by ones that ask replicas."""


def add_to(proxy: Proxy, *, multiplexed: bool) -> None:
    """Answer the methods on a proxy."""
    proxy.add_generic_rpc_handlers((Handlers(multiplexed=multiplexed),))


class Handlers(grpc.GenericRpcHandler):
    """Handlers by path, with what Ray does in them and what we do around it. Messages stay bytes."""

    def __init__(self, *, multiplexed: bool) -> None:
        # By this name Ray finds the behaviours that it replaces.
        self._method_handlers: dict[str, Any] = {
            path: grpc.unary_unary_rpc_method_handler(_never, None, None) for path in METHODS
        }
        self._multiplexed = multiplexed

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Find the handler of a call; None, and so UNIMPLEMENTED, if there is none."""
        return self._guarded.get(handler_call_details.method)

    @cached_property
    def _guarded(self) -> dict[str, Any]:
        return {path: handler._replace(unary_unary=self._around(path, handler.unary_unary))
                for path, handler in self._method_handlers.items()}  # fmt: skip

    def _around(self, path: str, asked: _Behaviour) -> _Behaviour:
        naming = _NAMING.get(path) if self._multiplexed else None

        async def behaviour(data: bytes, context: Any) -> bytes:
            if naming is None:
                answer = await asked(data, context)
            else:
                model, data = named(naming, data, _given(context))
                answer = await asked(data, _Named(context, model) if model else context)
            if context.code() and DETAILS_KEY not in dict(context.trailing_metadata() or ()):
                _set_status(context, meant(_number(context.code()), context.details() or ""))
            return answer

        return behaviour


class _Named:
    """A context whose metadata name a model."""

    def __init__(self, context: Any, model: str) -> None:
        self._context = context
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def invocation_metadata(self) -> tuple[Any, ...]:
        """Return the caller's metadata, and the model."""
        others = (pair for pair in self._context.invocation_metadata() or () if pair[0] != MODEL_ID_KEY)
        return (*others, (MODEL_ID_KEY, self._model))


def named(kind: type[pb.PredictRequest | pb.GetModelRequest], data: bytes, given: str) -> tuple[str, bytes]:
    """Return the model a request means, "" if it names none, and the request that names it.

    Args:
        kind: of the request.
        data: the request.
        given: what the metadata name; the request itself has the last word.

    """
    try:
        request = kind.FromString(data)
    except DecodeError:
        # The replica says what is wrong with it.
        return given, data
    if request.model or not given:
        return request.model, data
    request.model = given
    return given, request.SerializeToString()


def meant(code: int, text: str) -> status_pb2.Status:
    """Translate a failure of Ray's own for a caller; Ray's texts hold addresses, ids and traces.

    A replica of ours says itself what went wrong, so that INTERNAL means that it was lost with the request.
    """
    status = status_pb2.Status(code=code, message=text)
    if code in {grpc.StatusCode.INTERNAL.value[0], grpc.StatusCode.UNKNOWN.value[0]}:
        status.code = grpc.StatusCode.UNAVAILABLE.value[0]
        status.message = "the replica that had this request was lost; try again"
    elif code == grpc.StatusCode.UNAVAILABLE.value[0]:
        status.message = "no replica can answer just now; try again in a few seconds"
    elif code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]:
        status.message = (
            "all replicas are busy, and as many requests wait as may (max_queued_requests); try again shortly"
        )
        detail = error_details_pb2.RetryInfo()
        detail.retry_delay.FromTimedelta(_RETRY_AFTER)
        status.details.add().Pack(detail)
    return status


def _set_status(context: Any, status: status_pb2.Status) -> None:
    context.set_code(_BY_NUMBER[status.code])
    context.set_details(status.message)
    kept = tuple(context.trailing_metadata() or ())
    context.set_trailing_metadata((*kept, (DETAILS_KEY, status.SerializeToString())))


_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}


def _number(code: Any) -> int:
    """Return a code as gRPC keeps it: a number, or one of the names."""
    return int(code.value[0] if isinstance(code, grpc.StatusCode) else code)


def _given(context: Any) -> str:
    return next((str(value) for key, value in context.invocation_metadata() or () if key == MODEL_ID_KEY), "")


async def _never(_: bytes, context: Any) -> bytes:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this proxy is not Ray Serve's")
    return b""
