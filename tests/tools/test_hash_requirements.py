"""The hashed requirements of the images are those of the project: what its extras ask for, at the versions it pins."""

import re
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.hash_requirements import BUILD, EXTRAS, FOLDER, PYTHONS, as_text, wanted

FILES = (BUILD, *EXTRAS)
GPU = {"onnxruntime-gpu": "onnxruntime"}
"""The wheel for GPUs is never installed beside the other; it needs the same packages."""
_MARKER = r'(?: ; python_version == "3\.\d+"(?: or python_version == "3\.\d+")*)?'
_LINE = re.compile(rf"([a-z0-9]+(?:-[a-z0-9]+)*)==([^\s;]+){_MARKER}((?: \\\n    --hash=sha256:[0-9a-f]{{64}})+)\n")


def pins(path: Path, python: str | None = None) -> dict[str, str]:
    """Read versions by name: all, or those that one Python takes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.removesuffix(" \\")) for line in lines if line and line[0] not in "# "]
    taken = [
        each for each in found if not (python and each.marker and not each.marker.evaluate({"python_version": python}))
    ]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in taken}


def closure(requirements: list[str]) -> set[str]:
    """Follow requirements through the packages installed here, as this interpreter and platform need them."""
    found: dict[str, set[str]] = {}
    left = [Requirement(each) for each in requirements]
    while left:
        asked = left.pop()
        name = canonicalize_name(asked.name)
        extras = {"", *asked.extras}
        if extras <= found.get(name, set()):
            continue
        found[name] = found.get(name, set()) | extras
        needed = [] if name == "pip" else [Requirement(each) for each in requires(GPU.get(name, name)) or []]
        left += [each for each in needed if not each.marker or any(each.marker.evaluate({"extra": e}) for e in extras)]
    return set(found)


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_a_version_and_its_hashes(name: str) -> None:
    """No address, no host, no option: where wheels come from is not the project's to say."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#"))
    assert len(_LINE.findall(text)) >= 7
    assert _LINE.sub("", text) == ""


@pytest.mark.parametrize("name", FILES)
def test_versions_are_the_pinned_ones(name: str) -> None:
    pinned = pins(ROOT / "constraints.txt")
    assert {package: pinned.get(package) for package in pins(FOLDER / f"{name}.txt")} == pins(FOLDER / f"{name}.txt")


@pytest.mark.parametrize("name", FILES)
def test_packages_are_what_the_project_asks_for(name: str) -> None:
    listed = set(pins(FOLDER / f"{name}.txt", ".".join(map(str, sys.version_info[:2]))))
    cuda = {package for package in listed if package.startswith("nvidia-")}
    assert listed - cuda == closure(wanted(name))
    assert bool(cuda) == (name == "server-gpu")


def test_one_onnxruntime_in_each() -> None:
    runtimes = {name: {each for each in pins(FOLDER / f"{name}.txt") if "onnxruntime" in each} for name in EXTRAS}
    assert runtimes == {"server-cpu": {"onnxruntime"}, "server-gpu": {"onnxruntime-gpu"}, "train": {"onnxruntime"}}


def test_what_some_pythons_need_is_for_them_alone() -> None:
    """On 3.13 audioread needs what Python had itself before; with hashes, pip takes nothing that is not listed."""
    needed = [set(pins(FOLDER / "train.txt", python)) for python in PYTHONS]
    assert "standard-aifc" in needed[-1] - needed[0]


def test_hashes_are_sorted_and_the_last_ends_the_requirement() -> None:
    asked = {"a==1": list(PYTHONS), "b==2": list(PYTHONS[1:])}
    text = as_text("train", asked, {"a==1": {"cc", "bb"}, "b==2": {"dd"}}, ["x86_64"])
    assert text.splitlines()[2:] == [
        "a==1 \\", "    --hash=sha256:bb \\", "    --hash=sha256:cc",
        'b==2 ; python_version == "3.12" or python_version == "3.13" \\', "    --hash=sha256:dd",
    ]  # fmt: skip
