"""The HTTP port that Prometheus reads."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from genrestack_server.listening import address_error, check_address, join_address, resolve

PATH: Final = "/metrics"
# Nobody may hold a thread by sending nothing.
_SILENCE_S: Final = 10.0
# How soon it notices that it is to end.
_POLL_S: Final = 0.1

_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Log nothing."""


@contextmanager
def metrics_endpoint(host: str, port: int, collector: Collector) -> Iterator[str]:
    """Answer GET /metrics in threads of its own; yields the URL.

    Args:
        host: name or address to listen on.
        port: TCP port; 0 picks a free one.
        collector: asked at each reading.

    Raises:
        AddressError: the host or port cannot be listened on; names `--metrics-host` and `--metrics-port`.

    """
    check_address(host, port, "metrics-")
    family, address = resolve(host, port, "metrics-")[0]

    class Server(ThreadingWSGIServer):
        address_family = family

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of a reader that left in mid-answer."""

    try:
        server = make_server(address[0], port, _only_metrics(make_wsgi_app(collector)), Server, _Handler)
    except OSError as error:
        raise address_error(host, port, error, "metrics-") from error
    thread = threading.Thread(target=server.serve_forever, args=[_POLL_S], name="genrestack-metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{join_address(host, server.server_port)}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _only_metrics(app: _App) -> _App:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == PATH:
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"there is only {PATH} here\n".encode()]

    return answer
