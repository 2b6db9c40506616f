"""Clients of the protocol that somebody else wrote, and servers that let them manage models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from server.running.live import Running, running_server
from tritonclient.grpc import service_pb2_grpc


@pytest.fixture(scope="session")
def tiny_server(tiny_models: Path) -> Iterator[Running]:
    """A server of `tiny` whose statistics may be asked for."""
    with running_server(tiny_models, max_rows=1000, max_message_mib=1, management="open") as running:
        yield running


@pytest.fixture
def client(tiny_server: Running) -> Iterator[Any]:
    """The unmodified tritonclient, connected to a server of `tiny`."""
    with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
        yield client


@pytest.fixture(scope="session")
def inference_stub(tiny_server: Running) -> Any:
    """The stub that tritonclient has compiled in."""
    return service_pb2_grpc.GRPCInferenceServiceStub(tiny_server.channel)
