"""What `export_stack` writes."""

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from export.conftest import NAMES, Case, FitStack, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from genrestack_bundle import ComposedSession, open_bundle, verify_parity
from genrestack_export import export_stack
from genrestack_proto.v1.model_pb2 import PRECISION_DOUBLE, PRECISION_SINGLE, Provenance


def _verify(path: Any) -> None:
    bundle = open_bundle(path)
    verify_parity(ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1), bundle)


def test_manifest(fit: FitStack) -> None:
    case = fit(knn(), knn(weights="distance", p=1))
    path = case.export(training_rows=case.training, metrics={"accuracy": 0.75, "accuracy.first": 0.5})
    model = open_bundle(path).model
    assert (model.format, model.name, model.version, model.passthrough) == (1, "small", 1, False)
    assert (model.opset, model.ml_opset, model.precision) == (18, 3, PRECISION_SINGLE)
    assert [feature.name for feature in model.features] == list(NAMES)
    assert [f.seen_min for f in model.features] == case.training.min(axis=0).tolist()
    assert [f.seen_max for f in model.features] == case.training.max(axis=0).tolist()
    np.testing.assert_allclose([f.mean for f in model.features], case.training.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose([f.standard_deviation for f in model.features], case.training.std(axis=0), rtol=1e-12)
    assert [(part.name, part.file, part.estimator) for part in model.parts] == [
        ("scaler", "scaler.onnx", "sklearn.preprocessing.MinMaxScaler"),
        ("first", "first.onnx", "sklearn.neighbors.KNeighborsClassifier"),
        ("base1", "base1.onnx", "sklearn.neighbors.KNeighborsClassifier"),
        ("meta", "meta.onnx", "sklearn.linear_model.LogisticRegression"),
    ]
    assert dict(model.parts[2].parameters).items() >= {"n_neighbors": "3", "p": "1", "weights": "distance"}.items()
    hashes = {file.path: file.sha256 for file in model.files}
    assert all(part.sha256 == hashes[part.file] for part in model.parts)
    assert set(hashes) == {part.file for part in model.parts} | {"golden.npz", "metrics.json"}
    assert (
        dict(model.metrics)
        == json.loads((path / "metrics.json").read_text())
        == {"accuracy": 0.75, "accuracy.first": 0.5}
    )
    assert not model.HasField("runtime")


def test_seen_ranges_are_absent_without_training_rows(small: Case) -> None:
    path = small.export()
    assert all([field.name for field, _ in f.ListFields()] == ["name"] for f in open_bundle(path).model.features)
    assert not (path / "metrics.json").exists()


def test_deciles_of_the_training_rows_are_kept_and_shares_where_rows_are_alike(fit: FitStack) -> None:
    case = fit()
    training = np.repeat(case.training, 10, axis=0) + np.random.default_rng(0).normal(
        scale=1e-3, size=(900, len(NAMES))
    )
    training[:, 1] = np.where(np.arange(900) < 540, 0.0, training[:, 1] ** 2 + 1)
    model = open_bundle(case.export(training_rows=training)).model
    for feature, column in zip(model.features, training.T, strict=True):
        assert list(feature.quantiles) == np.percentile(column, range(10, 100, 10)).tolist()
    assert set(model.quantile_shares) == {NAMES[1]}
    # Six of the deciles are 0, and 540 of 900 rows are.
    assert list(model.quantile_shares[NAMES[1]].values) == pytest.approx([0.6] * 6 + [0.7, 0.8, 0.9], abs=0.002)


def test_parity_is_recorded(small: Case) -> None:
    bundle = open_bundle(small.export(training_rows=small.training))
    parity = bundle.model.parity
    assert parity.rows == parity.labels_agreed == 30 + 24 + 24
    assert (parity.ties, parity.tolerance, [part.name for part in parity.parts]) == (0, 5e-4, ["first"])
    assert 0 < parity.max_abs_difference < 1e-6
    _verify(bundle.path)


def test_tolerances_of_double(fit: FitStack) -> None:
    case = fit(SVC(probability=True, random_state=0), knn())
    model = open_bundle(case.export(precision="double")).model
    assert model.precision == PRECISION_DOUBLE
    assert model.parity.tolerance == 5e-6
    assert {part.name: part.tolerance for part in model.parity.parts} == {"first": 1e-6, "base1": 1e-6}
    assert model.parts[1].parameters["kernel_dtype"] == "float64"


def test_golden_rows_are_the_originals_answers(small: Case) -> None:
    rows = draw(500, seed=5)[0]
    golden = open_bundle(small.export(reference_rows=rows, training_rows=small.training)).golden
    assert 48 <= len(golden.rows) <= 64
    scaled = small.scaler.transform(golden.rows.astype(np.float64))
    assert np.array_equal(golden.probabilities, small.stack.predict_proba(scaled))
    assert np.array_equal(small.stack.classes_[golden.class_index], small.stack.predict(scaled))
    assert np.array_equal(golden.parts["first"], small.stack.named_estimators_["first"].predict_proba(scaled))
    given = {row.tobytes() for row in rows.astype(np.float32)}
    assert sum(row.tobytes() in given for row in golden.rows) > 40


def test_provenance(small: Case) -> None:
    given = Provenance(data_sha256="ab" * 32, row_count=90, seed=7, preset="mine", library_versions={"numpy": "0.0.1"})
    found = open_bundle(small.export(provenance=given)).model.provenance
    assert (found.data_sha256, found.row_count, found.seed, found.preset) == ("ab" * 32, 90, 7, "mine")
    assert found.library_versions["numpy"] == "0.0.1"
    assert {"scikit-learn", "onnx", "onnxruntime", "skl2onnx"} <= set(found.library_versions)
    assert abs((datetime.now().astimezone() - datetime.fromisoformat(found.created)).total_seconds()) < 600
    assert found.created.endswith("Z")
    assert given.created == ""


def test_report_goes_along(small: Case) -> None:
    path = small.export(report={"report.html": b"<p>", "metrics.json": b"{}"}, metrics={"accuracy": 1.0})
    assert (path / "report.html").read_bytes() == b"<p>"
    assert (path / "metrics.json").read_bytes() == b"{}"


def test_versions_grow(small: Case) -> None:
    assert [small.export().relative_to(small.models_dir).as_posix() for _ in range(3)] == [
        "small/1",
        "small/2",
        "small/3",
    ]
    assert (
        small.export(name="other", models_dir=str(small.models_dir)).relative_to(small.models_dir).as_posix()
        == "other/1"
    )


AWKWARD = [
    "scaler",
    "META",
    "golden",
    "manifest",
    "base-1",
    "a/b",
    "Ünï",
    "x" * 98,
    "x" * 120,
    "report.html",
    "two words",
]


@pytest.mark.parametrize("first", AWKWARD)
def test_base_estimators_of_any_name(small: Case, first: str) -> None:
    """Whatever the names, each part gets a file of its own and answers under its name."""
    base = [
        (first, knn()),
        ("../up", knn(p=1)),
        ("base-0", knn(n_neighbors=1)),
        ("Base-1.onnx", knn(weights="distance")),
    ]
    stack = StackingClassifier(base, LogisticRegression(), cv=2)
    stack.fit(small.scaler.transform(small.training), draw(90, seed=1)[1])
    path = small.export(stack=stack)
    _verify(path)
    bundle = open_bundle(path)
    assert bundle.part_names == (first, "../up", "base-0", "Base-1.onnx")
    assert len({part.file.casefold() for part in bundle.model.parts}) == 6


def test_base_estimators_whose_names_differ_by_case_alone(small: Case) -> None:
    """On many file systems, two such files are one."""
    base = [(name, knn(n_neighbors=count)) for count, name in enumerate(("knn", "KNN", "Knn"), start=1)]
    stack = StackingClassifier(base, LogisticRegression(), cv=2)
    stack.fit(small.scaler.transform(small.training), draw(90, seed=1)[1])
    path = small.export(stack=stack)
    _verify(path)
    bundle = open_bundle(path)
    assert bundle.part_names == ("knn", "KNN", "Knn")
    assert len({part.file.casefold() for part in bundle.model.parts}) == 5


def test_dropped_estimator(small: Case) -> None:
    stack = StackingClassifier([("gone", "drop"), ("knn", knn())], LogisticRegression(), cv=2)
    stack.fit(small.scaler.transform(small.training), draw(90, seed=1)[1])
    assert open_bundle(small.export(stack=stack)).part_names == ("knn",)


def test_prefitted_estimators(small: Case) -> None:
    scaled, labels = small.scaler.transform(small.training), draw(90, seed=1)[1]
    base = [("knn", knn().fit(scaled, np.unique(labels, return_inverse=True)[1]))]
    stack = StackingClassifier(base, LogisticRegression(), cv="prefit").fit(scaled, labels)
    _verify(small.export(stack=stack))


def test_public_names() -> None:
    import genrestack_export

    assert genrestack_export.export_stack is export_stack
    for name in genrestack_export.__all__:
        assert getattr(genrestack_export, name).__module__.startswith(("genrestack_export", "genrestack_bundle"))
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        genrestack_export.other  # noqa: B018 - asking is the test
