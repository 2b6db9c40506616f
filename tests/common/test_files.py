"""Files that are read where they can be, and written whole."""

import stat
from pathlib import Path

import pytest

from genrestack_common.files import write_whole


def test_a_file_appears_whole_for_everybody_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    for content in (b"x" * 100_000, b"y"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["b.bin"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (folder := tmp_path / "in the way").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(folder, b"x")
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == []
