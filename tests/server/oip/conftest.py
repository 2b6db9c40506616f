"""A server that manages its models by request, and a client of the protocol that somebody else wrote."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from server.live import Running
from tritonclient.grpc import service_pb2_grpc


@pytest.fixture
def client(tiny_server: Running) -> Iterator[Any]:
    """The unmodified tritonclient, connected to a server of `tiny`."""
    with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
        yield client


@pytest.fixture(scope="session")
def inference_stub(tiny_server: Running) -> Any:
    """The stub that tritonclient has compiled in."""
    return service_pb2_grpc.GRPCInferenceServiceStub(tiny_server.channel)


@pytest.fixture
def empty_models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
