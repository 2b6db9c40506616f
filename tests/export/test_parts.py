"""Each part is an ONNX model of its own, for stock onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from support.samples.drawn import make_network
from support.samples.stacks import FittedStack, export

from genrestack_bundle import Bundle, open_bundle
from genrestack_export import UnsupportedEstimator, export_stack
from genrestack_export.converters.keras_net import keras_graph


@pytest.fixture(scope="module")
def with_network() -> FittedStack:
    """A stack with a raw scikeras network, fitted on rows around three centres."""
    rng = np.random.default_rng(3)
    labels = np.array(["blues", "jazz", "rock"])[np.arange(150) % 3]
    rows = rng.normal(size=(3, 6))[np.arange(150) % 3] + rng.normal(size=(150, 6))
    scaler = StandardScaler().fit(rows[:120])
    network = make_network(hidden=(8,), activation="gelu", normalise=True, sigmoid=False, classes=3, seed=1)
    stack = StackingClassifier(
        [("mlp", network), ("knn", KNeighborsClassifier(3))], LogisticRegression(), cv=2, passthrough=True
    ).fit(scaler.transform(rows[:120]), labels[:120])
    names = tuple("abcdef")
    return FittedStack(stack, scaler, names, ("blues", "jazz", "rock"), rows[:120], rows[120:], list(labels[120:]))


@pytest.fixture(scope="module")
def bundle(with_network: FittedStack, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(export(with_network, tmp_path_factory.mktemp("models"), "net", precision="double"))


def session(bundle: Bundle, file: str) -> ort.InferenceSession:
    return ort.InferenceSession(bundle.graphs[file], providers=["CPUExecutionProvider"])


def run(bundle: Bundle, file: str, **inputs: Any) -> dict[str, Any]:
    part = session(bundle, file)
    return dict(zip([o.name for o in part.get_outputs()], part.run(None, inputs), strict=True))


def test_five_files_with_named_tensors_and_any_batch(bundle: Bundle) -> None:
    assert [(p.name, p.file) for p in bundle.model.parts] == [
        ("scaler", "scaler.onnx"),
        ("mlp", "mlp.onnx"),
        ("knn", "knn.onnx"),
        ("meta", "meta.onnx"),
    ]
    ends = {}
    for part in bundle.model.parts:
        one = session(bundle, part.file)
        ends[part.name] = [
            [(v.name, v.type, v.shape) for v in values] for values in (one.get_inputs(), one.get_outputs())
        ]
    scaled = ("scaled", "tensor(double)", ["rows", 6])
    probabilities = ("probabilities", "tensor(double)", ["rows", 3])
    assert ends == {
        "scaler": [[("features", "tensor(float)", ["rows", 6])], [scaled]],
        "mlp": [[scaled], [probabilities]],
        "knn": [[scaled], [probabilities]],
        "meta": [
            [("stacked", "tensor(double)", ["rows", 12])],
            [("class_index", "tensor(int64)", ["rows"]), probabilities],
        ],
    }


@pytest.mark.parametrize("count", [1, 2, 30])
def test_each_part_answers_what_its_estimator_answers(bundle: Bundle, with_network: FittedStack, count: int) -> None:
    rows = with_network.rows[:count].astype(np.float32)
    scaled = with_network.scale(rows)
    np.testing.assert_allclose(run(bundle, "scaler.onnx", features=rows)["scaled"], scaled, rtol=1e-15, atol=1e-15)
    network = with_network.base["mlp"].model_.predict(scaled, verbose=0)
    np.testing.assert_allclose(run(bundle, "mlp.onnx", scaled=scaled)["probabilities"], network, atol=1e-6)
    knn = with_network.base["knn"].predict_proba(scaled)
    np.testing.assert_allclose(run(bundle, "knn.onnx", scaled=scaled)["probabilities"], knn, atol=1e-12)
    stacked = np.hstack([network.astype(np.float64), knn, scaled])
    meta = run(bundle, "meta.onnx", stacked=stacked)
    final = with_network.stack.final_estimator_
    np.testing.assert_allclose(meta["probabilities"], final.predict_proba(stacked), atol=1e-14)
    np.testing.assert_array_equal(meta["class_index"], final.predict(stacked))


def test_one_reference_row_is_enough_for_a_raw_network(with_network: FittedStack, tmp_path: Path) -> None:
    # scikeras answers one row in one dimension, on which the stack itself fails.
    with pytest.raises(ValueError, match="dimension"):
        with_network.probabilities(with_network.rows[:1])
    path = export_stack(
        with_network.stack,
        with_network.scaler,
        feature_names=with_network.feature_names,
        reference_rows=with_network.rows[:1],
        models_dir=tmp_path,
        name="one",
    )
    assert open_bundle(path).model.parity.labels_agreed > 0


def test_a_network_that_tf2onnx_cannot_convert_is_refused_by_operator(with_network: FittedStack) -> None:
    import keras
    import tensorflow as tf

    @keras.saving.register_keras_serializable()
    class Bessel(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
        """A layer that ONNX has no operator for."""

        def call(self, rows: Any) -> Any:
            return tf.math.special.bessel_i0(rows)

    estimator = with_network.base["mlp"]
    original = estimator.model_
    estimator.model_ = keras.Sequential([keras.layers.Input((6,)), Bessel(), keras.layers.Dense(3)])
    try:
        with pytest.raises(UnsupportedEstimator, match=r"base estimator 'mlp'.*BesselI0"):
            keras_graph("base estimator 'mlp'", estimator, 6)
    finally:
        estimator.model_ = original
