"""What ONNX asks of any graph, checked on a composed one before onnxruntime reads it.

Whether operators exist, and have the inputs and attributes they need, is for onnxruntime: it checks each against the
same definitions that ONNX publishes, and refuses the graph. Constants it replaces before that.
"""

from collections import ChainMap
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

from genrestack_proto.onnx.onnx_pb2 import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

_VALUE_TYPES: Final = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH,
    "tp": AttributeProto.TYPE_PROTO,
    "sparse_tensor": AttributeProto.SPARSE_TENSOR,
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
    "tensors": AttributeProto.TENSORS,
    "graphs": AttributeProto.GRAPHS,
    "type_protos": AttributeProto.TYPE_PROTOS,
    "sparse_tensors": AttributeProto.SPARSE_TENSORS,
}
"""Type of an attribute by the field that has its value."""

_CONSTANTS: Final = {
    "value": AttributeProto.TENSOR,
    "value_float": AttributeProto.FLOAT,
    "value_floats": AttributeProto.FLOATS,
    "value_int": AttributeProto.INT,
    "value_ints": AttributeProto.INTS,
    "value_string": AttributeProto.STRING,
    "value_strings": AttributeProto.STRINGS,
}
"""Type of what an operator `Constant` may give, by the attribute's name; sparse tensors are refused anywhere."""

_Scope: TypeAlias = ChainMap[str, None]
"""Names of the values there are: a graph's own, then those of the graphs around it."""


class MalformedGraphError(Exception):
    """A graph breaks one of ONNX's rules."""


def check_model(model: ModelProto) -> None:
    """Reject a model whose values are not each defined once, and before they are used, or whose fields contradict.

    Raises:
        MalformedGraphError: naming the rule.

    """
    for value in (*model.graph.input, *model.graph.output):
        _check_type(value)
    _check_graph(model.graph, ChainMap(), {opset.domain for opset in model.opset_import})


def _check_type(value: ValueInfoProto) -> None:
    tensor = value.type.tensor_type
    if not (tensor.HasField("elem_type") and tensor.HasField("shape")):
        raise MalformedGraphError(f"{value.name} is not a tensor of a type and a shape")


def _check_graph(graph: GraphProto, scope: _Scope, domains: Collection[str]) -> None:
    """Check a graph within the values of those around it."""
    if not graph.name:
        raise MalformedGraphError("a graph has no name")
    constants = [tensor.name for tensor in graph.initializer]
    inputs = [value.name for value in graph.input]
    outputs = [value.name for value in graph.output]
    if not (all(constants) and all(inputs) and all(outputs)):
        raise MalformedGraphError("a constant, an input or an output has no name")
    _check_once(constants)
    _check_once(inputs)
    # A constant may stand for an input that nobody gives.
    scope.update(dict.fromkeys((*inputs, *constants)))
    for node in graph.node:
        _check_node(node, scope, domains)
        for name in filter(None, node.output):
            if name in scope:
                raise MalformedGraphError(f"{name} is defined twice")
            scope[name] = None
    for name in outputs:
        if name not in scope.maps[0]:
            raise MalformedGraphError(f"nothing defines the output {name}")


def _check_once(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MalformedGraphError(f"{name} is defined twice")
        seen.add(name)


def _check_node(node: NodeProto, scope: _Scope, domains: Collection[str]) -> None:
    for name in filter(None, node.input):
        if name not in scope:
            raise MalformedGraphError(f"nothing defines {name} before {node.op_type} takes it")
    if not node.op_type or not (node.input or node.output):
        raise MalformedGraphError("an operator has no type, or neither inputs nor outputs")
    if node.domain not in domains:
        raise MalformedGraphError(f"{node.op_type} is of a domain that the model does not name")
    _check_once(attribute.name for attribute in node.attribute)
    for attribute in node.attribute:
        _check_attribute(attribute, scope, domains)
    if node.op_type == "Constant" and not node.domain:
        _check_constant(node)


def _check_constant(node: NodeProto) -> None:
    given = [_CONSTANTS.get(attribute.name) == attribute.type for attribute in node.attribute]
    if given != [True] or node.input or len(node.output) != 1:
        raise MalformedGraphError("a Constant takes something, or does not give one value of one kind")


def _check_attribute(attribute: AttributeProto, scope: _Scope, domains: Collection[str]) -> None:
    if not attribute.name or not attribute.HasField("type"):
        raise MalformedGraphError("an attribute has no name or no type")
    held = [field.name for field, _ in attribute.ListFields() if field.name in _VALUE_TYPES]
    if len(held) > 1 or any(_VALUE_TYPES[name] != attribute.type for name in held):
        raise MalformedGraphError(f"the value of the attribute {attribute.name} is not of its type")
    if attribute.HasField("g"):
        _check_graph(attribute.g, scope.new_child(), domains)
    for graph in attribute.graphs:
        _check_graph(graph, scope.new_child(), domains)
