"""A server needs no package `onnx`: it starts, verifies, and answers where nothing can import it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from server.running.live import Command, end_process
from support.samples.stacks import FittedStack

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

_SERVE = """
import sys

class NoOnnx:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"onnx", "ml_dtypes"}:
            print("wanted:", name, file=sys.stderr, flush=True)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoOnnx())
from genrestack.cli.main import run
sys.exit(run(["serve", *sys.argv[1:]]))
"""


@pytest.fixture
def served(models_dir: Path) -> Iterator[Command]:
    command = [sys.executable, "-c", _SERVE, str(models_dir), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Command(process, process.stdout.readline())
    finally:
        end_process(process)


def test_a_server_starts_and_answers(served: Command, small_stack: FittedStack) -> None:
    rows = small_stack.rows[:20].astype(np.float32)
    with served.running.channel:
        response = served.running.stub.Predict(PredictRequest(rows=to_matrix(rows)))
    np.testing.assert_allclose(from_matrix(response.probabilities), small_stack.probabilities(rows), atol=5e-4)
    served.process.send_signal(signal.SIGTERM)
    _, logged = served.process.communicate()
    assert served.process.returncode == 0
    assert "digits/1 is ready" in logged
    assert "wanted:" not in logged
