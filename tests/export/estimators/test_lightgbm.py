"""LightGBM's classifier, which needs the extra `boosting`, against its own probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from export.conftest import NAMES, FitStack, draw, knn
from support.tools import need

from genrestack_bundle import ComposedSession, open_bundle
from genrestack_export import UnsupportedEstimator, export_stack

try:
    from lightgbm import LGBMClassifier
except (ImportError, OSError):
    # A machine without OpenMP's library cannot load it.
    LGBMClassifier = None

ROWS, LABELS = draw(300, seed=1)
UNSEEN = draw(90, seed=2)[0]
OPTIONS: dict[str, dict[str, Any]] = {
    "gradients": {},
    "random forest": {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
    "dart": {"boosting_type": "dart"},
    "few leaves": {"num_leaves": 2, "learning_rate": 0.7},
}

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@pytest.fixture(autouse=True)
def _has_lightgbm() -> None:
    need(LGBMClassifier, "lightgbm (extra boosting)", required=False)


def _boosted(**options: Any) -> Any:
    return LGBMClassifier(**{"n_estimators": 12, "verbose": -1, "random_state": 0, "n_jobs": 1} | options)


def _exported(model: Any, folder: Path) -> Any:
    path = export_stack(
        model, None, feature_names=NAMES, reference_rows=UNSEEN, training_rows=ROWS, models_dir=folder, name="boosted",
        precision="double",
    )  # fmt: skip
    return open_bundle(path)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("options", OPTIONS)
def test_by_itself(options: str, classes: int, tmp_path: Path) -> None:
    kept = np.isin(LABELS, np.unique(LABELS)[:classes])
    model = _boosted(**OPTIONS[options]).fit(ROWS[kept], LABELS[kept])
    bundle = _exported(model, tmp_path)
    assert [(list(part.converters), part.dtype) for part in bundle.model.parts] == [(["genrestack"], "float64")]
    wire = UNSEEN.astype(np.float32)
    answer = ComposedSession(bundle.compose(), part_names=bundle.part_names).run(wire)
    np.testing.assert_allclose(answer.probabilities, model.predict_proba(wire.astype(np.float64)), rtol=0, atol=1e-7)


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_early_stopping_and_names(tmp_path: Path) -> None:
    from lightgbm import early_stopping

    frame = pd.DataFrame(ROWS, columns=NAMES)
    model = _boosted(n_estimators=200, learning_rate=0.5)
    unseen = pd.DataFrame(UNSEEN, columns=NAMES), draw(90, seed=2)[1]
    model.fit(frame, LABELS, eval_set=[unseen], callbacks=[early_stopping(3, verbose=False)])
    assert model.best_iteration_ < 200
    parity = _exported(model, tmp_path).model.parity
    assert parity.labels_agreed == parity.rows
    assert parity.max_abs_difference < 1e-7


def test_in_a_stack(fit: FitStack) -> None:
    case = fit(_boosted(), knn())
    parity = open_bundle(case.export(training_rows=case.training, precision="double")).model.parity
    assert parity.max_abs_difference < 1e-6


@pytest.mark.parametrize(
    ("options", "found"),
    [({"zero_as_missing": True}, "zeros that count as missing"), ({"objective": "multiclassova"}, "multiclassova")],
)
def test_what_has_no_graph(options: dict[str, Any], found: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedEstimator, match=f"the model: LGBMClassifier.*{found}"):
        _exported(_boosted(**options).fit(np.round(ROWS), LABELS), tmp_path)
