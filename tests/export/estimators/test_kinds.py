"""Any classifier that scikit-learn users have, held against its own `predict_proba`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export.estimators.kinds import MODELS, NAMES, TRANSFORMERS, draw_kind, logistic, stack_of
from sklearn.naive_bayes import GaussianNB

from genrestack_bundle import ComposedSession, open_bundle, write_onnx
from genrestack_export import export_stack


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
    rows, labels = draw_kind(classes)
    model = MODELS[kind]().fit(rows[:200], labels[:200])
    _compare(_export(tmp_path, model, None, rows), model, None, rows)


@pytest.mark.parametrize("kind", TRANSFORMERS)
@pytest.mark.filterwarnings("ignore")
def test_transformer(tmp_path: Path, kind: str) -> None:
    rows, labels = draw_kind(4)
    scaler = TRANSFORMERS[kind]().fit(rows[:200], labels[:200])
    model = logistic().fit(scaler.transform(rows[:200]), labels[:200])
    _compare(_export(tmp_path, model, scaler, rows), model, scaler, rows)


def test_formats(tmp_path: Path) -> None:
    """A server that knows format 1 alone would not answer a model without a final estimator."""
    rows, labels = draw_kind(4)
    alone = open_bundle(_export(tmp_path, GaussianNB().fit(rows[:200], labels[:200]), None, rows)).model
    assert (alone.format, [part.name for part in alone.parts]) == (2, ["model"])
    stack = stack_of(GaussianNB)().fit(rows[:200], labels[:200])
    assert open_bundle(_export(tmp_path, stack, None, rows)).model.format == 1


def test_one_file_without_us(tmp_path: Path) -> None:
    rows, labels = draw_kind(4)
    path = _export(tmp_path / "models", stack_of(GaussianNB)().fit(rows[:200], labels[:200]), None, rows)
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
