"""The methods of `genrestack.v1.PredictionService`, from a message's bytes to a message."""

from genrestack_bundle import Answer, FoundNeighbors
from genrestack_proto.matrix import FloatMatrix, to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_proto.v1.model_pb2 import Model
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.inference.engine import Engine
from genrestack_server.inference.validation import check_request
from genrestack_server.models.registry import LONG_FIELDS, Registry, ServedModel
from genrestack_server.service.messages import LARGE_BYTES, parse_request, run_in_thread


class PredictionHandler:
    """Answers requests; raises what `Lifecycle` turns into a status.

    Requests arrive as bytes and are parsed here: what gRPC's own parsing refuses ends as UNKNOWN with the text of a
    Python exception.
    """

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._registry = engine.registry
        self._config = config

    async def predict(self, data: bytes, call: Call) -> pb.PredictResponse:
        """Answer the rows of one request."""
        if len(data) > LARGE_BYTES:
            large, served, rows = await run_in_thread(self._unpacked, data, call)
            answer = await self._engine.predict(self._meant(large, served), rows, call)
            return await run_in_thread(to_predict_response, large, served, answer, novelty=self._tells(large, served))
        request, served, rows = self._unpacked(data, call)
        answer = await self._engine.predict(self._meant(request, served), rows, call)
        return to_predict_response(request, served, answer, novelty=self._tells(request, served))

    def list_models(self, data: bytes) -> pb.ListModelsResponse:
        """List the versions that are ready."""
        parse_request(pb.ListModelsRequest, data)
        registry = self._registry
        return pb.ListModelsResponse(models=[to_model_summary(served, registry) for served in registry.ready()])

    def get_model(self, data: bytes, call: Call) -> pb.GetModelResponse:
        """Describe the version a request means."""
        request = parse_request(pb.GetModelRequest, data)
        served = self._registry.find(request.model, request.version)
        call.model, call.version = served.name, served.version
        return pb.GetModelResponse(model=to_model(served, self._registry))

    def _meant(self, request: pb.PredictRequest, served: ServedModel) -> ServedModel:
        """Return what computes the answer: with the nearest training rows where they are needed."""
        return (served.searching or served) if request.neighbors or self._tells(request, served) else served

    def _tells(self, request: pb.PredictRequest, served: ServedModel) -> bool:
        """Return whether the answer tells how far its rows are from the training rows."""
        return (request.novelty or self._config.novelty) and served.measures_novelty

    def _unpacked(self, data: bytes, call: Call) -> tuple[pb.PredictRequest, ServedModel, FloatMatrix]:
        request = parse_request(pb.PredictRequest, data)
        served = self._registry.find(request.model, request.version)
        call.model, call.version = served.name, served.version
        rows = check_request(request, served, self._config)
        call.rows = len(rows)
        return request, served, rows


def to_predict_response(
    request: pb.PredictRequest, served: ServedModel, answer: Answer, *, novelty: bool = False
) -> pb.PredictResponse:
    """Return what a version answered, in the form, raw or values, in which the rows came."""
    as_values = bool(request.rows.values)
    classes = served.classes
    response = pb.PredictResponse(
        model=served.name,
        version=served.version,
        classes=classes,
        labels=[classes[index] for index in answer.class_index.tolist()],
        probabilities=to_matrix(answer.probabilities, as_values=as_values),
    )
    if request.base:
        for name, probabilities in answer.base.items():
            matrix = to_matrix(probabilities, as_values=as_values)
            response.base.append(pb.BaseProbabilities(name=name, probabilities=matrix))
    if request.neighbors and answer.neighbors is not None:
        response.neighbors.CopyFrom(to_neighbors(answer.neighbors, request.neighbors))
    if novelty and answer.neighbors is not None and answer.neighbors.novelty is not None:
        response.novelty.extend(answer.neighbors.novelty.tolist())
    return response


def to_neighbors(found: FoundNeighbors, count: int) -> pb.Neighbors:
    """Return the nearest training rows, at most this many of each row."""
    count = min(count, found.rows.shape[1])
    return pb.Neighbors(
        count=count,
        rows=found.rows[:, :count].ravel().tolist(),
        distances=found.distances[:, :count].ravel().tolist(),
        labels=found.labels[:, :count].ravel().tolist(),
        names=None if found.names is None else found.names[:, :count].ravel().tolist(),
    )


def to_model(served: ServedModel, registry: Registry) -> Model:
    """Return all there is to know about a version."""
    model = Model()
    model.CopyFrom(served.model)
    model.runtime.default_version = registry.is_default_version(served)
    return model


def to_model_summary(served: ServedModel, registry: Registry) -> Model:
    """Return a version as a list of models has it: without features, parts and files."""
    model = Model()
    model.CopyFrom(served.summary)
    model.runtime.default_version = registry.is_default_version(served)
    return model


def without_long_fields(model: Model) -> Model:
    """Remove features, parts and files from a description, and return it."""
    for field in LONG_FIELDS:
        model.ClearField(field)
    return model
