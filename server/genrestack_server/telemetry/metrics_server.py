"""The HTTP port of metrics and probes: one thread, a bounded number of connections, and an end for each."""

import asyncio
import gzip
import logging
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from genrestack_server.address import METRICS, address_error, check_address, join_address, resolve
from genrestack_server.telemetry.probes import LIVE, READY, Probes

MOST_CONNECTIONS: Final = 16
"""Open at once; one more ends the oldest, so that a caller who holds them open does not keep others out."""
# From the first byte to the last, however they trickle.
_WITHIN_S: Final = 10.0
_BACKLOG: Final = 64
# While no descriptor is left, the connections that wait are looked at this often.
_RETRY_S: Final = 1.0
# Read and passed over after an answer, so that a caller who is still sending gets to read it.
_DISCARDED: Final = 64 * 2**20
_CHUNK: Final = 64 * 1024
_log = logging.getLogger(__name__)
PATH: Final = "/metrics"
_PATHS: Final = {PATH, LIVE, READY}
LONGEST_HEAD: Final = 16 * 1024
"""Bytes of a request line and its headers."""
_TEXT: Final = "text/plain; charset=utf-8"
_REQUEST: Final = re.compile(r"([!-~]+) (?:https?://[^/?#\s]*)?(/[^?#\s]*|\*)?(?:\?\S*)? HTTP/([0-9])\.([0-9])")
_END: Final = re.compile(rb"\r?\n\r?\n")


@contextmanager
def metrics_endpoint(host: str, port: int, collector: Collector, probes: Probes | None = None) -> Iterator[str]:
    """Answer GET /metrics, and /livez and /readyz, on one thread, however many ask; yields the URL of the metrics.

    Args:
        host: name or address to listen on.
        port: TCP port; 0 picks a free one.
        collector: asked at each reading.
        probes: what /livez and /readyz say; None: there are none.

    Raises:
        AddressError: the host or port cannot be listened on; names `--metrics-host` and `--metrics-port`.

    """
    check_address(host, port, METRICS)
    with _listen(host, port) as listener:
        loop, stopping = asyncio.new_event_loop(), asyncio.Event()
        serving = MetricsEndpoint(listener, collector, probes).serve(stopping)
        thread = threading.Thread(target=_run, args=[loop, serving], name="genrestack-metrics", daemon=True)
        thread.start()
        try:
            yield f"http://{join_address(host, listener.getsockname()[1])}{PATH}"
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join()


def _listen(host: str, port: int) -> socket.socket:
    family, address = resolve(host, port, METRICS)[0]
    try:
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listener = socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise address_error(host, port, error, METRICS) from error
    listener.setblocking(False)
    return listener


