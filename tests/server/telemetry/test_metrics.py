"""What Prometheus reads: families, labels, and sums over workers."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from server.bundles.held import holding
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import Running, RunServer
from server.running.scraped import of, read, url, value, version_of
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, PredictRequest
from genrestack_server import AddressError
from genrestack_server.call import Call
from genrestack_server.models.registry import ServedModel
from genrestack_server.telemetry.aggregation import Together
from genrestack_server.telemetry.metrics import Metrics


def infos(running: Running) -> list[frozenset[tuple[str, str]]]:
    return [labels for name, labels in read(url(running)) if name == "genrestack_model_info"]


def ask(model: str = "", version: int = 0, rows: int = 1) -> PredictRequest:
    return PredictRequest(model=model, version=version, rows=to_matrix(draw_rows(rows)))


@pytest.fixture
def measured(tiny_models: Path, run_server: RunServer) -> Iterator[Running]:
    with run_server(tiny_models, metrics_port=0) as running:
        yield running


@pytest.fixture
def served(tiny_models: Path, run_server: RunServer) -> Iterator[ServedModel]:
    with run_server(tiny_models) as running:
        assert running.server is not None
        yield running.server.models[0]


def test_calls_rows_and_executions_are_counted(measured: Running) -> None:
    for rows in (1, 2, 4):
        measured.stub.Predict(ask(rows=rows), timeout=10)
    assert len(list(measured.stub.PredictStream(iter([ask(rows=8), ask(rows=16)]), timeout=10))) == 2
    measured.stub.GetModel(GetModelRequest(), timeout=10)
    samples = read(url(measured))
    tiny = {"model": "tiny", "version": "2"}
    assert value(samples, "genrestack_requests_total", **tiny, method="Predict", code="OK") == 3
    assert value(samples, "genrestack_requests_total", **tiny, method="PredictStream", code="OK") == 2
    assert value(samples, "genrestack_requests_total", **tiny, method="GetModel", code="OK") == 1
    assert value(samples, "genrestack_rows_total", **tiny) == 31
    assert value(samples, "genrestack_request_seconds_count", **tiny, method="Predict") == 3
    assert value(samples, "genrestack_request_seconds_sum", **tiny, method="Predict") > 0
    assert value(samples, "genrestack_queue_seconds_count", **tiny) == 5
    assert value(samples, "genrestack_batch_rows_sum", **tiny) == 31
    executions = value(samples, "genrestack_batch_rows_count", **tiny)
    assert 4 <= executions <= 5
    assert value(samples, "genrestack_compute_seconds_count", **tiny) == executions
    assert value(samples, "genrestack_compute_seconds_sum", **tiny) > 0
    info = {"provider": "CPUExecutionProvider", "precision": "double"}
    assert value(samples, "genrestack_model_info", **tiny, **info) == 1
    assert value(samples, "genrestack_model_load_failures_total", model="tiny") == 0
    assert value(samples, "genrestack_queue_rows") == 0
    assert value(samples, "genrestack_queue_limit_rows") == 131_072
    assert value(samples, "genrestack_rejected_total", reason="queue_full") == 0
    for name in ("cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "open_fds", "max_fds"):
        assert value(samples, f"process_{name}") > 0


def test_what_callers_make_up_does_not_become_a_label(measured: Running) -> None:
    for number in range(5):
        with pytest.raises(grpc.RpcError):
            measured.stub.Predict(ask(f"nobody-{number}"), timeout=10)
        with pytest.raises(grpc.RpcError):
            measured.stub.Predict(ask("tiny", 900 + number), timeout=10)
    samples = read(url(measured))
    nothing = {"model": "", "version": "", "method": "Predict", "code": "NOT_FOUND"}
    assert value(samples, "genrestack_requests_total", **nothing) == 10
    told = {labels for (name, labels) in samples if name == "genrestack_requests_total"}
    assert told == {frozenset(nothing.items())}


def test_the_queue_and_what_it_refuses(tiny_models: Path, run_server: RunServer) -> None:
    with (
        run_server(tiny_models, metrics_port=0, max_queue_rows=600, max_batch_rows=500) as running,
        holding(running, "tiny") as held,
    ):
        batches = [running.stub.Predict.future(ask(rows=500))]
        held.wait()
        batches.append(running.stub.Predict.future(ask(rows=400)))
        until(lambda: value(read(url(running)), "genrestack_queue_rows") == 400, "nothing waits")
        with pytest.raises(grpc.RpcError) as refused:
            running.stub.Predict(ask(rows=300))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        held.free()
        assert [len(batch.result().labels) for batch in batches] == [500, 400]
        samples = read(url(running))
    assert value(samples, "genrestack_rejected_total", reason="queue_full") == 1
    assert value(samples, "genrestack_queue_rows") == 0


def test_a_version_that_is_refused_and_one_that_is_swapped(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    write_tiny(tmp_path, "tiny", stack)
    with run_server(tmp_path, metrics_port=0, poll_interval=0.05) as running:
        running.stub.Predict(ask(), timeout=10)
        liar = TinyStack(stack.left, stack.right, -stack.meta)
        write_tiny(tmp_path, "tiny", stack, answers=liar)
        failures = ("genrestack_model_load_failures_total", frozenset({("model", "tiny")}))
        until(lambda: read(url(running))[failures] == 1, "nothing was refused")
        write_tiny(tmp_path, "tiny", stack)
        until(lambda: running.stub.Predict(ask(), timeout=10).version == 3, "the new version is not served")
        until(lambda: len(infos(running)) == 1, "the old version is still named")
        assert ("version", "3") in infos(running)[0]
        samples = read(url(running))
    assert value(samples, "genrestack_requests_total", model="tiny", version="1", method="Predict", code="OK") >= 1
    assert value(samples, "genrestack_requests_total", model="tiny", version="3", method="Predict", code="OK") >= 1


@pytest.mark.parametrize(("path", "status"), [("", 404), ("/", 404), ("/metrics/x", 404), ("/favicon.ico", 404)])
def test_there_is_nothing_but_metrics(measured: Running, path: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url(measured).removesuffix("/metrics") + path, timeout=10)
    assert caught.value.code == status
    caught.value.close()


def test_a_busy_metrics_port_is_named(tiny_models: Path, measured: Running, run_server: RunServer) -> None:
    port = int(url(measured).rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(AddressError, match=rf"port {port} on 127.0.0.1 is taken .* --metrics-port"):
        run_server(tiny_models, metrics_port=port).__enter__()
    with pytest.raises(AddressError, match="--metrics-host"):
        run_server(tiny_models, metrics_port=0, metrics_host="203.0.113.7").__enter__()


def test_series_of_versions_long_gone_are_dropped(served: ServedModel) -> None:
    metrics = Metrics()
    for number in range(1, 101):
        metrics.loaded(version_of(served, number), 0.1)
        metrics.call_ended(Call("Predict", model="tiny", version=number, rows=1, batch_rows=1))
        metrics.executed(version_of(served, number), 1, 1, 0.1)
        metrics.unloaded("tiny", number)
    samples = of(metrics)
    versions = {int(dict(labels)["version"]) for name, labels in samples if name == "genrestack_requests_total"}
    assert max(versions) == 100
    assert 10 < len(versions) < 50
    for name in ("genrestack_rows_total", "genrestack_batch_rows_count", "genrestack_request_seconds_count"):
        assert {int(dict(labels)["version"]) for has, labels in samples if has == name} == versions
    assert "genrestack_model_info" not in {name for name, _ in samples}


def test_what_a_worker_counted_outlives_it(served: ServedModel) -> None:
    together = Together()
    workers = {name: Metrics(queue_rows=lambda: 5, queue_limit=100) for name in ("1", "2")}
    for calls, (name, metrics) in enumerate(workers.items(), start=3):
        metrics.loaded(served, 0.1)
        for _ in range(calls):
            metrics.call_ended(Call("Predict", model="tiny", version=2, rows=2, batch_rows=2))
        together.update(name, metrics.packed())
    both = of(together)
    ok = {"model": "tiny", "version": "2", "method": "Predict", "code": "OK"}
    info = {"model": "tiny", "version": "2", "provider": "CPUExecutionProvider", "precision": "double"}
    assert value(both, "genrestack_requests_total", **ok) == 7
    assert value(both, "genrestack_queue_rows") == 10
    assert value(both, "genrestack_queue_limit_rows") == 200
    assert value(both, "genrestack_model_info", **info) == 1
    assert value(both, "process_open_fds", worker="1") > 0

    together.retire_worker("2")
    one = of(together)
    together.update("2", Metrics().packed())
    again = of(together)
    for samples in (one, again):
        assert value(samples, "genrestack_requests_total", **ok) == 7
        assert value(samples, "genrestack_request_seconds_count", model="tiny", version="2", method="Predict") == 7
    assert value(one, "genrestack_queue_rows") == 5
    assert value(again, "genrestack_queue_rows") == 5
    assert ("process_open_fds", frozenset({("worker", "2")})) not in one
