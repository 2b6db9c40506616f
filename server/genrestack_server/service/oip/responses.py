"""From answers and models to messages of the protocol."""

import importlib.metadata
from functools import lru_cache
from typing import Final

from genrestack_bundle import Answer
from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.models.registry import Registry, ServedModel
from genrestack_server.service.oip.requests import Wanted
from genrestack_server.service.oip.tensors import (
    CLASS_INDEX,
    LABEL,
    NEIGHBOR_DISTANCES,
    NEIGHBOR_LABELS,
    NOVELTY,
    PROBABILITIES,
    InferOutput,
    base_name,
    float_tensor,
    index_tensor,
    input_metadata,
    label_tensor,
    output_metadata,
    output_names,
)

PLATFORM: Final = "onnxruntime_onnx"
"""The protocol's own word for an ONNX graph that onnxruntime runs."""
_EXTENSIONS: Final = ("model_configuration", "model_repository", "schedule_policy", "statistics")


def inferred(wanted: Wanted, answer: Answer) -> pb.ModelInferResponse:
    """Build the response of a version, in the form, raw or typed, in which the rows came."""
    served = wanted.served
    response = pb.ModelInferResponse(model_name=served.name, model_version=str(served.version), id=wanted.id)
    for name in wanted.outputs:
        tensor, data = _tensor(name, wanted, answer)
        response.outputs.append(tensor)
        if wanted.raw:
            response.raw_output_contents.append(data)
    return response


def _tensor(name: str, wanted: Wanted, answer: Answer) -> tuple[InferOutput, bytes]:
    if name == LABEL:
        return label_tensor(name, answer.class_index, wanted.served.classes, raw=wanted.raw)
    if name == CLASS_INDEX:
        return index_tensor(answer.class_index, raw=wanted.raw)
    found = answer.neighbors
    if found is not None and name == NEIGHBOR_LABELS:
        return label_tensor(name, found.labels, wanted.served.classes, raw=wanted.raw)
    if found is not None and name == NEIGHBOR_DISTANCES:
        return float_tensor(name, found.distances, raw=wanted.raw)
    if found is not None and found.novelty is not None and name == NOVELTY:
        return float_tensor(name, found.novelty, raw=wanted.raw)
    values = answer.probabilities if name == PROBABILITIES else answer.base[base_name(name)]
    return float_tensor(name, values, raw=wanted.raw)


@lru_cache(maxsize=1)
def server_metadata() -> pb.ServerMetadataResponse:
    """Describe the server."""
    version = importlib.metadata.version("genrestack")
    return pb.ServerMetadataResponse(name="genrestack", version=version, extensions=_EXTENSIONS)


def model_metadata(served: ServedModel, registry: Registry) -> pb.ModelMetadataResponse:
    """Describe a model: every version that is ready, input and outputs."""
    return pb.ModelMetadataResponse(
        name=served.name,
        versions=[str(version) for version in registry.versions(served.name)],
        platform=PLATFORM,
        inputs=[input_metadata(served)],
        outputs=[output_metadata(name, served) for name in output_names(served)],
    )
