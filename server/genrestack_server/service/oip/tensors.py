"""The tensors of the protocol: their names, datatypes and bytes."""

import struct
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.models.registry import ServedModel

FEATURES: Final = "features"
LABEL: Final = "label"
CLASS_INDEX: Final = "class_index"
PROBABILITIES: Final = "probabilities"
DEFAULT_OUTPUTS: Final = (LABEL, CLASS_INDEX, PROBABILITIES)
"""What answers a request that names no outputs."""

FLOATS: Final[dict[str, np.dtype[np.float32] | np.dtype[np.float64]]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes that `features` may have, and how their values lie in bytes."""

_BASE_PREFIX: Final = f"{PROBABILITIES}."
_INDEX: Final = np.dtype("<i8")
_LENGTH: Final = struct.Struct("<I")

InferOutput = pb.ModelInferResponse.InferOutputTensor
TensorMetadata = pb.ModelMetadataResponse.TensorMetadata


def output_names(served: ServedModel) -> tuple[str, ...]:
    """Names of every output a version has: the three that always answer, then each base estimator's probabilities."""
    return (*DEFAULT_OUTPUTS, *(_BASE_PREFIX + name for name in served.session.part_names))


def base_name(output: str) -> str:
    """Name of the base estimator whose probabilities an output is."""
    return output.removeprefix(_BASE_PREFIX)


def bytes_a_row(output: str, served: ServedModel) -> int:
    """Maximum bytes that answer one row of an output."""
    if output == LABEL:
        return served.label_bytes + _LENGTH.size
    return _INDEX.itemsize if output == CLASS_INDEX else len(served.classes) * FLOATS["FP32"].itemsize


def input_metadata(served: ServedModel) -> TensorMetadata:
    """Describe the one input."""
    return TensorMetadata(name=FEATURES, datatype="FP32", shape=[-1, len(served.feature_names)])


def output_metadata(output: str, served: ServedModel) -> TensorMetadata:
    """Describe an output."""
    if output == LABEL:
        return TensorMetadata(name=output, datatype="BYTES", shape=[-1])
    if output == CLASS_INDEX:
        return TensorMetadata(name=output, datatype="INT64", shape=[-1])
    return TensorMetadata(name=output, datatype="FP32", shape=[-1, len(served.classes)])


def label_tensor(index: npt.NDArray[np.int64], classes: tuple[str, ...], *, raw: bool) -> tuple[InferOutput, bytes]:
    """Make the output `label` of class indices, shape (n,): the message and, if raw, the bytes that go beside it."""
    tensor = InferOutput(name=LABEL, datatype="BYTES", shape=index.shape)
    if raw:
        frames = _framed(classes)
        return tensor, b"".join([frames[number] for number in index.tolist()])
    tensor.contents.bytes_contents.extend([classes[number].encode() for number in index.tolist()])
    return tensor, b""


def index_tensor(index: npt.NDArray[np.int64], *, raw: bool) -> tuple[InferOutput, bytes]:
    """Make the output `class_index` of shape (n,), as `label_tensor` does."""
    tensor = InferOutput(name=CLASS_INDEX, datatype="INT64", shape=index.shape)
    if raw:
        return tensor, index.astype(_INDEX, copy=False).tobytes()
    tensor.contents.int64_contents.extend(index.tolist())
    return tensor, b""


def float_tensor(name: str, values: npt.NDArray[np.float32], *, raw: bool) -> tuple[InferOutput, bytes]:
    """Make an output of probabilities of shape (n, k), as `label_tensor` does."""
    tensor = InferOutput(name=name, datatype="FP32", shape=values.shape)
    if raw:
        return tensor, values.astype(FLOATS["FP32"], copy=False).tobytes()
    tensor.contents.fp32_contents.extend(values.ravel().tolist())
    return tensor, b""


@lru_cache(maxsize=64)
def _framed(classes: tuple[str, ...]) -> tuple[bytes, ...]:
    """Each name as it lies in the bytes of a BYTES tensor, behind its length."""
    return tuple(_LENGTH.pack(len(name)) + name for name in map(str.encode, classes))