def _run(loop: asyncio.AbstractEventLoop, serving: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(serving)


class MetricsEndpoint:
    """Accepts, reads one request, answers it, and closes."""

    def __init__(
        self,
        listener: socket.socket,
        collector: Collector,
        probes: Probes | None = None,
        *,
        within: float = _WITHIN_S,
        pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(_RETRY_S),
    ) -> None:
        """Accept nothing yet.

        Args:
            listener: listens, and does not block.
            collector: asked at each reading.
            probes: what /livez and /readyz say; None: there are none.
            within: seconds of a connection.
            pause: waited for before connections are accepted again, when no descriptor is left.

        """
        self._listener = listener
        self._collector = collector
        self._probes = probes
        self._within = within
        self._pause = pause
        self._open: dict[asyncio.Task[None], None] = {}
        """One a connection, the oldest first."""

    async def serve(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop; what is open then is cut off."""
        accepting = asyncio.create_task(self._accept())
        await stopping.wait()
        for task in (accepting, *self._open):
            task.cancel()

    async def _accept(self) -> None:
        told = False
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError as error:
                # Out of descriptors: the listener stays ready to be read, and asking again at once would spin.
                if not told:
                    _log.warning("a scrape of the metrics waits: %s; raise the limit of open files", error.strerror)
                told = True
                await self._pause()
                continue
            told = False
            if len(self._open) >= MOST_CONNECTIONS:
                self._end(next(iter(self._open)))
            task = asyncio.create_task(self._answer(connection))
            self._open[task] = None
            task.add_done_callback(lambda ended: self._open.pop(ended, None))
            # Where several wait, each is given a turn: one that never began could not close its connection.
            await asyncio.sleep(0)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        task.cancel()

    async def _answer(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection, suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._within):
                await loop.sock_sendall(connection, await self._response(connection))
                connection.shutdown(socket.SHUT_WR)
                for _ in range(_DISCARDED // _CHUNK):
                    if not await loop.sock_recv(connection, _CHUNK):
                        return
                    # What is there already is given without a pause: others want to be answered, too.
                    await asyncio.sleep(0)

    async def _response(self, connection: socket.socket) -> bytes:
        received = b""
        while len(received) <= LONGEST_HEAD:
            more = await asyncio.get_running_loop().sock_recv(connection, _CHUNK)
            received += more
            head = head_of(received)
            if head is not None and len(head) <= LONGEST_HEAD:
                return await respond(head, self._collector, self._probes)
            if not more:
                return failure(HTTPStatus.BAD_REQUEST, "this is not a whole HTTP request")
        return failure(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has at most {LONGEST_HEAD} bytes")


def head_of(received: bytes) -> bytes | None:
    """Parse request line and headers from what was received; None while their end is missing."""
    found = _END.search(received := received.lstrip(b"\r\n"))
    return None if found is None else received[: found.start()]


async def respond(head: bytes, collector: Collector, probes: Probes | None = None) -> bytes:
    """Answer a request; the query is passed over, and every answer ends the connection.

    Args:
        head: request line and headers, without the empty line that ends them.
        collector: asked for the metrics.
        probes: asked for the rest.

    """
    line, *headers = (line.rstrip("\r") for line in head.decode("latin-1").split("\n"))
    request = _REQUEST.fullmatch(line)
    if request is None:
        return failure(HTTPStatus.BAD_REQUEST, "this is not an HTTP request")
    method, path, major, _ = request.groups()
    if major != "1":
        return failure(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1")
    if path not in (_PATHS if probes is not None else {PATH}):
        return failure(HTTPStatus.NOT_FOUND, f"there is only {PATH} here, and {LIVE} and {READY} of a server")
    if method not in {"GET", "HEAD"}:
        return failure(HTTPStatus.METHOD_NOT_ALLOWED, "use GET", ("Allow", "GET, HEAD"))
    if probes is not None and path != PATH:
        return _probed(await probes.answer(path), body=method == "GET")
    return _metrics(collector, _fields(headers), body=method == "GET")


def failure(status: HTTPStatus, text: str, *fields: tuple[str, str]) -> bytes:
    """Make the response to a request that gets no metrics."""
    return _response(status, f"{text}\n".encode(), [("Content-Type", _TEXT), *fields])


def _probed(said: bool, *, body: bool) -> bytes:  # noqa: FBT001
    status, text = (HTTPStatus.OK, b"ok\n") if said else (HTTPStatus.SERVICE_UNAVAILABLE, b"not now\n")
    return _response(status, text, [("Content-Type", _TEXT)], body=body)


def _metrics(collector: Collector, asked: dict[str, str], *, body: bool) -> bytes:
    try:
        encoder, kind = choose_encoder(asked.get("accept", ""))
    except (TypeError, ValueError, LookupError):
        # A version of the format that is not a version.
        encoder, kind = choose_encoder("")
    try:
        page = encoder(collector)
    except Exception:  # noqa: BLE001 - whatever it is, the reader gets a status and the log the cause
        _log.exception("the metrics could not be collected")
        return failure(HTTPStatus.INTERNAL_SERVER_ERROR, "the metrics could not be collected")
    fields = [("Content-Type", kind)]
    if gzip_accepted(asked.get("accept-encoding", "")):
        page = gzip.compress(page)
        fields.append(("Content-Encoding", "gzip"))
    return _response(HTTPStatus.OK, page, fields, body=body)


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _response(status: HTTPStatus, page: bytes, fields: list[tuple[str, str]], *, body: bool = True) -> bytes:
    whole = [*fields, ("Content-Length", str(len(page))), ("Connection", "close")]
    head = "".join(f"{name}: {value}\r\n" for name, value in whole)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode("latin-1") + (page if body else b"")
