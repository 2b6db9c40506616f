"""Any classifier that scikit-learn users have, held against its own `predict_proba`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from genrestack_bundle import ComposedSession, open_bundle, write_onnx
from genrestack_export import export_stack

NAMES = list("abcdef")
Make = Callable[[], Any]


def _lr() -> Any:
    return LogisticRegression(max_iter=300)


def _knn(**options: Any) -> Make:
    return lambda: KNeighborsClassifier(weights="distance", **options)


def _calibrated(make: Make, method: str, *, ensemble: bool = True) -> Make:
    return lambda: CalibratedClassifierCV(make(), cv=2, method=method, ensemble=ensemble)


def _stack(*members: Make, final: Make = _lr, **options: Any) -> Make:
    return lambda: StackingClassifier(
        [(f"m{i}", make()) for i, make in enumerate(members)], final(), **{"cv": 2} | options
    )


def _quadratic() -> Any:
    return QuadraticDiscriminantAnalysis(reg_param=0.1)


MODELS: dict[str, Make] = {
    "logistic": _lr,
    "logistic, searched": lambda: make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=3, cv=2)),
    "sgd": lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    "mlp": lambda: MLPClassifier((8, 4), activation="tanh", max_iter=20, random_state=0),
    "tree": lambda: DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": lambda: RandomForestClassifier(15, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(15, min_samples_leaf=3, random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=8, random_state=0),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=8, random_state=0),
    "adaboost": lambda: AdaBoostClassifier(n_estimators=8, random_state=0),
    "adaboost of logistic": lambda: AdaBoostClassifier(_lr(), n_estimators=3, random_state=0),
    "bagging": lambda: BaggingClassifier(n_estimators=4, max_features=0.6, random_state=0),
    "gaussian": GaussianNB,
    "bernoulli": BernoulliNB,
    "multinomial": lambda: make_pipeline(MinMaxScaler(), MultinomialNB()),
    "complement": lambda: make_pipeline(MinMaxScaler(), ComplementNB()),
    "lda": LinearDiscriminantAnalysis,
    "qda": _quadratic,
    "calibrated, sigmoid": _calibrated(SVC, "sigmoid"),
    "calibrated, one": _calibrated(SVC, "sigmoid", ensemble=False),
    "calibrated, isotonic": _calibrated(LinearSVC, "isotonic"),
    "calibrated qda": _calibrated(_quadratic, "sigmoid"),
    "calibrated, forest": _calibrated(lambda: RandomForestClassifier(5, random_state=0), "isotonic"),
    "one vs rest": lambda: OneVsRestClassifier(_lr()),
    "one vs rest, liblinear": lambda: OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    "votes": lambda: VotingClassifier(
        [("a", KNeighborsClassifier()), ("b", GaussianNB())], voting="soft", weights=[1, 2]
    ),
    "svc": lambda: SVC(probability=True, random_state=0),
    "knn cosine": _knn(metric="cosine"),
    "knn chebyshev": _knn(metric="chebyshev"),
    "knn p=3": _knn(p=3),
    "knn p=1.5": _knn(p=1.5),
    "knn sqeuclidean": _knn(metric="sqeuclidean"),
    "stack in a stack": _stack(_stack(KNeighborsClassifier, LinearSVC), GaussianNB),
    "stack, decisions": _stack(SVC, LogisticRegression, _quadratic, stack_method="decision_function"),
    "stack, predictions": _stack(SVC, KNeighborsClassifier, stack_method="predict"),
    "stack, forest at the end": _stack(GaussianNB, final=lambda: RandomForestClassifier(9, random_state=0)),
    "stack, knn at the end": _stack(
        GaussianNB, SVC, final=lambda: make_pipeline(StandardScaler(), KNeighborsClassifier())
    ),
    "stack, passthrough": _stack(lambda: make_pipeline(StandardScaler(), PCA(3), GaussianNB()), passthrough=True),
}

TRANSFORMERS: dict[str, Make] = {
    "max abs": MaxAbsScaler,
    "normalizer": Normalizer,
    "pca": lambda: PCA(3, whiten=True),
    "columns": lambda: ColumnTransformer(
        [("a", StandardScaler(), [4, 1]), ("b", "drop", [2])], remainder="passthrough"
    ),
    "bins": lambda: KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
    "polynomial": lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2)),
    "power": PowerTransformer,
    "quantile": lambda: QuantileTransformer(n_quantiles=50),
    "best": lambda: SelectKBest(k=3),
    "variance": lambda: VarianceThreshold(0.5),
}


def _data(classes: int) -> tuple[Any, Any]:
    rows, codes = make_classification(
        260, 6, n_informative=5, n_redundant=0, n_classes=classes, flip_y=0.05, random_state=1
    )
    return rows * [1, 10, 100, 0.1, 1, 1] + [0, 5, 0, 0, 1, 0], np.array(["d", "a", "c", "b"])[codes]


def _export(folder: Path, model: Any, scaler: Any, rows: Any) -> Path:
    return export_stack(
        model,
        scaler,
        feature_names=NAMES,
        reference_rows=rows[200:],
        training_rows=rows[:200],
        models_dir=folder,
        name="kind",
        precision="double",
    )


def _compare(path: Path, model: Any, scaler: Any, rows: Any) -> None:
    bundle = open_bundle(path)
    assert {part.dtype for part in bundle.model.parts} == {"float64"}
    wire = rows[200:].astype(np.float32)
    answer = ComposedSession(bundle.compose(), part_names=bundle.part_names).run(wire)
    given = wire.astype(np.float64) if scaler is None else scaler.transform(wire.astype(np.float64))
    assert np.abs(answer.probabilities - model.predict_proba(given)).max() <= 5e-6
    assert [bundle.model.classes[i] for i in answer.class_index] == list(model.predict(given))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_model(tmp_path: Path, kind: str, classes: int) -> None:
    rows, labels = _data(classes)
    model = MODELS[kind]().fit(rows[:200], labels[:200])
    _compare(_export(tmp_path, model, None, rows), model, None, rows)


@pytest.mark.parametrize("kind", TRANSFORMERS)
@pytest.mark.filterwarnings("ignore")
def test_transformer(tmp_path: Path, kind: str) -> None:
    rows, labels = _data(4)
    scaler = TRANSFORMERS[kind]().fit(rows[:200], labels[:200])
    model = _lr().fit(scaler.transform(rows[:200]), labels[:200])
    _compare(_export(tmp_path, model, scaler, rows), model, scaler, rows)


def test_formats(tmp_path: Path) -> None:
    """A server that knows format 1 alone would not answer a model without a final estimator."""
    rows, labels = _data(4)
    alone = open_bundle(_export(tmp_path, GaussianNB().fit(rows[:200], labels[:200]), None, rows)).model
    assert (alone.format, [part.name for part in alone.parts]) == (2, ["model"])
    stack = _stack(GaussianNB)().fit(rows[:200], labels[:200])
    assert open_bundle(_export(tmp_path, stack, None, rows)).model.format == 1


def test_one_file_without_us(tmp_path: Path) -> None:
    rows, labels = _data(4)
    path = _export(tmp_path / "models", _stack(GaussianNB)().fit(rows[:200], labels[:200]), None, rows)
    file = write_onnx(path, tmp_path / "kind.onnx")
    golden = open_bundle(path).golden
    np.savez(tmp_path / "golden.npz", rows=golden.rows, probabilities=golden.probabilities)
    code = (
        "import json, sys\nimport numpy as np, onnxruntime as ort\n"
        f"session = ort.InferenceSession({str(file)!r}, providers=['CPUExecutionProvider'])\n"
        f"golden = np.load({str(tmp_path / 'golden.npz')!r})\n"
        "found = session.run(['probabilities'], {'features': golden['rows']})[0]\n"
        "assert not any(name.startswith('genrestack') for name in sys.modules)\n"
        "about = session.get_modelmeta().custom_metadata_map\n"
        "print(json.dumps([float(abs(found - golden['probabilities']).max()), about]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    difference, about = json.loads(done.stdout)
    assert difference <= 1e-6
    assert about["model"] == "kind"
    assert json.loads(about["classes"]) == ["a", "b", "c", "d"]
    assert json.loads(about["feature_names"]) == NAMES
