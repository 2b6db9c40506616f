"""Imputers in front of a stack: graphs against scikit-learn, with values missing wherever they may be."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from export.conftest import NAMES, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler
from sklearn.svm import SVC

from genrestack_bundle import ComposedSession, open_bundle
from genrestack_bundle.manifest import read_manifest
from genrestack_bundle.runtime.compose import FEATURES, SCALED
from genrestack_export import ExportError, UnsupportedEstimator, export_stack
from genrestack_export.converters.parts import convert_scaler

Rows = npt.NDArray[np.float64]
STRATEGIES: dict[str, dict[str, Any]] = {
    "mean": {"strategy": "mean"},
    "median": {"strategy": "median"},
    "most frequent": {"strategy": "most_frequent"},
    "constant": {"strategy": "constant", "fill_value": -1.5},
    "constant, none said": {"strategy": "constant"},
    "of one's own": {"strategy": np.max},
}
SCALERS = (MinMaxScaler(), StandardScaler(), RobustScaler(), PowerTransformer(), QuantileTransformer(n_quantiles=50))


def gappy(rows: Rows, seed: int, share: float = 0.2) -> Rows:
    """Take a share of the values out; the last column keeps all of them."""
    holes = np.random.default_rng(seed).random(rows.shape) < share
    holes[:, -1] = False
    return np.where(holes, np.nan, rows)


def graph_answer(scaler: Any, rows: Rows) -> Rows:
    session = ort.InferenceSession(convert_scaler(scaler).model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([SCALED], {FEATURES: rows.astype(np.float32)})[0])


def asked(seed: int = 3) -> Rows:
    """Rows as they travel: some whole, some with gaps in any column, one of nothing but gaps."""
    rows = np.vstack([draw(20, seed)[0], gappy(draw(20, seed + 1)[0], seed, 0.5), np.full((1, len(NAMES)), np.nan)])
    rows[5, -1] = np.nan
    return rows.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_each_strategy(strategy: str, indicator: bool) -> None:
    imputer = SimpleImputer(**STRATEGIES[strategy], add_indicator=indicator).fit(gappy(draw(90, 1)[0], 2))
    np.testing.assert_array_equal(graph_answer(imputer, asked()), imputer.transform(asked()))


@pytest.mark.parametrize("fitted_as", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("missing", [-999, 0.0])
def test_a_number_that_means_missing(fitted_as: Any, missing: float) -> None:
    training = np.round(draw(90, 1)[0] * 3)
    training[::7, 1] = missing
    imputer = SimpleImputer(missing_values=missing, strategy="most_frequent").fit(training.astype(fitted_as))
    rows = np.round(draw(30, 4)[0] * 3)
    rows[::3, 0] = rows[1, 2] = missing
    np.testing.assert_array_equal(graph_answer(imputer, rows), imputer.transform(rows))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_without_any_value(keep: bool, indicator: bool) -> None:
    training = gappy(draw(90, 1)[0], 2)
    training[:, 1] = np.nan
    imputer = SimpleImputer(keep_empty_features=keep, add_indicator=indicator).fit(training)
    np.testing.assert_array_equal(graph_answer(imputer, asked()), imputer.transform(asked()))


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_in_front_of_every_scaler(scaler: Any) -> None:
    pipeline = make_pipeline(SimpleImputer(strategy="median"), scaler).fit(gappy(draw(90, 1)[0], 2))
    np.testing.assert_allclose(graph_answer(pipeline, asked()), pipeline.transform(asked()), rtol=1e-10, atol=1e-12)


def test_what_has_no_graph() -> None:
    words = SimpleImputer(strategy="most_frequent").fit(np.array([["a"], ["b"], ["a"]], dtype=object))
    with pytest.raises(UnsupportedEstimator, match="SimpleImputer fitted on object"):
        convert_scaler(words)


def exported(preprocessing: Any, models_dir: Path, **options: Any) -> tuple[Any, Path]:
    training, labels = draw(150, 1)
    training = gappy(training, 2)
    preprocessing.fit(training)
    base = [("knn", knn(weights="distance")), ("svc", SVC(probability=True, random_state=0))]
    stack = StackingClassifier(base, LogisticRegression(), cv=3, passthrough=True)
    stack.fit(preprocessing.transform(training), labels)
    arguments: dict[str, Any] = {"reference_rows": gappy(draw(60, 5)[0], 6), "training_rows": training} | options
    path = export_stack(stack, preprocessing, feature_names=NAMES, models_dir=models_dir, name="gappy", **arguments)
    return stack, path


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("indicator", [False, True])
def test_a_stack_answers_gaps_as_the_original(tmp_path: Path, indicator: bool, precision: str) -> None:
    preprocessing = Pipeline([("imputer", SimpleImputer(add_indicator=indicator)), ("scaler", StandardScaler())])
    stack, path = exported(preprocessing, tmp_path, precision=precision)
    bundle = open_bundle(path)
    assert bundle.model.format == 2
    assert [feature.accepts_missing for feature in bundle.model.features] == [True] * 4
    low = np.nanmin(gappy(draw(150, 1)[0], 2), axis=0)
    np.testing.assert_allclose([feature.seen_min for feature in bundle.model.features], low)
    gaps = np.isnan(bundle.golden.rows)
    assert gaps.any(axis=0).all()
    assert not gaps.any(axis=1).all()
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu")
    rows = asked(9)
    answer = session.run(rows.astype(np.float32))
    expected = stack.predict_proba(preprocessing.transform(rows))
    np.testing.assert_allclose(answer.probabilities, expected, atol=5e-4 if precision == "single" else 5e-6)


def test_an_imputer_alone(tmp_path: Path) -> None:
    _, path = exported(SimpleImputer(), tmp_path)
    assert next(part.estimator for part in read_manifest(path).parts) == "sklearn.impute.SimpleImputer"


def test_some_columns_alone_may_be_missing(tmp_path: Path) -> None:
    _, path = exported(make_pipeline(SimpleImputer(), MinMaxScaler()), tmp_path, accepts_missing=NAMES[:3])
    assert [feature.accepts_missing for feature in read_manifest(path).features] == [True, True, True, False]
    assert np.isnan(open_bundle(path).golden.rows).any(axis=0).tolist() == [True, True, True, False]
    rows = draw(30, 4)[0]
    rows[3, 3] = np.nan
    with pytest.raises(ExportError, match="reference_rows: row 3, feature 'delta' is nan"):
        exported(SimpleImputer(), tmp_path, accepts_missing=NAMES[:3], reference_rows=rows)
    with pytest.raises(ExportError, match="accepts_missing names 'omega', which the scaler does not fill in"):
        exported(SimpleImputer(), tmp_path, accepts_missing=["alpha", "omega"])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_are_never_taken(tmp_path: Path, value: float) -> None:
    rows = draw(30, 4)[0]
    rows[2, 1] = value
    with pytest.raises(ExportError, match=r"reference_rows: row 2, feature 'beta' is -?inf"):
        exported(SimpleImputer(), tmp_path, reference_rows=rows)


def test_without_an_imputer_nothing_changes(tmp_path: Path) -> None:
    training, labels = draw(90, 1)
    scaler = MinMaxScaler().fit(training)
    stack = StackingClassifier([("knn", knn())], LogisticRegression(), cv=2).fit(scaler.transform(training), labels)
    rows = draw(30, 4)[0]
    arguments: dict[str, Any] = {"feature_names": NAMES, "models_dir": tmp_path, "name": "whole"}
    manifest = read_manifest(export_stack(stack, scaler, reference_rows=rows, **arguments))
    assert manifest.format == 1
    assert not any(feature.accepts_missing for feature in manifest.features)
    rows[4, 0] = np.nan
    with pytest.raises(ExportError, match="reference_rows: row 4, feature 'alpha' is nan; remove or fill"):
        export_stack(stack, scaler, reference_rows=rows, **arguments)
