"""How a model is served, as Triton describes its own: `ModelConfig` of the protocol's extensions."""

import json
from typing import Final

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.models.registry import ServedModel
from genrestack_server.models.version_policy import VersionPolicy
from genrestack_server.service.oip.responses import PLATFORM
from genrestack_server.service.oip.tensors import input_metadata, output_metadata, output_names

_BACKEND: Final = "onnxruntime"
_PREFIX: Final = "TYPE_"
_STRING: Final = "BYTES"
_LARGEST: Final = 2**31 - 1
_PRIORITIES: Final = 2
"""1 before 2, which is also what a request has that names none."""


def model_config(served: ServedModel, config: ServerConfig) -> pb.ModelConfigResponse:
    """Describe how a version is served."""
    features = input_metadata(served)
    outputs = [output_metadata(name, served) for name in output_names(served)]
    described = pb.ModelConfig(
        name=served.name,
        platform=PLATFORM,
        backend=_BACKEND,
        version_policy=_policy(VersionPolicy.parse(config.version_policy)),
        max_batch_size=min(config.max_rows, _LARGEST),
        # The rows, which come first, are not among a configuration's dimensions.
        input=[pb.ModelInput(name=features.name, data_type=_type(features.datatype), dims=features.shape[1:])],
        output=[
            pb.ModelOutput(name=output.name, data_type=_type(output.datatype), dims=output.shape[1:])
            for output in outputs
        ],
    )
    if config.batching:
        described.dynamic_batching.preferred_batch_size.append(config.max_batch_rows)
        described.dynamic_batching.max_queue_delay_microseconds = round(config.max_queue_delay * 1e6)
        described.dynamic_batching.priority_levels = _PRIORITIES
        described.dynamic_batching.default_priority_level = _PRIORITIES
    described.parameters["classes"].string_value = _json(served.classes)
    described.parameters["features"].string_value = _json(served.feature_names)
    return pb.ModelConfigResponse(config=described)


def _type(datatype: str) -> "pb.DataType.ValueType":
    return pb.DataType.Value(_PREFIX + ("STRING" if datatype == _STRING else datatype))


def _policy(policy: VersionPolicy) -> pb.ModelVersionPolicy:
    if policy.listed is not None:
        return pb.ModelVersionPolicy(specific=pb.ModelVersionPolicy.Specific(versions=sorted(policy.listed)))
    if policy.latest is None:
        return pb.ModelVersionPolicy(all=pb.ModelVersionPolicy.All())
    return pb.ModelVersionPolicy(latest=pb.ModelVersionPolicy.Latest(num_versions=policy.latest))


def _json(names: tuple[str, ...]) -> str:
    return json.dumps(names, ensure_ascii=False)
