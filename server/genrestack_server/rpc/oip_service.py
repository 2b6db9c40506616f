"""The methods of `inference.GRPCInferenceService`, from bytes to messages."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import InvalidInput, NotFound, StillLoading
from genrestack_server.inference.engine import Engine
from genrestack_server.models.registry import ServedModel
from genrestack_server.rpc.health import Health
from genrestack_server.rpc.request_reader import RequestReader
from genrestack_server.rpc.rpc_handler import Context, MethodHandler, RpcHandler, serialized
from genrestack_server.rpc.streaming import Streams
from genrestack_server.service.messages import LARGE_BYTES, parse_request, run_in_thread
from genrestack_server.service.oip.model_config import model_config
from genrestack_server.service.oip.parameters import obey, refuse_overrides
from genrestack_server.service.oip.repository import check_repository, index
from genrestack_server.service.oip.requests import Wanted, read, version_number
from genrestack_server.service.oip.responses import inferred, model_metadata, server_metadata
from genrestack_server.service.oip.statistics import Statistics

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

_Work = Callable[[bytes, Call], Awaitable[Message]]
# A caller's own id goes into every log line of its request.
_MAX_REQUEST_ID: Final = 128


@dataclass(slots=True)
class InferenceService:
    """The Open Inference Protocol; requests arrive as bytes and are parsed here, as the native front end does."""

    engine: Engine
    rpc: RpcHandler
    health: Health
    statistics: Statistics
    config: ServerConfig
    _rows: RequestReader = field(init=False)
    _small: RequestReader = field(init=False)

    def __post_init__(self) -> None:
        """Make what reads the requests."""
        self._rows = RequestReader(self.engine.admission.waiting, self.config.max_message_bytes)
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
        methods["ModelInfer"] = self.rpc.unary("ModelInfer", self._infer)
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream_infer, None, serialized)
        return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)

    def _small_unary(self, method: str, work: _Work) -> MethodHandler:
        async def read_and_work(context: Context, call: Call) -> Message:
            return await work(await self._small.read(context), call)

        return self.rpc.unary(method, read_and_work)

    async def _live(self, data: bytes, _: Call) -> pb.ServerLiveResponse:
        parse_request(pb.ServerLiveRequest, data)
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, data: bytes, _: Call) -> pb.ServerReadyResponse:
        parse_request(pb.ServerReadyRequest, data)
        return pb.ServerReadyResponse(ready=self.health.is_serving(""))

    async def _model_ready(self, data: bytes, call: Call) -> pb.ModelReadyResponse:
        request = parse_request(pb.ModelReadyRequest, data)
        try:
            self._find(request.name, request.version, call)
        except (NotFound, StillLoading):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=not self.health.draining)

    async def _server_metadata(self, data: bytes, _: Call) -> pb.ServerMetadataResponse:
        parse_request(pb.ServerMetadataRequest, data)
        return server_metadata()

    async def _model_metadata(self, data: bytes, call: Call) -> pb.ModelMetadataResponse:
        request = parse_request(pb.ModelMetadataRequest, data)
        return model_metadata(self._find(request.name, request.version, call), self.engine.registry)

    async def _model_config(self, data: bytes, call: Call) -> pb.ModelConfigResponse:
        request = parse_request(pb.ModelConfigRequest, data)
        return model_config(self._find(request.name, request.version, call), self.config)

    async def _infer(self, context: Context, call: Call) -> pb.ModelInferResponse:
        with self.engine.admission.admit():
            return await self._answer(await self._rows.read(context), call)

    async def _stream_infer(self, _: object, context: Context) -> AsyncGenerator[pb.ModelStreamInferResponse, None]:
        streams, requests = Streams(self.rpc, self.engine.admission), self._rows.items(context)
        answers = streams.answered(context, "ModelStreamInfer", requests, self._item, _refusal)
        async with aclosing(answers) as responses:
            async for response in responses:
                yield response

    async def _model_statistics(self, data: bytes, call: Call) -> pb.ModelStatisticsResponse:
        request = parse_request(pb.ModelStatisticsRequest, data)
        found = self._meant(request.name, request.version, call)
        return pb.ModelStatisticsResponse(model_stats=[self.statistics.of(served) for served in found])

    async def _index(self, data: bytes, _: Call) -> pb.RepositoryIndexResponse:
        request = parse_request(pb.RepositoryIndexRequest, data)
        check_repository(request.repository_name)
        return await index(self.engine.registry, only_ready=request.ready)

    async def _load(self, data: bytes, call: Call) -> pb.RepositoryModelLoadResponse:
        request = parse_request(pb.RepositoryModelLoadRequest, data)
        check_repository(request.repository_name)
        refuse_overrides(request.parameters)
        call.model = _printable(request.model_name)
        await self.engine.manager.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def _unload(self, data: bytes, call: Call) -> pb.RepositoryModelUnloadResponse:
        request = parse_request(pb.RepositoryModelUnloadRequest, data)
        check_repository(request.repository_name)
        call.model = _printable(request.model_name)
        await self.engine.manager.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    async def _item(self, data: bytes, call: Call) -> pb.ModelStreamInferResponse:
        return _final(pb.ModelStreamInferResponse(infer_response=await self._answer(data, call)))

    async def _answer(self, data: bytes, call: Call) -> pb.ModelInferResponse:
        if len(data) > LARGE_BYTES:
            wanted = await run_in_thread(self._unpacked, data, call)
            answer = await self.engine.predict(wanted.served, wanted.rows, call)
            return await run_in_thread(inferred, wanted, answer)
        wanted = self._unpacked(data, call)
        return inferred(wanted, await self.engine.predict(wanted.served, wanted.rows, call))

    def _unpacked(self, data: bytes, call: Call) -> Wanted:
        request = parse_request(pb.ModelInferRequest, data)
        if request.id:
            call.request_id = _printable(request.id)
        obey(request.parameters, call)
        served = self._find(request.model_name, request.model_version, call)
        wanted = read(request, served, self.config)
        call.rows = len(wanted.rows)
        return wanted

    def _find(self, name: str, version: str, call: Call) -> ServedModel:
        served = self.engine.registry.find(name, version_number(version))
        call.model, call.version = served.name, served.version
        return served

    def _meant(self, name: str, version: str, call: Call) -> list[ServedModel]:
        """Every version that is ready and meant: of one model if it is named, one of them if that is named too."""
        if version:
            return [self._find(name, version, call)]
        if name:
            self._find(name, version, call)
        return [served for served in self.engine.registry.ready() if name in {"", served.name}]


async def _refusal(data: bytes, status: status_pb2.Status) -> pb.ModelStreamInferResponse:
    """Say why there is no answer, and to which request: the protocol has a place for the id, and none for a code."""
    response = pb.ModelStreamInferResponse(error_message=status.message)
    with suppress(InvalidInput):
        parse = partial(parse_request, pb.ModelInferRequest, data)
        request = await run_in_thread(parse) if len(data) > LARGE_BYTES else parse()
        response.infer_response.id = request.id
    return _final(response)


def _final(response: pb.ModelStreamInferResponse) -> pb.ModelStreamInferResponse:
    """Say that no further answer to the same item follows; callers of models that answer several times wait for it."""
    response.infer_response.parameters["triton_final_response"].bool_param = True
    return response


def _printable(text: str) -> str:
    """Cut a caller's id, or the name of a model there may not be, to what a log line takes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MAX_REQUEST_ID])
