"""A stop: readiness goes first, what is in flight is answered, and connections end."""

import json
from pathlib import Path

import pytest
from server.bundles.held import holding
from server.bundles.tiny import draw_rows
from server.http.asking import INFER, asking, http_port, in_json, sent
from server.running.live import RunServer
from support.waiting import GUARD_S, until


def test_what_is_in_flight_is_answered(tiny_models: Path, run_server: RunServer) -> None:
    with (
        run_server(tiny_models, http_port=0) as running,
        asking(running) as asked,
        asking(running) as other,
        asking(running) as idle,
    ):
        port = http_port(running)
        assert idle.get("/v2/health/ready").document == {"ready": True}
        with holding(running, "tiny") as held:
            asked.connection.request("POST", INFER, json.dumps(in_json(draw_rows(1))))
            held.wait()
            stopping = running.stop(GUARD_S)
            until(lambda: other.get("/v2/health/ready").status == 503, "it is still ready")
            late = other.get("/v2/health/live")
            assert (late.status, late.headers["connection"]) == (200, "close")
            assert other.get("/v2/models/tiny/ready").status == 503
            refused = other.infer(in_json(draw_rows(1)))
            assert (refused.status, refused.document["code"]) == (503, "UNAVAILABLE")
            assert "the server is stopping" in refused.document["error"]
        answer = asked.connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["model_name"] == "tiny"
        assert stopping.result(GUARD_S)
        assert sent_nothing(port)
        # It had a connection that was kept; that one has ended.
        with pytest.raises((ConnectionError, OSError)):
            idle.get("/v2")


def sent_nothing(port: int) -> bool:
    try:
        return sent(port, b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n") == b""
    except ConnectionRefusedError:
        return True


def test_a_second_word_cuts_off(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, http_port=0) as running, asking(running) as http:
        with holding(running, "tiny") as held:
            http.connection.request("POST", INFER, json.dumps(in_json(draw_rows(1))))
            held.wait()
            first, second = running.stop(GUARD_S), running.stop(0)
            assert not second.result(GUARD_S)
            with pytest.raises((ConnectionError, OSError)):
                http.connection.getresponse()
        first.result(GUARD_S)


def test_models_are_loaded_before_it_is_ready(tiny_models: Path, tmp_path: Path, run_server: RunServer) -> None:
    with run_server(tmp_path, http_port=0, allow_empty=True) as running, asking(running) as http:
        answer = http.get("/v2/health/ready")
        assert (answer.status, answer.document) == (503, {"ready": False})
        assert http.get("/v2/health/live").status == 200
        assert http.infer(in_json(draw_rows(1))).status == 404
