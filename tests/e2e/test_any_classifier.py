"""Classifiers that are no stack, the whole way: a pickle, one command, and scikit-learn's answers over a real port."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from server.running.live import running_server
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import genrestack
from genrestack import Client
from genrestack_training.cli.export import export

MODELS = {
    "forest": RandomForestClassifier(20, random_state=0),
    "cosine": make_pipeline(StandardScaler(), KNeighborsClassifier(3, weights="distance", metric="cosine")),
    "manhattan": make_pipeline(StandardScaler(), KNeighborsClassifier(3, weights="distance", p=1)),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_without_a_stack(kind: str, tmp_path: Path) -> None:
    wine: Any = load_wine(as_frame=True)
    labels = wine.target_names[wine.target]
    fitted = MODELS[kind].fit(wine.data[::2], labels[::2])
    joblib.dump(fitted, tmp_path / "mine.joblib")
    wine.data[1::2].to_csv(tmp_path / "rows.csv", index=False)
    models = tmp_path / "models"
    options = {"--stack": tmp_path / "mine.joblib", "--rows": tmp_path / "rows.csv", "--models": models}
    done = CliRunner().invoke(export, [str(word) for pair in options.items() for word in pair])
    assert done.exit_code == 0, done.output

    rows = wine.data[1::2]
    wire = rows.astype(np.float32).astype(np.float64)
    with running_server(models) as running, Client(f"127.0.0.1:{running.port}") as client:
        answer = client.predict(rows, base=True)
        assert [part.kind for part in client.model("mine").parts].count("meta") == 0
    np.testing.assert_allclose(answer.probabilities, fitted.predict_proba(wire), atol=1e-6)
    np.testing.assert_array_equal(answer.base["model"], answer.probabilities)
    assert list(answer.labels) == list(fitted.predict(wire))
    with genrestack.load(models / "mine") as local:
        np.testing.assert_array_equal(local.predict(rows).probabilities, answer.probabilities)
