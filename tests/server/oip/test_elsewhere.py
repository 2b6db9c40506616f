"""Clients by gRPC that need an environment of their own: their messages collide with those of tritonclient."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.bundles.tiny import TinyStack, write_tiny
from server.http.elsewhere import asked, check
from server.running.live import Running, RunServer

HERE = Path(__file__).parent


@pytest.fixture
def explicit(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> Iterator[Running]:
    """A server that has loaded `tiny`, and can load `other`."""
    for name in ("tiny", "other"):
        write_tiny(tmp_path, name, stack)
    with run_server(tmp_path, repository_mode="explicit", load_models=("tiny",), management="open") as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_mlserver(explicit: Running, tmp_path: Path, stack: TinyStack) -> None:
    script, address = HERE / "mlserver_client.py", f"127.0.0.1:{explicit.port}"
    answers = asked(script, "mlserver==1.7.1", tmp_path / "apart", address)
    check(answers, stack)
    assert answers["loaded"]
    assert answers["server"] == "genrestack"
    assert answers["index"] == ["other", "tiny"]
    assert answers["platform"] == "onnxruntime_onnx"
    assert answers["outputs"][:3] == ["label", "class_index", "probabilities"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_kserve(explicit: Running, tmp_path: Path, stack: TinyStack) -> None:
    script, address = HERE / "kserve_client.py", f"127.0.0.1:{explicit.port}"
    check(asked(script, "kserve==0.21.0", tmp_path / "apart", address), stack)
