"""A bundle appears whole under the next version, or not at all."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from bundle.processes import run_script

from genrestack_bundle import Bundle, BundleError, list_versions, open_bundle, write_bundle
from genrestack_proto.v1.model_pb2 import Model


@pytest.fixture(scope="module")
def sound(models_dir: Path) -> Bundle:
    """An opened bundle, whose contents are written again."""
    return open_bundle(models_dir / "digits" / "1")


def _write(repository: Path, bundle: Bundle, name: str = "again", **options: dict[str, bytes]) -> Path:
    model = Model()
    model.CopyFrom(bundle.model)
    model.name = name
    return write_bundle(repository, model, bundle.graphs, bundle.golden, **options)


def test_written_bundle_opens(tmp_path: Path, sound: Bundle) -> None:
    path = _write(tmp_path / "new" / "models", sound, extra={"report.html": b"<p>"})
    assert path == tmp_path / "new" / "models" / "again" / "1"
    written = open_bundle(path)
    assert written.graphs == sound.graphs
    assert (written.model.name, written.model.version) == ("again", 1)
    assert [file.path for file in written.model.files] == [
        "golden.npz", "knn.onnx", "meta.onnx", "report.html", "scaler.onnx", "svc.onnx",
    ]  # fmt: skip
    assert [entry.name for entry in path.parent.iterdir()] == ["1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_given_model_is_left_as_it_was(tmp_path: Path, sound: Bundle) -> None:
    model = Model()
    model.CopyFrom(sound.model)
    write_bundle(tmp_path, model, sound.graphs, sound.golden)
    assert model == sound.model


def test_sums_are_those_of_sha256sum(tmp_path: Path, sound: Bundle) -> None:
    path = _write(tmp_path, sound)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=path, check=True, capture_output=True)


def test_versions_grow_past_gaps_and_everything_else(tmp_path: Path, sound: Bundle) -> None:
    model_dir = tmp_path / "again"
    (model_dir / "7").mkdir(parents=True)
    for name in ("008", "latest", "-9", "3.5"):
        (model_dir / name).mkdir()
    assert _write(tmp_path, sound).name == "8"
    assert _write(tmp_path, sound).name == "9"
    assert list_versions(model_dir) == [7, 8, 9]


def test_file_named_like_a_version_is_passed_over(tmp_path: Path, sound: Bundle) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "1").write_text("a note")
    (tmp_path / "again" / "2").symlink_to(tmp_path / "nowhere")
    assert _write(tmp_path, sound).name == "3"
    assert (tmp_path / "again" / "1").read_text() == "a note"


def test_no_version_number_left(tmp_path: Path, sound: Bundle) -> None:
    (tmp_path / "again" / "999999999").mkdir(parents=True)
    with pytest.raises(BundleError, match="no version number left"):
        _write(tmp_path, sound)
    assert [entry.name for entry in (tmp_path / "again").iterdir()] == ["999999999"]


_WRITE_THREE = """
import sys
from pathlib import Path
from genrestack_bundle import open_bundle, write_bundle

bundle = open_bundle(Path(sys.argv[1]))
bundle.model.name = "again"
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    write_bundle(Path(sys.argv[2]), bundle.model, bundle.graphs, bundle.golden)
"""


def test_writers_at_once_never_share_a_version(tmp_path: Path, sound: Bundle) -> None:
    command = [sys.executable, "-c", _WRITE_THREE, str(sound.path), str(tmp_path)]
    writers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    ends = [writer.communicate("go\n") for writer in writers]
    assert ends == [("", "")] * 3
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert list_versions(tmp_path / "again") == list(range(1, 10))
    assert len(list((tmp_path / "again").iterdir())) == 9
    for version in range(1, 10):
        assert open_bundle(tmp_path / "again" / str(version)).model.version == version


_WRITE = """
import resource, signal, sys
from pathlib import Path
from genrestack_bundle import BundleError, open_bundle, write_bundle

bundle = open_bundle(Path(sys.argv[1]))
bundle.model.name = "again"
# As a full disk does, the limit lets a file begin and then no more of it be written.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    write_bundle(Path(sys.argv[2]), bundle.model, bundle.graphs, bundle.golden)
except BundleError as error:
    print(error)
"""


def _folders(repository: Path) -> list[str]:
    return sorted(path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_dir())


@pytest.mark.parametrize("before", [0, 1])
def test_no_space_leaves_nothing_behind(tmp_path: Path, sound: Bundle, before: int) -> None:
    for _ in range(before):
        _write(tmp_path, sound)
    found = run_script(_WRITE, sound.path, tmp_path, "100000")
    assert found == (
        f"the bundle could not be written below {tmp_path} (File too large); nothing was left behind. "
        "Free some space, or choose another folder with --models, and export again\n"
    )
    assert _folders(tmp_path) == (["again", "again/1"] if before else [])


@pytest.mark.parametrize("before", [0, 1])
def test_folder_that_cannot_be_written(tmp_path: Path, sound: Bundle, before: int) -> None:
    for _ in range(before):
        _write(tmp_path, sound)
    closed = tmp_path / "again" if before else tmp_path
    closed.chmod(0o555)
    found = run_script(_WRITE, sound.path, tmp_path, "-1", permissions=True)
    closed.chmod(0o755)
    assert f"could not be written below {tmp_path} (Permission denied)" in found
    assert _folders(tmp_path) == (["again", "again/1"] if before else [])


def test_file_where_a_folder_should_be(tmp_path: Path, sound: Bundle) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(BundleError, match=r"could not be written below .*models.*choose another folder"):
        _write(tmp_path / "models", sound)
    (tmp_path / "again").write_text("a file")
    with pytest.raises(BundleError, match=r"could not be written below"):
        _write(tmp_path, sound)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "models"]


_WRITE_FOR_EVER = """
import sys
from pathlib import Path
from genrestack_bundle import open_bundle, write_bundle

