"""Several tables as collections of one: what is joined, what is refused, and what is reported of each."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, log_loss
from support.pages import check_page
from training.conftest import LIGHT, windows_frame

from genrestack_training import Run, SettingsError, TableError, find_grouping, load_run, train
from genrestack_training.cli.train import train as command
from genrestack_training.data.collections import load_tables
from genrestack_training.data.splits import make_split
from genrestack_training.report.console import report_text
from genrestack_training.report.run_report import report_html
from genrestack_training.run.json_codec import from_json, to_json
from genrestack_training.run.run_record import RunRecord
from genrestack_training.run.storage import read_record

Tables = Callable[..., list[Path]]


def mine() -> pd.DataFrame:
    """Recordings with the names of the others', from elsewhere: columns in another order, and moved."""
    frame = windows_frame(tracks=12, artists=6, seed=9)
    frame[["alpha", "tempo"]] += 0.5
    return frame[["tempo", "label", "filename", "gamma", "alpha", "artist", "beta"]]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Write `big.csv` and `mine.csv`."""

    def write(second: pd.DataFrame | None = None, name: str = "mine.csv") -> list[Path]:
        windows_frame().to_csv(tmp_path / "big.csv", index=False)
        (mine() if second is None else second).to_csv(tmp_path / name, index=False)
        return [tmp_path / "big.csv", tmp_path / name]

    return write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One collection held out from a fit of the other, and folds of recordings over both."""
    folder = tmp_path_factory.mktemp("collections")
    windows_frame().to_csv(folder / "big.csv", index=False)
    mine().to_csv(folder / "mine.csv", index=False)
    table = load_tables([folder / "big.csv", folder / "mine.csv"], drop=["artist"])
    return train(
        table, overrides=LIGHT, split="collection", holdout="mine", folds=2, run_dir=folder / "run", name="two"
    )


def test_rows_know_their_collection_and_columns_their_place(tables: Tables) -> None:
    files = tables()
    table = load_tables(files, artist_column="artist")
    assert table.collections is not None
    assert (table.collections == ["big"] * 108 + ["mine"] * 36).all()
    assert table.feature_names == ("alpha", "beta", "gamma", "tempo")
    both = pd.concat([windows_frame(), mine()], ignore_index=True)
    np.testing.assert_array_equal(table.features, both[list(table.feature_names)].to_numpy())
    assert list(np.asarray(table.labels)) == both["label"].tolist()
    digests = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    assert table.sha256 == hashlib.sha256(digests.encode()).hexdigest()


def test_recordings_of_one_name_are_two(tables: Tables) -> None:
    grouping = find_grouping(load_tables(tables(), artist_column="artist"))
    assert grouping.tracks is not None
    assert len(np.unique(grouping.tracks)) == 36 + 12
    # An artist is the same wherever they are.
    assert len(np.unique(np.asarray(grouping.artists))) == 12


def test_one_table_is_itself(tables: Tables) -> None:
    table = load_tables(tables()[:1], artist_column="artist")
    assert table.collections is None
    with pytest.raises(TableError, match="there is one table, and a split by collection holds one of several out"):
        make_split("collection", table, test_share=0.2, seed=0, holdout="big")


def test_columns_that_differ_are_named_with_their_tables(tables: Tables) -> None:
    files = tables(mine().drop(columns="gamma"))
    with pytest.raises(TableError, match=r"mine\.csv has no feature 'gamma', which .*big\.csv has; .*--drop gamma"):
        load_tables(files, drop=["artist"])
    files = tables(mine().assign(energy=np.arange(36) % 5))
    with pytest.raises(TableError, match=r"big\.csv has no feature 'energy', which .*mine\.csv has"):
        load_tables(files, drop=["artist"])
    files = tables(mine().drop(columns="filename"))
    with pytest.raises(TableError, match=r"mine\.csv has no column 'filename'"):
        load_tables(files, drop=["artist"])
    with pytest.raises(TableError, match="two tables are called 'big'"):
        load_tables([files[0], files[0]])


def test_labels_that_only_the_held_out_collection_has(tables: Tables) -> None:
    frame = mine()
    frame.loc[frame["label"] == "jazz", "label"] = "bossa"
    table = load_tables(tables(frame), drop=["artist"])
    with pytest.raises(TableError, match="collection mine has labels that no other collection has: 'bossa'"):
        make_split("collection", table, test_share=0.2, seed=0, holdout="mine")


