"""The methods of the Open Inference Protocol, from messages to messages, whatever transport they came by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import NotFound, StillLoading
from genrestack_server.inference.engine import Engine
from genrestack_server.models.registry import ServedModel
from genrestack_server.service.messages import LARGE_BYTES, parse_request, run_in_thread
from genrestack_server.service.oip.model_config import model_config
from genrestack_server.service.oip.parameters import obey, refuse_overrides
from genrestack_server.service.oip.repository import check_repository, index
from genrestack_server.service.oip.requests import Wanted, read, version_number
from genrestack_server.service.oip.responses import inferred, model_metadata
from genrestack_server.service.oip.statistics import Statistics

# A caller's own id goes into every log line of its request.
_MAX_REQUEST_ID: Final = 128


@dataclass(frozen=True, slots=True)
class Inference:
    """Answers requests; raises what `Lifecycle` turns into a status."""

    engine: Engine
    statistics: Statistics
    config: ServerConfig
    is_serving: Callable[[], bool]
    """Tells whether the whole server is served: the answer to ServerReady."""

    async def infer(self, data: bytes, call: Call) -> pb.ModelInferResponse:
        """Answer the rows of one request, given as its bytes."""
        if len(data) > LARGE_BYTES:
            wanted = await run_in_thread(self._unpacked, data, call)
            answer = await self.engine.predict(wanted.served, wanted.rows, call)
            return await run_in_thread(inferred, wanted, answer)
        wanted = self.wanted(parse_request(pb.ModelInferRequest, data), call)
        return inferred(wanted, await self.engine.predict(wanted.served, wanted.rows, call))

    def wanted(self, request: pb.ModelInferRequest, call: Call) -> Wanted:
        """Check a request, and find the version that answers it."""
        if request.id:
            call.request_id = _printable(request.id)
        obey(request.parameters, call)
        served = self._find(request.model_name, request.model_version, call)
        wanted = read(request, served, self.config)
        call.rows = len(wanted.rows)
        return wanted

    def model_ready(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """Return whether a version would be answered with."""
        try:
            self._find(request.name, request.version, call)
        except (NotFound, StillLoading):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=not self.engine.admission.closed)

    def model_metadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        """Describe a model."""
        return model_metadata(self._find(request.name, request.version, call), self.engine.registry)

    def model_config(self, request: pb.ModelConfigRequest, call: Call) -> pb.ModelConfigResponse:
        """Describe how a model is served."""
        return model_config(self._find(request.name, request.version, call), self.config)

    def model_statistics(self, request: pb.ModelStatisticsRequest, call: Call) -> pb.ModelStatisticsResponse:
        """Return what was counted of every version that is meant."""
        found = self._meant(request.name, request.version, call)
        return pb.ModelStatisticsResponse(model_stats=[self.statistics.of(served) for served in found])

    async def index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """List what is known of every version; not to be changed."""
        check_repository(request.repository_name)
        return await index(self.engine.registry, only_ready=request.ready)

    async def load(self, request: pb.RepositoryModelLoadRequest, call: Call) -> pb.RepositoryModelLoadResponse:
        """Load a model."""
        check_repository(request.repository_name)
        refuse_overrides(request.parameters)
        call.model = _printable(request.model_name)
        await self.engine.manager.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def unload(self, request: pb.RepositoryModelUnloadRequest, call: Call) -> pb.RepositoryModelUnloadResponse:
        """Unload a model."""
        check_repository(request.repository_name)
        call.model = _printable(request.model_name)
        await self.engine.manager.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    def _unpacked(self, data: bytes, call: Call) -> Wanted:
        return self.wanted(parse_request(pb.ModelInferRequest, data), call)

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


def _printable(text: str) -> str:
    """Cut a caller's id, or the name of a model there may not be, to what a log line takes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MAX_REQUEST_ID])
