"""The Dockerfile and what it builds from say the same as the project."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from genrestack_server.config.sources import unknown_variables

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("label", "key"), [("version", "version"), ("licenses", "license")])
def test_labels(project: dict[str, Any], label: str, key: str) -> None:
    assert re.findall(rf'org\.opencontainers\.image\.{label}="([^"]+)"', DOCKERFILE) == [project["project"][key]] * 2


def test_variables_are_settings() -> None:
    variables = dict(re.findall(r"(GENRESTACK_\w+)=(\S+)", DOCKERFILE))
    assert len(variables) >= 3
    assert unknown_variables(variables) == []


def test_the_context_has_every_package_and_requirements_file(project: dict[str, Any]) -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.split("/")[0] for package in packages} <= let_in
    assert {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"} <= let_in
    copied = re.findall(r"^COPY (deploy/\S+)", DOCKERFILE, re.MULTILINE)
    assert len(copied) == 3
    files = [name.replace("${RUNTIME}", runtime) for name in copied for runtime in ("cpu", "gpu")]
    assert all((ROOT / name).is_file() for name in files)


def test_commands_are_in_exec_form() -> None:
    """A shell in between would keep the stop signal to itself."""
    commands = re.findall(r"^(?:ENTRYPOINT|CMD) (.)|^HEALTHCHECK .* CMD (.)", DOCKERFILE, re.MULTILINE)
    assert len(commands) == 5
    assert {"".join(first) for first in commands} == {"["}


@pytest.mark.parametrize(("strict", "status", "word"), [("", 0, "skipped"), ("1", 1, "failed")])
def test_without_the_tools(strict: str, status: int, word: str, tmp_path: Path) -> None:
    """Where nothing can be built the last line says why; CI promises that it can be."""
    paths = ":".join([str(ROOT / "tests"), *sys.path[1:]])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "image"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": str(tmp_path), "PYTHONPATH": paths, "REQUIRE_TOOLS": strict},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert done.stdout.startswith(f"image: {word}, needs ")
    assert "buildah (Debian package buildah), debootstrap (Debian package debootstrap)" in done.stdout
