"""A bundle's place is asked for before the fit."""

from pathlib import Path

import pytest

from genrestack_bundle import BundleError
from genrestack_export.errors import ExportError
from genrestack_export.preflight import check_writable


def test_a_place_that_is_free_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "models", "mine")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    check_writable(tmp_path / "models", "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "mine"]


def test_a_name_that_differs_from_a_models_by_case_alone(tmp_path: Path) -> None:
    (tmp_path / "Mine" / "1").mkdir(parents=True)
    with pytest.raises(BundleError, match=r"there is a model 'Mine' below .*, from which 'mine' differs by case alone"):
        check_writable(tmp_path, "mine")
    check_writable(tmp_path, "Mine")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("", encoding="utf-8")
    with pytest.raises(ExportError, match=r"cannot write into .*models: Not a directory; choose another .*--models"):
        check_writable(tmp_path / "models", "mine")
