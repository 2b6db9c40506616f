"""What librosa compiles is compiled by one process, however many begin at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXTRACT = """
import numpy as np
from genrestack_audio import extract
print(extract(np.random.default_rng(1).normal(scale=0.1, size=66_149).astype(np.float32), 22_050).sum())
"""


def begin(folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", EXTRACT], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.long
def test_several_processes_on_an_empty_folder(tmp_path: Path) -> None:
    together = [begin(tmp_path / "numba") for _ in range(3)]
    answers = [process.communicate()[0] for process in together]
    after = begin(tmp_path / "numba")
    answers.append(after.communicate()[0])
    assert [process.returncode for process in (*together, after)] == [0] * 4
    assert len(set(answers)) == 1


def test_a_folder_that_cannot_be_made_does_not_stop_anything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    script = "from genrestack_audio.features.compiled import _folder; print(_folder())"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "below"), "TMPDIR": str(tmp_path)}
    made = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert Path(made.strip()).parent == tmp_path


def test_another_installation_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Another virtual environment, or librosa installed again: what is there was not compiled for it."""
    keys = set()
    for name, date in (("one", 1), ("two", 1), ("one", 2)):
        source = tmp_path / name / "librosa" / "__init__.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.touch()
        os.utime(source, (date, date))
        script = "from genrestack_audio.features.compiled import _folder, pending; print(_folder().name, pending())"
        path = os.pathsep.join([str(tmp_path / name), *sys.path])
        environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path)}
        environment.pop("NUMBA_CACHE_DIR", None)
        made = subprocess.run(
            [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        assert made[1] == "True"
        keys.add(made[0])
    assert len(keys) == 3
