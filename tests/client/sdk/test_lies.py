"""A server that answers nonsense: a ProtocolError, at once, and no more is kept than was asked for."""

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import grpc
import numpy as np
import pytest
from client.conftest import QUICK
from client.liar import CLASSES, Liar, aborting, described, item, matrix, telling, truth
from client.servicer import bad_request, failure
from client.twins import TWINS, Ask, Raised, outcome
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from genrestack import (
    Client,
    FailedPrecondition,
    Health,
    Internal,
    InvalidInput,
    Prediction,
    ProtocolError,
    ResourceExhausted,
    Unavailable,
)
from genrestack_proto.v1 import model_pb2
from genrestack_proto.v1 import prediction_pb2 as pb

Code = grpc.StatusCode
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[Liar, list[Client]]]:
    """One server, and a client of either kind."""
    liar = Liar()
    with liar.serving() as target, TWINS[0](target, retry=QUICK) as one, TWINS[1](target, retry=QUICK) as other:
        yield liar, [one, other]


@pytest.fixture
def liar(serving: tuple[Liar, list[Client]]) -> Liar:
    serving[0].tell()
    return serving[0]


@pytest.fixture
def clients(serving: tuple[Liar, list[Client]]) -> list[Client]:
    return serving[1]


def raised(clients: list[Client], ask: Ask) -> Raised:
    """Ask both; return what they agree on."""
    seen = [outcome(ask, client) for client in clients]
    assert seen[0] == seen[1]
    assert isinstance(seen[0], Raised)
    return seen[0]


def rows(count: int) -> "np.ndarray[Any, Any]":
    return np.zeros((count, 2))


