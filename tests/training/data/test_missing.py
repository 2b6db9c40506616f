"""Missing values in a table: refused, left out with their rows, or filled in with medians of the training rows."""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.ensemble import StackingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from training.conftest import LIGHT, Remembered, small_frame, windows_frame

from genrestack_bundle import open_bundle
from genrestack_training import Run, SettingsError, Table, TableError, load_run, load_table, train
from genrestack_training.cli.export import export as export_command
from genrestack_training.cli.train import train as train_command
from genrestack_training.run_export import export_run


def holed(frame: pd.DataFrame, **holes: int) -> pd.DataFrame:
    """Remove values from the columns named, all over the table."""
    random = np.random.default_rng(3)
    for column, count in holes.items():
        frame.loc[random.choice(len(frame), count, replace=False), column] = np.nan
    return frame


def recordings_frame() -> pd.DataFrame:
    return windows_frame().drop(columns="artist")


def write(folder: Path, frame: pd.DataFrame) -> Path:
    path = folder / "holed.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def frame() -> pd.DataFrame:
    return holed(small_frame(), alpha=12, gamma=7)


@pytest.fixture
def table(frame: pd.DataFrame, tmp_path: Path) -> Table:
    return load_table(write(tmp_path, frame), allow_missing=True)


def fit(table: Table, tmp_path: Path, **options: Any) -> Run:
    arguments: dict[str, Any] = {"overrides": LIGHT, "run_dir": tmp_path / "run"}
    return train(table, **(arguments | options))


