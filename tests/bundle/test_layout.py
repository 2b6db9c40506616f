"""Names and versions in a model repository."""

from pathlib import Path

import pytest
from bundle.processes import run_script

from genrestack_bundle import BundleError, list_models, list_versions
from genrestack_bundle.layout import check_model_name, is_safe_name, is_version


def test_only_folders_named_by_a_number_are_versions(tmp_path: Path) -> None:
    for name in ("1", "2", "10", "0", "01", "-3", "1.0", "٣", "²", "latest", ".writing-abc", "9" * 10):
        (tmp_path / name).mkdir()
    (tmp_path / "4").write_text("a file")
    (tmp_path / "5").symlink_to(tmp_path / "nowhere")
    (tmp_path / "6").symlink_to(tmp_path / "2")
    assert list_versions(tmp_path) == [1, 2, 6, 10]


def test_only_folders_with_a_version_are_models(tmp_path: Path) -> None:
    for name in ("b/1", "a/3", "a/x", "empty", ".hidden/1", "sp ace/1", "only-names/latest"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("")
    assert list_models(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("what", ["gone", "file"])
def test_no_folder_holds_nothing(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("")
    assert list_versions(tmp_path / what) == []
    assert list_models(tmp_path / what) == []


_LIST = """
import sys
from pathlib import Path
from genrestack_bundle import BundleError, list_models, list_versions
repository = Path(sys.argv[1])
print(list_models(repository))
for folder in sys.argv[2:]:
    try:
        print(list_versions(repository / folder))
    except BundleError as error:
        print(error)
"""


def test_unreadable_model_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    for name in ("closed", "open"):
        (tmp_path / name / "1").mkdir(parents=True)
    closed = tmp_path / "closed"
    closed.chmod(0)
    found = run_script(_LIST, tmp_path, "closed", "open", permissions=True)
    closed.chmod(0o755)
    assert found.splitlines() == [
        "['closed', 'open']", f"{closed} cannot be read (Permission denied); check its permissions", "[1]",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "safe"), [("a", True), ("a.b-c_D9", True), ("x" * 100, True), ("x" * 101, False)])
def test_safe_names(name: str, safe: bool) -> None:
    assert is_safe_name(name) is safe


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "é", "a b", "a\n", "_a", "-a", "a\0"])
def test_unsafe_names(name: str) -> None:
    assert not is_safe_name(name)
    with pytest.raises(BundleError, match="cannot name a model"):
        check_model_name(name)


@pytest.mark.parametrize(("name", "version"), [("1", True), ("999999999", True), ("1000000000", False), ("1\n", False)])
def test_versions_by_name(name: str, version: bool) -> None:
    assert is_version(name) is version
