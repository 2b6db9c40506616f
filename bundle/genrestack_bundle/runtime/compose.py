"""Join a bundle's parts into one graph: scaler → base estimators → meta-learner, as `StackingClassifier` joins them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from genrestack_bundle.errors import BundleError
from genrestack_bundle.graphs.checks import parse_graph
from genrestack_bundle.graphs.composed_checks import MalformedGraphError, check_model
from genrestack_bundle.graphs.messages import from_array, make_model, make_node, make_value
from genrestack_proto.onnx.onnx_pb2 import GraphProto, ModelProto, TensorProto, ValueInfoProto
from genrestack_proto.v1.model_pb2 import (
    PART_KIND_BASE,
    PART_KIND_META,
    PART_KIND_NEIGHBORS,
    PART_KIND_SCALER,
    Model,
    Part,
)

# Inputs and outputs of the composed graph, and with the same names of each part where it has them.
FEATURES = "features"
SCALED = "scaled"
STACKED = "stacked"
CLASS_INDEX = "class_index"
PROBABILITIES = "probabilities"

# A StackingClassifier drops the first probability column of each base part when there are two classes.
_BINARY = 2


def base_output(part_name: str) -> str:
    """Name of the composed graph's output for one base estimator."""
    return f"{PROBABILITIES}.{part_name}"


def compose(model: Model, graphs: Mapping[str, bytes], domains: Mapping[str, int] | None = None) -> bytes:
    """Join the parts of a model into one serialised ONNX graph.

    Args:
        model: the manifest.
        graphs: each part's serialised ONNX model, by file name.
        domains: version of each domain of operators beside the standard's that the parts use.

    Returns:
        a graph with the input `features`, float32 (n, f), and the outputs `class_index`, int64 (n,), `probabilities`,
        float32 (n, k), and `probabilities.<part>`, float32 (n, k), for each base estimator.

    Raises:
        BundleError: a part is not an ONNX model or does not fit the others.

    """
    joined = _Joined(model, domains or {})
    for position, part in enumerate(model.parts):
        if part.kind != PART_KIND_NEIGHBORS:
            joined.add(f"part{position}/", parse_graph(part.file, graphs[part.file]), part)
    joined.stack(passthrough=model.passthrough, binary=len(model.classes) == _BINARY)
    return joined.packed()


def compose_search(model: Model, graphs: Mapping[str, bytes]) -> bytes:
    """Join the scaler and the search for the nearest training rows into one serialised ONNX graph.

    Args:
        model: the manifest, which lists a neighbours part.
        graphs: each part's serialised ONNX model, by file name.

    Returns:
        a graph with the input `features`, float32 (n, f), and the outputs of the neighbours part.

    Raises:
        BundleError: the part is not an ONNX model or does not fit the scaler.

    """
    joined = _Joined(model, {})
    outputs: list[ValueInfoProto] = []
    for position, part in enumerate(model.parts):
        if part.kind in {PART_KIND_SCALER, PART_KIND_NEIGHBORS}:
            parsed = parse_graph(part.file, graphs[part.file])
            if part.kind == PART_KIND_SCALER:
                joined.add(f"part{position}/", parsed, part)
            else:
                outputs = copy.deepcopy(list(parsed.graph.output))
                joined.search(f"part{position}/", parsed, part)
    return joined.packed(outputs)


