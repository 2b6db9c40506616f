"""A real GPU: the golden rows, the options, and who runs what. Skipped where CUDA does not start."""

import re
from pathlib import Path

import numpy as np
import pytest
from server.running.live import running_server
from support.samples.stacks import FittedStack

from genrestack_bundle import Bundle, ComposedSession, ProviderError, open_bundle, verified_session, verify_parity
from genrestack_bundle.runtime.providers import PROVIDERS, available, start
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, PredictRequest

pytestmark = pytest.mark.gpu
CUDA = "CUDAExecutionProvider"


def _need(word: str) -> None:
    provider = PROVIDERS[word]
    if provider.name not in available():
        pytest.skip(f"this onnxruntime has no {provider.name}: it has {', '.join(available())}")
    try:
        start(provider, 0)
    except ProviderError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def gpu() -> None:
    _need("cuda")


@pytest.fixture(scope="module")
def opened(models_dir: Path) -> Bundle:
    return open_bundle(models_dir / "digits" / "1")


def test_golden_rows_agree_under_cuda(opened: Bundle) -> None:
    verified = verified_session(opened, provider="cuda")
    assert verified.session.provider == CUDA
    assert verified.parity.labels_agreed == verified.parity.rows > 50


def test_auto_takes_it(opened: Bundle) -> None:
    verified = verified_session(opened)
    assert (verified.session.provider, verified.passed_over) == (CUDA, ())


def test_products_are_not_shortened(opened: Bundle) -> None:
    session = ComposedSession(opened.compose(), part_names=opened.part_names, provider="cuda")
    assert session.provider_options["use_tf32"] == "0"


def test_the_gpu_runs_most_nodes_and_the_search(opened: Bundle) -> None:
    session = ComposedSession(opened.compose(), part_names=opened.part_names, provider="cuda")
    assert next(iter(session.nodes)) == CUDA
    assert session.nodes[CUDA] > sum(session.nodes.values()) / 2


@pytest.mark.parametrize("count", [1, 16, 17, 200])
def test_answers_are_those_of_the_cpu(opened: Bundle, small_stack: FittedStack, count: int) -> None:
    rows = small_stack.rows[:count].astype(np.float32)
    graph = opened.compose()
    cpu = ComposedSession(graph, part_names=opened.part_names, provider="cpu").run(rows)
    for bound in (True, False):
        found = ComposedSession(graph, part_names=opened.part_names, provider="cuda", bound=bound).run(rows)
        assert np.array_equal(cpu.class_index, found.class_index)
        assert np.abs(cpu.probabilities - found.probabilities).max() <= opened.model.parity.tolerance


def test_a_server_on_the_gpu(models_dir: Path, small_stack: FittedStack) -> None:
    with running_server(models_dir, provider="cuda") as running:
        runtime = running.stub.GetModel(GetModelRequest(model="digits")).model.runtime
        rows = small_stack.rows[:100].astype(np.float32)
        answer = running.stub.Predict(PredictRequest(model="digits", rows=to_matrix(rows)), timeout=60)
    assert runtime.provider == CUDA
    assert runtime.nodes_by_provider[CUDA] > runtime.nodes_by_provider["CPUExecutionProvider"]
    assert list(answer.labels) == small_stack.predict(rows)


def test_a_gpu_that_is_not_there(opened: Bundle) -> None:
    with pytest.raises(ProviderError, match=re.escape("it cannot use GPU 999; nvidia-smi lists the GPUs there are")):
        verified_session(opened, provider="cuda", device=999)


def test_tensorrt_agrees_or_is_refused(opened: Bundle) -> None:
    """It computes in float32 what the stack says in float64, so either is right; silence is not."""
    _need("tensorrt")
    session = ComposedSession(opened.compose(), part_names=opened.part_names, provider="tensorrt")
    assert session.nodes.get("TensorrtExecutionProvider", 0) > 0
    verify_parity(session, opened)
