"""predict, models and health over the real command and the real server."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from client.servicer import Script, bad_request, failure, serving
from google.rpc import status_pb2
from server.bundles.tiny import BASE, CLASSES, FEATURES, TinyStack, draw_rows

from genrestack.cli.main import run
from genrestack.display.accuracy import accuracy_text
from genrestack_proto.v1 import prediction_pb2 as pb

NOBODY = "127.0.0.1:1"


@pytest.fixture
def answers(real_stack: TinyStack) -> "np.ndarray[Any, Any]":
    return np.asarray(real_stack.predict_proba(draw_rows(300)))


@pytest.fixture
def table(tmp_path: Path, answers: "np.ndarray[Any, Any]") -> Path:
    """300 rows in the published layout, columns turned round, one label wrong."""
    frame = pd.DataFrame(draw_rows(300), columns=list(FEATURES)).iloc[:, ::-1]
    frame["tempo"] = [f"[{value!r}]" for value in frame["tempo"].astype(float)]
    frame.insert(0, "filename", [f"song.{number:05d}.wav" for number in range(300)])
    frame.insert(1, "length", 661794)
    labels = [CLASSES[i] for i in answers.argmax(axis=1)]
    labels[7] = next(name for name in CLASSES if name != labels[7])
    frame["label"] = labels
    path = tmp_path / "songs.csv"
    frame.to_csv(path, index=False)
    return path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_readable_table_with_accuracy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, real_server: str, table: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    status, out, err = ask(capsys, "predict", table, "--server", real_server, "--limit", "3", "--base")
    assert status == 0, err
    assert "song.00002.wav" in out
    assert "song.00003.wav" not in out
    assert "297 more rows" in out
    assert "accuracy 0.9967: 299 of 300 labelled rows" in out
    assert all(part in out for part in BASE)


def test_csv_is_pure_and_complete(
    capsys: pytest.CaptureFixture[str], real_server: str, table: Path, answers: "np.ndarray[Any, Any]"
) -> None:
    status, out, err = ask(capsys, "predict", table, "--server", real_server, "--csv", "--base")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["row"] for row in rows] == [str(number) for number in range(300)]
    assert rows[5]["filename"] == "song.00005.wav"
    got = np.array([[float(row[f"p.{name}"]) for name in CLASSES] for row in rows])
    np.testing.assert_allclose(got, answers, atol=1e-5)
    assert [row["predicted"] for row in rows] == [CLASSES[i] for i in answers.argmax(axis=1)]
    assert f"{BASE[0]}.{CLASSES[0]}" in rows[0]
    assert err == "accuracy 0.9967: 299 of 300 labelled rows\n"


def test_json_is_pure_and_complete(
    capsys: pytest.CaptureFixture[str], real_server: str, table: Path, answers: "np.ndarray[Any, Any]"
) -> None:
    status, out, _ = ask(capsys, "predict", table, table, "--server", real_server, "--json")
    assert status == 0
    told = json.loads(out)
    assert (told["model"], told["version"], told["classes"]) == ("tiny", 1, list(CLASSES))
    assert told["accuracy"] == pytest.approx(299 / 300)
    assert len(told["rows"]) == 600
    first = told["rows"][0]
    assert first["file"] == str(table)
    assert list(first["probabilities"]) == list(CLASSES)
    np.testing.assert_allclose(list(first["probabilities"].values()), answers[0], atol=1e-5)
    assert told["rows"][300]["row"] == 0


@pytest.mark.parametrize("form", ["csv.gz", "parquet", "bare"])
def test_other_forms_of_the_same_table(
    capsys: pytest.CaptureFixture[str], real_server: str, table: Path, form: str
) -> None:
    frame = pd.read_csv(table)
    frame["tempo"] = frame["tempo"].str.strip("[]").astype(float)
    path = table.with_name("other.csv" if form == "bare" else f"other.{form}")
    if form == "parquet":
        frame.to_parquet(path)
    else:
        frame[[*FEATURES] if form == "bare" else list(frame)].to_csv(path, index=False)
    _, expected, _ = ask(capsys, "predict", table, "--server", real_server, "--json")
    status, out, err = ask(capsys, "predict", path, "--server", real_server, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert [row["predicted"] for row in told["rows"]] == [row["predicted"] for row in json.loads(expected)["rows"]]
    assert (told["accuracy"] is None) == (form == "bare")


def test_other_columns_are_left_out_with_a_note(
    capsys: pytest.CaptureFixture[str], real_server: str, table: Path
) -> None:
    frame = pd.read_csv(table)
    frame["mood"] = "calm"
    frame.to_csv(table, index=False)
    status, _, err = ask(capsys, "predict", table, "--server", real_server, "--label", "genre")
    assert status == 0
    assert "left out 2 columns that are not features of the model: 'label', 'mood'" in err


HEADER = ",".join(FEATURES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", f"{HEADER}\n", "a header and no rows"),
        ("t.csv", "chroma,rms\n1,2\n", "lacks 2 of the 4 features of the model: 'tempo', 'zero_crossing'"),
        ("t.csv", f"{HEADER},rms\n1,2,3,4,5\n", "the column 'rms' twice"),
        ("t.csv", f"{HEADER}\n1,2,3,4\n1,2,3\n", "line 3: 3 cells, but the header has 4"),
        ("t.csv", f"{HEADER}\n1,2,3,4\n\n1,x,3,4\n", "line 4, column 'rms': 'x' is not a number"),
        ("t.csv", f"{HEADER}\n1,,3,4\n", "line 2, column 'rms' is empty"),
        ("t.csv", f"{HEADER}\n1,2,nan,4\n", "line 2, column 'tempo': nan is not a finite number"),
        ("t.csv", f"{HEADER}\n1,2,[1e99],4\n", "line 2, column 'tempo': 1e+99 is too large for float32"),
        ("t.csv", b"\xff\xfe\x00", "is not text in UTF-8, nor all of it in UTF-16"),
        ("t.csv.gz", "chroma\n1\n", "not a whole gzip file"),
        ("t.csv.gz", gzip.compress(f"{HEADER}\n1,2,3,4\n".encode(), mtime=0)[:-9], "not a whole gzip file"),
        ("t.parquet", "chroma\n", "not a parquet file"),
        ("t.csv", None, "there is no such file"),
    ],
)
def test_a_bad_table_is_one_line_that_names_the_place(
    capsys: pytest.CaptureFixture[str], real_server: str, tmp_path: Path, name: str, content: Any, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    status, out, err = ask(capsys, "predict", path, "--server", real_server)
    assert status == 1
    assert out == ""
    assert err.startswith(f"Error: {path}")
    assert message in err
    assert err.count("\n") == 1


def test_a_row_the_server_refuses_is_named_by_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def respond(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        return failure(grpc.StatusCode.INVALID_ARGUMENT, "rows[1]: odd", bad_request(**{"rows[1]": "odd"}))

    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,3\n\n4,5,6\n", encoding="utf-8")
    with serving(Script(respond=respond)) as target:
        assert ask(capsys, "predict", path, "--server", target) == (1, "", f"Error: {path}, line 4: odd\n")


def test_a_byte_order_mark_and_blanks_do_not_matter(
    capsys: pytest.CaptureFixture[str], real_server: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{', '.join(FEATURES)}\r\n1, 2,3 ,4\r\n", encoding="utf-8-sig")
    status, out, err = ask(capsys, "predict", path, "--server", real_server, "--json")
    assert status == 0, err
    assert len(json.loads(out)["rows"]) == 1


def test_models(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, real_server: str) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = ask(capsys, "models", "--server", real_server)
    assert status == 0
    assert "tiny" in out
    assert "1 (default)" in out
    assert "CPU, 1 thread" in out
    assert "20 of 20 labels" in out
    status, out, _ = ask(capsys, "models", "--server", real_server, "--json")
    (model,) = json.loads(out)
    assert [feature["name"] for feature in model["features"]] == list(FEATURES)
    assert model["provider"] == "CPUExecutionProvider"
    assert model["provider_options"] == {}
    assert model["served_parity"]["labels_agreed"] == model["served_parity"]["rows"] == 20
    assert {"provenance", "parity", "threads", "state", "default"} <= set(model)
    assert all(part["sha256"] for part in model["parts"])


def test_health(capsys: pytest.CaptureFixture[str], real_server: str) -> None:
    assert ask(capsys, "health", "--server", real_server) == (0, f"{real_server}: SERVING\n", "")
    assert ask(capsys, "health", "--server", real_server, "--model", "tiny", "--version", "1", "--wait", "5")[0] == 0
    status, out, _ = ask(capsys, "health", "--server", real_server, "--model", "gone")
    assert (status, out) == (1, f"{real_server} gone: UNKNOWN (no such model is served)\n")
    assert ask(capsys, "health", "--server", real_server, "--version", "1")[0] == 2


@pytest.mark.parametrize("command", [["models"], ["health"], ["predict", "t.csv"], ["health", "--wait", "0.5"]])
def test_no_server_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(HEADER, encoding="utf-8")
    status, out, err = ask(capsys, *command, "--server", NOBODY)
    assert (status, out) == (1, "")
    assert f"nothing answers at {NOBODY}; start one: genrestack serve models" in err
    assert err.count("\n") == 1


def test_an_unknown_model_lists_what_there_is(
    capsys: pytest.CaptureFixture[str], real_server: str, table: Path
) -> None:
    status, _, err = ask(capsys, "predict", table, "--server", real_server, "--model", "gtzan")
    assert status == 1
    assert "tiny" in err


@pytest.mark.parametrize(
    ("metrics", "split", "text"),
    [
        ({}, "random", ""),
        ({"accuracy": 0.966, "f1.macro": 0.9}, "", "0.966"),
        ({"accuracy": 0.966, "f1.macro": 0.9}, "random", "0.966 held out at random"),
        (
            {"accuracy": 0.966, "accuracy.track_split": 0.7014},
            "random",
            "0.701 held out by recording, 0.966 at random",
        ),
        (
            {"accuracy": 0.966, "accuracy.track_split": 0.7, "accuracy.artist_split": 0.56},
            "random",
            "0.560 held out by artist, 0.700 by recording, 0.966 at random",
        ),
        (
            {"accuracy": 0.7, "accuracy.track_split": 0.7, "accuracy.track_folds": 0.69},
            "",
            "0.690 held out by recording, 0.700",
        ),
        ({"accuracy": 0.7, "accuracy.track_folds": 0.69}, "track", "0.690 held out by recording"),
        ({"accuracy.artist_folds": 0.55}, "none", "0.550 held out by artist"),
    ],
)
def test_the_accuracy_to_go_by_comes_first(metrics: dict[str, float], split: str, text: str) -> None:
    assert accuracy_text(metrics, split) == text
