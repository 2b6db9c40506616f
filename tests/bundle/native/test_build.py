"""Compiling the native operators: by hand, by an installation, or not at all."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from support.tools import need

from genrestack_bundle.native import build as build_module
from genrestack_bundle.native.build import LIBRARY, NotBuilt, build, ensure, stale
from genrestack_bundle.native.library import instruction_sets, missing


@pytest.fixture(autouse=True)
def _compiler() -> None:
    need(shutil.which("gcc"), "a C compiler (Debian package gcc)")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what a wheel is made of, without what was compiled."""
    folder = tmp_path / "source"
    shutil.copytree(ROOT / "bundle", folder / "bundle", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy2(ROOT / name, folder / name)
    for package in ("proto", "common", "client", "server", "training", "export", "audio"):
        (folder / package).mkdir()
        (inner,) = (path.name for path in (ROOT / package).iterdir() if path.name.startswith("genrestack"))
        (folder / package / inner).mkdir()
        (folder / package / inner / "__init__.py").touch()
    return folder


def made(source: Path, out: Path, hook: str = "build_wheel", **variables: str) -> Path:
    """Build a wheel as pip does, which calls this function of the backend."""
    out.mkdir()
    code = f"import sys; from hatchling.build import {hook} as made; made(sys.argv[1])"
    kept = {name: value for name, value in os.environ.items() if name not in {"CC", "GENRESTACK_NO_NATIVE"}}
    done = subprocess.run(
        [sys.executable, "-c", code, out], check=False, capture_output=True, text=True, cwd=source,
        env={**kept, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def holds(wheel: Path, suffix: str) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(suffix)]


def test_a_wheel_with_them_is_for_one_platform(source: Path, tmp_path: Path) -> None:
    wheel = made(source, tmp_path / "out")
    assert "-py3-none-linux_" in wheel.name
    assert holds(wheel, ".so") == [f"genrestack_bundle/native/{LIBRARY}"]
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(f"genrestack_bundle/native/{LIBRARY}", tmp_path)
    assert instruction_sets(tmp_path / "genrestack_bundle" / "native" / LIBRARY) == instruction_sets()


@pytest.mark.parametrize("variables", [{"GENRESTACK_NO_NATIVE": "1"}, {"PATH": "/nowhere"}])
def test_a_wheel_without_them_is_for_all(source: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    if "GENRESTACK_NO_NATIVE" in variables:
        build(source / "bundle" / "genrestack_bundle" / "native" / LIBRARY)
    wheel = made(source, tmp_path / "out", **variables)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert holds(wheel, ".so") == []
    # The sources are there: `python -m genrestack_bundle.native.build` makes up for it.
    assert len(holds(wheel, ".c")) == len(build_module.sources())


def test_an_editable_installation_has_them_beside_their_sources(source: Path, tmp_path: Path) -> None:
    wheel = made(source, tmp_path / "out", "build_editable")
    assert holds(wheel, ".so") == []
    assert not missing(source / "bundle" / "genrestack_bundle" / "native" / LIBRARY)


def test_they_are_compiled_anew_when_a_source_is_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / LIBRARY
    ensure(library)
    first = library.stat()
    assert not stale(library)
    ensure(library)
    assert library.stat().st_ino == first.st_ino
    os.utime(library, (1, 1))
    assert stale(library)
    ensure(library)
    assert library.stat().st_ino != first.st_ino
    monkeypatch.setenv("GENRESTACK_NO_NATIVE", "1")
    with pytest.raises(NotBuilt, match="GENRESTACK_NO_NATIVE is set"):
        ensure(library)


def test_a_compiler_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "sources", lambda: [tmp_path / "none.c"])
    with pytest.raises(NotBuilt, match=r"fails: .*error"):
        build(tmp_path / LIBRARY)
    assert list(tmp_path.iterdir()) == []


def test_by_hand(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, Path(build_module.__file__), tmp_path / LIBRARY]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not missing(tmp_path / LIBRARY)
    (tmp_path / LIBRARY).unlink()
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": "/nowhere"})
    assert done.returncode == 1
    reason, _, consequence = done.stderr.partition("; ")
    assert reason == "the native operators are not compiled: there is no C compiler (gcc)"
    assert consequence == "standard operators answer in their place\n"


def test_nothing_depends_on_the_processor_that_compiles() -> None:
    assert not any(flag.startswith(("-march", "-mtune", "-mcpu", "-mavx")) for flag in build_module._FLAGS)
