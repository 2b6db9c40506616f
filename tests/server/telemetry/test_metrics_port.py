"""The metrics' port under scrapers that mean harm: real sockets, one thread, an answer or an end for each."""

import asyncio
import contextlib
import gzip
import logging
import os
import resource
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from genrestack_server.telemetry import metrics_server
from genrestack_server.telemetry.metrics_server import MOST_CONNECTIONS, MetricsEndpoint, metrics_endpoint

MIB = 2**20
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", registry=registry).inc(3)
    return registry


@pytest.fixture
def port(registry: CollectorRegistry) -> Iterator[int]:
    with metrics_endpoint("127.0.0.1", 0, registry) as url:
        yield int(url.split(":")[2].split("/")[0])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def received(connection: socket.socket) -> bytes:
    """Read to the end; a connection that is cut off has ended, too."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65_536):
            answer += more
    return answer


def sent(port: int, request: bytes) -> bytes:
    """Send a request, whatever it is, and return the whole response."""
    with connect(port) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return received(connection)


def status(answer: bytes) -> int:
    version, code, _ = answer.split(b" ", 2)
    assert version == b"HTTP/1.1"
    return int(code)


def works(port: int) -> bool:
    answer = sent(port, GET)
    return status(answer) == 200 and b"\ncalls_total 3.0\n" in answer


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (GET, 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\n\n", 200),
        (b"\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n", 200),
        (b"GET http://127.0.0.1:1/metrics HTTP/1.1\r\n\r\n", 200),
        (b"GET /metrics?name[]=x HTTP/1.1\r\n\r\n", 200),
        (b"GET /metrics?name[]=calls_total&name[]=&%%%00=\xff HTTP/1.1\r\n\r\n", 200),
        (b"GET /metrics?" + b"a&" * 5000 + b" HTTP/1.1\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nAccept: text/plain;version=text\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=\xff;escaping=;=\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nno field\r\n:\r\n\0\xff: \x01\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n", 200),
        (GET * 100, 200),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 405),
        (b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * MIB, 405),
        (b"OPTIONS /metrics HTTP/1.1\r\n\r\n", 405),
        (b"BREW /metrics HTTP/1.1\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /%6detrics HTTP/1.1\r\n\r\n", 404),
        (b"GET http://[/metrics HTTP/1.1\r\n\r\n", 200),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /metrics HTTP/9.9\r\n\r\n", 505),
        (b"", 400),
        (b"\r\n" * 10, 400),
        (b"GET", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1 \r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n", 400),
        (b"\x16\x03\x01" + bytes(100), 400),
        (bytes(range(256)) * 4 + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 8 * MIB + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * (MIB // 2) + b"\r\n", 431),
        (b"\r\n" * 4 * MIB, 431),
        (b"\0" * 8 * MIB, 431),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else str(value),
)
def test_whatever_is_sent_gets_a_status(
    port: int, request_: bytes, code: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = sent(port, request_)
    assert status(answer) == code
    head, body = answer.split(b"\r\n\r\n", 1)
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert b"Connection: close" in head
    assert len(body) == (0 if request_.startswith(b"HEAD") else length)
    assert (b"calls_total 3.0" in body) == (code == 200 and not request_.startswith(b"HEAD"))
    assert works(port)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_library_that_keeps_its_connection_alive_is_told_of_its_end(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(3):
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.will_close
        assert b"calls_total 3.0" in gzip.decompress(answer.read())
    connection.close()


@pytest.mark.parametrize("begun", [b"", b"G", GET[:-2]])
def test_idle_and_slow_scrapers_take_no_threads_and_keep_nobody_out(port: int, begun: bytes) -> None:
    threads = threading.active_count()
    with contextlib.ExitStack() as held:
        slow = [held.enter_context(connect(port)) for _ in range(6 * MOST_CONNECTIONS)]
        for connection in slow:
            with contextlib.suppress(OSError):
                connection.sendall(begun)
        assert works(port)
        assert threading.active_count() == threads
        # All but the latest have been ended to let others in.
        for connection in slow[: 4 * MOST_CONNECTIONS]:
            assert received(connection) == b""


class Large(Collector):
    """More than the sockets' buffers hold."""

    def collect(self) -> Iterator[Metric]:
        family = Metric("calls", "Calls.", "counter")
        for number in range(60_000):
            family.add_sample("calls_total", {"number": f"{number:0100}"}, 1)
        yield family


