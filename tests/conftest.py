"""Fixtures that every folder of tests shares."""

import os
from pathlib import Path

import pytest
from support.stacks import FittedStack, export, fit_digits

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
STRICT = os.environ.get("REQUIRE_TOOLS") == "1"


def need(found: bool, what: str, *, required: bool = STRICT) -> None:
    """Skip, saying what is needed; fail instead where REQUIRE_TOOLS=1 promises that it is there."""
    if found:
        return
    if required:
        pytest.fail(f"REQUIRE_TOOLS=1, but this test needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real GTZAN tables beside the project; skips without it."""
    data = SHARED / "data"
    need(data.is_dir(), "the GTZAN tables in ../shared/data", required=STRICT and SHARED.is_dir())
    return data


@pytest.fixture(scope="session")
def small_stack() -> FittedStack:
    """A stack fitted on some of scikit-learn's digits, without a network."""
    return fit_digits()


@pytest.fixture(scope="session")
def models_dir(small_stack: FittedStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with one version of one model, `digits`; not to be changed."""
    repository = tmp_path_factory.mktemp("models")
    export(small_stack, repository, "digits", metrics={"accuracy": 0.9})
    return repository
