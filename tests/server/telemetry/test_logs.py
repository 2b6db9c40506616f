"""What is logged, in which form, and what never is."""

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from server.bundles.tiny import draw_rows
from server.running.live import Launch, Running, RunServer
from server.running.watching import advance, on_loop
from server.service.test_calls import Noted
from server.test_command import batch

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server.call import Call
from genrestack_server.telemetry import log_setup, request_log

# Numbers that occur nowhere else, and a token.
VALUES = (123456.789, -98765.4321)
TOKEN = "gs_a-token-that-nobody-may-read"


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("DEBUG", "genrestack_server")
    return caplog


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What a configured process writes; the loggers are as before afterwards."""
    stream, logger, root = io.StringIO(), logging.getLogger(log_setup.LOGGER), logging.getLogger()
    before = logger.handlers[:], logger.level, logger.propagate, root.handlers[:]
    yield stream
    logger.handlers[:], level, logger.propagate, root.handlers[:] = before
    logger.setLevel(level)


def said(
    caplog: pytest.LogCaptureFixture, name: str = "genrestack_server.telemetry.request_log"
) -> list[dict[str, Any]]:
    records = [record for record in caplog.records if record.name == name]
    return [{"level": r.levelname, "text": r.getMessage(), **getattr(r, "fields", {})} for r in records]


def odd_rows() -> PredictRequest:
    rows = draw_rows(2)
    rows[0, :2] = VALUES
    return PredictRequest(rows=to_matrix(rows))


def test_every_request_is_a_line_at_debug(
    tiny_models: Path, run_server: RunServer, debug_log: pytest.LogCaptureFixture
) -> None:
    with run_server(tiny_models) as running:
        running.stub.Predict(batch(3), metadata=(("x-request-id", "mine"), ("traceparent", "00-ab-cd-01")))
        running.stub.Predict(batch(1))
        list(running.stub.PredictStream(iter([batch(2), batch(4)]), metadata=(("x-request-id", "stream"),)))
    lines = [line for line in said(debug_log) if line["text"].startswith("Predict")]
    assert [(line["text"], line["rows"]) for line in lines[:2]] == [("Predict answered", 3), ("Predict answered", 1)]
    first = lines[0]
    assert (first["request_id"], first["traceparent"]) == ("mine", "00-ab-cd-01")
    assert (first["code"], first["model"], first["version"], first["level"]) == ("OK", "tiny", 2, "DEBUG")
    assert first["total_ms"] >= 0
    assert len(lines[1]["request_id"]) == 16
    assert [line["rows"] for line in lines if line["request_id"] == "stream"][:2] == [2, 4]


@pytest.mark.parametrize(("sample", "count"), [(0.0, 0), (1.0, 50)])
def test_a_sample_at_info(
    sample: float, count: int, tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "genrestack_server")
    with run_server(tiny_models, log_sample=sample) as running:
        for _ in range(50):
            running.stub.Predict(batch(1))
    assert len(said(caplog)) == count


def test_a_sample_is_about_as_large_as_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "genrestack_server")
    log = request_log.RequestLog(0.1)
    for _ in range(10_000):
        log.call_ended(Call("Predict", ended=time.monotonic()))
    # Six standard deviations of a binomial distribution, √(n p (1 - p)) = 30, to either side.
    assert 820 < len(said(caplog)) < 1180


def test_refused_requests_are_counted_and_told_of_together(
    tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "genrestack_server")
    monkeypatch.setattr(request_log, "SUMMARY_S", 86_400)
    with run_server(tiny_models) as running:
        noted = Noted()
        assert running.server is not None
        running.server.observers.add(noted)
        for number in range(30):
            with pytest.raises(grpc.RpcError):
                running.stub.Predict(PredictRequest(model="none"), metadata=(("x-request-id", f"r{number}"),))
        noted.wait(30)
        on_loop(running, advance(86_400))
    first, second = said(caplog)
    assert first == {
        "level": "INFO", "text": "1 request refused", "NOT_FOUND": 1, "latest_request_id": "r0"
    }  # fmt: skip
    assert (second["NOT_FOUND"], second["latest_request_id"]) == (29, "r29")


def test_what_fails_inside_is_always_logged_with_its_request_id(
    tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "genrestack_server")
    with run_server(tiny_models, log_sample=0.0) as running:
        monkeypatch.setattr("genrestack_server.service.prediction.to_predict_response", lambda *_: 1 / 0)
        with pytest.raises(grpc.RpcError, match="internal error") as caught:
            running.stub.Predict(batch(1), metadata=(("x-request-id", "broken"),))
    error: Any = caught.value
    (line,) = said(caplog)
    assert (line["level"], line["text"], line["request_id"]) == ("ERROR", "Predict failed", "broken")
    (inside,) = said(caplog, "genrestack_server.service.status")
    assert inside["request_id"] == "broken"
    assert error.details().startswith(inside["text"] + ";")


@pytest.mark.parametrize("form", ["text", "json"])
def test_neither_values_nor_tokens_are_ever_logged(
    form: str, tmp_path: Path, tiny_models: Path, launch: Launch
) -> None:
    """The whole log, at level debug, of a process that answers, refuses and fails on odd values."""
    import hashlib

    tokens = tmp_path / "tokens"
    tokens.write_text(hashlib.sha256(TOKEN.encode()).hexdigest())
    command = launch(
        tiny_models, "--port", "0", "--threads", "1", "--token-file", tokens,
        "--log-level", "debug", "--log-format", form,
    )  # fmt: skip
    stub = command.running.stub
    good = (("authorization", f"Bearer {TOKEN}"), ("x-request-id", "known"))
    assert len(stub.Predict(odd_rows(), metadata=good).labels) == 2
    assert len(list(stub.PredictStream(iter([odd_rows()] * 3), metadata=good))) == 3
    wrong = odd_rows()
    wrong.feature_names.extend(["123456.789"] * len(draw_rows(1)[0]))
    broken = PredictRequest(rows=to_matrix(np.array([[*VALUES, np.nan]])))
    for request, metadata in (
        (wrong, good), (broken, good), (odd_rows(), (("authorization", f"Bearer {TOKEN}x"),)),
        (odd_rows(), (("authorization", f"Basic {TOKEN}"),)),
    ):  # fmt: skip
        with pytest.raises(grpc.RpcError):
            stub.Predict(request, metadata=metadata)
    command.process.terminate()
    _, text = command.process.communicate()
    assert "known" in text
    assert "UNAUTHENTICATED" in text
    assert "INVALID_ARGUMENT" in text
    for secret in ("123456", "98765", TOKEN, hashlib.sha256(TOKEN.encode()).hexdigest()):
        assert secret not in text
    if form == "json":
        entries = [json.loads(line) for line in text.splitlines()]
        assert {"time", "level", "logger", "process", "message"} <= entries[0].keys()


def test_json_is_one_object_a_line(stream: io.StringIO) -> None:
    log_setup.configure("debug", "json", stream)
    log = logging.getLogger("genrestack_server.some")
    log.info("two\nlines %d", 3, extra={"fields": {"request_id": 'a" \n=é', "rows": 4}})
    try:
        int("inner")
    except ValueError:
        log.exception("failed")
    log_setup.flush()
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["message"], first["level"], first["rows"]) == ("two\nlines 3", "info", 4)
    assert first["request_id"] == 'a" \n=é'
    assert first["time"].endswith("+00:00")
    assert "ValueError: invalid literal" in second["exception"]


def test_what_a_caller_chooses_cannot_look_like_a_line_or_field(stream: io.StringIO) -> None:
    log_setup.configure("info", "text", stream)
    fields = {"request_id": "x\n2026-01-01 00:00:00 ERROR   forged code=OK", "code": "OK", "empty": ""}
    logging.getLogger("genrestack_server.some").info("Predict", extra={"fields": fields})
    log_setup.flush()
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r'INFO    Predict request_id="x\n2026-01-01 00:00:00 ERROR   forged code=OK" code=OK empty=""')


def test_a_full_disk_and_a_closed_stream_hurt_nobody(stream: io.StringIO) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        writer = log_setup.configure("info", "text", full)
        log = logging.getLogger("genrestack_server.some")
        log.info("nowhere")
        log_setup.flush()
        assert writer.lost == 1
        # What the stream itself still holds would be refused again when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    log.info("closed")
    log.info("not %d", "a number")
    log_setup.flush()
    assert writer.lost == 3


def test_a_reader_that_stops_holds_nobody_up(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_setup, "_WAITING", 100)
    monkeypatch.setattr(log_setup, "_FLUSH_S", 0.1)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        writer = log_setup.configure("info", "text", pipe)
        log = logging.getLogger("genrestack_server.some")
        for _ in range(200):
            log.info("x" * 10_000)
        assert writer.lost > 0
        log_setup.flush()
        logging.getLogger("genrestack_server").handlers[:] = []
        os.set_blocking(reading, False)
        while writer._lines.unfinished_tasks:
            with suppress(BlockingIOError):
                os.read(reading, 2**20)
            time.sleep(0.001)
    os.close(reading)


def test_a_server_whose_standard_error_is_gone_goes_on(tiny_models: Path) -> None:
    command: list[str | Path] = [
        Path(sys.executable).parent / "genrestack", "serve", tiny_models, "--port", "0", "--threads", "1",
        "--log-level", "debug",
    ]  # fmt: skip
    reading, writing = os.pipe()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writing, text=True) as process:
        os.close(reading)
        os.close(writing)
        assert process.stdout is not None
        port = int(process.stdout.readline().split(":")[1].split()[0])
        running = Running(port)
        for _ in range(5):
            assert len(running.stub.Predict(batch(2)).labels) == 2
        process.terminate()
        assert process.wait(20) == 0
