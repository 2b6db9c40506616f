"""What a server's metrics say, as Prometheus would read them."""

import urllib.request
from dataclasses import replace

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from server.running.live import Running

from genrestack_proto.v1.model_pb2 import Model
from genrestack_server.models.registry import ServedModel

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(url: str) -> Samples:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return parsed(answer.read().decode())


def of(collector: Collector) -> Samples:
    return parsed(generate_latest(collector).decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def url(running: Running) -> str:
    assert running.server is not None
    assert running.server.telemetry.metrics_url is not None
    return running.server.telemetry.metrics_url


def version_of(served: ServedModel, number: int) -> ServedModel:
    model = Model()
    model.CopyFrom(served.model)
    model.version = number
    return replace(served, model=model)
