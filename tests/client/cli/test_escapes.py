"""Names, labels and messages that steer terminals or spreadsheets: shown as what they are, wherever they appear."""

import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from client.conftest import QUICK
from client.liar import Liar, aborting, described, item, matrix, telling, truth
from client.servicer import failure
from grpc import StatusCode
from matplotlib.text import Text
from support.samples.songs import write_recording

from genrestack import Client, Prediction
from genrestack.cli.main import run
from genrestack.cli.songs.plot import make_figure
from genrestack.cli.terminal import cell, json_text
from genrestack_audio import FEATURE_NAMES
from genrestack_common.text import printable
from genrestack_proto.v1 import model_pb2
from genrestack_proto.v1 import prediction_pb2 as pb

EVIL = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202egnp.exe\u2066\u2028[bold]=cmd|'/c calc'!A1"
FORMULA = "=cmd|'/c calc'!A1"
MODEL = "m\x1b[31m\u202e"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def described_so(**changes: object) -> model_pb2.Model:
    features = [model_pb2.Feature(name=name) for name in ("a\x1b[5m", "b")]
    runtime = model_pb2.Runtime(provider="CPU\x1b[5m[link]", provider_options={"\x1b[1m": "\x9b"}, default_version=True)
    provenance = model_pb2.Provenance(data_sha256="[red]\x1b[7m", created="\x1b[8m2026")
    known = {"name": MODEL, "features": features, "classes": [FORMULA, EVIL], "runtime": runtime}
    parts = [model_pb2.Part(name="=knn\x1b[2m[blue]", kind=model_pb2.PART_KIND_BASE)]
    return described(**(known | {"provenance": provenance, "parts": parts} | changes))


def answered(request: bytes) -> pb.PredictResponse:
    asked = pb.PredictRequest.FromString(request)
    rows = asked.rows.shape[0]
    base = [pb.BaseProbabilities(name="=knn\x1b[2m[blue]", probabilities=matrix(*[[0.25, 0.75]] * rows))]
    names = [FORMULA, EVIL]
    return truth(rows, model=MODEL, classes=names, labels=[EVIL] * rows, base=base if asked.base else [])


def streamed(requests: Iterator[bytes], _: object) -> Iterator[pb.PredictStreamResponse]:
    return (item(index, answered(request)) for index, request in enumerate(requests))


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of a model that is all named so, and a table of its features beside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    with Path("t\x1b[2J.csv").open("w", encoding="utf-8", newline="") as file:
        header = ["a\x1b[5m", "b", "filename", "label", "extra\x1b[6m"]
        csv.writer(file).writerows([header, [1, 2, "=1+1\x1b[3m", EVIL, 0], [3, 4, "-5", "@sum", 0]])
    liar = Liar(
        {
            "GetModel": telling(pb.GetModelResponse(model=described_so())),
            "ListModels": telling(pb.ListModelsResponse(models=[described_so()])),
            "Predict": lambda request, _: answered(request),
        },
        stream=streamed,
    )
    with liar.serving() as address:
        yield address


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run(list(arguments))
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert not STEERING.search(text), (arguments, text)
    return status, captured.out, captured.err


def test_every_form_of_every_command(capsys: pytest.CaptureFixture[str], target: str) -> None:
    asked = ["--server", target]
    table = str(next(Path().glob("t*.csv")))
    for arguments in (
        ["predict", table, "--base", *asked],
        ["predict", table, table, *asked],
        ["models", *asked],
        ["bench", "--seconds", "0.05", "--warm-up", "0", *asked],
        ["doctor", *asked],
    ):
        _, out, err = ask(capsys, *arguments)
        assert "\\x1b" in out + err
    assert ask(capsys, "health", "--model", "x\x1b[2J", *asked)[0] == 0
    assert ask(capsys, "predict", "gone\x1b[2J\n.csv", *asked)[0] == 1
    assert ask(capsys, "\x1b[2J")[0] == 2
    assert ask(capsys, "models", "--\x1b[2J")[0] == 2


def test_csv_has_no_formulas_and_numbers_stay(capsys: pytest.CaptureFixture[str], target: str) -> None:
    table = str(next(Path().glob("t*.csv")))
    status, out, _ = ask(capsys, "predict", table, "--csv", "--base", "--server", target)
    assert status == 0
    heading, *rows = csv.reader(io.StringIO(out))
    assert heading[8:] == [f"'=knn\\x1b[2m[blue].{printable(name)}" for name in (FORMULA, EVIL)]
    assert [row[2] for row in rows] == ["'=1+1\\x1b[3m", "-5"]
    assert [row[3] for row in rows] == [printable(EVIL), "'@sum"]
    assert [row[5] for row in rows] == ["0.75", "0.75"]
    for row in (heading, *rows):
        assert not [text for text in row if text[:1] in "=+@\t\r\n" and text]
    # Read back as text, the apostrophe is part of it.
    assert rows[1][3] == "'" + "@sum"


