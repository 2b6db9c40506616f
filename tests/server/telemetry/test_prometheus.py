"""A real Prometheus server reads the metrics, and its own tool checks the rules."""

import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.supervised import Supervised, supervised
from support.network.prometheus import DEPLOY, get, prometheus_of, query
from support.tools import need
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server.telemetry.answers.drift import LEAST_ROWS

FAMILIES = [
    "genrestack_requests_total", "genrestack_rows_total", "genrestack_request_seconds_bucket",
    "genrestack_queue_seconds_count", "genrestack_compute_seconds_sum", "genrestack_batch_rows_count",
    "genrestack_queue_rows", "genrestack_queue_limit_rows", "genrestack_rejected_total", "genrestack_model_info",
    "genrestack_model_load_failures_total", "genrestack_worker_restarts_total", "genrestack_workers_serving",
    "genrestack_requests_in_flight", "genrestack_grpc_rebuilds_total", "genrestack_predictions_total",
    "genrestack_top_probability_bucket", "genrestack_top_probability_sum", "genrestack_top_probability_count",
    "genrestack_out_of_range_rows_total",
    "genrestack_missing_values_total", "genrestack_novelty_rows_total", "genrestack_novel_rows_total",
    "genrestack_drift_window_rows", "genrestack_drift_psi", "genrestack_drift_largest_psi",
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, stack: TinyStack) -> Iterator[Supervised]:
    models = tmp_path_factory.mktemp("models")
    write_tiny(models, "tiny", stack, training=draw_rows(500))
    with supervised(models) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(server: Supervised, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Prometheus server's URL; its settings are those of `deploy/`, with this target and short intervals."""
    with prometheus_of(server.metrics_url, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def test_prometheus_reads_every_family(server: Supervised, prometheus: str) -> None:
    stub = server.stub()
    for _ in range(7):
        stub.Predict(PredictRequest(rows=to_matrix(draw_rows(LEAST_ROWS))), timeout=10)
    requests = 'sum(genrestack_requests_total{model="tiny",version="1",method="Predict",code="OK"})'
    until(lambda: query(prometheus, requests) == 7, "the calls are not there")
    assert query(prometheus, "sum(genrestack_rows_total)") == 7 * LEAST_ROWS
    for family in FAMILIES:
        assert query(prometheus, f"count({family})"), family
    assert query(prometheus, "genrestack_workers_serving") == 2
    assert query(prometheus, 'count(process_resident_memory_bytes{worker=~"1|2|supervisor"})') == 3
    (target,) = get(prometheus, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    kinds = get(prometheus, "metadata")
    assert kinds["genrestack_requests"][0]["type"] == "counter"
    assert kinds["genrestack_request_seconds"][0]["type"] == "histogram"
    assert all(kinds[name][0]["help"] for name in kinds if name.startswith("genrestack_"))
    until(lambda: all(rule["health"] == "ok" for rule in rules(prometheus)), "a rule cannot be evaluated")
    until(lambda: not any(rule["state"] != "inactive" for rule in rules(prometheus)), "something alerts")


def rules(url: str) -> list[dict[str, Any]]:
    return [rule for group in get(url, "rules")["groups"] for rule in group["rules"]]


def test_every_rule_speaks_of_families_there_are(server: Supervised, prometheus: str) -> None:
    import re

    names = set(re.findall(r"\b(genrestack_\w+)", (DEPLOY / "rules.yml").read_text()))
    assert len(names) >= 7
    assert not [name for name in names if not any(family.startswith(name) for family in FAMILIES)]


@pytest.mark.parametrize(
    "command", ["check config prometheus.yml", "check rules rules.yml", "test rules rules_test.yml"]
)
def test_promtool_agrees(command: str) -> None:
    need(shutil.which("promtool"), "promtool (Debian package prometheus)")
    done = subprocess.run(
        ["promtool", *command.split()],
        cwd=DEPLOY,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_to_mend(server: Supervised) -> None:
    need(shutil.which("promtool"), "promtool (Debian package prometheus)")
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:
        text = answer.read()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
