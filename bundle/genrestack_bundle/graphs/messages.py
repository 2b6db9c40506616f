"""ONNX messages made and read with protobuf alone: the package `onnx` is for exports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_proto.onnx.onnx_pb2 import (
    AttributeProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    ValueInfoProto,
)

# Fixed, so that onnxruntimes older than the onnx that writes can read.
IR_VERSION: Final = 10


@dataclass(frozen=True)
class TensorType:
    """How a tensor's values lie in its message."""

    dtype: np.dtype[Any]
    """As in `raw_data`, where the values may lie as bytes; texts have no such form."""
    field: str
    """Where they lie otherwise."""
    widened: np.dtype[Any] | None = None
    """What one value is there, if not of the type itself: its bits are the lower ones."""

    @property
    def text(self) -> bool:
        """Whether the values are texts."""
        return self.dtype.hasobject


_INT32: Final = np.dtype("<i4")
TENSOR_TYPES: Final[Mapping[int, TensorType]] = {
    TensorProto.FLOAT: TensorType(np.dtype("<f4"), "float_data"),
    TensorProto.UINT8: TensorType(np.dtype("u1"), "int32_data", _INT32),
    TensorProto.INT8: TensorType(np.dtype("i1"), "int32_data", _INT32),
    TensorProto.UINT16: TensorType(np.dtype("<u2"), "int32_data", _INT32),
    TensorProto.INT16: TensorType(np.dtype("<i2"), "int32_data", _INT32),
    TensorProto.INT32: TensorType(_INT32, "int32_data"),
    TensorProto.INT64: TensorType(np.dtype("<i8"), "int64_data"),
    TensorProto.STRING: TensorType(np.dtype(object), "string_data"),
    TensorProto.BOOL: TensorType(np.dtype(bool), "int32_data", _INT32),
    TensorProto.FLOAT16: TensorType(np.dtype("<f2"), "int32_data", _INT32),
    TensorProto.DOUBLE: TensorType(np.dtype("<f8"), "double_data"),
    TensorProto.UINT32: TensorType(np.dtype("<u4"), "uint64_data", np.dtype("<u8")),
    TensorProto.UINT64: TensorType(np.dtype("<u8"), "uint64_data"),
}
"""What an export writes, by ONNX's number of the type."""
_NUMBERS: Final = {kind.dtype: number for number, kind in TENSOR_TYPES.items() if not kind.text}


def to_array(tensor: TensorProto) -> npt.NDArray[Any]:
    """Return the numbers of a tensor that `check_graph` let pass; read-only where they lie as bytes."""
    kind = TENSOR_TYPES[tensor.data_type]
    if raw := tensor.raw_data:
        return np.frombuffer(raw, kind.dtype).reshape(tensor.dims)
    values = np.array(getattr(tensor, kind.field), kind.widened or kind.dtype)
    if kind.widened is not None:
        # Little-endian, so the lower bits come first.
        width = kind.dtype.itemsize
        values = np.ascontiguousarray(values.view(np.uint8).reshape(-1, values.itemsize)[:, :width]).view(kind.dtype)
    return values.reshape(tensor.dims)


def from_array(array: npt.NDArray[Any], name: str) -> TensorProto:
    """Build a tensor of numbers."""
    ordered = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return TensorProto(dims=array.shape, data_type=_NUMBERS[ordered.dtype], name=name, raw_data=ordered.tobytes())


def make_node(
    op_type: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Mapping[str, int] | None = None,
    *,
    domain: str | None = None,
) -> NodeProto:
    """Build an operator whose attributes are whole numbers."""
    made = [AttributeProto(name=key, i=value, type=AttributeProto.INT) for key, value in (attributes or {}).items()]
    return NodeProto(op_type=op_type, input=inputs, output=outputs, domain=domain, attribute=made)


def make_value(name: str, element: int, shape: Sequence[str | int]) -> ValueInfoProto:
    """Build the description of a graph's input or output: a tensor, with a name for each size that is not fixed."""
    value = ValueInfoProto(name=name)
    tensor = value.type.tensor_type
    tensor.elem_type = element
    # There even where it has no sizes: without it, a tensor may have any.
    tensor.shape.SetInParent()
    for size in shape:
        dimension = tensor.shape.dim.add()
        if isinstance(size, str):
            dimension.dim_param = size
        else:
            dimension.dim_value = size
    return value


def make_model(opsets: Mapping[str, int], producer: str | None = None) -> ModelProto:
    """Build a model with the version of each domain of operators; its graph is for the caller to fill in place."""
    versions = [OperatorSetIdProto(domain=domain, version=version) for domain, version in opsets.items()]
    return ModelProto(ir_version=IR_VERSION, opset_import=versions, producer_name=producer)
