"""The search in float32 instead of uint8 answers the same, to the last bit; anything else is left alone."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.neighbors import KNeighborsClassifier

from genrestack_bundle.runtime.uint8_to_float32 import uint8_to_float32
from genrestack_export.converters.nearest.knn import knn_graph, read_knn

COUNT, WIDTH = 2500, 12


@pytest.fixture(scope="module")
def points() -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(COUNT, WIDTH))


@pytest.fixture(scope="module")
def search(points: npt.NDArray[np.float64]) -> bytes:
    labels = np.arange(COUNT) % 4
    fitted = KNeighborsClassifier(5, metric="manhattan", weights="distance").fit(points, labels)
    return bytes(knn_graph(read_knn("knn", fitted)).SerializeToString())


def run(graph: bytes, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: rows})[0])


def operators(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_model_from_string(graph).graph.node)


def test_answers_are_the_same_to_the_last_bit(search: bytes, points: npt.NDArray[np.float64]) -> None:
    rng = np.random.default_rng(1)
    near = points[rng.integers(0, COUNT, 200)] + rng.normal(scale=0.1, size=(200, WIDTH))
    far = rng.normal(scale=1e6, size=(50, WIDTH))
    rows = np.concatenate([points[:50], near, far, np.full((1, WIDTH), 1e300)])
    wide = uint8_to_float32(search)
    onnx.checker.check_model(onnx.load_model_from_string(wide), full_check=True)
    assert np.array_equal(run(search, rows), run(wide, rows))


def test_no_product_of_uint8_is_left(search: bytes) -> None:
    before, after = operators(search), operators(uint8_to_float32(search))
    assert before["MatMulInteger"] == 3
    assert after["MatMulInteger"] == 0
    assert after["MatMul"] == before["MatMul"] + 3
    model = onnx.load_model_from_string(uint8_to_float32(search))
    assert not [tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.UINT8]
    assert not [
        node
        for node in model.graph.node
        for given in node.attribute
        if given.name == "to" and given.i == TensorProto.UINT8
    ]


def test_a_graph_without_uint8_stays_as_it_is(points: npt.NDArray[np.float64]) -> None:
    fitted = KNeighborsClassifier(5).fit(points, np.arange(COUNT) % 4)
    graph = bytes(knn_graph(read_knn("knn", fitted)).SerializeToString())
    assert uint8_to_float32(graph) is graph


Change = Callable[[onnx.ModelProto], None]


def _given_out(model: onnx.ModelProto) -> None:
    name = next(node.output[0] for node in model.graph.node if node.op_type == "Max")
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, None))


def _large_weights(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            ones = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[0])
            ones.CopyFrom(numpy_helper.from_array(np.full((1, 2**17), 1, dtype=np.uint8), ones.name))


def _drawn_weights(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            node.input[:] = list(node.input)[::-1]


def _zero_point(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, dtype=np.uint8), "zero"))
    for node in model.graph.node:
        if node.op_type == "MatMulInteger":
            node.input.append("zero")


def _not_whole(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Round":
            node.op_type = "Abs"


def _used_elsewhere(model: onnx.ModelProto) -> None:
    name = next(node.output[0] for node in model.graph.node if node.op_type == "Max")
    model.graph.node.append(helper.make_node("Shape", [name], ["shape of it"]))


CHANGES = (_given_out, _large_weights, _drawn_weights, _zero_point, _not_whole, _used_elsewhere)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_what_might_be_rounded_or_is_unknown_stays_as_it_is(search: bytes, change: Change) -> None:
    model = onnx.load_model_from_string(search)
    change(model)
    graph = model.SerializeToString()
    assert uint8_to_float32(graph) is graph
