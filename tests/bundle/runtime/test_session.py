"""The composed graph, in onnxruntime, and the parity check on its golden rows."""

import io
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from bundle.processes import run_script
from bundle.reseal import replace
from packaging.version import Version
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from support.samples.stacks import FittedStack

from genrestack_bundle import (
    Bundle,
    BundleError,
    ComposedSession,
    ParityError,
    ProviderError,
    base_output,
    open_bundle,
    verify_parity,
)
from genrestack_common.resources import usable_cpus
from genrestack_export import export_stack

CPU = "CPUExecutionProvider"
NO_ROWS = pytest.param(
    0,
    marks=pytest.mark.skipif(
        Version(onnxruntime.__version__) < Version("1.32"),
        reason="onnxruntime multiplies integer matrices of no rows from 1.32 on; the server runs none",
    ),
)


@pytest.fixture(scope="module")
def opened(models_dir: Path) -> Bundle:
    return open_bundle(models_dir / "digits" / "1")


@pytest.fixture(scope="module")
def graph(opened: Bundle) -> bytes:
    return opened.compose()


@pytest.fixture(scope="module")
def session(opened: Bundle, graph: bytes) -> ComposedSession:
    return ComposedSession(graph, part_names=opened.part_names, provider="cpu", threads=1)


@pytest.fixture
def rows(small_stack: FittedStack) -> npt.NDArray[np.float32]:
    return small_stack.rows.astype(np.float32)


def test_inputs_and_outputs(graph: bytes) -> None:
    session = onnxruntime.InferenceSession(graph, providers=[CPU])
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [("features", "tensor(float)", ["rows", 64])]
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        ("class_index", "tensor(int64)", ["rows"]),
        ("probabilities", "tensor(float)", ["rows", 10]),
        ("probabilities.knn", "tensor(float)", ["rows", 10]),
        ("probabilities.svc", "tensor(float)", ["rows", 10]),
    ]
    assert base_output("knn") == "probabilities.knn"


def test_composed_graph_is_whole_and_of_the_announced_operators(opened: Bundle, graph: bytes) -> None:
    model = onnx.load_model_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    assert {(opset.domain, opset.version) for opset in model.opset_import} == {("", 18), ("ai.onnx.ml", 3)}
    assert opened.compose() == graph


def test_answer_is_the_originals(
    session: ComposedSession, small_stack: FittedStack, rows: npt.NDArray[np.float32]
) -> None:
    answer = session.run(rows)
    assert (answer.class_index.dtype.name, answer.class_index.shape) == ("int64", (200,))
    assert (answer.probabilities.dtype.name, answer.probabilities.shape) == ("float32", (200, 10))
    assert [small_stack.classes[i] for i in answer.class_index] == small_stack.predict(rows)
    assert np.abs(answer.probabilities - small_stack.probabilities(rows)).max() <= 5e-4
    assert list(answer.base) == ["knn", "svc"]
    for name, estimator in small_stack.base.items():
        assert answer.base[name].dtype == np.float32
        assert np.abs(answer.base[name] - estimator.predict_proba(small_stack.scale(rows))).max() <= 5e-4


@pytest.mark.parametrize("count", [NO_ROWS, 1, 7])
def test_batch_makes_no_difference(session: ComposedSession, rows: npt.NDArray[np.float32], count: int) -> None:
    whole, some = session.run(rows), session.run(rows[:count])
    assert some.probabilities.shape == (count, 10)
    assert np.array_equal(some.class_index, whole.class_index[:count])
    assert np.allclose(some.probabilities, whole.probabilities[:count], rtol=0, atol=1e-6)


def test_threads_at_once_get_their_own_answers(session: ComposedSession, rows: npt.NDArray[np.float32]) -> None:
    expected = session.run(rows)
    wrong: list[int] = []

    def ask(start: int) -> None:
        for _ in range(5):
            answer = session.run(rows[start : start + 20])
            if not np.allclose(answer.probabilities, expected.probabilities[start : start + 20], rtol=0, atol=1e-6):
                wrong.append(start)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 80, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _fit(classes: int, *, passthrough: bool, rows: npt.NDArray[np.float64]) -> StackingClassifier:
    labels = np.arange(len(rows)) % classes
    base = [("far", KNeighborsClassifier(3)), ("near", KNeighborsClassifier(1, weights="distance"))]
    return StackingClassifier(base, LogisticRegression(), cv=2, passthrough=passthrough).fit(rows, labels)


