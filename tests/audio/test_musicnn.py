"""The real tagger, installed as the documentation says, in an environment of its own."""

import csv
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.tools import need

from genrestack_audio.tagger.recipe import TAG_NAMES

PACKAGE = "musicnn==0.1.0"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed, and our tagger's file lies in a folder of its own."""
    folder = tmp_path_factory.mktemp("musicnn")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*install, "--target", folder / "site", PACKAGE], capture_output=True, text=True, check=False, timeout=900
    )
    need(done.returncode == 0, f"{PACKAGE} from a package index: {done.stderr[-300:]}")
    return {**os.environ, "PYTHONPATH": str(folder / "site"), "GENRESTACK_TAGGER": str(folder / "musicnn.onnx")}


def run(environment: dict[str, str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def tags_of(lines: list[dict[str, str]]) -> dict[str, np.ndarray]:
    return {line["filename"]: np.array([float(line[name]) for name in TAG_NAMES]) for line in lines}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_is_converted_and_hears_what_others_heard(
    environment: dict[str, str], shared_data: Path, tmp_path: Path
) -> None:
    conversion = (sys.executable, "-m", "genrestack_audio.tagger")
    done = run(environment, *conversion)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    sha256 = done.stdout.split("sha256 ")[1].split()[0]
    again = run(environment, *conversion, "-o", tmp_path / "again.onnx")
    assert f"sha256 {sha256}" in again.stdout
    table = tmp_path / "tags.csv"
    clips = shared_data / "audio"
    command = Path(sys.executable).with_name("genrestack")
    done = run(environment, command, "features", clips, "--no-labels", "--kind", "tags", "-o", table)
    assert done.returncode == 0, done.stderr
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["extractor"] for row in rows} == {f"tags {sha256}"}
    with gzip.open(shared_data / "tags_gtzan.csv.gz", "rt", newline="") as file:
        others = tags_of(list(csv.DictReader(file)))
    ours = {name: values for name, values in tags_of(rows).items() if name in others}
    assert len(ours) == 50
    mine, theirs = (np.stack([tags[name] for name in ours]) for tags in (ours, others))
    # Theirs were decoded by another library, and begin earlier the later a window is.
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.95
    assert np.median(np.abs(mine - theirs)) < 0.005
