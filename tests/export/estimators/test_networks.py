"""Networks of one's own: constants that a layer captured, and a last layer that gives no probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export.conftest import NAMES, draw

from genrestack_bundle import ComposedSession, open_bundle
from genrestack_export import UnsupportedEstimator, export_stack

ROWS, LABELS = draw(60, seed=1)


def _network(last: str | None) -> Any:
    import keras

    scaling = keras.layers.Normalization()
    scaling.adapt(ROWS)
    model = keras.Sequential([keras.Input((4,)), scaling, keras.layers.Dense(3, activation=last)])
    model.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=last is None))
    return model


def _export(folder: Path, last: str | None) -> tuple[Path, Any]:
    from scikeras.wrappers import KerasClassifier

    fitted = KerasClassifier(lambda: _network(last), epochs=1, verbose=0, random_state=0).fit(ROWS, LABELS)
    path = export_stack(
        fitted, None, feature_names=NAMES, reference_rows=ROWS[:20], models_dir=folder, name="net", precision="double"
    )
    return path, fitted


def test_normalization(tmp_path: Path) -> None:
    path, fitted = _export(tmp_path, "softmax")
    bundle = open_bundle(path)
    (part,) = bundle.model.parts
    assert (list(part.converters), part.dtype) == (["genrestack", "tf2onnx"], "float32")
    wire = ROWS.astype(np.float32)
    answer = ComposedSession(bundle.compose(), part_names=bundle.part_names).run(wire)
    np.testing.assert_allclose(answer.probabilities, fitted.predict_proba(wire), rtol=0, atol=1e-5)


def test_logits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedEstimator, match=r"the model: .*Dense\(classes, activation='softmax'\).*from_logits"):
        _export(tmp_path, None)
    assert not list(tmp_path.iterdir())
