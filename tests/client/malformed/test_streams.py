"""Streams that do not answer what was asked: a ProtocolError, and what comes unasked is not kept."""

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from client.both_clients import Raised, outcome
from client.liar import Liar, item, truth
from client.malformed.asking import rows
from google.protobuf.message import Message
from google.rpc import status_pb2

from genrestack import (
    Client,
    ProtocolError,
)
from genrestack_proto.v1 import prediction_pb2 as pb


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