def call(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(train_command, [str(argument) for argument in arguments])


def test_by_default_they_are_an_error(table: Table, tmp_path: Path) -> None:
    says = (
        r"column 'alpha' data rows .* and 7 more \(NaN or nothing\); column 'gamma'.*--missing drop or --missing median"
    )
    with pytest.raises(TableError, match=says):
        fit(table, tmp_path)
    with pytest.raises(TableError, match=r"column 'alpha' data rows .*Fill them in or remove the rows$"):
        load_table(table.path)
    result = call(table.path, "--models", tmp_path / "models", "--run", tmp_path / "run")
    assert result.exit_code == 1
    assert "holed.csv: values that are not finite numbers: column 'alpha'" in result.output


def test_a_table_that_lacks_nothing_is_fitted_as_ever(small_table: Table, tmp_path: Path) -> None:
    plain = fit(small_table, tmp_path, overrides=LIGHT | {"knn": {"n_neighbors": 3}}, run_dir=tmp_path / "plain")
    for missing in ("drop", "median"):
        run = fit(small_table, tmp_path, overrides=LIGHT | {"knn": {"n_neighbors": 3}}, missing=missing, runs_dir=None,
                  run_dir=tmp_path / missing)  # fmt: skip
        assert type(run.scaler) is type(plain.scaler)
        assert run.metrics == plain.metrics
        assert run.accepts_missing == ()


def test_rows_are_left_out(table: Table, frame: pd.DataFrame, tmp_path: Path) -> None:
    heard = Remembered()
    run = fit(table, tmp_path, missing="drop", progress=heard)
    whole = frame.dropna()
    assert run.provenance.row_count == len(whole)
    assert len(run.training_rows) + len(run.reference_rows) == len(whole)
    note = f"left out {90 - len(whole)} rows of 90 with missing values, in 'alpha' (12), 'gamma' (7)"
    assert note in heard.notes
    assert note in run.provenance.warnings
    np.testing.assert_array_equal(
        np.sort(np.concatenate([run.training_rows, run.reference_rows])[:, 0]), np.sort(whole["alpha"])
    )
    assert open_bundle(export_run(run, tmp_path / "models")).model.format == 1


def test_rows_keep_their_names_where_others_are_left_out(tmp_path: Path) -> None:
    frame = holed(recordings_frame(), beta=20)
    run = fit(load_table(write(tmp_path, frame), allow_missing=True), tmp_path, missing="drop", split="track")
    recordings = {name.rsplit(".", 2)[0] for name in frame.dropna()["filename"]}
    assert run.evaluation is not None
    assert run.provenance.row_count == len(frame.dropna())
    assert len(recordings) == 36


@pytest.mark.parametrize("fit_on", ["training", "all"])
def test_medians_are_those_of_the_training_rows(table: Table, tmp_path: Path, fit_on: str) -> None:
    run = fit(table, tmp_path, missing="median", overrides=LIGHT | {"scaler": {"fit_on": fit_on}})
    assert isinstance(run.scaler, Pipeline)
    imputer = run.scaler[0]
    assert isinstance(imputer, SimpleImputer)
    np.testing.assert_array_equal(imputer.statistics_, np.nanmedian(run.training_rows, axis=0))
    assert not np.array_equal(imputer.statistics_, np.nanmedian(table.features, axis=0))
    assert run.accepts_missing == ("alpha", "gamma")
    note = "19 missing values filled in with medians of the training rows: 'alpha' (12), 'gamma' (7)"
    assert note in run.provenance.warnings
    assert run.evaluation is not None
    assert len(run.training_rows) + len(run.reference_rows) == 90


@pytest.mark.parametrize("options", [{"split": "none"}, {"split": "track", "folds": 3}, {"split": "random"}])
@pytest.mark.parametrize("kind", ["quantile", "none"])
def test_medians_for_every_split_and_scaler(tmp_path: Path, options: dict[str, Any], kind: str) -> None:
    table = load_table(write(tmp_path, holed(recordings_frame(), beta=20, tempo=3)), allow_missing=True)
    run = fit(table, tmp_path, missing="median", overrides=LIGHT | {"scaler": {"kind": kind}}, **options)
    assert np.isfinite(run.scaled(table.features)).all()
    again = load_run(run.path or "")
    np.testing.assert_array_equal(again.scaled(table.features), run.scaled(table.features))
    bundle = open_bundle(export_run(again, tmp_path / "models", name="holed"))
    accepts = {feature.name: feature.accepts_missing for feature in bundle.model.features}
    assert accepts == {"alpha": False, "beta": True, "gamma": False, "tempo": True}
    assert bundle.model.format == 2
    assert np.isnan(bundle.golden.rows).any(axis=0).tolist() == [False, True, False, True]


def test_ranges_leave_them_out(table: Table, frame: pd.DataFrame, tmp_path: Path) -> None:
    run = fit(table, tmp_path, missing="median")
    record = json.loads((tmp_path / "run" / "metrics.json").read_text(), parse_constant=pytest.fail)
    seen = {feature["name"]: feature for feature in record["insight"]["features"]}
    assert seen["alpha"]["fitted_min"] == np.nanmin(run.training_rows[:, 0])
    assert min(seen["alpha"]["fitted_min"], seen["alpha"]["held_back_min"]) == frame["alpha"].min()
    assert record["settings"]["table"] == {"drop": [], "features": [], "missing": "median"}
    assert "NaN" not in (tmp_path / "run" / "report.html").read_text()


def test_the_setting_comes_from_flag_variable_and_file(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = write(tmp_path, frame)
    settings = tmp_path / "settings.toml"
    light = '[stack]\nestimators = ["knn"]\nfolds = 2\n'
    settings.write_text('[table]\nmissing = "drop"\n' + light)

    def recorded(number: int, *arguments: object, **environment: str) -> str:
        run = tmp_path / f"run{number}"
        result = call(path, "--models", tmp_path / "models", "--run", run, *arguments, **environment)
        assert result.exit_code == 0, result.output
        said: str = json.loads((run / "metrics.json").read_text())["settings"]["table"]["missing"]
        assert ("rows of 90 with missing values" in result.output) == (said == "drop")
        return said

    assert recorded(1, "--settings", settings) == "drop"
    assert recorded(2, "--settings", settings, GENRESTACK_TRAIN_MISSING="median") == "median"
    assert recorded(3, "--settings", settings, "--missing", "drop", GENRESTACK_TRAIN_MISSING="median") == "drop"
    wrong = call(path, "--missing", "mean")
    assert wrong.exit_code == 2
    assert "'error', 'drop', 'median'" in wrong.output
    with pytest.raises(SettingsError, match=r"\[table\] missing is 'mean'; it must be one of error, drop, median"):
        train(load_table(path, allow_missing=True), missing="mean")


@pytest.mark.parametrize("missing", ["error", "drop", "median"])
def test_infinities_are_never_taken(frame: pd.DataFrame, tmp_path: Path, missing: str) -> None:
    frame.loc[4, "tempo"] = -np.inf
    result = call(write(tmp_path, frame), "--models", tmp_path / "m", "--run", tmp_path / "run", "--missing", missing)
    assert result.exit_code == 1
    assert "column 'tempo' data row 5 (Inf)" in result.output


@pytest.mark.parametrize("missing", ["drop", "median"])
def test_a_column_without_a_value_is_named(frame: pd.DataFrame, tmp_path: Path, missing: str) -> None:
    frame["beta"] = np.nan
    with pytest.raises(TableError, match=r"holed\.csv: no row has a value in column 'beta'; remove the column"):
        fit(load_table(write(tmp_path, frame), allow_missing=True), tmp_path, missing=missing)


def test_what_a_split_leaves_without_a_value_is_named(tmp_path: Path) -> None:
    frame = recordings_frame()
    frame.loc[frame.index[3:], "beta"] = np.nan
    table = load_table(write(tmp_path, frame), allow_missing=True)
    with pytest.raises(TableError, match="no row left to fit after the split has a value in column 'beta'"):
        fit(table, tmp_path, missing="median", split="track", folds=36)


def test_rows_that_all_lack_something(tmp_path: Path) -> None:
    frame = small_frame()
    frame.loc[::2, "alpha"] = frame.loc[1::2, "beta"] = np.nan
    with pytest.raises(TableError, match=r"every row lacks a value, in 'alpha' \(45\), 'beta' \(45\)"):
        fit(load_table(write(tmp_path, frame), allow_missing=True), tmp_path, missing="drop")


def test_pickles_of_ones_own_with_gaps_in_their_rows(tmp_path: Path) -> None:
    frame = holed(small_frame(), alpha=12, gamma=7)
    rows, labels = frame.drop(columns="label").to_numpy(), frame["label"]
    scaler = make_pipeline(SimpleImputer(add_indicator=True), MinMaxScaler()).fit(rows)
    stack = StackingClassifier([("knn", KNeighborsClassifier())], LogisticRegression(), cv=2)
    joblib.dump(stack.fit(scaler.transform(rows), labels), tmp_path / "mine.joblib")
    joblib.dump(scaler, tmp_path / "filling.joblib")
    joblib.dump(MinMaxScaler().fit(rows), tmp_path / "plain.joblib")
    asked = write(tmp_path, holed(small_frame(60), beta=9))

    def exported(scaler: str) -> Result:
        names = {"--stack": "mine.joblib", "--scaler": scaler, "--rows": asked.name, "--models": "models"}
        options = [part for flag, name in names.items() for part in (flag, str(tmp_path / name))]
        return CliRunner().invoke(export_command, options)

    result = exported("filling.joblib")
    assert result.exit_code == 0, result.output
    model = open_bundle(tmp_path / "models" / "mine" / "1").model
    assert (model.format, [feature.accepts_missing for feature in model.features]) == (2, [True] * 4)
    refused = exported("plain.joblib")
    assert refused.exit_code == 1
    assert "holed.csv: values that are not finite numbers: column 'beta' data rows" in refused.output
    assert refused.output.endswith("Fill them in or remove the rows\n")
