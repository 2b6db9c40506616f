"""A bundle small enough to build by hand, with everything a real one has: no training library is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from genrestack_bundle import Golden, write_bundle
from genrestack_proto.v1.model_pb2 import (
    PART_KIND_BASE,
    PART_KIND_META,
    PART_KIND_SCALER,
    PRECISION_DOUBLE,
    Feature,
    Model,
    Parity,
    Part,
    PartParity,
)

FEATURES = ("chroma", "rms", "tempo", "zero_crossing")
CLASSES = ("blues", "jazz", "метал")
BASE = ("left", "right")
_OPSET = 18
_WIDTH = 256

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TinyStack:
    """scaler (doubles) → two softmax classifiers → softmax of a linear meta-learner, in numpy."""

    left: Matrix
    right: Matrix
    meta: Matrix

    @classmethod
    def draw(cls, seed: int = 0, columns: int = len(FEATURES)) -> "TinyStack":
        rng = np.random.default_rng(seed)
        shapes = ((columns, len(CLASSES)), (columns, len(CLASSES)), (2 * len(CLASSES), len(CLASSES)))
        return cls(*(rng.normal(size=shape) for shape in shapes))

    def base(self, rows: npt.NDArray[np.float32]) -> dict[str, Matrix]:
        scaled = rows.astype(np.float64) * 2
        return {"left": _softmax(scaled @ self.left), "right": _softmax(scaled @ self.right)}

    def predict_proba(self, rows: npt.NDArray[np.float32]) -> Matrix:
        return _softmax(np.hstack(list(self.base(rows).values())) @ self.meta)


def draw_rows(count: int, seed: int = 1, columns: int = len(FEATURES)) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, columns)).astype(np.float32)


def write_tiny(
    models_dir: Path,
    name: str,
    stack: TinyStack,
    *,
    slow: int = 0,
    answers: TinyStack | None = None,
    features: Sequence[str] = FEATURES,
    training: npt.NDArray[np.float32] | None = None,
) -> Path:
    """Write the next version of `name`.

    `slow` makes every row cost that many products of 256 by 256; `answers` puts another stack's answers into the
    golden rows; `training` are rows whose deciles the manifest tells.
    """
    rows = draw_rows(20, 2, len(features))
    proba = (answers or stack).predict_proba(rows)
    golden = Golden(rows, proba.argmax(axis=1), proba, (answers or stack).base(rows))
    graphs = {
        "scaler": _graph("features", TensorProto.FLOAT, len(features), "scaled", _scale()),
        "left": _graph("scaled", TensorProto.DOUBLE, len(features), "probabilities", _classify(stack.left)),
        "right": _graph("scaled", TensorProto.DOUBLE, len(features), "probabilities", _classify(stack.right, slow)),
        "meta": _graph("stacked", TensorProto.DOUBLE, 2 * len(CLASSES), "probabilities", _decide(stack.meta)),
    }
    files = {f"{part}.onnx": graph for part, graph in graphs.items()}
    model = _manifest(name, features)
    if training is not None:
        for feature, column in zip(model.features, training.T, strict=True):
            feature.quantiles.extend(np.percentile(column, range(10, 100, 10)).tolist())
    return write_bundle(models_dir, model, files, golden)


def _manifest(name: str, features: Sequence[str]) -> Model:
    kinds = {"scaler": PART_KIND_SCALER, "meta": PART_KIND_META}
    return Model(
        name=name,
        features=[Feature(name=feature) for feature in features],
        classes=CLASSES,
        parts=[
            Part(name=part, kind=kinds.get(part, PART_KIND_BASE), file=f"{part}.onnx", estimator=f"tiny.{part}")
            for part in ("scaler", *BASE, "meta")
        ],
        opset=_OPSET,
        ml_opset=3,
        precision=PRECISION_DOUBLE,
        parity=Parity(
            rows=20, labels_agreed=20, tolerance=1e-5, parts=[PartParity(name=part, tolerance=1e-5) for part in BASE]
        ),
    )


_Nodes = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def _scale() -> _Nodes:
    nodes = [
        helper.make_node("Cast", ["features"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["wide", "two"], ["scaled"]),
    ]
    return nodes, [numpy_helper.from_array(np.array(2.0), "two")]


def _classify(weights: Matrix, slow: int = 0) -> _Nodes:
    nodes = [
        helper.make_node("MatMul", ["scaled", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["fast" if slow else "probabilities"], axis=1),
    ]
    tensors = [numpy_helper.from_array(weights, "weights")]
    if slow:
        nodes += _delay()
        tensors += [
            numpy_helper.from_array(np.array(slow, dtype=np.int64), "turns"),
            numpy_helper.from_array(np.array(True), "yes"),
            numpy_helper.from_array(np.zeros((len(CLASSES), _WIDTH)), "spread"),
            numpy_helper.from_array(np.eye(_WIDTH), "turn"),
            numpy_helper.from_array(np.zeros((_WIDTH, len(CLASSES))), "gather"),
        ]
    return nodes, tensors


def _delay() -> list[onnx.NodeProto]:
    """Nodes that add nothing to `fast`, after as many products as `turns` says."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "turn"], ["next"]), helper.make_node("Identity", ["go_on"], ["again"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.DOUBLE, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.DOUBLE, None),
        ],
    )
    return [
        helper.make_node("MatMul", ["fast", "spread"], ["wide"]),
        helper.make_node("Loop", ["turns", "yes", "wide"], ["turned"], body=body),
        helper.make_node("MatMul", ["turned", "gather"], ["nothing"]),
        helper.make_node("Add", ["fast", "nothing"], ["probabilities"]),
    ]


def _decide(weights: Matrix) -> _Nodes:
    nodes = [
        helper.make_node("MatMul", ["stacked", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["class_index"], axis=1, keepdims=0),
    ]
    return nodes, [numpy_helper.from_array(weights, "weights")]


def _graph(source: str, kind: int, columns: int, output: str, content: _Nodes) -> bytes:
    nodes, tensors = content
    outputs = [helper.make_tensor_value_info(output, TensorProto.DOUBLE, ["rows", None])]
    if any("class_index" in node.output for node in nodes):
        outputs.append(helper.make_tensor_value_info("class_index", TensorProto.INT64, ["rows"]))
    graph = helper.make_graph(
        nodes, "part", [helper.make_tensor_value_info(source, kind, ["rows", columns])], outputs, tensors
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def _softmax(scores: Matrix) -> Matrix:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
