"""Every preset, in small: what is trained by it can be exported, and passes the parity check."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from export.conftest import NAMES, draw

from genrestack_bundle import ComposedSession, open_bundle, verify_parity
from genrestack_training import PRESETS, load_table, train
from genrestack_training.run_export import export_run

SMALL: dict[str, dict[str, Any]] = {"mlp": {"hidden": [8], "epochs": 3}, "stack": {"folds": 2}}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_run_of_each_preset_is_served_as_it_was_trained(preset: str, tmp_path: Path) -> None:
    rows, labels = draw(150, seed=4)
    frame = pd.DataFrame(rows, columns=list(NAMES)).assign(label=labels)
    frame["filename"] = [f"song.{i // 3:05d}.{i % 3}.wav" for i in np.argsort(np.arange(150) % 3, kind="stable")]
    frame.to_csv(tmp_path / "table.csv", index=False)
    run = train(load_table(tmp_path / "table.csv"), preset=preset, overrides=SMALL, runs_dir=None)
    bundle = open_bundle(export_run(run, tmp_path / "models", precision="double"))
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
    verify_parity(session, bundle)
    wire = run.reference_rows.astype(np.float32)
    scaled = run.scaler.transform(wire.astype(np.float64)) if run.scaler is not None else wire
    np.testing.assert_allclose(session.run(wire).probabilities, run.stack.predict_proba(scaled), atol=5e-6)
