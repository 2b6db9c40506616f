"""`/livez` and `/readyz` on the port of the metrics: one process, workers, before models and while it drains."""

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from server.bundles.held import holding
from server.running.live import Running, RunServer
from server.running.supervised import send, supervised
from server.test_command import batch
from support.waiting import GUARD_S, until

from genrestack_server.telemetry import probes
from genrestack_server.telemetry.metrics_server import metrics_endpoint
from genrestack_server.telemetry.probes import Probes


def probed(metrics_url: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(metrics_url.replace("/metrics", path), method=method)
    try:
        with urllib.request.urlopen(request, timeout=GUARD_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def url_of(running: Running) -> str:
    assert running.server is not None
    url = running.server.telemetry.metrics_url
    assert url is not None
    return url


def test_a_server_lives_and_is_ready(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, metrics_port=0) as running:
        assert probed(url_of(running), "/livez") == (200, b"ok\n")
        assert probed(url_of(running), "/readyz") == (200, b"ok\n")
        assert probed(url_of(running), "/readyz", "HEAD") == (200, b"")
        assert probed(url_of(running), "/readyz", "POST")[0] == 405
        assert probed(url_of(running), "/healthz")[0] == 404


def test_without_a_model_it_lives_and_is_not_ready(tmp_path: Path, run_server: RunServer) -> None:
    with run_server(tmp_path, metrics_port=0, allow_empty=True) as running:
        assert probed(url_of(running), "/livez")[0] == 200
        assert probed(url_of(running), "/readyz") == (503, b"not now\n")


def test_while_it_drains_it_lives_and_is_not_ready(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, metrics_port=0) as running:
        with holding(running, "tiny") as held:
            call = running.stub.Predict.future(batch(1), timeout=GUARD_S)
            held.wait()
            stopping = running.stop(GUARD_S)
            until(lambda: probed(url_of(running), "/readyz")[0] == 503, "it is still ready")
            assert probed(url_of(running), "/livez")[0] == 200
        assert len(call.result().labels) == 1
        assert stopping.result(GUARD_S)


def test_a_server_whose_event_loop_hangs_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_WITHIN_S", 0.2)
    go_on = threading.Event()
    loop = asyncio.new_event_loop()

    async def made() -> Probes:
        return Probes(lambda: True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    speaking = asyncio.run_coroutine_threadsafe(made(), loop).result(GUARD_S)
    try:
        with metrics_endpoint("127.0.0.1", 0, CollectorRegistry(), speaking) as url:
            assert probed(url, "/livez")[0] == 200
            loop.call_soon_threadsafe(go_on.wait, GUARD_S)
            assert probed(url, "/livez")[0] == 503
            assert probed(url, "/readyz")[0] == 503
            go_on.set()
            until(lambda: probed(url, "/livez")[0] == 200, "it does not live again")
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_workers_are_ready_while_one_of_them_is(tiny_models: Path) -> None:
    with supervised(tiny_models) as pair:
        assert probed(pair.metrics_url, "/livez")[0] == 200
        until(ready(pair, 200), "they are not ready")
    with supervised(tiny_models / "tiny" / "1", allow_empty=True) as pair:
        assert probed(pair.metrics_url, "/livez")[0] == 200
        assert probed(pair.metrics_url, "/readyz")[0] == 503


def ready(pair: Any, status: int) -> Callable[[], bool]:
    return lambda: probed(pair.metrics_url, "/readyz")[0] == status


def test_workers_that_stop_are_not_ready(tiny_models: Path) -> None:
    import signal

    from server.bundles.waiting import Waiting

    folder = tiny_models.parent / "held-for-probes"
    folder.mkdir()
    waiting = Waiting(folder)
    with supervised(tiny_models, env=waiting.env) as pair:
        until(ready(pair, 200), "they are not ready")
        waiting.hold()
        call = pair.stub().Predict.future(batch(1), timeout=GUARD_S)
        until(lambda: waiting.begun, "no run begins")
        send(pair.process.pid, signal.SIGTERM)
        until(ready(pair, 503), "they are still ready")
        assert probed(pair.metrics_url, "/livez")[0] == 200
        waiting.release()
        assert len(call.result().labels) == 1
        assert pair.end()[0] == 0
