"""The tensors of the protocol: their names, datatypes and bytes."""

import math
import struct
from functools import lru_cache
from typing import Any, Final

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
NEIGHBOR_LABELS: Final = "neighbor_labels"
NEIGHBOR_DISTANCES: Final = "neighbor_distances"
NOVELTY: Final = "novelty"
SEARCHED: Final = frozenset({NEIGHBOR_LABELS, NEIGHBOR_DISTANCES, NOVELTY})
"""What the nearest training rows have to be found for."""

FLOATS: Final[dict[str, np.dtype[np.float32] | np.dtype[np.float64]]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes that `features` may have, and how their values lie in bytes."""

NUMBERS: Final[dict[str, np.dtype[Any]]] = FLOATS | {"INT64": np.dtype("<i8")}
"""Datatypes of outputs that are no text, and how their values lie in bytes."""

_LAYOUTS: Final = {LABEL: "BYTES", CLASS_INDEX: "INT64", NOVELTY: "FP64"}
_OF_NEIGHBORS: Final = {NEIGHBOR_LABELS: "BYTES", NEIGHBOR_DISTANCES: "FP64"}
_BASE_PREFIX: Final = f"{PROBABILITIES}."
_LENGTH: Final = struct.Struct("<I")

InferOutput = pb.ModelInferResponse.InferOutputTensor
TensorMetadata = pb.ModelMetadataResponse.TensorMetadata


def output_names(served: ServedModel) -> tuple[str, ...]:
    """Names of every output a version has.

    The three that always answer, each base estimator's probabilities, and what its neighbours part finds, if there is
    one.
    """
    base = (_BASE_PREFIX + name for name in served.session.part_names)
    neighbors = () if served.search is None else (NEIGHBOR_LABELS, NEIGHBOR_DISTANCES)
    return (*DEFAULT_OUTPUTS, *base, *neighbors, *([NOVELTY] if served.measures_novelty else []))


def base_name(output: str) -> str:
    """Name of the base estimator whose probabilities an output is."""
    return output.removeprefix(_BASE_PREFIX)


def bytes_a_row(output: str, served: ServedModel) -> int:
    """Maximum bytes that answer one row of an output."""
    datatype, columns = layout(output, served)
    one = served.label_bytes + _LENGTH.size if datatype == "BYTES" else NUMBERS[datatype].itemsize
    return math.prod(columns) * one


def input_metadata(served: ServedModel) -> TensorMetadata:
    """Describe the one input."""
    return TensorMetadata(name=FEATURES, datatype="FP32", shape=[-1, len(served.feature_names)])


def output_metadata(output: str, served: ServedModel) -> TensorMetadata:
    """Describe an output."""
    datatype, columns = layout(output, served)
    return TensorMetadata(name=output, datatype=datatype, shape=[-1, *columns])


def layout(output: str, served: ServedModel) -> tuple[str, tuple[int, ...]]:
    """Return an output's datatype, and its shape without the rows."""
    if output in _LAYOUTS:
        return _LAYOUTS[output], ()
    if output in _OF_NEIGHBORS:
        return _OF_NEIGHBORS[output], (served.neighbor_count,)
    return "FP32", (len(served.classes),)


def label_tensor(
    name: str, index: npt.NDArray[np.int64], classes: tuple[str, ...], *, raw: bool
) -> tuple[InferOutput, bytes]:
    """Make an output of labels from class indices: the message and, if raw, the bytes that go beside it."""
    tensor, numbers = InferOutput(name=name, datatype="BYTES", shape=index.shape), index.ravel().tolist()
    if raw:
        frames = _framed(classes)
        return tensor, b"".join([frames[number] for number in numbers])
    tensor.contents.bytes_contents.extend([classes[number].encode() for number in numbers])
    return tensor, b""


def index_tensor(index: npt.NDArray[np.int64], *, raw: bool) -> tuple[InferOutput, bytes]:
    """Make the output `class_index` of shape (n,), as `label_tensor` does."""
    tensor = InferOutput(name=CLASS_INDEX, datatype="INT64", shape=index.shape)
    if raw:
        return tensor, index.astype(NUMBERS["INT64"], copy=False).tobytes()
    tensor.contents.int64_contents.extend(index.tolist())
    return tensor, b""


def float_tensor(name: str, values: npt.NDArray[np.floating], *, raw: bool) -> tuple[InferOutput, bytes]:
    """Make an output of float32 or float64, as `label_tensor` does."""
    double = values.dtype.itemsize == NUMBERS["FP64"].itemsize
    tensor = InferOutput(name=name, datatype="FP64" if double else "FP32", shape=values.shape)
    if raw:
        return tensor, values.astype(NUMBERS[tensor.datatype], copy=False).tobytes()
    contents = tensor.contents.fp64_contents if double else tensor.contents.fp32_contents
    contents.extend(values.ravel().tolist())
    return tensor, b""


@lru_cache(maxsize=64)
def _framed(classes: tuple[str, ...]) -> tuple[bytes, ...]:
    """Each name as it lies in the bytes of a BYTES tensor, behind its length."""
    return tuple(_LENGTH.pack(len(name)) + name for name in map(str.encode, classes))
