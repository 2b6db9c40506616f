"""Opening a bundle: every file has to be what the manifest says, and the manifest what a manifest is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle.processes import run_script
from bundle.reseal import MEMBERS, Manifest, read, reseal, reseal_text

from genrestack_bundle import BundleError, open_bundle, still_missing
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_META, PART_KIND_SCALER


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" ")


def _link(path: Path) -> None:
    """The bytes are right, but they lie elsewhere."""
    elsewhere = path.parents[1] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    """Opening it would wait for ever."""
    path.unlink()
    os.mkfifo(path)


def test_untouched_bundle_opens(digits: Path) -> None:
    bundle = open_bundle(digits)
    assert (bundle.path, bundle.model.name, bundle.model.version) == (digits, "digits", 1)
    assert bundle.part_names == ("knn", "svc")
    assert [part.kind for part in bundle.model.parts] == [
        PART_KIND_SCALER, PART_KIND_BASE, PART_KIND_BASE, PART_KIND_META,
    ]  # fmt: skip
    assert sorted(path.name for path in digits.iterdir()) == sorted(MEMBERS)
    assert sorted(bundle.graphs) == ["knn.onnx", "meta.onnx", "scaler.onnx", "svc.onnx"]
    assert bundle.golden.rows.shape[1] == 64
    assert bundle.golden.rows.flags.writeable


@pytest.mark.parametrize("spoil", [_flip, _truncate, _empty, _grow, _link, _folder, _pipe, Path.unlink])
@pytest.mark.parametrize("member", MEMBERS)
def test_altered_file_is_refused_by_name(digits: Path, member: str, spoil: Callable[[Path], None]) -> None:
    spoil(digits / member)
    with pytest.raises(BundleError, match=member):
        open_bundle(digits)


def test_resealed_bundle_opens(digits: Path) -> None:
    """The helper itself: without it the tests below would only see the hashes."""
    reseal(digits, lambda manifest: manifest["metrics"].update(accuracy=0.5))
    assert open_bundle(digits).model.metrics["accuracy"] == 0.5


def test_names_of_the_folders_win(digits: Path) -> None:
    moved = digits.parents[1] / "other" / "12"
    moved.parent.mkdir()
    digits.rename(moved)
    model = open_bundle(moved).model
    assert (model.name, model.version) == ("other", 12)


def test_relative_path_knows_its_model(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(digits.parent)
    assert open_bundle(Path("1")).model.name == "digits"


def test_unlisted_files_are_let_be(digits: Path) -> None:
    (digits / "notes.txt").write_text("mine")
    assert open_bundle(digits).part_names


@pytest.mark.parametrize("name", ["latest", "0", "01", "-1", "1.5", "٣", "99999999999999999999"])
def test_folder_that_is_no_version(digits: Path, name: str) -> None:
    moved = digits.rename(digits.parent / name)
    with pytest.raises(BundleError, match="not a version"):
        open_bundle(moved)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*genrestack export"):
        open_bundle(tmp_path / "gone" / "1")


_OPEN = """
import sys
from pathlib import Path
from genrestack_bundle import BundleError, open_bundle
try:
    open_bundle(Path(sys.argv[1]))
except BundleError as error:
    print(error)
