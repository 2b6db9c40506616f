"""A fitted stack, its scaler and its encoder, for tests that export what wraps them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from export.conftest import NAMES, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler

from genrestack_bundle import ComposedSession, open_bundle
from genrestack_export import export_model

WORDS = ("blues", "jazz", "röck")
TRAINING, LABELS = draw(90, seed=1)
ROWS = draw(30, seed=2)[0]
ENCODER = LabelEncoder().fit(LABELS)
CODES = ENCODER.transform(LABELS)
SCALER = MinMaxScaler().fit(TRAINING)
SCALED = SCALER.transform(TRAINING)


def stacked(**options: Any) -> StackingClassifier:
    return StackingClassifier([("knn", knn())], LogisticRegression(), cv=2, **options)


STACK = stacked().fit(SCALED, LABELS)
CODED = stacked().fit(SCALED, CODES)
PIPELINE = Pipeline([("scaler", MinMaxScaler()), ("stack", stacked())]).fit(TRAINING, LABELS)


def exported(obj: Any, models_dir: Path, *arguments: Any, **options: Any) -> Any:
    given: dict[str, Any] = {
        "feature_names": NAMES,
        "reference_rows": ROWS,
        "models_dir": models_dir,
        "name": "found",
    } | options
    return open_bundle(export_model(obj, *arguments, **given))


def check_answers(bundle: Any, expected: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> None:
    """Compare the bundle's answers to raw rows with those of scikit-learn."""
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
    rows = ROWS.astype(np.float32)
    answer = session.run(rows)
    wanted = expected(rows.astype(np.float64))
    np.testing.assert_allclose(answer.probabilities, wanted, rtol=0, atol=1e-6)
    assert answer.class_index.tolist() == wanted.argmax(axis=1).tolist()