class _Joined:
    """A graph under construction."""

    def __init__(self, model: Model, domains: Mapping[str, int]) -> None:
        self._about = model
        versions = {"": model.opset, "ai.onnx.ml": model.ml_opset, **domains}
        self._model = make_model(versions, producer="genrestack")
        # Filled in place: what a part holds, most of it constants, is copied once.
        self._graph = self._model.graph
        self._base: list[tuple[str, str]] = []
        self._columns: list[tuple[str, bool]] = []
        self._whole: tuple[str, bool] = "", False
        self._scaled = ""
        self._meta: tuple[str, GraphProto, str] | None = None

    def add(self, prefix: str, model: ModelProto, part: Part) -> None:
        """Add one part; the meta-learner waits until all others are there."""
        if part.kind == PART_KIND_SCALER:
            self._splice(part.file, model.graph, prefix, {FEATURES: FEATURES})
            self._scaled = prefix + SCALED
        elif part.kind == PART_KIND_BASE:
            self._splice(part.file, model.graph, prefix, {SCALED: self._scaled or self._unscaled()})
            self._base.append((part.name, prefix + PROBABILITIES))
            outputs = {value.name for value in model.graph.output}
            # A part that is stacked by something else than its probabilities says by what.
            others = prefix + STACKED in outputs
            self._columns.append((prefix + (STACKED if others else PROBABILITIES), not others))
            self._whole = prefix, prefix + CLASS_INDEX in outputs
        elif part.kind == PART_KIND_META:
            self._meta = part.file, model.graph, prefix

    def search(self, prefix: str, model: ModelProto, part: Part) -> None:
        """Add the search for the nearest training rows, whose outputs keep their names."""
        outputs = [value.name for value in model.graph.output]
        self._splice(part.file, model.graph, prefix, {SCALED: self._scaled or self._unscaled()})
        for output in outputs:
            self._node("Identity", [prefix + output], output)

    def stack(self, *, passthrough: bool, binary: bool) -> None:
        """Concatenate what the meta-learner takes and take it in."""
        prefix = self._alone() if self._meta is None else self._stacked(passthrough=passthrough, binary=binary)
        self._node("Identity", [prefix + CLASS_INDEX], CLASS_INDEX)
        for output, value in [(PROBABILITIES, prefix + PROBABILITIES), *((base_output(n), v) for n, v in self._base)]:
            self._node("Cast", [value], output, to=1)

    def _stacked(self, *, passthrough: bool, binary: bool) -> str:
        if self._meta is None or not self._base:
            raise BundleError("the manifest lists no base estimator; export the model again")
        columns = [self._without_first(name) if binary and plain else name for name, plain in self._columns]
        if passthrough:
            columns.append(self._scaled)
        self._node("Concat", columns, STACKED, axis=1)
        file, graph, prefix = self._meta
        self._splice(file, graph, prefix, {STACKED: STACKED})
        return prefix

    def _alone(self) -> str:
        """Return the prefix of the one part of a model that is not a stack."""
        prefix, predicts = self._whole
        if len(self._base) != 1 or not predicts:
            raise BundleError(
                "the manifest lists no meta-learner, and not one base part that predicts; export the model again"
            )
        return prefix

    def packed(self, outputs: Sequence[ValueInfoProto] | None = None) -> bytes:
        """Finish the graph, with the stack's own outputs or with those given, check it, and serialise it."""
        classes = len(self._about.classes)
        tables = [PROBABILITIES, *(base_output(name) for name, _ in self._base)]
        own = [
            make_value(CLASS_INDEX, TensorProto.INT64, ["rows"]),
            *(make_value(name, TensorProto.FLOAT, ["rows", classes]) for name in tables),
        ]
        self._graph.name = self._about.name or "stack"
        self._graph.input.append(make_value(FEATURES, TensorProto.FLOAT, ["rows", len(self._about.features)]))
        self._graph.output.extend(own if outputs is None else outputs)
        try:
            check_model(self._model)
        except MalformedGraphError as error:
            files = ", ".join(part.file for part in self._about.parts)
            raise BundleError(f"{files} do not fit together; export the model again") from error
        return self._model.SerializeToString()

    def _splice(self, file: str, graph: GraphProto, prefix: str, wires: Mapping[str, str]) -> None:
        missing = {value.name for value in graph.input} ^ set(wires)
        if missing:
            names = ", ".join(sorted(missing))
            raise BundleError(f"{file} does not take what its kind of part takes ({names}); export the model again")
        rename_values(graph, lambda name: wires.get(name, prefix + name) if name else name)
        self._graph.node.extend(graph.node)
        self._graph.initializer.extend(graph.initializer)

    def _unscaled(self) -> str:
        # Without a scaler the estimators saw the rows themselves, in float64.
        self._node("Cast", [FEATURES], SCALED, to=11)
        self._scaled = SCALED
        return SCALED

    def _without_first(self, name: str) -> str:
        if not any(tensor.name == "second" for tensor in self._graph.initializer):
            self._graph.initializer.append(from_array(np.array([1], dtype=np.int64), "second"))
        self._node("Gather", [name, "second"], f"{name}/second", axis=1)
        return f"{name}/second"

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes: int) -> None:
        self._graph.node.append(make_node(op_type, inputs, [output], attributes))


def rename_values(graph: Any, renamed: Callable[[str], str]) -> None:
    """Rename every value of a graph in place, in branches too: they refer to values of the graph around them.

    Args:
        graph: a `GraphProto`, ours or the package `onnx`'s.
        renamed: makes the new name of the old one.

    """
    for value in (*graph.input, *graph.output):
        value.name = renamed(value.name)
    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)
    del graph.value_info[:]
    for node in graph.node:
        node.name = ""
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                rename_values(attribute.g, renamed)
