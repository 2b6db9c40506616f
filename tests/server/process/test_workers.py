"""Several workers on one port: what a caller and an operator see when they die, hang, and stop."""

import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.bundles.waiting import Waiting
from server.running.live import Launch, Running
from server.running.supervised import Supervised, send, supervised
from support.waiting import until

from genrestack import Client
from genrestack_common.resources import usable_cpus
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server.address import reserved_port
from genrestack_server.errors import AddressError

# On a busy machine an event loop may be heard late; only what hangs is silent for longer.
SOON = {"heartbeat_timeout": 5.0, "max_delay": 0.3}
# More than a run on the event loop itself may have.
MANY = 1000


@pytest.fixture(scope="module")
def pair(tiny_models: Path) -> Iterator[Supervised]:
    """Two workers that the tests of this module treat badly."""
    with supervised(tiny_models, SOON) as running:
        assert running.said, running.end()
        yield running


def ask(rows: int = 1) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(rows)))


def replaced(running: Supervised, gone: int) -> bool:
    """Whether another worker serves in the place of one."""
    workers = running.workers()
    return gone not in workers and len(workers) == 2 and running.metric("genrestack_workers_serving") == 2


def connections(pid: int, port: int) -> int:
    return sum(c.laddr[1] == port and c.status == "ESTABLISHED" for c in psutil.Process(pid).net_connections("tcp"))


class Load:
    """Callers that never cease; each answer is compared with the stack's own."""

    def __init__(self, running: Supervised, stack: TinyStack, callers: int = 4) -> None:
        self.answered = 0
        self._target, self._stack = f"127.0.0.1:{running.port}", stack
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(callers)
        self._callers = [self._pool.submit(self._call, seed) for seed in range(callers)]

    def end(self) -> None:
        self._over.set()
        self._pool.shutdown()
        for caller in self._callers:
            caller.result()

    def _call(self, seed: int) -> None:
        rows = draw_rows(3, seed)
        expected = self._stack.predict_proba(rows)
        with Client(self._target) as client:
            while not self._over.is_set():
                answer = client.predict(rows, timeout=10)
                np.testing.assert_allclose(answer.probabilities, expected, atol=1e-6)
                self.answered += 1


