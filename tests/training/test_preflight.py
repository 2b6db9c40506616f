"""Tables on which the graphs could not be compared with the stack are refused before anything is fitted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import PowerTransformer

from genrestack_export import ExportError
from genrestack_export.preflight import check_comparable
from genrestack_training.cli.train import train

LABELS = np.array(["a", "b", "c"])


def run(
    tmp_path: Path, features: Any, labels: Any = None, settings: str = "", *more: str, parts: str = "knn"
) -> Result:
    features = np.asarray(features, dtype=np.float64)
    frame = pd.DataFrame(features, columns=[f"f{i}" for i in range(features.shape[1])])
    frame["label"] = LABELS[np.arange(len(frame)) % 3] if labels is None else labels
    table, file = tmp_path / "table.csv", tmp_path / "settings.toml"
    frame.to_csv(table, index=False)
    file.write_text(f'[stack]\nestimators = ["{parts}"]\nfolds = 2\n{settings}')
    words = (table, "--run", tmp_path / "runs" / "run", "--models", tmp_path / "models", "--settings", file, *more)
    return CliRunner().invoke(train, [str(word) for word in words])


def refused(result: Result, tmp_path: Path, *phrases: str) -> None:
    assert result.exit_code == 1, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert errors == result.output.splitlines()[-1:]
    for phrase in phrases:
        assert phrase in errors[0]
    # Nothing was begun.
    assert not any((tmp_path / "runs").iterdir())
    assert not (tmp_path / "models").exists()


POINTS = np.random.default_rng(0).normal(size=(10, 3))


@pytest.mark.parametrize(
    ("features", "settings"),
    [
        (np.zeros((60, 3)), ""),
        (np.full((60, 1), 7.5), "[knn]\nn_neighbors = 5\n"),
        (np.full((60, 3), 1e30), '[scaler]\nkind = "none"\n'),
        # Ten different rows, each under every label, each more often than there are neighbours.
        (np.repeat(POINTS, 12, axis=0), ""),
        (np.repeat(POINTS, 12, axis=0), '[knn]\nn_neighbors = 3\np = 2\nweights = "uniform"\n'),
    ],
)
@pytest.mark.parametrize("split", ["random", "none"])
def test_every_row_ties(tmp_path: Path, features: Any, settings: str, split: str) -> None:
    result = run(tmp_path, features, None, settings, "--split", split)
    refused(result, tmp_path, "nearest neighbours tie between labels", "leave knn out of estimators under [stack]")


def test_a_value_beyond_float32_in_a_row_held_back(tmp_path: Path) -> None:
    features = np.random.default_rng(1).normal(size=(60, 3))
    features[:, 1] = 1e39
    refused(run(tmp_path, features), tmp_path, "feature 'f1' is 1e+39, beyond float32", "rescale this feature")


def test_a_scaler_that_overflows_on_a_row_held_back() -> None:
    training = np.random.default_rng(1).uniform(1, 2, size=(200, 1))
    scaler = PowerTransformer().fit(training)
    scaler.lambdas_[0] = 300.0
    knn = KNeighborsClassifier(2).fit(scaler.transform(training), LABELS[np.arange(200) % 3])
    with pytest.raises(ExportError, match="reference row 1: the scaler overflows"):
        check_comparable(
            feature_names=("a",),
            training_rows=training,
            reference_rows=np.array([[1.0], [1e3]]),
            scaler=scaler,
            neighbors={"knn": knn},
        )


@pytest.mark.parametrize(
    ("features", "labels", "settings"),
    [
        # One label a row: no tie between labels, however often it comes.
        (np.repeat(POINTS, 12, axis=0), np.repeat(LABELS[np.arange(10) % 3], 12), ""),
        # As many of each as there are neighbours: the next one is another row.
        (np.repeat(np.random.default_rng(0).normal(size=(60, 3)), 2, axis=0), None, "[knn]\nn_neighbors = 1\n"),
        # Some rows tie.
        (np.vstack([np.zeros((30, 3)), np.random.default_rng(2).normal(size=(60, 3))]), None, ""),
        # A column that never varies beside one that does.
        (np.column_stack([np.zeros(90), np.random.default_rng(3).normal(size=90)]), None, ""),
    ],
)
def test_what_can_be_compared_is_trained_and_exported(
    tmp_path: Path, features: Any, labels: Any, settings: str
) -> None:
    result = run(tmp_path, features, labels, settings)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "models" / "table" / "1").is_dir()


def test_where_nobody_asks_neighbours_none_tie(tmp_path: Path) -> None:
    result = run(tmp_path, np.repeat(POINTS, 12, axis=0), parts="svc")
    assert result.exit_code == 0, result.output