def test_json_holds_what_was_said(capsys: pytest.CaptureFixture[str], target: str) -> None:
    table = str(next(Path().glob("t*.csv")))
    told = json.loads(ask(capsys, "predict", table, "--json", "--server", target)[1])
    assert (told["model"], told["classes"]) == (MODEL, [FORMULA, EVIL])
    assert [row["predicted"] for row in told["rows"]] == [EVIL, EVIL]
    assert told["rows"][0]["filename"] == "=1+1\x1b[3m"
    (model,) = json.loads(ask(capsys, "models", "--json", "--server", target)[1])
    assert model["provider"] == "CPU\x1b[5m[link]"


def test_messages_of_a_server_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    refuse = aborting(failure(StatusCode.NOT_FOUND, EVIL), StatusCode.NOT_FOUND, "no\x1b[2J\nError: all is well")
    liar = Liar(dict.fromkeys(("GetModel", "ListModels", "Predict"), refuse))
    with liar.serving() as address:
        for arguments in (["models"], ["predict", "a.wav"], ["bench"]):
            status, out, err = ask(capsys, *arguments, "--server", address)
            assert (status, out) == (1, "")
            assert err.count("\n") == 1
            assert err.startswith("Error: ")


SONG_FORMS: tuple[list[str], ...] = ([], ["--json"], ["--csv", "--base"], ["--plot", "song.svg"])


def test_songs(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("=song\x1b[2J.wav", "other\u202e.wav"):
        write_recording(tmp_path / name, "band", seconds=3)
    model = described_so(features=[model_pb2.Feature(name=name, seen_min=0, seen_max=0) for name in FEATURE_NAMES])
    liar = Liar({"GetModel": telling(pb.GetModelResponse(model=model))}, stream=streamed)
    with liar.serving() as address:
        for form in SONG_FORMS:
            status, out, err = ask(capsys, "predict", "=song\x1b[2J.wav", *form, "--server", address)
            assert status == 0, err
            if "--csv" in form:
                assert list(csv.reader(io.StringIO(out)))[1][0] == "'=song\\x1b[2J.wav"
        assert ask(capsys, "predict", ".", "--server", address)[0] == 0
        with Client(address, retry=QUICK) as client:
            song = client.classify_song("=song\x1b[2J.wav", base=True)
    texts = [text.get_text() for text in make_figure(song).findobj(Text)]
    assert any("\\x1b" in text for text in texts)
    assert not [text for text in texts if STEERING.search(text)]
    assert not STEERING.search(repr(song) + repr(song.windows))


def test_what_cannot_be_seen_is_escaped_and_nothing_else() -> None:
    harmful = {"Cc", "Cs", "Zl", "Zp"}
    for number in range(sys.maxunicode + 1):
        letter = chr(number)
        bidirectional = unicodedata.bidirectional(letter) in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
        if unicodedata.category(letter) in harmful or bidirectional:
            assert printable(letter) == letter.encode("unicode_escape").decode(), hex(number)
    for text in ("plain", "röck & roll", "日本語", "नमस्ते", "👩‍👩‍👧", "a\\b", "می‌خواهم"):
        assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("rock", "rock"), ("", ""), (None, ""), ("=1", "'=1"), ("+a", "'+a"), ("-a", "'-a"), ("@a", "'@a"),
        ("\t=1", "\\t=1"), ("\r=1", "\\r=1"), (" =1", "' =1"), ("＝1", "'＝1"), ("a;=1", "a;'=1"), ("a;b", "a;b"),
        ("-1", "-1"), ("+1", "+1"), ("-1.5e-3", "-1.5e-3"), ("-1+1", "'-1+1"), ("hip-hop", "hip-hop"),
    ],
)  # fmt: skip
def test_a_cell(text: str | None, written: str) -> None:
    assert cell(text) == written


def test_json_is_strict() -> None:
    assert json_text({"a\x7f\x9b\x1b": 1}) == '{"a\\u007f\\u009b\\u001b": 1}'
    with pytest.raises(ValueError, match="JSON"):
        json_text(float("nan"))


def test_an_answer_says_itself_safely() -> None:
    said = repr(Prediction([EVIL], np.array([[1.0]], np.float32), (EVIL,), MODEL, 1))
    assert "\\x1b" in said
    assert not STEERING.search(said)


def test_lines_that_are_meant_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) in (0, 2)
    out, err = capsys.readouterr()
    assert (out + err).count("\n") > 10
    assert "\n" in click.Context(click.Command("x")).get_help()
