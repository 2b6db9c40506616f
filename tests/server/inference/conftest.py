"""Versions of a tiny model: as they are loaded, and with runs that wait until they are let go."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.bundles.held import Held

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.models.loader import load_version
from genrestack_server.models.registry import ServedModel


@pytest.fixture(scope="module")
def tiny(tiny_models: Path) -> ServedModel:
    return load_version("tiny", 2, ServerConfig(models_dir=tiny_models, threads=1))


@pytest.fixture(scope="module")
def older(tiny_models: Path) -> ServedModel:
    return load_version("tiny", 1, ServerConfig(models_dir=tiny_models, threads=1))


@pytest.fixture
def held(tiny: ServedModel) -> Iterator[Held]:
    made = Held(tiny)
    yield made
    made.free()
