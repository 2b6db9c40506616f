"""The figures of a run on disk: their schema, and that they are read back as they were."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pytest
from conftest import ROOT
from training.conftest import LIGHT

from genrestack_training import (
    Run,
    RunError,
    Table,
    load_predictions,
    load_run,
    train,
)
from genrestack_training.evaluation.results import Figure
from genrestack_training.run.json_codec import from_json
from genrestack_training.run.run_record import schema

Make = Callable[..., Table]


def test_the_schema_in_the_repository_is_the_codes() -> None:
    written = json.loads((ROOT / "docs" / "metrics.schema.json").read_text(encoding="utf-8"))
    assert written == schema(), (
        "write it again: python -m genrestack_training.run.run_record > docs/metrics.schema.json"
    )


def test_metrics_follow_their_schema(compared: Run, small_table: Table, tmp_path: Path) -> None:
    valid = fastjsonschema.compile(schema())
    assert compared.path is not None
    train(small_table, overrides=LIGHT, split="none", run_dir=tmp_path / "none")
    for folder in (compared.path, tmp_path / "none"):
        text = (folder / "metrics.json").read_text(encoding="utf-8")
        valid(json.loads(text))
        assert len(text) < 1_000_000
    broken = json.loads(text) | {"format": "two"}
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        valid(broken)


def test_a_run_with_all_its_figures_is_read_back(compared: Run) -> None:
    assert compared.path is not None
    read = load_run(compared.path)
    assert read.evaluation == compared.evaluation
    assert read.comparisons == compared.comparisons
    assert read.cross_validation == compared.cross_validation
    assert read.insight == compared.insight
    assert read.contrast == compared.contrast != ""
    kept = load_predictions(compared.path)
    assert set(kept) == set(compared.predictions) == {"evaluation", "track_split", "folds"}
    for key, before in compared.predictions.items():
        np.testing.assert_array_equal(kept[key].rows, before.rows)
        np.testing.assert_array_equal(kept[key].decisions["svc"], before.decisions["svc"])
        np.testing.assert_allclose(kept[key].probabilities["stack"], before.probabilities["stack"], rtol=0, atol=1e-7)
        assert kept[key].classes == before.classes
    (compared.path / "answers.npz").rename(compared.path / "aside")
    np.savez(compared.path / "answers.npz", allow_pickle=False, **{"evaluation/rows": np.arange(3)})
    with pytest.raises(RunError, match=r"answers\.npz does not hold what a run holds"):
        load_predictions(compared.path)
    (compared.path / "aside").rename(compared.path / "answers.npz")


def test_what_the_report_draws_is_kept(tiny_run: Run) -> None:
    insight = tiny_run.insight
    assert insight.meta is not None
    labels = ("blues", "jazz", "röck & roll")
    names = [f"{m}:{label}" for m in ("knn", "svc", "mlp") for label in labels]
    assert insight.meta.columns == (*names, "alpha", "beta", "gamma", "tempo")
    np.testing.assert_array_equal(insight.meta.coefficients, tiny_run.stack.final_estimator_.coef_)
    np.testing.assert_array_equal(insight.meta.intercepts, tiny_run.stack.final_estimator_.intercept_)
    assert set(insight.curves) == {"mlp"}
    assert insight.curves["mlp"].loss == tuple(tiny_run.stack.named_estimators_["mlp"].history_["loss"])
    alpha = insight.features[0]
    fitted, held_back = tiny_run.training_rows[:, 0], tiny_run.reference_rows[:, 0]
    assert (alpha.name, alpha.fitted_min, alpha.fitted_max) == ("alpha", fitted.min(), fitted.max())
    assert (alpha.held_back_min, alpha.held_back_max) == (held_back.min(), held_back.max())
    assert alpha.outside == np.mean((held_back < fitted.min()) | (held_back > fitted.max()))


def test_values_of_the_wrong_kind_are_refused() -> None:
    assert from_json(Figure, {"value": 1, "lower": None, "upper": 0.5}) == Figure(1.0, None, 0.5)
    wrongs: list[Any] = [{"value": "1", "lower": None, "upper": None}, {"value": 1.0, "lower": None}, []]
    for wrong in wrongs:
        with pytest.raises((TypeError, KeyError)):
            from_json(Figure, wrong)
