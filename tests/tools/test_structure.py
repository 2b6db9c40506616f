"""The figures of how packages are built, on packages whose figures are plain to see."""

from pathlib import Path

import pytest
from conftest import ROOT

from tools.show_structure import packages, to_markdown
from tools.structure.imports import count_package
from tools.structure.request_path import follow_predict

MODULES = {
    "__init__.py": '"""A package."""\n',
    "top.py": "from {0}.middle import inner\nfrom {0} import one\n",
    "middle/__init__.py": "",
    "middle/inner.py": "import {0}.one\n",
    "one.py": "from {0} import two\n",
    "two.py": "\n\nfrom {0} import one\n",
    "lazy.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {0} import lazier\n",
    "lazier.py": "from {0} import lazy\n",
    "made_pb2.py": "from {0} import top\n" * 9,
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of this test alone: top → middle → one ⇄ two, and lazier → lazy, which imports it for its types."""
    folder = tmp_path / f"counted_{tmp_path.name}"
    for name, text in MODULES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(folder.name), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_modules_imports_levels_and_circles_are_counted(package: Path) -> None:
    counted = count_package(package)
    assert (counted.modules, counted.lines, counted.lines_of_longest_module) == (8, 12, 3)
    assert (counted.folders, counted.modules_of_largest_folder) == (2, 5)
    assert (counted.boxes, counted.box_imports, counted.levels, counted.box_cycles) == (6, 7, 3, 2)
    assert counted.cycles == 1


def test_a_folder_without_modules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a package"):
        count_package(tmp_path)


def test_a_figure_that_changed_is_shown_beside_the_one_before() -> None:
    now = {"packages": {"one": {"modules": 1_200, "cycles": 0}}}
    assert "| `one` | 1,200 | 0 |" in to_markdown(now, {})
    assert "| `one` | 1,500 → 1,200 | 0 |" in to_markdown(now, {"packages": {"one": {"modules": 1_500, "cycles": 0}}})


def test_every_package_of_the_wheel_is_counted() -> None:
    wheel = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[tool.hatch.build.targets.wheel]")[1]
    assert all(f'"{path.relative_to(ROOT)}"' in wheel for path in packages().values())
    assert wheel.split("]")[0].count("/genrestack") == len(packages())


def test_a_call_is_followed_through_server_and_clients() -> None:
    folders = packages()
    paths = follow_predict(folders["genrestack"], folders["genrestack_server"])
    assert paths.keys() == {"server", "Client", "AsyncClient"}
    for path in paths.values():
        assert 1 < path.files <= path.changes <= path.calls
    assert paths["Client"].coroutines == 0
    assert paths["AsyncClient"].coroutines >= 1
