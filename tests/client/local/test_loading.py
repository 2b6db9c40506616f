"""What `genrestack.load` takes: folders, links and settings; what cannot be loaded is told in one line."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from client.both_clients import assert_same
from server.bundles.tiny import TinyStack, draw_rows, write_tiny

import genrestack
from genrestack import FailedPrecondition, GenreStackError, InvalidInput, NotFound
from genrestack._core.connection import local


@pytest.mark.parametrize(
    ("path", "version", "title"),
    [("", None, "tiny/2"), ("tiny", None, "tiny/2"), ("tiny/1", None, "tiny/1"), ("tiny", 1, "tiny/1"),
     ("", 1, "tiny/1"), ("tiny/1/", 1, "tiny/1")],
)  # fmt: skip
def test_what_a_path_means(folder: Path, path: str, version: int | None, title: str) -> None:
    with genrestack.load(f"{folder}/{path}", version=version) as client:
        answer = client.predict(draw_rows(1))
        assert f"{answer.model}/{answer.version}" == title
        assert [f"{model.name}/{model.version}" for model in client.models()] == [title]


def test_a_relative_path_and_a_linked_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other").symlink_to(folder / "tiny")
    monkeypatch.chdir(tmp_path)
    with genrestack.load("models/other") as client:
        assert client.predict(draw_rows(1)).model == "other"
        assert client.target == "models/other"
        assert repr(client) == "<Client of models/other>"
        monkeypatch.chdir("/")
        with pickle.loads(pickle.dumps(client)) as again:
            assert again.predict(draw_rows(1)).model == "other"


def _broken(folder: Path) -> str:
    (write_tiny(folder, "bad", TinyStack.draw()) / "meta.onnx").write_bytes(b"no graph")
    return "bad"


def _bundle_without_number(folder: Path) -> str:
    write_tiny(folder, "x", TinyStack.draw()).rename(folder / "mine")
    (folder / "x").rmdir()
    return "mine"


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        (lambda _: "nowhere/at/all", InvalidInput, "there is no folder"),
        (lambda _: "tiny/9", NotFound, "model 'tiny' has no version 9; it has 1"),
        (lambda _: "gone", NotFound, "there is no model 'gone' in"),
        (lambda _: "tiny/1/manifest.json", InvalidInput, "is a file; name a model's folder"),
        (lambda f: (f / "new").mkdir() or "new", FailedPrecondition, "holds no <name>/<version>/ folders"),
        (lambda f: (f / "hollow" / "3").mkdir(parents=True) or "hollow/3", FailedPrecondition, "holds no bundle"),
        (_broken, FailedPrecondition, "model 'bad' in"),
        (_bundle_without_number, InvalidInput, "call it mine/1"),
    ],
)
def test_what_cannot_be_loaded(
    tmp_path: Path, path: Callable[[Path], str], kind: type[GenreStackError], text: str, no_threads_left: None
) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw())
    with pytest.raises(kind, match=text.replace("<", ".").replace("(", ".")) as caught:
        genrestack.load(tmp_path / path(tmp_path))
    assert "Error" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_that_cannot_be(folder: Path) -> None:
    for wrong in ({"threads": 0}, {"version": 0}, {"model": ""}, {"timeout": -1}):
        with pytest.raises(InvalidInput):
            genrestack.load(folder, **wrong)
    with pytest.raises(FailedPrecondition, match="provider"):
        genrestack.load(folder, provider="cuda")
    with pytest.raises(NotFound, match="it holds: tiny"):
        genrestack.load(folder, model="gone")


def test_what_is_loaded_stays_and_loading_again_sees_more(tmp_path: Path) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw(0))
    with genrestack.load(tmp_path / "tiny") as first:
        before = first.predict(draw_rows(3))
        write_tiny(tmp_path, "tiny", TinyStack.draw(1))
        assert_same(first.predict(draw_rows(3)), before, atol=0)
        with genrestack.load(tmp_path / "tiny") as second:
            assert second.predict(draw_rows(3)).version == 2
        # Two of one folder know nothing of each other.
        assert_same(first.predict(draw_rows(3)), before, atol=0)


def test_a_missing_extra_is_one_line(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("chroma,rms,tempo,zero_crossing\n1,2,3,4\n", encoding="utf-8")
    code = (
        "import sys\n"
        "sys.modules['onnxruntime'] = None\n"
        "import genrestack\n"
        "try:\n"
        f"    genrestack.load({str(folder)!r})\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
        "from genrestack.cli.main import run\n"
        f"sys.exit(run(['predict', {str(table)!r}, '--models', {str(folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, local.MISSING + "\n", f"Error: {local.MISSING}\n")
