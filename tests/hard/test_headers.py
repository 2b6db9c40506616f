"""Requests whose path, method, authority or metadata are any bytes: the port stays open, and others are answered."""

import random
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest
from hard.callers.http2 import NOT_UTF8, PREDICT, Header, connect, connection, draw, finish, request
from hard.callers.steady import Expected, Load
from hard.lengths import times
from hard.served import OWN_CONNECTION, Served, served
from support.network.certificates import Authority
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

REQUESTS = times(200, 10_000)
REBUILDS = times(30, 3_000)
A_CONNECTION = 10

Say = Callable[[str], None]
Serve = Callable[[Path, Path], AbstractContextManager["Target"]]


@dataclass
class Target:
    """A server, how its callers reach it, and how the others do."""

    server: Served
    credentials: grpc.ChannelCredentials | None = None
    tls: ssl.SSLContext | None = None

    def answered(self, expected: Expected) -> None:
        """Wait until a caller is answered on a new connection; it asks again, as callers with retries do."""
        until(lambda: self._asked(expected), "nothing is answered", 30)

    def _asked(self, expected: Expected) -> bool:
        wanted = PredictRequest(rows=to_matrix(expected.pool[:2]))
        try:
            with self.connect() as channel:
                answer = PredictionServiceStub(channel).Predict(wanted, timeout=30, wait_for_ready=True)
        except grpc.RpcError as error:
            # It reached the server just as that lost its port.
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                raise
            return False
        return expected.difference(answer, 0, 2) == 0

    def connect(self) -> grpc.Channel:
        if self.credentials is None:
            return self.server.connect()
        return grpc.secure_channel(f"localhost:{self.server.port}", self.credentials, OWN_CONNECTION)

    def send(self, requests: Sequence[list[Header]], body: bytes | None = None) -> bool:
        """Make these calls on a connection of their own; tell whether the port was open."""
        try:
            with connect(self.server.port, self.tls) as link:
                link.sendall(connection(requests, body))
                finish(link, len(requests))
        except ConnectionRefusedError:
            return False
        except OSError:
            # Cut off in the middle.
            return True
        return True

    def attack(self, times: int = 1) -> None:
        """Send as many requests whose path is not UTF-8."""
        for _ in range(times):
            until(lambda: self.send([request(NOT_UTF8)]), "the port is closed", 30)


@contextmanager
def plain(repository: Path, folder: Path) -> Iterator[Target]:
    with served(repository, "--metrics-port", "0") as server:
        yield Target(server)


@contextmanager
def shared(repository: Path, folder: Path) -> Iterator[Target]:
    with served(repository, "--metrics-port", "0", "--workers", "2") as server:
        yield Target(server)


@contextmanager
def mutual_tls(repository: Path, folder: Path) -> Iterator[Target]:
    authority = Authority.make()
    pair, mine = authority.server(folder), authority.client(folder)
    trusted = authority.write(folder / "ca.pem")
    tls = ssl.create_default_context(cafile=trusted)
    tls.load_cert_chain(mine.certificate, mine.key)
    tls.set_alpn_protocols(["h2"])
    credentials = grpc.ssl_channel_credentials(authority.pem, mine.key.read_bytes(), mine.certificate.read_bytes())
    options = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key), "--tls-client-ca", str(trusted))
    with served(repository, "--metrics-port", "0", *options) as server:
        yield Target(server, credentials, tls)


@pytest.mark.parametrize("serve", [plain, shared, mutual_tls])
def test_a_path_that_is_not_utf8_closes_no_port(
    serve: Serve, repository: Path, expected: Expected, tmp_path: Path, say: Say
) -> None:
    with serve(repository, tmp_path) as target:
        before = {worker.pid for worker in target.server.workers()}
        with Load(target.connect, expected) as load:
            load.wait_for(100)
            for _ in range(times(3, 50)):
                target.attack(2)
                target.answered(expected)
                load.wait_for(20)
        assert {worker.pid for worker in target.server.workers()} == before, target.server.log()
        assert "Task exception was never retrieved" not in target.server.log()
        rebuilds = target.server.metric("genrestack_grpc_rebuilds_total")
        target.attack(5)
        assert target.server.stop() == 0, target.server.log()
    # A client that connects in the moment in which the port is closed is refused; what is in flight is answered.
    load.tally.check("UNAVAILABLE", "CANCELLED")
    say(f"{rebuilds:.0f} rebuilds: {load.tally.line()}")


def test_rebuilds_leave_nothing_behind(repository: Path, expected: Expected, say: Say) -> None:
    with plain(repository, repository) as target:
        process = psutil.Process(target.server.process.pid)
        target.attack(max(REBUILDS // 4, 20))
        target.answered(expected)
        before, files = target.server.memory(), process.num_fds()
        target.attack(REBUILDS)
        target.answered(expected)
        # The connections that were cut last may still be closing.
        until(lambda: process.num_fds() <= files + 2, "descriptors are left open", 30)
        after = target.server.memory()
        lines = re.findall("WARNING gRPC closed the port", target.server.log())
        rebuilds = target.server.metric("genrestack_grpc_rebuilds_total")
        assert target.server.stop() == 0
    assert after <= before * 1.05
    assert len(lines) <= max(rebuilds / 2, 1)
    say(f"{rebuilds:.0f} rebuilds: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after, {len(lines)} lines logged")


@pytest.mark.parametrize("serve", [plain, shared])
def test_headers_of_any_bytes_close_no_port(serve: Serve, repository: Path, expected: Expected, say: Say) -> None:
    dice = random.Random(41)
    body = PredictRequest(rows=to_matrix(expected.pool[:1])).SerializeToString()
    sent = 0
    with serve(repository, repository) as target:
        before = {worker.pid for worker in target.server.workers()}
        while sent < REQUESTS:
            for _ in range(max(REQUESTS // (A_CONNECTION * 10), 1)):
                # A connection of which one request is at fault may end before the others are read.
                requests = [draw(dice) for _ in range(dice.choice((1, 1, A_CONNECTION)))]
                until(partial(target.send, requests, dice.choice((body, None))), "the port is closed", 30)
                sent += len(requests)
            target.answered(expected)
        assert {worker.pid for worker in target.server.workers()} == before
        assert target.server.stop() == 0, target.server.log()
    say(f"{sent:,} requests with headers of any bytes")


def test_a_good_request_written_byte_by_byte_is_answered(repository: Path, expected: Expected) -> None:
    """What the other tests send would be refused for its form alone if this one were not answered."""
    body = PredictRequest(rows=to_matrix(expected.pool[:1])).SerializeToString()
    with plain(repository, repository) as target:
        with connect(target.server.port) as link:
            link.sendall(connection([request(PREDICT)], body))
            finish(link)
        assert target.server.metric("genrestack_requests_total", method="Predict", code="OK") == 1
