"""A Keras classifier wrapped in scikeras as a graph: tf2onnx's, from a function with a fixed signature."""

import logging
import os
from typing import Any

import numpy as np
from onnx import defs, helper, numpy_helper

from genrestack_bundle.runtime.compose import PROBABILITIES, SCALED
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, OPSET, GraphBuilder

_BINARY = 2


def keras_graph(where: str, estimator: Any, features: int) -> Any:
    """Build the graph of a fitted `KerasClassifier`: `scaled`, float64 (n, f) → `probabilities`, float64 (n, k).

    The network itself computes in float32, as Keras does.

    Raises:
        UnsupportedEstimator: the network does not take one table of rows and give one of probabilities, or holds a
            layer that tf2onnx has no operators for.

    """
    classes = _check(where, estimator, features)
    g = GraphBuilder()
    (output,) = g.absorb(_convert(where, estimator.model_, features), {"rows": g.cast(SCALED, FLOAT)})
    if classes == _BINARY and estimator.model_.output_shape[-1] == 1:
        # One sigmoid speaks for the second class.
        output = g.node("Concat", g.node("Sub", g.scalar(1, "float32"), output), output, axis=1)
    g.name_output(g.cast(output, DOUBLE), PROBABILITIES)
    return g.model(
        f"keras network of {estimator.model_.count_params()} parameters",
        {SCALED: (DOUBLE, ["rows", features])},
        {PROBABILITIES: (DOUBLE, ["rows", classes])},
    )


def _check(where: str, estimator: Any, features: int) -> int:
    network = estimator.model_
    supported = f"a network from (rows, {features}) to (rows, classes), or to (rows, 1) with two classes"
    if not isinstance(network.output_shape, tuple) or tuple(network.input_shape) != (None, features):
        raise UnsupportedEstimator(where, f"a network from {network.input_shape} to {network.output_shape}", supported)
    classes = int(estimator.n_classes_)
    if tuple(network.output_shape) not in {(None, classes), (None, 1 if classes == _BINARY else classes)}:
        raise UnsupportedEstimator(where, f"a network with the output shape {network.output_shape}", supported)
    if estimator.target_type_ not in {"binary", "multiclass"}:
        raise UnsupportedEstimator(where, f"targets of type {estimator.target_type_!r}", "one label a row")
    return classes


def _convert(where: str, network: Any, features: int) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    import tf2onnx

    signature = (tf.TensorSpec((None, features), tf.float32, name="rows"),)
    function = tf.function(lambda rows: network(rows, training=False), input_signature=signature)
    # What tf2onnx logs of operators it does not know is said below, by name.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    try:
        concrete = function.get_concrete_function()
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    except (ValueError, NotImplementedError) as error:
        raise UnsupportedEstimator(where, "a network that tf2onnx cannot convert", "layers tf2onnx converts") from error
    _fold_captured(where, model.graph, concrete)
    _replace_erfc(model.graph)
    unknown = sorted({node.op_type for node in model.graph.node if not defs.has(node.op_type, node.domain)})
    if unknown:
        found = f"a network with TensorFlow's {', '.join(unknown)}"
        raise UnsupportedEstimator(where, found, "layers tf2onnx converts to standard operators")
    return model.graph


def _fold_captured(where: str, graph: Any, concrete: Any) -> None:
    """Keep constants that a layer captured (`Normalization` has two): tf2onnx leaves them as inputs.

    Raises:
        UnsupportedEstimator: an input is not such a constant.

    """
    captured = {}
    for value, inner in concrete.graph.captures:
        # Variables have become constants already; those are handles, with no value of their own.
        if value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool:
            captured[inner.name.split(":")[0]] = value.numpy()
    kept = []
    for given in graph.input:
        name = given.name.split(":")[0]
        if name in captured:
            graph.initializer.append(numpy_helper.from_array(np.asarray(captured[name]), given.name))
        else:
            kept.append(given)
    del graph.input[:]
    graph.input.extend(kept)
    if len(kept) != 1:
        others = ", ".join(given.name for given in kept[1:])
        raise UnsupportedEstimator(where, f"a network with further inputs ({others})", "networks of one input")


def _replace_erfc(graph: Any) -> None:
    """Write erfc(x) as 1 − erf(x): Keras's gelu uses the one, ONNX has the other."""
    nodes = []
    for node in graph.node:
        if node.op_type == "Erfc":
            erf, one = f"{node.output[0]}/erf", f"{node.output[0]}/one"
            nodes.append(helper.make_node("Erf", node.input, [erf]))
            nodes.append(helper.make_node("Constant", [], [one], value_float=1.0))
            nodes.append(helper.make_node("Sub", [one, erf], node.output))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
