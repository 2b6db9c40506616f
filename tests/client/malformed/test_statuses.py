"""Failures whose details cannot be read: the status all the same, bounded."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from client.both_clients import Raised, outcome
from client.conftest import QUICK
from client.liar import Liar, aborting, truth
from client.malformed.asking import raised, raised_by_new_clients, rows
from client.servicer import bad_request, failure
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from genrestack import (
    Client,
    FailedPrecondition,
    Internal,
    InvalidInput,
    ResourceExhausted,
    Unavailable,
)
from genrestack_proto.v1 import prediction_pb2 as pb

Code = grpc.StatusCode


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
    met = raised_by_new_clients(liar, lambda c: c.predict(rows(9)), max_message_rows=6)
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
