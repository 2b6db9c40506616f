"""Versions that come, change and go while the server runs, over a real port."""

import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from server.live import Running, RunServer
from server.tiny_bundle import TinyStack, draw_rows, write_tiny

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse
from genrestack_server.registry import IndexEntry, VersionState

LOOK_S = 0.05


def ask(running: Running, model: str = "", version: int = 0) -> PredictResponse:
    return running.stub.Predict(PredictRequest(model=model, version=version, rows=to_matrix(draw_rows(3))), timeout=20)


def refusal(running: Running, model: str = "", version: int = 0) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(running, model, version)
    return caught.value.code(), str(caught.value.details())


def wait_until(true: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def index(running: Running) -> list[IndexEntry]:
    assert running.server is not None
    return running.server.registry.index()


def test_a_new_version_is_noticed_and_the_old_one_let_go(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    write_tiny(tmp_path, "tiny", stack)
    with run_server(tmp_path, poll_interval=LOOK_S) as running:
        assert ask(running).version == 1
        other = TinyStack.draw(5)
        write_tiny(tmp_path, "tiny", other)
        wait_until(lambda: ask(running).version == 2)
        found = from_matrix(ask(running).probabilities)
        assert abs(found - other.predict_proba(draw_rows(3))).max() < 1e-6
        assert running.health("tiny/2") == running.health("tiny") == running.health() == "SERVING"
        wait_until(lambda: running.health("tiny/1") == "NOT_SERVING")
        assert [(e.version, e.state) for e in index(running)] == [
            (1, VersionState.UNAVAILABLE), (2, VersionState.READY),
        ]  # fmt: skip
