"""Every example runs as its first lines say."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from server.live import running_server
from support.certificates import Authority
from support.stacks import FittedStack

from genrestack_bundle import open_bundle
from genrestack_training import load_table

EXAMPLES = ROOT / "examples"
WORDS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
COVERED = {
    "serve_and_predict",
    "async_predict",
    "dataframe",
    "stream_large_table",
    "open_inference",
    "tls_and_tokens",
    "own_pickles",
    "digits",
}


@pytest.fixture(scope="module")
def address(models_dir: Path) -> Iterator[str]:
    with running_server(models_dir) as running:
        yield f"127.0.0.1:{running.port}"


@pytest.fixture
def table(small_stack: FittedStack, tmp_path: Path) -> Path:
    """Rows with an identifier in front, columns turned round: 200 of them, three times."""
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *reversed(small_stack.feature_names)])
        writer.writerows([f"{i}.wav", *row[::-1]] for i, row in enumerate([*small_stack.rows] * 3))
    return path


def run(name: str, *arguments: str | Path) -> str:
    argv = [sys.executable, "-W", "error::DeprecationWarning:__main__", EXAMPLES / f"{name}.py", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_none_is_forgotten() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == COVERED


def test_serve_and_predict(address: str) -> None:
    said = run("serve_and_predict", address)
    assert "digits/1 tells 10 classes apart by 64 features" in said
    assert "what knn alone would say of row 0" in said
    assert "refused: rows.shape: 2 columns, but digits/1 takes 64" in said


def test_async_predict(address: str) -> None:
    said = run("async_predict", address).splitlines()
    assert said[0].startswith("digits/1 answered 20 callers: ['")
    assert [line.split(":")[0] for line in said[1:]] == [
        "batch 1", "batch 2", "batch 3", "gave up on one; the server was told",
    ]  # fmt: skip


def test_open_inference(address: str) -> None:
    said = run("open_inference", address).splitlines()
    assert said[0].startswith(
        "digits takes 64 features and answers label, class_index, probabilities, probabilities.knn"
    )
    assert said[1].startswith("labels: ['")
    assert [line.split(":")[0] for line in said[3:]] == ["item 0", "item 1", "item 2", "refused"]
    assert "feature 'pixel_0' of row 0 is NaN" in said[4]
    assert said[6] == (
        "refused: inputs[0].shape: 2 columns, but digits/1 takes 64 (pixel_0, pixel_1, … pixel_63); GetModel lists them"
    )


def test_tls_and_tokens(models_dir: Path, tmp_path: Path) -> None:
    ca = Authority.make()
    pair = ca.server(tmp_path)
    token = tmp_path / "my.token"
    make_token = [
        sys.executable,
        "-m",
        "genrestack",
        "token",
        "--name",
        "example",
        "--append",
        str(tmp_path / "tokens"),
    ]
    token.write_text(subprocess.run(make_token, capture_output=True, text=True, check=True).stdout, encoding="utf-8")
    secured = {"tls_cert": pair.certificate, "tls_key": pair.key, "token_file": tmp_path / "tokens"}
    with running_server(models_dir, **secured) as running:
        said = run("tls_and_tokens", f"127.0.0.1:{running.port}", ca.write(tmp_path / "ca.pem"), token).splitlines()
    assert said[0].startswith("digits/1 says '")
    assert said[0].endswith("encrypted all the way")
    assert said[1:3] == ["3 more through a stream", "health is open to all: SERVING"]
    assert said[3].startswith("without a token: ")
    assert "give a token: token= or token_file=" in said[3]
    assert said[4].startswith("without TLS: ")
    assert "add --tls (tls=True)" in said[4]


@pytest.mark.parametrize("name", ["dataframe", "stream_large_table"])
def test_a_table_in_a_table_out(name: str, address: str, small_stack: FittedStack, table: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    assert "600" in run(name, table, answers, address)
    with answers.open(newline="", encoding="utf-8") as file:
        predicted = [row["predicted"] for row in csv.DictReader(file)]
    assert predicted == small_stack.predict(small_stack.rows) * 3


def test_own_pickles(tmp_path: Path) -> None:
    assert f"next: genrestack serve {tmp_path}" in run("own_pickles", tmp_path)
    assert list(open_bundle(tmp_path / "iris" / "1").model.classes) == ["setosa", "versicolor", "virginica"]


def test_digits(tmp_path: Path) -> None:
    tables = tmp_path / "digits.csv", tmp_path / "unseen.csv"
    assert f"next: genrestack train {tables[0]} --preset demo" in run("digits", *tables)
    read = [load_table(table) for table in tables]
    assert [table.features.shape for table in read] == [(1700, 64), (97, 64)]
    assert [set(table.labels.tolist()) for table in read if table.labels is not None] == [WORDS] * 2
