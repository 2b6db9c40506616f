"""Callers who send too much, too slowly, or nothing: each gets an answer or an end, and memory stays as it is."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from server.bundles.held import holding
from server.bundles.tiny import draw_rows
from server.http.asking import INFER, Http, answer_on, asking, http_port, in_bytes, in_json, sent, sent_from, status_of
from server.running.live import MIB, Running, RunServer
from support.waiting import until

from genrestack_server.http import body, connection

HEAD = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode()


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", http_port(running)), timeout=60)


def test_a_body_that_says_it_is_too_large_is_not_waited_for(http_server: Running) -> None:
    with connect(http_server) as caller:
        caller.sendall(HEAD + b"Content-Length: 1048577\r\n\r\n")
        answer = answer_on(caller)
        assert status_of(answer) == 413
        assert b"the body is larger than 1,048,576 bytes (--max-message-mib); send less at a time" in answer
        assert b"connection: close" in answer


def test_who_still_sends_a_body_that_is_too_large_gets_to_read_why(http: Http) -> None:
    answer = http.ask("POST", INFER, bytes(20 * MIB))
    assert (answer.status, answer.document["code"]) == (413, "RESOURCE_EXHAUSTED")


def test_a_body_of_the_greatest_size_is_taken(http: Http) -> None:
    text = json.dumps(in_json(draw_rows(1)))
    assert http.ask("POST", INFER, text + " " * (MIB - len(text))).status == 200
    assert http.ask("POST", INFER, text + " " * (MIB - len(text) + 1)).status == 413


def test_an_endless_body_in_chunks_ends(http_server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genrestack_server.http.exchange._DISCARDED", 4 * MIB)
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    before = psutil.Process().memory_info().rss
    grown = 0

    def endless() -> Iterator[bytes]:
        nonlocal grown
        yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        for _ in range(4096):
            yield chunk
            grown = max(grown, psutil.Process().memory_info().rss - before)

    sent_from(http_port(http_server), endless())
    assert grown < 32 * MIB


def test_chunks_with_endless_extensions_end(http_server: Running) -> None:
    pieces = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", *([b"x" * 65_536] * 16)]
    answer = sent(http_port(http_server), *pieces)
    assert not answer or status_of(answer) in {400, 431}


def test_headers_have_a_limit(http_server: Running) -> None:
    pieces = [b"GET /v2 HTTP/1.1\r\nHost: x\r\n", *([b"a: " + b"x" * 8000 + b"\r\n"] * 4000)]
    answer = sent(http_port(http_server), *pieces)
    assert not answer or status_of(answer) == 431


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP "])
def test_a_compressed_body_is_not_made_larger_than_its_limit(http: Http, encoding: str) -> None:
    answer = http.ask("POST", INFER, gzip.compress(bytes(64 * MIB)), Content_Encoding=encoding)
    assert (answer.status, answer.document["code"]) == (413, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("encoding", "data", "status"),
    [
        ("gzip", b"{}", 400),
        ("deflate", gzip.compress(b"{}", mtime=0)[:-1], 400),
        ("br", b"{}", 415),
        ("gzip, gzip", b"{}", 415),
    ],
)
def test_encodings(http: Http, encoding: str, data: bytes, status: int) -> None:
    answer = http.ask("POST", INFER, data, Content_Encoding=encoding)
    assert (answer.status, answer.document["code"]) == (status, "INVALID_ARGUMENT")
    assert http.ask("POST", INFER, json.dumps(in_json(draw_rows(1))), Content_Encoding="identity").status == 200


def test_small_methods_take_small_bodies(http: Http) -> None:
    assert http.ask("POST", "/v2/repository/index", b" " * 65_537).status == 413
    assert http.ask("POST", "/v2/repository/index", b"{}" + b" " * 65_534).status == 200
    assert http.ask("POST", "/v2/repository/index", b"").status == 200


def test_too_many_rows_and_too_large_an_answer(http: Http, tiny_models: Path, run_server: RunServer) -> None:
    assert http.infer_binary(*in_bytes(draw_rows(1001))).violations == ["inputs[0].shape"]
    with run_server(tiny_models, http_port=0, max_message_mib=1) as running, asking(running) as other:
        rows = np.zeros((20_000, 4), np.float32)
        document, data = in_bytes(rows, "probabilities")
        assert other.infer_binary(document, data).status == 200
        document, data = in_bytes(rows, "probabilities", binary_data_output=False)
        answer = other.infer_binary(document, data)
        assert (answer.status, answer.violations) == (400, ["inputs[0].shape"])
        assert "the answer would have 1.4 MiB, the limit is 1 MiB (--max-message-mib)" in answer.document["error"]


def test_connections_beyond_the_limit_are_closed(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0, max_connections=3) as running, ExitStack() as held:
        taken = [held.enter_context(asking(running)) for _ in range(3)]
        assert all(http.get("/v2").status == 200 for http in taken)
        assert sent(http_port(running), b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        taken[0].connection.close()

        def answered() -> bool:
            answer = sent(http_port(running), b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return answer.startswith(b"HTTP/1.1 200")

        until(answered, "there is no room again")


@pytest.mark.parametrize(
    "head",
    [b"", b"GET /v2", b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: ", b"\r\n", b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\nGET /v2 H"],
    ids=["nothing", "line", "headers", "empty line", "second"],
)
def test_slow_heads_end(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(connection, "_HEAD_WITHIN_S", 0.2)
    with run_server(tiny_models, http_port=0) as running:
        answer = sent(http_port(running), head)
        assert answer.count(b"HTTP/1.1 200") == head.count(b"\r\n\r\n")


def test_a_head_that_trickles_ends(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEAD_WITHIN_S", 0.3)

    def trickle() -> Iterator[bytes]:
        yield b"GET /v2 HTTP/1.1\r\nHost: x\r\n"
        while True:
            time.sleep(0.02)
            yield b"a: b\r\n"

    with run_server(tiny_models, http_port=0) as running:
        assert sent_from(http_port(running), trickle()) == b""


def test_slow_bodies_end(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_ARRIVES_WITHIN_S", 0.2)
    monkeypatch.setattr("genrestack_server.http.exchange._DISCARDED_WITHIN_S", 0.2)
    with run_server(tiny_models, http_port=0) as running:
        answer = sent(http_port(running), HEAD + b"Content-Length: 1000\r\n\r\n{")
        assert status_of(answer) == 504
        answer = sent(
            http_port(running), b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
        assert status_of(answer) == 504


def test_whose_body_has_not_come_makes_room(tiny_models: Path, run_server: RunServer) -> None:
    with (
        run_server(tiny_models, http_port=0, max_concurrent_rpcs=1) as running,
        asking(running) as http,
        connect(running) as slow,
    ):
        slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        until(lambda: running.server.engine.admission.in_flight == 1)  # type: ignore[union-attr]
        assert http.infer(in_json(draw_rows(1))).status == 200
        assert status_of(answer_on(slow)) == 429


def test_continue_is_said_once_the_body_is_wanted(http_server: Running) -> None:
    with connect(http_server) as caller:
        text = json.dumps(in_json(draw_rows(1))).encode()
        caller.sendall(HEAD + f"Content-Length: {len(text)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert caller.recv(65_536).startswith(b"HTTP/1.1 100 ")
        caller.sendall(text)
        assert caller.recv(65_536).startswith(b"HTTP/1.1 200 ")
    with connect(http_server) as caller:
        caller.sendall(HEAD + b"Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
        assert caller.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_nobody_computes_for_who_is_gone(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0, max_batch_rows=1) as running:
        server: Any = running.server
        with holding(running, "tiny") as held:
            with ExitStack() as callers:
                for _ in range(4):
                    http = callers.enter_context(asking(running))
                    http.connection.request("POST", INFER, json.dumps(in_json(draw_rows(1))))
                held.wait()
                until(lambda: server.engine.admission.in_flight == 4 and server.engine.batcher.waiting_rows)
            until(lambda: not server.engine.admission.in_flight, "somebody still waits")
            assert not server.engine.batcher.waiting_rows


def test_who_does_not_take_an_answer_is_cut_off(
    tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TAKEN_WITHIN_S", 0.3)
    rows = np.zeros((60_000, 4), np.float32)
    document, data = in_bytes(rows, *(f"probabilities.{name}" for name in ("left", "right")), binary_data_output=False)
    text = json.dumps(document).encode()
    head = f"Content-Length: {len(text) + len(data)}\r\nInference-Header-Content-Length: {len(text)}\r\n\r\n".encode()
    with run_server(tiny_models, http_port=0) as running:
        server: Any = running.server
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with caller:
            caller.connect(("127.0.0.1", http_port(running)))
            caller.sendall(HEAD + head + text + data)
            until(lambda: server.engine.admission.in_flight == 1)
            until(lambda: server.engine.admission.in_flight == 0, "it is kept for who does not take it")
        with asking(running) as http:
            assert http.get("/v2/health/live").status == 200


def test_requests_that_follow_one_another_without_waiting(http_server: Running) -> None:
    text = json.dumps(in_json(draw_rows(1))).encode()
    one = HEAD + f"Content-Length: {len(text)}\r\n\r\n".encode() + text
    last = b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert sent(http_port(http_server), one * 20 + last).count(b"HTTP/1.1 200") == 21


def test_an_old_connection_ends_with_its_next_answer(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0, max_connection_age=1) as running, asking(running) as http:
        until(lambda: http.get("/v2").headers.get("connection") == "close")
        assert http.get("/v2").status == 200