@pytest.mark.parametrize("passthrough", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_without_a_scaler(tmp_path: Path, classes: int, passthrough: bool) -> None:
    """With two classes each part's first column is dropped on the way to the meta-learner."""
    rng = np.random.default_rng(classes)
    stack = _fit(classes, passthrough=passthrough, rows=rng.normal(size=(40, 4)))
    rows = rng.normal(size=(30, 4)).astype(np.float32)
    path = export_stack(
        stack, None, feature_names=list("abcd"), reference_rows=rows, models_dir=tmp_path, name="bare"
    )  # fmt: skip
    bundle = open_bundle(path)
    assert [part.file for part in bundle.model.parts] == ["far.onnx", "near.onnx", "meta.onnx"]
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
    answer = session.run(rows)
    assert np.array_equal(answer.class_index, stack.predict(rows))
    assert np.abs(answer.probabilities - stack.predict_proba(rows.astype(np.float64))).max() < 1e-6
    assert answer.base["near"].shape == (30, classes)


def test_cpu_provider(session: ComposedSession) -> None:
    assert (session.provider, session.threads, session.part_names) == (CPU, 1, ("knn", "svc"))
    assert isinstance(session.provider_options, dict)


@pytest.mark.parametrize(("asked", "given"), [(None, usable_cpus()), (1, 1), (3, 3)])
def test_threads(opened: Bundle, graph: bytes, asked: int | None, given: int) -> None:
    assert ComposedSession(graph, part_names=opened.part_names, provider="cpu", threads=asked).threads == given


@pytest.mark.parametrize("count", [NO_ROWS, 1, 17, 200])
def test_handing_rows_over_where_the_graph_runs_changes_no_answer(
    opened: Bundle, graph: bytes, session: ComposedSession, rows: npt.NDArray[np.float32], count: int
) -> None:
    bound = ComposedSession(graph, part_names=opened.part_names, provider="cpu", threads=1, bound=True)
    given = np.asfortranarray(rows[:count])
    plain, crossed = session.run(given), bound.run(given)
    assert np.array_equal(plain.class_index, crossed.class_index)
    for expected, found in [
        (plain.probabilities, crossed.probabilities),
        *((plain.base[name], crossed.base[name]) for name in ("knn", "svc")),
    ]:
        assert (found.dtype.name, found.shape) == ("float32", (count, 10))
        assert np.array_equal(expected, found)


def test_a_bound_run_ends_when_told_to(opened: Bundle, graph: bytes) -> None:
    bound = ComposedSession(graph, part_names=opened.part_names, provider="cpu", threads=1, bound=True)
    options = onnxruntime.RunOptions()
    options.terminate = True
    with pytest.raises(Exception, match="terminate"):
        bound.run(opened.golden.rows, options)


def test_every_node_is_counted_where_it_runs(session: ComposedSession, graph: bytes) -> None:
    """Beside those of the graph there are those of its branches, less the ones that onnxruntime folds."""
    (count,) = session.nodes.values()
    assert list(session.nodes) == [CPU]
    assert 0.7 * _count(onnx.load_model_from_string(graph).graph) < count


def _count(graph: onnx.GraphProto) -> int:
    inner = (attribute.g for node in graph.node for attribute in node.attribute)
    return len(graph.node) + sum(_count(each) for each in inner)


@pytest.mark.parametrize(("word", "name"), [("cuda", "CUDA"), ("tensorrt", "Tensorrt")])
def test_absent_provider_says_what_there_is(opened: Bundle, graph: bytes, word: str, name: str) -> None:
    name += "ExecutionProvider"
    if name in onnxruntime.get_available_providers():
        pytest.skip("needs an onnxruntime without CUDA")
    with pytest.raises(ProviderError, match=rf"{name} is not in .*{CPU}.*--provider cpu.*server-gpu"):
        ComposedSession(graph, part_names=opened.part_names, provider=word)


@pytest.mark.parametrize("provider", ["tpu", "", "CPU"])
def test_unknown_provider(opened: Bundle, graph: bytes, provider: str) -> None:
    with pytest.raises(ProviderError, match=r"unknown provider .*choose auto, cpu, cuda, tensorrt"):
        ComposedSession(graph, part_names=opened.part_names, provider=provider)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x3a\x02\x0a\x00"])
def test_graph_that_is_none(data: bytes) -> None:
    with pytest.raises(BundleError, match="onnxruntime refuses"):
        ComposedSession(data, part_names=["knn"], provider="cpu")


_SERVE_AS_A_PROCESS = """
import os, sys
os.environ.pop("ORT_DISABLE_TELEMETRY", None)

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print("telemetry off:", os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Watch())
from pathlib import Path
from genrestack_bundle import ComposedSession, open_bundle, verify_parity
print("light:", not {"onnxruntime", "onnx"} & set(sys.modules))
bundle = open_bundle(Path(sys.argv[1]))
session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu")
print("labels:", verify_parity(session, bundle).labels_agreed == len(bundle.golden.rows))
heavy = {"tensorflow", "keras", "sklearn", "pandas", "scipy", "skl2onnx", "tf2onnx", "joblib", "scikeras"}
print("heavy:", sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_a_process_that_runs_a_model_stays_light_and_silent(models_dir: Path) -> None:
    found = run_script(_SERVE_AS_A_PROCESS, models_dir / "digits" / "1")
    assert found.splitlines() == ["light: True", "telemetry off: 1", "labels: True", "heavy: []"]


def test_proof_passes(session: ComposedSession, opened: Bundle) -> None:
    parity = verify_parity(session, opened)
    assert parity.rows == parity.labels_agreed == len(opened.golden.rows) > 50
    assert 0 <= parity.max_abs_difference <= parity.tolerance == opened.model.parity.tolerance
    assert [part.name for part in parity.parts] == ["knn", "svc"]
    assert all(part.max_abs_difference <= part.tolerance for part in parity.parts)


KNN = "part." + b"knn".hex()


@pytest.mark.parametrize(
    ("array", "value", "complaint"),
    [
        ("class_index", 3, r"labels 0 of \d+"),
        ("probabilities", 0.5, r"max \|Δp\| \d"),
        (KNN, 0.5, r"knn \d"),
        ("rows", 0.0, r"labels \d+ of \d+"),
        ("rows", np.finfo(np.float32).max, "labels"),
    ],
)
def test_altered_golden_rows_are_noticed(digits: Path, array: str, value: float, complaint: str) -> None:
    with np.load(digits / "golden.npz") as file:
        arrays = dict(file)
    last = slice(None) if array in {"class_index", "rows"} else slice(-1, None)
    arrays[array][last] = value
    if array == "class_index":
        # Some row may really be of that class.
        with np.load(digits / "golden.npz") as file:
            arrays[array] = np.where(file[array] == value, value + 1, value).astype(np.int64)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    replace(digits, "golden.npz", buffer.getvalue())
    bundle = open_bundle(digits)
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
    with pytest.raises(ParityError, match=rf"digits/1 does not answer its golden rows under {CPU}: .*{complaint}"):
        verify_parity(session, bundle)


def test_difference_within_the_tolerance_passes_and_beyond_it_does_not(digits: Path) -> None:
    with np.load(digits / "golden.npz") as file:
        arrays = dict(file)
    for moved, passes in ((4e-4, True), (6e-4, False)):
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **(arrays | {KNN: arrays[KNN] + moved}))
        replace(digits, "golden.npz", buffer.getvalue())
        bundle = open_bundle(digits)
        session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
        if passes:
            assert verify_parity(session, bundle).parts[0].max_abs_difference == pytest.approx(moved, rel=1e-3)
        else:
            with pytest.raises(ParityError, match=r"knn 6\.0e-04"):
                verify_parity(session, bundle)
