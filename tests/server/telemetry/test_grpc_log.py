"""gRPC's own log: bounded, and without a byte of what callers sent."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.running.live import RunServer
from server.test_command import batch
from support.network.frames import Wire, headers, message

from genrestack_server.telemetry.grpc_log import SUMMARY_S, GrpcLog

LIST = "/genrestack.v1.PredictionService/ListModels"
TOKEN = b"gs_a-token-that-nobody-may-read"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trouble(clock: Clock) -> Iterator[logging.Logger]:
    """A logger as gRPC has many, behind the log."""
    logger, handler = logging.getLogger("tests.grpc.somewhere"), GrpcLog(clock)
    parent = logging.getLogger("tests.grpc")
    parent.addHandler(handler)
    parent.propagate = False
    yield logger
    parent.removeHandler(handler)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records if record.name == "genrestack_server.telemetry.grpc_log"]
    caplog.clear()
    return lines


def test_one_line_a_kind_in_ten_seconds(
    trouble: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(500):
        trouble.error("Invalid encoding on %s", TOKEN)
        trouble.error(f"Aborting method [/{TOKEN.decode()}] due to server stop.")
    assert said(caplog) == ["gRPC: metadata that is not UTF-8", "gRPC: Aborting method"]
    clock.now += SUMMARY_S - 0.1
    trouble.error("Invalid encoding on %s", TOKEN)
    assert said(caplog) == []
    clock.now += 0.1
    trouble.error("Invalid encoding on %s", TOKEN)
    assert said(caplog) == ["gRPC: metadata that is not UTF-8; 500 lines more like this left out"]


def test_what_was_left_out_is_said_in_the_end(
    trouble: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    handler = logging.getLogger("tests.grpc").handlers[0]
    assert isinstance(handler, GrpcLog)
    for _ in range(3):
        trouble.error("oh")
    handler.summarise()
    assert said(caplog) == ["gRPC: oh"]
    clock.now += SUMMARY_S
    handler.summarise()
    handler.summarise()
    assert said(caplog) == ["gRPC: oh; 2 lines more like this left out"]


def test_kinds_are_bounded_and_exceptions_are_named_alone(
    trouble: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        int(TOKEN)
    except ValueError as error:
        trouble.exception(f"Unexpected [{error}] raised by servicer method [{TOKEN!r}]")
        trouble.exception(error)
    trouble.warning(TOKEN)
    trouble.info("nothing of note")
    for number in range(500):
        trouble.error(f"kind {number}")
    lines = said(caplog)
    assert lines[:3] == ["gRPC: Unexpected (ValueError)", "gRPC: error (ValueError)", "gRPC: error"]
    assert len(lines) < 60
    assert TOKEN.decode() not in "".join(lines)


def test_metadata_that_is_not_utf8(
    tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with run_server(tiny_models) as running, Wire(f"127.0.0.1:{running.port}") as wire:
        for extra in ([(b"a", b"\xff")] * 300, [(b"authorization", b"Bearer " + TOKEN + b"\xff\xfe")] * 20):
            assert len(headers(LIST.encode(), extra)) < 16_384
            for _ in range(5):
                assert wire.until_ended(wire.call(LIST, message(b""), extra=extra))
        assert len(running.stub.Predict(batch(1)).labels) == 1
    text = "\n".join([record.getMessage() for record in caplog.records] + [*capfd.readouterr()])
    assert TOKEN.decode() not in text
    assert len(text) < 5_000
