"""Clients by HTTP that need an environment of their own: KServe's, MLServer's types, and the blocking one of Triton."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.bundles.tiny import TinyStack, write_tiny
from server.http.asking import http_port
from server.http.elsewhere import asked, check
from server.running.live import Running, RunServer

HERE = Path(__file__).parent


@pytest.fixture
def explicit(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> Iterator[Running]:
    """A server that has loaded `tiny` of two models."""
    for name in ("tiny", "other"):
        write_tiny(tmp_path, name, stack)
    options = {"repository_mode": "explicit", "load_models": ("tiny",), "management": "open", "http_port": 0}
    with run_server(tmp_path, **options) as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("package", ["kserve==0.21.0", "mlserver==1.7.1", "tritonclient[http]==2.73.0"])
def test_its_client_is_answered(package: str, explicit: Running, tmp_path: Path, stack: TinyStack) -> None:
    name = package.partition("==")[0].partition("[")[0]
    script, address = HERE / "clients" / f"{name}_client.py", f"127.0.0.1:{http_port(explicit)}"
    check(asked(script, package, tmp_path / "apart", address), stack)
