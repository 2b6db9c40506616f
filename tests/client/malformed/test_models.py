"""Descriptions of models, and health, that cannot be: a ProtocolError."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from client.both_clients import BOTH_CLIENTS, outcome
from client.conftest import QUICK
from client.liar import Liar, described, telling
from client.malformed.asking import raised, rows
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from genrestack import (
    Client,
    Health,
    Prediction,
    ProtocolError,
    Unavailable,
)
from genrestack_proto.v1 import model_pb2
from genrestack_proto.v1 import prediction_pb2 as pb

NAN, INF = float("nan"), float("inf")


def test_a_long_list_is_looked_over_before_it_is_parsed(liar: Liar, clients: list[Client]) -> None:
    """One model of endless features."""
    liar.tell(ListModels=telling(b"\x0a\xc0\x96\xb1\x02" + b"\x22\x00" * 2_500_000))
    met = raised(clients, lambda c: c.models())
    assert (met.kind, "more fields than the 500,000" in met.text) == (ProtocolError, True)


MODEL_LIES: dict[str, tuple[Any, str]] = {
    "bytes": (b"\xff\xff", "cannot parse"),
    "nothing": (b"", "names the model '', version 0"),
    "no name": (described(name=""), "which cannot be"),
    "no version": (described(version=0), "which cannot be"),
    "another model": (described(name="n"), "m/1 was asked for, but n/1 is described"),
    "another version": (described(version=3), "m/1 was asked for, but m/3 is described"),
    "no features": (described(features=[]), "without features or without classes"),
    "no classes": (described(classes=[]), "without features or without classes"),
    "a feature twice": (described(features=[model_pb2.Feature(name="a")] * 2), "the feature 'a' twice"),
    "a class twice": (described(classes=["a", "a"]), "the class 'a' twice"),
    "a part twice": (described(parts=[model_pb2.Part(name="knn")] * 2), "the part 'knn' twice"),
    "features without end": (described(features=[model_pb2.Feature()] * 200_000), "200,000 entries of one kind"),
    "classes without end": (described(classes=[""] * 200_000), "200,000 entries of one kind"),
    "words without end": (described(metrics={str(n): 1.0 for n in range(100_001)}), "100,001 entries of one kind"),
    "a name without end": (described(features=[model_pb2.Feature(name="a" * 10_001)]), "feature name of more than"),
    "text without end": (described(provenance=model_pb2.Provenance(preset="x" * 10_001)), "a text of more than 10,000"),
    "a range of NaN": (described(features=[model_pb2.Feature(name="a", seen_min=NAN)]), "a feature of the range nan"),
    "a range of infinity": (described(features=[model_pb2.Feature(name="a", seen_max=INF)]), "the range None to inf"),
    "a range turned round": (
        described(features=[model_pb2.Feature(name="a", seen_min=2, seen_max=1)]), "the range 2.0 to 1.0"
    ),
    "a range behind the gain turned round": (
        described(features=[model_pb2.Feature(name="a", gain=model_pb2.Gain(seen_min=2, seen_max=1))]),
        "the range 2.0 to 1.0",
    ),
    "a gain of no feature": (
        described(features=[model_pb2.Feature(name="a", gain=model_pb2.Gain(power=1))], gain_feature="b"),
        "a gain of no feature of its own",
    ),
    "a gain of a silence that is no number": (
        described(
            features=[model_pb2.Feature(name="a", gain=model_pb2.Gain(power=1))], gain_feature="a", gain_silence=NAN
        ),
        "a gain of no feature of its own",
    ),
    "a power without end": (
        described(features=[model_pb2.Feature(name="a", gain=model_pb2.Gain(power=10**9))], gain_feature="a"),
        "a feature that follows the gain as none can",
    ),
    "more labels agreed than rows": (described(parity=model_pb2.Parity(rows=1, labels_agreed=2)), "parity check that"),
    "a difference of NaN": (
        described(runtime=model_pb2.Runtime(parity=model_pb2.Parity(max_abs_difference=NAN))), "parity check that"
    ),
    "a figure of NaN": (described(metrics={"accuracy": NAN}), "a figure that is not a number"),
    "17 MiB": (described(parts=[model_pb2.Part(sha256="x" * 9_000, name=str(n)) for n in range(2000)]), "bytes, where"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODEL_LIES)
def test_a_description_that_cannot_be(liar: Liar, clients: list[Client], name: str) -> None:
    model, message = MODEL_LIES[name]
    alone = model if isinstance(model, bytes) else pb.GetModelResponse(model=model)
    listed = model if isinstance(model, bytes) else pb.ListModelsResponse(models=[model])
    liar.tell(GetModel=telling(alone), ListModels=telling(listed))
    met = raised(clients, lambda c: c.model("m", 1))
    assert met.kind is ProtocolError
    assert message in met.text
    if "asked for" not in message and "without features" not in message and model != b"":
        assert raised(clients, lambda c: c.models()).kind is ProtocolError


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([described()] * 2, "lists one version of a model twice"),
        ([model_pb2.Model()] * 300_000, "300,000 models, where 10,000 may be"),
    ],
)
def test_a_list_that_cannot_be(liar: Liar, clients: list[Client], models: Any, message: str) -> None:
    liar.tell(ListModels=telling(pb.ListModelsResponse(models=models)))
    met = raised(clients, lambda c: c.models())
    assert met.kind is ProtocolError
    assert message in met.text


def test_health_that_is_no_health(liar: Liar, clients: list[Client]) -> None:
    liar.tell(Check=telling(b"\xff\xff"))
    assert raised(clients, lambda c: c.health()).kind is ProtocolError
    assert raised(clients, lambda c: c.wait_until_ready(30)).kind is ProtocolError
    liar.tell(Check=telling(health_pb2.HealthCheckResponse().SerializeToString() + b"x" * 5000))
    assert raised(clients, lambda c: c.health()).kind is ProtocolError
    liar.tell(Check=telling(b"\x08\x4d"))
    assert [client.health() for client in clients] == [Health.UNKNOWN] * 2


WATCHES: dict[str, Callable[[bytes, Any], Iterator[bytes | Message]]] = {
    "bytes": lambda _request, _context: iter([b"\xff\xff"] * 3),
    "an unknown state": lambda _request, _context: iter([b"\x08\x4d"]),
    "nothing": lambda _request, _context: iter([]),
    "without end": lambda _request, _context: (health_pb2.HealthCheckResponse(status=1) for _ in count()),
}


@pytest.mark.parametrize("name", WATCHES)
def test_a_watch_that_lies_to_a_client_of_several_servers(name: str) -> None:
    """gRPC itself reads these answers: a call ends all the same, as an answer or as nobody serving."""
    liar = Liar(watch=WATCHES[name])
    with liar.serving() as target:
        for make in BOTH_CLIENTS:
            with make(f"ipv4:{target}", retry=QUICK, timeout=20) as client:
                met = outcome(lambda c: c.predict(rows(1)), client)
                assert isinstance(met, Prediction) or met.kind is Unavailable