"""


@pytest.mark.parametrize("member", MEMBERS)
def test_unreadable_file(digits: Path, member: str) -> None:
    (digits / member).chmod(0)
    found = run_script(_OPEN, digits, permissions=True)
    assert found == f"{member} cannot be read (Permission denied); check its permissions\n"


@pytest.mark.parametrize("level", [0, 1])
def test_unreadable_folder(digits: Path, level: int) -> None:
    closed = (digits, digits.parent)[level]
    closed.chmod(0)
    try:
        found = run_script(_OPEN, digits, permissions=True)
    finally:
        closed.chmod(0o755)
    assert found.endswith("cannot be read (Permission denied); check its permissions\n")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b"{}",
        b'{"format": 99999999999}',
        b'{"format": "one"}',
        b'{"format": 1, "format": 1}',
        b"[" * 100_000,
        b'{"parts": ' * 100_000,
        b'{"unknown": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_manifest_that_is_none(digits: Path, text: bytes) -> None:
    reseal_text(digits, text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(digits)


def _set(*path: Any, value: Any) -> Callable[[Manifest], None]:
    def edit(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return edit


def _append(key: str, index: int) -> Callable[[Manifest], None]:
    return lambda manifest: manifest[key].append(manifest[key][index])


def _drop(*path: Any) -> Callable[[Manifest], None]:
    def edit(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        del manifest[path[-1]]

    return edit


def _file(manifest: Manifest, path: str) -> Manifest:
    (entry,) = [file for file in manifest["files"] if file["path"] == path]
    found: Manifest = entry
    return found


EDITS = {
    "format 3": (_set("format", value=3), "format 3"),
    "no format": (_drop("format"), "format 0"),
    "format of another type": (_set("format", value=[1]), r"manifest\.json"),
    "no parts": (_set("parts", value=[]), r"manifest\.json lists no base"),
    "no features": (_drop("features"), "no features"),
    "one class": (_set("classes", value=["one"]), "fewer than two classes"),
    "doubled class": (_set("classes", 0, value="one"), "two classes of one name"),
    "doubled feature": (_set("features", 1, "name", value="pixel_0"), "two features of one name"),
    "a feature less": (_drop("features", 3), r"golden\.npz is of another model"),
    "a class less": (_drop("classes", 3), r"golden\.npz is of another model"),
    "unknown kind": (_set("parts", 1, "kind", value="PART_KIND_WIZARD"), r"manifest\.json"),
    "unknown kind by number": (_set("parts", 1, "kind", value=99), "a part of no kind"),
    "unspecified kind": (_set("parts", 1, "kind", value="PART_KIND_UNSPECIFIED"), "a part of no kind"),
    "no meta": (_drop("parts", 3), "meta-learner"),
    "two metas": (_set("parts", 2, "kind", value="PART_KIND_META"), "meta-learner"),
    "two scalers": (_set("parts", 1, "kind", value="PART_KIND_SCALER"), "scaler"),
    "no base": (lambda m: (_drop("parts", 2)(m), _drop("parts", 1)(m)), "no base"),
    "base of another name": (_set("parts", 1, "name", value="other"), r"golden\.npz is of another model"),
    "doubled base name": (_set("parts", 1, "name", value="svc"), "two base estimators of one name"),
    "two parts in one file": (_set("parts", 1, "file", value="svc.onnx"), "two parts in one file"),
    "doubled part": (_append("parts", 1), "two parts in one file"),
    "doubled file": (_append("files", 0), "two files of one name"),
    "part without a file": (_set("parts", 1, "file", value="other.onnx"), "a part without its file"),
    "part's hash of another file": (_set("parts", 1, "sha256", value="0" * 64), "a part without its file"),
    "no golden": (lambda m: m.update(files=[f for f in m["files"] if f["path"] != "golden.npz"]), r"golden\.npz"),
    "no parity": (_drop("parity"), r"golden\.npz"),
    "tolerance without bounds": (_set("parity", "tolerance", value="Infinity"), "tolerance"),
    "tolerance no number": (_set("parity", "tolerance", value="NaN"), "tolerance"),
    "loose tolerance of a part": (_set("parity", "parts", 0, "tolerance", value=1.0), "tolerance"),
    "another opset": (_set("opset", value=17), r"version 18 .*manifest says 17"),
    "another ml opset": (_set("ml_opset", value=1), "manifest says 1"),
    "huge size": (_set("files", 0, "size_bytes", value=str(2**63)), "files of more than 4294967296 bytes in all"),
    "large size": (_set("files", 0, "size_bytes", value=str(2**31 - 1)), r"golden\.npz is announced with"),
    "large size of a graph": (
        lambda m: _file(m, "knn.onnx").update(size_bytes=str(2**31 - 1)), "graphs of more than 2130706432 bytes in all"
    ),
    "large size of a report": (
        lambda m: _file(m, "metrics.json").update(size_bytes=str(2**31)), r"metrics\.json is announced with"
    ),
    "many files": (
        lambda m: m["files"].extend({"path": f"f{n}", "sha256": "", "size_bytes": "0"} for n in range(1000)),
        "more than 1000 files",
    ),
    "negative size": (_set("files", 0, "size_bytes", value="-1"), r"manifest\.json"),
    "file up": (_set("files", 0, "path", value="../1/golden.npz"), r"'\.\./1/golden\.npz' is not a file name"),
    "absolute file": (_set("files", 0, "path", value="/etc/passwd"), "'/etc/passwd' is not a file name"),
    "hidden file": (_set("files", 0, "path", value=".bashrc"), "'.bashrc' is not a file name"),
    "file of no name": (_set("files", 0, "path", value=""), "'' is not a file name"),
    "file with a zero byte": (_set("files", 0, "path", value="a\0b"), "is not a file name"),
    "file named with a line end": (_set("files", 0, "path", value="golden.npz\n"), "is not a file name"),
    "long file name": (_set("files", 0, "path", value="a" * 5000), "is not a file name"),
    "part up": (_set("parts", 1, "file", value="../knn.onnx"), "a part without its file"),
    "hash in capitals": (
        lambda m: m["files"][0].update(sha256=m["files"][0]["sha256"].upper()), r"golden\.npz was altered"
    ),
    "long feature name": (_set("features", 0, "name", value="f" * 1001), "a name of more than 1000 characters"),
    "long class name": (_set("classes", 0, value="c" * 1001), "a name of more than 1000 characters"),
    "megabytes of a file name": (_set("files", 0, "path", value="a" * 2**20), "^'a{100}' is not a file name"),
    "many empty features": (lambda m: m["features"].extend([{}] * 2**18), "lists more than 262144 things"),
    "many lists": (lambda m: m.update(later=[[]] * 2**18), "lists more than 262144 things"),
    "no hash": (_drop("files", 0, "sha256"), r"golden\.npz was altered"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_manifest_that_contradicts_itself(digits: Path, edit: str) -> None:
    change, complaint = EDITS[edit]
    reseal(digits, change)
    with pytest.raises(BundleError, match=complaint):
        open_bundle(digits)


def test_part_outside_the_folder_is_not_read(digits: Path) -> None:
    """Neither by the name of a file, nor of a part, even with the right hash and size."""
    shutil.copy(digits / "knn.onnx", digits.parent / "outside.onnx")

    def escape(manifest: Manifest) -> None:
        for entry in (*manifest["files"], *manifest["parts"]):
            for key in ("path", "file"):
                if entry.get(key) == "knn.onnx":
                    entry[key] = "../outside.onnx"

    reseal(digits, escape)
    with pytest.raises(BundleError, match=r"outside\.onnx' is not a file name"):
        open_bundle(digits)


def test_sums_of_another_manifest(digits: Path) -> None:
    (digits / "SHA256SUMS").write_text("0" * 64 + "  manifest.json\n")
    with pytest.raises(BundleError, match=r"manifest\.json was altered .*SHA256SUMS"):
        open_bundle(digits)


def test_oversized_manifest_and_sums(digits: Path) -> None:
    reseal_text(digits, json.dumps(read(digits)).encode() + b" " * 2**24)
    with pytest.raises(BundleError, match=r"manifest\.json is larger than"):
        open_bundle(digits)


@pytest.mark.timeout(60)
def test_a_folder_that_is_copied_is_asked_often_and_parsed_once(digits: Path) -> None:
    """A manifest of very many features takes a second; looking at what is copied meanwhile must not, each time."""
    reseal(digits, lambda manifest: manifest["features"].extend({"name": f"f{n}"} for n in range(100_000)))
    size = (digits / "svc.onnx").stat().st_size
    os.truncate(digits / "svc.onnx", 10)
    for _ in range(400):
        assert still_missing(digits) == f"svc.onnx has 10 of {size:,} bytes"
    # Another manifest is read again.
    reseal(digits)
    assert still_missing(digits) == ""


def test_unknown_fields_of_a_later_writer_are_passed_over(digits: Path) -> None:
    reseal(digits, lambda manifest: manifest.update(colour="green", later={"a": [1]}))
    assert open_bundle(digits).model.format == 1
