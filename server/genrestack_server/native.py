"""Front end of `genrestack.v1.PredictionService`: translates messages, decides nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final, ParamSpec, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from genrestack_proto.matrix import FloatMatrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_server.answers import described, predicted, summarised
from genrestack_server.arrival import fill, next_item
from genrestack_server.calls import Call
from genrestack_server.checks import check_bytes, check_request
from genrestack_server.config import ServerConfig
from genrestack_server.errors import InvalidRequestError
from genrestack_server.pipeline import pipelined
from genrestack_server.predictor import Predictor
from genrestack_server.reception import Reception
from genrestack_server.registry import ServedModel
from genrestack_server.status import Context
from genrestack_server.text import counted

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["PredictionService"].full_name

# One item runs, one is unpacked and waits for its turn, one is being written, one is spare.
_STREAM_DEPTH: Final = 4
# Packing and unpacking this much takes up to a millisecond: beyond it, other callers would feel the event loop stop.
_LARGE_BYTES: Final = 2**20

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Message = TypeVar("_Message", bound=Message)


class NativeService:
    """The four methods of `genrestack.v1.PredictionService`, from bytes to messages.

    Requests arrive as bytes and are parsed here: what gRPC's own parsing refuses ends as UNKNOWN with the text of a
    Python exception.
    """

    def __init__(self, predictor: Predictor, reception: Reception, config: ServerConfig) -> None:
        self._predictor = predictor
        self._reception = reception
        self._config = config

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer the service's methods on this server."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Predict": unary(self._predict, None, pb.PredictResponse.SerializeToString),
            "PredictStream": stream(self._predict_stream, None, pb.PredictStreamResponse.SerializeToString),
            "ListModels": unary(self._list_models, None, pb.ListModelsResponse.SerializeToString),
            "GetModel": unary(self._get_model, None, pb.GetModelResponse.SerializeToString),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))

    async def _predict(self, data: bytes, context: Context) -> pb.PredictResponse:
        return await self._reception.answered(context, "Predict", lambda call: self._admitted(data, call))

    async def _predict_stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncGenerator[pb.PredictStreamResponse, None]:
        stream = Call("PredictStream")
        async with aclosing(self._stream(requests, context, stream)) as responses:
            while (response := await self._reception.carried_on(context, stream, anext(responses, None))) is not None:
                yield response

    async def _list_models(self, data: bytes, context: Context) -> pb.ListModelsResponse:
        return await self._reception.answered(context, "ListModels", lambda _: self._listed(data))

    async def _get_model(self, data: bytes, context: Context) -> pb.GetModelResponse:
        return await self._reception.answered(context, "GetModel", lambda call: self._described(data, call))

    async def _admitted(self, data: bytes, call: Call) -> pb.PredictResponse:
        with self._predictor.gate.passing():
            return await self._answer(data, call)

    async def _answer(self, data: bytes, call: Call) -> pb.PredictResponse:
        large = len(data) > _LARGE_BYTES
        request, served, rows = await _aside(large, self._unpacked, data, call)
        answer = await self._predictor.predict(served, rows, call)
        return await _aside(large, predicted, request, served, answer)

    def _unpacked(self, data: bytes, call: Call) -> tuple[pb.PredictRequest, ServedModel, FloatMatrix]:
        check_bytes(len(data), self._config)
        request = _parsed(pb.PredictRequest, data)
        served = self._found(request.model, request.version, call)
        rows = check_request(request, served, self._config)
        call.rows = len(rows)
        return request, served, rows

    def _found(self, model: str, version: int, call: Call) -> ServedModel:
        served = self._predictor.find(model, version)
        call.model, call.version = served.name, served.version
        return served

    async def _stream(
        self, requests: AsyncIterator[bytes], context: Context, stream: Call
    ) -> AsyncGenerator[pb.PredictStreamResponse, None]:
        async def work(data: bytes) -> pb.PredictStreamResponse:
            call = next_item(stream)
            result = await self._reception.outcome(call, self._answer(data, call))
            if isinstance(result, status_pb2.Status):
                return pb.PredictStreamResponse(error=result)
            return pb.PredictStreamResponse(response=result)

        index = 0
        fill(stream, context)
        with self._predictor.gate.passing():
            async with aclosing(pipelined(requests, work, _STREAM_DEPTH)) as responses:
                async for response in responses:
                    response.index = index
                    yield response
                    index += 1

    async def _listed(self, data: bytes) -> pb.ListModelsResponse:
        _parsed(pb.ListModelsRequest, data)
        registry = self._predictor.registry
        return pb.ListModelsResponse(models=[summarised(served, registry) for served in registry.ready()])

    async def _described(self, data: bytes, call: Call) -> pb.GetModelResponse:
        request = _parsed(pb.GetModelRequest, data)
        served = self._found(request.model, request.version, call)
        return pb.GetModelResponse(model=described(served, self._predictor.registry))


def _parsed(kind: type[_Message], data: bytes) -> _Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        text = (
            f"these {counted(len(data), 'byte')} are no {kind.DESCRIPTOR.full_name}; make it with the service's proto"
        )
        raise InvalidRequestError.of("request", text) from error


async def _aside(large: bool, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:  # noqa: FBT001
    """Do large work in another thread, small work at once."""
    return await asyncio.to_thread(work, *args, **kwargs) if large else work(*args, **kwargs)
