"""A calibration by temperature as a graph, against scikit-learn's own probabilities."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from export.conftest import FitStack, draw, knn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

from genrestack_bundle import open_bundle
from genrestack_export.converters.parts import convert_base


def tempered(**parameters: Any) -> CalibratedClassifierCV:
    return CalibratedClassifierCV(SVC(**parameters), method="temperature", cv=2, ensemble=False)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(kernel: str, classes: int) -> None:
    rows, labels = draw(90, seed=1)
    kept = np.isin(labels, np.unique(labels)[:classes])
    codes = np.unique(labels[kept], return_inverse=True)[1]
    estimator = tempered(kernel=kernel).fit(rows[kept], codes)
    session = ort.InferenceSession(
        convert_base(0, "svc", estimator, estimator.n_features_in_, single=False).model.SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    asked = np.vstack([draw(200, seed=2)[0] * 3, rows])
    (answer,) = session.run(None, {"scaled": asked})
    np.testing.assert_allclose(answer, estimator.predict_proba(asked), rtol=0, atol=1e-12)


def test_a_stack_with_one_is_exported(fit: FitStack) -> None:
    case = fit(knn(), tempered(C=2))
    parity = open_bundle(case.export(training_rows=case.training, precision="double")).model.parity
    assert parity.labels_agreed == parity.rows
    assert max(part.max_abs_difference for part in parity.parts) < 1e-6
