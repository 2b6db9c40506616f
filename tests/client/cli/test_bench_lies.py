"""What `genrestack bench` and `genrestack doctor` make of servers that lie, and of metrics that are none."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest
from client.liar import Liar, described, item, telling
from google.protobuf.message import Message

from genrestack import InvalidInput
from genrestack._core.connection.options import ClientOptions
from genrestack.cli.bench.payloads import Payloads
from genrestack.cli.bench.server_side import difference, scrape
from genrestack.cli.main import run
from genrestack.model_info import FeatureInfo, ModelInfo
from genrestack_proto.v1 import model_pb2
from genrestack_proto.v1 import prediction_pb2 as pb

Answer = Callable[[BaseHTTPRequestHandler], object]


@contextmanager
def web(answer: Answer) -> Iterator[str]:
    """Serve metrics made by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def saying(*pieces: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(piece)

    return answer


def elsewhere(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", handler.path + "x")
    handler.end_headers()


METRICS: dict[str, tuple[Answer, str]] = {
    "nothing": (saying(), "are none of a GenreStack server"),
    "something else": (saying(b"process_cpu 1\n"), "are none of a GenreStack server"),
    "no numbers": (saying(b"genrestack_a 1e\ngenrestack_b --\ngenrestack_c NaN\ngenrestack_d +Inf\n"), "are none of"),
    "a number without end": (saying(b"genrestack_a " + b"9" * 100_000 + b"\n"), "are none of"),
    "more than there is": (saying(b"genrestack_a 1e999\n"), "are none of"),
    "braces that are never closed": (saying(b"genrestack_a{\n" * 1_100_000), "are none of"),
    "without end": (saying(*[b"genrestack_a 1\n" * 70_000] * 17), "longer than 16,777,216 bytes"),
    "one thing after another": (elsewhere, "the HTTP status is 302"),
    "no HTTP": (lambda handler: handler.wfile.write(b"\x00\x1b[2J\r\n\r\n"), "cannot be read"),
    "a reason that steers": (lambda handler: handler.send_error(500, "a\x9bb" * 500), "cannot be read"),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_that_are_none(name: str) -> None:
    answer, message = METRICS[name]
    with web(answer) as url, pytest.raises(InvalidInput, match=message) as caught:
        scrape(url)
    assert len(str(caught.value)) < 400


def test_metrics_that_never_end_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes in time, and the whole never."""
    monkeypatch.setattr("genrestack.cli.bench.server_side._SECONDS", 0.2)
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        saying()(handler)
        while not over.wait(0.01):
            handler.wfile.write(b"g")

    with web(drip) as url:
        try:
            with pytest.raises(InvalidInput, match="it takes too long"):
                scrape(url)
        finally:
            over.set()


def test_metrics_that_contradict_each_other_have_no_means() -> None:
    found = difference({}, {"genrestack_batch_rows_sum": 1e300, "genrestack_batch_rows_count": 1e-300})
    assert (found.rows_per_execution, found.queue_seconds) == (None, None)


STREAMS: dict[str, Callable[[Iterator[bytes], Any], Iterator[bytes | Message]]] = {
    "bytes": lambda requests, _: (b"\xff\xff" for _request in requests),
    "another index": lambda requests, _: (item(7) for _request in requests),
    "neither answer nor error": lambda requests, _: (
        pb.PredictStreamResponse(index=index) for index, _request in enumerate(requests)
    ),
    "without end": lambda requests, _: map(item, count()),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_load_on_a_stream_that_lies_counts_failures(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with Liar(stream=STREAMS[name]).serving() as target:
        load = ["--stream", "--callers", "2", "--seconds", "0.2", "--warm-up", "0"]
        assert run(["bench", *load, "--json", "--server", target]) in (0, 1)
    out, err = capsys.readouterr()
    figures = json.loads(out)["figures"]
    assert "Traceback" not in err
    # Of answers without end, some meet a question; the stream is opened again for the next one.
    if name != "without end":
        assert figures["failed"]["PROTOCOL_ERROR"] > 0
        assert err.endswith("PROTOCOL_ERROR\n")


@pytest.mark.parametrize(
    "feature",
    [FeatureInfo("a", -1.7e308, 1.7e308), FeatureInfo("a", 5.0, None), FeatureInfo("a", None, -5.0)],
)
def test_rows_are_drawn_from_any_range(feature: FeatureInfo) -> None:
    info = ModelInfo.from_message(described())
    info = ModelInfo(**(vars(info) | {"features": (feature,)}))
    payloads = Payloads.of(info, 3, None, ClientOptions(), 0)
    assert payloads.sample.shape == (3, 1)
    assert abs(payloads.sample).max() < 1.8e38


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ([described(name=f"m{number}") for number in range(500)], "m19/1 and 480 more"),
        ([model_pb2.Model()], "names the model"),
        ([described()] * 2, "lists one version of a model twice"),
    ],
)
def test_a_server_that_the_doctor_does_not_believe(
    capsys: pytest.CaptureFixture[str], models: list[model_pb2.Model], told: str
) -> None:
    from genrestack import Client
    from genrestack.cli.doctor.network import look_at_server

    liar = Liar({"ListModels": telling(pb.ListModelsResponse(models=models))})
    with liar.serving() as target, Client(target) as client:
        found = look_at_server(client, target)
    assert told in found.found
    assert (found.state == "ok") == told.startswith("m19")
