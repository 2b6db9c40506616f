"""`inference.GRPCInferenceService` over gRPC."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import InvalidInput
from genrestack_server.inference.admission import AdmissionControl
from genrestack_server.rpc.request_reader import RequestReader
from genrestack_server.rpc.rpc_handler import Context, MethodHandler, RpcHandler, serialized
from genrestack_server.rpc.streaming import Streams
from genrestack_server.service.messages import LARGE_BYTES, parse_request, run_in_thread
from genrestack_server.service.oip.inference import Inference
from genrestack_server.service.oip.responses import server_metadata

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

_Work = Callable[[bytes, Call], Awaitable[Message]]


class InferenceService:
    """Reads requests once they are admitted; what they are answered with is `Inference`'s."""

    def __init__(
        self, inference: Inference, admission: AdmissionControl, handler: RpcHandler, config: ServerConfig
    ) -> None:
        self._inference = inference
        self._admission = admission
        self._handler = handler
        self._streams = Streams(handler, admission)
        self._rows = RequestReader(admission.waiting, config.max_message_bytes)
        self._small = RequestReader.small()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what answers the service's methods."""
        works: dict[str, _Work] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        methods = {method: self._small_unary(method, work) for method, work in works.items()}
        methods["ModelInfer"] = self._handler.unary("ModelInfer", self._infer)
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream_infer, None, serialized)
        return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)

    def _small_unary(self, method: str, work: _Work) -> MethodHandler:
        async def read_and_work(context: Context, call: Call) -> Message:
            return await work(await self._small.read(context), call)

        return self._handler.unary(method, read_and_work)

    async def _live(self, data: bytes, _: Call) -> pb.ServerLiveResponse:
        parse_request(pb.ServerLiveRequest, data)
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, data: bytes, _: Call) -> pb.ServerReadyResponse:
        parse_request(pb.ServerReadyRequest, data)
        return pb.ServerReadyResponse(ready=self._inference.is_serving())

    async def _model_ready(self, data: bytes, call: Call) -> pb.ModelReadyResponse:
        return self._inference.model_ready(parse_request(pb.ModelReadyRequest, data), call)

    async def _server_metadata(self, data: bytes, _: Call) -> pb.ServerMetadataResponse:
        parse_request(pb.ServerMetadataRequest, data)
        return server_metadata()

    async def _model_metadata(self, data: bytes, call: Call) -> pb.ModelMetadataResponse:
        return self._inference.model_metadata(parse_request(pb.ModelMetadataRequest, data), call)

    async def _model_config(self, data: bytes, call: Call) -> pb.ModelConfigResponse:
        return self._inference.model_config(parse_request(pb.ModelConfigRequest, data), call)

    async def _infer(self, context: Context, call: Call) -> pb.ModelInferResponse:
        with self._admission.admit():
            return await self._inference.infer(await self._rows.read(context), call)

    async def _stream_infer(self, _: object, context: Context) -> AsyncGenerator[pb.ModelStreamInferResponse, None]:
        requests = self._rows.items(context)
        answers = self._streams.answered(context, "ModelStreamInfer", requests, self._item, _refusal)
        async with aclosing(answers) as responses:
            async for response in responses:
                yield response

    async def _model_statistics(self, data: bytes, call: Call) -> pb.ModelStatisticsResponse:
        return self._inference.model_statistics(parse_request(pb.ModelStatisticsRequest, data), call)

    async def _index(self, data: bytes, _: Call) -> pb.RepositoryIndexResponse:
        return await self._inference.index(parse_request(pb.RepositoryIndexRequest, data))

    async def _load(self, data: bytes, call: Call) -> pb.RepositoryModelLoadResponse:
        return await self._inference.load(parse_request(pb.RepositoryModelLoadRequest, data), call)

    async def _unload(self, data: bytes, call: Call) -> pb.RepositoryModelUnloadResponse:
        return await self._inference.unload(parse_request(pb.RepositoryModelUnloadRequest, data), call)

    async def _item(self, data: bytes, call: Call) -> pb.ModelStreamInferResponse:
        return _final(pb.ModelStreamInferResponse(infer_response=await self._inference.infer(data, call)))


async def _refusal(data: bytes, status: status_pb2.Status) -> pb.ModelStreamInferResponse:
    """Build the response that holds an error and the request's id; the protocol has no place for a code."""
    response = pb.ModelStreamInferResponse(error_message=status.message)
    with suppress(InvalidInput):
        parse = partial(parse_request, pb.ModelInferRequest, data)
        request = await run_in_thread(parse) if len(data) > LARGE_BYTES else parse()
        response.infer_response.id = request.id
    return _final(response)


def _final(response: pb.ModelStreamInferResponse) -> pb.ModelStreamInferResponse:
    """Build the response that ends the answers to one item; callers of models that answer several times wait for it."""
    response.infer_response.parameters["triton_final_response"].bool_param = True
    return response
