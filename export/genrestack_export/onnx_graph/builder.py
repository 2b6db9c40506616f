"""Build an ONNX graph node by node."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from genrestack_bundle.graphs.messages import IR_VERSION
from genrestack_bundle.runtime.compose import rename_values

# One pair for all parts: graphs of different opsets cannot be joined.
OPSET = 18
ML_OPSET = 3

FLOAT = int(TensorProto.FLOAT)
DOUBLE = int(TensorProto.DOUBLE)
INT64 = int(TensorProto.INT64)
UINT8 = int(TensorProto.UINT8)
STRING = int(TensorProto.STRING)

Shape = list[str | int]


class GraphBuilder:
    """Nodes and constants of a graph, or of a branch of one; values are known by their names."""

    def __init__(self, prefix: str = "") -> None:
        """Start a graph; a branch takes a prefix, so that its names differ from those around it."""
        self._prefix = prefix
        self._nodes: list[Any] = []
        self._initializers: list[TensorProto] = []
        self._made: dict[Hashable, str] = {}
        self._count = 0

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant tensor; returns its name."""
        name = self._name("c")
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def scalar(self, value: float, dtype: npt.DTypeLike) -> str:
        """Add a constant without dimensions; returns its name."""
        name = self._name("c")
        self._initializers.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def texts(self, values: Sequence[str], name: str) -> str:
        """Add a constant of texts, shape (n,), under a name of its own; returns it."""
        encoded = [value.encode() for value in values]
        tensor = TensorProto(name=name, data_type=TensorProto.STRING, dims=[len(encoded)], string_data=encoded)
        self._initializers.append(tensor)
        return name

    def node(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output; returns the output's name."""
        return self.nodes(op_type, *inputs, outputs=1, domain=domain, **attributes)[0]

    def nodes(self, op_type: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node of several outputs; returns their names."""
        names = [self._name(op_type.lower()) for _ in range(outputs)]
        self._nodes.append(helper.make_node(op_type, list(inputs), names, domain=domain, **attributes))
        return names

    def once(self, key: Hashable, make: Callable[[], str]) -> str:
        """Return the value made for this key, making it the first time."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def cast(self, value: str, to: int) -> str:
        """Convert to another element type."""
        return self.node("Cast", value, to=to)

    def reduce_sum(self, value: str, axis: int, *, keepdims: bool = True) -> str:
        """Sum over one axis."""
        return self.node("ReduceSum", value, self.constant([axis], np.int64), keepdims=int(keepdims))

    def sum_columns(self, value: str, columns: int) -> str:
        """Sum a float64 matrix over its columns, to (n, 1); as a product with ones, much quicker than `ReduceSum`."""
        return self.node("MatMul", value, self.constant(np.ones((columns, 1)), np.float64))

    def absorb(self, graph: Any, wires: dict[str, str]) -> list[str]:
        """Add the nodes of another graph, its inputs wired to values of this one; returns its outputs."""
        prefix = self._name("other") + "/"
        rename_values(graph, lambda name: wires.get(name, prefix + name) if name else name)
        self._nodes.extend(graph.node)
        self._initializers.extend(graph.initializer)
        return [value.name for value in graph.output]

    def name_output(self, value: str, name: str) -> None:
        """Rename a value to the name of the graph's output."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def graph(self, name: str, inputs: dict[str, tuple[int, Shape]], outputs: dict[str, tuple[int, Shape]]) -> Any:
        """Finish the graph; inputs and outputs are given as name → (element type, shape)."""
        return helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(n, dtype, shape) for n, (dtype, shape) in inputs.items()],
            [helper.make_tensor_value_info(n, dtype, shape) for n, (dtype, shape) in outputs.items()],
            initializer=self._initializers,
        )

    def model(
        self, name: str, inputs: dict[str, tuple[int, Shape]], outputs: dict[str, tuple[int, Shape]]
    ) -> ModelProto:
        """Finish the graph as a checked model of its own."""
        return finish(self.graph(name, inputs, outputs))

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{self._prefix}{stem}_{self._count}"


def finish(graph: Any) -> ModelProto:
    """Wrap a graph as a model with our opsets, and check it."""
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="genrestack",
    )
    checker.check_model(model)
    return model