bundle = open_bundle(Path(sys.argv[1]))
bundle.model.name = "again"
print("ready", flush=True)
while True:
    write_bundle(Path(sys.argv[2]), bundle.model, bundle.graphs, bundle.golden)
"""


def _unfinished(repository: Path) -> list[Path]:
    return list((repository / "again").glob(".writing-*/golden.npz"))


def _stopped_half_way(repository: Path, bundle: Bundle) -> "subprocess.Popen[str]":
    """Start a writer, and stop it while it has a bundle half written."""
    command = [sys.executable, "-c", _WRITE_FOR_EVER, str(bundle.path), str(repository)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    while True:
        writer.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WNOWAIT)
        if _unfinished(repository):
            return writer
        writer.send_signal(signal.SIGCONT)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, sound: Bundle) -> None:
    writer = _stopped_half_way(tmp_path, sound)
    try:
        (half,) = _unfinished(tmp_path)
        # As long as it lives, however long it does nothing, the folder is its own.
        _write(tmp_path, sound)
        assert half.exists()
    finally:
        writer.kill()
        writer.communicate()
    assert half.exists()
    (tmp_path / "again" / ".writing-empty").mkdir()
    (tmp_path / "again" / ".writing-link").symlink_to(sound.path)
    last = _write(tmp_path, sound)
    assert open_bundle(last).graphs == sound.graphs
    left = [entry.name for entry in last.parent.iterdir() if not entry.name.isdecimal()]
    assert left == [".writing-link"]
    assert open_bundle(sound.path).graphs == sound.graphs


def test_all_is_flushed_before_a_bundle_appears(tmp_path: Path, sound: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    really = os.fsync

    def flush(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        # What is there when it is flushed is what is safe.
        flushed.append(path / f"with {len(list(path.iterdir()))}" if path.is_dir() else path)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    path = _write(tmp_path / "new" / "models", sound)
    folders = [tmp_path / "with 1", tmp_path / "new" / "with 1", tmp_path / "new" / "models" / "with 1"]
    assert sorted(flushed[:3]) == sorted(folders)
    *files, folder, parent = flushed[3:]
    names = sorted(file.name for file in path.iterdir())
    assert sorted(file.name for file in files) == names
    assert files[-1].name == "SHA256SUMS"
    assert {file.parent for file in files} == {folder.parent}
    assert folder.parent.name.startswith(".writing-")
    assert folder.name == f"with {len(names)}"
    assert parent == path.parent / "with 1"


def test_names_that_differ_by_case_alone(tmp_path: Path, sound: Bundle) -> None:
    """On many file systems they are one folder."""
    _write(tmp_path, sound, "Rock")
    for name in ("rock", "ROCK"):
        with pytest.raises(BundleError, match=f"there is a model 'Rock' below .*, from which '{name}' differs by case"):
            _write(tmp_path, sound, name)
    assert _write(tmp_path, sound, "Rock").name == "2"
    # Where both are there already, each goes on.
    (tmp_path / "rock" / "1").mkdir(parents=True)
    assert _write(tmp_path, sound, "rock").name == "2"
    assert _write(tmp_path, sound, "Rock").name == "3"


@pytest.mark.parametrize("name", ["KNN.onnx", "Manifest.json", "SHA256SUMS", "sha256sums", "Golden.npz"])
def test_files_that_differ_by_case_alone(tmp_path: Path, sound: Bundle, name: str) -> None:
    with pytest.raises(BundleError, match=f"'{name}' differs from another by case at most"):
        _write(tmp_path, sound, extra={name: b"x"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "-x", "a b", "Ü", "a\0", "a\n", "x" * 101])
def test_name_that_is_no_folders(tmp_path: Path, sound: Bundle, name: str) -> None:
    with pytest.raises(BundleError, match="cannot name a model: use letters"):
        _write(tmp_path, sound, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "7", "x" * 100, "gtzan_3.sec-v2", "manifest.json"])
def test_name_that_is_a_folders(tmp_path: Path, sound: Bundle, name: str) -> None:
    assert open_bundle(_write(tmp_path, sound, name)).model.name == name


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden", "x" * 101])
def test_file_that_could_not_be_opened_again(tmp_path: Path, sound: Bundle, name: str) -> None:
    with pytest.raises(BundleError, match="not a file name a bundle may hold"):
        _write(tmp_path, sound, extra={name: b"x"})
    assert list(tmp_path.iterdir()) == []
