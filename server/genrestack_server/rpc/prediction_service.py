"""`genrestack.v1.PredictionService` over gRPC."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import grpc
from google.rpc import status_pb2

from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.inference.admission import AdmissionControl
from genrestack_server.rpc.request_reader import RequestReader
from genrestack_server.rpc.rpc_handler import Context, MethodHandler, RpcHandler, serialized
from genrestack_server.rpc.streaming import Streams
from genrestack_server.service.prediction import PredictionHandler

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["PredictionService"].full_name


class PredictionService:
    """Reads requests once they are admitted; what they are answered with is `PredictionHandler`'s."""

    def __init__(
        self, prediction: PredictionHandler, admission: AdmissionControl, handler: RpcHandler, config: ServerConfig
    ) -> None:
        self._prediction = prediction
        self._admission = admission
        self._handler = handler
        self._streams = Streams(handler, admission)
        self._rows = RequestReader(admission.waiting, config.max_message_bytes)
        self._small = RequestReader.small()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what answers the service's methods."""
        methods: dict[str, MethodHandler] = {
            "Predict": self._handler.unary("Predict", self._predict),
            "PredictStream": grpc.stream_stream_rpc_method_handler(self._predict_stream, None, serialized),
            "ListModels": self._handler.unary("ListModels", self._list_models),
            "GetModel": self._handler.unary("GetModel", self._get_model),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)

    async def _predict(self, context: Context, call: Call) -> pb.PredictResponse:
        with self._admission.admit():
            return await self._prediction.predict(await self._rows.read(context), call)

    async def _predict_stream(self, _: object, context: Context) -> AsyncGenerator[pb.PredictStreamResponse, None]:
        index, requests = 0, self._rows.items(context)
        answers = self._streams.answered(context, "PredictStream", requests, self._item, _refusal)
        async with aclosing(answers) as responses:
            async for response in responses:
                response.index = index
                yield response
                index += 1

    async def _list_models(self, context: Context, _: Call) -> pb.ListModelsResponse:
        return self._prediction.list_models(await self._small.read(context))

    async def _get_model(self, context: Context, call: Call) -> pb.GetModelResponse:
        return self._prediction.get_model(await self._small.read(context), call)

    async def _item(self, data: bytes, call: Call) -> pb.PredictStreamResponse:
        return pb.PredictStreamResponse(response=await self._prediction.predict(data, call))


async def _refusal(_: bytes, status: status_pb2.Status) -> pb.PredictStreamResponse:
    return pb.PredictStreamResponse(error=status)
