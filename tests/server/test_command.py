"""The real `genrestack serve`, as a person or an orchestrator runs it."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import Launch, Running, serve_process

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest


def batch(rows: int) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(rows)))


def fails(*arguments: str | Path) -> str:
    """Run a command that cannot start; exit status 2 and one line on standard error."""
    free = () if "--port" in arguments else ("--port", "0")
    process = serve_process(*arguments, *free)
    out, said = process.communicate()
    assert process.returncode == 2, said
    assert out == ""
    lines = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, said
    assert said.splitlines()[-1] == lines[0]
    return lines[0]


def test_serves_says_so_and_stops_on_a_signal(tiny_models: Path, launch: Launch) -> None:
    command = launch(tiny_models, "--port", "0", "--threads", "1")
    port = command.running.port
    assert command.said == f"serving tiny/2 on 127.0.0.1:{port} — CPUExecutionProvider, 1 thread\n"
    assert command.running.health() == "SERVING"
    assert command.running.stub.Predict(batch(3)).version == 2
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(20) == 0


def test_what_is_in_flight_is_answered_before_it_stops(slow_models: Path, launch: Launch) -> None:
    command = launch(slow_models, "--port", "0", "--threads", "1")
    answers = command.running.stub.PredictStream(iter([batch(1), batch(500)]))
    next(answers)
    command.process.send_signal(signal.SIGTERM)
    assert len(next(answers).response.labels) == 500
    assert list(answers) == []
    assert command.process.wait(20) == 0


def test_a_second_signal_stops_at_once(slow_models: Path, launch: Launch) -> None:
    command = launch(slow_models, "--port", "0", "--threads", "1")
    answers = command.running.stub.PredictStream(iter([batch(1), batch(20_000)]))
    next(answers)
    command.process.send_signal(signal.SIGTERM)
    while command.running.health() == "SERVING":
        time.sleep(0.01)
    assert command.process.poll() is None
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(20) == 1
    with pytest.raises(grpc.RpcError):
        next(answers)


def test_a_signal_while_loading_stops_too(tmp_path: Path, stack: TinyStack) -> None:
    write_tiny(tmp_path, "slow", stack, slow=20_000)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    process = serve_process(tmp_path, "--port", str(port), "--threads", "1")
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    answer = stub.Check(health_pb2.HealthCheckRequest(service="slow"), wait_for_ready=True, timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    process.terminate()
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, "")


def test_nothing_to_serve(tmp_path: Path, tiny_models: Path) -> None:
    assert "there is no model repository at" in fails(tmp_path / "missing")
    assert "nothing to serve; `genrestack train TABLE` makes one" in fails(tmp_path)
    assert f"genrestack serve {tiny_models}" in fails(tiny_models / "tiny")
    assert f"genrestack serve {tiny_models}" in fails(tiny_models / "tiny" / "2")
    file = tmp_path / "table.csv"
    file.write_text("label\n")
    assert "is a file" in fails(file)


def test_a_broken_bundle(tiny_models: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_models / "tiny" / "1", tmp_path / "m" / "1")
    golden = tmp_path / "m" / "1" / "golden.npz"
    golden.write_bytes(golden.read_bytes()[:-1])
    line = fails(tmp_path, "--port", "0")
    assert "model 'm' in" in line
    assert "golden.npz" in line


def test_a_busy_port(tiny_models: Path, tiny_server: Running) -> None:
    line = fails(tiny_models, "--port", str(tiny_server.port))
    assert f"port {tiny_server.port} on 127.0.0.1 is taken" in line


@pytest.mark.parametrize(
    "arguments", [["--port", "70000"], ["--provider", "tpu"], ["--threads", "0"], ["--grace", "-1"], ["--nonsense"]]
)
def test_a_bad_option(arguments: list[str]) -> None:
    assert arguments[0] in fails(*arguments)


def test_never_imports_what_trains(tiny_models: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from genrestack_server import Server, ServerConfig
async def main():
    async with Server(ServerConfig(models_dir=Path(sys.argv[1]), port=0)):
        unwanted = {"tensorflow", "keras", "sklearn", "pandas", "scipy", "joblib", "genrestack"} & set(sys.modules)
        print(sorted(unwanted), "onnxruntime" in sys.modules)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tiny_models],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[] True\n", done.stderr
