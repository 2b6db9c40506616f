"""Our messages of ONNX are those of the package `onnx`, field by field, and live beside it."""

from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import descriptor_pool
from onnx import helper, numpy_helper

from genrestack_proto.onnx import onnx_pb2 as ours

OURS: Any = ours.DESCRIPTOR
THEIRS: Any = onnx.ModelProto.DESCRIPTOR.file


def fields(message: Any) -> dict[str, tuple[Any, ...]]:
    """What decides a message's bytes, by field name; nested messages and enumerations with theirs."""
    found: dict[str, tuple[Any, ...]] = {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.is_packed,
            field.has_presence,
            field.message_type and field.message_type.full_name,
            field.enum_type and field.enum_type.full_name,
            field.containing_oneof and field.containing_oneof.name,
        )
        for field in message.fields
    }
    for enum in message.enum_types:
        found |= {f"{enum.name}.{value.name}": (value.number,) for value in enum.values}
    for nested in message.nested_types:
        found |= {f"{nested.name}.{name}": shape for name, shape in fields(nested).items()}
    return found


@pytest.mark.parametrize("name", sorted(OURS.message_types_by_name))
def test_a_message_has_their_fields(name: str) -> None:
    """All of them: what a check walks over must not hold what it does not see."""
    assert fields(OURS.message_types_by_name[name]) == fields(THEIRS.message_types_by_name[name])


def test_every_message_of_a_model_is_there() -> None:
    assert set(OURS.message_types_by_name) == set(THEIRS.message_types_by_name)


def test_the_common_pool_is_theirs() -> None:
    found = descriptor_pool.Default().FindMessageTypeByName("onnx.ModelProto")
    assert found is onnx.ModelProto.DESCRIPTOR
    assert found is not ours.ModelProto.DESCRIPTOR


def _model() -> onnx.ModelProto:
    """A model with fields of every kind: packed and unpacked numbers, texts, bytes, messages in messages."""
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", 2])
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "branch", [], [value])
    nodes = [
        helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch),
        helper.make_node("Some", ["x"], ["z"], ints=[1, 2, 300], floats=[0.5], s="text", strings=["a", "b"], f=1.5),
    ]
    constants = [
        numpy_helper.from_array(np.arange(6.0).reshape(2, 3), "raw"),
        helper.make_tensor("typed", onnx.TensorProto.INT64, [3], [1, -1, 2**40]),
        numpy_helper.from_array(np.array(["a", "é"]), "texts"),
    ]
    return helper.make_model(helper.make_graph(nodes, "graph", [value], [value], constants))


def test_bytes_go_both_ways() -> None:
    written = _model().SerializeToString(deterministic=True)
    read = ours.ModelProto.FromString(written)
    assert read.SerializeToString(deterministic=True) == written
    assert onnx.load_model_from_string(read.SerializeToString()) == _model()


def test_what_a_later_onnx_adds_survives() -> None:
    """Fields of numbers that no message has yet, at the top and inside."""
    node = helper.make_node("Identity", ["x"], ["y"]).SerializeToString() + b"\xfa\x3f\x03new"
    graph = b"\x0a" + bytes([len(node)]) + node
    model = b"\x3a" + bytes([len(graph)]) + graph + b"\xf8\x3f\x07"
    read = ours.ModelProto.FromString(model)
    copied = ours.ModelProto()
    copied.graph.node.extend(read.graph.node)
    assert read.SerializeToString() == model
    assert copied.graph.node[0].SerializeToString() == node
