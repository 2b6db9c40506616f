"""A run that never ends, in a process: its callers are told in time, others are answered, and the process can stop."""

import signal
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hard.served import Served, served
from server.bundles.hostile import endless_when_hot, hot_rows, write_hostile
from server.bundles.tiny import TinyStack, draw_rows
from support.waiting import until

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

HOT = PredictRequest(rows=to_matrix(hot_rows()))


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A repository of one model that a hot row sets off."""
    write_hostile(tmp_path / "models", "tiny", "scaler.onnx", endless_when_hot)
    return tmp_path / "models"


def _begin(server: Served, stub: Any) -> Any:
    """Ask for what never ends, without a deadline; wait until it has arrived."""
    call = stub.Predict.future(HOT)
    until(lambda: server.metric("genrestack_requests_in_flight") == 1, "the call does not arrive")
    return call


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_in_an_endless_run_can_be_stopped(trap: Path, workers: int) -> None:
    options = ("--workers", str(workers), "--grace", "0.2", "--max-compute-seconds", "86400", "--metrics-port", "0")
    with served(trap, *options) as server, server.connect() as channel:
        call = _begin(server, PredictionServiceStub(channel))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) in {0, 1}
        assert call.exception() is not None


def test_the_server_goes_on_after_each_endless_run(trap: Path) -> None:
    rows = draw_rows(5)
    right = TinyStack.draw().predict_proba(rows)
    with served(trap, "--max-compute-seconds", "0.5", "--metrics-port", "0") as server, server.connect() as channel:
        stub = PredictionServiceStub(channel)
        for timeout, code in ((None, grpc.StatusCode.INTERNAL), (0.1, grpc.StatusCode.DEADLINE_EXCEEDED)) * 3:
            with pytest.raises(grpc.RpcError) as refused:
                stub.Predict(HOT, timeout=timeout)
            assert refused.value.code() is code
            answer = stub.Predict(PredictRequest(rows=to_matrix(rows)), timeout=60)
            np.testing.assert_allclose(from_matrix(answer.probabilities), right, atol=1e-6)
        assert server.log().count("took too long for 1 row, and was ended") == 3
        assert server.stop() == 0
