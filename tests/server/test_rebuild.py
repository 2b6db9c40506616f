"""What becomes of a server whose port gRPC closes: here because of a request whose path is not UTF-8."""

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from hard.http2 import NOT_UTF8, connect, connection, finish, request
from server.supervised import Supervised, send, supervised
from server.tiny_bundle import draw_rows
from server.waiting import Waiting
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

# More than a run on the event loop itself may have.
MANY = 1000


def ask(rows: int) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(rows)))


def attack(port: int) -> None:
    """Send a request whose path is not UTF-8; the port may just be closed."""
    try:
        with connect(port) as link:
            link.sendall(connection([request(NOT_UTF8)]))
            finish(link)
    except OSError:
        return


@pytest.fixture(scope="module", autouse=True)
def _fragile(tiny_models: Path) -> None:
    """Skip where gRPC takes such a path for what it is: nothing has to be rebuilt there."""
    with supervised(tiny_models, workers=1) as running:
        for _ in range(3):
            attack(running.port)
        until(lambda: answers(running), "it does not answer")
        rebuilds = running.metric("genrestack_grpc_rebuilds_total")
    if not rebuilds:
        pytest.skip(f"grpcio {grpc.__version__} does not close its port for such a path")


def answers(running: Supervised) -> bool:
    try:
        return len(running.stub().Predict(ask(1), timeout=10).labels) == 1
    except grpc.RpcError:
        return False


@contextmanager
def taken(running: Supervised) -> Iterator[None]:
    """Take the port of a server in the moment in which gRPC closes it."""
    got = threading.Event()
    with socket.socket() as other:

        def take() -> None:
            while not got.is_set():
                try:
                    other.bind(("127.0.0.1", running.port))
                    other.listen()
                except OSError:
                    continue
                got.set()

        thread = threading.Thread(target=take)
        thread.start()
        try:
            # The server may be quicker, and is attacked again then.
            while not got.is_set():
                attack(running.port)
            yield
        finally:
            got.set()
            thread.join()


def test_what_is_in_flight_is_answered(tiny_models: Path, tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    with supervised(tiny_models, env=waiting.env, workers=1) as running, ThreadPoolExecutor(1) as pool:
        waiting.hold()
        call = pool.submit(running.stub().Predict, ask(MANY), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        attack(running.port)
        until(lambda: running.metric("genrestack_grpc_rebuilds_total") == 1, "the server is not rebuilt")
        assert not call.done()
        waiting.release()
        assert len(call.result(60).labels) == MANY
        assert answers(running)


def test_a_port_that_another_program_holds_for_a_moment(tiny_models: Path) -> None:
    with supervised(tiny_models, workers=1) as running:
        with taken(running):
            assert running.process.poll() is None
        until(lambda: answers(running), "the port is not taken back")


def test_a_port_that_another_program_keeps_ends_the_server(tiny_models: Path) -> None:
    with supervised(tiny_models, workers=1) as running, taken(running):
        status, log = running.end()
    assert status == 1, log
    (line,) = (line for line in log.splitlines() if " ERROR " in line and "gRPC closed the port" in line)
    assert f"port {running.port} on 127.0.0.1 is taken by another program" in line


def test_a_server_can_be_stopped_while_its_port_is_closed(tiny_models: Path) -> None:
    with supervised(tiny_models, workers=1) as running, taken(running):
        send(running.process.pid, signal.SIGTERM)
        status, log = running.end()
    assert status == 0, log
