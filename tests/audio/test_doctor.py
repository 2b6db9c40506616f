"""What songs contribute to `genrestack doctor`."""

import shutil
from pathlib import Path

import pytest

from genrestack_audio.doctor import findings


def test_here() -> None:
    rows = {row[0]: row for row in findings(None)}
    assert rows["libsndfile"][1] == "ok"
    assert rows["ffmpeg"][1] == ("ok" if shutil.which("ffmpeg") else "note")


def test_without_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    row = {row[0]: row for row in findings(None)}["ffmpeg"]
    assert row[1] == "note"
    assert "apt install ffmpeg" in row[3]
