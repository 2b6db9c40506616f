"""What ONNX's own checker refuses of a graph, we refuse too: by its rules here, by its operators in onnxruntime."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from genrestack_bundle.graphs.composed_checks import MalformedGraphError, check_model
from genrestack_bundle.runtime.providers import ort_errors
from genrestack_proto.onnx import onnx_pb2 as ours

Change = Callable[[onnx.ModelProto], object]
BRANCH, SUM, OUT = 0, 1, 2


def model() -> onnx.ModelProto:
    """A graph with constants, branches that take values of the graph around them, and an attribute that is a tensor."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    inner = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([helper.make_node(op, ["x", "one"], ["b"])], op, [], [inner]) for op in ("Add", "Mul")
    ]
    nodes = [
        helper.make_node("If", ["yes"], ["chosen"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.full(1, 2, np.float32), "two")),
        helper.make_node("Sum", ["chosen", "two", "one"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.ones(1, np.float32), "one"),
        numpy_helper.from_array(np.array(True), "yes"),
    ]
    graph = helper.make_graph(nodes, "graph", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def refused_by_us(data: bytes) -> str:
    try:
        check_model(ours.ModelProto.FromString(data))
    except MalformedGraphError as error:
        return str(error)
    return ""


def refused_by_onnx(data: bytes) -> bool:
    try:
        onnx.checker.check_model(data)
    except onnx.checker.ValidationError:
        return True
    return False


def refused_by_onnxruntime(data: bytes) -> bool:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except ort_errors():
        return True
    return False


def branch(model: onnx.ModelProto) -> onnx.GraphProto:
    graph: onnx.GraphProto = model.graph.node[BRANCH].attribute[0].g
    return graph


def _swap(model: onnx.ModelProto) -> None:
    nodes = [model.graph.node[i] for i in (OUT, BRANCH, SUM)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _another_value(model: onnx.ModelProto) -> None:
    model.graph.node[SUM].attribute[0].i = 1


RULES: dict[str, Change] = {
    "no name of the graph": lambda m: m.graph.ClearField("name"),
    "no name of a branch": lambda m: branch(m).ClearField("name"),
    "no name of an input": lambda m: m.graph.input[0].ClearField("name"),
    "no name of a constant": lambda m: m.graph.initializer[0].ClearField("name"),
    "no type of an input": lambda m: m.graph.input[0].ClearField("type"),
    "no shape of an output": lambda m: m.graph.output[0].type.tensor_type.ClearField("shape"),
    "no element type": lambda m: m.graph.output[0].type.tensor_type.ClearField("elem_type"),
    "an input twice": lambda m: m.graph.input.append(m.graph.input[0]),
    "a constant twice": lambda m: m.graph.initializer.append(m.graph.initializer[0]),
    "a value twice": lambda m: m.graph.node.append(m.graph.node[OUT]),
    "a value that is an input": lambda m: m.graph.node.append(helper.make_node("Identity", ["one"], ["x"])),
    "a value of a branch that is around it": lambda m: branch(m).node.append(helper.make_node("Neg", ["x"], ["one"])),
    "a value that nothing makes": lambda m: m.graph.node[OUT].input.append("nothing"),
    "a value of a branch that nothing makes": lambda m: branch(m).node[0].input.__setitem__(0, "nothing"),
    "a value of a branch, outside": lambda m: m.graph.node[OUT].input.append("b"),
    "a value made later": _swap,
    "a value made of itself": lambda m: m.graph.node[OUT].input.append("y"),
    "an output that nothing makes": lambda m: m.graph.output.append(
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
    ),
    "an output of a branch that is outside": lambda m: setattr(branch(m).output[0], "name", "one"),
    "an operator without a type": lambda m: m.graph.node[OUT].ClearField("op_type"),
    "an operator of nothing": lambda m: m.graph.node.append(onnx.NodeProto(op_type="Sum")),
    "a domain that is not named": lambda m: setattr(m.graph.node[OUT], "domain", "ai.onnx.ml"),
    "no domain at all": lambda m: m.ClearField("opset_import"),
    "an attribute twice": lambda m: m.graph.node[SUM].attribute.append(m.graph.node[SUM].attribute[0]),
    "an attribute without a name": lambda m: m.graph.node[SUM].attribute[0].ClearField("name"),
    "an attribute without a type": lambda m: m.graph.node[SUM].attribute[0].ClearField("type"),
    "an attribute of another type": lambda m: setattr(m.graph.node[SUM].attribute[0], "type", 2),
    "an attribute with two values": _another_value,
    "a constant that takes something": lambda m: m.graph.node[SUM].input.append("x"),
    "a constant of two values": lambda m: m.graph.node[SUM].output.append("three"),
    "a constant of another name": lambda m: setattr(m.graph.node[SUM].attribute[0], "name", "two"),
    "a constant of another type": lambda m: m.graph.node[SUM].attribute[0].CopyFrom(helper.make_attribute("value", 1)),
}

OPERATORS: dict[str, Change] = {
    "no such operator": lambda m: setattr(m.graph.node[OUT], "op_type", "Wizardry"),
    "no such operator in a branch": lambda m: setattr(branch(m).node[0], "op_type", "Wizardry"),
    "an operator that is no more": lambda m: setattr(m.graph.node[OUT], "op_type", "Upsample"),
    "an input too many": lambda m: branch(m).node[0].input.append("one"),
    "an input too few": lambda m: branch(m).node[0].input.pop(),
    "an output too many": lambda m: m.graph.node[OUT].output.append("more"),
    "an attribute it does not have": lambda m: m.graph.node[OUT].attribute.append(helper.make_attribute("axis", 1)),
    "an attribute of the wrong type": lambda m: m.graph.node[OUT].CopyFrom(
        helper.make_node("Concat", ["chosen", "two"], ["y"], axis=0.5)
    ),
    "a branch too few": lambda m: m.graph.node[BRANCH].attribute.pop(),
}  # fmt: skip


def test_a_sound_graph_passes() -> None:
    data = model().SerializeToString()
    assert (refused_by_us(data), refused_by_onnx(data), refused_by_onnxruntime(data)) == ("", False, False)


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule(rule: str) -> None:
    broken = model()
    RULES[rule](broken)
    data = broken.SerializeToString()
    assert refused_by_onnx(data)
    assert refused_by_us(data)


@pytest.mark.parametrize("case", OPERATORS)
def test_operators_are_for_onnxruntime_to_check(case: str) -> None:
    broken = model()
    OPERATORS[case](broken)
    data = broken.SerializeToString()
    assert refused_by_onnx(data)
    assert not refused_by_us(data)
    assert refused_by_onnxruntime(data)


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                yield from _messages(inner)


def _without_each() -> Iterator[tuple[str, bytes]]:
    """The graph without one field, or with one value of it twice, for every field of every message."""
    for position, message in enumerate(_messages(model().graph)):
        for field, _ in message.ListFields():
            for how in ("without", "twice"):
                changed = model()
                (found,) = (each for at, each in enumerate(_messages(changed.graph)) if at == position)
                if how == "without":
                    found.ClearField(field.name)
                elif field.is_repeated:
                    values = getattr(found, field.name)
                    values.append(values[0])
                else:
                    continue
                yield f"{how} {position}.{message.DESCRIPTOR.name}.{field.name}", changed.SerializeToString()


def test_nothing_that_onnx_refuses_is_run() -> None:
    verdicts = [(what, refused_by_onnx(data), data) for what, data in _without_each()]
    assert len({refused for _, refused, _ in verdicts}) == 2
    for what, refused, data in verdicts:
        if refused:
            assert refused_by_us(data) or refused_by_onnxruntime(data), what
        elif refused_by_us(data):
            # A Constant without a value, which passes ONNX's checker and goes no further.
            assert refused_by_onnxruntime(data), what
