"""Tokens before a body is read, TLS as on the gRPC port, and pages of other sites."""

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from server.bundles.tiny import draw_rows
from server.http.asking import INFER, Http, answer_on, asking, http_port, in_json, sent, status_of
from server.running.live import Running, RunServer
from support.network.certificates import EXPIRED, Authority, Pair
from support.waiting import GUARD_S, until

from genrestack_server.call import Call
from genrestack_server.telemetry.observer import Observer


class Notes(Observer):
    """What observers were told."""

    def __init__(self, running: Running) -> None:
        self.calls: list[tuple[str, str]] = []
        self.reasons: list[str] = []
        assert running.server is not None
        running.server.observers.add(self)

    def call_ended(self, call: Call) -> None:
        self.calls.append((call.method, call.code.name))

    def rejected(self, reason: str) -> None:
        self.reasons.append(reason)


def line(token: str, *words: str) -> str:
    return " ".join([hashlib.sha256(token.encode()).hexdigest(), *words]) + "\n"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(line("one", "web") + line("two", "release", "admin"))
    return file


def test_only_who_has_a_token_is_answered(token_file: Path, tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0, token_file=token_file) as running:
        notes = Notes(running)
        with asking(running, token="one") as http:
            assert http.infer(in_json(draw_rows(2))).status == 200
            assert http.get("/v2/models/tiny").status == 200
            refused = http.get("/v2/models/tiny/stats")
            assert (refused.status, refused.document["code"]) == (403, "PERMISSION_DENIED")
        with asking(running, token="two") as http:
            assert http.get("/v2/models/tiny/stats").status == 200
            assert http.post("/v2/repository/models/tiny/load").status == 409
        with asking(running, token="three") as http:
            refused = http.infer(in_json(draw_rows(2)))
            assert (refused.status, refused.document["code"]) == (401, "UNAUTHENTICATED")
            assert refused.headers["www-authenticate"] == "Bearer"
            assert "three" not in refused.body.decode()
        with asking(running) as http:
            for path in ("/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/v2/models/stats"):
                assert http.get(path).status == 401
            assert http.post("/v2/repository/index").status == 401
            # As probes have none, and what every server of this release answers alike.
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/openapi.json", "/docs"):
                assert http.get(path).status == 200
        assert notes.reasons == ["management"] + ["token"] * 6
        assert notes.calls.count(("ModelInfer", "UNAUTHENTICATED")) == 1


def test_no_body_is_read_before_the_token(token_file: Path, tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0, token_file=token_file) as running:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        with socket.create_connection(("127.0.0.1", http_port(running)), timeout=GUARD_S) as connection:
            connection.sendall(head.encode() + b"{")
            answer = answer_on(connection)
        assert status_of(answer) == 401
        assert b"100 Continue" not in answer


@pytest.mark.parametrize("value", ["Basic one", "one", "Bearer", "Bearer \xff"])
def test_what_is_no_token(token_file: Path, tiny_models: Path, run_server: RunServer, value: str) -> None:
    with run_server(tiny_models, http_port=0, token_file=token_file) as running, asking(running) as http:
        assert http.get("/v2", Authorization=value).status == 401


def test_a_token_is_given_once(token_file: Path, tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0, token_file=token_file) as running:
        twice = b"Authorization: Bearer one\r\n" * 2
        answer = sent(http_port(running), b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + twice + b"\r\n")
        assert status_of(answer) == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://elsewhere.example", 403), ("null", 403), ("http://[", 403), ("http://127.0.0.1:{port}", 200)],
)
def test_pages_of_other_sites(http_server: Running, http: Http, origin: str, status: int) -> None:
    answer = http.infer(in_json(draw_rows(1)), Origin=origin.format(port=http_port(http_server)))
    assert answer.status == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


def trusting(ca: Authority, client: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca.pem.decode())
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


@contextmanager
def served(models: Path, run_server: RunServer, pair: Pair, **options: Any) -> Iterator[Running]:
    files = {"tls_cert": pair.certificate, "tls_key": pair.key}
    with run_server(models, host="localhost", http_port=0, **files, **options) as running:
        yield running


def connects(running: Running, context: ssl.SSLContext) -> bool:
    try:
        with asking(running, context=context) as http:
            return http.infer(in_json(draw_rows(2))).status == 200
    except (ssl.SSLError, ConnectionError):
        return False


def test_only_who_trusts_the_authority_connects(tmp_path: Path, tiny_models: Path, run_server: RunServer) -> None:
    ca = Authority.make()
    with served(tiny_models, run_server, ca.server(tmp_path)) as running:
        assert running.server is not None
        assert running.server.http_url == f"https://localhost:{http_port(running)}"
        assert connects(running, trusting(ca))
        assert not connects(running, trusting(Authority.make()))
        assert sent(http_port(running), b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        assert connects(running, trusting(ca))


def test_mutual_tls_needs_a_certificate_of_the_authority(
    tmp_path: Path, tiny_models: Path, run_server: RunServer
) -> None:
    ca, clients, other = Authority.make(), Authority.make("clients"), Authority.make("clients")
    more = {"tls_client_ca": clients.write(tmp_path / "clients.pem")}
    with served(tiny_models, run_server, ca.server(tmp_path), **more) as running:
        assert connects(running, trusting(ca, clients.client(tmp_path)))
        assert not connects(running, trusting(ca))
        assert not connects(running, trusting(ca, other.client(tmp_path, "other")))
        assert not connects(running, trusting(ca, clients.client(tmp_path, "late", lifetime=EXPIRED)))


def test_a_new_certificate_is_taken_up_and_open_connections_go_on(
    tmp_path: Path, tiny_models: Path, run_server: RunServer
) -> None:
    old, new = Authority.make(), Authority.make()
    pair = old.server(tmp_path)
    with served(tiny_models, run_server, pair) as running, asking(running, context=trusting(old)) as before:
        assert before.get("/v2").status == 200
        newer = new.server(tmp_path, "newer")
        newer.certificate.replace(pair.certificate)
        time.sleep(0.1)
        newer.key.replace(pair.key)
        until(lambda: connects(running, trusting(new)), "the new certificate is not taken up")
        assert before.get("/v2").status == 200
        assert not connects(running, trusting(old))


def test_connections_that_do_not_shake_hands_count(tmp_path: Path, tiny_models: Path, run_server: RunServer) -> None:
    import socket

    ca = Authority.make()
    with served(tiny_models, run_server, ca.server(tmp_path), max_connections=2) as running:
        held = [socket.create_connection(("127.0.0.1", http_port(running))) for _ in range(2)]
        try:
            until(lambda: not connects(running, trusting(ca)), "they do not count")
        finally:
            for connection in held:
                connection.close()
        until(lambda: connects(running, trusting(ca)), "they still count")
