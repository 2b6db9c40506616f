"""What is written is on the disk, and what is being written is locked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genrestack_common.folders import flush, lock_alone, write_flushed

LOCK = """
import os, sys
from genrestack_common.folders import lock_alone
print(lock_alone(os.open(sys.argv[1], os.O_RDONLY)))
"""


def lock_elsewhere(path: Path) -> str:
    command = [sys.executable, "-c", LOCK, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_flushed(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    flush(tmp_path / "file")
    flush(tmp_path)


def test_what_is_not_there_cannot_be_flushed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "none")


def test_a_lock_is_had_by_one_process_until_it_is_closed(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert lock_alone(descriptor) is True
        assert lock_elsewhere(tmp_path) == "False"
    finally:
        os.close(descriptor)
    assert lock_elsewhere(tmp_path) == "True"
