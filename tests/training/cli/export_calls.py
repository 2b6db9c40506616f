"""`genrestack export --stack` run on what a test has pickled."""

from pathlib import Path
from typing import Any

import joblib
from click.testing import CliRunner, Result
from export.conftest import draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import LabelEncoder

from genrestack_bundle import open_bundle
from genrestack_training.cli.export import export

TRAINING, LABELS = draw(90, seed=1)
ROWS, ROW_LABELS = draw(30, seed=2)
WORDS = ["blues", "jazz", "röck"]
ENCODER = LabelEncoder().fit(LABELS)
CODES = ENCODER.transform(LABELS)


def stacked(*more: Any) -> StackingClassifier:
    base = [("knn", knn()), *((f"more{i}", estimator) for i, estimator in enumerate(more))]
    return StackingClassifier(base, LogisticRegression(), cv=2)


def run_export(files: Path, obj: Any, *more: object, rows: str = "rows.csv") -> Result:
    if obj is not None:
        joblib.dump(obj, files / "mine.joblib")
    given = ["--stack", files / "mine.joblib", "--rows", files / rows, "--models", files / "models", *more]
    return CliRunner().invoke(export, [str(argument) for argument in given])


def exported_model(files: Path, result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return open_bundle(files / "models" / "mine" / "1").model


def one_line(result: Result, *phrases: str) -> None:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.splitlines()[-1:] == errors
    for phrase in phrases:
        assert phrase in errors[0]