def test_the_port_is_shared_and_the_processors_are_divided(pair: Supervised) -> None:
    threads = max(1, usable_cpus() // 2)
    assert pair.said[0].startswith(f"serving tiny/2 on 127.0.0.1:{pair.port} — CPUExecutionProvider, {threads} thread")
    assert pair.said[0].endswith(" in each of 2 workers")
    stubs = [pair.stub() for _ in range(32)]
    for stub in stubs:
        assert stub.Predict(ask(), timeout=10).version == 2
    assert len(pair.workers()) == 2
    taken = [connections(pid, pair.port) for pid in pair.workers()]
    assert sum(taken) >= 32
    assert min(taken) > 0


def test_a_killed_worker_is_replaced_and_nobody_notices(pair: Supervised, stack: TinyStack) -> None:
    (victim, *_) = pair.workers()
    restarts = pair.metric("genrestack_worker_restarts_total", reason="ended")
    load = Load(pair, stack)
    counted = [0.0]
    try:
        until(lambda: load.answered > 50, "no answers")
        send(victim, signal.SIGKILL)
        while not replaced(pair, victim):
            counted.append(pair.metric("genrestack_requests_total", code="OK"))
        before = load.answered
        until(lambda: load.answered > before + 50, "no answers after the restart")
    finally:
        load.end()
    counted.append(pair.metric("genrestack_requests_total", code="OK"))
    assert counted == sorted(counted)
    assert pair.metric("genrestack_worker_restarts_total", reason="ended") == restarts + 1


def test_a_worker_that_hangs_is_replaced(pair: Supervised) -> None:
    (victim, other) = pair.workers()
    stuck = pair.metric("genrestack_worker_restarts_total", reason="stuck")
    send(victim, signal.SIGSTOP)
    until(lambda: replaced(pair, victim), "the worker still hangs")
    assert other in pair.workers()
    assert pair.metric("genrestack_worker_restarts_total", reason="stuck") == stuck + 1


def test_a_worker_told_to_end_finishes_and_is_replaced(pair: Supervised, stack: TinyStack) -> None:
    (victim, *_) = pair.workers()
    load = Load(pair, stack)
    try:
        until(lambda: load.answered > 50, "no answers")
        send(victim, signal.SIGTERM)
        send(victim, signal.SIGTERM)
        until(lambda: replaced(pair, victim), "the worker is still there")
    finally:
        load.end()


def test_a_worker_that_stops_for_a_moment_counts_as_serving_only_while_it_runs(tiny_models: Path) -> None:
    with supervised(tiny_models, {"heartbeat_timeout": 3600.0}) as running:
        workers = running.workers()
        (victim, *_) = workers
        send(victim, signal.SIGSTOP)
        until(lambda: running.metric("genrestack_workers_serving") == 1, "the worker still counts as serving")
        send(victim, signal.SIGCONT)
        until(lambda: running.metric("genrestack_workers_serving") == 2, "the worker is not noticed again")
        assert running.workers() == workers
        assert running.metric("genrestack_worker_restarts_total") == 0


def test_a_supervisor_that_was_stopped_blames_no_worker(tiny_models: Path) -> None:
    silence = 4.0
    with supervised(tiny_models, {"heartbeat_timeout": silence}) as running:
        workers = running.workers()
        send(running.process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        assert running.stub().Predict(ask(), timeout=10).labels
        until(lambda: time.monotonic() > stopped + 1.5 * silence, "time stands still")
        send(running.process.pid, signal.SIGCONT)
        until(lambda: running.metric("genrestack_workers_serving") == 2, "the workers are not noticed again")
        assert running.workers() == workers
        assert running.metric("genrestack_worker_restarts_total") == 0


def test_a_worker_that_computes_is_not_stuck_and_sigterm_waits_for_it(tiny_models: Path, tmp_path: Path) -> None:
    silence, waiting = 4.0, Waiting(tmp_path)
    with (
        supervised(tiny_models, {"heartbeat_timeout": silence}, waiting.env, grace=60) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        workers = running.workers()
        waiting.hold()
        batch = pool.submit(running.stub().Predict, ask(MANY), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + 1.5 * silence, "time stands still")
        assert running.workers() == workers
        send(running.process.pid, signal.SIGTERM)
        until(lambda: refuses(running), "the signal is not noticed")
        assert not batch.done()
        waiting.release()
        assert len(batch.result(60).labels) == MANY
        assert running.end()[0] == 0


def test_a_worker_whose_run_does_not_come_back_is_replaced(tiny_models: Path, tmp_path: Path) -> None:
    """Its event loop turns, but it will never compute anything again."""
    waiting = Waiting(tmp_path)
    with supervised(tiny_models, SOON, waiting.env) as running:
        waiting.hold(for_ever=True)
        with pytest.raises(grpc.RpcError):
            running.stub().Predict(ask(MANY), timeout=1)
        waiting.release()
        until(
            lambda: running.metric("genrestack_worker_restarts_total", reason="stuck") == 1, "the worker is still there"
        )
        until(lambda: running.metric("genrestack_workers_serving") == 2, "nobody serves in its place")


def refuses(running: Supervised) -> bool:
    """Whether new calls are refused, or do not even connect; others wait for the run that is held up."""
    with pytest.raises(grpc.RpcError) as caught:
        running.stub().Predict(ask(), timeout=0.5)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_workers_end_with_their_supervisor(tiny_models: Path) -> None:
    with supervised(tiny_models) as running:
        workers, port = running.workers(), running.port
        running.process.kill()
        running.process.wait()
        until(lambda: not any(map(psutil.pid_exists, workers)), "the workers outlive their supervisor")
        with reserved_port("127.0.0.1", port) as again:
            assert again == port


@pytest.mark.parametrize("what", ["empty", "broken", "busy"])
def test_what_cannot_start_says_why_as_one_process_does(
    what: str, tiny_models: Path, tiny_server: Running, tmp_path: Path
) -> None:
    models, port = tmp_path, 0
    if what == "broken":
        shutil.copytree(tiny_models / "tiny" / "1", tmp_path / "m" / "1")
        (tmp_path / "m" / "1" / "manifest.json").write_text("{")
    if what == "busy":
        models, port = tiny_models, tiny_server.port
    ends = []
    for workers in (1, 2):
        with supervised(models, workers=workers, port=port) as running:
            assert not running.said
            ends.append(running.end())
    assert [status for status, _ in ends] == [2, 2]
    (alone, together) = (log.strip().splitlines()[-1] for _, log in ends)
    assert together == alone
    assert alone.startswith("Error: ")


def test_workers_that_die_at_start_are_given_up(tiny_models: Path, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("import os\nos.abort()\n")
    with supervised(tiny_models, {"first_delay": 0.05}, {"PYTHONPATH": f"{tmp_path}:{_pythonpath()}"}) as running:
        assert not running.said
        status, log = running.end()
    assert status == 2
    assert "was killed by SIGABRT while it started" in log.splitlines()[-1]
    assert log.count("is tried again") >= 2


def test_a_worker_that_cannot_come_back_does_not_end_the_others(tmp_path: Path, stack: TinyStack) -> None:
    write_tiny(tmp_path / "models", "tiny", stack)
    with (
        supervised(tmp_path / "models", SOON, poll_interval=3600.0) as running,
        Client(f"127.0.0.1:{running.port}") as client,
    ):
        (victim, other) = running.workers()
        (tmp_path / "models" / "tiny").rename(tmp_path / "away")
        send(victim, signal.SIGKILL)
        until(lambda: running.metric("genrestack_worker_restarts_total") > 5, "it is not tried again")
        assert other in running.workers()
        assert client.predict(draw_rows(2)).labels
        (tmp_path / "away").rename(tmp_path / "models" / "tiny")
        until(lambda: replaced(running, victim), "it did not come back")
        send(running.process.pid, signal.SIGTERM)
        assert running.end()[0] == 0


def test_the_command(tiny_models: Path, launch: Launch) -> None:
    command = launch(tiny_models, "--port", "0", "--workers", "2", "--metrics-port", "0")
    assert command.said.endswith(" in each of 2 workers\n")
    assert command.running.stub.Predict(ask(), timeout=10).version == 2
    assert command.running.health() == "SERVING"
    assert command.process.stdout is not None
    assert command.process.stdout.readline().startswith("metrics on http://127.0.0.1:")
    command.process.terminate()
    _, log = command.process.communicate(timeout=30)
    assert command.process.returncode == 0, log


def test_what_one_worker_is_asked_to_load_all_do(tiny_models: Path) -> None:
    options: dict[str, Any] = {"repository_mode": "explicit", "load_models": ["tiny"], "management": "open"}
    with supervised(tiny_models, SOON, **options) as running:
        stubs = [running.stub() for _ in range(16)]

        def answers() -> set[bool]:
            return {answered(stub) for stub in stubs}

        with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as manager:
            manager.unload_model("tiny")
            until(lambda: answers() == {False}, "a worker still serves what was unloaded")
            manager.load_model("tiny")
            until(lambda: answers() == {True}, "a worker does not serve what was loaded")
            manager.unload_model("tiny")
        (victim, *_) = running.workers()
        send(victim, signal.SIGKILL)
        until(lambda: replaced(running, victim), "the worker is not replaced")
        until(lambda: answers() == {False}, "the new worker loaded what had been unloaded")


def answered(stub: PredictionServiceStub) -> bool:
    try:
        return bool(stub.Predict(ask(), timeout=10, wait_for_ready=True).labels)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return answered(stub)
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False


def test_a_reserved_port_is_refused_to_everybody_else() -> None:
    with reserved_port("localhost", 0) as port:
        with pytest.raises(AddressError, match=f"port {port} on 127.0.0.1 is taken"):
            reserved_port("127.0.0.1", port).__enter__()
        with socket.socket() as one, socket.socket() as other:
            for listener in (one, other):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen()


def _pythonpath() -> str:
    import os

    return os.environ.get("PYTHONPATH", "")
