"""`genrestack bench`: what it counts, held against servers whose doing is known. No speed is judged here."""

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from client.conftest import served_apart
from client.servicer import Script, answer, failure, serving
from google.rpc import status_pb2
from server.bundles.tiny import TinyStack, write_tiny

from genrestack import InvalidInput
from genrestack.cli.bench.drive import Span, arrivals
from genrestack.cli.bench.plan import Plan
from genrestack.cli.bench.record import Record, quantiles
from genrestack.cli.bench.server_side import ServerFigures, difference, scrape
from genrestack.cli.demo.processes import free_port
from genrestack.cli.main import run
from genrestack_proto.matrix import from_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

SHORT = ("--warm-up", "0.1", "--seconds", "1")


def bench(capsys: pytest.CaptureFixture[str], target: str, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run the command with --json; returns its exit status, what it printed, and what it said beside that."""
    status = run(["bench", "--server", target, "--json", *SHORT, *options])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else {}, err


@pytest.mark.parametrize("way", [(), ("--stream",)], ids=["unary", "stream"])
def test_callers_are_counted_exactly(
    capsys: pytest.CaptureFixture[str], server_apart: str, way: tuple[str, ...]
) -> None:
    status, told, err = bench(
        capsys, server_apart, *way, "--callers", "8", "--rows", "5", "--requests", "60", "--seconds", "600"
    )
    figures = told["figures"]
    assert status == 0
    assert (figures["answered"], figures["failed"]) == (60, {})
    assert figures["rows_per_second"] == pytest.approx(5 * figures["requests_per_second"])
    assert figures["requests_per_second"] == pytest.approx(60 / figures["seconds"])
    latency = figures["latency"]
    ordered = [latency[name] for name in ("min", "p50", "p90", "p99", "p99.9", "max")]
    assert ordered == sorted(ordered)
    assert ordered[0] > 0
    assert (told["asked"]["model"], told["asked"]["stream"]) == ("tiny", bool(way))
    assert err.startswith(f"loading tiny/1 at {server_apart}: 8 callers, each waiting for its answer; 5 rows a request")


@pytest.mark.parametrize("way", [(), ("--stream", "--callers", "4")], ids=["unary", "stream"])
def test_a_rate_is_kept_to(capsys: pytest.CaptureFixture[str], server_apart: str, way: tuple[str, ...]) -> None:
    status, told, _ = bench(capsys, server_apart, *way, "--rate", "50", "--arrivals", "constant")
    assert status == 0
    assert told["figures"]["answered"] in (49, 50, 51)
    assert told["figures"]["sent_late"]["p50"] >= 0


@pytest.mark.parametrize("way", [(), ("--stream", "--callers", "8")], ids=["unary", "stream"])
def test_waiting_to_be_sent_counts_as_latency(capsys: pytest.CaptureFixture[str], way: tuple[str, ...]) -> None:
    # Eight threads of a tenth of a second each answer 80 a second; of 200 a second, the last ones wait long.
    with serving(Script(delay=0.1)) as target:
        status, told, _ = bench(capsys, target, *way, "--rate", "200", "--arrivals", "constant", "--timeout", "120")
    figures = told["figures"]
    assert status == 0
    assert figures["answered"] in (199, 200, 201)
    assert figures["latency"]["max"] > 1.0
    assert figures["latency"]["p50"] > 0.4
    assert figures["requests_per_second"] < 100


@pytest.mark.parametrize("way", [(), ("--stream",)], ids=["unary", "stream"])
def test_failures_are_counted_by_status(capsys: pytest.CaptureFixture[str], way: tuple[str, ...]) -> None:
    script = Script()

    def respond(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        wrong = {0: grpc.StatusCode.RESOURCE_EXHAUSTED, 1: grpc.StatusCode.UNAVAILABLE}.get(len(script.requests) % 4)
        return answer(request) if wrong is None or len(script.requests) < 2 else failure(wrong)

    script.respond = respond
    with serving(script) as target:
        status, told, _ = bench(capsys, target, *way, "--callers", "1", "--requests", "40", "--warm-up", "0")
    assert status == 0
    assert told["figures"]["answered"] == 20
    assert told["figures"]["failed"] == {"RESOURCE_EXHAUSTED": 10, "UNAVAILABLE": 10}
    # Nothing is sent again.
    assert len(script.requests) == 41


def test_a_server_that_only_fails_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script()
    script.respond = lambda request: answer(request) if len(script.requests) < 2 else failure(grpc.StatusCode.INTERNAL)
    with serving(script) as target:
        status, _, err = bench(capsys, target, "--requests", "5")
    assert status == 1
    assert "nothing was answered: 5 INTERNAL" in err


def test_what_a_client_would_be_told_is_told_first(capsys: pytest.CaptureFixture[str], server_apart: str) -> None:
    assert bench(capsys, server_apart, "--version", "9") == (
        1, {}, "Error: model 'tiny' has no version 9 here; served: 1 (0 means the newest)\n",
    )  # fmt: skip
    with serving(Script(token="s3cret")) as target:
        assert "give a token" in bench(capsys, target)[2]
    assert "nothing answers at" in bench(capsys, f"127.0.0.1:{free_port(0)}", "--timeout", "5")[2]


def test_rows_of_a_table_are_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("label,c,b,a\nx,3,2,1\ny,6,5,4\nz,9,8,7\n", encoding="utf-8")
    script = Script()
    with serving(script) as target:
        status, told, _ = bench(
            capsys, target, "--table", str(table), "--rows", "2", "--requests", "4", "--callers", "1"
        )
    assert status == 0
    assert told["asked"]["source"] == f"rows of {table}"
    seen = {str(from_matrix(request.rows).astype(int).ravel().tolist()) for request in script.requests}
    assert seen == {"[1, 2, 3, 4, 5, 6]", "[7, 8, 9, 1, 2, 3]", "[4, 5, 6, 7, 8, 9]"}


def test_the_servers_own_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path, real_stack: TinyStack) -> None:
    write_tiny(tmp_path, "tiny", real_stack)
    port = free_port(0)
    url = f"http://127.0.0.1:{port}/metrics"
    with served_apart(tmp_path, "--metrics-port", str(port)) as target:
        status, told, err = bench(
            capsys, target, "--metrics", url, "--callers", "8", "--rows", "3", "--requests", "200", "--seconds", "600"
        )
        assert status == 0, err
        server = told["figures"]["server"]
        # The two looks are not taken at the very moments: some calls fall between.
        assert 0 < server["requests"] <= scrape(url)["genrestack_requests_total"]
        assert 0 < server["executions"] <= server["requests"]
        assert server["rows_per_execution"] >= 3
        assert server["compute_seconds"] > 0
        assert server["rejected"] == 0
    assert "cannot be read" in bench_of_metrics(capsys, tmp_path, url)


def bench_of_metrics(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> str:
    with serving(Script()) as target:
        return bench(capsys, target, "--metrics", url)[2]


@pytest.mark.parametrize("ending", [".png", ".svg", ".html"])
def test_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path, ending: str) -> None:
    script = Script()
    script.respond = lambda r: failure(grpc.StatusCode.UNAVAILABLE) if len(script.requests) % 5 == 0 else answer(r)
    picture = tmp_path / f"load{ending}"
    with serving(script) as target:
        assert run(["bench", "--server", target, *SHORT, "--requests", "50", "--plot", str(picture)]) == 0
    out, _ = capsys.readouterr()
    content = picture.read_bytes()
    if ending == ".png":
        assert content.startswith(b"\x89PNG")
        return
    text = content.decode()
    assert "<svg" in text
    if ending == ".html":
        # One file: nothing is fetched from elsewhere.
        assert "<td>" in text
        assert [word for word in ("<script", "<link", "<img", "@import") if word in text] == []
        shown = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert f"<td>{shown['requests/s']}</td>" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--rate", "100000", "--seconds", "3600"), "is over 10,000,000 requests; ask less"),
        (("--rate", "50000", "--timeout", "60"), "give a shorter timeout"),
        (("--plot", "x.gif"), "has to end in .png, .svg or .html"),
        (("--plot", "no/such/folder/x.png"), "there is no folder"),
        (("--metrics", "file:///etc/passwd"), "give a URL such as http://"),
        (("--rows", "100000000"), "one message holds"),
    ],
)
def test_what_cannot_be_run_is_refused(
    capsys: pytest.CaptureFixture[str], server_apart: str, options: tuple[str, ...], told: str
) -> None:
    status, _, err = bench(capsys, server_apart, *options)
    assert status in (1, 2)
    assert told in err


def test_percentiles_are_values_that_were_measured() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1, 1001) / 1000)
    assert quantiles(values, (0.5, 0.9, 0.99, 0.999, 1.0)) == [0.5, 0.9, 0.99, 0.999, 1.0]
    assert quantiles(values[:0], (0.5,)) == []


def test_only_what_was_meant_to_begin_in_the_span_counts() -> None:
    record = Record()
    for intended, code in ((0.9, "OK"), (1.0, "OK"), (1.5, "UNAVAILABLE"), (1.9, "OK"), (2.0, "OK")):
        record.add(intended, intended + 0.1, intended + 0.5, code)
    calls = record.between(1.0, 2.0)
    np.testing.assert_allclose(calls.latencies, [0.5, 0.5])
    np.testing.assert_allclose(calls.late, 0.1)
    assert calls.failures == {"UNAVAILABLE": 1}


def test_arrivals() -> None:
    span = Span(10.0, 110.0)
    even = list(arrivals(Plan(rate=20, arrivals="constant", warm_up=1), span))
    np.testing.assert_allclose(np.diff(even), 0.05)
    assert even[0] == 9.0
    random = list(arrivals(Plan(rate=20, warm_up=0, seed=1), span))
    assert random == list(arrivals(Plan(rate=20, warm_up=0, seed=1), span))
    gaps = np.diff(random)
    # The gaps of independent callers: mean and standard deviation are both 1 / rate; 2,000 of them.
    assert gaps.mean() == pytest.approx(0.05, rel=0.1)
    assert gaps.std() == pytest.approx(0.05, rel=0.15)


def test_the_servers_figures_are_what_grew() -> None:
    before = {"genrestack_batch_rows_count": 10.0, "genrestack_batch_rows_sum": 10.0, "genrestack_rejected_total": 2.0}
    after = {
        "genrestack_batch_rows_count": 14.0,
        "genrestack_batch_rows_sum": 42.0,
        "genrestack_rejected_total": 5.0,
        "genrestack_compute_seconds_count": 4.0,
        "genrestack_compute_seconds_sum": 0.2,
        "genrestack_requests_total": 30.0,
    }
    assert difference(before, after) == ServerFigures(30, 4, 8.0, None, 0.05, 3)


def test_plans_are_bounded() -> None:
    with pytest.raises(InvalidInput, match="ask less"):
        Plan(rate=1e6)