def test_holdout_belongs_to_the_split(tables: Tables) -> None:
    table = load_tables(tables(), drop=["artist"])
    for holdout, message in ((None, "no collection to hold out is named"), ("mien", "there is no collection 'mien'")):
        with pytest.raises(SettingsError, match=f"{message}; choose one with --holdout: 'big', 'mine'"):
            make_split("collection", table, test_share=0.2, seed=0, holdout=holdout)
    with pytest.raises(SettingsError, match="choose --split collection"):
        make_split("track", table, test_share=0.2, seed=0, holdout="mine")


def test_the_collection_held_out_is_not_fitted(run: Run) -> None:
    np.testing.assert_array_equal(run.training_rows, windows_frame()[list(run.feature_names)].to_numpy())
    assert run.evaluation is not None
    assert (run.evaluation.split, run.evaluation.unit, run.evaluation.rows) == ("collection", "track", 36)
    rows = mine()
    truth, scaled = rows["label"].tolist(), run.scaled(rows[list(run.feature_names)].to_numpy())
    assert run.evaluation.accuracy == accuracy_score(truth, run.stack.predict(scaled))
    assert (
        "All 36 rows of collection 'mine' were held out from a fit of the 108 rows of 'big'" in run.evaluation.meaning
    )


def test_figures_of_each_collection_are_scikit_learns(run: Run) -> None:
    assert run.cross_validation is not None
    answers = run.predictions["folds"]
    found = {c.name: c for c in run.cross_validation.collections}
    assert sorted(found) == ["big", "mine"]
    for name, part in {"big": answers.rows < 108, "mine": answers.rows >= 108}.items():
        figures = found[name].figures
        truth = answers.truth[part]
        assert found[name].rows == part.sum()
        assert found[name].songs == len(np.unique(np.asarray(answers.tracks)[part]))
        assert figures["accuracy"].value == pytest.approx(accuracy_score(truth, answers.decisions["stack"][part]))
        expected = log_loss(truth, answers.probabilities["stack"][part], labels=[0, 1, 2])
        assert figures["log_loss"].value == pytest.approx(expected, abs=1e-5)
        lower, upper = figures["accuracy"].lower, figures["accuracy"].upper
        assert lower is not None
        assert upper is not None
        assert lower <= figures["accuracy"].value <= upper


def test_report_record_and_run_have_them(run: Run) -> None:
    assert run.path is not None
    assert read_record(run.path).cross_validation == run.cross_validation
    assert load_run(run.path).evaluation == run.evaluation
    tree = check_page(report_html(RunRecord.from_run(run)))
    (section,) = [s for s in tree.iter("section") if s.attrib["id"] == "collections"]
    names = ["".join(th.itertext()) for th in section.iter("th") if th.attrib.get("scope") == "row"]
    assert names == ["big", "mine"]
    assert "Each collection, by recording, 2 folds, by the whole stack" in report_text(run)


def test_a_record_of_before_collections_is_read(run: Run) -> None:
    facts = to_json(RunRecord.from_run(run))
    del facts["evaluation"]["collections"]
    assert from_json(RunRecord, facts).evaluation.collections == ()


def test_missing_values_go_with_their_rows(tables: Tables) -> None:
    frame = mine()
    frame.loc[frame.index[:3], "gamma"] = np.nan
    table = load_tables(tables(frame), drop=["artist"], allow_missing=True)
    dropped = train(table, overrides=LIGHT, split="collection", holdout="mine", missing="drop", runs_dir=None)
    assert dropped.evaluation is not None
    assert dropped.evaluation.rows == 33


def test_the_command_takes_several_tables(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text('[stack]\nestimators = ["knn", "svc"]\nfolds = 2\n')
    words = [*tables(), "--drop", "artist", "--settings", tmp_path / "light.toml", "--run", tmp_path / "run"]
    words += ["--split", "collection", "--holdout", "mine", "--models", tmp_path / "models"]
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "36 held-out rows by collection" in result.output
    assert (tmp_path / "models" / "big" / "1").is_dir()
    assert read_record(tmp_path / "run").provenance.data_file == "big.csv + mine.csv"
    wrong = CliRunner().invoke(command, [str(word) for word in words[:2]] + ["--holdout", "mine", "--drop", "artist"])
    assert wrong.exit_code == 1
    assert "choose --split collection" in wrong.output
