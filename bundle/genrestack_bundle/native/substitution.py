"""Which parts of a bundle a native operator can take the place of, and their graphs with it.

A bundle stays as it was exported. What the operator needs is read from the part: how many neighbours, which distance
and which weights from the manifest; training points and classes from the constants that the exported graph holds.
Whether the operator answers what the part answers is for the golden rows to say, as with every execution provider.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_bundle.graphs.messages import from_array, make_model, make_node, make_value, to_array
from genrestack_bundle.runtime.compose import PROBABILITIES, SCALED
from genrestack_proto.onnx.onnx_pb2 import ModelProto, TensorProto
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_META, Model, Part

DOMAIN: Final = "genrestack"
"""Domain of our operators, as `operator.c` registers it."""
VERSION: Final = 1

_KNN: Final = "sklearn.neighbors.KNeighborsClassifier"
_METRICS: Final = {"manhattan": 1, "cityblock": 1, "l1": 1, "euclidean": 2, "l2": 2}
_WEIGHTS: Final = {"uniform": 0, "distance": 1}
# The name of the first constant that the exported graph of an estimator holds, behind the name of that graph.
_POINTS: Final = "c_1"
# What makes a part more than the probabilities of k neighbours by its metric.
_MORE: Final = {"metric_params", "stacked_by"}


def native_parts(model: Model, graphs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return, by file, the graphs of those parts that an operator can answer for, each with that operator alone.

    Args:
        model: the manifest.
        graphs: each part's serialised ONNX model, by file name.

    """
    found: dict[str, bytes] = {}
    if all(part.kind != PART_KIND_META for part in model.parts):
        # By itself a base part answers more than probabilities.
        return found
    for part in model.parts:
        if part.kind == PART_KIND_BASE and part.estimator == _KNN:
            graph = _knn(part, graphs[part.file], len(model.classes), model.opset)
            if graph is not None:
                found[part.file] = graph
    return found


def _knn(part: Part, packed: bytes, classes: int, opset: int) -> bytes | None:
    """Return a nearest-neighbours part as one operator; None where the part is not as an export writes it."""
    attributes = _attributes(part)
    points, labels = _training(packed, classes)
    if attributes is None or points is None or labels is None or not attributes["neighbors"] <= len(points):
        return None
    return _graph(points, labels, {**attributes, "classes": classes}, opset)


def _attributes(part: Part) -> dict[str, int] | None:
    parameters = part.parameters
    metric, weights = parameters.get("metric", ""), _WEIGHTS.get(parameters.get("weights", ""))
    try:
        neighbors = int(parameters.get("n_neighbors", ""))
        p = float(parameters.get("p", "")) if metric == "minkowski" else _METRICS.get(metric)
    except ValueError:
        return None
    if weights is None or p not in {1, 2} or neighbors < 1 or _MORE & set(parameters):
        return None
    return {"neighbors": neighbors, "p": int(p), "by_distance": weights}


def _training(packed: bytes, classes: int) -> tuple[npt.NDArray[Any] | None, npt.NDArray[np.int64] | None]:
    """Return the training points and the column of each one's class, as far as the graph holds them."""
    tensors = ModelProto.FromString(packed).graph.initializer
    first = next((tensor for tensor in tensors if tensor.name.rpartition("/")[2] == _POINTS), None)
    points = None if first is None else _matrix(first)
    if first is None or points is None:
        return None, None
    tables = [tensor for tensor in tensors if tensor.name != first.name and list(tensor.dims) == [len(points), classes]]
    votes = [table for tensor in tables if (table := _matrix(tensor)) is not None and _is_one_hot(table)]
    return points, votes[0].argmax(axis=1).astype(np.int64) if len(votes) == 1 else None


def _matrix(tensor: TensorProto) -> npt.NDArray[np.float64] | None:
    if tensor.data_type != TensorProto.DOUBLE or len(tensor.dims) != 2 or 0 in tensor.dims:
        return None
    matrix: npt.NDArray[np.float64] = to_array(tensor)
    return matrix if bool(np.isfinite(matrix).all()) else None


def _is_one_hot(table: npt.NDArray[np.float64]) -> bool:
    return bool(((table == 0) | (table == 1)).all() and (table.sum(axis=1) == 1).all())


def _graph(
    points: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], attributes: Mapping[str, int], opset: int
) -> bytes:
    model = make_model({"": opset, DOMAIN: VERSION})
    graph = model.graph
    graph.name = "knn"
    graph.node.append(make_node("Knn", [SCALED, "points", "labels"], [PROBABILITIES], attributes, domain=DOMAIN))
    graph.initializer.extend([from_array(points, "points"), from_array(labels, "labels")])
    graph.input.append(make_value(SCALED, TensorProto.DOUBLE, ["rows", points.shape[1]]))
    graph.output.append(make_value(PROBABILITIES, TensorProto.DOUBLE, ["rows", attributes["classes"]]))
    return model.SerializeToString()