def test_scrapers_that_never_read_keep_nobody_out() -> None:
    with (
        metrics_endpoint("127.0.0.1", 0, Large()) as url,
        connect(int(url.split(":")[2].split("/")[0])) as silent,
    ):
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.sendall(GET)
        port = silent.getpeername()[1]
        assert sent(port, GET).count(b"calls_total{") == 60_000


def test_a_connection_that_takes_too_long_is_ended(registry: CollectorRegistry) -> None:
    """Its time is short here; what it sends in between does not make it longer."""

    async def trickle(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(OSError):
            while not ended.done():
                writer.write(b"G")
                await writer.drain()
                await asyncio.sleep(0.01)
        with contextlib.suppress(OSError):
            assert await ended == b""
        writer.close()

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            stopping = asyncio.Event()
            serving = asyncio.create_task(MetricsEndpoint(listener, registry, within=0.3).serve(stopping))
            await trickle(listener.getsockname()[1])
            stopping.set()
            await serving

    asyncio.run(main())


class Counted(socket.socket):
    """A listener that counts how often it is asked for a connection."""

    asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        return super().accept()


def test_without_descriptors_it_waits_and_does_not_spin(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause is the test's own: while it lasts no connection is asked for, and after it the scraper is answered."""
    waiting, again = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        waiting.set()
        await again.wait()
        again.clear()

    async def main() -> bytes:
        with Counted() as listener, socket.socket() as scraper:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            for each in (listener, scraper):
                each.setblocking(False)
            stopping = asyncio.Event()
            serving = asyncio.create_task(MetricsEndpoint(listener, registry, pause=pause).serve(stopping))
            with no_descriptors():
                await asyncio.get_running_loop().sock_connect(scraper, listener.getsockname())
                for _ in range(3):
                    await waiting.wait()
                    waiting.clear()
                    before = listener.asked
                    for _ in range(1000):
                        await asyncio.sleep(0)
                    assert listener.asked == before
                    again.set()
                await waiting.wait()
            again.set()
            await asyncio.get_running_loop().sock_sendall(scraper, GET)
            answer = await asyncio.get_running_loop().sock_recv(scraper, 65_536)
            stopping.set()
            await serving
            return answer

    with caplog.at_level(logging.WARNING):
        assert b"calls_total 3.0" in asyncio.run(main())
    # A set: on a slow machine the time is over after which it is said again.
    (line,) = {record.getMessage() for record in caplog.records if record.name == metrics_server.__name__}
    assert "raise the limit of open files" in line


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_ends_while_scrapers_hold_on(registry: CollectorRegistry) -> None:
    with contextlib.ExitStack() as held:
        with metrics_endpoint("127.0.0.1", 0, registry) as url:
            port = int(url.split(":")[2].split("/")[0])
            slow = [held.enter_context(connect(port)) for _ in range(4)]
            for connection in slow:
                connection.sendall(b"G")
            assert works(port)
        for connection in slow:
            assert received(connection) == b""
        with pytest.raises(OSError, match="refused"):
            connect(port)


def test_metrics_that_cannot_be_collected_are_an_error_without_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Collector):
        def collect(self) -> Iterator[Metric]:
            raise RuntimeError("inside")

    with metrics_endpoint("127.0.0.1", 0, Broken()) as url:
        answer = sent(int(url.split(":")[2].split("/")[0]), GET)
    assert status(answer) == 500
    assert b"inside" not in answer
    (record,) = caplog.records
    assert record.getMessage() == "the metrics could not be collected"
