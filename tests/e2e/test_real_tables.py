"""The real GTZAN tables, from the file to answers over a port."""

from pathlib import Path

import numpy as np
import pytest
from server.running.live import running_server

from genrestack import Client
from genrestack_bundle import open_bundle
from genrestack_training import Run, load_table, train
from genrestack_training.run_export import export_run


def hold_together(run: Run, models: Path, precision: str, tolerance: float) -> None:
    """Compare the stack, its parity, and what a server answers for the held-out rows."""
    path = export_run(run, models, name=precision, precision=precision)  # type: ignore[arg-type]  # one of the two
    parity = open_bundle(path).model.parity
    assert parity.labels_agreed == parity.rows >= len(run.reference_rows)
    assert parity.max_abs_difference <= tolerance
    rows = run.reference_rows.astype(np.float32)
    scaled = run.scaled(rows.astype(np.float64))
    with running_server(models) as running, Client(f"127.0.0.1:{running.port}") as client:
        served = client.predict(rows, model=precision, base=True)
        alone = client.predict(rows[:1], model=precision)
    assert served.labels == [str(label) for label in run.stack.predict(scaled)]
    np.testing.assert_allclose(served.probabilities, run.stack.predict_proba(scaled), rtol=0, atol=tolerance)
    np.testing.assert_allclose(served.probabilities[:1], alone.probabilities, rtol=0, atol=1e-6)
    knn = run.stack.named_estimators_["knn"].predict_proba(scaled)
    np.testing.assert_allclose(served.base["knn"], knn, rtol=0, atol=1e-6)


def test_thirty_second_table(shared_data: Path, tmp_path: Path) -> None:
    table = load_table(shared_data / "features_30_sec.csv")
    run = train(table, epochs=5, runs_dir=tmp_path / "runs")
    assert len(run.feature_names) == 57
    assert len(run.classes) == 10
    hold_together(run, tmp_path / "models", "single", 5e-4)
    hold_together(run, tmp_path / "models", "double", 5e-6)


@pytest.mark.long
def test_three_second_table(shared_data: Path, tmp_path: Path) -> None:
    """The notebook's stack on the notebook's split: its accuracy, and parity on every held-out row."""
    run = train(load_table(shared_data / "features_3_sec.csv.gz"), compare=[], runs_dir=tmp_path / "runs")
    assert run.metrics["accuracy"] == pytest.approx(0.966, abs=0.01)
    hold_together(run, tmp_path / "models", "single", 1e-4)
    hold_together(run, tmp_path / "models", "double", 5e-6)
