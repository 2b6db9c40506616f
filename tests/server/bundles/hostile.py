"""Sealed bundles whose graphs behave on the golden rows, and on hot rows, or on many, do not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from bundle.reseal import change_graph
from onnx import TensorProto, helper, numpy_helper
from server.bundles.tiny import TinyStack, draw_rows, write_tiny

Change = Callable[[onnx.ModelProto], None]
FATAL_ROWS = 7
"""Batches of this many rows get a wrong answer."""


def hot_rows(count: int = 1) -> npt.NDArray[np.float32]:
    """Rows of which the first sets the hostile graphs off."""
    rows = draw_rows(count)
    rows[0, 0] = 1e9
    return rows


def write_hostile(models_dir: Path, name: str, file: str, *changes: Change) -> Path:
    """Write the next version of `name`, with one part's graph changed."""
    folder = write_tiny(models_dir, name, TinyStack.draw())
    for change in changes:
        change_graph(folder, file, change)
    return folder


def endless_when_hot(model: onnx.ModelProto) -> None:
    """In scaler.onnx: a loop that nothing ends, begun by a hot row."""
    _tie(model, [*_hot(), _loop("hot")])


def endless_when(rows: int) -> Change:
    """In scaler.onnx: an endless loop, begun by a batch of that many rows."""

    def change(model: onnx.ModelProto) -> None:
        _tie(model, [*_so_many("features", rows), _loop("so_many")])

    return change


def endless(model: onnx.ModelProto) -> None:
    """In scaler.onnx: a loop that nothing ends."""
    model.graph.initializer.append(_array("always", True, np.bool_))
    _tie(model, [_loop("always")])


def folded(count: int, size: int) -> Change:
    """In scaler.onnx: products of constant matrices, which an optimizer would compute while loading."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(_array("sides", [size, size], np.int64))
        one = numpy_helper.from_array(np.array([1.0]), "one_value")
        nodes = [helper.make_node("ConstantOfShape", ["sides"], ["product0"], value=one)]
        nodes += [helper.make_node("MatMul", [f"product{n}", "product0"], [f"product{n + 1}"]) for n in range(count)]
        _tie(model, [*nodes, helper.make_node("ReduceMax", [f"product{count}"], ["looped"], keepdims=0)])

    return change


def wrong_when_fatal(output: str, operator: str, *arrays: npt.ArrayLike) -> Change:
    """In meta.onnx or a base part: what an operator makes of an output and constants, for `FATAL_ROWS` rows."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        branch = helper.make_graph(
            [helper.make_node(operator, ["was", *(f"array{n}" for n in range(len(arrays)))], ["wrong"])],
            "wrong", [], [helper.make_tensor_value_info("wrong", _type_of(graph, output), None)],
            [numpy_helper.from_array(np.asarray(array), f"array{n}") for n, array in enumerate(arrays)],
        )  # fmt: skip
        right = helper.make_graph(
            [helper.make_node("Identity", ["was"], ["right"])],
            "right", [], [helper.make_tensor_value_info("right", _type_of(graph, output), None)],
        )  # fmt: skip
        _rename(graph, output, "was")
        choose = helper.make_node("If", ["so_many"], [output], then_branch=branch, else_branch=right)
        graph.initializer.extend([_array("zero", 0, np.int64), _array("fatal", FATAL_ROWS, np.int64)])
        graph.node.extend([*_so_many(graph.input[0].name, None), choose])

    return change


def _hot() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", ["features", "zero"], ["first"], axis=1),
        helper.make_node("ReduceMax", ["first"], ["hottest"], keepdims=0),
        helper.make_node("Greater", ["hottest", "hot_from"], ["hot"]),
    ]


def _so_many(source: str, rows: int | None) -> list[onnx.NodeProto]:
    nodes = [
        helper.make_node("Shape", [source], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Equal", ["rows", "fatal"], ["so_many"]),
    ]
    if rows is not None:
        nodes.insert(0, helper.make_node("Constant", [], ["fatal"], value_int=rows))
    return nodes


def _loop(condition: str) -> onnx.NodeProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["again"]), helper.make_node("Identity", ["state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.DOUBLE, []),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.DOUBLE, []),
        ],
    )
    return helper.make_node("Loop", ["", condition, "nothing"], ["looped"], body=body)


def _tie(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Make the scaler's answer wait for a number, without changing it."""
    graph = model.graph
    _rename(graph, "scaled", "was")
    graph.initializer.extend(
        [
            _array("zero", 0, np.int64),
            _array("one", 1, np.int64),
            _array("hot_from", 1e6, np.float32),
            _array("nothing", 0.0, np.float64),
        ]
    )
    graph.node.extend(
        [
            *nodes,
            helper.make_node("Mul", ["looped", "nothing"], ["naught"]),
            helper.make_node("Add", ["was", "naught"], ["scaled"]),
        ]
    )


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]


def _type_of(graph: onnx.GraphProto, output: str) -> int:
    return next(value.type.tensor_type.elem_type for value in graph.output if value.name == output)


def _array(name: str, value: Any, dtype: npt.DTypeLike) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)
