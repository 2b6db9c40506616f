"""Probes, metrics and the autoscaler's rule of `deploy/k8s`, tried on a real server."""

import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from deploy.kustomize import K8S, Object, build, named
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hard.served import Served, served
from server.bundles.tiny import TinyStack, write_tiny
from support.network.certificates import Authority
from support.tools import need
from support.waiting import until

METRICS = ("--metrics-port", "0")


def container(folder: str) -> Object:
    (found,) = named(build(K8S / folder), "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def passes(probe: Object, server: Served) -> bool:
    """Ask as a kubelet does: by the plain call, where anything but SERVING is a failure."""
    with grpc.insecure_channel(server.address) as channel:
        request = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def asked(server: Served) -> dict[str, bool]:
    probes = container("base")
    return {name: passes(probes[f"{name}Probe"], server) for name in ("startup", "readiness", "liveness")}


def test_a_server_that_serves_passes_every_probe(models_dir: Path) -> None:
    write_tiny(models_dir, "tiny", TinyStack.draw(1))
    with served(models_dir, *METRICS) as server:
        assert asked(server) == {"startup": True, "readiness": True, "liveness": True}


def test_a_server_without_a_model_is_not_ready_and_not_killed(models_dir: Path) -> None:
    with served(models_dir, "--allow-empty", *METRICS) as server:
        assert asked(server) == {"startup": True, "readiness": False, "liveness": True}
        write_tiny(models_dir, "tiny", TinyStack.draw(1))
        ready = container("base")["readinessProbe"]
        until(lambda: passes(ready, server), "the model that is there now is not served")


@pytest.fixture
def encrypted(models_dir: Path, tmp_path: Path) -> Iterator[Served]:
    pair = Authority.make().server(tmp_path)
    tokens = tmp_path / "tokens"
    made = subprocess.run(
        [str(Path(sys.executable).parent / "genrestack"), "token", "--append", str(tokens)],
        check=True, capture_output=True,
    )  # fmt: skip
    assert made.stdout
    options = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key), "--token-file", str(tokens))
    with served(models_dir, "--allow-empty", *options, *METRICS) as server:
        yield server


def passes_by_http(probe: Object, server: Served) -> bool:
    """Ask as a kubelet does: 200 to 399 is a success."""
    assert probe["httpGet"]["port"] == "metrics"
    try:
        with urllib.request.urlopen(
            server.metrics_url.replace("/metrics", probe["httpGet"]["path"]), timeout=20
        ) as answer:
            return bool(200 <= answer.status < 400)
    except urllib.error.HTTPError:
        return False


def test_with_tls_and_tokens_probes_are_asked_beside_them(encrypted: Served, models_dir: Path) -> None:
    probes = {name: container("overlays/example")[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    asked = {name: passes_by_http(probe, encrypted) for name, probe in probes.items()}
    assert asked == {"startup": True, "readiness": False, "liveness": True}
    write_tiny(models_dir, "tiny", TinyStack.draw(1))
    until(lambda: passes_by_http(probes["readiness"], encrypted), "the model that is there now is not served")


def test_the_autoscaler_looks_at_a_metric_that_there_is(models_dir: Path, tmp_path: Path) -> None:
    (rule,) = yaml.safe_load((K8S / "prometheus-adapter.yaml").read_text())["rules"]
    (by_rows,) = [
        each["pods"] for each in named(build(K8S / "base"), "HorizontalPodAutoscaler")["spec"]["metrics"]
        if each["type"] == "Pods"
    ]  # fmt: skip
    name = by_rows["metric"]["name"]
    assert rule["seriesQuery"] == f'{name}{{namespace!="",pod!=""}}'
    write_tiny(models_dir, "tiny", TinyStack.draw(1))
    with served(models_dir, *METRICS) as server:
        assert server.metric(name) == 0
        limit = server.metric("genrestack_queue_limit_rows")
    assert float(by_rows["target"]["averageValue"]) < limit


def test_the_adapters_query_is_the_mean_of_each_pod(tmp_path: Path) -> None:
    need(shutil.which("promtool"), "promtool (Debian package prometheus)")
    text = (K8S / "prometheus-adapter.yaml").read_text()
    (rule,) = yaml.safe_load(text)["rules"]
    # The page shows the same.
    shown = (K8S.parents[1] / "docs" / "deploying.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(shown) == yaml.safe_load(text)
    query = rule["metricsQuery"]
    # As the adapter fills it in, for the pods of a Deployment.
    for blank, value in {
        "<<.Series>>": "genrestack_queue_rows",
        "<<.LabelMatchers>>": 'namespace="a",pod=~"one|two"',
        "<<.GroupBy>>": "pod",
    }.items():
        assert blank in query
        query = query.replace(blank, value)
    series = 'genrestack_queue_rows{namespace="%s",pod="%s"}'
    tests = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": series % ("a", "one"), "values": "0 4000 0 4000 0 4000 0 4000 0"},
                    {"series": series % ("a", "two"), "values": "100x8"},
                    {"series": series % ("b", "one"), "values": "9000x8"},
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        # Between two samples: releases of Prometheus differ in whether a minute takes in both its ends.
                        "eval_time": "110s",
                        "exp_samples": [
                            {"labels": '{pod="one"}', "value": 2000},
                            {"labels": '{pod="two"}', "value": 100},
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
