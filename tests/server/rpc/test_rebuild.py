"""What becomes of a server whose port gRPC closes, as grpcio from 1.84 on does for a path that is not UTF-8.

Here it does so with any grpcio: what its serving task does next for a call raises an error.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from server.bundles.tiny import draw_rows
from server.bundles.waiting import Waiting
from server.running.supervised import Supervised, send, supervised
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

# More than a run on the event loop itself may have.
MANY = 1000


def ask(rows: int) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(rows)))


# Python imports it as it starts.
_PROGRAM = """
import asyncio.base_events, os
_real = asyncio.base_events.BaseEventLoop.create_task
def create_task(self, coroutine, **options):
    if "_schedule_rpc_coro" in getattr(coroutine, "__qualname__", ""):
        try:
            os.unlink({mark!r})
        except FileNotFoundError:
            pass
        else:
            coroutine.close()
            raise RuntimeError("the serving task ends")
    return _real(self, coroutine, **options)
asyncio.base_events.BaseEventLoop.create_task = create_task
"""


class Fragile:
    """Processes whose gRPC server closes its port when told to."""

    def __init__(self, folder: Path) -> None:
        self._mark = folder / "close"
        module = folder / "fragile" / "sitecustomize.py"
        module.parent.mkdir()
        module.write_text(_PROGRAM.format(mark=str(self._mark)), encoding="utf-8")
        self.path = str(module.parent)

    def env(self, others: str | None = None) -> dict[str, str]:
        """Return what a process is started with; `others` is a PYTHONPATH that it needs besides."""
        paths = [self.path, *filter(None, [others or os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(paths)}

    def attack(self, running: Supervised) -> None:
        """Make the next call close the port, and make it; the port may just be closed."""
        self._mark.touch()
        with suppress(grpc.RpcError), running.connect() as channel:
            PredictionServiceStub(channel).Predict(ask(1), timeout=1)


@pytest.fixture
def fragile(tmp_path: Path) -> Fragile:
    """A server's process that closes its port when the test asks for it."""
    return Fragile(tmp_path)


def answers(running: Supervised) -> bool:
    try:
        return len(running.stub().Predict(ask(1), timeout=10).labels) == 1
    except grpc.RpcError:
        return False


@contextmanager
def taken(running: Supervised, fragile: Fragile) -> Iterator[None]:
    """Take the port of a server in the moment in which gRPC closes it."""
    got = threading.Event()
    held: list[socket.socket] = []

    def take() -> None:
        while not got.is_set():
            # A new one each time: one that is bound, and may not listen because the server does, cannot be bound again.
            other = socket.socket()
            # Connections that were closed a moment ago may still have it.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind(("127.0.0.1", running.port))
                other.listen()
            except OSError:
                other.close()
                continue
            held.append(other)
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        # The server may be quicker, and is attacked again then.
        while not got.is_set():
            fragile.attack(running)
        yield
    finally:
        got.set()
        thread.join()
        for other in held:
            other.close()


def test_what_is_in_flight_is_answered(tiny_models: Path, tmp_path: Path, fragile: Fragile) -> None:
    waiting = Waiting(tmp_path)
    env = fragile.env(waiting.env["PYTHONPATH"])
    with supervised(tiny_models, env=env, workers=1) as running, ThreadPoolExecutor(1) as pool:
        waiting.hold()
        call = pool.submit(running.stub().Predict, ask(MANY), timeout=60)
        until(lambda: waiting.begun, "no run begins")
        fragile.attack(running)
        until(lambda: running.metric("genrestack_grpc_rebuilds_total") == 1, "the server is not rebuilt")
        assert not call.done()
        waiting.release()
        assert len(call.result(60).labels) == MANY
        assert answers(running)


def test_a_port_that_another_program_holds_for_a_moment(tiny_models: Path, fragile: Fragile) -> None:
    with supervised(tiny_models, env=fragile.env(), workers=1) as running:
        with taken(running, fragile):
            assert running.process.poll() is None
        until(lambda: answers(running), "the port is not taken back")


def test_a_port_that_another_program_keeps_ends_the_server(tiny_models: Path, fragile: Fragile) -> None:
    with supervised(tiny_models, env=fragile.env(), workers=1) as running, taken(running, fragile):
        status, log = running.end()
    assert status == 1, log
    (line,) = (line for line in log.splitlines() if " ERROR " in line and "gRPC closed the port" in line)
    assert f"port {running.port} on 127.0.0.1 is taken by another program" in line


def test_a_server_can_be_stopped_while_its_port_is_closed(tiny_models: Path, fragile: Fragile) -> None:
    with supervised(tiny_models, env=fragile.env(), workers=1) as running, taken(running, fragile):
        send(running.process.pid, signal.SIGTERM)
        status, log = running.end()
    assert status == 0, log
