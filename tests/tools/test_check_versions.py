"""The sets of versions that `make test-versions` tries are those the project speaks of."""

import re
import tomllib
from typing import Any

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from genrestack.cli.pythons import TENSORFLOW_BELOW, without_tensorflow
from tools.versions.cases import APART, EXTRAS, PYTHONS, TRAINING, all_cases, chosen
from tools.versions.environments import CONSTRAINTS, lower_bounds, read_pins

FOR_DEVELOPERS = {"dev", "docs"}


@pytest.fixture(scope="module")
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_python_is_classified_and_tried(project: Any) -> None:
    said = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert tuple(said) == PYTHONS
    assert project["requires-python"] == f">={PYTHONS[0]}"
    for python in PYTHONS:
        assert {case.resolution for case in all_cases() if case.python == python} >= {"lowest", "newest"}


def test_lower_bounds_of_every_extra_are_reached(project: Any) -> None:
    # The wheels for GPUs overwrite those for the CPU, which are released with the same numbers.
    extras = set(project["optional-dependencies"]) - FOR_DEVELOPERS - {"server-gpu"}
    assert {*EXTRAS, *APART} == extras
    reached = {extra for case in all_cases() if case.resolution == "lowest" for extra in case.reached}
    assert reached == {"", *extras}
    gpu, cpu = (project["optional-dependencies"][extra] for extra in ("server-gpu", "server"))
    assert [each.replace("-gpu", "") for each in gpu] == cpu


def test_lower_bounds_are_what_pyproject_says(project: Any) -> None:
    (whole,) = chosen([f"lowest-{TRAINING[0]}"])
    extras = project["optional-dependencies"]
    requirements = [Requirement(each) for extra in whole.reached for each in extras[extra]]
    assert [line.partition("==")[0] for line in lower_bounds(whole)] == [each.name for each in requirements]
    for requirement, line in zip(requirements, lower_bounds(whole), strict=True):
        assert f">={line.partition('==')[2]}" in str(requirement.specifier).split(",")


def test_tensorflow_is_left_out_where_it_has_no_release(project: Any) -> None:
    (tensorflow,) = (
        each for each in map(Requirement, project["optional-dependencies"]["train"]) if "flow" in each.name
    )
    assert tensorflow.marker is not None
    asked = {p for p in PYTHONS if tensorflow.marker.evaluate({"python_version": p})}
    assert asked == set(TRAINING)
    for python in PYTHONS:
        numbers = tuple(map(int, python.split(".")))
        assert (without_tensorflow(numbers) is None) == (numbers < TENSORFLOW_BELOW) == (python in TRAINING)
    assert without_tensorflow((3, 14)) == (
        "TensorFlow, which has no stable release for Python 3.14: use Python 3.11, 3.12 or 3.13"
    )


def test_core_tests_and_pins_are_there() -> None:
    tests = {test for case in all_cases() for test in case.tests}
    assert [test for test in tests if not (ROOT / test).exists()] == []
    assert {"pytest", "hypothesis", "uv"} <= set(read_pins(CONSTRAINTS))


def test_an_unknown_set_is_an_error() -> None:
    with pytest.raises(KeyError):
        chosen(["lowest-2.7"])
