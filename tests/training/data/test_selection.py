"""Which columns are features (`--drop`, `--features`, variables, settings), and labels as people write them."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from training.conftest import LIGHT, Remembered, small_frame

from genrestack_training import SettingsError, TableError, load_table, read_overrides, train
from genrestack_training.cli.train import train as command
from genrestack_training.config.settings import TableSettings

Write = Callable[..., Path]
FRAME = small_frame(90)
NAMES = ("alpha", "beta", "gamma", "tempo")


def with_texts() -> pd.DataFrame:
    frame = FRAME.assign(artist="x", note="a, b")
    frame.insert(0, "track name", "song")
    return frame


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    with_texts().to_csv(tmp_path / "texts.csv", index=False)
    return tmp_path / "texts.csv"


@pytest.mark.parametrize(
    ("drop", "features", "left"),
    [
        (["track name", "artist", "note"], [], NAMES),
        (["track*", "artist", "n?te"], [], NAMES),
        (["track*", "artist", "note", "*a"], [], ("tempo",)),
        ([], ["tempo", "alpha"], ("alpha", "tempo")),
        ([], ["*a", "tempo"], NAMES),
        (["alpha"], ["*a"], ("beta", "gamma")),
        (["[at]*", "note"], [], ("beta", "gamma")),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_names_and_patterns(
    texts: Path, tmp_path: Path, kind: str, drop: list[str], features: list[str], left: tuple[str, ...]
) -> None:
    path = texts
    if kind == "parquet":
        path = tmp_path / "t.parquet"
        with_texts().to_parquet(path)
    table = load_table(path, drop=drop, features=features)
    assert table.feature_names == left
    np.testing.assert_array_equal(table.features, FRAME[list(left)])
    assert table.selection == TableSettings(tuple(drop), tuple(features))


def test_a_name_that_looks_like_a_pattern_means_itself(write: Write) -> None:
    table = load_table(write("a[1],a1,label\n1,2,x\n3,4,y\n"), drop=["a[1]"])
    assert table.feature_names == ("a1",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": ["temp"]}, "there is no column 'temp', which drop names; did you mean 'tempo'?"),
        ({"features": ["x*"]}, r"there is no column 'x\*', which features names; its columns are 'track name', "),
        ({"drop": ["label"]}, "column 'label' is the label, and drop leaves it out; name other columns"),
        ({"drop": ["artist"], "artist_column": "artist"}, "column 'artist' is a column that groups rows, and drop"),
        ({"drop": ["[!l]*"]}, "there is no feature column beside label"),
        ({"features": ["label"]}, "there is no column 'label', which features names"),
    ],
)
def test_what_cannot_be_meant_is_told(texts: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(TableError, match=message) as caught:
        load_table(texts, **options)  # type: ignore[arg-type]
    assert str(texts) in str(caught.value)


def test_no_pattern_takes_the_label_or_a_group(texts: Path) -> None:
    table = load_table(texts, drop=["*l*", "t*k*", "note", "art*"], artist_column="artist")
    assert table.labels is not None
    assert table.feature_names == ("beta", "gamma", "tempo")
    assert set(table.identifiers) == {"artist"}


def test_what_is_named_is_kept(write: Write) -> None:
    """A counter, and a column that is an identifier otherwise."""
    lines = "".join(f"s{i},{100 - i},{i},{i % 7},{'xy'[i % 2]}\n" for i in range(40))
    path = write(f"filename,length,no,a,label\n{lines}")
    assert load_table(path).feature_names == ("a",)
    assert load_table(path, features=["*"]).feature_names == ("a",)
    assert load_table(path, features=["a", "no", "length"]).feature_names == ("length", "no", "a")
    assert "filename" not in load_table(path, drop=["filename"]).identifiers


def test_columns_of_other_kinds_of_a_parquet_file_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = FRAME.assign(
        mfcc=list(np.zeros((90, 13))), facts=pd.Series([{"a": 1}] * 90), when=pd.Timestamp("2024-01-01")
    )
    frame.to_parquet(path)
    with pytest.raises(TableError, match="column 'facts' is not numeric: it holds structs"):
        load_table(path)
    table = load_table(path, drop=["mfcc", "facts", "when"])
    np.testing.assert_array_equal(table.features, FRAME[list(NAMES)])


def test_one_message_names_every_text_column_and_what_leaves_them_out(texts: Path) -> None:
    with pytest.raises(TableError) as caught:
        load_table(texts)
    line = str(caught.value)
    assert (
        ": 3 columns are not numeric: 'track name' (data row 1 holds 'song'), 'artist' (data row 1 holds 'x'), "
        "'note' (data row 1 holds 'a, b'). Leave them out (--drop '" in line
    )
    assert "\n" not in line
    option = line.split("(--drop ")[1].split("), or", maxsplit=1)[0]
    result = CliRunner().invoke(command, [str(texts), "--drop", *shlex.split(option), "--epochs", "0"])
    assert "not numeric" not in result.output


def test_names_with_commas_quotes_and_blanks_can_be_written(write: Write) -> None:
    frame = FRAME.assign(**{'a, "b"': "x", "it's": "y", "c d": "z"})
    path = write(frame.to_csv(index=False))
    with pytest.raises(TableError) as caught:
        load_table(path)
    (word,) = shlex.split(str(caught.value).split("(--drop ")[1].split("), or")[0])
    result = CliRunner().invoke(command, [str(path), "--drop", word, "--label", "nothing"])
    assert "no label column 'nothing'; its columns are alpha, beta, gamma, tempo, label" in result.output


def run(table: Path, *more: str, environ: dict[str, str] | None = None) -> Result:
    folder = table.parent
    arguments = [
        str(table),
        "--models",
        str(folder / "models"),
        "--run",
        str(folder / "run"),
        "--compare",
        "none",
        *more,
    ]
    return CliRunner().invoke(command, arguments, env=environ or {})


FLAGS = ["--drop", "track name, note", "--features", "t*,alpha"]
CHOICE = {"drop": ["track name", "note"], "features": ["t*", "alpha"]}


@pytest.mark.parametrize("way", ["flags", "variables", "file", "flags over all"])
def test_flags_variables_and_file_are_recorded_in_the_run(texts: Path, tmp_path: Path, way: str) -> None:
    settings, environ, flags = tmp_path / "settings.toml", {}, []
    light = '[stack]\nestimators = ["knn", "svc"]\nfolds = 2\n'
    settings.write_text(light)
    if way == "file":
        settings.write_text(f"{light}[table]\n" + "".join(f"{key} = {json.dumps(v)}\n" for key, v in CHOICE.items()))
    elif way == "variables":
        environ = {"GENRESTACK_TRAIN_DROP": "track name, note", "GENRESTACK_TRAIN_FEATURES": "t*,alpha"}
    else:
        flags = FLAGS
    if way == "flags over all":
        settings.write_text(f'{light}[table]\ndrop = ["alpha"]\nfeatures = ["beta"]\n')
        environ = {"GENRESTACK_TRAIN_DROP": "gamma", "GENRESTACK_TRAIN_FEATURES": "gamma"}
    result = run(texts, "--settings", str(settings), *flags, environ=environ)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert record["settings"]["table"] == {**CHOICE, "missing": "error"}
    assert record["feature_names"] == ["alpha", "tempo"]
    assert "[table]" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_from_python_they_are_recorded_too(tmp_path: Path, write: Write) -> None:
    path = write(FRAME.to_csv(index=False))
    read = train(load_table(path, drop=["beta"]), overrides=LIGHT, runs_dir=None)
    later = train(load_table(path), overrides={**LIGHT, "table": {"drop": ["beta"]}}, runs_dir=None)
    for run_ in (read, later):
        assert run_.feature_names == ("alpha", "gamma", "tempo")
        assert run_.settings.table == TableSettings(("beta",), ())
    assert read.metrics == later.metrics


def test_settings_that_cannot_be(write: Write) -> None:
    with pytest.raises(SettingsError, match=r"\[table\] has no setting 'drops'; did you mean drop\?"):
        read_overrides(write('[table]\ndrops = ["a"]\n', "settings.toml"))
    with pytest.raises(SettingsError, match=r"\[table\] drop is 'a'; it must be a list of names"):
        read_overrides(write('[table]\ndrop = "a"\n', "settings.toml"))


def test_labels_lose_the_blanks_around_them(write: Write, tmp_path: Path) -> None:
    path = write('a,label\n1,rock\n2,"rock "\n3," pop"\n4,two words\n5,\u00a0rock\t\n')
    table = load_table(path)
    assert table.labels is not None
    assert table.labels.tolist() == ["rock", "rock", "pop", "two words", "rock"]
    assert any(note.endswith("had blanks around them: taken off") for note in table.notes)
    frame = pd.DataFrame({"a": [1.0, 2.0], "label": pd.Categorical(["x ", "x"])})
    frame.to_parquet(tmp_path / "t.parquet")
    from_parquet = load_table(tmp_path / "t.parquet")
    assert from_parquet.labels is not None
    assert from_parquet.labels.tolist() == ["x", "x"]
    assert from_parquet.notes == ("1 label had blanks around them: taken off",)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (("Rock", "rock"), "'Rock' and 'rock'"),
        (("hip-hop", "Hip Hop"), "'Hip Hop' and 'hip-hop'"),
        (("hiphop", "hip_hop"), "'hip_hop' and 'hiphop'"),
        (("caf\u00e9", "cafe\u0301"), "'cafe\u0301' and 'caf\u00e9'"),
        (("A#", "A"), ""),
        (("1", "10"), ""),
        (("-", "_"), ""),
    ],
)
def test_labels_that_are_probably_one(write: Write, labels: tuple[str, str], named: str) -> None:
    frame = FRAME.assign(label=[labels[row % 2] for row in range(90)])
    heard = Remembered()
    run_ = train(load_table(write(frame.to_csv(index=False))), overrides=LIGHT, runs_dir=None, progress=heard)
    lines = [line for line in run_.provenance.warnings if line.startswith("Labels that")]
    assert [f"classes of their own: {named}. If" in line for line in lines] == [True] * bool(named)
    assert [note for note in heard.notes if "Labels that" in note] == [f"warning: {line}" for line in lines]
