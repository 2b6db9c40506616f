"""The search among training points in float32 instead of uint8, for providers that know no products of uint8.

Such a product is a sum of whole numbers. As long as the sum stays below 2²⁴, float32 adds the same numbers without
rounding, so nothing changes but where it can run.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from genrestack_bundle.graphs.messages import from_array, make_node, to_array
from genrestack_proto.onnx.onnx_pb2 import GraphProto, ModelProto, NodeProto, TensorProto

_EXACT: Final = 2**24
"""float32 holds every whole number up to this one."""
_LARGEST: Final = 255
_PASSING: Final = ("Unsqueeze", "Max")
"""Operators whose answer is of their first input's type, and which float32 has too."""


def uint8_to_float32(graph: bytes) -> bytes:
    """Replace the products of uint8 in a serialised ONNX model with products of float32 of the same result.

    A model with uint8 in any other place, or with sums that might be rounded, is returned as it is.
    """
    model = ModelProto.FromString(graph)
    uint8 = _uint8_values(model.graph)
    if not uint8 or not _is_replaceable(model.graph, uint8):
        return graph
    for tensor in model.graph.initializer:
        if tensor.name in uint8:
            tensor.CopyFrom(from_array(to_array(tensor).astype(np.float32), tensor.name))
    nodes = [new for node in model.graph.node for new in _replaced(node, uint8)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def _uint8_values(graph: GraphProto) -> set[str]:
    """Names of the values that are uint8, nodes being in an order in which they can run."""
    uint8 = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.UINT8}
    for node in graph.node:
        if (node.op_type == "Cast" and _target(node) == TensorProto.UINT8) or (
            node.op_type in _PASSING and node.input[0] in uint8
        ):
            uint8.update(node.output)
    return uint8


def _is_replaceable(graph: GraphProto, uint8: set[str]) -> bool:
    """Return whether uint8 is made, passed on and used only as the search does, and nothing would be rounded."""
    if any(value.name in uint8 for value in graph.output):
        return False
    made = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    return all(
        _is_supported(node, uint8, made, constants)
        for node in graph.node
        if not uint8.isdisjoint((*_inputs(node), *node.output))
    )


def _is_supported(
    node: NodeProto, uint8: set[str], made: dict[str, NodeProto], constants: dict[str, TensorProto]
) -> bool:
    if node.op_type == "Cast":
        # Only whole numbers within a uint8's range, or the cast would change them.
        return (
            node.input[0] not in uint8 and (origin := made.get(node.input[0])) is not None and _is_rounded(origin, made)
        )
    if node.op_type == "Unsqueeze":
        return node.input[1] not in uint8
    if node.op_type == "Max":
        return uint8.issuperset(node.input)
    if node.op_type != "MatMulInteger" or len(node.input) != 2 or not uint8.issuperset(node.input):
        return False
    weights = constants.get(node.input[0])
    return weights is not None and int(to_array(weights).sum(axis=-1, dtype=np.int64).max()) * _LARGEST < _EXACT


def _is_rounded(clip: NodeProto, made: dict[str, NodeProto]) -> bool:
    origin = made.get(clip.input[0])
    return clip.op_type == "Clip" and len(clip.input) == 3 and origin is not None and origin.op_type == "Round"


def _replaced(node: NodeProto, uint8: set[str]) -> list[NodeProto]:
    if node.op_type == "Cast" and node.output[0] in uint8:
        return [make_node("Cast", list(node.input), list(node.output), {"to": TensorProto.FLOAT})]
    if node.op_type == "MatMulInteger":
        product = f"{node.output[0]}/float"
        return [
            make_node("MatMul", list(node.input), [product]),
            make_node("Cast", [product], list(node.output), {"to": TensorProto.INT32}),
        ]
    return [node]


def _inputs(node: NodeProto) -> Iterator[str]:
    """Names of what a node reads, in its branches too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _inputs(inner)


def _target(node: NodeProto) -> int:
    return next(int(attribute.i) for attribute in node.attribute if attribute.name == "to")
