"""The methods of the protocol, from a request to its response."""

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from genrestack_bundle import Answer
from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import DeadlineExceeded, InvalidInput
from genrestack_server.http.body import BodyReader
from genrestack_server.http.codec.fields import a_flag, a_text, an_object, set_repository_parameter
from genrestack_server.http.codec.requests import HEADER_LENGTH, AnswerForm, decode, in_json_terms, json_size
from genrestack_server.http.codec.responses import document_of, encode, json_bytes, respond_with
from genrestack_server.http.errors import id_header
from genrestack_server.http.exchange import Exchange, Response
from genrestack_server.http.json_text import of_json
from genrestack_server.inference.validation import check_answer_bytes
from genrestack_server.models.background import MemoryTrimmer
from genrestack_server.service.messages import LARGE_BYTES, run_in_thread
from genrestack_server.service.oip.inference import Inference
from genrestack_server.service.oip.requests import Wanted
from genrestack_server.service.oip.responses import inferred, server_metadata

# JSON of this size takes a millisecond; more would hold up the event loop.
_LARGE_JSON: Final = 2**15
_BINARY_EXTENSION: Final = "binary_tensor_data"
_READY, _NOT_READY = 200, 503


@dataclass(frozen=True, slots=True)
class ProtocolMethods:
    """Reads requests once they are admitted; what they are answered with is `Inference`'s."""

    inference: Inference
    config: ServerConfig
    _rows: BodyReader = field(init=False)
    _small: BodyReader = field(init=False, default_factory=BodyReader.small)
    _trimmer: MemoryTrimmer = field(init=False, default_factory=MemoryTrimmer)

    def __post_init__(self) -> None:
        """Make what reads the rows."""
        waiting = self.inference.engine.admission.waiting
        object.__setattr__(self, "_rows", BodyReader(waiting, self.config.max_message_bytes, "--max-message-mib"))

    async def live(self, _: Exchange, call: Call) -> Response:
        """Answer: then the server lives."""
        return respond_with({"live": True}, id_header(call))

    async def ready(self, _: Exchange, call: Call) -> Response:
        """Return whether the server is served as a whole."""
        ready = self.inference.is_serving()
        return respond_with({"ready": ready}, id_header(call), _READY if ready else _NOT_READY)

    async def server(self, _: Exchange, call: Call) -> Response:
        """Describe the server."""
        document = document_of(server_metadata())
        document["extensions"].append(_BINARY_EXTENSION)
        return respond_with(document, id_header(call))

    async def model(self, exchange: Exchange, call: Call) -> Response:
        """Describe a model."""
        name, version = _model(exchange)
        request = pb.ModelMetadataRequest(name=name, version=version)
        return respond_with(document_of(self.inference.model_metadata(request, call)), id_header(call))

    async def model_ready(self, exchange: Exchange, call: Call) -> Response:
        """Return whether a version would be answered with."""
        name, version = _model(exchange)
        ready = self.inference.model_ready(pb.ModelReadyRequest(name=name, version=version), call).ready
        return respond_with({"name": name, "ready": ready}, id_header(call), _READY if ready else _NOT_READY)

    async def statistics(self, exchange: Exchange, call: Call) -> Response:
        """Respond with what was counted of versions."""
        name, version = _model(exchange)
        request = pb.ModelStatisticsRequest(name=name, version=version)
        return respond_with(document_of(self.inference.model_statistics(request, call)), id_header(call))

    async def index(self, exchange: Exchange, call: Call) -> Response:
        """List what is known of every version."""
        document = await self._document(exchange)
        ready = a_flag(document.get("ready", False), "ready")
        found = await self.inference.index(pb.RepositoryIndexRequest(ready=ready))
        return respond_with([document_of(entry) for entry in found.models], id_header(call))

    async def load(self, exchange: Exchange, call: Call) -> Response:
        """Load a model."""
        request = pb.RepositoryModelLoadRequest(model_name=exchange.parameters["model"])
        await self._take_parameters(exchange, request)
        await self.inference.load(request, call)
        return respond_with({}, id_header(call))

    async def unload(self, exchange: Exchange, call: Call) -> Response:
        """Unload a model."""
        request = pb.RepositoryModelUnloadRequest(model_name=exchange.parameters["model"])
        await self._take_parameters(exchange, request)
        await self.inference.unload(request, call)
        return respond_with({}, id_header(call))

    async def infer(self, exchange: Exchange, call: Call) -> Response:
        """Answer rows."""
        body = await self._rows.read(exchange)
        json_length = exchange.header(HEADER_LENGTH)
        large = len(body) > LARGE_BYTES or json_size(body, json_length) > _LARGE_JSON
        read = partial(self._read, body, json_length, _model(exchange), call)
        wanted, form = await run_in_thread(read) if large else read()
        answer = await self._predicted(wanted, call)
        large = large or json_bytes(wanted, form) > _LARGE_JSON
        make = partial(_response, wanted, answer, form, id_header(call))
        try:
            return await run_in_thread(make) if large else make()
        finally:
            if large:
                self._trimmer.submit()

    async def _predicted(self, wanted: Wanted, call: Call) -> Answer:
        """Compute an answer, or give up at the deadline: here, no transport does.

        Raises:
            DeadlineExceeded: it has passed.

        """
        try:
            async with asyncio.timeout_at(call.deadline):
                return await self.inference.engine.predict(wanted.served, wanted.rows, call)
        except TimeoutError as error:
            raise DeadlineExceeded("the deadline has passed (parameters[timeout]); allow more time") from error

    def _read(
        self, body: bytes, json_length: str | None, model: tuple[str, str], call: Call
    ) -> tuple[Wanted, AnswerForm]:
        request, form = decode(body, json_length, *model)
        try:
            wanted = self.inference.wanted(request, call)
            check_answer_bytes(json_bytes(wanted, form), "inputs[0].shape", self.config)
        except InvalidInput as error:
            raise in_json_terms(error) from error
        return wanted, form

    async def _document(self, exchange: Exchange) -> dict[str, Any]:
        """Read the body of a method that can do without one."""
        body = await self._small.read(exchange)
        return an_object(of_json(body), "request") if body else {}

    async def _take_parameters(
        self, exchange: Exchange, request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest
    ) -> None:
        document = await self._document(exchange)
        for name, value in an_object(document.get("parameters", {}), "parameters").items():
            where = f"parameters[{a_text(name, 'parameters')}]"
            set_repository_parameter(request.parameters[name], value, where)


def _model(exchange: Exchange) -> tuple[str, str]:
    return exchange.parameters.get("model", ""), exchange.parameters.get("version", "")


def _response(wanted: Wanted, answer: Answer, form: AnswerForm, headers: dict[str, str]) -> Response:
    return encode(inferred(replace(wanted, raw=True), answer), form, headers)