LIES: dict[str, tuple[bytes | Message, str]] = {
    "bytes that are no message": (b"\xff\xff\xff", "cannot parse the answer as genrestack.v1.PredictResponse"),
    "text that is not UTF-8": (b"\x0a\x01\xff", "cannot parse"),
    "nothing": (b"", "2 rows were sent, but 0 labels came back"),
    "a row too few": (truth(1), "2 rows were sent, but 1 labels came back"),
    "a row too many": (truth(3), "2 rows were sent, but 3 labels came back"),
    "NaN": (truth(2, probabilities=matrix([0.25, 0.75], [NAN, 0.75])), "row 1 are not all numbers"),
    "infinity": (truth(2, probabilities=matrix([INF, 0.75], [0.25, 0.75])), "row 0 are not all between 0 and 1"),
    "infinities": (truth(2, probabilities=matrix([INF, -INF], [0.25, 0.75])), "row 0 are not all numbers"),
    "below 0": (truth(2, probabilities=matrix([0.25, 0.75], [-0.5, 1.5])), "row 1 are not all between 0 and 1"),
    "just below 0": (truth(2, probabilities=matrix([-1e-7, 1], [0.25, 0.75])), "row 0 are not all between 0 and 1"),
    "sum of 7": (truth(2, probabilities=matrix([3, 4], [0.25, 0.75])), "row 0 are not all between 0 and 1"),
    "sum of 0.9": (truth(2, probabilities=matrix([0.25, 0.75], [0.2, 0.7])), "row 1 add up to 0.9, not to 1"),
    "sum of 1.01": (truth(2, probabilities=matrix([0.26, 0.75], [0.25, 0.75])), "row 0 add up to 1.01, not to 1"),
    "all 0": (truth(2, probabilities=matrix([0, 0], [0.25, 0.75])), "row 0 add up to 0, not to 1"),
    "a label of no class": (truth(2, labels=["high", "huge"]), "the label 'huge', which is none of its classes"),
    "a label that is not the likeliest": (truth(2, labels=["high", "low"]), "label of row 1 is 'low', but 'high' is"),
    "a class twice": (truth(2, classes=["high", "high"]), "the class 'high' twice"),
    "no classes": (truth(2, classes=[], probabilities=pb.Matrix(shape=[2, 0])), "0 classes"),
    "more classes than numbers": (truth(2, classes=[*CLASSES, "mid"]), "shape (2, 2) where (2, 3) is due"),
    "endless classes": (truth(2, classes=map(str, range(100_000))), "100,000 classes and 0 base estimators in"),
    "a class of endless text": (truth(2, classes=["low" * 9999, "high"]), "class name of more than 10,000 characters"),
    "a shape of one number": (truth(2, probabilities=pb.Matrix(shape=[4], raw=b"0123456789abcdef")), "two numbers"),
    "a shape turned round": (
        truth(2, classes=["a", "b", "c"], labels=["b"] * 2, probabilities=matrix([0.2, 0.8], [0.2, 0.8], [0.2, 0.8])),
        "shape (3, 2) where (2, 3) is due",
    ),
    "a shape without end": (truth(2, probabilities=pb.Matrix(shape=[2**32 - 1] * 2)), "are broken"),
    "bytes cut short": (truth(2, probabilities=pb.Matrix(shape=[2, 2], raw=b"abc")), "are broken"),
    "numbers in two forms": (
        truth(2, probabilities=pb.Matrix(shape=[2, 2], raw=bytes(16), values=[0.5] * 4)), "are broken"
    ),
    "no model": (truth(2, model=""), "names the model '', version 1"),
    "a model of endless name": (truth(2, model="m" * 1001), "which cannot be"),
    "no version": (truth(2, version=0), "version 0, which cannot be"),
    "base estimators unasked": (
        truth(2, base=[pb.BaseProbabilities(name="knn", probabilities=truth(2).probabilities)]), "answered unasked"
    ),
    "an answer too long": (truth(2, labels=["x" * 2_000_000] * 2), "bytes, where genrestack.v1.PredictResponse may"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_an_answer_that_contradicts_itself_or_the_rows(liar: Liar, clients: list[Client], name: str) -> None:
    answer, message = LIES[name]
    liar.tell(Predict=telling(answer))
    met = raised(clients, lambda c: c.predict(rows(2)))
    assert met.kind is ProtocolError
    assert message in met.text
    assert len(met.text) < 300
    assert liar.calls == 2
    # The same as items of a stream, and as calls of their own where there are no streams.
    liar.stream = lambda requests, _: (_item_of(index, answer) for index, _request in enumerate(requests))
    assert raised(clients, lambda c: c.predict_stream([rows(2)])).kind is ProtocolError


def _item_of(index: int, answer: bytes | Message) -> bytes:
    content = answer if isinstance(answer, bytes) else answer.SerializeToString()
    return pb.PredictStreamResponse(index=index).SerializeToString() + b"\x12" + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def base(name: str, *numbers: Any) -> pb.BaseProbabilities:
    return pb.BaseProbabilities(name=name, probabilities=matrix(*(numbers or ([0.5, 0.5], [0.5, 0.5]))))


BASE_LIES: dict[str, tuple[list[pb.BaseProbabilities], str]] = {
    "none": ([], "were asked, but none answered"),
    "one twice": ([base("knn"), base("knn")], "the base estimator 'knn' twice"),
    "one of NaN": ([base("knn", [NAN, 1], [0.5, 0.5])], "probabilities of 'knn' of row 0 are not all numbers"),
    "one of a sum of 2": ([base("knn"), base("", [0.5, 0.5], [1, 1])], "probabilities of '' of row 1 add up to 2"),
    "one of another shape": ([base("knn", [0.5, 0.5])], "shape (1, 2) where (2, 2) is due"),
    "endless empty ones": ([pb.BaseProbabilities()] * 500_000, "2 classes and 500,000 base estimators in"),
}


@pytest.mark.parametrize("name", BASE_LIES)
def test_base_estimators_that_contradict(liar: Liar, clients: list[Client], name: str) -> None:
    parts, message = BASE_LIES[name]
    liar.tell(Predict=telling(truth(2, base=parts)))
    met = raised(clients, lambda c: c.predict(rows(2), base=True))
    assert met.kind is ProtocolError
    assert message in met.text


def test_a_base_estimator_without_a_name_is_not_taken_for_the_stack(liar: Liar, clients: list[Client]) -> None:
    liar.tell(Predict=telling(truth(1, base=[base("", [1, 0])])))
    for client in clients:
        prediction = client.predict(rows(1), base=True)
        assert prediction.probabilities.tolist() == [[0.25, 0.75]]
        assert prediction.base[""].tolist() == [[1, 0]]


STEP = float(np.spacing(np.float32(0.5)))
TRUTHS: dict[str, pb.PredictResponse] = {
    "the second of equals": truth(1, labels=["high"], probabilities=matrix([0.5, 0.5])),
    "the first of equals": truth(1, labels=["low"], probabilities=matrix([0.5, 0.5])),
    "one that float32 rounds to below": truth(1, labels=["low"], probabilities=matrix([0.5 - STEP, 0.5 + STEP])),
    "certain": truth(1, probabilities=matrix([-0.0, 1])),
    "certain but for rounding": truth(1, probabilities=matrix([1e-30, np.nextafter(np.float32(1), np.float32(2))])),
    "rounded sums": truth(1, probabilities=matrix([0.25 + 5e-6, 0.75])),
    "numbers one by one": truth(1, probabilities=pb.Matrix(shape=[1, 2], values=[0.25, 0.75])),
    "very many classes": truth(
        1, classes=map(str, range(3000)), labels=["7"], probabilities=matrix(np.full(3000, 1 / 3000, np.float32))
    ),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_what_rounding_does_is_no_contradiction(liar: Liar, clients: list[Client], name: str) -> None:
    liar.tell(Predict=telling(TRUTHS[name]))
    for client in clients:
        assert client.predict(rows(1)).labels == list(TRUTHS[name].labels)


def test_another_model_or_version_than_the_one_asked(liar: Liar, clients: list[Client]) -> None:
    met = raised(clients, lambda c: c.predict(rows(1), model="other"))
    assert (met.kind, met.text) == (ProtocolError, "other/newest was asked, but 'm', version 1, answered")
    met = raised(clients, lambda c: c.predict(rows(1), model="m", version=2))
    assert (met.kind, met.text) == (ProtocolError, "m/2 was asked, but 'm', version 1, answered")
    met = raised(clients, lambda c: c.predict_stream([rows(1)], version=3))
    assert met.kind is ProtocolError


def test_messages_of_one_input_do_not_make_up_for_each_other(liar: Liar) -> None:
    """Seven rows for the first six and two for the last three would be nine in all."""

    def reply(request: bytes, _: Any) -> pb.PredictResponse:
        asked = pb.PredictRequest.FromString(request).rows.shape[0]
        return truth(asked + 1 if asked == 6 else asked - 1)

    liar.tell(Predict=reply)
    met = anew(liar, lambda c: c.predict(rows(9)), max_message_rows=6)
    assert (met.kind, met.text) == (ProtocolError, "6 rows were sent, but 7 labels came back")


def test_messages_of_one_input_are_answered_alike(liar: Liar) -> None:
    def reply(request: bytes, _: Any) -> pb.PredictResponse:
        asked = pb.PredictRequest.FromString(request).rows.shape[0]
        names = ["knn", "svc"] if asked == 6 else ["svc", "knn"]
        parts = [pb.BaseProbabilities(name=name, probabilities=matrix(*[[0.5, 0.5]] * asked)) for name in names]
        return truth(asked, base=parts)

    liar.tell(Predict=reply)
    met = anew(liar, lambda c: c.predict(rows(9), base=True), max_message_rows=6)
    assert (met.kind, met.text) == (ProtocolError, "one input was answered with different base estimators")


def anew(liar: Liar, ask: Ask, **settings: Any) -> Raised:
    """Ask by clients with other settings."""
    with liar.serving() as target, TWINS[0](target, **settings) as one, TWINS[1](target, **settings) as other:
        return raised([one, other], ask)


def on_time(requests: Iterator[bytes], then: Callable[[int], Iterator[bytes | Message]]) -> Iterator[bytes | Message]:
    """Answer rightly, then do something else."""
    number = 0
    for number, _ in enumerate(requests, start=1):
        yield item(number - 1)
    yield from then(number)


STREAM_LIES: dict[str, tuple[Callable[[Iterator[bytes], Any], Iterator[bytes | Message]], str]] = {
    "one answer at once": (lambda requests, _: iter([item(0)]), "ended the stream after 1 answers, with more due"),
    "no answer": (lambda requests, _: iter([]), "ended the stream after 0 answers, with more due"),
    "another index": (lambda requests, _: (item(7) for _request in requests), "item 7 of the stream was answered"),
    "one index twice": (lambda requests, _: (item(0) for _request in requests), "item 0 of the stream was answered"),
    "two answers to one": (
        lambda requests, _: (item(index + more) for index, _r in enumerate(requests) for more in (0, 1)),
        "of the stream was answered where",
    ),
    "bytes": (lambda requests, _: (b"\xff\xff" for _request in requests), "PredictStreamResponse (2 bytes)"),
    "neither answer nor error": (
        lambda requests, _: (pb.PredictStreamResponse(index=index) for index, _r in enumerate(requests)),
        "item 0 of the stream came back with neither answer nor error",
    ),
    "an error that is none": (
        lambda requests, _: (
            pb.PredictStreamResponse(index=index, error=status_pb2.Status(code=0)) for index, _r in enumerate(requests)
        ),
        "item 0 of the stream came back with neither answer nor error",
    ),
    "an answer too long": (
        lambda requests, _: (item(index, truth(1, labels=["x" * 3_000_000])) for index, _r in enumerate(requests)),
        "item 0 of the stream has 3,000,0",
    ),
    "one more at the end": (
        lambda requests, _: on_time(requests, lambda n: iter([item(n)])),
        "after 3 answers, with no",
    ),
    "without end": (
        lambda requests, _: on_time(requests, lambda n: map(item, count(n))),
        "after 3 answers, with no more",
    ),
    "without end, before they were asked": (lambda requests, _: map(item, count()), "answers, with no more due"),
}


@pytest.mark.parametrize("name", STREAM_LIES)
def test_a_stream_that_does_not_answer_what_was_asked(liar: Liar, clients: list[Client], name: str) -> None:
    liar.stream, message = STREAM_LIES[name]
    for client in clients:
        met = outcome(lambda c: c.predict_stream([rows(1)] * 3), client)
        assert isinstance(met, Raised)
        assert met.kind is ProtocolError
        assert message in met.text


def test_an_endless_stream_is_ended_while_its_reader_is_away(liar: Liar, clients: list[Client]) -> None:
    """Nobody takes answers here: what comes is not kept, and the server is told to stop."""
    for client in clients:
        told = threading.Event()

        def endless(asked: Iterator[bytes], context: Any, told: threading.Event = told) -> Iterator[bytes | Message]:
            context.add_callback(told.set)
            next(asked)
            yield from map(item, count())

        liar.stream = endless
        stream = client.predict_stream([rows(1)] * 3)
        next(stream)
        if client is clients[1]:
            # The loop of this one runs only while something is asked of it.
            client.health()
            while not told.is_set():
                client.health()
        assert told.wait(60)
        stream.close()


LONG_LIES: dict[str, tuple[bytes | Message, str]] = {
    "empty labels": (b"\x22\x00" * 2_500_000, "more fields than"),
    "empty base estimators": (b"\x32\x00" * 2_500_000, "more fields than"),
    "a number without end": (b"\xff" * 5_000_000, "cannot parse"),
    "a field of no kind": (b"\x0b" * 5_000_000, "cannot parse"),
    "a field that is cut off": (truth(1, labels=["x" * 5_000_000]).SerializeToString()[:-40], "cannot parse"),
    "one long label": (truth(1, labels=["x" * 5_000_000]), "200 rows were sent, but 1 labels"),
}


@pytest.mark.parametrize("name", LONG_LIES)
def test_a_long_answer_is_looked_over_before_it_is_parsed(liar: Liar, clients: list[Client], name: str) -> None:
    """Two bytes on the wire are up to 130 in memory."""
    answer, message = LONG_LIES[name]
    liar.tell(Predict=telling(answer))
    met = raised(clients, lambda c: c.predict(rows(200)))
    assert met.kind is ProtocolError
    assert message in met.text


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
    "more labels agreed than rows": (described(parity=model_pb2.Parity(rows=1, labels_agreed=2)), "parity check that"),
    "a difference of NaN": (
        described(runtime=model_pb2.Runtime(parity=model_pb2.Parity(max_abs_difference=NAN))), "parity check that"
    ),
    "a figure of NaN": (described(metrics={"accuracy": NAN}), "a figure that is no number"),
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
        for make in TWINS:
            with make(f"ipv4:{target}", retry=QUICK, timeout=20) as client:
                met = outcome(lambda c: c.predict(rows(1)), client)
                assert isinstance(met, Prediction) or met.kind is Unavailable


BROKEN = any_pb2.Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff\xff")


@pytest.mark.parametrize("details", [b"\xff\xff\x01", b"", status_pb2.Status(code=99, details=[BROKEN] * 50)])
def test_details_of_a_failure_that_cannot_be_read(
    liar: Liar, clients: list[Client], details: bytes | status_pb2.Status
) -> None:
    told = {Code.INVALID_ARGUMENT: InvalidInput, Code.RESOURCE_EXHAUSTED: ResourceExhausted, Code.DATA_LOSS: Internal}
    for code, kind in told.items():
        liar.tell(Predict=aborting(details, code))
        met = raised(clients, lambda c: c.predict(rows(1)))
        assert met.kind is kind
        assert "why" in met.text
        assert met.violations in (None, ())


def delay(seconds: int, nanos: int = 0) -> error_details_pb2.RetryInfo:
    detail = error_details_pb2.RetryInfo()
    detail.retry_delay.seconds, detail.retry_delay.nanos = seconds, nanos
    return detail


@pytest.mark.parametrize("detail", [delay(10**11), delay(2**62), delay(3601), delay(-5, -10), delay(0, -(2**31))])
def test_a_time_to_come_back_that_cannot_be_meant(
    liar: Liar, clients: list[Client], detail: error_details_pb2.RetryInfo
) -> None:
    """With all the time in the world, nobody waits for it."""
    liar.tell(Predict=aborting(failure(Code.RESOURCE_EXHAUSTED, "full", detail), Code.RESOURCE_EXHAUSTED))
    met = raised(clients, lambda c: c.predict(rows(1), timeout=None))
    assert (met.kind, met.retry_after) == (ResourceExhausted, None)
    assert liar.calls == 2
    liar.tell(Predict=aborting(failure(Code.UNAVAILABLE, "away", detail), Code.UNAVAILABLE))
    met = raised(clients, lambda c: c.predict(rows(1), timeout=None))
    assert (met.kind, met.retry_after) == (Unavailable, None)
    assert liar.calls == 2 * QUICK.attempts


def test_a_failure_told_at_length_is_cut(liar: Liar, clients: list[Client]) -> None:
    many = bad_request(**{f"rows[{number}]": "x" * 5_000 for number in range(200)})
    told = failure(Code.INVALID_ARGUMENT, "y" * 900_000, many)

    def refuse(requests: Iterator[bytes], _: Any) -> Iterator[Message]:
        return (pb.PredictStreamResponse(index=index, error=told) for index, _r in enumerate(requests))

    liar.stream = refuse
    for client in clients:
        (met,) = client.predict_stream([rows(20)], on_error="return")
        assert isinstance(met, InvalidInput)
        assert len(str(met)) < 5_000
        assert len(met.violations) == 100
        assert max(len(violation.description) for violation in met.violations) == 4_000


def test_a_row_of_more_digits_than_there_are_numbers(liar: Liar) -> None:
    """Rows that the server names are counted on from where their message began."""
    field = f"rows[{'9' * 5000}]"
    refuse = aborting(
        failure(Code.INVALID_ARGUMENT, "row 1 is odd", bad_request(**{field: "odd"})), Code.INVALID_ARGUMENT
    )

    def reply(request: bytes, context: Any) -> bytes | Message:
        asked = pb.PredictRequest.FromString(request).rows.shape[0]
        return truth(asked) if asked == 6 else refuse(request, context)

    liar.tell(Predict=reply)
    met = anew(liar, lambda c: c.predict(rows(9)), max_message_rows=6)
    assert (met.kind, met.violations) == (InvalidInput, ((field[:3999] + "…", "odd"),))


def test_text_of_a_failure_that_is_not_utf_8(liar: Liar, clients: list[Client]) -> None:
    def reply(_: bytes, context: Any) -> bytes:
        context.abort(Code.FAILED_PRECONDITION, b"\xff\x1b[2J")
        return b""

    liar.tell(Predict=reply)
    for client in clients:
        met = outcome(lambda c: c.predict(rows(1)), client)
        assert isinstance(met, Raised)
        assert met.kind is FailedPrecondition
