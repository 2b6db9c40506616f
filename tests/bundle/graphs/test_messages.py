"""What we make and read with protobuf alone is what the package `onnx` makes and reads."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from genrestack_bundle.graphs.messages import (
    IR_VERSION,
    TENSOR_TYPES,
    from_array,
    make_model,
    make_node,
    make_value,
    to_array,
)
from genrestack_proto.onnx import onnx_pb2 as ours

NUMBERS = [number for number, kind in TENSOR_TYPES.items() if not kind.text]


def drawn(number: int) -> npt.NDArray[Any]:
    """Values over a type's whole range, as `onnx` has the type."""
    dtype = helper.tensor_dtype_to_np_dtype(number)
    rng = np.random.default_rng(0)
    if dtype == np.bool_:
        return rng.integers(0, 2, (2, 3)).astype(np.bool_)
    if np.issubdtype(dtype, np.floating):
        return np.array([[0.0, -0.0, 1.5], [-2.25, np.inf, 6e-5]]).astype(dtype)
    limits = np.iinfo(dtype)
    return np.array([[limits.min, limits.max, 0], [1, limits.max // 3, limits.min // 3]], dtype)


@pytest.mark.parametrize("number", NUMBERS, ids=TensorProto.DataType.Name)
def test_numbers_as_bytes(number: int) -> None:
    array = drawn(number)
    theirs = numpy_helper.from_array(array, "name")
    written = from_array(array, "name").SerializeToString()
    assert written == theirs.SerializeToString()
    read = to_array(ours.TensorProto.FromString(written))
    assert read.dtype == array.dtype
    assert read.tobytes() == array.tobytes()
    assert read.shape == array.shape


@pytest.mark.parametrize("number", NUMBERS, ids=TensorProto.DataType.Name)
def test_numbers_in_the_field_of_their_type(number: int) -> None:
    array = drawn(number)
    theirs = helper.make_tensor("name", number, array.shape, array.ravel())
    assert getattr(theirs, TENSOR_TYPES[number].field)
    read = to_array(ours.TensorProto.FromString(theirs.SerializeToString()))
    expected = numpy_helper.to_array(theirs)
    assert read.dtype == expected.dtype == array.dtype
    assert read.tobytes() == expected.tobytes()
    assert read.shape == array.shape


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1, 1)])
def test_shapes(shape: tuple[int, ...]) -> None:
    array = np.ones(shape)
    written = from_array(array, "name").SerializeToString()
    assert written == numpy_helper.from_array(array, "name").SerializeToString()
    assert to_array(ours.TensorProto.FromString(written)).shape == shape
    typed = helper.make_tensor("name", TensorProto.DOUBLE, shape, array.ravel())
    assert to_array(ours.TensorProto.FromString(typed.SerializeToString())).shape == shape


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3).T, np.arange(12)[::-2], np.arange(4, dtype=">i4")])
def test_values_in_another_order(array: npt.NDArray[Any]) -> None:
    read = numpy_helper.to_array(onnx.TensorProto.FromString(from_array(array, "name").SerializeToString()))
    np.testing.assert_array_equal(read, array)


def test_every_type_is_theirs() -> None:
    for number, kind in TENSOR_TYPES.items():
        assert kind.dtype == helper.tensor_dtype_to_np_dtype(number)
        assert kind.field == helper.tensor_dtype_to_field(number)


def test_a_model() -> None:
    nodes: list[Any] = [make_node("Cast", ["x"], ["y"], {"to": 1}), make_node("Own", ["y"], ["z"], domain="mine")]
    shapes: list[list[str | int]] = [["rows", 3], []]
    values = [make_value(name, TensorProto.FLOAT, shape) for name, shape in zip("xz", shapes, strict=True)]
    opsets = {"": 18, "mine": 1}
    made = make_model(opsets, producer="us")
    made.graph.name = "graph"
    made.graph.node.extend(nodes)
    made.graph.initializer.append(from_array(np.ones(2), "c"))
    made.graph.input.append(values[0])
    made.graph.output.append(values[1])
    their_values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip("xz", shapes, strict=True)
    ]
    their_nodes = [helper.make_node("Cast", ["x"], ["y"], to=1), helper.make_node("Own", ["y"], ["z"], domain="mine")]
    their_graph = helper.make_graph(
        their_nodes, "graph", their_values[:1], their_values[1:], [numpy_helper.from_array(np.ones(2), "c")]
    )
    theirs = helper.make_model(
        their_graph,
        opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        ir_version=IR_VERSION,
        producer_name="us",
    )
    assert made.SerializeToString() == theirs.SerializeToString()
