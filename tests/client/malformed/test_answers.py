"""Answers to rows that are nonsense: a ProtocolError, at once, and no more is kept than was asked for."""

from typing import Any

import numpy as np
import pytest
from client.liar import CLASSES, Liar, matrix, telling, truth
from client.malformed.asking import raised, raised_by_new_clients, rows
from google.protobuf.message import Message

from genrestack import (
    Client,
    ProtocolError,
)
from genrestack_proto.v1 import prediction_pb2 as pb

NAN, INF = float("nan"), float("inf")


LIES: dict[str, tuple[bytes | Message, str]] = {
    "bytes that are not a message": (b"\xff\xff\xff", "cannot parse the answer as genrestack.v1.PredictResponse"),
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
    met = raised_by_new_clients(liar, lambda c: c.predict(rows(9)), max_message_rows=6)
    assert (met.kind, met.text) == (ProtocolError, "6 rows were sent, but 7 labels came back")


def test_messages_of_one_input_are_answered_alike(liar: Liar) -> None:
    def reply(request: bytes, _: Any) -> pb.PredictResponse:
        asked = pb.PredictRequest.FromString(request).rows.shape[0]
        names = ["knn", "svc"] if asked == 6 else ["svc", "knn"]
        parts = [pb.BaseProbabilities(name=name, probabilities=matrix(*[[0.5, 0.5]] * asked)) for name in names]
        return truth(asked, base=parts)

    liar.tell(Predict=reply)
    met = raised_by_new_clients(liar, lambda c: c.predict(rows(9), base=True), max_message_rows=6)
    assert (met.kind, met.text) == (ProtocolError, "one input was answered with different base estimators")


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
