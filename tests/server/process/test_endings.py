"""How a server ends: drained, forced, or interrupted, and never later than it was told to."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from server.bundles.tiny import draw_rows
from server.bundles.waiting import Waiting
from server.running.supervised import Supervised, send, supervised
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

# More than a run on the event loop itself may have.
MANY = 1000


@pytest.fixture
def waiting(tmp_path: Path) -> Waiting:
    """Runs that the test holds up."""
    return Waiting(tmp_path)


def ask(rows: int) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(rows)))


def refuses(running: Supervised) -> bool:
    """Whether a server refuses new calls; one that does not lets them wait for the run that is held up."""
    with pytest.raises(grpc.RpcError) as caught:
        running.stub().Predict(ask(1), timeout=0.5)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_does_not_return_ends_with_the_grace(tiny_models: Path, waiting: Waiting, workers: int) -> None:
    with (
        supervised(tiny_models, env=waiting.env, workers=workers, grace=0.2) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting.hold(for_ever=True)
        call = pool.submit(running.stub().Predict, ask(MANY), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        send(running.process.pid, signal.SIGTERM)
        status, log = running.end()
        assert status == 1, log
        error = call.exception(30)
    assert isinstance(error, grpc.RpcError)
    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def test_a_run_that_nobody_waits_for_holds_up_no_end(tiny_models: Path, waiting: Waiting) -> None:
    with supervised(tiny_models, env=waiting.env, workers=1, grace=3600) as running:
        waiting.hold(for_ever=True)
        call = running.stub().Predict.future(ask(MANY), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        call.cancel()
        until(lambda: running.metric("genrestack_requests_in_flight") == 0, "the call is still in flight")
        send(running.process.pid, signal.SIGTERM)
        assert running.end()[0] == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_what_the_first_waits_for(tiny_models: Path, waiting: Waiting, workers: int) -> None:
    with (
        supervised(tiny_models, env=waiting.env, workers=workers, grace=3600) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting.hold()
        call = pool.submit(running.stub().Predict, ask(MANY), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        send(running.process.pid, signal.SIGINT)
        until(lambda: refuses(running), "the first signal is not noticed")
        assert running.process.poll() is None
        assert not call.done()
        send(running.process.pid, signal.SIGTERM)
        status, log = running.end()
        assert status == 1, log
        assert isinstance(call.exception(30), grpc.RpcError)


def test_a_second_signal_ends_a_process_whose_event_loop_is_stuck(tiny_models: Path, waiting: Waiting) -> None:
    with supervised(tiny_models, env=waiting.env, workers=1, grace=3600) as running, ThreadPoolExecutor(1) as pool:
        waiting.hold(for_ever=True)
        # A single row is computed on the event loop.
        call = pool.submit(running.stub().Predict, ask(1), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        send(running.process.pid, signal.SIGTERM)
        send(running.process.pid, signal.SIGINT)
        status, log = running.end()
        assert status == 1
        assert "leaving by force" in log
        assert isinstance(call.exception(30), grpc.RpcError)


def test_a_process_whose_event_loop_is_stuck_ends_with_the_grace(tiny_models: Path, waiting: Waiting) -> None:
    with supervised(tiny_models, env=waiting.env, workers=1, grace=0.1) as running, ThreadPoolExecutor(1) as pool:
        waiting.hold(for_ever=True)
        call = pool.submit(running.stub().Predict, ask(1), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        send(running.process.pid, signal.SIGTERM)
        assert running.end()[0] == 1
        assert isinstance(call.exception(30), grpc.RpcError)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_before_anything_is_served(
    tiny_models: Path, waiting: Waiting, workers: int, number: signal.Signals, expected: int
) -> None:
    waiting.hold()
    with supervised(tiny_models, env=waiting.env, workers=workers, waits=False) as running:
        until(lambda: waiting.begun, "nothing is loaded")
        send(running.process.pid, number)
        status, log = running.end()
    assert status == expected, log
    assert not running.said
