"""What songs contribute to `genrestack doctor`."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from support.samples.made_tagger import write_tagger

from genrestack_audio.doctor import findings
from genrestack_audio.tagger.tagger import VARIABLE


def test_here() -> None:
    rows = {row[0]: row for row in findings(None)}
    assert rows["libsndfile"][1] == "ok"
    assert rows["ffmpeg"][1] == ("ok" if shutil.which("ffmpeg") else "note")


def test_without_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    row = {row[0]: row for row in findings(None)}["ffmpeg"]
    assert row[1] == "note"
    assert "apt install ffmpeg" in row[3]


def tagger_rows() -> list[tuple[str, str, str, str]]:
    return [row for row in findings(None) if row[0] == "tagger"]


def test_a_converted_tagger_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tagger_rows() == []
    file = tmp_path / "genrestack" / "tagger" / "musicnn.onnx"
    file.parent.mkdir(parents=True)
    write_tagger(file)
    ((_, state, found, advice),) = tagger_rows()
    assert (state, advice) == ("ok", "")
    assert found.startswith(f"{file} runs, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}")


def test_a_tagger_that_is_not_one_and_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.onnx"))
    ((_, state, found, advice),) = tagger_rows()
    assert state == "problem"
    assert f"gone.onnx, where {VARIABLE} says" in found
    assert "python -m genrestack_audio.tagger" in advice
    for content in (b"", b"not a graph"):
        (tmp_path / "gone.onnx").write_bytes(content)
        ((_, state, found, advice),) = tagger_rows()
        assert state == "problem"
        assert found.endswith("is not the tagger")
        assert "python -m genrestack_audio.tagger" in advice
    (tmp_path / "gone.onnx").unlink()
    os.mkfifo(tmp_path / "gone.onnx")
    ((_, state, found, _),) = tagger_rows()
    assert state == "problem"
    assert "gone.onnx is a pipe" in found
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "")
    assert tagger_rows() == []
