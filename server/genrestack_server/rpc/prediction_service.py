"""Front end of `genrestack.v1.PredictionService`: translates messages, decides nothing."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import grpc
from google.rpc import status_pb2

from genrestack_proto.matrix import FloatMatrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.inference.engine import Predictor
from genrestack_server.inference.validation import check_bytes, check_request
from genrestack_server.models.registry import ServedModel
from genrestack_server.rpc.request_reader import RequestReader
from genrestack_server.rpc.streaming import Streams
from genrestack_server.service.converters import described, predicted, summarised
from genrestack_server.service.lifecycle import Reception
from genrestack_server.service.messages import aside, is_large, parsed
from genrestack_server.service.status import Context

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["PredictionService"].full_name


class NativeService:
    """The four methods of `genrestack.v1.PredictionService`, from bytes to messages.

    Requests arrive as bytes and are parsed here: what gRPC's own parsing refuses ends as UNKNOWN with the text of a
    Python exception.
    """

    def __init__(self, predictor: Predictor, reception: Reception, config: ServerConfig) -> None:
        self._predictor = predictor
        self._reception = reception
        self._streams = Streams(reception, predictor.gate)
        self._config = config
        self._rows = RequestReader(predictor.gate.waiting, config.max_message_bytes)
        self._small = RequestReader.small()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what answers the service's methods."""
        # Not `unary_unary`, which reads first: see `reading`.
        unary, stream = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Predict": unary(self._predict, None, pb.PredictResponse.SerializeToString),
            "PredictStream": stream(self._predict_stream, None, pb.PredictStreamResponse.SerializeToString),
            "ListModels": unary(self._list_models, None, pb.ListModelsResponse.SerializeToString),
            "GetModel": unary(self._get_model, None, pb.GetModelResponse.SerializeToString),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)

    async def predict(self, data: bytes, call: Call) -> pb.PredictResponse:
        """Answer one request; raises what `Reception` turns into a status."""
        with self._predictor.gate.passing():
            return await self._answer(data, call)

    async def list_models(self, data: bytes) -> pb.ListModelsResponse:
        """List the versions that are ready."""
        parsed(pb.ListModelsRequest, data)
        registry = self._predictor.registry
        return pb.ListModelsResponse(models=[summarised(served, registry) for served in registry.ready()])

    async def get_model(self, data: bytes, call: Call) -> pb.GetModelResponse:
        """Describe the version a request means."""
        request = parsed(pb.GetModelRequest, data)
        served = self._found(request.model, request.version, call)
        return pb.GetModelResponse(model=described(served, self._predictor.registry))

    async def _predict(self, _: object, context: Context) -> pb.PredictResponse:
        async def work(call: Call) -> pb.PredictResponse:
            with self._predictor.gate.passing():
                return await self._answer(await self._rows.read(context), call)

        return await self._reception.answered(context, "Predict", work)

    async def _predict_stream(self, _: object, context: Context) -> AsyncGenerator[pb.PredictStreamResponse, None]:
        index, requests = 0, self._rows.items(context)
        answers = self._streams.answered(context, "PredictStream", requests, self._item, _refusal)
        async with aclosing(answers) as responses:
            async for response in responses:
                response.index = index
                yield response
                index += 1

    async def _list_models(self, _: object, context: Context) -> pb.ListModelsResponse:
        async def work(_: Call) -> pb.ListModelsResponse:
            return await self.list_models(await self._small.read(context))

        return await self._reception.answered(context, "ListModels", work)

    async def _get_model(self, _: object, context: Context) -> pb.GetModelResponse:
        async def work(call: Call) -> pb.GetModelResponse:
            return await self.get_model(await self._small.read(context), call)

        return await self._reception.answered(context, "GetModel", work)

    async def _item(self, data: bytes, call: Call) -> pb.PredictStreamResponse:
        return pb.PredictStreamResponse(response=await self._answer(data, call))

    async def _answer(self, data: bytes, call: Call) -> pb.PredictResponse:
        large = is_large(data)
        request, served, rows = await aside(large, self._unpacked, data, call)
        answer = await self._predictor.predict(served, rows, call)
        return await aside(large, predicted, request, served, answer)

    def _unpacked(self, data: bytes, call: Call) -> tuple[pb.PredictRequest, ServedModel, FloatMatrix]:
        check_bytes(len(data), self._config)
        request = parsed(pb.PredictRequest, data)
        served = self._found(request.model, request.version, call)
        rows = check_request(request, served, self._config)
        call.rows = len(rows)
        return request, served, rows

    def _found(self, model: str, version: int, call: Call) -> ServedModel:
        served = self._predictor.find(model, version)
        call.model, call.version = served.name, served.version
        return served


async def _refusal(_: bytes, status: status_pb2.Status) -> pb.PredictStreamResponse:
    return pb.PredictStreamResponse(error=status)
