"""The option: ports, workers, the command, and what is missing or taken."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from server.bundles.tiny import draw_rows
from server.http.asking import INFER, Http, in_json
from server.running.live import Launch, RunServer
from server.running.supervised import supervised
from support.waiting import GUARD_S, until

from genrestack_server import AddressError, ServerConfig, StartError


def ask_once(port: int, path: str = INFER) -> int:
    http = Http(port)
    try:
        return (http.infer(in_json(draw_rows(1))) if path == INFER else http.get(path)).status
    finally:
        http.connection.close()


def test_the_command_says_where(launch: Launch, tiny_models: Path) -> None:
    command = launch(tiny_models, "--port", "0", "--http-port", "0", "--metrics-port", "0")
    assert command.process.stdout is not None
    found = re.fullmatch(r"HTTP on http://127\.0\.0\.1:(\d+)\n", command.process.stdout.readline())
    assert found
    assert command.process.stdout.readline().startswith("metrics on http://")
    assert ask_once(int(found[1])) == 200
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(GUARD_S) == 0


def test_workers_share_the_port(tiny_models: Path) -> None:
    with supervised(tiny_models, http_port=0) as pair:
        found = re.fullmatch(r"HTTP on http://127\.0\.0\.1:(\d+)", pair.said[-2])
        assert found, pair.said
        port = int(found[1])
        connections = [Http(port) for _ in range(32)]
        statuses = [http.infer(in_json(draw_rows(1))).status for http in connections]
        assert statuses == [200] * 32
        # Both take some of them, and metrics are of all.
        until(lambda: pair.metric("genrestack_requests_total", method="ModelInfer", code="OK") == 32)
        pair.process.send_signal(signal.SIGTERM)
        assert pair.end()[0] == 0
        for http in connections:
            http.connection.close()


def test_a_taken_port_is_one_line(tiny_models: Path, run_server: RunServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            AddressError, match=rf"port {port} on 127.0.0.1 is taken .* choose another with --http-port"
        ):
            run_server(tiny_models, http_port=port).__enter__()
        with supervised(tiny_models, http_port=port) as pair:
            status, log = pair.end()
        assert status == 2
        assert f"Error: port {port} on 127.0.0.1 is taken" in log


def test_ports_differ() -> None:
    with pytest.raises(ValueError, match="http_port is 50051, which is port too"):
        ServerConfig(http_port=50051)
    assert ServerConfig(port=0, http_port=0).http_port == 0


def test_every_address_of_a_name_is_listened_on(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, host="localhost", http_port=0) as running:
        assert running.server is not None
        port = running.server.http_port
        families = {entry[0] for entry in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        for family in families:
            address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            socket.create_connection((address, port), timeout=60).close()


def test_what_is_missing_is_one_line(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("genrestack_server.http.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(StartError, match=r'^HTTP \(--http-port\) needs: pip install "genrestack\[server,http\]"$'):
        run_server(tiny_models, http_port=0).__enter__()


def test_nothing_is_imported_that_is_not_asked_for(tiny_models: Path) -> None:
    program = """
import asyncio, json, sys
from pathlib import Path
from genrestack_server import Server, ServerConfig
async def main():
    async with Server(ServerConfig(models_dir=Path(sys.argv[1]), port=0)):
        print(json.dumps(sorted({"uvicorn", "starlette", "h11", "anyio", "genrestack_server.http"} & set(sys.modules))))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program, tiny_models], check=False, capture_output=True, text=True)
    assert json.loads(done.stdout) == [], done.stderr
