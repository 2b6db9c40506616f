"""From answers and models to the messages of `genrestack.v1`."""

from genrestack_bundle import Answer
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.model_pb2 import Model
from genrestack_proto.v1.prediction_pb2 import BaseProbabilities, PredictRequest, PredictResponse
from genrestack_server.models.registry import LONG_FIELDS, Registry, ServedModel


def predicted(request: PredictRequest, served: ServedModel, answer: Answer) -> PredictResponse:
    """Say what a version answered, in the form, raw or values, in which the rows came."""
    as_values = bool(request.rows.values)
    classes = served.classes
    response = PredictResponse(
        model=served.name,
        version=served.version,
        classes=classes,
        labels=[classes[index] for index in answer.class_index.tolist()],
        probabilities=to_matrix(answer.probabilities, as_values=as_values),
    )
    if request.base:
        for name, probabilities in answer.base.items():
            matrix = to_matrix(probabilities, as_values=as_values)
            response.base.append(BaseProbabilities(name=name, probabilities=matrix))
    return response


def described(served: ServedModel, registry: Registry) -> Model:
    """Say all there is to know about a version."""
    model = Model()
    model.CopyFrom(served.model)
    model.runtime.default_version = registry.is_default_version(served)
    return model


def summarised(served: ServedModel, registry: Registry) -> Model:
    """Describe a version as a list of models does: without features, parts and files."""
    model = Model()
    model.CopyFrom(served.summary)
    model.runtime.default_version = registry.is_default_version(served)
    return model


def without_long_fields(model: Model) -> Model:
    """Take features, parts and files out of a description."""
    for field in LONG_FIELDS:
        model.ClearField(field)
    return model
