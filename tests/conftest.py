"""Fixtures that every folder of tests shares."""

from pathlib import Path

import pytest
from support.figures import pytest_terminal_summary, say
from support.samples.stacks import FittedStack, export, fit_digits
from support.tools import STRICT, need

from genrestack_audio.features.compiled import prepare

__all__ = ["pytest_terminal_summary", "say"]

# Collecting the tests imports librosa in several processes at once.
prepare()

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


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
