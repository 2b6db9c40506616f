"""Which execution provider is taken: what is there, what starts, and what answers rightly."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from bundle.reseal import replace

from genrestack_bundle import Bundle, ComposedSession, ParityError, ProviderError, open_bundle, verified_session
from genrestack_bundle.runtime import providers as providers_module
from genrestack_bundle.runtime import session as session_module
from genrestack_bundle.runtime.providers import (
    INSTALL_GPU,
    PROVIDERS,
    Provider,
    available,
    candidates,
    check_wheels,
    installed_wheels,
    start,
)

CPU = "CPUExecutionProvider"
# In every wheel, and without a single operator of its own: another provider that really is one.
IDLE = "AzureExecutionProvider"


@pytest.fixture(scope="module")
def opened(models_dir: Path) -> Bundle:
    return open_bundle(models_dir / "digits" / "1")


def stand_in(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    """Put another provider of this onnxruntime in the place of CUDA."""
    if provider.name not in available():
        pytest.skip(f"this onnxruntime has no {provider.name}")
    table: Mapping[str, Provider] = {**PROVIDERS, "cuda": provider}
    for module in (providers_module, session_module):
        monkeypatch.setattr(module, "PROVIDERS", table)


def test_this_environment_has_one_wheel() -> None:
    found = installed_wheels()
    assert len(found) == 1
    assert onnxruntime.__version__ in found.values()
    check_wheels(found)


def test_two_wheels_are_refused_with_what_mends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = next(iter(installed_wheels()))
    (other,) = {"onnxruntime", "onnxruntime-gpu"} - {here}
    folder = tmp_path / f"{other.replace('-', '_')}-1.31.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {other}\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_wheels()[other] == "1.31.1"
    with pytest.raises(ProviderError, match=r"both installed.*pip uninstall -y onnxruntime onnxruntime-gpu, then") as e:
        candidates("cpu")
    assert INSTALL_GPU in str(e.value)


def test_auto_tries_the_cpu_last() -> None:
    assert candidates("auto")[-1] == "cpu"
    assert "tensorrt" not in candidates("auto")
    assert ("cuda" in candidates("auto")) == ("CUDAExecutionProvider" in available())


def test_the_cpu_starts_everywhere() -> None:
    start(PROVIDERS["cpu"], 0)


def test_products_keep_their_precision() -> None:
    """TF32 would keep ten bits, half precision as many, and int8 eight."""
    assert dict(PROVIDERS["cuda"].settings(3))["CUDAExecutionProvider"] == {
        "device_id": "3", "use_tf32": "0", "arena_extend_strategy": "kSameAsRequested",
    }  # fmt: skip
    tensorrt = dict(PROVIDERS["tensorrt"].settings(1))
    assert list(tensorrt) == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    assert tensorrt["TensorrtExecutionProvider"] == {"device_id": "1", "trt_fp16_enable": "0", "trt_int8_enable": "0"}
    assert tensorrt["CUDAExecutionProvider"]["use_tf32"] == "0"
    assert PROVIDERS["cpu"].settings(0) == [(CPU, {})]


def test_a_provider_that_takes_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, opened: Bundle) -> None:
    stand_in(monkeypatch, Provider("cuda", IDLE))
    with pytest.raises(ProviderError, match=f"{IDLE} runs none of the graph's operators; choose --provider cpu"):
        verified_session(opened, provider="cuda", threads=1)


def test_auto_goes_on_to_the_next_and_says_why(monkeypatch: pytest.MonkeyPatch, opened: Bundle) -> None:
    stand_in(monkeypatch, Provider("cuda", IDLE))
    verified = verified_session(opened, threads=1)
    assert verified.session.provider == CPU
    assert verified.parity.labels_agreed == verified.parity.rows
    (reason,) = verified.passed_over
    assert reason.startswith(f"cuda: {IDLE} runs none")


def test_a_gpu_that_does_not_start_is_refused_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, opened: Bundle
) -> None:
    stand_in(monkeypatch, Provider("cuda", IDLE, "libonnxruntime_providers_cuda.so"))
    monkeypatch.setattr(providers_module, "_DRIVER", "libno_such_driver.so.1")
    monkeypatch.setattr(providers_module, "_why_not", providers_module._why_not.__wrapped__)
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: [CPU])
    with pytest.raises(
        ProviderError, match=r"does not start here: there is no NVIDIA driver.*nvidia-smi.*provider cpu"
    ):
        verified_session(opened, provider="cuda")


@pytest.fixture
def wrong_gpu(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    """A GPU that computes something else: the same operators, with the features in another order."""
    stand_in(monkeypatch, Provider("cuda", CPU, "a library"))
    monkeypatch.setattr(providers_module, "_why_not", lambda *_: "")
    monkeypatch.setattr(session_module, "uint8_to_float32", _reversed)


def _reversed(graph: bytes) -> bytes:
    import onnx

    model = onnx.load_model_from_string(graph)
    last = onnx.numpy_helper.from_array(np.arange(64)[::-1].copy(), "backwards")
    model.graph.initializer.append(last)
    for node in model.graph.node:
        node.input[:] = ["turned" if name == "features" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Gather", ["features", "backwards"], ["turned"], axis=1))
    return bytes(model.SerializeToString())


@pytest.mark.usefixtures("wrong_gpu")
def test_a_gpu_that_answers_otherwise_is_not_offered(opened: Bundle) -> None:
    monkeypatched = (
        r"digits/1 does not answer its golden rows under .*labels \d+ of \d+.*; serve it with --provider cpu"
    )
    with pytest.raises(ParityError, match=monkeypatched):
        verified_session(opened, provider="cuda", threads=1)


@pytest.mark.usefixtures("wrong_gpu")
def test_auto_leaves_a_gpu_that_answers_otherwise(opened: Bundle) -> None:
    verified = verified_session(opened, threads=1)
    assert not verified.session.gpu
    assert verified.parity.labels_agreed == verified.parity.rows
    (reason,) = verified.passed_over
    assert reason.startswith("cuda: digits/1 does not answer its golden rows")


def test_a_bundle_at_fault_is_not_blamed_on_the_provider(digits: Path) -> None:
    with np.load(digits / "golden.npz") as file:
        arrays = dict(file)
    arrays["probabilities"] = arrays["probabilities"][:, ::-1]
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    replace(digits, "golden.npz", buffer.getvalue())
    with pytest.raises(ParityError, match="export it again"):
        verified_session(open_bundle(digits), threads=1)


def test_devices_of_the_cpu_are_all_one(opened: Bundle) -> None:
    session = ComposedSession(opened.compose(), part_names=opened.part_names, provider="cpu", device=5)
    assert session.provider_options == {}


def test_what_a_gpu_is_tried_with_is_a_graph() -> None:
    import onnx

    graph = providers_module._smallest_graph()
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": np.ones(1, np.float32)})
    assert answer.tolist() == [2]
