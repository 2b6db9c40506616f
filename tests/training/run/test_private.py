"""Training and exporting beside other users: whose pickles are read, and whose are not."""

import fcntl
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from training.conftest import LIGHT, Remembered

from genrestack_training import Run, RunError, Step, Table, load_run, save_run, train
from genrestack_training.folders.unfinished import unfinished
from genrestack_training.report.run_report import write_report

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


class Code:
    """A pickle that makes a file when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@dataclass
class Names:
    """A listener that learns what kept fits are called, as another user does who trains on the same table."""

    folder: Path
    seen: set[str] = field(default_factory=set)

    def update(self, step: Step) -> None:
        self.seen |= {path.name for path in self.folder.glob("*.joblib")}

    def note(self, line: str) -> None: ...


def light(table: Table, run: Path, **more: Any) -> Run:
    return train(table, overrides=LIGHT, run_dir=run, jobs=1, **more)


@pytest.fixture(scope="module")
def names(small_table: Table, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    listener = Names(tmp_path_factory.mktemp("theirs") / ".first.unfinished")
    light(small_table, listener.folder.parent / "first", progress=listener)
    assert len(listener.seen) >= 5
    return listener.seen


def plant(folder: Path, names: set[str], trace: Path, mode: int = 0o700) -> None:
    folder.mkdir(mode=0o700)
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Code(trace)))
    folder.chmod(mode)


def given_away(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.chown(path, NOBODY, NOBODY)


def linked(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


def in_the_way(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def linked_to_nowhere(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(given_away, "belongs to user .* and not to user", marks=as_root),
        (lambda folder: folder.chmod(0o777), r"may be looked into by other users \(mode 0777\)"),
        (lambda folder: folder.chmod(0o750), r"may be looked into by other users \(mode 0750\)"),
        (lambda folder: folder.chmod(0o1702), r"may be looked into by other users \(mode 1702\)"),
        (linked, "is a link, or not a folder"),
        (in_the_way, "is a link, or not a folder"),
        (linked_to_nowhere, "is a link, or not a folder"),
    ],
)
def test_fits_of_others_are_not_unpickled(
    small_table: Table, names: set[str], tmp_path: Path, change: Callable[[Path], object], why: str
) -> None:
    trace, place = tmp_path / "trace", tmp_path / ".mine.unfinished"
    # The second is where an earlier version looked.
    for folder in (place, tmp_path / ".fits"):
        plant(folder, names, trace)
    change(place)
    with pytest.raises(RunError, match=why) as caught:
        light(small_table, tmp_path / "mine")
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@as_root
def test_a_fit_of_somebody_else_in_ones_own_folder_is_not_unpickled(
    small_table: Table, names: set[str], tmp_path: Path
) -> None:
    trace, place = tmp_path / "trace", tmp_path / ".mine.unfinished"
    plant(place, names, trace)
    for path in place.iterdir():
        os.chown(path, NOBODY, NOBODY)
    assert light(small_table, tmp_path / "mine").path == tmp_path / "mine"
    assert not trace.exists()


class Stopped(BaseException):
    """As Ctrl-C does."""


@dataclass
class Stopping(Remembered):
    """A listener that ends the training in the middle."""

    def update(self, step: Step) -> None:
        super().update(step)
        if step.part == "svc":
            raise Stopped


@pytest.mark.parametrize("place", [{"run_dir": "mine"}, {"runs_dir": "runs", "name": "mine"}])
def test_a_training_goes_on_from_its_own_unfinished_folder(
    small_table: Table, tmp_path: Path, place: dict[str, str]
) -> None:
    where: dict[str, Any] = {key: value if key == "name" else str(tmp_path / value) for key, value in place.items()}
    with suppress(Stopped):
        train(small_table, overrides=LIGHT, jobs=1, progress=Stopping(), **where)
    (kept,) = tmp_path.rglob(".mine.unfinished")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert list(kept.glob("*.joblib"))
    heard = Remembered()
    run = train(small_table, overrides=LIGHT, jobs=1, progress=heard, **where)
    assert ("knn", 0) not in {(step.part, step.fold) for step in heard.steps}
    assert run.path is not None
    assert sorted(run.path.parent.iterdir()) == [run.path]


def test_what_a_killed_training_left_half_written_goes(small_table: Table, tmp_path: Path) -> None:
    place = tmp_path / ".mine.unfinished"
    for name in (".half-1", ".half-2"):
        (place / name).mkdir(parents=True)
        (place / name / "stack.joblib").write_bytes(b"cut sh")
    place.chmod(0o700)
    light(small_table, tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_another_training_is_writing_stays(small_table: Table, tmp_path: Path) -> None:
    place = tmp_path / ".mine.unfinished"
    with unfinished(place):
        (place / ".half-1").mkdir()
        light(small_table, tmp_path / "mine")
        assert (place / ".half-1").is_dir()
        (place / ".half-1").rmdir()
        descriptor = os.open(place, os.O_RDONLY)
    assert not place.exists()
    # A process that waited for the lock of a folder that has gone makes a new one.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    with unfinished(place):
        assert place.is_dir()
    os.close(descriptor)


@pytest.fixture(scope="module")
def light_run(small_table: Table) -> Run:
    return train(small_table, overrides=LIGHT, runs_dir=None)


@pytest.fixture
def saved(light_run: Run, tmp_path: Path) -> Path:
    return save_run(light_run, tmp_path / "run")


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_a_run_may_be_written_to_by_nobody_else_whatever_the_umask(light_run: Run, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = save_run(light_run, tmp_path / "run")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755 & ~umask
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644 & ~umask}
    assert load_run(folder).name == "small"


def _linked_file(run: Path) -> None:
    (run / "stack.joblib").rename(run.parent / "stack.joblib")
    (run / "stack.joblib").symlink_to(run.parent / "stack.joblib")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda run: os.chown(run, NOBODY, NOBODY), "run belongs to user", marks=as_root),
        pytest.param(
            lambda run: os.chown(run / "stack.joblib", NOBODY, 0), "stack.joblib belongs to user", marks=as_root
        ),
        (lambda run: run.chmod(0o775), r"run may be written to by other users \(mode 0775\)"),
        (lambda run: run.chmod(0o1777), r"run may be written to by other users \(mode 1777\)"),
        (lambda run: (run / "stack.joblib").chmod(0o664), r"stack.joblib may be written to .* \(mode 0664\)"),
        (lambda run: (run / "stack.joblib").chmod(0o646), r"stack.joblib may be written to .* \(mode 0646\)"),
        (_linked_file, "stack.joblib is a link"),
    ],
)
def test_a_run_that_others_could_have_written_is_not_unpickled(
    saved: Path, tmp_path: Path, change: Callable[[Path], object], why: str
) -> None:
    trace = tmp_path / "trace"
    (saved / "stack.joblib").write_bytes(pickle.dumps(Code(trace)))
    change(saved)
    with pytest.raises(RunError, match=why) as caught:
        load_run(saved)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_copy_of_a_run_is_ones_own(saved: Path, tmp_path: Path) -> None:
    saved.chmod(0o777)
    subprocess.run(["cp", "-r", saved, tmp_path / "copy"], check=True)
    subprocess.run(["chmod", "-R", "go-w", tmp_path / "copy"], check=True)
    assert load_run(tmp_path / "copy").path == tmp_path / "copy"


def test_a_report_is_not_written_through_a_link(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("mine")
    (saved / "report.html").unlink(missing_ok=True)
    (saved / "report.html").symlink_to(tmp_path / "profile")
    before = {path.name for path in saved.iterdir()}
    assert write_report(saved) == saved / "report.html"
    assert (tmp_path / "profile").read_text() == "mine"
    assert "<html" in (saved / "report.html").read_text()
    assert {path.name for path in saved.iterdir()} == before


SIDE_BY_SIDE = """
import numpy as np
from genrestack_training import build_stack
from genrestack_training.fitting import fit_stack
from genrestack_training.fitting.engines import ProcessEngine
rows, labels = np.random.default_rng(0).normal(size=(60, 3)), np.array(["a", "b"])[np.arange(60) % 2]
stack = build_stack(overrides={"stack": {"estimators": ["knn"], "folds": 2}})
print(len(fit_stack(stack, rows, labels, engine=ProcessEngine(2))))
"""
IN_A_CLUSTER = SIDE_BY_SIDE.replace(
    "print(", "from genrestack_training.fitting import open_backend\nwith open_backend('ray', jobs=1) as engine: print("
).replace("ProcessEngine(2)", "engine")


@pytest.mark.parametrize("script", [SIDE_BY_SIDE, pytest.param(IN_A_CLUSTER, marks=pytest.mark.long)])
def test_processes_import_nothing_from_the_working_directory(tmp_path: Path, script: str) -> None:
    for name in ("joblib", "pickle", "numpy", "genrestack_training"):
        (tmp_path / f"{name}.py").write_text("open('trace', 'w').close()")
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "3", done.stderr
    assert not (tmp_path / "trace").exists()
